//! The spawner's own process.

use super::ahead::{Ahead, Kept};
use super::{Request, What};
use crate::call::child::{self, Given, UNUSED};
use crate::call::order::Order;
use crate::call::output::Output;
use crate::call::process::{Told, connection};
use crate::call::room::{Layout, Room, above_streams};
use lazaret_sys::entry::{Channel, Entry, Received};
use lazaret_sys::wait::{self, Ended};
use lazaret_sys::{confine, fork, signal};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The most bytes of a request: the longest filter, and room for the rest.
const MOST: usize = 64 * 1024;

/// A child's ends of what it shares with its caller.
struct Ends<'a> {
    room: BorrowedFd<'a>,
    socket: BorrowedFd<'a>,
    /// Whether it is made ahead.
    ahead: bool,
}

/// The spawner's own state.
pub(super) struct Serving {
    channel: Channel<Output>,
    caller: OwnedFd,
    /// Becomes readable when a child ends.
    ends: OwnedFd,
    null: OwnedFd,
    /// Its own `/proc/self/statm`, kept open: a child's would have to be made by the kernel for each call.
    statm: OwnedFd,
    own: i32,
    running: Vec<Running>,
    ahead: Ahead,
}

/// A child.
struct Running {
    pid: i32,
    /// The connection with its caller.
    control: OwnedFd,
    killed: bool,
}

