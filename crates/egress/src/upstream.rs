//! The name servers of this host, asked for the names that a job's rules permit.

use crate::host::{Host, Name};
use crate::question::{Asked, Said, Wants};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How many name servers count, as for the C library. Source: resolv.conf(5), `MAXNS`.
const SERVERS: usize = 3;
/// Seconds that an entry of the file of hosts holds for a job.
const OF_FILE: u32 = 60;
/// How long nobody looks whether the asking is over.
const LOOK: Duration = Duration::from_millis(100);
/// The most bytes of an answer by TCP.
const MOST: usize = u16::MAX as usize;

/// Where names are resolved: the host's own file of names, then its name servers, in their order.
#[derive(Debug, Clone)]
pub struct Upstream {
    servers: Vec<SocketAddr>,
    timeout: Duration,
    attempts: u32,
    hosts: Vec<(Name, IpAddr)>,
    stop: Arc<AtomicBool>,
}

/// What a name resolved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The addresses of the kind that was asked for; none where the name has none of it.
    pub addresses: Vec<IpAddr>,
    /// For how many seconds that holds.
    pub seconds: u32,
}

/// Why a name could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// There is no such name.
    #[error("there is no `{0}`")]
    NoName(Name),
    /// No name server answered in time.
    #[error("no name server answered for `{0}` in time")]
    TimedOut(Name),
    /// Those that answered could not say, or could not be asked.
    #[error("no name server could say where `{name}` is: {why}")]
    Failed {
        /// The name.
        name: Name,
        /// What the last of them said.
        why: String,
    },
}

impl Upstream {
    /// As this host is configured now.
    ///
    /// Source: resolv.conf(5), hosts(5). Of other sources (nsswitch.conf(5)) nothing is asked.
    ///
    /// # Errors
    ///
    /// When a file is there and cannot be read.
    pub fn of_system() -> io::Result<Self> {
        let text = |path| match std::fs::read(path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(e) => Err(e),
        };
        Ok(Self::of_texts(&text("/etc/resolv.conf")?, &text("/etc/hosts")?))
    }

