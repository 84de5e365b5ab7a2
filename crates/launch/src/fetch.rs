//! Files that are fetched for a job before it starts, so that it needs no network for them.

use crate::error::{PlanError, RunError};
use crate::inputs::OpenInput;
use crate::network::{self, name_servers};
use crate::outcome::micros;
use lazaret_connector::Trust;
use lazaret_connector::fetch::{self, Fetched, MediaType, Request, Types};
use lazaret_egress::{Guard, Name, ResolveError, Rule, Upstream, Wants};
use lazaret_policy::{FetchReport, FileName, Policy, Sourced};
use lazaret_sys::interface::Interfaces;
use rustix::fs::MemfdFlags;
use std::fs::File;
use std::io::{self, Seek as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What is fetched, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchPlan {
    files: Vec<FilePlan>,
    name_servers: Option<Vec<SocketAddr>>,
    trust: Vec<PathBuf>,
    patience: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FilePlan {
    url: String,
    to: FileName,
    most: u64,
    types: Types,
    hosts: Vec<Rule>,
}

impl FetchPlan {
    /// What `policy` has fetched, which together may take as long as the job itself.
    ///
    /// # Errors
    ///
    /// A URL, type or rule that is none, or a file that `/job` could not hold.
    pub fn new(policy: &Policy) -> Result<Self, PlanError> {
        let files = policy.fetch.iter().map(|fetch| FilePlan::new(fetch, policy)).collect::<Result<_, _>>()?;
        Ok(Self {
            files,
            name_servers: policy.network.name_servers.as_ref().map(|servers| servers.value.clone()),
            trust: policy.network.trust.iter().map(|path| path.value.clone()).collect(),
            patience: policy.limits.wall.duration(),
        })
    }

    /// Fetches all, one after the other.
    ///
    /// # Errors
    ///
    /// The first that cannot be fetched.
    pub fn run(&self) -> Result<(Vec<OpenInput>, Vec<FetchReport>), RunError> {
        if self.files.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let own = |what| move |source| RunError::Resource { what, source };
        let deadline = Instant::now() + self.patience;
        let upstream = name_servers(self.name_servers.as_deref())?;
        let addresses = Interfaces::open().and_then(|mut interfaces| interfaces.addresses());
        let guard = Guard::new(addresses.map_err(own("look at this host's network"))?);
        let trust = Trust::of_files(&network::authorities(&self.trust))
            .map_err(|e| own("read the certificates of authorities")(io::Error::other(e)))?;
        let resolve = |name: &Name, until: Instant| resolve(&upstream, name, until);
        let fetched = self.files.iter().map(|file| {
            let Rest { url, types, hosts, most } = file.rest();
            let request = Request {
                url,
                max_bytes: most,
                types,
                hosts,
                requests: &[],
                guard: &guard,
                resolve: &resolve,
                trust: &trust,
                deadline,
            };
            file.fetch(&request)
        });
        Ok(fetched.collect::<Result<Vec<_>, _>>()?.into_iter().unzip())
    }
}

/// The parts of a file's plan that a request borrows.
struct Rest<'a> {
    url: &'a str,
    types: &'a Types,
    hosts: &'a [Rule],
    most: u64,
}

impl FilePlan {
    fn new(fetch: &Sourced<lazaret_policy::Fetch>, policy: &Policy) -> Result<Self, PlanError> {
        let problem = |problem: String| PlanError::Fetch { asked_by: fetch.source.clone(), problem };
        let most = fetch.max_bytes.bytes();
        let disk = &policy.limits.disk;
        if most > disk.bytes() {
            return Err(problem(format!("`{}` may have more bytes than `disk` ({})", fetch.to, disk.source)));
        }
        let types = fetch.types.iter().map(|text| text.parse::<MediaType>().map_err(|e| problem(e.to_string())));
        let types: Vec<MediaType> = types.collect::<Result<_, _>>()?;
        let mut hosts = vec![fetch::origin(&fetch.url).map_err(|e| problem(e.to_string()))?];
        for rule in &fetch.allow {
            hosts.push(rule.parse().map_err(|e| problem(format!("`{rule}`: {e}")))?);
        }
        let types = if types.is_empty() { Types::Any } else { Types::These(types) };
        Ok(Self { url: fetch.url.clone(), to: fetch.to.clone(), most, types, hosts })
    }

    fn rest(&self) -> Rest<'_> {
        Rest { url: &self.url, types: &self.types, hosts: &self.hosts, most: self.most }
    }

    fn fetch(&self, request: &Request<'_>) -> Result<(OpenInput, FetchReport), RunError> {
        let own = |what| move |source: io::Error| RunError::Resource { what, source };
        let file = rustix::fs::memfd_create("lazaret-fetched", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING);
        let mut file = File::from(file.map_err(|errno| own("hold data in memory")(errno.into()))?);
        let fetched = fetch::fetch(request, &mut file);
        let fetched = fetched.map_err(|source| RunError::Fetch { to: self.to.clone(), source: Box::new(source) })?;
        file.rewind().map_err(own("hold data in memory"))?;
        let input = OpenInput { name: self.to.clone(), file: OwnedFd::from(file), mode: 0o644 };
        Ok((input, report(&self.to, &fetched)))
    }
}

fn report(to: &FileName, fetched: &Fetched) -> FetchReport {
    FetchReport {
        to: to.clone(),
        url: fetched.url.clone(),
        address: fetched.address.ip().to_string(),
        bytes: fetched.bytes,
        media_type: fetched.media_type.as_ref().map(ToString::to_string),
        redirects: fetched.redirects.iter().map(|redirect| redirect.url.clone()).collect(),
        duration_us: micros(fetched.took),
    }
}

/// Addresses of both kinds; one kind that cannot be had does not matter where the other can.
fn resolve(upstream: &Upstream, name: &Name, until: Instant) -> Result<Vec<IpAddr>, ResolveError> {
    let (v4, v6) = (upstream.resolve(name, Wants::V4, until), upstream.resolve(name, Wants::V6, until));
    match (v4, v6) {
        (Err(error), Err(_)) => Err(error),
        (v4, v6) => Ok([v4, v6].into_iter().flatten().flat_map(|resolved| resolved.addresses).collect()),
    }
}
