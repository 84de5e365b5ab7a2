//! What happens around a probe while it runs.

use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

use crate::stage::Stage;

/// Tries to come in where a probe listens, for as long as it does. `args` are an abstract name and a port.
pub(crate) fn come_in(stage: &Stage<'_>, args: &[String]) -> bool {
    let start = Instant::now();
    let [name, port] = args else { return false };
    let port = port.parse().unwrap_or_default();
    while start.elapsed() < Duration::from_millis(1300) {
        let named = SocketAddr::from_abstract_name(name);
        if named.and_then(|name| UnixStream::connect_addr(&name)).is_ok()
            || TcpStream::connect(("127.0.0.1", port)).is_ok()
        {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
        // The probe's process may be hard to see from here; it ends by itself.
        if start.elapsed() > Duration::from_millis(600) && stage.processes().is_empty() {
            return false;
        }
    }
    false
}

/// Waits until a process of the run is `attack NAME`.
pub(crate) fn wait_for_process(stage: &Stage<'_>, name: &str) -> Result<(), String> {
    let start = Instant::now();
    let wanted = format!("attack {name} --tag");
    while start.elapsed() < Duration::from_secs(10) {
        // Not the surroundings or the sandbox, which have the words on their command lines too.
        let runs = |process: &String| {
            let first = process.split_once('(').map_or("", |(_, line)| line);
            first.split(' ').next().is_some_and(|program| program.ends_with("/attack"))
                && first.contains(&wanted)
                && !first.contains(" -- ")
        };
        if stage.processes().iter().any(runs) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err("the job does not start".to_owned())
}