impl Serving {
    pub(super) fn begin(channel: Channel<Output>, keep: &OwnedFd, caller: Pid) -> io::Result<Self> {
        confine::default_signals();
        rustix::thread::set_name(c"lazaret-spawn")?;
        rustix::process::setsid()?;
        // It holds one for each running call, however many the caller may have by then.
        child::raise_open_files()?;
        let caller_pidfd = above_streams(pidfd_open(caller, PidfdFlags::empty())?)?;
        if rustix::process::getppid() != Some(caller) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let null = above_streams(rustix::fs::open("/dev/null", flags, Mode::empty())?)?;
        let ends = above_streams(signal::descriptor(&[libc::SIGCHLD])?)?;
        let statm = rustix::fs::open("/proc/self/statm", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let statm = above_streams(statm)?;
        child::streams(null.as_fd())?;
        let keep = [channel.as_fd(), keep.as_fd(), caller_pidfd.as_fd(), null.as_fd(), ends.as_fd(), statm.as_fd()];
        confine::close_others(&mut { keep })?;
        let own = rustix::process::getpid().as_raw_nonzero().get();
        Ok(Self { channel, caller: caller_pidfd, ends, null, statm, own, running: Vec::new(), ahead: Ahead::default() })
    }

    pub(super) fn serve(mut self) -> Infallible {
        let mut message = vec![0; MOST];
        loop {
            // Whatever fails here leaves nothing to go on with; calls that run end with it.
            match self.turn(&mut message) {
                Ok(true) => {}
                Ok(false) => fork::exit(0),
                Err(_) => fork::exit(1),
            }
        }
    }

    /// Waits for something to do, and does it. Returns whether to go on.
    fn turn(&mut self, message: &mut [u8]) -> io::Result<bool> {
        let watched = [self.channel.as_fd(), self.caller.as_fd(), self.ends.as_fd()];
        let kept = self.ahead.kept.iter().map(|kept| kept.over.as_fd());
        let controls = self.running.iter().filter(|running| !running.killed).map(|running| running.control.as_fd());
        let sources = watched.into_iter().chain(kept).chain(controls);
        let mut polled: Vec<PollFd<'_>> =
            sources.map(|source| PollFd::from_borrowed_fd(source, PollFlags::IN)).collect();
        match poll(&mut polled, self.ahead.patience().as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(true),
            Err(e) => return Err(e.into()),
        }
        let events: Vec<bool> = polled.iter().map(|polled| !polled.revents().is_empty()).collect();
        let [asked, caller_ended, child_ended] = [0, 1, 2].map(|at| events[at]);
        if caller_ended {
            return Ok(false);
        }
        let (dropped, done) = events[3..].split_at(self.ahead.kept.len());
        self.end_those_done(done)?;
        self.ahead.forget(dropped);
        if child_ended {
            self.reap()?;
        }
        if asked {
            return match self.channel.receive(message) {
                Ok(Some(received)) => self.serve_request(received).map(|()| true),
                Ok(None) => Ok(false),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(true),
                Err(e) => Err(e),
            };
        }
        if let Some(at) = self.ahead.lacking() {
            self.make_ahead(at)?;
        }
        Ok(true)
    }

    /// A caller that is done with a connection, or gone from it, wants the end.
    fn end_those_done(&mut self, done: &[bool]) -> io::Result<()> {
        let live = self.running.iter_mut().filter(|running| !running.killed);
        for (running, _) in live.zip(done).filter(|(_, done)| **done) {
            running.killed = true;
            if let Some(pid) = Pid::from_raw(running.pid) {
                kill_process(pid, Signal::KILL)?;
            }
        }
        Ok(())
    }

    fn reap(&mut self) -> io::Result<()> {
        let mut arrived = [0; 128];
        // What arrived only says that some child ended.
        let _drained = rustix::io::read(&self.ends, &mut arrived).is_ok();
        loop {
            let (pid, ended, used) = match wait::ended(-1) {
                Ok(Some(ended)) => ended,
                Ok(None) => return Ok(()),
                Err(e) if e.raw_os_error() == Some(libc::ECHILD) => return Ok(()),
                Err(e) => return Err(e),
            };
            self.ahead.ended(pid, ended == Ended::Exited(UNUSED));
            if let Some(at) = self.running.iter().position(|running| running.pid == pid) {
                let running = self.running.swap_remove(at);
                // A caller that is gone need not be told.
                let _told = Told::ended(ended, used).send(running.control.as_fd()).is_ok();
            }
        }
    }

    fn address_space(&self) -> io::Result<u64> {
        let mut text = [0; 128];
        let len = rustix::io::pread(&self.statm, &mut text, 0)?;
        child::parse_statm(std::str::from_utf8(&text[..len]).unwrap_or_default())
    }

    fn serve_request(&mut self, received: Received<Output>) -> io::Result<()> {
        let (request, rest) = postcard::take_from_bytes::<Request>(&received.bytes).map_err(io::Error::other)?;
        let order: Order = postcard::from_bytes(rest).map_err(io::Error::other)?;
        let (entry, layout) = (received.entry, request.layout);
        let mut descriptors = received.descriptors.into_iter();
        // Out of descriptors: the connection is closed with the rest, which tells the caller.
        match request.what {
            What::Keep { function } => {
                let Some(over) = descriptors.next() else { return Ok(()) };
                let ruleset = descriptors.next();
                if ruleset.is_some() == order.restrict {
                    self.ahead.keep(Kept::new((function, entry), layout, order, over, ruleset));
                }
            }
            What::Call { found_none } => {
                let (Some(room), Some(socket), Some(control)) =
                    (descriptors.next(), descriptors.next(), descriptors.next())
                else {
                    return Ok(());
                };
                let ruleset = descriptors.next();
                if ruleset.is_some() == order.restrict {
                    let ends = Ends { room: room.as_fd(), socket: socket.as_fd(), ahead: false };
                    let forked = self.fork(entry, layout, &order, ruleset.as_ref().map(AsFd::as_fd), ends);
                    self.runs(forked, control);
                }
                if let Some(function) = found_none {
                    self.ahead.found_none(function);
                }
            }
        }
        Ok(())
    }

    /// Makes one process for the function at this place, and hands it over.
    fn make_ahead(&mut self, at: usize) -> io::Result<()> {
        let kept = &self.ahead.kept[at];
        let ends = Room::new(kept.layout).and_then(|room| {
            let made = || connection().map_err(io::Error::other);
            Ok((room, made()?, made()?))
        });
        let Ok((room, (callers_socket, socket), (callers_control, control))) = ends else {
            self.ahead.give_up();
            return Ok(());
        };
        let its = Ends { room: room.file(), socket: socket.as_fd(), ahead: true };
        let forked = self.fork(kept.entry, kept.layout, &kept.order, kept.ruleset.as_ref().map(AsFd::as_fd), its);
        let Ok(pid) = forked else {
            self.ahead.give_up();
            return Ok(());
        };
        self.runs(forked, control);
        // Of one that nobody gets, the ends are closed below, and it is ended for that.
        let ends = [room.file(), callers_socket.as_fd(), callers_control.as_fd()];
        if self.ahead.kept[at].hand_over(pid, ends).is_err() {
            self.ahead.give_up();
        }
        Ok(())
    }

    fn fork(
        &self,
        entry: Entry<Output>,
        layout: Layout,
        order: &Order,
        ruleset: Option<BorrowedFd<'_>>,
        ends: Ends<'_>,
    ) -> io::Result<i32> {
        let given = Given {
            order,
            layout,
            room: ends.room,
            socket: ends.socket,
            ruleset,
            null: self.null.as_fd(),
            parent: self.own,
            ahead: ends.ahead,
            handlers: false,
            space: Some(self.address_space()?),
        };
        fork::fork(|| match child::run(&given, None, |input, output| entry.call(input, output)) {})
    }

    /// Watches over the child, or tells why there is none.
    fn runs(&mut self, forked: io::Result<i32>, control: OwnedFd) {
        match forked {
            Ok(pid) => self.running.push(Running { pid, control, killed: false }),
            Err(e) => {
                let _told = Told::Failed(e.raw_os_error().unwrap_or(libc::EAGAIN)).send(control.as_fd()).is_ok();
            }
        }
    }
}
