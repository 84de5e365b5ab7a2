//! What an open through the broker costs: the median of many, against as many without.
//!
//! `cargo run --release -p lazaret-broker --example open_cost [-- OPENS]`. The program is its own job: it runs itself
//! without and with the broker in turns, so that both see the same machine.

use lazaret_broker::files::{
    Access, Exec, Files, Identity, Memory, Outcome, Outside, Processes, Root, Setting, Taken, calls,
};
use lazaret_broker::{Caller, Together};
use lazaret_filter::{Action, Arch, Backend, Call, Filter, Rule, table};
use lazaret_inspect::Reader;
use lazaret_sys::observed::{self, Command};
use lazaret_sys::seccomp::{self, Answer};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use std::error::Error;
use std::ffi::CString;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

const ROUNDS: usize = 5;

/// How the broker makes the calls.
#[derive(Clone)]
struct Scene {
    identity: Identity,
    /// Whose ids its thread has all the time.
    taken: Option<Identity>,
    memory: Memory,
}

/// The first word of the arguments of the job.
const JOB: &str = "job";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some(JOB) => job(&arguments[2], arguments[3].parse()?, arguments[4].parse()?),
        opens => compare(opens.unwrap_or("20000")),
    }
}

/// Opens the file so often and tells the median in nanoseconds.
#[expect(clippy::print_stdout, reason = "it is what the example is for")]
fn job(path: &str, opens: usize, flags: u32) -> Result<(), Box<dyn Error>> {
    let mut took = Vec::with_capacity(opens);
    for _ in 0..opens {
        let began = Instant::now();
        let file = rustix::fs::open(path, OFlags::from_bits_retain(flags), Mode::empty());
        took.push(began.elapsed());
        drop(file);
    }
    took.sort_unstable();
    println!("{}", took[opens / 2].as_nanos());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is what the example is for")]
fn compare(opens: &str) -> Result<(), Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("open-cost-{}", std::process::id()));
    std::fs::create_dir_all(directory.join("one/two"))?;
    std::fs::write(directory.join("one/two/file"), "")?;
    std::os::unix::fs::symlink("two/file", directory.join("one/link"))?;
    let uid = rustix::process::geteuid();
    let own = Scene { identity: Identity::Own, taken: None, memory: Memory::Direct };
    let bounded = Scene { memory: Memory::Bounded, ..own.clone() };
    let mut scenes = vec![("as this user", own.clone()), ("its memory read with a bound", bounded)];
    if uid.is_root() {
        let job = Identity::Job { uid: 65534, gid: 65534, groups: Vec::new() };
        scenes.push(("as the job's user", Scene { identity: job.clone(), ..own.clone() }));
        scenes.push(("as the job's user, once for all", Scene { taken: Some(job), ..own }));
    }
    let absolute = |name: &str| directory.join(name).to_string_lossy().into_owned();
    let none = absolute("one/two/none");
    let cases = [
        ("absolute path", absolute("one/two/file"), OFlags::CLOEXEC),
        ("relative path", "one/two/file".to_owned(), OFlags::CLOEXEC),
        ("a link at its end", absolute("one/link"), OFlags::CLOEXEC),
        ("..", absolute("one/two/../two/file"), OFlags::CLOEXEC),
        ("what is not there", none, OFlags::CLOEXEC),
    ];
    for (scene_name, scene) in scenes {
        for (case, path, flags) in &cases {
            let arguments = [JOB, path, opens, &flags.bits().to_string()];
            let mut native = Vec::new();
            let mut brokered = Vec::new();
            for _ in 0..ROUNDS {
                native.push(run(&directory, &arguments, None)?);
                brokered.push(run(&directory, &arguments, Some(&scene))?);
            }
            native.sort_unstable();
            brokered.sort_unstable();
            let (native, brokered) = (native[ROUNDS / 2], brokered[ROUNDS / 2]);
            println!(
                "{scene_name}, {case}: native {native} ns, brokered {brokered} ns, more {} ns",
                brokered.saturating_sub(native)
            );
        }
    }
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

