//! What was seen of the network, as rules.
//!
//! Which address a name had is in answers, which are not read: a call is seen before it is made. So names go with ports.

use crate::record::Seen;
use lazaret_egress::{Class, Rule, class};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// The port of name servers, whom the jail asks itself.
const DNS: u16 = 53;
/// More names than this with more than one port are too many to pair.
const MOST_PAIRS: usize = 64;

/// What was done with an address: as text, what was done with it, names of /etc/hosts, and the runs.
pub(crate) type Host = (String, String, Vec<String>, Seen);

/// What is written under `[net]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LearnedNetwork {
    /// Rules, and the runs that need them.
    pub(super) allow: BTreeMap<String, Seen>,
    /// The runs that have servers of their own on the loopback interface.
    pub(super) loopback: Seen,
    /// Whether names and ports were paired without knowing which belong together.
    pub(super) is_guessed: bool,
    /// What is no rule.
    pub(super) rest: Vec<(String, Seen)>,
}

impl LearnedNetwork {
    pub(super) fn new(hosts: &[Host], names: &[(String, Seen)]) -> Self {
        let (own, own_datagrams) = (Own::of(hosts, "bind"), Own::of(hosts, "receive"));
        let mut network = Self::default();
        // Ports of addresses of which no file has a name.
        let mut ports: BTreeMap<u16, Seen> = BTreeMap::new();
        for (text, role, known, seen) in hosts {
            let address = text.parse::<SocketAddr>().ok();
            let place = address.map(|address| (address.ip().to_canonical(), address.port()));
            let Some((ip, port)) = place.filter(|_| role != "bind" && role != "receive") else {
                // A server of its own is reached by itself, if at all.
                if place.is_none() {
                    network.rest.push((format!("{role} {text}"), seen.clone()));
                }
                continue;
            };
            let kind = class(ip);
            let servers = if role == "connect" { &own } else { &own_datagrams };
            if matches!(kind, Class::Loopback | Class::Unspecified) && servers.has(port) {
                network.loopback.add(seen, 0);
                continue;
            }
            let unknown = [Class::Metadata, Class::Unspecified, Class::Multicast].contains(&kind);
            if role != "connect" || unknown || port == 0 || port == DNS {
                network.rest.push((format!("{role} {text}"), seen.clone()));
                continue;
            }
            for name in known {
                network.permit(&format!("{name}:{port}"), seen);
            }
            if known.is_empty() && kind != Class::Loopback {
                ports.entry(port).or_default().add(seen, 0);
            }
            // No name permits an address that is not public.
            if names.is_empty() && known.is_empty() || kind != Class::Global {
                network.permit(&SocketAddr::new(ip, port).to_string(), seen);
            }
        }
        network.pair(names, &ports);
        network
    }

    /// Gives each name each port.
    fn pair(&mut self, names: &[(String, Seen)], ports: &BTreeMap<u16, Seen>) {
        if names.len().saturating_mul(ports.len()) > MOST_PAIRS {
            self.rest.extend(names.iter().map(|(name, seen)| (format!("asked for {name}"), seen.clone())));
            return;
        }
        self.is_guessed = names.len() > 1 && ports.len() > 1;
        for (name, seen) in names {
            for (port, used) in ports {
                let both: Vec<usize> = seen.iter().filter(|run| used.contains(*run)).collect();
                // Names that were asked for in no run with that port do not go with it.
                if both.is_empty() {
                    continue;
                }
                let mut runs = Seen::default();
                both.into_iter().for_each(|run| runs.insert(run));
                self.permit(&format!("{name}:{port}"), &runs);
            }
        }
        let is_without = |name: &str| !self.allow.keys().any(|rule| rule.starts_with(&format!("{name}:")));
        let without: Vec<_> = names.iter().filter(|(name, _)| is_without(name)).cloned().collect();
        self.rest.extend(without.into_iter().map(|(name, seen)| (format!("asked for {name}"), seen)));
    }

    fn permit(&mut self, rule: &str, seen: &Seen) {
        match rule.parse::<Rule>() {
            Ok(_) => self.allow.entry(rule.to_owned()).or_default().add(seen, 0),
            Err(_no_rule) => self.rest.push((format!("connect {rule}"), seen.clone())),
        }
    }
}

/// The ports of the program's own servers of one kind.
struct Own {
    ports: BTreeSet<u16>,
    /// Whether one has a port that the kernel chose, which is any that was not named.
    is_any: bool,
}

