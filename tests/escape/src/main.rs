//! `attack NAME \[ARGUMENTS\]`: programs that each try one thing which a sandbox has to prevent.
//!
//! They are Lazaret's own regression corpus: the harness in `tests/corpus` runs them inside the jail, where none may
//! work, and outside of it, where they do. An attack that believes it worked prints `ESCAPED` and how, and exits with
//! 0; otherwise it prints `blocked` and the errors it met, and exits with 1. What counts is what is seen outside.

#![expect(unsafe_code, reason = "an attack makes calls that no safe wrapper would let it make")]
#![expect(clippy::cast_possible_truncation, reason = "the kernel's structures have the widths that they have")]

mod abi;
mod arena;
mod bombs;
mod call;
mod child;
mod descriptors;
mod files;
mod host;
mod kernel;
mod liveness;
mod mounts;
mod namespaces;
mod network;
mod outcome;
mod outside;
mod privileges;
mod processes;
mod pseudo_terminal;
mod sockets;
mod terminal;
mod within;

use std::process::ExitCode;

use outcome::{Arguments, Named};

const THEMES: &[&[Named]] = &[
    files::PROBES,
    processes::PROBES,
    kernel::PROBES,
    mounts::PROBES,
    namespaces::PROBES,
    terminal::PROBES,
    sockets::PROBES,
    descriptors::PROBES,
    abi::PROBES,
    privileges::PROBES,
    bombs::PROBES,
    liveness::PROBES,
    host::PROBES,
];

fn probes() -> impl Iterator<Item = &'static Named> {
    THEMES.iter().copied().flatten()
}

/// Those that the corpus has a row for, and those on the network.
fn named(name: &str) -> Option<&'static Named> {
    probes().chain(network::probes()).find(|(known, _)| *known == name)
}

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    // What comes behind it marks the process for the harness, and means nothing to a probe.
    if let Some(tag) = words.iter().position(|word| word == "--tag")
        && words.iter().position(|word| word == "--").is_none_or(|end| tag < end)
    {
        words.drain(tag..words.len().min(tag + 2));
    }
    if words.is_empty() {
        return usage("no attack is named");
    }
    let name = words.remove(0);
    let done = match name.as_str() {
        "list" => {
            outside::list(probes().map(|(name, _)| *name));
            Ok(0)
        }
        "list-network" => {
            outside::list(network::probes().map(|(name, _)| *name));
            Ok(0)
        }
        "arena" => arena::run(&words),
        "outside" => outside::run(&words).map(|()| 0),
        "within" => within::run(&words),
        "in-turn" => Ok(in_turn(&words)),
        "side-by-side" => side_by_side(&words),
        "make-capable" => privileges::make_capable(words.first().map_or("", String::as_str)).map(|_| 0),
        "end" => Ok(processes::end(words.first().map_or("", String::as_str))),
        "handle" => outside::handle(words.first().map_or("", String::as_str)).map(|()| 0),
        _ => match named(&name) {
            Some((_, probe)) => return probe(&Arguments::new(words)).tell(),
            None => return usage(&format!("there is no attack `{name}`")),
        },
    };
    match done {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(125)),
        Err(errno) => usage(&format!("{name}: {errno}")),
    }
}

/// Starts an attack that is given as a line.
fn start(line: &str) -> call::Result<child::Child> {
    let mut command = vec!["/proc/self/exe".to_owned()];
    command.extend(line.split(' ').map(str::to_owned));
    child::fork(|| within::exec(&command))
}

/// Runs several attacks, one after the other; gives the last's status.
fn in_turn(lines: &[String]) -> i32 {
    let mut status = 125;
    for line in lines {
        status = start(line).and_then(child::Child::wait).map_or(125, within::status);
    }
    status
}

/// Runs the second attack while the first runs; gives the second's status.
fn side_by_side(lines: &[String]) -> call::Result<i32> {
    let [first, second] = lines else { return Err(call::Errno(libc::EINVAL)) };
    let first = start(first)?;
    child::nap(300);
    let status = start(second)?.wait().map(within::status);
    first.end();
    status
}

#[expect(clippy::print_stderr, reason = "messages go there")]
fn usage(problem: &str) -> ExitCode {
    eprintln!("attack: error: {problem}\n\nhint: `attack list` names the attacks");
    ExitCode::from(125)
}
