//! Whom a command may and may not reach.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::call::{Result, c, ignore, sys};
use crate::child;
use crate::mounts::mount_at;
use crate::network::socket::{self, Address};

/// An address of a network, and one of a metadata service, both on the arena's own loopback interface.
const FURTHER: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(169, 254, 169, 254)];
/// Connections that are kept open.
const KEPT: usize = 256;

/// Adds addresses to the own network, and names its name server.
pub(super) fn furnish() -> Result<()> {
    let socket = sys!(socket, libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    for (number, ip) in FURTHER.iter().enumerate() {
        // struct ifreq: a name, and then what the request is about.
        let mut request = [0_u8; 40];
        request[..4].copy_from_slice(format!("lo:{number}").as_bytes());
        request[16..18].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        request[20..24].copy_from_slice(&ip.octets());
        sys!(ioctl, socket, libc::SIOCSIFADDR, request.as_ptr())?;
    }
    sys!(close, socket)?;
    let text = c("resolv.conf");
    let file = sys!(memfd_create, text.as_ptr(), 0)?;
    let place = format!("/proc/self/fd/{file}");
    fs::write(&place, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")?;
    mount_at("none", "/mnt", "tmpfs", 0, "")?;
    fs::copy(&place, "/mnt/resolv.conf")?;
    mount_at("/mnt/resolv.conf", "/etc/resolv.conf", "", libc::MS_BIND, "").map(drop)
}

#[derive(Debug, Default)]
struct Reached {
    permitted: u64,
    connections: BTreeMap<SocketAddr, u64>,
    datagrams: BTreeMap<SocketAddr, u64>,
    listening: BTreeSet<String>,
    groups: BTreeSet<String>,
    names: BTreeMap<String, u64>,
}

/// All of them, and who came.
pub(super) struct Servers {
    places: Vec<(&'static str, String)>,
    reached: Arc<Mutex<Reached>>,
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
    _slow: (TcpListener, Vec<OwnedFd>),
    _closed: TcpSocketThatIsBound,
}

/// A port that nobody else gets, where nobody listens.
struct TcpSocketThatIsBound {
    _socket: OwnedFd,
    at: SocketAddr,
}

impl Servers {
    pub(super) fn new(own: bool) -> Result<Self> {
        let permitted = TcpListener::bind("127.0.0.1:0")?;
        let at = permitted.local_addr()?;
        let other = TcpListener::bind("127.0.0.1:0")?;
        let mut forbidden = vec![other];
        let mut ips: Vec<IpAddr> = vec![Ipv4Addr::new(127, 0, 0, 2).into(), Ipv6Addr::LOCALHOST.into()];
        ips.extend(FURTHER.iter().filter(|_| own).map(|ip| IpAddr::from(*ip)));
        // A host may be without IPv6.
        forbidden.extend(ips.iter().filter_map(|ip| TcpListener::bind((*ip, at.port())).ok()));
        let addresses: Vec<SocketAddr> = forbidden.iter().filter_map(|one| one.local_addr().ok()).collect();
        let datagrams: Vec<UdpSocket> =
            [at].iter().chain(&addresses).map(UdpSocket::bind).collect::<std::io::Result<_>>()?;
        let (slow, closed) = (slow()?, closed()?);
        let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let places = vec![
            ("permitted", at.to_string()),
            ("slow", slow.0.local_addr()?.to_string()),
            ("closed", closed.at.to_string()),
            ("forbidden", list.join(",")),
        ];
        let (reached, stop) = (Arc::<Mutex<Reached>>::default(), Arc::new(AtomicBool::new(false)));
        let mut threads = Vec::new();
        let mut spawn = |mut act: Box<dyn FnMut() + Send>| {
            let until = Arc::clone(&stop);
            threads.push(std::thread::spawn(move || {
                while !until.load(Ordering::Relaxed) {
                    act();
                }
            }));
        };
        let sockets = Sockets { permitted, forbidden, datagrams, kept: VecDeque::new(), reached: Arc::clone(&reached) };
        spawn(sockets.serve());
        if own {
            spawn(look_for_others(&reached));
            spawn(answer_names(&reached)?);
        }
        Ok(Self { places, reached, stop, threads, _slow: slow, _closed: closed })
    }

    /// `text` with addresses for the names in braces.
    pub(super) fn fill(&self, text: &str) -> String {
        self.places.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }

    /// How many were connected to whom a rule permits.
    pub(super) fn permitted(&self) -> u64 {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).permitted
    }

    /// Tells who was reached.
    #[expect(clippy::print_stdout, reason = "the lines are the program's output")]
    pub(super) fn tell(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| drop(thread.join()));
        let reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        println!("permitted {}", reached.permitted);
        reached.connections.iter().for_each(|(at, count)| println!("connection {at} {count}"));
        reached.datagrams.iter().for_each(|(at, count)| println!("datagram {at} {count}"));
        reached.listening.iter().for_each(|at| println!("listening {at}"));
        reached.groups.iter().for_each(|group| println!("group {group}"));
        reached.names.iter().for_each(|(name, count)| println!("name {name} {count}"));
    }
}

/// One whose queue is full, so that it never answers.
fn slow() -> Result<(TcpListener, Vec<OwnedFd>)> {
    let slow = TcpListener::bind("127.0.0.1:0")?;
    sys!(listen, slow.as_raw_fd(), 0)?;
    let at = Address::of(slow.local_addr()?);
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let socket = socket::tcp(false)?;
        socket::do_not_wait(&socket, true)?;
        ignore(socket::connect(&socket, &at));
        waiting.push(socket);
        child::nap(2);
    }
    Ok((slow, waiting))
}

