use crate::{Runner, skip};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The host on which jobs run: two addresses, and all else is beyond one link.
const NEAR: &str = "link set lo up
link set near address 02:00:00:00:00:02 up
address add 192.0.2.2/24 dev near
address add fd00::2/64 dev near nodad
neighbour add 192.0.2.1 lladdr 02:00:00:00:00:01 dev near
neighbour add fd00::1 lladdr 02:00:00:00:00:01 dev near
route add default via 192.0.2.1
route add ::/0 via fd00::1
route add unreachable 198.51.100.0/24";

/// All else: every address is local here, but that of the host, and of a range in which nobody answers.
const FAR: &str = "link set lo up
link set far address 02:00:00:00:00:01 up
address add 192.0.2.1/24 dev far
address add fd00::1/64 dev far nodad
neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev far
neighbour add fd00::2 lladdr 02:00:00:00:00:02 dev far
route add local 0.0.0.0/0 dev lo
route add local ::/0 dev lo
route add 192.0.2.2 dev far table local
route add fd00::2 dev far table local
route add blackhole 203.0.113.0/24 table local";

/// Two network namespaces: of a host on which jobs run, and of the Internet beyond it, in which every address is local. So
/// servers of a test stand for any host, at any port, beside those of other tests; and a packet that should not have been
/// sent arrives where it is seen.
#[derive(Debug)]
pub struct Internet {
    host: Holder,
}

impl Internet {
    /// An address in whose network nobody answers.
    pub const SILENT: &'static str = "203.0.113.9";
    /// An address to which the host has no way.
    pub const UNREACHABLE: &'static str = "198.51.100.9";
    /// The host's own addresses.
    pub const HOST: [&'static str; 2] = ["192.0.2.2", "fd00::2"];

    /// Runs `test` in the Internet, on a thread of its own: what that thread starts, threads and processes, is there too;
    /// what `runner` starts is on the host. Says so and does nothing where the tests do not run as root.
    ///
    /// # Panics
    ///
    /// When it cannot be made, and as `test` does.
    pub fn with(runner: Runner, test: impl FnOnce(&Runner, &Self) + Send) {
        if !std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0) {
            skip("only root can make a network namespace for the test");
            return;
        }
        let name = std::thread::current().name().map(str::to_owned);
        std::thread::scope(|scope| {
            let builder = name.into_iter().fold(std::thread::Builder::new(), std::thread::Builder::name);
            let thread = builder.spawn_scoped(scope, || {
                let internet = Self::make();
                let runner = runner.within(internet.host.namespace());
                test(&runner, &internet);
            });
            if let Err(panic) = thread.expect("a thread can be started").join() {
                std::panic::resume_unwind(panic);
            }
        });
    }

    /// Makes both, and moves this thread.
    fn make() -> Self {
        let host = Holder::start("");
        let beyond = Holder::start(&format!(
            "ip link add far type veth peer name near netns {pid}
            ip -batch - <<'END'\n{FAR}\nEND
            nsenter --net=/proc/{pid}/ns/net ip -batch - <<'END'\n{NEAR}\nEND\n",
            pid = host.0.id(),
        ));
        let internet = Self { host };
        enter(&beyond.namespace());
        internet
    }

    /// Does `work` on the host, in its network alone.
    ///
    /// # Panics
    ///
    /// As `work` does.
    pub fn on_the_host<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter(&self.host.namespace());
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

fn enter(namespace: &PathBuf) {
    let namespace = File::open(namespace).expect("a child's namespace");
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("root can enter it");
}

/// A process that holds a network namespace of its own.
#[derive(Debug)]
struct Holder(Child);

impl Holder {
    /// One that has run `script` in it.
    fn start(script: &str) -> Self {
        let script = format!("set -e\n{script}\necho ready\nread end");
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = Self(command.spawn().expect("unshare can be started"));
        let mut said = String::new();
        BufReader::new(holder.0.stdout.take().expect("a pipe")).read_line(&mut said).expect("text");
        assert_eq!(said, "ready\n", "a network namespace with routes can be made by unshare and ip");
        holder
    }

    fn namespace(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.0.id()).into()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Its input ends, and so does it.
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}