    /// As a resolv.conf(5) and a hosts(5) say it. Lines that say nothing known are passed over, as the C library does.
    pub fn of_texts(resolv: &str, hosts: &str) -> Self {
        let mut upstream = Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(5),
            attempts: 2,
            hosts: Vec::new(),
            stop: Arc::default(),
        };
        for line in resolv.lines() {
            let mut words = line.split(['#', ';']).next().unwrap_or_default().split_whitespace();
            match words.next() {
                Some("nameserver") if upstream.servers.len() < SERVERS => {
                    let server = words.next().and_then(|server| server.parse::<IpAddr>().ok());
                    upstream.servers.extend(server.map(|server| SocketAddr::new(server, 53)));
                }
                Some("options") => words.for_each(|word| upstream.set(word)),
                _ => {}
            }
        }
        if upstream.servers.is_empty() {
            upstream.servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53));
        }
        for line in hosts.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(address) = words.next().and_then(|address| address.parse::<IpAddr>().ok()) else { continue };
            for name in words {
                if let Ok(Host::Name(name)) = Host::parse(name) {
                    upstream.hosts.push((name, address));
                }
            }
        }
        upstream
    }

    /// These name servers in place of the host's, each asked so often and waited for so long.
    #[must_use]
    pub fn with_servers(mut self, servers: Vec<SocketAddr>, attempts: u32, timeout: Duration) -> Self {
        (self.servers, self.attempts, self.timeout) = (servers, attempts, timeout);
        self
    }

    /// What ends all waiting when it becomes true.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// An option of resolv.conf(5), within its bounds.
    fn set(&mut self, option: &str) {
        let number = |text: &str| text.parse::<u32>().ok();
        if let Some(seconds) = option.strip_prefix("timeout:").and_then(number) {
            self.timeout = Duration::from_secs(seconds.clamp(1, 30).into());
        } else if let Some(attempts) = option.strip_prefix("attempts:").and_then(number) {
            self.attempts = attempts.clamp(1, 5);
        }
    }

    /// The addresses of `name`, of the kind that is wanted; waits for them until `deadline`.
    ///
    /// # Errors
    ///
    /// Why there are none.
    pub fn resolve(&self, name: &Name, wants: Wants, deadline: Instant) -> Result<Resolved, ResolveError> {
        if wants == Wants::Other {
            return Ok(Resolved { addresses: Vec::new(), seconds: 0 });
        }
        if let Some(known) = self.known(name, wants) {
            return Ok(known);
        }
        let failed = |why: String| ResolveError::Failed { name: name.clone(), why };
        let mut last = ResolveError::TimedOut(name.clone());
        for _ in 0..self.attempts {
            for server in &self.servers {
                let patience = self.timeout.min(deadline.saturating_duration_since(Instant::now()));
                if patience.is_zero() || self.stop.load(Ordering::Acquire) {
                    return Err(last);
                }
                match ask(*server, name, wants, patience, &self.stop) {
                    Ok(Said::Addresses(addresses, seconds)) => return Ok(Resolved { addresses, seconds }),
                    Ok(Said::NoName) => return Err(ResolveError::NoName(name.clone())),
                    Ok(Said::Failed) => last = failed(format!("{} refused or failed", server.ip())),
                    Ok(Said::Truncated) => last = failed(format!("{} cut its answer off", server.ip())),
                    Err(e) if matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {}
                    Err(e) => last = failed(format!("{}: {e}", server.ip())),
                }
            }
        }
        Err(last)
    }

    /// What is known without asking: this host's own names, and those of RFC 6761.
    fn known(&self, name: &Name, wants: Wants) -> Option<Resolved> {
        let is_wanted = |address: &IpAddr| address.is_ipv4() == (wants == Wants::V4);
        let own: Vec<IpAddr> = self.hosts.iter().filter(|(own, _)| own == name).map(|(_, address)| *address).collect();
        let own = if own.is_empty() && (name.as_str() == "localhost" || name.as_str().ends_with(".localhost")) {
            vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
        } else {
            own
        };
        let addresses = || own.iter().copied().filter(is_wanted).collect();
        (!own.is_empty()).then(|| Resolved { addresses: addresses(), seconds: OF_FILE })
    }
}

fn ask(server: SocketAddr, name: &Name, wants: Wants, patience: Duration, stop: &AtomicBool) -> io::Result<Said> {
    let until = Instant::now() + patience;
    let asked = Asked::new(name, wants)?;
    match by_udp(server, &asked, until, stop)? {
        Said::Truncated => by_tcp(server, &asked, until),
        said => Ok(said),
    }
}

/// What is left, or that nothing is.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn by_udp(server: SocketAddr, asked: &Asked, until: Instant, stop: &AtomicBool) -> io::Result<Said> {
    let any = if server.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    // A port of the kernel's choice, and nobody else's datagrams.
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(server)?;
    socket.send(&asked.bytes()?)?;
    let mut bytes = vec![0; MOST];
    loop {
        if stop.load(Ordering::Acquire) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left(until)?.min(LOOK)))?;
        let len = match socket.recv(&mut bytes) {
            Ok(len) => len,
            // Time to look up.
            Err(e) if matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => continue,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        if let Some(said) = asked.read(&bytes[..len]) {
            return Ok(said);
        }
    }
}

fn by_tcp(server: SocketAddr, asked: &Asked, until: Instant) -> io::Result<Said> {
    let mut stream = TcpStream::connect_timeout(&server, left(until)?)?;
    let question = asked.bytes()?;
    let len = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.set_write_timeout(Some(left(until)?))?;
    stream.write_all(&[&len.to_be_bytes(), question.as_slice()].concat())?;
    let mut len = [0; 2];
    read_exact(&mut stream, &mut len, until)?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(len))];
    read_exact(&mut stream, &mut bytes, until)?;
    asked.read(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it answered something else"))
}

/// Reads all of `bytes` until `until`, however slowly they come.
fn read_exact(stream: &mut TcpStream, mut bytes: &mut [u8], until: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => bytes = &mut bytes[len..],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
