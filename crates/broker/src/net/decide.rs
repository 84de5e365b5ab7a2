//! What may be connected to.

use super::names::Pins;
use lazaret_connector::Intended;
use lazaret_egress::{Guard, Host, Name, Refusal, RequestRule, Rule};
use lazaret_sys::interface::{Interfaces, Way};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// By what is decided.
#[derive(Debug)]
pub struct Terms {
    /// The connections that the policy permits.
    pub rules: Vec<Rule>,
    /// The requests that it permits, on other connections.
    pub requests: Vec<RequestRule>,
    /// The hosts and ports of both.
    pub(super) reach: Vec<Rule>,
    /// The last word on addresses.
    pub guard: Guard,
}

/// What is connected to, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Permit {
    /// The address that was looked at, which is the one to connect to.
    pub(super) address: SocketAddr,
    /// The name that it was found by.
    pub(super) name: Option<Name>,
    /// The rule.
    pub(super) rule: String,
    /// Whether its requests are looked at.
    pub(super) by: By,
}

/// How a connection is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    /// To the host, with nothing in between.
    Itself,
    /// To the connector, which looks at each request.
    Requests(Intended),
}

/// Why nothing is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// The name that the address was found by.
    pub(super) name: Option<Name>,
    /// In words.
    pub(super) reason: String,
    /// A rule that would permit it.
    pub(super) suggestion: Option<String>,
}

impl Terms {
    /// Those of a policy with these rules.
    pub fn new(rules: Vec<Rule>, requests: Vec<RequestRule>) -> Self {
        let reach = rules.iter().cloned().chain(requests.iter().map(RequestRule::reach)).collect();
        Self { rules, requests, reach, guard: Guard::default() }
    }

    /// Decides about `address`, with the names for which the job was told it.
    pub(super) fn decide(&self, address: SocketAddr, pins: &Pins) -> Result<Permit, Refused> {
        let (ip, port) = (address.ip().to_canonical(), address.port());
        let names = pins.names_of(ip);
        let by_name = names.iter().find_map(|name| {
            let rule = self.rules.iter().find(|rule| rule.permits_name(name, port))?;
            Some((Some(name.clone()), rule.to_string(), By::Itself))
        });
        let by_address = || {
            let rule = self.rules.iter().find(|rule| rule.permits_address(ip, port))?;
            Some((None, rule.to_string(), By::Itself))
        };
        let by_requests = || self.by_requests(names, ip, port);
        let Some((name, rule, by)) = by_name.or_else(by_address).or_else(by_requests) else {
            let name = names.first().cloned();
            let host = name.as_ref().map_or_else(|| host_text(ip), ToString::to_string);
            let reason = match &name {
                Some(name) => format!("no rule permits port {port} of `{name}`"),
                None => "no rule names this address, and the job was told it for no permitted name".to_owned(),
            };
            let suggestion = format!("[net] allow = [\"{host}:{port}\"]");
            let suggestion = self.could_permit(ip, port).then_some(suggestion);
            return Err(Refused { name, reason, suggestion });
        };
        match self.guard.decide(address, &self.reach) {
            Ok(address) => Ok(Permit { address, name, rule, by }),
            Err(refusal) => {
                let suggestion = format!("[net] allow = [\"{}:{port}\"]", host_text(ip));
                let suggestion = self.could_permit(ip, port).then_some(suggestion);
                Err(Refused { name, reason: refusal.to_string(), suggestion })
            }
        }
    }

    /// Whether there are requests that may be made to that address and port.
    fn by_requests(&self, names: &[Name], ip: IpAddr, port: u16) -> Option<(Option<Name>, String, By)> {
        let hosts = names.iter().cloned().map(Host::Name).chain([Host::Address(ip)]);
        hosts.into_iter().find_map(|host| {
            let rule = self.requests.iter().find(|rule| rule.reaches(&host, port))?;
            let name = match &host {
                Host::Name(name) => Some(name.clone()),
                Host::Address(_) => None,
            };
            Some((name, rule.to_string(), By::Requests(Intended { host, port })))
        })
    }

