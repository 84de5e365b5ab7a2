//! The calls, one by one.

use super::address::{self, Written};
use super::decide::{By, Permit, Refused};
use super::pending::{self, Connecting, Pending};
use super::place::Placed;
use super::socket::{self, Begun, Facts, State};
use super::{NAME_SERVER, Net, pollers, replica};
use crate::caller::{Caller, CallerError, Reply};
use lazaret_connector::Intended;
use lazaret_policy::NetworkAct;
use lazaret_sys::option;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Ports below are not for those without a capability: ip(7), `ip_unprivileged_port_start`.
const UNPRIVILEGED: u16 = 1024;

/// Why nothing listens.
const NO_SERVERS: &str = "a job without a network namespace of its own has no servers";

/// sizeof(struct linger): two numbers.
const LINGER: usize = 8;

/// What becomes of a call.
enum Next {
    /// It returns this.
    Reply(Reply),
    /// The kernel makes it, as nothing that it could come to is out of bounds.
    GoOn,
    /// It waits.
    Wait,
}

const DONE: Next = Next::Reply(Reply::Value(0));

fn fails(errno: i32) -> Result<Next, CallerError> {
    Ok(Next::Reply(Reply::Errno(errno)))
}

/// What a call that was made returned.
fn returns(made: io::Result<()>) -> Result<Next, CallerError> {
    match made.map_err(|e| e.raw_os_error().ok_or(e)) {
        Ok(()) => Ok(DONE),
        Err(Ok(errno)) => fails(errno),
        Err(Err(e)) => Err(CallerError::Own(e)),
    }
}

fn refused(reason: &str) -> Refused {
    Refused { name: None, reason: reason.to_owned(), suggestion: None }
}

impl Net {
    pub(super) fn answer(&mut self, caller: &Caller<'_>, call: &str) -> io::Result<()> {
        let next = match call {
            "connect" => self.connect(caller),
            "bind" => self.bind(caller),
            "listen" => self.listen(caller),
            "setsockopt" => self.option(caller),
            // Permitted whatever its argument is: it goes on as nothing is decided.
            _ => {
                self.pollers.note();
                Ok(Next::GoOn)
            }
        };
        match next {
            Ok(Next::Reply(reply)) => caller.answer(reply),
            Ok(Next::GoOn) => caller.go_on(),
            Ok(Next::Wait) | Err(CallerError::Gone) => Ok(()),
            Err(CallerError::Errno(errno)) => caller.answer(Reply::Errno(errno)),
            Err(CallerError::Late) => caller.answer(Reply::Errno(libc::EFAULT)),
            Err(CallerError::Own(error)) => {
                self.transcript.lacked(&error);
                caller.answer(Reply::Errno(libc::ENOBUFS))
            }
        }
    }

    /// The socket that a call names, and what it is.
    fn object(&mut self, caller: &Caller<'_>) -> Result<(i32, OwnedFd, Facts), CallerError> {
        let number = first(caller, 0);
        let object = caller.descriptor(number)?;
        match Facts::of(object.as_fd()) {
            Ok(facts) => Ok((number, object, facts)),
            Err(e) => {
                self.hands.let_go(object);
                // What is open for its path alone is nothing to such calls.
                let of_call = e.raw_os_error().filter(|errno| matches!(*errno, libc::ENOTSOCK | libc::EBADF));
                Err(of_call.map_or(CallerError::Own(e), CallerError::Errno))
            }
        }
    }

    /// The address that a call names, copied once.
    fn written(&mut self, caller: &Caller<'_>) -> Result<Vec<u8>, CallerError> {
        let length = usize::try_from(first(caller, 2)).ok().filter(|length| *length <= address::LONGEST);
        let Some(length) = length else { return Err(CallerError::Errno(libc::EINVAL)) };
        caller.copy(&mut self.reader, caller.notification().args[1], length)
    }

    /// Whether a socket was made here for the job, and is not its own.
    fn is_outside(&self, object: &OwnedFd, facts: &Facts) -> Result<bool, CallerError> {
        if !self.shared {
            return Ok(facts.namespace == self.outside);
        }
        let cookie = socket::cookie(object.as_fd()).map_err(CallerError::Own)?;
        Ok(self.placed.contains_key(&cookie))
    }

