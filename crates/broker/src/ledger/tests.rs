use super::*;
use rustix::net::sockopt as option;
use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::thread;

const NONE: Budget = Budget { sent: None, received: None, time_per_connection: None };
const ID: ConnectionId = ConnectionId(1);
const MEGABYTES: usize = 10_000_000;

/// The job's end and the peer's.
fn pair_at(address: impl std::net::ToSocketAddrs) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(address).unwrap();
    let job = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (job, listener.accept().unwrap().0)
}

fn pair() -> (TcpStream, TcpStream) {
    pair_at((Ipv4Addr::LOCALHOST, 0))
}

fn open(ledger: &mut Ledger, id: ConnectionId, job: &TcpStream) {
    let ends = (job.local_addr().unwrap(), job.peer_addr().unwrap());
    ledger.opened(id, job.as_fd(), ends, Instant::now()).unwrap();
}

fn kept(budget: Budget, job: &TcpStream) -> Ledger {
    let mut ledger = Ledger::new(budget);
    open(&mut ledger, ID, job);
    ledger
}

/// Looks as a supervisor does, until `wanted` is told.
fn look_until(ledger: &mut Ledger, wanted: Change) -> Vec<Change> {
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut all = Vec::new();
    while !all.contains(&wanted) {
        assert!(Instant::now() < deadline, "not told of {wanted:?}, but of {all:?}");
        let due = ledger.due().unwrap_or(deadline).min(deadline);
        wait(ledger.descriptor().unwrap(), due).unwrap();
        let now = Instant::now();
        let is_due = ledger.due().is_some_and(|due| due <= now);
        all.extend(if is_due { ledger.look(now).unwrap() } else { ledger.hear(now).unwrap() });
    }
    all
}

fn exchange(mut job: &TcpStream, mut peer: &TcpStream, sent: usize, received: usize) {
    thread::scope(|scope| {
        scope.spawn(move || peer.write_all(&vec![1; received]).unwrap());
        scope.spawn(move || peer.read_exact(&mut vec![0; sent]).unwrap());
        scope.spawn(move || job.write_all(&vec![1; sent]).unwrap());
        job.read_exact(&mut vec![0; received]).unwrap();
    });
}

fn carried(ledger: &Ledger, id: ConnectionId) -> (u64, u64, bool) {
    let account = ledger.account(id).unwrap();
    (account.sent, account.received, account.exact)
}

#[test]
fn a_ledger_can_be_kept_here() {
    assert_eq!(supported(), Ok(()));
}

#[test]
fn what_a_connection_that_the_job_closes_carried_is_known_to_the_byte() {
    for address in [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), (Ipv6Addr::LOCALHOST, 0).into()] {
        let (job, peer) = pair_at(address);
        let mut ledger = kept(NONE, &job);
        exchange(&job, &peer, MEGABYTES, MEGABYTES);
        ledger.look(Instant::now()).unwrap();
        assert_eq!(carried(&ledger, ID), (10_000_000, 10_000_000, false));
        drop(job);
        look_until(&mut ledger, Change::Closed(ID));
        assert_eq!(carried(&ledger, ID), (10_000_000, 10_000_000, true));
        assert_eq!(ledger.sums(), (10_000_000, 10_000_000));
        assert_eq!(ledger.due(), None);
    }
}

#[test]
fn the_end_of_the_peers_stream_is_no_byte_where_a_look_saw_it() {
    let (job, peer) = pair();
    let mut ledger = kept(NONE, &job);
    exchange(&job, &peer, 1000, 500);
    drop(peer);
    assert_eq!((&job).read(&mut [0]).unwrap(), 0);
    ledger.look(Instant::now()).unwrap();
    drop(job);
    look_until(&mut ledger, Change::Closed(ID));
    assert_eq!(carried(&ledger, ID), (1000, 500, true));
}

#[test]
fn a_connection_of_which_no_look_was_taken_is_known_to_a_byte() {
    let (job, peer) = pair();
    let mut ledger = kept(NONE, &job);
    exchange(&job, &peer, 1000, 500);
    drop(peer);
    assert_eq!((&job).read(&mut [0]).unwrap(), 0);
    drop(job);
    look_until(&mut ledger, Change::Closed(ID));
    assert_eq!(carried(&ledger, ID), (1000, 501, true));
}

#[test]
fn a_half_closed_connection_is_open_and_receives() {
    let (job, peer) = pair();
    let mut ledger = kept(NONE, &job);
    job.shutdown(Shutdown::Write).unwrap();
    exchange(&job, &peer, 0, 70_000);
    thread::sleep(GRACE);
    assert_eq!(ledger.look(Instant::now()).unwrap(), []);
    assert_eq!(carried(&ledger, ID), (0, 70_000, false));
    assert!(ledger.account(ID).unwrap().closed.is_none());
}

