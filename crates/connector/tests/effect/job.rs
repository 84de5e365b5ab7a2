//! The job's side: a connector, and connections that end at it.

use crate::outside::Outside;
use lazaret_connector::{Authority, Bounds, Connector, Intended, Log, Setup, Tally, Trust};
use lazaret_egress::{Host, RequestRule};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A job with a connector.
pub(crate) struct Job {
    pub(crate) connector: Connector,
    pub(crate) pem: String,
    pub(crate) tally: Arc<Tally>,
}

/// An answer of HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn rules(texts: &[&str]) -> Vec<RequestRule> {
    texts.iter().map(|text| text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))).collect()
}

pub(crate) fn intended(host: &str, port: u16) -> Intended {
    Intended { host: Host::parse(host).expect("a host"), port }
}

/// What a job with these rules has, whose every connection goes to `outside`.
pub(crate) fn setup(texts: &[&str], outside: &Outside) -> Setup {
    let address = outside.address;
    Setup {
        rules: rules(texts),
        authority: Authority::new(&rules(texts), HOUR).expect("an authority"),
        trust: Trust::default().with_pem(outside.root.as_bytes()).expect("a certificate"),
        tally: Arc::default(),
        bounds: Bounds::default(),
        dial: Arc::new(move |_, _| TcpStream::connect(address)),
        before_forward: Arc::new(|_, _| Ok(())),
    }
}

pub(crate) fn job(texts: &[&str], outside: &Outside, tweak: impl FnOnce(&mut Setup)) -> Job {
    let mut setup = setup(texts, outside);
    tweak(&mut setup);
    let (pem, tally) = (setup.authority.pem().to_owned(), setup.tally.clone());
    Job { connector: Connector::start(setup).expect("a connector"), pem, tally }
}

/// Both ends of a connection.
pub(crate) fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let own = TcpStream::connect(listener.local_addr().expect("loopback")).expect("loopback");
    own.set_read_timeout(Some(Duration::from_secs(20))).expect("loopback");
    own.set_write_timeout(Some(Duration::from_secs(20))).expect("loopback");
    (own, listener.accept().expect("loopback").0)
}

impl Job {
    pub(crate) fn connect(&self, host: &str, port: u16) -> TcpStream {
        let (own, other) = pair();
        self.connector.take(other, intended(host, port)).expect("it is taken");
        own
    }

    /// How the job speaks TLS.
    pub(crate) fn client(&self, alpn: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("it is well formed"))
            .expect("it is well formed");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("it is well formed")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }

    /// TLS for the server `name` on a connection to `host`; the handshake comes with the first byte.
    pub(crate) fn tls(&self, host: &str, port: u16, name: &str) -> StreamOwned<ClientConnection, TcpStream> {
        self.tls_with(self.client(&["http/1.1"]), host, port, name)
    }

    pub(crate) fn tls_with(
        &self,
        config: ClientConfig,
        host: &str,
        port: u16,
        name: &str,
    ) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from(name.to_owned()).expect("a certificate");
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("loopback"), self.connect(host, port))
    }

    /// Asks in the clear.
    pub(crate) fn ask(&self, host: &str, port: u16, request: &str) -> Answer {
        ask(self.connect(host, port), request)
    }

    /// Ends it; all is well with it.
    pub(crate) fn finish(self) -> Log {
        self.connector.finish().expect("it ends well")
    }

    /// Waits for the log to be as wanted.
    pub(crate) fn wait(&self, is_so: impl Fn(&Log) -> bool) -> Log {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let log = self.connector.log();
            if is_so(&log) || Instant::now() > until {
                return log;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Sends `request`, whose answer ends with the connection.
pub(crate) fn ask(mut stream: impl Read + Write, request: &str) -> Answer {
    // Who refuses may close before all was sent.
    stream.write_all(request.as_bytes()).ok();
    answer(stream)
}

pub(crate) fn answer(mut stream: impl Read) -> Answer {
    let mut bytes = Vec::new();
    if let Err(e) = read_all(&mut stream, &mut bytes) {
        assert!(!bytes.is_empty(), "no answer: {e}");
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

pub(crate) fn read_all(stream: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut piece = [0; 16 << 10];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(len) => bytes.extend_from_slice(&piece[..len]),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

/// A request of HTTP/1.1 without a body, after which the connection ends.
pub(crate) fn get(host: &str, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

/// A server outside that answers as `serve` does, once per connection, and notes what it read.
pub(crate) fn raw(
    serve: impl Fn(TcpStream, &Mutex<Vec<u8>>) + Send + Sync + 'static,
) -> (Outside, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let outside = Outside {
        address: listener.local_addr().expect("loopback"),
        root: crate::outside::tls(crate::outside::Tls::Good, &[]).1,
        seen: Arc::default(),
        accepted: Arc::default(),
        read: Arc::default(),
    };
    let read: Arc<Mutex<Vec<u8>>> = Arc::default();
    let (noted, accepted, serve) = (read.clone(), outside.accepted.clone(), Arc::new(serve));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            *accepted.lock().expect("nobody panicked") += 1;
            let (noted, serve) = (noted.clone(), serve.clone());
            std::thread::spawn(move || serve(stream, &noted));
        }
    });
    (outside, read)
}

/// What comes by one read.
pub(crate) fn piece(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = [0; 4096];
    let len = stream.read(&mut bytes).expect("loopback");
    bytes[..len].to_vec()
}
