//! The supervisor's loop: waits for the job's end and stops it at its bounds. Every wait has an end.

use crate::cancel::Cancel;
use crate::error::RunError;
use crate::hands::Hands;
use crate::refusals::Refusals;
use crate::running::{Boundary, Running, Terms};
use crate::streams::{Incoming, Sink};
use lazaret_broker::net::{self, Net};
use lazaret_policy::{FilesReport, LimitKey, Verdict};
use lazaret_sys::wait::Ended;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Why the supervisor ended the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A limit was reached.
    Limit(LimitKey),
    /// The policy has the job die for a call.
    Violation(Verdict),
    /// From outside.
    Cancelled,
}

/// What the loop saw.
#[derive(Debug)]
pub struct Watched {
    /// Why the supervisor ended the job, if it did.
    pub stop: Option<Stop>,
    /// The calls that were refused.
    pub refusals: Refusals,
    /// What came of the job's network, if it has one.
    pub network: Option<net::Ended>,
    /// What came of its calls on files, if these were made for it.
    pub files: Option<FilesReport>,
    /// How process 1 ended.
    pub init: Option<Ended>,
    /// When it was all over.
    pub ended: Instant,
}

/// How long what a job wrote before it was stopped may take to be passed on to a slow reader.
const PASS_ON: Duration = Duration::from_secs(10);
/// The same when somebody waits for the job to be gone.
const PASS_ON_CANCELLED: Duration = Duration::from_millis(500);

/// Watches `running` until every process of it is dead. `processors` is how many can run it at once; `begun` is called
/// when its command has begun. `hands` make what calls are made for it.
///
/// # Errors
///
/// Lazaret's own failures: the job may then live still.
pub fn watch<B: Boundary>(
    terms: &Terms<'_>,
    running: &mut Running,
    boundary: &mut B,
    sink: &Sink<'_>,
    processors: u32,
    begun: impl FnOnce(),
    hands: Hands,
) -> Result<Watched, RunError> {
    let refusals = Refusals::of(terms.program);
    let mut watcher = Watcher { terms: *terms, boundary, sink, processors, stop: None, refusals, hands };
    let handed = watcher.until_handed_over(running)?;
    begun();
    if handed {
        let ended = watcher.until_the_end(running);
        watcher.rest()?;
        ended?;
    }
    // Dead or dying on every way that leads here; whoever is neither must not be waited for.
    let init = watcher.boundary.bury(running)?;
    let ended = Instant::now();
    if watcher.stop.is_none() {
        watcher.stop = watcher.boundary.last_look(running).map(Stop::Limit);
    }
    // The job's processes are dead: what the pipes still hold is all there will ever be.
    watcher.drain(running)?;
    let fatal = match &mut watcher.stop {
        Some(Stop::Violation(verdict)) => Some(verdict),
        _ => None,
    };
    watcher.refusals.explain(&terms.filter.rules(), fatal);
    match running.shell.failure() {
        Some(failure) if watcher.stop.is_none() => Err(failure),
        _ => {
            let began = running.begun.unwrap_or(running.launched);
            let network = watcher.hands.net.map(|net| net.finish(began, watcher.stop.is_some()));
            let files = watcher.hands.files.map(|files| files.finish(began));
            let passed =
                network.as_ref().and_then(|ended| ended.reached.iter().find(|key| **key != LimitKey::NetConnections));
            watcher.stop = watcher.stop.or(passed.map(|key| Stop::Limit(*key)));
            Ok(Watched { stop: watcher.stop, refusals: watcher.refusals, network, files, init, ended })
        }
    }
}

struct Watcher<'a, B> {
    terms: Terms<'a>,
    boundary: &'a mut B,
    sink: &'a Sink<'a>,
    processors: u32,
    stop: Option<Stop>,
    refusals: Refusals,
    hands: Hands,
}

impl<'a, B: Boundary> Watcher<'a, B> {
    fn deadline(&self, running: &Running) -> Instant {
        // The job's time begins with its command; a set-up that lasts as long by itself is stopped as well.
        running.begun.unwrap_or(running.launched) + self.terms.limits.wall.duration()
    }

