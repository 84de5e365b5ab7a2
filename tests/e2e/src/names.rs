//! A name server that says what a test wants, and remembers what it was asked.

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What it says of one name.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Says {
    /// These addresses: to a question for IPv4 or IPv6 those of that kind.
    Addresses(Vec<IpAddr>),
    /// To the first question for a kind the first of these, to the next the next, and the last from then on.
    InTurn(Vec<IpAddr>),
    /// These names, each an alias of the next, and the addresses of the last.
    Aliases(Vec<&'static str>, Vec<IpAddr>),
    /// By UDP that it is too long, by TCP these addresses.
    Truncated(Vec<IpAddr>),
    /// These addresses, after a while.
    Late(Duration, Vec<IpAddr>),
    /// An answer to another question first, which names the first address, then the rest.
    Forged(IpAddr, Vec<IpAddr>),
    /// Records of another name only, with these addresses.
    OfAnother(Vec<IpAddr>),
    /// There is no such name.
    NoName,
    /// It cannot say.
    Failed,
    /// Nothing.
    Nothing,
}

impl Says {
    /// [`Says::Addresses`] of texts.
    ///
    /// # Panics
    ///
    /// When one is no address.
    pub fn at(addresses: &[&str]) -> Self {
        Self::Addresses(addresses_of(addresses))
    }
}

/// Addresses out of texts.
fn addresses_of(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap_or_else(|error| panic!("`{text}`: {error}"))).collect()
}

#[derive(Debug)]
struct Zone {
    says: HashMap<String, Says>,
    asked: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// One on UDP and TCP, until it is dropped. A name that it knows nothing of does not exist.
#[derive(Debug)]
pub struct NameServer {
    zone: Arc<Zone>,
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

/// How often threads look whether they shall end.
const LOOK: Duration = Duration::from_millis(20);

impl NameServer {
    /// Where [`NameServer::start`]s one in an [`Internet`](crate::Internet).
    pub const ADDRESS: &'static str = "9.9.9.9:53";

    /// At [`NameServer::ADDRESS`].
    ///
    /// # Panics
    ///
    /// When it cannot listen there.
    pub fn start(zone: &[(&str, Says)]) -> Self {
        Self::at(Self::ADDRESS, zone)
    }

