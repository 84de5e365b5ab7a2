//! Good and hostile pictures, uploaded on loopback.

use lazaret::Spawner;
use lazaret_example_thumbnails::{picture, server};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// An answer: its status, its head, its body.
type Answer = (u16, String, Vec<u8>);

/// Starts the server and runs `test` against it.
fn with_server(test: impl FnOnce(SocketAddr)) {
    let spawner = Spawner::start().expect("a spawner");
    let server = server(&spawner).expect("the decoder can be sandboxed");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_io().build().expect("a runtime");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let serving = runtime.spawn(async move { axum::serve(listener, server).await });
    test(address);
    assert!(!serving.is_finished(), "the server lives");
}

fn upload(address: SocketAddr, path: &str, picture: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", picture.len());
    stream.write_all(head.as_bytes()).expect("the server reads");
    stream.write_all(picture).expect("the server reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the server answers");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer has a head");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head, answer[end + 4..].to_vec())
}

fn assert_good(address: SocketAddr) {
    let (status, head, body) = upload(address, "/thumbnail", &picture(300, 200).expect("it can be made"));

    assert_eq!(status, 200, "{head}\n{}", String::from_utf8_lossy(&body));
    assert!(head.contains("picture-width: 300") && head.contains("picture-height: 200"), "{head}");
    assert_eq!((&body[..4], &body[8..12]), (&b"RIFF"[..], &b"WEBP"[..]));
}

#[test]
fn a_picture_becomes_a_thumbnail() {
    with_server(assert_good);
}

#[test]
fn hostile_pictures_are_refused_and_the_server_goes_on() {
    with_server(|address| {
        let good = picture(300, 200).expect("it can be made");
        let truncated = &good[..good.len() / 2];
        // Its head claims 16384 by 16384 pixels: 14 bits each, behind a byte of signature.
        let mut claims = good.clone();
        claims[21..25].copy_from_slice(&0x0fff_ffff_u32.to_le_bytes());
        let flipped: Vec<u8> =
            good.iter().enumerate().map(|(at, byte)| if at > 30 { byte ^ 0x55 } else { *byte }).collect();
        for (name, hostile) in [
            ("nothing", &[][..]),
            ("text", b"hello"),
            ("truncated", truncated),
            ("huge", &claims),
            ("flipped", &flipped),
        ] {
            let (status, _, body) = upload(address, "/thumbnail", hostile);

            assert!((400..500).contains(&status), "{name}: {status} {}", String::from_utf8_lossy(&body));
            assert_good(address);
        }
    });
}

#[test]
fn c_code_that_crashes_is_an_answer_and_the_server_goes_on() {
    with_server(|address| {
        for _ in 0..3 {
            let (status, _, body) = upload(address, "/crash", &picture(300, 200).expect("it can be made"));

            assert_eq!(status, 422);
            assert!(String::from_utf8_lossy(&body).contains("SIGSEGV"), "{}", String::from_utf8_lossy(&body));
        }
        assert_good(address);
    });
}
