//! A server for streams that does what a test wants, and remembers who came.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// One that listens until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    visits: Arc<Mutex<Vec<SocketAddr>>>,
    open: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// How often the thread looks whether it shall end.
const LOOK: Duration = Duration::from_millis(5);
/// How long a stream may be silent.
const SILENCE: Duration = Duration::from_secs(20);

impl Server {
    /// On `address`, with `serve` for each connection, on a thread of its own; the connection is closed when it returns.
    /// `[::]:80` is port 80 of every address, of IPv4 too.
    ///
    /// # Panics
    ///
    /// When it cannot listen there.
    pub fn start(address: &str, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("cannot listen on {address}: {error}"));
        listener.set_nonblocking(true).expect("it is set");
        let address = listener.local_addr().expect("its address");
        let mut server =
            Self { address, visits: Arc::default(), open: Arc::default(), stop: Arc::default(), thread: None };
        let (visits, open, stop) = (Arc::clone(&server.visits), Arc::clone(&server.open), Arc::clone(&server.stop));
        let serve = Arc::new(serve);
        let accept = move || {
            while !stop.load(Ordering::Acquire) {
                let Ok((stream, _)) = listener.accept() else {
                    std::thread::sleep(LOOK);
                    continue;
                };
                stream.set_nonblocking(false).expect("it is set");
                stream.set_read_timeout(Some(SILENCE)).expect("it is set");
                let to = stream.local_addr().expect("its address");
                visits.lock().expect("no panic").push(SocketAddr::new(to.ip().to_canonical(), to.port()));
                open.fetch_add(1, Ordering::AcqRel);
                let (open, serve) = (Arc::clone(&open), Arc::clone(&serve));
                drop(std::thread::spawn(move || {
                    serve(stream);
                    open.fetch_sub(1, Ordering::AcqRel);
                }));
            }
        };
        server.thread = Some(std::thread::spawn(accept));
        server
    }

    /// One that says `text` to whoever comes.
    ///
    /// # Panics
    ///
    /// As [`Server::start`].
    pub fn saying(address: &str, text: &'static str) -> Self {
        Self::start(address, move |mut stream| drop(stream.write_all(text.as_bytes())))
    }

    /// One that sends back what it gets.
    ///
    /// # Panics
    ///
    /// As [`Server::start`].
    pub fn echo(address: &str) -> Self {
        Self::start(address, |stream| {
            let mut to = stream.try_clone().expect("a descriptor can be duplicated");
            drop(std::io::copy(&mut &stream, &mut to));
        })
    }

    /// One of HTTP/1.1 that answers every request with `body`.
    ///
    /// # Panics
    ///
    /// As [`Server::start`].
    pub fn http(address: &str, body: &'static str) -> Self {
        Self::start(address, move |stream| drop(serve_http(&stream, &|_| Some(body.as_bytes().to_vec()))))
    }

    /// One of HTTP/1.1 that gives out the files below `root`.
    ///
    /// # Panics
    ///
    /// As [`Server::start`].
    pub fn files(address: &str, root: &Path) -> Self {
        let root = root.to_owned();
        Self::start(address, move |stream| drop(serve_http(&stream, &|path| fs::read(file(&root, path)).ok())))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The addresses at which it was found, one for each connection, in order.
    ///
    /// # Panics
    ///
    /// When it panicked.
    pub fn visits(&self) -> Vec<String> {
        self.visits.lock().expect("no panic").iter().map(|at| at.ip().to_string()).collect()
    }

    /// How many connections are open that it knows of.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn file(root: &Path, path: &str) -> PathBuf {
    let path = path.split('?').next().unwrap_or_default();
    root.join(path.trim_start_matches('/'))
}

fn serve_http(stream: &TcpStream, content: &dyn Fn(&str) -> Option<Vec<u8>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut closes = request.ends_with("HTTP/1.0\r\n");
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line == "\r\n" {
                break;
            }
            closes |= line.eq_ignore_ascii_case("connection: close\r\n");
        }
        let path = request.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match content(path) {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", Vec::new()),
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
        let mut writer = stream;
        writer.write_all(head.as_bytes())?;
        if !request.starts_with("HEAD ") {
            writer.write_all(&body)?;
        }
        if closes {
            return Ok(());
        }
    }
}
