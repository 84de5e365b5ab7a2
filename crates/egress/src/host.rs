//! The one form of all spellings of a host.

use std::fmt;
use std::net::IpAddr;

/// The most bytes of a name, and of one of its labels. Source: RFC 1035, 2.3.4.
const NAME: usize = 253;
const LABEL: usize = 63;

/// A host, by name or by address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name, to be resolved.
    Name(Name),
    /// An address. An IPv4-mapped one is the IPv4 address.
    Address(IpAddr),
}

/// A domain name in its one form: ASCII (IDNA's where it was not), lower case, without a dot at its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Why a text is no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// There is nothing.
    #[error("there is no host")]
    Empty,
    /// An address of one interface's, which means another host on each.
    #[error("an address with a zone (`%…`) means another host on each interface")]
    Zone,
    /// A character that no host has.
    #[error("`{0}` cannot be in a host")]
    Character(char),
    /// A name that is too long, or has a label that is empty or too long, or begins or ends with a hyphen.
    #[error("{0}")]
    Name(&'static str),
    /// It looks like an address and is none.
    #[error("it is neither a name nor an address")]
    Neither,
}

impl Host {
    /// The host that `text` means. Numbers mean addresses as they do to programs: decimal, octal and hexadecimal ones, and fewer
    /// than four of them.
    ///
    /// Source: WHATWG URL Standard, host parsing; RFC 5891 and UTS 46 for names that are not ASCII; RFC 4291 for IPv6.
    ///
    /// # Errors
    ///
    /// When it means none, or not the same to everybody.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        let refused = |c: char| c.is_whitespace() || c.is_control() || "/\\?#@<>^|\"`{}*".contains(c);
        if let Some(character) = text.chars().find(|c| refused(*c)) {
            return Err(HostError::Character(character));
        }
        let inner = text.strip_prefix('[').map(|rest| rest.strip_suffix(']').ok_or(HostError::Neither)).transpose()?;
        if inner.is_some() || text.contains(':') {
            return v6(inner.unwrap_or(text));
        }
        // Hosts of addresses say it in percents, and hosts of URLs may: what is meant differs.
        if text.contains('%') {
            return Err(HostError::Character('%'));
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        match url::Host::parse(text) {
            Ok(url::Host::Domain(name)) => Name::checked(name).map(Self::Name),
            Ok(url::Host::Ipv4(address)) => Ok(Self::Address(address.into())),
            Ok(url::Host::Ipv6(address)) => Ok(Self::Address(IpAddr::V6(address).to_canonical())),
            Err(url::ParseError::EmptyHost) => Err(HostError::Empty),
            Err(_) => Err(HostError::Neither),
        }
    }
}

fn v6(text: &str) -> Result<Host, HostError> {
    if text.contains('%') {
        return Err(HostError::Zone);
    }
    let address: std::net::Ipv6Addr = text.parse().map_err(|_none| HostError::Neither)?;
    Ok(Host::Address(IpAddr::V6(address).to_canonical()))
}

impl Name {
    fn checked(name: String) -> Result<Self, HostError> {
        let name = name.strip_suffix('.').map(str::to_owned).unwrap_or(name);
        if name.is_empty() {
            return Err(HostError::Empty);
        }
        if name.len() > NAME {
            return Err(HostError::Name("a name has 253 bytes at most"));
        }
        for label in name.split('.') {
            match label.len() {
                0 => return Err(HostError::Name("a label of a name cannot be empty")),
                1..=LABEL => {}
                _ => return Err(HostError::Name("a label of a name has 63 bytes at most")),
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(HostError::Name("a label of a name neither begins nor ends with a hyphen"));
            }
            let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
            if let Some(character) = label.chars().find(|c| !known(*c)) {
                return Err(HostError::Character(character));
            }
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a name below `parent`: `a.b.example.com` is below `example.com`, which is not below itself.
    pub fn is_below(&self, parent: &Self) -> bool {
        self.0.strip_suffix(&parent.0).is_some_and(|rest| rest.ends_with('.'))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

#[cfg(test)]
mod tests;