    /// Unix sockets: their names are looked up as the caller sees them, so the kernel does. Should the number stand for
    /// another socket by then, and the memory hold another address, Landlock refuses what the kernel would do.
    fn local(&mut self, act: NetworkAct) -> Result<Next, CallerError> {
        if self.walled && !self.shared {
            return Ok(Next::GoOn);
        }
        let reason = match self.shared {
            true => "a Unix socket with a name is a service of this host",
            false => "a Unix socket beside a network needs Landlock ABI 4 (Linux 6.7)",
        };
        self.transcript.refuse(act, None, refused(reason));
        fails(libc::EACCES)
    }

    fn connect(&mut self, caller: &Caller<'_>) -> Result<Next, CallerError> {
        let (number, object, facts) = self.object(caller)?;
        let bytes = self.written(caller)?;
        let written = Written::of(&bytes);
        match (facts.family, written) {
            (libc::AF_UNIX, _) => return self.local(NetworkAct::Connect),
            (libc::AF_NETLINK, Written::Kernel) => return returns(option::connect(object.as_fd(), &bytes)),
            (_, Written::Short) => return fails(libc::EINVAL),
            (libc::AF_INET | libc::AF_INET6, Written::Unspecified | Written::Inet(_)) => {}
            _ => {
                self.transcript.refuse(NetworkAct::Connect, None, refused("no such address is connected to"));
                return fails(libc::EAFNOSUPPORT);
            }
        }
        let to = match written {
            Written::Inet(to) => to,
            _ if self.is_outside(&object, &facts)? => {
                let reason = "a connection that was made for the job is not undone: it is closed";
                self.transcript.refuse(NetworkAct::Connect, None, refused(reason));
                return fails(libc::EACCES);
            }
            _ => return returns(option::connect(object.as_fd(), &bytes)),
        };
        if to.is_ipv6() != facts.is_v6() {
            return fails(libc::EAFNOSUPPORT);
        }
        if !facts.is_tcp() {
            return self.connect_datagrams(&object, &facts, to);
        }
        self.connect_stream(caller, number, object, facts, to)
    }

    /// Of sockets that are no streams only those inside reach anybody, who is inside too.
    fn connect_datagrams(&mut self, object: &OwnedFd, facts: &Facts, to: SocketAddr) -> Result<Next, CallerError> {
        // Of those that are shared there are none.
        if self.shared || self.is_outside(object, facts)? {
            return fails(libc::EACCES);
        }
        let bytes = address::bytes(to, facts.is_v6());
        match socket::begin(object.as_fd(), &bytes).map_err(CallerError::Own)? {
            Begun::Done => Ok(DONE),
            Begun::Waiting => fails(libc::EINPROGRESS),
            Begun::Failed(errno) => fails(errno),
        }
    }

    fn connect_stream(
        &mut self,
        caller: &Caller<'_>,
        number: i32,
        object: OwnedFd,
        facts: Facts,
        to: SocketAddr,
    ) -> Result<Next, CallerError> {
        let cookie = socket::cookie(object.as_fd()).map_err(CallerError::Own)?;
        let descriptor = number.cast_unsigned();
        let here = Place { caller, descriptor, cookie, facts, to };
        let outside = self.is_outside(&object, &facts)?;
        if let Some(placed) = self.placed.get(&cookie).copied().filter(|_| outside) {
            let same =
                (placed.address.ip().to_canonical(), placed.address.port()) == (to.ip().to_canonical(), to.port());
            // On its way or there, whatever else is asked for: connect(2), EALREADY and EISCONN. It is not connected by the
            // kernel, which would begin once more what has ended meanwhile.
            match socket::state(object.as_fd()).map_err(CallerError::Own)? {
                State::Open if placed.told => return fails(libc::EISCONN),
                State::Open => {
                    self.placed.insert(cookie, Placed { told: true, ..placed });
                    return Ok(DONE);
                }
                State::Opening => return self.wait_for_placed(&here, object),
                State::Closed => {}
            }
            // What became of the last time, which is told once.
            let last = socket::error(object.as_fd()).map_err(CallerError::Own)?;
            if same && last != 0 {
                return fails(last);
            }
        }
        if socket::is_connected(object.as_fd()) {
            return fails(libc::EISCONN);
        }
        if self.shared && (to.ip().to_canonical(), to.port()) == (NAME_SERVER.ip(), NAME_SERVER.port()) {
            return self.connect_to_names(&here, &object);
        }
        let by_rule = self.names.with_pins(|pins| self.terms.decide(to, pins));
        let by_rule = match by_rule {
            Ok(_) if self.is_over => {
                let reason = "the network has ended: the job's input is complete";
                self.transcript.refuse(NetworkAct::Connect, Some(to), refused(reason));
                return fails(libc::EACCES);
            }
            Ok(permit) => self.terms.decide_on_way(permit, &mut self.routes).map_err(CallerError::Own)?,
            Err(refused) => Err(refused),
        };
        match by_rule {
            Ok(permit) => match permit.by.clone() {
                By::Itself => self.connect_outside(&here, object, &permit),
                By::Requests(intended) => self.connect_to_requests(&here, object, &permit, intended),
            },
            // The job's own servers: on its own socket, which leads nowhere else.
            Err(_) if address::is_own(to.ip()) && !outside && !self.shared => self.connect_own(&here, object),
            Err(refused) => {
                self.transcript.refuse(NetworkAct::Connect, Some(to), refused);
                fails(libc::EACCES)
            }
        }
    }

