//! Every profile on real files with the real programs of Debian's packages, started as root and as an ordinary user.
//! Judged by what came out, and by what did not.

#[path = "profiles/ffmpeg.rs"]
mod ffmpeg;
#[path = "profiles/imagemagick.rs"]
mod imagemagick;
#[path = "profiles/libreoffice.rs"]
mod libreoffice;
#[path = "profiles/node.rs"]
mod node;
#[path = "profiles/policies.rs"]
mod policies;
#[path = "profiles/poppler.rs"]
mod poppler;
#[path = "profiles/pure.rs"]
mod pure;
#[path = "profiles/python.rs"]
mod python;
#[path = "profiles/shell.rs"]
mod shell;
#[path = "profiles/without_namespaces.rs"]
mod without_namespaces;

use lazaret_e2e::{Ran, Runner, fixture};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// A file in `tests/fixtures/profiles`.
fn material(name: &str) -> PathBuf {
    fixture("profiles").join(name)
}

/// A large photograph of the package gnome-backgrounds.
fn wallpaper() -> Option<PathBuf> {
    let directory = Path::new("/usr/share/backgrounds/gnome");
    let mut found: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "webp" || kind == "jpg"))
        .filter(|path| path.metadata().is_ok_and(|metadata| metadata.len() > 500_000))
        .collect();
    found.sort();
    if found.is_empty() {
        lazaret_e2e::skip("there is no picture in /usr/share/backgrounds/gnome: install gnome-backgrounds");
    }
    found.into_iter().next()
}

/// A server on the host's loopback that nobody should reach, and does not wait for anybody.
fn server() -> (TcpListener, SocketAddr) {
    let server = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    server.set_nonblocking(true).expect("a socket can be set");
    let address = server.local_addr().expect("a bound socket has an address");
    (server, address)
}

/// The program did its work, and nothing that it asked of the kernel was refused.
#[track_caller]
fn assert_well_behaved(ran: &Ran) {
    assert_eq!((ran.report.kind(), ran.status), ("ok", Some(0)), "{ran}");
    assert!(ran.report.refused().is_empty(), "{ran}");
}

/// The program failed by itself, with a verdict that says so, and left no output.
#[track_caller]
fn assert_failed_without(output: &str, runner: &Runner, ran: &Ran) {
    let kind = ran.report.kind();
    assert!(matches!(kind, "exit" | "signal" | "output-missing"), "{ran}");
    assert_ne!(ran.status, Some(0), "{ran}");
    assert!(!runner.path(output).exists(), "{output} is there: {ran}");
}

/// A program outside the jail, as a control or to prepare, did its work.
#[track_caller]
fn assert_done(ran: &Ran) {
    assert_eq!(ran.status, Some(0), "{ran}");
}