fn closed() -> Result<TcpSocketThatIsBound> {
    let socket = socket::tcp(false)?;
    socket::bind(&socket, &Address::of(([127, 0, 0, 1], 0).into()))?;
    let stream = TcpStream::from(socket);
    let at = stream.local_addr()?;
    Ok(TcpSocketThatIsBound { _socket: stream.into(), at })
}

struct Sockets {
    permitted: TcpListener,
    forbidden: Vec<TcpListener>,
    datagrams: Vec<UdpSocket>,
    kept: VecDeque<TcpStream>,
    reached: Arc<Mutex<Reached>>,
}

impl Sockets {
    fn serve(mut self) -> Box<dyn FnMut() + Send> {
        let listening: Vec<i32> =
            std::iter::once(&self.permitted).chain(&self.forbidden).map(AsRawFd::as_raw_fd).collect();
        let all: Vec<i32> = listening.iter().copied().chain(self.datagrams.iter().map(AsRawFd::as_raw_fd)).collect();
        for number in &all {
            ignore(socket::do_not_wait(number, true));
        }
        for number in &listening {
            // Its queue is longer than what comes at once.
            ignore(sys!(listen, *number, 1024));
        }
        let mut watched: Vec<libc::pollfd> =
            all.iter().map(|fd| libc::pollfd { fd: *fd, events: libc::POLLIN, revents: 0 }).collect();
        Box::new(move || {
            // SAFETY: as many structs as said.
            unsafe { libc::poll(watched.as_mut_ptr(), watched.len() as u64, 20) };
            self.take();
        })
    }

    fn take(&mut self) {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok((peer, _)) = self.permitted.accept() {
            reached.permitted += 1;
            self.kept.push_back(peer);
            if self.kept.len() > KEPT {
                self.kept.pop_front();
            }
        }
        for listener in &self.forbidden {
            while let (Ok(_), Ok(at)) = (listener.accept(), listener.local_addr()) {
                *reached.connections.entry(at).or_default() += 1;
            }
        }
        let mut text = [0; 64];
        for socket in &self.datagrams {
            while let (Ok(_), Ok(at)) = (socket.recv(&mut text), socket.local_addr()) {
                *reached.datagrams.entry(at).or_default() += 1;
            }
        }
    }
}