    /// On the very socket that the job has, as the job itself would.
    fn connect_own(&mut self, here: &Place<'_, '_>, object: OwnedFd) -> Result<Next, CallerError> {
        let bytes = address::bytes(here.to, here.facts.is_v6());
        self.connect_by_hand(here, object, bytes)
    }

    /// For a connection that was begun for the job before, and that it has already.
    fn wait_for_placed(&mut self, here: &Place<'_, '_>, object: OwnedFd) -> Result<Next, CallerError> {
        let flags = rustix::fs::fcntl_getfl(&object).map_err(|errno| CallerError::Own(errno.into()))?;
        if flags.contains(rustix::fs::OFlags::NONBLOCK) {
            return fails(libc::EALREADY);
        }
        self.wait_for(here, Connecting::Placed(object), Vec::new())
    }

    fn connect_by_hand(&mut self, here: &Place<'_, '_>, object: OwnedFd, bytes: Vec<u8>) -> Result<Next, CallerError> {
        if self.pending.len() >= pending::MOST {
            return fails(libc::ENOBUFS);
        }
        let token = self.hands.connect(object, bytes.clone()).map_err(CallerError::Own)?;
        self.wait_for(here, Connecting::Own(token), bytes)
    }

    /// By a socket from outside, that takes the place of the job's.
    fn connect_outside(&mut self, here: &Place<'_, '_>, old: OwnedFd, permit: &Permit) -> Result<Next, CallerError> {
        if let Some(again) = self.is_on_its_way(here)? {
            return Ok(again);
        }
        if let Err(refused) = self.admit(here.caller)? {
            self.transcript.refuse(NetworkAct::Connect, Some(here.to), refused);
            return fails(libc::EACCES);
        }
        let flags = rustix::fs::fcntl_getfl(&old).map_err(|errno| CallerError::Own(errno.into()))?;
        let cloexec = self.flags.is_closed_on_exec(here.caller.tid(), here.descriptor.cast_signed());
        let kept = (&mut self.spares, &self.options);
        let made = replica::make(old.as_fd(), &here.facts, permit.address, self.walled, kept);
        let socket = made.map_err(CallerError::Own)?;
        let entry = self.transcript.begin(permit);
        let bytes = address::bytes(permit.address, here.facts.is_v6());
        let mut begun = socket::begin_at_once(socket.as_fd(), &bytes).map_err(CallerError::Own)?;
        let waits = !flags.contains(rustix::fs::OFlags::NONBLOCK);
        if waits && begun == Begun::Waiting && socket::is_settled(socket.as_fd()) {
            // On this host an answer is there at once.
            begun = socket::begin_at_once(socket.as_fd(), &bytes).map_err(CallerError::Own)?;
        }
        let errno = match begun {
            Begun::Failed(errno) => {
                self.transcript.failed(entry, errno);
                return fails(errno);
            }
            Begun::Waiting if waits => {
                return self.wait_for(here, Connecting::Replica { socket, cloexec, flags, entry }, bytes);
            }
            Begun::Waiting => libc::EINPROGRESS,
            Begun::Done => {
                self.transcript.connected(entry);
                0
            }
        };
        let placed = Placed { address: permit.address, entry, told: errno == 0 };
        self.put(here.caller, here.descriptor, socket, (cloexec, flags), placed)?;
        self.unused.keep(old);
        if errno == 0 { Ok(DONE) } else { fails(errno) }
    }

