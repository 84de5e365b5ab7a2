//! `attack outside DIRECTORY NAME`: a process of the host, with all that a process has that others might be after.
//!
//! It tells first, on one line, where everything is; then, a line each, whatever reaches it. To a line on its standard
//! input it answers with the state of its memory. It ends with its input.

use std::fs::File;
use std::io::{BufRead, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::call::{Errno, Result, ignore, sys};
use crate::descriptors;
use crate::files;

/// The word that attacks on memory change.
static WORD: AtomicU64 = AtomicU64::new(0x6c61_7a61_7265_7421);

#[expect(clippy::print_stdout, reason = "the lines are the program's output")]
fn tell(line: &str) {
    println!("{line}");
}

/// Reads what one peer has to say.
fn hear(kind: &str, mut peer: impl Read) {
    let mut text = [0_u8; 256];
    let length = peer.read(&mut text).unwrap_or_default();
    tell(&format!("heard {kind} {}", String::from_utf8_lossy(&text[..length])));
}

/// Runs until its standard input ends.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let [directory, name] = args else { return Err(Errno(libc::EINVAL)) };
    // SAFETY: numbers only: this ends when the harness does.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let secret = std::env::var("ESCAPE_SECRET").unwrap_or_default();
    let held = File::open(format!("{directory}/secret"))?;

    serve_tcp("127.0.0.1:0", "tcp").map(|port| tell(&format!("port={port}")))?;
    // A host may be without IPv6.
    let port6 = serve_tcp("[::1]:0", "tcp6").unwrap_or(9);
    let udp = UdpSocket::bind("127.0.0.1:0")?;
    let udp_port = udp.local_addr()?.port();
    std::thread::spawn(move || {
        let mut text = [0_u8; 256];
        while let Ok((length, _)) = udp.recv_from(&mut text) {
            tell(&format!("heard udp {}", String::from_utf8_lossy(&text[..length])));
        }
    });
    serve_unix(directory, name)?;
    give(directory, name, &held)?;

    let segment = segment(&secret)?;
    tell(&format!("port6={port6}"));
    tell(&format!("udp={udp_port}"));
    tell(&format!("segment={segment}"));
    tell(&format!("pid={}", std::process::id()));
    tell(&format!("descriptor={}", held.as_raw_fd()));
    tell(&format!("word={}", WORD.as_ptr().addr()));
    tell(&format!("memory={}", secret.as_ptr().addr()));
    tell("ready");

    for line in std::io::stdin().lock().lines() {
        line?;
        tell(&format!("state {:x}", WORD.load(Ordering::Relaxed)));
    }
    Ok(())
}

fn serve_tcp(address: &str, kind: &'static str) -> Result<u16> {
    let listener = TcpListener::bind(address)?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        while let Ok((peer, _)) = listener.accept() {
            // A peer that says nothing has come in all the same.
            ignore(peer.set_read_timeout(Some(Duration::from_secs(1))));
            hear(kind, peer);
        }
    });
    Ok(port)
}

fn serve_unix(directory: &str, name: &str) -> Result<()> {
    let path = format!("{directory}/socket");
    let named = SocketAddr::from_abstract_name(name)?;
    let listeners = [("abstract", UnixListener::bind_addr(&named)?), ("path", UnixListener::bind(&path)?)];
    files::open_to_all(path.as_ref())?;
    for (kind, listener) in listeners {
        std::thread::spawn(move || {
            while let Ok((peer, _)) = listener.accept() {
                ignore(peer.set_read_timeout(Some(Duration::from_secs(1))));
                hear(kind, peer);
            }
        });
    }
    let datagrams = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(format!("{name}-datagram"))?)?;
    std::thread::spawn(move || {
        let mut text = [0_u8; 256];
        while let Ok(length) = datagrams.recv(&mut text) {
            tell(&format!("heard datagram {}", String::from_utf8_lossy(&text[..length])));
        }
    });
    Ok(())
}

/// Gives the descriptor of the secret to everybody who connects.
fn give(directory: &str, name: &str, held: &File) -> Result<()> {
    let path = format!("{directory}/giver");
    let named = SocketAddr::from_abstract_name(format!("{name}-giver"))?;
    let listeners = [UnixListener::bind_addr(&named)?, UnixListener::bind(&path)?];
    files::open_to_all(path.as_ref())?;
    for listener in listeners {
        let held = held.try_clone()?;
        std::thread::spawn(move || {
            while let Ok((mut peer, _)) = listener.accept() {
                tell("heard giver a request");
                ignore(descriptors::send(peer.as_raw_fd(), held.as_raw_fd()));
                // Stay until the peer has gone: what is on its way would be lost.
                ignore(peer.set_read_timeout(Some(Duration::from_secs(1))));
                ignore(peer.flush().and_then(|()| peer.read(&mut [0])));
            }
        });
    }
    Ok(())
}

/// A System V segment that says the secret. It is removed at once, which on Linux leaves it to its users and to
/// everybody who knows its number.
fn segment(secret: &str) -> Result {
    let id = sys!(shmget, libc::IPC_PRIVATE, 4096, 0o666)?;
    let address = sys!(shmat, id, 0, 0)?;
    sys!(shmctl, id, libc::IPC_RMID, 0)?;
    // SAFETY: a segment of 4096 bytes, and a secret that is much shorter; the rest is zeros.
    unsafe { std::ptr::copy_nonoverlapping(secret.as_ptr(), address as *mut u8, secret.len().min(4000)) };
    Ok(id)
}

/// Where the file system of `path` shows a file, as `open-by-handle` takes it.
pub(crate) fn handle(path: &str) -> Result<()> {
    tell(&files::handle(path)?);
    Ok(())
}

/// The names of all probes.
pub(crate) fn list(names: impl Iterator<Item = &'static str>) {
    names.for_each(tell);
}
