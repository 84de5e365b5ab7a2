//! A server of one file on loopback, for who fetches it.

use anyhow::{Context, Result};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Serves until it is dropped.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    pub(super) fn start(file: &Path) -> Result<Self> {
        let body = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
        let address = listener.local_addr()?;
        let ends = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let body = Arc::new(body);
            for client in listener.incoming().flatten() {
                if ending.load(Ordering::SeqCst) {
                    return;
                }
                let body = Arc::clone(&body);
                std::thread::spawn(move || answer(client, &body));
            }
        });
        Ok(Self { address, ends, thread: Some(thread) })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // It looks once somebody comes.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            drop(thread.join());
        }
    }
}

/// Whatever was asked for. Who hangs up gets nothing.
fn answer(mut client: TcpStream, body: &[u8]) {
    let Ok(reading) = client.try_clone() else { return };
    let mut lines = BufReader::new(reading.take(64 << 10)).lines();
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let written = client.write_all(head.as_bytes()).and_then(|()| client.write_all(body));
    if written.is_err() {}
}