/// Everybody who listens and is not of the arena, and groups that were joined. Source: proc_net(5), /proc/net/igmp.
fn look_for_others(reached: &Arc<Mutex<Reached>>) -> Box<dyn FnMut() + Send> {
    let (mut ours, reached) = (BTreeSet::new(), Arc::clone(reached));
    Box::new(move || {
        let others = listening();
        let groups = ["igmp", "igmp6"]
            .map(|name| fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default());
        let mut reached = reached.lock().unwrap_or_else(PoisonError::into_inner);
        match others {
            // Nobody attacks yet: it is the arena, or the sandbox that looks at what there is.
            Ok(others) if reached.permitted == 0 => ours.extend(others),
            Ok(others) => reached.listening.extend(others.difference(&ours).cloned()),
            // Who cannot be looked for may be there.
            Err(errno) => drop(reached.listening.insert(format!("unknown: {errno}"))),
        }
        for (text, group) in groups.iter().zip(["030201EF", "ff020000000000000000000000020077"]) {
            reached.groups.extend(text.contains(group).then(|| group.to_owned()));
        }
        drop(reached);
        child::nap(2);
    })
}

/// The ports of all TCP sockets that listen. Source: sock_diag(7).
fn listening() -> Result<BTreeSet<String>> {
    const BY_FAMILY: u16 = 20;
    const REQUEST_DUMP: u16 = 0x301;
    const LISTEN: u32 = 1 << 10;
    const HEADER: usize = 16;
    let netlink = socket::make(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_SOCK_DIAG)?;
    let mut ports = BTreeSet::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        // struct nlmsghdr, and struct inet_diag_req_v2, of which all else is zeros.
        let mut request = [0_u8; HEADER + 56];
        request[..4].copy_from_slice(&(HEADER as u32 + 56).to_ne_bytes());
        request[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        request[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
        request[HEADER..HEADER + 2].copy_from_slice(&[family as u8, libc::IPPROTO_TCP as u8]);
        request[HEADER + 4..HEADER + 8].copy_from_slice(&LISTEN.to_ne_bytes());
        sys!(sendto, netlink.as_raw_fd(), request.as_ptr(), request.len(), 0, 0, 0)?;
        let mut is_done = false;
        while !is_done {
            let mut bytes = [0_u8; 32768];
            let length = sys!(recvfrom, netlink.as_raw_fd(), bytes.as_mut_ptr(), bytes.len(), 0, 0, 0)?;
            let mut rest = &bytes[..usize::try_from(length).unwrap_or_default()];
            while let Some((size, body)) = rest.split_first_chunk::<4>() {
                let size = (u32::from_ne_bytes(*size) as usize).next_multiple_of(4).clamp(HEADER, rest.len());
                is_done |= body[..2] != BY_FAMILY.to_ne_bytes();
                // Behind four bytes of the message its own port.
                if let Some(&[high, low]) = rest[..size].get(HEADER + 4..HEADER + 6) {
                    ports.extend((!is_done).then(|| u16::from_be_bytes([high, low]).to_string()));
                }
                rest = &rest[size..];
            }
            is_done |= length == 0;
        }
    }
    Ok(ports)
}

/// The host's name server: it knows every name.
fn answer_names(reached: &Arc<Mutex<Reached>>) -> Result<Box<dyn FnMut() + Send>> {
    let socket = UdpSocket::bind("127.0.0.1:53")?;
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    let reached = Arc::clone(reached);
    Ok(Box::new(move || {
        let mut bytes = [0; 4096];
        let Ok((length, from)) = socket.recv_from(&mut bytes) else { return };
        let Some((name, end)) = name(&bytes[..length]) else { return };
        *reached.lock().unwrap_or_else(PoisonError::into_inner).names.entry(name).or_default() += 1;
        let mut answer = bytes[..end].to_vec();
        answer[2..4].copy_from_slice(&[0x81, 0x80]);
        answer[6..12].fill(0);
        // Of IPv6 it knows none.
        if bytes[end - 4..end - 2] == [0, 1] {
            answer[7] = 1;
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
        }
        ignore(socket.send_to(&answer, from));
    }))
}

/// The name of a question, and where the question ends. Source: RFC 1035, 4.1.
fn name(bytes: &[u8]) -> Option<(String, usize)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            return (bytes.len() >= at + 4).then(|| (labels.join("."), at + 4));
        }
        labels.push(String::from_utf8_lossy(bytes.get(at..at + length)?).into_owned());
        at += length;
    }
}