#[test]
fn a_connection_that_was_reset_while_the_job_holds_it_can_be_settled() {
    let (job, peer) = pair();
    let mut ledger = kept(NONE, &job);
    (&job).write_all(&[1; 4000]).unwrap();
    drop(peer);
    let told = look_until(&mut ledger, Change::Held(ID));
    assert_eq!(told, [Change::Held(ID)]);
    assert!(ledger.settle(ID, job.as_fd(), Instant::now()).unwrap());
    assert_eq!(carried(&ledger, ID), (4000, 0, true));
}

#[test]
fn a_connection_that_was_reset_is_exact_when_the_job_lets_go() {
    let (job, peer) = pair();
    let mut ledger = kept(NONE, &job);
    (&job).write_all(&[1; 4000]).unwrap();
    drop(peer);
    look_until(&mut ledger, Change::Held(ID));
    drop(job);
    look_until(&mut ledger, Change::Closed(ID));
    assert_eq!(carried(&ledger, ID), (4000, 0, true));
}

#[test]
fn a_connection_shut_down_both_ways_and_held_is_told_as_held() {
    let (job, mut peer) = pair();
    let mut ledger = kept(NONE, &job);
    (&job).write_all(&[1; 4000]).unwrap();
    job.shutdown(Shutdown::Both).unwrap();
    peer.read_to_end(&mut Vec::new()).unwrap();
    drop(peer);
    look_until(&mut ledger, Change::Held(ID));
    assert!(ledger.settle(ID, job.as_fd(), Instant::now()).unwrap());
    assert_eq!(carried(&ledger, ID), (4000, 1, true));
}

#[test]
fn another_socket_does_not_settle_a_connection() {
    let (job, _peer) = pair();
    let mut ledger = kept(NONE, &job);
    let (other, _its) = pair();
    assert!(matches!(ledger.settle(ID, other.as_fd(), Instant::now()), Err(LedgerError::Unknown(ID))));
}

#[test]
fn a_job_cannot_hide_a_connection_by_binding_it_to_an_interface() {
    let (job, peer) = pair();
    let mut ledger = kept(Budget { sent: Some(100_000), ..NONE }, &job);
    lazaret_sys::socket::bind_to_interface(job.as_fd(), "lo").unwrap();
    exchange(&job, &peer, 200_000, 0);
    let told = look_until(&mut ledger, Change::Passed(Passed::Sent));
    assert_eq!(told, [Change::Passed(Passed::Sent)]);
}

#[test]
fn a_disconnected_socket_takes_nothing_off_the_account() {
    let (job, peer) = pair();
    let mut ledger = kept(NONE, &job);
    exchange(&job, &peer, 5000, 5000);
    ledger.look(Instant::now()).unwrap();
    rustix::net::connect_unspec(&job).unwrap();
    drop(job);
    look_until(&mut ledger, Change::Closed(ID));
    assert_eq!(carried(&ledger, ID), (5000, 5000, false));
}

#[test]
fn a_socket_that_is_connected_again_adds_to_the_account() {
    let (job, peer) = pair();
    let mut ledger = kept(NONE, &job);
    exchange(&job, &peer, 5000, 5000);
    ledger.look(Instant::now()).unwrap();
    rustix::net::connect_unspec(&job).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    rustix::net::connect(&job, &listener.local_addr().unwrap()).unwrap();
    let peer = listener.accept().unwrap().0;
    exchange(&job, &peer, 30, 0);
    drop(job);
    look_until(&mut ledger, Change::Closed(ID));
    assert_eq!(carried(&ledger, ID), (5030, 5000, false));
}

#[test]
fn three_hundred_connections_at_once_are_all_exact() {
    let mut ledger = Ledger::new(NONE);
    let ids: Vec<_> = (0..300).map(ConnectionId).collect();
    let pairs: Vec<_> = ids.iter().map(|_| pair()).collect();
    for (id, (job, _)) in ids.iter().zip(&pairs) {
        open(&mut ledger, *id, job);
    }
    for (job, peer) in &pairs {
        exchange(job, peer, 3000, 7000);
    }
    drop(pairs);
    for id in &ids {
        if !ledger.account(*id).unwrap().exact {
            look_until(&mut ledger, Change::Closed(*id));
        }
    }
    assert!(ids.iter().all(|id| matches!(carried(&ledger, *id), (3000, 7000 | 7001, true))));
    assert!(matches!(ledger.sums(), (900_000, 2_100_000..=2_100_300)));
}

