//! Rules on requests of HTTP, as a policy has them.

use crate::host::{Host, HostError};
use crate::path::{PathError, RequestPath};
use crate::rule::{Ports, Rule, RuleProblem, Target, target};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Which requests a job may make: `GET https://api.example.com/v1/*`, `GET,HEAD https://*.example.com/*`,
/// `* http://example.com:8080/status`.
///
/// The query is no part of a rule: a permitted path is permitted with any query and without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRule {
    /// The method or methods.
    pub methods: Methods,
    /// By which scheme.
    pub scheme: Scheme,
    /// The host or hosts: names, or one address.
    pub target: Target,
    /// The port; where the rule says none it is the scheme's.
    pub port: u16,
    /// The path or paths.
    pub path: PathPattern,
}

/// How HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Within TLS.
    Https,
}

/// Methods of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Methods {
    /// Every method but `CONNECT` and `TRACE`.
    Every,
    /// These alone: `GET` is not also `HEAD`.
    These(Vec<String>),
}

/// Which paths a rule is for: a path as it is, in which `*` as a whole segment stands for one segment that is not empty, and
/// `*` at the end for any rest, also for none and for one with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    /// The segments, in their one form; `None` is a `*`.
    segments: Vec<Option<String>>,
    /// Whether the last segment is only how the rest begins.
    is_open: bool,
}

/// Why a text is no rule on requests, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct RequestRuleError {
    /// What is wrong.
    pub problem: RequestRuleProblem,
    /// The bytes of the text that it is about.
    pub span: Range<usize>,
    /// What to write instead, where that can be said.
    pub hint: Option<String>,
}

/// What is wrong with a rule on requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestRuleProblem {
    /// It is not a method and a URL.
    #[error("a rule on requests is methods and a URL: `GET https://api.example.com/v1/*`")]
    Form,
    /// A method that is none.
    #[error("a method is written in capitals, and several with commas between: `GET,HEAD`")]
    Method,
    /// A method that no rule permits: `CONNECT` opens a way past the rules, `TRACE` tells what headers were added.
    #[error("no rule permits `{0}`")]
    NoRulePermits(String),
    /// A scheme that is neither.
    #[error("a rule on requests is for `http` or `https`")]
    Scheme,
    /// A user name or password.
    #[error("a rule has no user name and no password")]
    Credentials,
    /// The host is none.
    #[error("{0}")]
    Host(RuleProblem),
    /// The port is none.
    #[error("a port of a rule on requests is a number from 1 to 65535")]
    Port,
    /// The path is none.
    #[error("{0}")]
    Path(PathError),
    /// There is no path.
    #[error("a rule on requests has a path")]
    NoPath,
    /// A `*` elsewhere than as a whole segment or at the end.
    #[error("`*` in a path stands for one whole segment, or at the end for any rest")]
    Wildcard,
    /// A query or a fragment.
    #[error("a query is no part of a rule: a permitted path is permitted with every query")]
    Query,
}

impl Scheme {
    /// As URLs have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port where a URL names none.
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Methods {
    /// Whether `method` is one of them. Methods are told apart by case (RFC 9110, 9.1).
    pub fn contain(&self, method: &str) -> bool {
        match self {
            Self::Every => !is_never_permitted(method),
            Self::These(methods) => methods.iter().any(|own| own == method),
        }
    }
}

fn is_never_permitted(method: &str) -> bool {
    ["CONNECT", "TRACE"].iter().any(|never| method.eq_ignore_ascii_case(never))
}

impl RequestRule {
    /// Whether it is for this host and port by this scheme, whatever the request.
    pub fn is_for(&self, scheme: Scheme, host: &Host, port: u16) -> bool {
        self.scheme == scheme && self.reaches(host, port)
    }

    /// Whether it is for this host and port.
    pub fn reaches(&self, host: &Host, port: u16) -> bool {
        let rule = self.reach();
        match host {
            Host::Name(name) => rule.permits_name(name, port),
            Host::Address(address) => rule.permits_address(*address, port),
        }
    }

    /// Whether it permits a request with this method for this path to a host that it [is for](Self::is_for).
    pub fn permits(&self, method: &str, path: &RequestPath) -> bool {
        self.methods.contain(method) && self.path.matches(path)
    }

    /// The host and port of it, as a rule for connections has them.
    pub fn reach(&self) -> Rule {
        Rule { target: self.target.clone(), ports: Ports::one(self.port) }
    }
}

impl PathPattern {
    /// Whether `path` is one of its.
    pub fn matches(&self, path: &RequestPath) -> bool {
        let mut path = path.as_str()[1..].split('/');
        let (last, firsts) = match self.segments.split_last() {
            Some((Some(last), firsts)) if self.is_open => (Some(last), firsts),
            _ => (None, self.segments.as_slice()),
        };
        let begins = firsts.iter().all(|own| match (own, path.next()) {
            (Some(own), Some(segment)) => own == segment,
            (None, Some(segment)) => !segment.is_empty(),
            (_, None) => false,
        });
        begins
            && match last {
                Some(prefix) => path.next().is_some_and(|segment| segment.starts_with(prefix.as_str())),
                None => path.next().is_none(),
            }
    }

