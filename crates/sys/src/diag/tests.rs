use super::*;
use rustix::net::sockopt::socket_cookie;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

fn pair() -> (TcpStream, TcpStream, Name) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (local, remote) = (socket.local_addr().unwrap(), socket.peer_addr().unwrap());
    let name = Name { local, remote, interface: 0, cookie: socket_cookie(&socket).unwrap() };
    (socket, listener.accept().unwrap().0, name)
}

/// The news of the socket `cookie`, if it comes within a second.
fn end(ends: &mut Ends, cookie: u64) -> Option<Figures> {
    let deadline = Instant::now() + Duration::from_secs(1);
    while Instant::now() < deadline {
        match ends.read().unwrap() {
            Some(News::Destroyed(figures)) if figures.cookie == cookie => return Some(figures),
            Some(_) => {}
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    None
}

#[test]
fn a_socket_is_found_by_its_addresses_and_cookie_and_no_other_way() {
    let (socket, _peer, name) = pair();
    let mut diag = Diag::open().unwrap();
    assert_eq!(diag.ask(&name).unwrap(), Found::Open(figures(socket.as_fd()).unwrap()));
    assert_eq!(diag.ask(&Name { cookie: name.cookie + (1 << 32), ..name }).unwrap(), Found::Nothing);
    assert_eq!(diag.ask(&Name { interface: 1, ..name }).unwrap(), diag.ask(&name).unwrap());
    let elsewhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    assert_eq!(diag.ask(&Name { remote: elsewhere, ..name }).unwrap(), Found::Nothing);
}

#[test]
fn the_socket_of_a_mapped_address_is_found_as_either_family() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port)).unwrap();
    let (local, remote) = (socket.local_addr().unwrap(), socket.peer_addr().unwrap());
    let mapped = Name { local, remote, interface: 0, cookie: socket_cookie(&socket).unwrap() };
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let mut diag = Diag::open().unwrap();
    assert!(local.is_ipv6());
    assert!(matches!(diag.ask(&mapped).unwrap(), Found::Open(_)));
    assert!(matches!(
        diag.ask(&Name { local: plain(local), remote: plain(remote), ..mapped }).unwrap(),
        Found::Open(_)
    ));
}

#[test]
fn a_socket_that_waits_for_late_segments_has_no_figures_but_its_end_was_told() {
    let mut ends = Ends::open(1 << 20).unwrap();
    ends.all().unwrap();
    let (socket, peer, name) = pair();
    drop(socket);
    drop(peer);
    let last = end(&mut ends, name.cookie).unwrap();
    // Its SYN and its FIN, which are no bytes.
    assert_eq!((last.sent, last.acknowledged, last.state), (0, 2, 7));
    assert_eq!(Diag::open().unwrap().ask(&name).unwrap(), Found::Remainder(6));
}

#[test]
fn only_the_ends_that_were_asked_for_are_told() {
    let mut ends = Ends::open(1 << 20).unwrap();
    let (first, second) = (pair(), pair());
    let cookies = (first.2.cookie, second.2.cookie);
    ends.only([u32::try_from(cookies.1 & 0xffff_ffff).unwrap()]).unwrap();
    drop((first, second));
    assert!(end(&mut ends, cookies.1).is_some());
    assert!(end(&mut ends, cookies.0).is_none());
}
