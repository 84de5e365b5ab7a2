use super::*;
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::{RData, Record, rdata};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

fn name(text: &str) -> Name {
    match Host::parse(text) {
        Ok(Host::Name(name)) => name,
        other => panic!("{other:?}"),
    }
}

/// What a server does with a question.
#[derive(Clone, Copy)]
enum Does {
    Answers(u8),
    Says(ResponseCode),
    CutsOff,
    Forges,
    KeepsSilent,
}

fn answer(question: &[u8], does: Does) -> Option<Vec<u8>> {
    let mut answer = Message::from_vec(question).expect("a question");
    answer.metadata.message_type = MessageType::Response;
    let own = answer.queries[0].name().clone();
    match does {
        Does::Answers(_) | Does::Forges => {
            let last = if let Does::Answers(last) = does { last } else { 66 };
            answer.add_answer(Record::from_rdata(own, 60, RData::A(rdata::A::new(192, 0, 2, last))));
        }
        Does::Says(code) => answer.metadata.response_code = code,
        Does::CutsOff => answer.metadata.truncation = true,
        Does::KeepsSilent => return None,
    }
    if let Does::Forges = does {
        answer.metadata.id = answer.metadata.id.wrapping_add(1);
    }
    answer.edns = None;
    Some(answer.to_vec().expect("it can be encoded"))
}

/// A name server on loopback, that counts its questions. By TCP it answers.
/// Sockets of one port. What is free by UDP may be somebody's by TCP.
fn both() -> Option<(UdpSocket, TcpListener, SocketAddr)> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let address = socket.local_addr().expect("it is bound");
    TcpListener::bind(address).ok().map(|listener| (socket, listener, address))
}

fn server(does: Vec<Does>) -> (SocketAddr, Arc<AtomicU32>) {
    let (socket, listener, address) = (0..100).find_map(|_| both()).expect("a port that is free by UDP and by TCP");
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        let mut bytes = [0; 2000];
        while let Ok((len, from)) = socket.recv_from(&mut bytes) {
            count.fetch_add(1, Ordering::SeqCst);
            for answer in does.iter().filter_map(|does| answer(&bytes[..len], *does)) {
                socket.send_to(&answer, from).expect("loopback");
            }
        }
    });
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut len = [0; 2];
            stream.read_exact(&mut len).expect("a length");
            let mut question = vec![0; usize::from(u16::from_be_bytes(len))];
            stream.read_exact(&mut question).expect("a question");
            let answer = answer(&question, Does::Answers(7)).expect("an answer");
            let len = u16::try_from(answer.len()).expect("it is short").to_be_bytes();
            // Slowly: byte by byte.
            for byte in len.iter().chain(&answer) {
                stream.write_all(&[*byte]).expect("a reader");
            }
        }
    });
    (address, asked)
}

fn upstream(servers: Vec<SocketAddr>) -> Upstream {
    Upstream::of_texts("", "192.0.2.80 own.example own\n").with_servers(servers, 2, Duration::from_millis(200))
}

fn resolve(upstream: &Upstream, text: &str) -> Result<Vec<String>, ResolveError> {
    let deadline = Instant::now() + Duration::from_secs(5);
    let resolved = upstream.resolve(&name(text), Wants::V4, deadline)?;
    Ok(resolved.addresses.iter().map(IpAddr::to_string).collect())
}

#[test]
fn a_name_is_asked_for_and_answered() {
    let (address, _) = server(vec![Does::Answers(5)]);

    assert_eq!(resolve(&upstream(vec![address]), "images.example.com"), Ok(vec!["192.0.2.5".to_owned()]));
}

#[test]
fn names_of_the_host_and_of_loopback_are_known_without_a_question() {
    let (address, asked) = server(vec![Does::Answers(5)]);
    let upstream = upstream(vec![address]);

    let found = ["own", "OWN.example", "localhost", "a.localhost"].map(|text| resolve(&upstream, text));

    assert_eq!(
        found.map(Result::unwrap),
        ["192.0.2.80", "192.0.2.80", "127.0.0.1", "127.0.0.1"].map(|address| vec![address.to_owned()])
    );
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[test]
fn forged_answers_are_passed_over() {
    let (address, _) = server(vec![Does::Forges, Does::Forges, Does::Answers(5)]);

    assert_eq!(resolve(&upstream(vec![address]), "images.example.com"), Ok(vec!["192.0.2.5".to_owned()]));
}

#[test]
fn an_answer_that_was_cut_off_is_had_by_tcp() {
    let (address, _) = server(vec![Does::CutsOff]);

    assert_eq!(resolve(&upstream(vec![address]), "images.example.com"), Ok(vec!["192.0.2.7".to_owned()]));
}

#[test]
fn the_next_server_is_asked_when_one_is_silent_fails_or_is_not_there() {
    let (silent, _) = server(vec![Does::KeepsSilent]);
    let (failing, _) = server(vec![Does::Says(ResponseCode::ServFail)]);
    let (good, _) = server(vec![Does::Answers(5)]);
    let gone = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("loopback");

    assert_eq!(
        resolve(&upstream(vec![silent, failing, gone, good]), "images.example.com"),
        Ok(vec!["192.0.2.5".to_owned()])
    );
}

#[test]
fn that_there_is_no_such_name_is_an_answer() {
    let (address, asked) = server(vec![Does::Says(ResponseCode::NXDomain)]);

    assert_eq!(
        resolve(&upstream(vec![address, address]), "none.example"),
        Err(ResolveError::NoName(name("none.example")))
    );
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn servers_that_are_down_are_an_error_in_bounded_time() {
    let (silent, asked) = server(vec![Does::KeepsSilent]);
    let (failing, _) = server(vec![Does::Says(ResponseCode::Refused)]);
    let begun = Instant::now();

    let timed_out = resolve(&upstream(vec![silent]), "images.example.com");
    let failed = resolve(&upstream(vec![failing]), "images.example.com");
    let too_late = upstream(vec![silent]).resolve(&name("images.example.com"), Wants::V4, Instant::now());

    assert_eq!(timed_out, Err(ResolveError::TimedOut(name("images.example.com"))));
    assert_eq!(
        failed.map_err(|e| e.to_string()),
        Err("no name server could say where `images.example.com` is: 127.0.0.1 refused or failed".to_owned())
    );
    assert_eq!(too_late, Err(ResolveError::TimedOut(name("images.example.com"))));
    assert_eq!(asked.load(Ordering::SeqCst), 2, "each attempt asks once");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_hosts_files_are_read_as_the_c_library_does() {
    let resolv = "# generated\nnameserver 192.0.2.53 # first\nnameserver bad\nnameserver 2001:db8::53\n; x\nsearch example\noptions timeout:99 attempts:3 rotate ndots:2\nnameserver 192.0.2.54\nnameserver 192.0.2.55\n";

    let upstream = Upstream::of_texts(resolv, "127.0.0.1 localhost\nbad line\n::1 ip6-localhost # x y\n");

    let servers: Vec<String> = upstream.servers.iter().map(SocketAddr::to_string).collect();
    assert_eq!(servers, ["192.0.2.53:53", "[2001:db8::53]:53", "192.0.2.54:53"]);
    assert_eq!((upstream.timeout, upstream.attempts, upstream.hosts.len()), (Duration::from_secs(30), 3, 2));
    assert_eq!(Upstream::of_texts("", "").servers.len(), 1, "as resolv.conf(5) says, this host itself");
}
