//! Where a connection of a job's goes.

use lazaret_egress::{Host, Scheme};
use std::fmt;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

/// Where a connection of a job's goes, as was decided when the job connected. The requests on it go there and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Intended {
    /// The name that the job resolved to the address that it connected to; an address only where it had no name.
    pub host: Host,
    /// The port.
    pub port: u16,
}

/// Makes a connection to where a job's request goes, until a deadline: resolves, decides on the address, connects. It may
/// block, and is called on threads of their own, several at once. What it refuses it says by
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied).
pub type Dial = Arc<dyn Fn(&Intended, Instant) -> io::Result<TcpStream> + Send + Sync>;

impl Intended {
    /// As a URL has it, without the port where that is the scheme's.
    pub(crate) fn authority(&self, scheme: Scheme) -> String {
        if self.port == scheme.port() { self.host.to_string() } else { self.to_string() }
    }

    /// Whether `authority` (of a `Host` header, of a target) means it.
    pub(crate) fn is_meant(&self, authority: &str, scheme: Scheme) -> bool {
        let (host, port) = match authority.rsplit_once(':') {
            // What stands in brackets is an address.
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let is_bare_v6 = host.contains(':') && !host.starts_with('[');
        let port = match port {
            None => Some(scheme.port()),
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok(),
            Some(_) => None,
        };
        !is_bare_v6 && port == Some(self.port) && Host::parse(host).is_ok_and(|host| host == self.host)
    }
}

impl fmt::Display for Intended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_means_a_host_and_port_in_each_spelling_of_them_and_no_other() {
        let cases = [
            ("api.example.com", 443, "api.example.com", true),
            ("api.example.com", 443, "API.Example.COM.:443", true),
            ("api.example.com", 443, "api.example.com:0443", true),
            ("api.example.com", 443, "api.example.com:80", false),
            ("api.example.com", 443, "api.example.com:", false),
            ("api.example.com", 443, "api.example.com:+443", false),
            ("api.example.com", 443, "api.example.com:443:443", false),
            ("api.example.com", 443, "api.example.com:65979", false),
            ("api.example.com", 443, "u@api.example.com", false),
            ("api.example.com", 443, "api.example.com/", false),
            ("api.example.com", 443, "api.example.com ", false),
            ("api.example.com", 443, "xapi.example.com", false),
            ("api.example.com", 443, "", false),
            ("api.example.com", 8443, "api.example.com", false),
            ("api.example.com", 8443, "api.example.com:8443", true),
            ("127.0.0.1", 443, "127.0.0.1", true),
            ("127.0.0.1", 443, "0x7f.1", true),
            ("127.0.0.1", 443, "localhost", false),
            ("2001:db8::1", 443, "[2001:db8::1]", true),
            ("2001:db8::1", 443, "[2001:DB8:0::1]:443", true),
            ("2001:db8::1", 443, "2001:db8::1", false),
            ("2001:db8::1", 443, "[2001:db8::1]443", false),
            ("2001:db8::1", 443, "[2001:db8::1%25eth0]", false),
        ];
        for (host, port, said, expected) in cases {
            let intended = Intended { host: Host::parse(host).expect("a host"), port };

            assert_eq!(intended.is_meant(said, Scheme::Https), expected, "{host} {port} {said}");
        }
    }
}