impl Own {
    fn of(hosts: &[Host], kind: &str) -> Self {
        let bound = hosts.iter().filter(|(_, role, _, _)| role == kind);
        let here = |ip: IpAddr| matches!(class(ip.to_canonical()), Class::Loopback | Class::Unspecified);
        let bound = bound.filter_map(|(text, ..)| text.parse::<SocketAddr>().ok());
        let ports: BTreeSet<u16> = bound.filter(|address| here(address.ip())).map(|address| address.port()).collect();
        Self { is_any: ports.contains(&0), ports }
    }

    fn has(&self, port: u16) -> bool {
        const FIRST_CHOSEN: u16 = 1024;
        self.ports.contains(&port) || self.is_any && port >= FIRST_CHOSEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(hosts: &[(&str, &str, &[&str])], names: &[&str]) -> LearnedNetwork {
        let host = |(address, role, names): &(&str, &str, &[&str])| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            ((*address).to_owned(), (*role).to_owned(), names, Seen::once(0))
        };
        let hosts: Vec<Host> = hosts.iter().map(host).collect();
        let names: Vec<_> = names.iter().map(|name| ((*name).to_owned(), Seen::once(0))).collect();
        LearnedNetwork::new(&hosts, &names)
    }

    fn rules(network: &LearnedNetwork) -> Vec<&str> {
        network.allow.keys().map(String::as_str).collect()
    }

    #[test]
    fn an_address_without_a_name_is_a_rule_itself() {
        let seen = network(&[("1.2.3.4:443", "connect", &[]), ("[2600::1]:80", "connect", &[])], &[]);

        assert_eq!(rules(&seen), ["1.2.3.4:443", "[2600::1]:80"]);
        assert!(!seen.is_guessed && seen.rest.is_empty());
    }

    #[test]
    fn a_name_goes_with_the_ports_of_addresses_that_no_file_names() {
        let hosts: [(&str, &str, &[&str]); 3] = [
            ("1.2.3.4:443", "connect", &[]),
            ("1.2.3.5:443", "connect", &[]),
            ("10.0.0.9:5432", "connect", &["db.example"]),
        ];

        let seen = network(&hosts, &["www.example.com", "cdn.example.com"]);

        let expected = ["10.0.0.9:5432", "cdn.example.com:443", "db.example:5432", "www.example.com:443"];
        assert_eq!(rules(&seen), expected);
        assert!(!seen.is_guessed);
    }

    #[test]
    fn several_names_with_several_ports_are_a_guess() {
        let hosts: [(&str, &str, &[&str]); 2] = [("1.2.3.4:443", "connect", &[]), ("1.2.3.5:80", "connect", &[])];

        let seen = network(&hosts, &["a.example", "b.example"]);

        assert_eq!(rules(&seen), ["a.example:443", "a.example:80", "b.example:443", "b.example:80"]);
        assert!(seen.is_guessed);
    }

    #[test]
    fn a_server_of_the_programs_own_is_its_loopback_interface() {
        let bound = network(&[("127.0.0.1:8080", "bind", &[]), ("127.0.0.1:8080", "connect", &[])], &[]);
        let chosen = network(&[("0.0.0.0:0", "bind", &[]), ("127.0.0.1:40000", "connect", &[])], &[]);
        let not_its_own = network(&[("127.0.0.1:8081", "connect", &[])], &[]);

        assert!(bound.allow.is_empty() && bound.loopback.count() == 1, "{bound:?}");
        assert!(chosen.allow.is_empty() && chosen.loopback.count() == 1, "{chosen:?}");
        assert_eq!((rules(&not_its_own), not_its_own.loopback.count()), (vec!["127.0.0.1:8081"], 0));
    }

    #[test]
    fn what_no_rule_permits_is_told() {
        let hosts: [(&str, &str, &[&str]); 5] = [
            ("169.254.169.254:80", "connect", &[]),
            ("1.2.3.4:0", "connect", &[]),
            ("9.9.9.9:53", "send", &[]),
            ("unix:/run/socket", "connect", &[]),
            ("1.2.3.4:443", "connect", &["bad name"]),
        ];

        let seen = network(&hosts, &[]);

        assert!(seen.allow.is_empty(), "{seen:?}");
        assert_eq!(seen.rest.len(), 5, "{seen:?}");
    }
}
