use crate::skip;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};

/// Every address is this host's, but of two ranges: one to which there is no way, and one in which nobody answers.
const ROUTES: &str = "set -e
ip link set lo up
ip route add local 0.0.0.0/0 dev lo
ip -6 route add local ::/0 dev lo
ip route add unreachable 198.51.100.0/24
ip link add out type veth peer name far
ip link set out up
ip route add 203.0.113.0/24 dev out src 127.0.0.1
echo ready
read end";

/// A network namespace in which every address is local, so that servers of a test stand for any host of the Internet, at
/// any port, beside those of other tests. Whoever is asked for is a listener of the test's, or nobody: a packet that
/// should not have been sent arrives where it is seen.
#[derive(Debug)]
pub struct Internet(());

impl Internet {
    /// An address in whose network nobody answers.
    pub const SILENT: &'static str = "203.0.113.9";
    /// An address to which there is no way.
    pub const UNREACHABLE: &'static str = "198.51.100.9";

    /// Runs `test` in one, on a thread of its own: what that thread starts, threads and processes, is in it too. Says so
    /// and does nothing where the tests do not run as root.
    ///
    /// # Panics
    ///
    /// When it cannot be made, and as `test` does.
    pub fn of_its_own(test: impl FnOnce(&Self) + Send) {
        if !std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0) {
            skip("only root can make a network namespace for the test");
            return;
        }
        let name = std::thread::current().name().map(str::to_owned);
        std::thread::scope(|scope| {
            let builder = name.into_iter().fold(std::thread::Builder::new(), std::thread::Builder::name);
            let thread = builder.spawn_scoped(scope, || {
                enter();
                test(&Self(()));
            });
            if let Err(panic) = thread.expect("a thread can be started").join() {
                std::panic::resume_unwind(panic);
            }
        });
    }
}

/// Moves this thread into a namespace that another process made.
fn enter() {
    let mut maker = Maker::start();
    let mut said = String::new();
    BufReader::new(maker.0.stdout.take().expect("a pipe")).read_line(&mut said).expect("text");
    assert_eq!(said, "ready\n", "a network namespace with routes can be made by unshare and ip");
    let namespace = File::open(format!("/proc/{}/ns/net", maker.0.id())).expect("a child's namespace");
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("root can enter it");
}

/// A process that holds the namespace until somebody else does.
struct Maker(Child);

impl Maker {
    fn start() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", ROUTES]).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(command.spawn().expect("unshare can be started"))
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        // Its input ends, and so does it.
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}