    fn parse(text: &str) -> Result<Self, RequestRuleProblem> {
        let (text, is_open) = text.strip_suffix('*').map_or((text, false), |text| (text, true));
        // A `*` is a letter like any other to a path.
        let path = RequestPath::parse(text).map_err(RequestRuleProblem::Path)?;
        let segment = |segment: &str| match segment {
            "*" => Ok(None),
            segment if segment.contains('*') => Err(RequestRuleProblem::Wildcard),
            segment => Ok(Some(segment.to_owned())),
        };
        let segments: Vec<Option<String>> = path.as_str()[1..].split('/').map(segment).collect::<Result<_, _>>()?;
        // `**`, which would be a `*` in one segment with what stands behind.
        if is_open && segments.last().is_some_and(Option::is_none) {
            return Err(RequestRuleProblem::Wildcard);
        }
        Ok(Self { segments, is_open })
    }
}

impl FromStr for RequestRule {
    type Err = RequestRuleError;

    fn from_str(text: &str) -> Result<Self, RequestRuleError> {
        let error = |problem, span, hint| RequestRuleError { problem, span, hint };
        let Some((methods, url)) = text.split_once(' ') else {
            let hint = text.contains("://").then(|| format!("write `GET {text}`"));
            return Err(error(RequestRuleProblem::Form, 0..text.len(), hint));
        };
        let methods = Methods::parse(methods, text)?;
        let at = text.len() - url.len();
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(error(RequestRuleProblem::Form, at..text.len(), Some(format!("write `https://{url}`"))));
        };
        let scheme_span = at..at + scheme.len();
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(error(RequestRuleProblem::Scheme, scheme_span, None)),
        };
        let at = text.len() - rest.len();
        if let Some(query) = rest.find(['?', '#']) {
            let hint = format!("write `{}`", &text[..at + query]);
            return Err(error(RequestRuleProblem::Query, at + query..text.len(), Some(hint)));
        }
        let Some(slash) = rest.find('/') else {
            return Err(error(RequestRuleProblem::NoPath, at..text.len(), Some(format!("write `{text}/*`"))));
        };
        let (target, port) = authority(&rest[..slash], at, scheme)?;
        let path =
            PathPattern::parse(&rest[slash..]).map_err(|problem| error(problem, at + slash..text.len(), None))?;
        Ok(Self { methods, scheme, target, port, path })
    }
}

/// Host and port of a URL, which stand `at` in the rule.
fn authority(text: &str, at: usize, scheme: Scheme) -> Result<(Target, u16), RequestRuleError> {
    let error =
        |problem, span: Range<usize>| RequestRuleError { problem, span: at + span.start..at + span.end, hint: None };
    if let Some(end) = text.rfind('@') {
        return Err(error(RequestRuleProblem::Credentials, 0..end + 1));
    }
    let (host, port) = match text.rsplit_once(':') {
        // What stands in brackets is an address.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    if host.contains(':') && !host.starts_with('[') {
        return Err(error(RequestRuleProblem::Host(RuleProblem::Host(HostError::Neither)), 0..text.len()));
    }
    let port = match port {
        None => scheme.port(),
        Some(port) => Ports::parse(port)
            .and_then(|ports| ports.to_string().parse().ok())
            .ok_or_else(|| error(RequestRuleProblem::Port, host.len() + 1..text.len()))?,
    };
    let target = target(host).map_err(|(problem, _)| error(RequestRuleProblem::Host(problem), 0..host.len()))?;
    Ok((target, port))
}

impl Methods {
    /// The methods that stand at the beginning of `rule`.
    fn parse(text: &str, rule: &str) -> Result<Self, RequestRuleError> {
        if text == "*" {
            return Ok(Self::Every);
        }
        let mut methods: Vec<String> = Vec::new();
        let mut at = 0;
        for method in text.split(',') {
            let error = |problem, hint| RequestRuleError { problem, span: at..at + method.len(), hint };
            if is_never_permitted(method) {
                return Err(error(RequestRuleProblem::NoRulePermits(method.to_owned()), None));
            }
            let is_one = |method: &str| {
                method.starts_with(|c: char| c.is_ascii_uppercase())
                    && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
            };
            if !is_one(method) {
                let capitals = method.to_ascii_uppercase();
                let hint = is_one(&capitals)
                    .then(|| format!("write `{}{capitals}{}`", &rule[..at], &rule[at + method.len()..]));
                return Err(error(RequestRuleProblem::Method, hint));
            }
            if !methods.iter().any(|own| own == method) {
                methods.push(method.to_owned());
            }
            at += method.len() + 1;
        }
        Ok(Self::These(methods))
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str("*"),
            Self::These(methods) => f.write_str(&methods.join(",")),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            write!(f, "/{}", segment.as_deref().unwrap_or("*"))?;
        }
        if self.is_open { f.write_str("*") } else { Ok(()) }
    }
}

impl fmt::Display for RequestRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}://{}", self.methods, self.scheme, self.target)?;
        if self.port != self.scheme.port() {
            write!(f, ":{}", self.port)?;
        }
        self.path.fmt(f)
    }
}

#[cfg(test)]
mod tests;
