//! Where a file comes from.

use super::error::{FetchError, RedirectProblem, UrlProblem};
use lazaret_egress::{Host, Ports, RequestPath, RequestRule, Rule, Scheme, Target};
use std::fmt;
use url::Url;

/// A URL that can be fetched.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) scheme: Scheme,
    pub(super) host: Host,
    pub(super) port: u16,
    path: RequestPath,
    url: Url,
}

impl Source {
    pub(super) fn parse(text: &str) -> Result<Self, FetchError> {
        Self::of(text, is_clean(text).then(|| Url::parse(text).ok()).flatten())
    }

    /// What `location` means on a page from here.
    pub(super) fn join(&self, location: &str) -> Result<Self, FetchError> {
        Self::of(location, is_clean(location).then(|| self.url.join(location).ok()).flatten())
    }

    fn of(text: &str, url: Option<Url>) -> Result<Self, FetchError> {
        let shown = text.split(['?', '#']).next().unwrap_or_default();
        // What stands before an `@` is not told either.
        let shown = shown.rsplit_once('@').map_or(shown, |(_, rest)| rest).to_owned();
        Self::checked(url).map_err(|problem| FetchError::Url { url: shown, problem })
    }

    fn checked(url: Option<Url>) -> Result<Self, UrlProblem> {
        let url = url.ok_or(UrlProblem::None)?;
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => return Err(UrlProblem::Scheme(other.to_owned())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlProblem::Credentials);
        }
        let host = Host::parse(url.host_str().unwrap_or_default()).map_err(UrlProblem::Host)?;
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or(UrlProblem::Port)?;
        let path = RequestPath::parse(url.path()).map_err(UrlProblem::Path)?;
        Ok(Self { scheme, host, port, path, url })
    }

    /// Nothing, where a rule permits it.
    pub(super) fn check(&self, requests: &[RequestRule], hosts: &[Rule]) -> Result<(), FetchError> {
        let is_host = hosts.iter().any(|rule| match &self.host {
            Host::Name(name) => rule.permits_name(name, self.port),
            Host::Address(address) => rule.permits_address(*address, self.port),
        });
        let is_request = || {
            let is_for = |rule: &&RequestRule| rule.is_for(self.scheme, &self.host, self.port);
            requests.iter().filter(is_for).any(|rule| rule.permits("GET", &self.path))
        };
        if is_host || is_request() { Ok(()) } else { Err(FetchError::NotPermitted { url: self.to_string() }) }
    }

    /// Its host and port.
    pub(super) fn origin(&self) -> Rule {
        let target = match &self.host {
            Host::Name(name) => Target::Name(name.clone()),
            Host::Address(address) => Target::Range((*address).into()),
        };
        Rule { target, ports: Ports::one(self.port) }
    }

    pub(super) fn redirect(&self, problem: RedirectProblem) -> FetchError {
        FetchError::Redirect { url: self.to_string(), problem }
    }

    /// Path and query, as they are asked for.
    pub(super) fn target(&self) -> String {
        match self.url.query() {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.to_string(),
        }
    }

    /// Host and port, as they are asked for.
    pub(super) fn authority(&self) -> String {
        if self.port == self.scheme.port() { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// Whether readers of URLs agree on it: some leave out or exchange such characters.
fn is_clean(text: &str) -> bool {
    !text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\')
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority(), self.path)
    }
}