    /// What may still end the job from outside.
    fn cancels(&self) -> std::slice::Iter<'a, Cancel> {
        let cancels: &'a [Cancel] = if self.stop.is_none() { self.terms.cancels } else { &[] };
        cancels.iter()
    }

    /// Waits for process 1's message. Returns whether it came; a launch that failed hangs up instead.
    fn until_handed_over(&mut self, running: &mut Running) -> Result<bool, RunError> {
        loop {
            let left = self.deadline(running).saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.end(running, Stop::Limit(LimitKey::Wall));
            }
            let mut watched = vec![PollFd::new(&running.shell.channel, PollFlags::IN)];
            let cancels: Vec<BorrowedFd<'_>> = self.cancels().map(Cancel::descriptor).collect();
            watched.extend(cancels.iter().map(|descriptor| PollFd::new(descriptor, PollFlags::IN)));
            let timeout = if self.stop.is_some() { None } else { Some(left) };
            wait(&mut watched, timeout)?;
            let message = ready(&watched, 0);
            let cancelled = (1..watched.len()).any(|index| ready(&watched, index));
            drop(watched);
            if cancelled {
                self.end(running, Stop::Cancelled);
            }
            if message {
                return receive(running);
            }
        }
    }

    fn until_the_end(&mut self, running: &mut Running) -> Result<(), RunError> {
        let no_process = || io::Error::from_raw_os_error(libc::ESRCH);
        let init = running
            .shell
            .init_pid()
            .ok_or_else(|| RunError::Resource { what: "find the job's process 1", source: no_process() })?;
        // Our unreaped child: the id is its own still. If somebody else reaped it, it is dead.
        running.shell.init = match pidfd_open(init, PidfdFlags::empty()) {
            Ok(process) => Some(process),
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            Err(errno) => {
                return Err(RunError::Resource { what: "watch the job's process 1", source: errno.into() });
            }
        };
        self.boundary.begin(running);
        if let Some(net) = &mut self.hands.net {
            let [.., questions, streams, requests] = &mut running.handed;
            let own = |what| move |source| RunError::Resource { what, source };
            if let (Some(questions), Some(streams)) = (questions.take(), streams.take()) {
                net.serve_names(questions, streams).map_err(own("answer the job's questions for names"))?;
            }
            if let Some(requests) = requests.take() {
                net.serve_requests(requests).map_err(own("serve the job's requests"))?;
            }
        }
        let mut cpu_check = self.next_cpu_check(running, Instant::now());
        loop {
            let mut next = self.deadline(running).min(self.boundary.due());
            for due in cpu_check.into_iter().chain(self.hands.due()) {
                next = next.min(due);
            }
            let ended = self.turn(running, next)?;
            if ended {
                return Ok(());
            }
            let now = Instant::now();
            if now >= next || self.refusals.violation.is_some() {
                self.rest()?;
            }
            if let Some(violation) = self.refusals.violation.take() {
                self.end(running, Stop::Violation(violation));
            }
            if now >= self.deadline(running) {
                self.end(running, Stop::Limit(LimitKey::Wall));
            }
            if cpu_check.is_some_and(|check| now >= check) {
                // What could not be read, for want of a descriptor, is read later: the limit is not lost by it.
                let later = now + Duration::from_millis(100);
                cpu_check = self.next_cpu_check(running, now).or(Some(later));
                if cpu_check.is_some_and(|check| check <= now) {
                    self.end(running, Stop::Limit(LimitKey::Cpu));
                    cpu_check = None;
                }
            }
            if now >= self.boundary.due() {
                self.look(running, false);
            }
            if self.hands.net.as_ref().and_then(Net::due).is_some_and(|due| now >= due) {
                self.advance_net(running)?;
            }
        }
    }

    /// The earliest moment at which all processors together can have used up the rest of the processor time; `now`,
    /// when it is used up. `None` without accounting.
    fn next_cpu_check(&self, running: &Running, now: Instant) -> Option<Instant> {
        let used = self.boundary.cpu_used(running)?;
        let left = self.terms.limits.cpu.duration().saturating_sub(used);
        if left.is_zero() {
            return Some(now);
        }
        Some(now + (left / self.processors).max(Duration::from_millis(1)))
    }

    /// Waits until something happens or `until`, and sees to it. Returns whether process 1 is dead.
    fn turn(&mut self, running: &mut Running, until: Instant) -> Result<bool, RunError> {
        #[derive(Clone, Copy, PartialEq)]
        enum Event {
            Process,
            Cancel,
            Listener,
            Net,
            News,
            Writes,
            Stdout,
            Stderr,
            Stdin,
        }
        let (stdout, stderr, stdin) = self.readers();
        let stopped = self.stop.is_some();
        let connecting = self.hands.net.as_ref().filter(|_| !stopped).into_iter().flat_map(Net::interests);
        let mut interests: Vec<(Event, BorrowedFd<'_>, PollFlags)> = Vec::with_capacity(8);
        interests.extend(running.shell.init.as_ref().map(|process| (Event::Process, process.as_fd(), PollFlags::IN)));
        interests.extend(self.cancels().map(|cancel| (Event::Cancel, cancel.descriptor(), PollFlags::IN)));
        if let Some(listener) = running.handed[3].as_ref().filter(|_| !stopped) {
            interests.push((Event::Listener, listener.as_fd(), PollFlags::IN));
        }
        interests
            .extend(self.boundary.interest().filter(|_| !stopped).map(|writes| (Event::Writes, writes, PollFlags::IN)));
        interests.extend(connecting.map(|socket| (Event::Net, socket, PollFlags::OUT)));
        let news = self.hands.net.as_ref().filter(|_| !stopped).into_iter().flat_map(Net::news);
        interests.extend(news.map(|news| (Event::News, news, PollFlags::IN)));
        let streams = &running.streams;
        if !stopped {
            interests.extend(streams.stdout.interest(stdout).map(|(fd, flags)| (Event::Stdout, fd, flags)));
            interests.extend(streams.stderr.interest(stderr).map(|(fd, flags)| (Event::Stderr, fd, flags)));
            interests.extend(streams.stdin.interest(stdin).map(|(fd, flags)| (Event::Stdin, fd, flags)));
        }
        let mut watched: Vec<PollFd<'_>> = interests.iter().map(|(_, fd, flags)| PollFd::new(fd, *flags)).collect();
        let left = until.saturating_duration_since(Instant::now());
        wait(&mut watched, if stopped { None } else { Some(left) })?;
        let happened: Vec<(Event, PollFlags)> =
            interests.iter().zip(&watched).map(|((event, ..), fd)| (*event, fd.revents())).collect();
        drop(watched);
        drop(interests);

        if happened.iter().any(|(event, flags)| *event != Event::Listener && !flags.is_empty())
            || self.boundary.is_near()
        {
            self.rest()?;
        }
        // Programs say that there is no room left before they clean up.
        if self.boundary.is_near() && !happened.iter().all(|(_, flags)| flags.is_empty()) {
            let asked = happened.iter().any(|(event, flags)| *event == Event::Writes && !flags.is_empty());
            self.look(running, asked);
        }
        for (event, flags) in happened.into_iter().filter(|(_, flags)| !flags.is_empty()) {
            match event {
                Event::Process => return Ok(true),
                Event::Cancel => self.end(running, Stop::Cancelled),
                Event::Listener if flags.contains(PollFlags::IN) => {
                    let listener = running.handed[3].as_ref().map(AsFd::as_fd);
                    if let Some(listener) = listener {
                        let rules = self.terms.filter.rules();
                        let answered = self.refusals.answer_next(listener, &rules, &mut self.hands);
                        answered
                            .map_err(|source| RunError::Resource { what: "answer a system call of the job", source })?;
                    }
                }
                Event::Net | Event::News => self.advance_net(running)?,
                // Looked at above.
                Event::Writes => {}
                // Nobody is left under the filter.
                Event::Listener => running.handed[3] = None,
                Event::Stdout => {
                    let bound = self.terms.limits.output.bytes();
                    running.streams.stdout.advance(stdout, bound)?;
                    self.check_output(running);
                }
                Event::Stderr => {
                    let bound = self.terms.limits.output.bytes();
                    running.streams.stderr.advance(stderr, bound)?;
                    self.check_output(running);
                }
                Event::Stdin => running.streams.stdin.advance(stdin),
            }
        }
        Ok(false)
    }

    /// Has this thread be itself, where it made calls as the job's user.
    fn rest(&mut self) -> Result<(), RunError> {
        self.hands.rest().map_err(|source| RunError::Resource { what: "stop using files as the job's user", source })
    }

    /// Answers calls of the job that waited for their connections.
    fn advance_net(&mut self, running: &Running) -> Result<(), RunError> {
        let (Some(net), Some(listener)) = (&mut self.hands.net, &running.handed[3]) else { return Ok(()) };
        let advanced = net.advance(listener.as_fd());
        let passed = advanced.map_err(|source| RunError::Resource { what: "see to the job's network", source })?;
        if let Some(key) = passed {
            self.end(running, Stop::Limit(key));
        }
        Ok(())
    }

    fn look(&mut self, running: &Running, asked: bool) {
        if let Some(key) = self.boundary.look(running, asked) {
            self.end(running, Stop::Limit(key));
        }
    }

    fn check_output(&mut self, running: &Running) {
        if running.streams.stdout.truncated || running.streams.stderr.truncated {
            self.end(running, Stop::Limit(LimitKey::Output));
        }
    }

    fn readers(&self) -> (Option<BorrowedFd<'a>>, Option<BorrowedFd<'a>>, Option<BorrowedFd<'a>>) {
        match self.sink {
            Sink::Capture => (None, None, None),
            Sink::Forward { stdout, stderr, stdin } => (Some(*stdout), Some(*stderr), Some(*stdin)),
        }
    }

    /// Ends the job; the first reason counts.
    fn end(&mut self, running: &Running, stop: Stop) {
        if self.stop.is_none() {
            self.stop = Some(stop);
            self.boundary.kill(running);
        }
    }

    /// Reads and passes on what is left: of a job that came to its own end all of it, however slow its reader, unless a
    /// cancellation comes; of one that was stopped, as much as goes in a bounded time.
    fn drain(&mut self, running: &mut Running) -> Result<(), RunError> {
        running.streams.stdin = Incoming::Closed;
        let (stdout, stderr, _) = self.readers();
        let bound = self.terms.limits.output.bytes();
        let mut patience = match &self.stop {
            None => None,
            Some(Stop::Cancelled) => Some(Instant::now() + PASS_ON_CANCELLED),
            Some(Stop::Limit(_) | Stop::Violation(_)) => Some(Instant::now() + PASS_ON),
        };
        let mut cancels: Vec<BorrowedFd<'_>> = self.terms.cancels.iter().map(Cancel::descriptor).collect();
        if self.stop == Some(Stop::Cancelled) {
            cancels.clear();
        }
        loop {
            let streams = &running.streams;
            let out = streams.stdout.interest(stdout);
            let err = streams.stderr.interest(stderr);
            if (out.is_none() && err.is_none()) || patience.is_some_and(|until| Instant::now() >= until) {
                break;
            }
            let left = patience.map(|until| until.saturating_duration_since(Instant::now()));
            // Only a reader may take as long as it likes: all writers are dead.
            let for_reader = [&out, &err].into_iter().flatten().any(|(_, flags)| *flags == PollFlags::OUT);
            let timeout = left.or((!for_reader).then_some(PASS_ON));
            let mut watched: Vec<PollFd<'_>> =
                [&out, &err].into_iter().flatten().map(|(fd, flags)| PollFd::new(fd, *flags)).collect();
            let first_cancel = watched.len();
            watched.extend(cancels.iter().map(|descriptor| PollFd::new(descriptor, PollFlags::IN)));
            wait(&mut watched, timeout)?;
            let first = ready(&watched, 0);
            let second = ready(&watched, usize::from(out.is_some()));
            let cancelled = (first_cancel..watched.len()).any(|index| ready(&watched, index));
            let (out, err) = (out.is_some() && first, err.is_some() && second);
            drop(watched);
            if out {
                running.streams.stdout.advance(stdout, bound)?;
            }
            if err {
                running.streams.stderr.advance(stderr, bound)?;
            }
            if cancelled {
                cancels.clear();
                self.stop.get_or_insert(Stop::Cancelled);
                patience = Some(Instant::now() + PASS_ON_CANCELLED);
            }
        }
        let streams = &mut running.streams;
        let bounded = streams.stdout.truncated || streams.stderr.truncated;
        if bounded && self.stop.is_none() {
            self.stop = Some(Stop::Limit(LimitKey::Output));
        }
        streams.stdout.truncated |= !streams.stdout.is_done();
        streams.stderr.truncated |= !streams.stderr.is_done();
        Ok(())
    }
}