    /// On `address`; port 0 is one of the kernel's choice.
    ///
    /// # Panics
    ///
    /// When it cannot listen there.
    pub fn at(address: &str, zone: &[(&str, Says)]) -> Self {
        let streams = TcpListener::bind(address).unwrap_or_else(|error| panic!("cannot listen on {address}: {error}"));
        let address = streams.local_addr().expect("its address");
        let datagrams = UdpSocket::bind(address).unwrap_or_else(|error| panic!("cannot bind {address}: {error}"));
        datagrams.set_read_timeout(Some(LOOK)).expect("it is set");
        streams.set_nonblocking(true).expect("it is set");
        let says = zone.iter().map(|(name, says)| ((*name).to_owned(), says.clone())).collect();
        let zone = Arc::new(Zone { says, asked: Mutex::default(), stop: AtomicBool::new(false) });
        let (first, second) = (Arc::clone(&zone), Arc::clone(&zone));
        let threads = vec![
            std::thread::spawn(move || serve_datagrams(&first, &datagrams)),
            std::thread::spawn(move || serve_streams(&second, &streams)),
        ];
        Self { zone, address, threads }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked, in order: `images.example.com A udp`.
    ///
    /// # Panics
    ///
    /// When it panicked.
    pub fn asked(&self) -> Vec<String> {
        self.zone.asked.lock().expect("no panic").clone()
    }

    /// The names that it was asked for, each once, sorted.
    pub fn names_asked(&self) -> Vec<String> {
        let first = |question: &String| question.split(' ').next().unwrap_or_default().to_owned();
        let mut names: Vec<String> = self.asked().iter().map(first).collect();
        names.sort();
        names.dedup();
        names
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.zone.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

fn serve_datagrams(zone: &Arc<Zone>, socket: &UdpSocket) {
    let mut bytes = [0; 4096];
    while !zone.stop.load(Ordering::Acquire) {
        let Ok((length, from)) = socket.recv_from(&mut bytes) else { continue };
        let (late, answers) = zone.answer(&bytes[..length], "udp");
        let socket = socket.try_clone().expect("a descriptor can be duplicated");
        let send = move || {
            std::thread::sleep(late);
            for answer in answers {
                drop(socket.send_to(&answer, from));
            }
        };
        if late.is_zero() {
            send();
        } else {
            drop(std::thread::spawn(send));
        }
    }
}

fn serve_streams(zone: &Arc<Zone>, listener: &TcpListener) {
    while !zone.stop.load(Ordering::Acquire) {
        match listener.accept() {
            Ok((stream, _)) => {
                let zone = Arc::clone(zone);
                drop(std::thread::spawn(move || drop(serve_stream(&zone, stream))));
            }
            Err(_) => std::thread::sleep(LOOK),
        }
    }
}

/// Source: RFC 7766: each message behind its length, as two bytes.
fn serve_stream(zone: &Zone, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut bytes)?;
        let (late, answers) = zone.answer(&bytes, "tcp");
        std::thread::sleep(late);
        for answer in answers {
            let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
            stream.write_all(&[&length.to_be_bytes()[..], &answer].concat())?;
        }
    }
}

impl Zone {
    /// After how long to answer, and what.
    fn answer(&self, bytes: &[u8], transport: &str) -> (Duration, Vec<Vec<u8>>) {
        let question = Message::from_vec(bytes).expect("Lazaret asks well-formed questions");
        let [query] = question.queries.as_slice() else { panic!("Lazaret asks one question at a time") };
        let name = query.name().to_ascii().trim_end_matches('.').to_owned();
        let before = {
            let mut asked = self.asked.lock().expect("no panic");
            let text = format!("{name} {} {transport}", query.query_type());
            let before = asked.iter().filter(|other| **other == text).count();
            asked.push(text);
            before
        };
        let id = question.metadata.id;
        let mut late = Duration::ZERO;
        let plain = |addresses: &[IpAddr]| answer(id, query, ResponseCode::NoError, records(query.name(), addresses));
        let code = |code| answer(id, query, code, Vec::new());
        let messages = match self.says.get(&name).unwrap_or(&Says::NoName) {
            Says::Addresses(addresses) => vec![plain(addresses)],
            Says::InTurn(addresses) => {
                let of_kind: Vec<IpAddr> = addresses.iter().copied().filter(|ip| is_of(query, *ip)).collect();
                vec![plain(of_kind.get(before).or(of_kind.last()).map_or(&[], std::slice::from_ref))]
            }
            Says::Aliases(names, addresses) => {
                let mut all = vec![query.name().clone()];
                all.extend(names.iter().map(|name| Name::from_ascii(format!("{name}.")).expect("a name")));
                let alias = |pair: &[Name]| {
                    Record::from_rdata(pair[0].clone(), 60, RData::CNAME(rdata::CNAME(pair[1].clone())))
                };
                let mut found: Vec<Record> = all.windows(2).map(alias).collect();
                found.extend(records(&all[all.len() - 1], addresses));
                vec![answer(id, query, ResponseCode::NoError, found)]
            }
            Says::Truncated(_) if transport == "udp" => {
                let mut cut = code(ResponseCode::NoError);
                cut.metadata.truncation = true;
                vec![cut]
            }
            Says::Truncated(addresses) => vec![plain(addresses)],
            Says::Late(patience, addresses) => {
                late = *patience;
                vec![plain(addresses)]
            }
            Says::Forged(forged, addresses) => {
                let other = id.wrapping_add(1);
                vec![answer(other, query, ResponseCode::NoError, records(query.name(), &[*forged])), plain(addresses)]
            }
            Says::OfAnother(addresses) => {
                let other = Name::from_ascii("other.example.").expect("a name");
                vec![answer(id, query, ResponseCode::NoError, records(&other, addresses))]
            }
            Says::NoName => vec![code(ResponseCode::NXDomain)],
            Says::Failed => vec![code(ResponseCode::ServFail)],
            Says::Nothing => Vec::new(),
        };
        (late, messages.iter().map(|message| message.to_vec().expect("it can be encoded")).collect())
    }
}

fn is_of(query: &Query, ip: IpAddr) -> bool {
    ip.is_ipv4() == (query.query_type() == RecordType::A)
}

fn answer(id: u16, query: &Query, code: ResponseCode, records: Vec<Record>) -> Message {
    let mut message = Message::response(id, OpCode::Query);
    message.metadata.response_code = code;
    message.metadata.recursion_desired = true;
    message.metadata.recursion_available = true;
    message.add_query(query.clone());
    let wanted = |record: &Record| match record.data {
        RData::A(_) => query.query_type() == RecordType::A,
        RData::AAAA(_) => query.query_type() == RecordType::AAAA,
        _ => true,
    };
    message.add_answers(records.into_iter().filter(wanted).collect::<Vec<_>>());
    message
}

fn records(name: &Name, addresses: &[IpAddr]) -> Vec<Record> {
    let record = |address: &IpAddr| match address {
        IpAddr::V4(address) => Record::from_rdata(name.clone(), 60, RData::A(rdata::A(*address))),
        IpAddr::V6(address) => Record::from_rdata(name.clone(), 60, RData::AAAA(rdata::AAAA(*address))),
    };
    addresses.iter().map(record).collect()
}
