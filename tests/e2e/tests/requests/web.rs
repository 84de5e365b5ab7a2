//! Servers of HTTP, in the clear and within TLS of a test's own authority.

#![allow(dead_code, reason = "each test program uses its own part")]

use lazaret_e2e::{Runner, Server};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// The organization of the authority's name.
pub(crate) const ORGANIZATION: &str = "A test's authority";

/// An authority of a test's own, which nobody believes who is not told to.
#[derive(Debug)]
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a server's certificate is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worth {
    Good,
    Expired,
    SelfSigned,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut own = CertificateParams::default();
        own.distinguished_name = DistinguishedName::new();
        own.distinguished_name.push(DnType::OrganizationName, ORGANIZATION);
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = own.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(own, key) }
    }

    /// Its certificate, in a file of the user's: the line of `[net]` that has it believed.
    pub(crate) fn trusted(&self, runner: &Runner) -> String {
        format!("trust = [{:?}]\n", runner.put("authority.pem", &self.pem))
    }

    fn tls(&self, names: &[&str], worth: Worth) -> Arc<ServerConfig> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut leaf = CertificateParams::new(names).expect("names");
        leaf.distinguished_name = DistinguishedName::new();
        if worth == Worth::Expired {
            leaf.not_before = (SystemTime::now() - Duration::from_secs(7200)).into();
            leaf.not_after = (SystemTime::now() - Duration::from_secs(3600)).into();
        }
        let key = KeyPair::generate().expect("a key");
        let signed =
            if worth == Worth::SelfSigned { leaf.self_signed(&key) } else { leaf.signed_by(&key, &self.issuer) };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(vec![signed.expect("a certificate").into()], key);
        Arc::new(config.expect("the key is the certificate's"))
    }
}

/// What a server answers.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// What `Content-Length` says; `None`: what it is.
    length: Option<usize>,
}

impl Answer {
    pub(crate) fn of(body: impl Into<Vec<u8>>) -> Self {
        Self { status: "200 OK", headers: Vec::new(), body: body.into(), length: None }
    }

    pub(crate) fn status(status: &'static str) -> Self {
        Self { status, ..Self::of("") }
    }

    pub(crate) fn to(location: &str) -> Self {
        Self::status("302 Found").header("Location", location)
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The head says that the body has so many bytes.
    pub(crate) fn announcing(self, length: usize) -> Self {
        Self { length: Some(length), ..self }
    }
}

type Respond = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

/// A server of HTTP/1.1 that remembers what it was asked.
#[derive(Debug)]
pub(crate) struct Web {
    pub(crate) server: Server,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// In the clear. `respond` gets the target.
    pub(crate) fn http(address: &str, respond: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, respond): (_, Respond) = (Arc::clone(&asked), Arc::new(respond));
        Self { server: Server::start(address, move |stream| drop(serve(stream, &seen, &respond))), asked }
    }

    /// Within TLS, with a certificate for `names`.
    pub(crate) fn https(
        address: &str,
        (authority, names, worth): (&Authority, &[&str], Worth),
        respond: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, respond): (_, Respond) = (Arc::clone(&asked), Arc::new(respond));
        let tls = authority.tls(names, worth);
        let serve = move |stream| {
            let connection = ServerConnection::new(Arc::clone(&tls)).expect("a good configuration");
            drop(serve(StreamOwned::new(connection, stream), &seen, &respond));
        };
        Self { server: Server::start(address, serve), asked }
    }

    /// What it was asked, in order: `GET /v1/status?of=all api.example.com`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

fn serve(stream: impl Read + Write, asked: &Mutex<Vec<String>>, respond: &Respond) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (mut host, mut length, mut chunked) = (String::new(), 0u64, false);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 || line == "\r\n" {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "host" => value.trim().clone_into(&mut host),
                "content-length" => length = value.trim().parse().unwrap_or_default(),
                "transfer-encoding" => chunked = true,
                _ => {}
            }
        }
        asked.lock().expect("no panic").push(format!("{method} {target} {host}"));
        if chunked {
            skip_chunks(&mut stream)?;
        } else {
            std::io::copy(&mut (&mut stream).take(length), &mut std::io::sink())?;
        }
        let answer = respond(&target);
        let mut head = format!("HTTP/1.1 {}\r\n", answer.status);
        for (name, value) in &answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", answer.length.unwrap_or(answer.body.len()));
        let to = stream.get_mut();
        to.write_all(head.as_bytes())?;
        if method != "HEAD" {
            to.write_all(&answer.body)?;
        }
        to.flush()?;
        if answer.length.is_some() {
            return Ok(());
        }
    }
}

fn skip_chunks(stream: &mut impl std::io::BufRead) -> std::io::Result<()> {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim(), 16).unwrap_or_default();
        // The chunk and the end of its line.
        std::io::copy(&mut stream.by_ref().take(length + 2), &mut std::io::sink())?;
        if length == 0 {
            return Ok(());
        }
    }
}