fn place(path: &std::path::Path) -> Result<OwnedFd, rustix::io::Errno> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

/// Runs the job, and makes its calls where it has somebody to be made them for. Without, the filter is there too.
fn run(directory: &std::path::Path, arguments: &[&str], scene: Option<&Scene>) -> Result<u128, Box<dyn Error>> {
    let own = std::env::current_exe()?;
    let program = CString::new(own.as_os_str().as_encoded_bytes())?;
    let mut texts = vec![program.clone()];
    for argument in arguments {
        texts.push(CString::new(*argument)?);
    }
    let texts: Vec<&std::ffi::CStr> = texts.iter().map(CString::as_c_str).collect();
    let null = File::open("/dev/null")?;
    let mut output =
        File::options().read(true).write(true).create(true).truncate(true).open(directory.join("output"))?;
    let started = observed::start(&Command {
        program: &program,
        arguments: &texts,
        environment: &[],
        directory: place(directory)?.as_fd(),
        streams: [null.as_fd(), output.as_fd(), null.as_fd()],
        filter: &filter(scene.is_some())?,
        ruleset: None,
    })?;
    seccomp::wake_in_place(started.listener.as_fd());
    let read = Access { read: true, write: false, execute: false };
    let mut roots = Vec::new();
    for path in ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null"].map(std::path::Path::new) {
        if path.exists() {
            roots.push(Root { guest: path.to_path_buf(), place: place(path)?, access: read });
        }
    }
    roots.push(Root { guest: directory.to_path_buf(), place: place(directory)?, access: read });
    let mut files = Files::new(Setting {
        tree: place(std::path::Path::new("/"))?,
        roots,
        outside: Outside::Absent,
        exec: Exec::Refused,
        identity: scene.map_or(Identity::Own, |scene| scene.identity.clone()),
        processes: Processes::Own,
        memory: scene.map_or(Memory::Direct, |scene| scene.memory),
    })?;
    let mut reader = Reader::default();
    let mut together = Together::default();
    let taken = scene.and_then(|scene| scene.taken.as_ref()).map(Identity::take).transpose()?;
    loop {
        let mut events = [PollFd::new(&started.listener, PollFlags::IN), PollFd::new(&started.process, PollFlags::IN)];
        poll(&mut events, None)?;
        if !events[0].revents().contains(PollFlags::IN) {
            break;
        }
        let Some(notification) = seccomp::receive(started.listener.as_fd())? else { continue };
        if files.takes(notification.number) && i64::from(notification.number) != execve() {
            let caller = Caller::new(started.listener.as_fd(), &notification);
            let call = Call { audit_arch: notification.arch, nr: notification.number, args: notification.args };
            if let Outcome::Reply(reply) = files.make(&caller, &mut reader, &call)?.outcome {
                together.answer(&caller, reply)?;
            }
        } else {
            seccomp::answer(started.listener.as_fd(), notification.id, Answer::Continue)?;
        }
    }
    taken.map_or(Ok(()), Taken::give_back)?;
    lazaret_sys::wait::reap(started.pid)?;
    let mut told = String::new();
    output.rewind()?;
    output.read_to_string(&mut told)?;
    Ok(told.trim().parse().map_err(|e| format!("`{told}`: {e}"))?)
}

fn execve() -> i64 {
    let number = Arch::native().and_then(|arch| table::number(arch, "execve"));
    number.map_or(-1, i64::from)
}

fn filter(brokered: bool) -> Result<Vec<u8>, Box<dyn Error>> {
    let arch = Arch::native().ok_or("no table for this machine")?;
    let mut filter = Filter::new(Action::Allow);
    for name in calls().filter(|name| brokered || *name == "execve").chain(["fchdir"]) {
        if table::number(arch, name).is_some() {
            filter = filter.rule(Rule::parse(name)?, Action::Refuse(1));
        }
    }
    Ok(filter.compile(arch, Backend::Supervised)?.as_bytes())
}