    /// The same, when this host's routes are known: what leads to this host itself needs a rule that names it.
    pub(super) fn decide_on_way(&self, permit: Permit, routes: &mut Interfaces) -> io::Result<Result<Permit, Refused>> {
        let (ip, port) = (permit.address.ip(), permit.address.port());
        // The kernel is asked last, as that takes longest.
        if self.reach.iter().any(|rule| rule.permits_address(ip, port) && rule.means(ip)) || routes.way(ip)? != Way::Own
        {
            return Ok(Ok(permit));
        }
        let reason = Refusal::Own { address: ip }.to_string();
        let suggestion = Some(format!("[net] allow = [\"{}:{port}\"]", host_text(ip)));
        Ok(Err(Refused { name: permit.name, reason, suggestion }))
    }

    /// Whether a rule that names this very address would be followed.
    fn could_permit(&self, ip: IpAddr, port: u16) -> bool {
        let rule = format!("{}:{port}", host_text(ip)).parse::<Rule>();
        rule.is_ok_and(|rule| self.guard.decide(SocketAddr::new(ip, port), &[rule]).is_ok())
    }
}

fn host_text(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        match Host::parse(text) {
            Ok(Host::Name(name)) => name,
            other => panic!("{other:?}"),
        }
    }

    fn terms(rules: &[&str]) -> Terms {
        let rules = rules.iter().map(|rule| rule.parse().expect("a rule")).collect();
        let guard = Guard::new(["198.18.0.9".parse().expect("an address")]);
        Terms { guard, ..Terms::new(rules, Vec::new()) }
    }

    fn pins(pinned: &[(&str, &str)]) -> Pins {
        let mut pins = Pins::default();
        for (of, address) in pinned {
            pins.pin(&name(of), &[address.parse().expect("an address")]);
        }
        pins
    }

    #[test]
    fn what_a_name_was_resolved_to_is_permitted_on_the_ports_of_its_rule() {
        let terms = terms(&["a.example:443"]);
        let pins = pins(&[("a.example", "1.1.1.1")]);

        let permitted = terms.decide("1.1.1.1:443".parse().expect("an address"), &pins);
        let other_port = terms.decide("1.1.1.1:80".parse().expect("an address"), &pins);
        let never_told = terms.decide("1.1.1.2:443".parse().expect("an address"), &pins);

        assert_eq!(permitted.map(|permit| permit.rule), Ok("a.example:443".to_owned()));
        assert!(other_port.is_err_and(|refused| refused.reason.contains("port 80 of `a.example`")));
        assert!(never_told.is_err_and(|refused| refused.suggestion.is_some()));
    }

    #[test]
    fn a_name_that_resolves_to_a_private_address_needs_a_rule_on_that() {
        let pins = pins(&[("a.example", "10.0.0.1")]);
        let address = "10.0.0.1:443".parse().expect("an address");

        let by_name = terms(&["a.example:443"]).decide(address, &pins);
        let by_both = terms(&["a.example:443", "10.0.0.0/8:443"]).decide(address, &pins);

        assert!(by_name.is_err_and(|refused| refused.reason.contains("private")));
        assert_eq!(by_both.map(|permit| permit.name), Ok(Some(name("a.example"))));
    }

    #[test]
    fn metadata_is_never_permitted_nor_suggested() {
        let address = "169.254.169.254:80".parse().expect("an address");
        let pins = pins(&[("a.example", "169.254.169.254")]);

        for rules in [&["a.example:80"][..], &["169.254.169.254:80"], &["0.0.0.0/0:80"], &[]] {
            let refused = terms(rules).decide(address, &pins);

            assert!(refused.is_err_and(|refused| refused.suggestion.is_none()), "{rules:?}");
        }
    }
}