    /// To the job's name server, by a pair of sockets: nobody else could come to it.
    fn connect_to_names(&mut self, here: &Place<'_, '_>, old: &OwnedFd) -> Result<Next, CallerError> {
        let own = |errno: rustix::io::Errno| CallerError::Own(errno.into());
        let flags = rustix::fs::fcntl_getfl(old).map_err(own)?;
        let cloexec = self.flags.is_closed_on_exec(here.caller.tid(), here.descriptor.cast_signed());
        let (theirs, ours) = UnixStream::pair().map_err(CallerError::Own)?;
        rustix::fs::fcntl_setfl(&theirs, flags).map_err(own)?;
        let watched = self.pollers.of(here.caller, here.descriptor.cast_signed());
        here.caller.put(here.descriptor, theirs.as_fd(), cloexec)?;
        self.names.serve_one(ours).map_err(CallerError::Own)?;
        pollers::register(here.caller, watched, theirs.as_fd(), here.descriptor.cast_signed(), &mut self.hands)?;
        Ok(DONE)
    }

    /// To the connector, on the job's own socket: that one is inside.
    fn connect_to_requests(
        &mut self,
        here: &Place<'_, '_>,
        object: OwnedFd,
        permit: &Permit,
        intended: Intended,
    ) -> Result<Next, CallerError> {
        if let Err(refused) = self.admit(here.caller)? {
            self.transcript.refuse(NetworkAct::Connect, Some(here.to), refused);
            return fails(libc::EACCES);
        }
        let Some(requests) = &mut self.requests else { return fails(libc::ENETUNREACH) };
        if self.outside == here.facts.namespace {
            return fails(libc::EACCES);
        }
        if here.facts.is_v6() {
            // The connector is at an address of IPv4. What is bound already fails as it would.
            drop(option::set_number(object.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 0));
        }
        // Its own address is needed before it is connected, which gives it one: the connector knows it by that.
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let bound = option::bind(object.as_fd(), &address::bytes(any, here.facts.is_v6()));
        let own = |errno: rustix::io::Errno| CallerError::Own(errno.into());
        let local = SocketAddr::try_from(rustix::net::getsockname(&object).map_err(own)?).map_err(own)?;
        if let Err(e) = bound
            && local.port() == 0
        {
            return Err(CallerError::Own(e));
        }
        let bytes = address::bytes(requests.at(), here.facts.is_v6());
        requests.expect(local.port(), intended);
        let entry = self.transcript.begin(permit);
        self.transcript.connected(entry);
        self.connect_by_hand(here, object, bytes)
    }

    /// A call that a signal interrupted, and that is made again, goes on where it was; one beside another waits for nothing.
    fn is_on_its_way(&mut self, here: &Place<'_, '_>) -> Result<Option<Next>, CallerError> {
        let same = |pending: &Pending| pending.cookie == here.cookie;
        let Some(at) = self.pending.iter().position(same) else { return Ok(None) };
        let pending = &mut self.pending[at];
        if pending.gone.is_none() && here.caller.is_other_waiting(&pending.notification) {
            return fails(libc::EALREADY).map(Some);
        }
        if (pending.address.ip().to_canonical(), pending.address.port())
            != (here.to.ip().to_canonical(), here.to.port())
        {
            self.pending.swap_remove(at);
            return Ok(None);
        }
        (pending.notification, pending.gone) = (*here.caller.notification(), None);
        pending.descriptor = here.descriptor;
        Ok(Some(Next::Wait))
    }

    fn wait_for(&mut self, here: &Place<'_, '_>, socket: Connecting, bytes: Vec<u8>) -> Result<Next, CallerError> {
        if self.pending.len() >= pending::MOST {
            return fails(libc::ENOBUFS);
        }
        let until = match &socket {
            // The call itself knows when to end.
            Connecting::Own(_) => None,
            Connecting::Replica { socket, .. } | Connecting::Placed(socket) => patience(socket.as_fd()),
        };
        self.wait(Pending {
            notification: *here.caller.notification(),
            descriptor: here.descriptor,
            cookie: here.cookie,
            address: here.to,
            bytes,
            socket,
            until: until.map(|patience| Instant::now() + patience),
            signalled: false,
            gone: None,
        });
        Ok(Next::Wait)
    }