#[test]
fn news_is_heard_without_asking_about_the_others() {
    let mut ledger = Ledger::new(NONE);
    let ((job, peer), (other, its)) = (pair(), pair());
    open(&mut ledger, ID, &job);
    open(&mut ledger, ConnectionId(2), &other);
    exchange(&other, &its, 1000, 0);
    option::set_socket_linger(&job, Some(Duration::ZERO)).unwrap();
    drop((job, peer));
    wait(ledger.descriptor().unwrap(), Instant::now() + Duration::from_secs(5)).unwrap();
    assert_eq!(ledger.hear(Instant::now()).unwrap(), [Change::Closed(ID)]);
    assert_eq!(carried(&ledger, ConnectionId(2)), (0, 0, false));
}

#[test]
fn lost_news_is_told_and_what_is_not_known_is_not_called_exact() {
    let mut ledger = Ledger { room: 1, ..Ledger::new(NONE) };
    let pairs: Vec<_> = (0..100).map(|id| (ConnectionId(id), pair())).collect();
    for (id, (job, peer)) in &pairs {
        open(&mut ledger, *id, job);
        exchange(job, peer, 300, 0);
    }
    ledger.look(Instant::now()).unwrap();
    for (_, (job, _)) in &pairs {
        option::set_socket_linger(job, Some(Duration::ZERO)).unwrap();
    }
    let mut others = Ends::open(ROOM).unwrap();
    others.only(ledger.open.keys().copied().map(low)).unwrap();
    drop(pairs);
    // Until all of it has been told, some to nobody.
    for _ in 0..100 {
        while others.read().unwrap().is_none() {
            wait(others.socket(), Instant::now() + Duration::from_secs(5)).unwrap();
        }
    }
    assert!(ledger.look(Instant::now()).unwrap().contains(&Change::Lost));
    let accounts = ledger.finish(Instant::now()).unwrap();
    assert!(accounts.iter().any(|(_, account)| !account.exact));
    assert!(accounts.iter().all(|(_, account)| account.sent == 300));
}

#[test]
fn the_end_of_anothers_connection_wakes_nobody() {
    let (job, _peer) = pair();
    let ledger = kept(NONE, &job);
    drop(pair());
    let socket = PollFd::from_borrowed_fd(ledger.descriptor().unwrap(), PollFlags::IN);
    let a_while = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
    assert_eq!(poll(&mut [socket], Some(&a_while)).unwrap(), 0);
}

#[test]
fn bytes_received_past_the_budget_are_told_once() {
    let (job, peer) = pair();
    let mut ledger = kept(Budget { received: Some(10_000), ..NONE }, &job);
    exchange(&job, &peer, 50_000, 10_000);
    assert_eq!(ledger.look(Instant::now()).unwrap(), []);
    exchange(&job, &peer, 0, 1);
    assert_eq!(ledger.look(Instant::now()).unwrap(), [Change::Passed(Passed::Received)]);
    assert_eq!(ledger.look(Instant::now()).unwrap(), []);
}

#[test]
fn a_budget_is_of_all_connections_together() {
    let mut ledger = Ledger::new(Budget { sent: Some(5000), ..NONE });
    for id in 0..2 {
        let (job, peer) = pair();
        open(&mut ledger, ConnectionId(id), &job);
        exchange(&job, &peer, 2501, 0);
        drop(job);
        look_until(&mut ledger, Change::Closed(ConnectionId(id)));
    }
    assert_eq!(ledger.told, (true, false));
}

#[test]
fn a_connection_that_lasts_too_long_is_told() {
    let (job, _peer) = pair();
    let mut ledger = kept(Budget { time_per_connection: Some(Duration::from_millis(30)), ..NONE }, &job);
    assert_eq!(ledger.look(Instant::now()).unwrap(), []);
    look_until(&mut ledger, Change::Passed(Passed::Time(ID)));
    assert!(ledger.account(ID).unwrap().opened.elapsed() >= Duration::from_millis(30));
}

#[test]
fn what_the_kernel_still_sends_for_a_dead_job_is_not_exact() {
    let (job, _peer) = pair();
    let mut ledger = kept(NONE, &job);
    job.set_nonblocking(true).unwrap();
    while (&job).write(&[1; 65_536]).is_ok() {}
    drop(job);
    let accounts = ledger.finish(Instant::now()).unwrap();
    assert!(!accounts[0].1.exact);
    assert!(accounts[0].1.closed.is_none());
}

#[test]
fn at_the_end_of_a_job_the_news_of_its_last_connections_is_waited_for() {
    let (job, peer) = pair();
    let mut ledger = kept(NONE, &job);
    exchange(&job, &peer, 100, 0);
    drop(peer);
    assert_eq!((&job).read(&mut [0]).unwrap(), 0);
    drop(job);
    let accounts = ledger.finish(Instant::now()).unwrap();
    assert_eq!((accounts[0].1.sent, accounts[0].1.exact), (100, true));
}

