//! The thread that answers, and those that it has resolve names.

use super::{Known, Shared};
use lazaret_egress::{Name, Question, Told, Transport};
use rustix::event::{PollFd, PollFlags, poll};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

/// What is added to the counter to stop; what came of a question adds one.
pub(super) const STOP: u64 = 1 << 32;
/// The most bytes of a question by UDP: the stub takes no more, whatever comes.
const MOST: usize = 4096;
/// How many datagrams are answered before anything else is looked at.
const BATCH: usize = 64;
/// How long a stream may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// An answer that took a while, and for whom.
type Late = (SocketAddr, Vec<u8>);

pub(super) struct Server {
    shared: Arc<Shared>,
    questions: UdpSocket,
    streams: TcpListener,
    wake: Arc<OwnedFd>,
    late: (Sender<Late>, Receiver<Late>),
}

impl Server {
    pub(super) fn new(shared: Arc<Shared>, questions: UdpSocket, streams: TcpListener, wake: Arc<OwnedFd>) -> Self {
        Self { shared, questions, streams, wake, late: mpsc::channel() }
    }

    /// Answers until it is told to stop, or cannot wait any more: then nothing is answered.
    pub(super) fn run(self) {
        loop {
            let mut watched = [
                PollFd::new(&*self.wake, PollFlags::IN),
                PollFd::new(&self.questions, PollFlags::IN),
                PollFd::new(&self.streams, PollFlags::IN),
            ];
            match poll(&mut watched, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
            let [wake, questions, streams] = watched.map(|fd| !fd.revents().is_empty());
            if wake && self.is_stopped() {
                return;
            }
            for (to, answer) in self.late.1.try_iter() {
                self.send(to, &answer);
            }
            if questions {
                self.answer_questions();
            }
            if streams && let Ok((accepted, _)) = self.streams.accept() {
                // Where there is no thread to be had, it is closed.
                drop(stream(&self.shared, accepted));
            }
        }
    }

    fn is_stopped(&self) -> bool {
        let mut count = [0; 8];
        match rustix::io::read(&*self.wake, &mut count) {
            Ok(_) => u64::from_ne_bytes(count) >= STOP,
            Err(errno) => errno != rustix::io::Errno::AGAIN && errno != rustix::io::Errno::INTR,
        }
    }

    /// A datagram that the job does not take is lost, as datagrams are: it asks again.
    fn send(&self, to: SocketAddr, answer: &[u8]) {
        drop(self.questions.send_to(answer, to));
    }

    fn answer_questions(&self) {
        let mut bytes = vec![0; MOST];
        for _ in 0..BATCH {
            let Ok((len, from)) = self.questions.recv_from(&mut bytes) else { return };
            let question = match Question::read(&bytes[..len]) {
                Ok(question) => question,
                Err(answer) => {
                    if let Some(answer) = answer {
                        self.send(from, &answer);
                    }
                    continue;
                }
            };
            match self.shared.known(&question, Transport::Udp) {
                Ok(Known::Answer(answer)) => self.send(from, &answer),
                Ok(Known::Ask(name)) => self.ask(question, name, from),
                // It has no form that says so.
                Err(_) => {}
            }
        }
    }

    /// Has a thread resolve `name`.
    fn ask(&self, question: Question, name: Name, from: SocketAddr) {
        if !self.shared.take_place() {
            if let Ok(answer) = question.answer(Told::Failed, Transport::Udp) {
                self.send(from, &answer);
            }
            return;
        }
        let (shared, late, wake) = (Arc::clone(&self.shared), self.late.0.clone(), Arc::clone(&self.wake));
        let work = move || {
            let answer = shared.resolve(&question, &name, Transport::Udp);
            shared.leave_place();
            if let Ok(answer) = answer
                && late.send((from, answer)).is_ok()
            {
                let woken = rustix::io::write(&*wake, &1_u64.to_ne_bytes());
                debug_assert!(woken.is_ok(), "an event counter takes a number");
            }
        };
        if thread::Builder::new().name("lazaret-resolve".to_owned()).spawn(work).is_err() {
            self.shared.leave_place();
        }
    }
}

/// A connection that bytes come on.
pub(super) trait Stream: io::Read + io::Write + Send + 'static {
    /// Has it wait for either direction, for as long as that.
    fn be_patient(&self, time: Duration) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn be_patient(&self, time: Duration) -> io::Result<()> {
        self.set_nonblocking(false)?;
        self.set_read_timeout(Some(time))?;
        self.set_write_timeout(Some(time))
    }
}

impl Stream for UnixStream {
    fn be_patient(&self, time: Duration) -> io::Result<()> {
        self.set_nonblocking(false)?;
        self.set_read_timeout(Some(time))?;
        self.set_write_timeout(Some(time))
    }
}

/// Has a thread answer the questions of a stream, until its other end, in the job, is closed. One too many is closed.
pub(super) fn stream(shared: &Arc<Shared>, stream: impl Stream) -> io::Result<()> {
    if !shared.take_place() {
        return Ok(());
    }
    let own = Arc::clone(shared);
    let work = move || {
        // However it ends, it is closed then.
        drop(answer_stream(&own, stream));
        own.leave_place();
    };
    thread::Builder::new().name("lazaret-names".to_owned()).spawn(work).map(drop).inspect_err(|_| shared.leave_place())
}

/// Source: RFC 7766: each message behind its length, as two bytes.
fn answer_stream(shared: &Shared, mut stream: impl Stream) -> io::Result<()> {
    stream.be_patient(SILENCE)?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut bytes)?;
        let answer = match Question::read(&bytes) {
            Ok(question) => match shared.known(&question, Transport::Tcp)? {
                Known::Answer(answer) => answer,
                Known::Ask(name) => shared.resolve(&question, &name, Transport::Tcp)?,
            },
            Err(Some(answer)) => answer,
            Err(None) => return Ok(()),
        };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], &answer].concat())?;
    }
}