fn ready(watched: &[PollFd<'_>], index: usize) -> bool {
    watched.get(index).is_some_and(|fd| !fd.revents().is_empty())
}

/// Waits for at most `timeout`; interruptions count as nothing having happened.
fn wait(watched: &mut [PollFd<'_>], timeout: Option<Duration>) -> Result<(), RunError> {
    let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
    match poll(watched, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(RunError::Resource { what: "wait for the job", source: errno.into() }),
    }
}

/// Takes process 1's one message. Each byte tells the place of a descriptor.
fn receive(running: &mut Running) -> Result<bool, RunError> {
    let mut places = [0_u8; 8];
    let received = lazaret_sys::descriptor::receive(running.shell.channel.as_fd(), &mut places);
    let received = match received {
        // It hung up without having read what it was sent.
        Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
        other => other,
    };
    let (count, descriptors) =
        received.map_err(|source| RunError::Resource { what: "take descriptors from process 1", source })?;
    if count == 0 {
        return Ok(false);
    }
    running.begun = Some(Instant::now());
    for (place, descriptor) in places[..count].iter().zip(descriptors) {
        if let Some(handed) = running.handed.get_mut(usize::from(*place)) {
            *handed = Some(descriptor);
        }
    }
    if let Some(listener) = &running.handed[3] {
        // Faster where the kernel can; no less right where it cannot.
        lazaret_sys::seccomp::wake_in_place(listener.as_fd());
    }
    Ok(true)
}