#[test]
fn a_connection_whose_peer_need_only_agree_to_its_end_is_exact() {
    let (job, peer) = pair();
    let mut ledger = kept(NONE, &job);
    exchange(&job, &peer, 70_000, 100);
    drop(job);
    let accounts = ledger.finish(Instant::now()).unwrap();
    assert_eq!((accounts[0].1.sent, accounts[0].1.received, accounts[0].1.exact), (70_000, 100, true));
}

/// By the effect on the peer as root, by the refusal as another.
#[test]
fn cutting_resets_the_connection_where_this_process_may() {
    let (job, mut peer) = pair();
    let mut ledger = kept(NONE, &job);
    match ledger.cut() {
        Ok(count) => {
            assert_eq!(count, 1);
            assert_eq!(peer.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        }
        Err(LedgerError::Kernel(error)) => assert_eq!(error.raw_os_error(), Some(libc::EPERM)),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_next_look_comes_sooner_the_less_is_left() {
    let (job, _peer) = pair();
    let pause = |budget| {
        let ledger = kept(budget, &job);
        ledger.due().unwrap() - ledger.looked.unwrap()
    };
    assert_eq!(pause(NONE), Duration::from_secs(1));
    assert_eq!(pause(Budget { sent: Some(u64::MAX), ..NONE }), Duration::from_millis(100));
    assert_eq!(pause(Budget { sent: Some(u64::MAX), received: Some(12_500_000), ..NONE }), Duration::from_millis(10));
    assert_eq!(pause(Budget { sent: Some(0), ..NONE }), Duration::from_micros(2100));
}

#[test]
fn a_blind_ledger_knows_when_connections_opened_and_nothing_else() {
    let (job, _peer) = pair();
    let mut ledger = Ledger::blind("a reason".into());
    open(&mut ledger, ID, &job);
    assert_eq!(ledger.look(Instant::now()).unwrap(), []);
    assert!(ledger.descriptor().is_none());
    assert_eq!(ledger.due(), None);
    assert_eq!(ledger.blindness(), Some("a reason"));
    assert!(!ledger.finish(Instant::now()).unwrap()[0].1.exact);
}

#[test]
fn a_connection_is_written_down_once() {
    let (job, _peer) = pair();
    let mut ledger = kept(NONE, &job);
    let ends = (job.local_addr().unwrap(), job.peer_addr().unwrap());
    let again = ledger.opened(ConnectionId(2), job.as_fd(), ends, Instant::now());
    assert!(matches!(again, Err(LedgerError::Twice(_))));
}

/// A socket of a network namespace of its own; nothing, and a line that says so, where this process may not enter one.
fn stranger() -> Option<rustix::fd::OwnedFd> {
    use std::process::{Command, Stdio};
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    let mut child = Command::new("unshare").args(["--net", "cat"]).stdin(Stdio::piped()).spawn().unwrap();
    let path = format!("/proc/{}/ns/net", child.id());
    while child.try_wait().unwrap().is_none() && std::fs::read_link(&path).is_ok_and(|other| other == own) {
        thread::sleep(Duration::from_millis(1));
    }
    let namespace = std::fs::File::open(&path);
    drop(child.stdin.take());
    child.wait().unwrap();
    let entered = thread::spawn(move || {
        use rustix::net::{AddressFamily, SocketType};
        use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
        move_into_link_name_space(namespace.ok()?.as_fd(), Some(LinkNameSpaceType::Network)).ok()?;
        rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).ok()
    });
    let socket = entered.join().unwrap();
    if socket.is_none() {
        println!("skipped: this user may not enter a network namespace");
    }
    socket
}

#[test]
fn a_socket_of_another_network_is_not_accounted_for() {
    let Some(socket) = stranger() else { return };
    let somewhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let opened = Ledger::new(NONE).opened(ID, socket.as_fd(), (somewhere, somewhere), Instant::now());
    assert!(matches!(opened, Err(LedgerError::Elsewhere)));
}

#[test]
fn the_end_of_a_socket_that_was_expected_is_told_and_so_is_that_of_one_that_was_not() {
    let (first, _first_peer) = pair();
    let mut ledger = kept(NONE, &first);
    let ((expected, _peer), (other, _other_peer)) = (pair(), pair());
    ledger.expect(&[option::socket_cookie(&expected).unwrap()]).unwrap();

    for (id, job) in [(2, expected), (3, other), (1, first)] {
        if id > 1 {
            open(&mut ledger, ConnectionId(id), &job);
        }
        drop(job);
        look_until(&mut ledger, Change::Closed(ConnectionId(id)));
    }

    assert_eq!(ledger.due(), None);
}