    fn bind(&mut self, caller: &Caller<'_>) -> Result<Next, CallerError> {
        let (_, object, facts) = self.object(caller)?;
        let bytes = self.written(caller)?;
        match (facts.family, Written::of(&bytes)) {
            (libc::AF_UNIX, _) => self.local(NetworkAct::Bind),
            (libc::AF_NETLINK, Written::Kernel) => returns(option::bind(object.as_fd(), &bytes)),
            (libc::AF_INET | libc::AF_INET6, Written::Inet(at)) if self.is_outside(&object, &facts)? => {
                let reason = "a socket that was made for the job has an address";
                self.transcript.refuse(NetworkAct::Bind, Some(at), refused(reason));
                fails(libc::EINVAL)
            }
            (libc::AF_INET | libc::AF_INET6, Written::Inet(at)) if self.shared => {
                self.transcript.refuse(NetworkAct::Bind, Some(at), refused(NO_SERVERS));
                fails(libc::EACCES)
            }
            (libc::AF_INET | libc::AF_INET6, Written::Inet(at)) if (1..UNPRIVILEGED).contains(&at.port()) => {
                fails(libc::EACCES)
            }
            (libc::AF_INET | libc::AF_INET6, Written::Inet(at)) if at.is_ipv6() == facts.is_v6() => {
                returns(option::bind(object.as_fd(), &address::bytes(at, facts.is_v6())))
            }
            (_, Written::Short) => fails(libc::EINVAL),
            _ => {
                self.transcript.refuse(NetworkAct::Bind, None, refused("no such address is bound"));
                fails(libc::EAFNOSUPPORT)
            }
        }
    }

    fn option(&mut self, caller: &Caller<'_>) -> Result<Next, CallerError> {
        let (level, name) = (first(caller, 1), first(caller, 2));
        self.options.note(level, name);
        if (level, name) == (libc::SOL_SOCKET, libc::SO_LINGER) { self.linger(caller) } else { Ok(Next::GoOn) }
    }

    /// `SO_LINGER`: whoever closes a socket last, which may be this process, would wait for as long as the job says. So only
    /// what needs no waiting is set: off, or an end at once by a reset. A time to wait is taken as off.
    fn linger(&mut self, caller: &Caller<'_>) -> Result<Next, CallerError> {
        let (_, object, _) = self.object(caller)?;
        let length = usize::try_from(first(caller, 4)).unwrap_or(0);
        if length < LINGER {
            return fails(libc::EINVAL);
        }
        let asked = caller.copy(&mut self.reader, caller.notification().args[3], LINGER)?;
        let (is_on, seconds) = asked.split_at(LINGER / 2);
        let at_once = is_on.iter().any(|byte| *byte != 0) && seconds.iter().all(|byte| *byte == 0);
        let set = [i32::from(at_once), 0].map(i32::to_ne_bytes).concat();
        returns(option::set(object.as_fd(), libc::SOL_SOCKET, libc::SO_LINGER, &set))
    }

    fn listen(&mut self, caller: &Caller<'_>) -> Result<Next, CallerError> {
        let (_, object, facts) = self.object(caller)?;
        if self.shared {
            self.transcript.refuse(NetworkAct::Listen, None, refused(NO_SERVERS));
            return fails(libc::EACCES);
        }
        if facts.is_inet() && self.is_outside(&object, &facts)? {
            let reason = "nobody connects to a socket that was made for the job";
            self.transcript.refuse(NetworkAct::Listen, None, refused(reason));
            return fails(libc::EINVAL);
        }
        returns(option::listen(object.as_fd(), first(caller, 1)))
    }
}

/// What a call on a stream is about.
struct Place<'c, 'n> {
    caller: &'c Caller<'n>,
    descriptor: u32,
    cookie: u64,
    facts: Facts,
    to: SocketAddr,
}

/// An argument that is an int.
fn first(caller: &Caller<'_>, at: usize) -> i32 {
    int(&caller.notification().args, at)
}

pub(super) fn int(args: &[u64; 6], at: usize) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "the high half of an int's register has no meaning")]
    let low = args[at] as u32;
    low.cast_signed()
}

/// How long connect(2) waits on this socket: socket(7), `SO_SNDTIMEO`. `None`: as long as it takes.
fn patience(socket: BorrowedFd<'_>) -> Option<Duration> {
    let time = option::bytes::<16>(socket, libc::SOL_SOCKET, libc::SO_SNDTIMEO).ok()?;
    let (seconds, micros) = time.split_first_chunk::<8>()?;
    let seconds = u64::try_from(i64::from_ne_bytes(*seconds)).ok()?;
    let micros = u64::try_from(i64::from_ne_bytes(micros.try_into().ok()?)).ok()?;
    Some(Duration::from_secs(seconds) + Duration::from_micros(micros)).filter(|time| !time.is_zero())
}
