//! Bounds on what connections carry, and what the report says that they carried.

use crate::job::{Ended, job};
use crate::stage::{PYTHON, Told as _, policy, zone};
use lazaret_e2e::{Internet, NameServer, Runner, Server, as_root_and_user_in_an_internet};
use std::io::{Read as _, Write as _};
use std::time::Duration;

as_root_and_user_in_an_internet![
    one_connection_more_than_permitted_is_refused,
    who_sends_too_much_is_ended,
    who_receives_too_much_is_ended,
    several_connections_count_together,
    a_connection_that_lasts_too_long_ends_the_job,
    what_ended_connections_carried_is_told_to_the_byte,
    the_defaults_bound_a_job,
];

const HOST: &str = "import socket, time\nHOST = ('www.example.com', 80)\n";

/// Runs a Python program with limits, by which it comes to an end that is not its own.
fn run<'a>(runner: &'a Runner, limits: &[&str], program: &str) -> Ended<'a> {
    let mut job = job(runner).policy(&policy(&["www.example.com:80"], ""));
    for limit in limits {
        job = job.limit(limit);
    }
    job.command(PYTHON).argument(format!("{HOST}{program}")).run()
}

fn one_connection_more_than_permitted_is_refused(runner: &Runner, _: &Internet) {
    let (_names, web) = (NameServer::start(&zone()), Server::echo("[::]:80"));
    let program = "
for _ in range(4):
    try: socket.create_connection(('93.184.216.34', 80)); print('there')
    except OSError as error: print('refused')
";
    // The address is known from the name.
    let program = format!("socket.getaddrinfo('www.example.com', 80)\n{program}");

    let ended = run(runner, &["net-connections=2"], &program);

    assert_eq!(ended.printed(), "there\nthere\nrefused\nrefused\n", "{}", ended.told());
    assert_eq!(web.visits().len(), 2);
    let refused = ended.report.refused_hosts();
    assert!(refused.iter().any(|refused| refused.starts_with("connect ") && refused.ends_with("×2")), "{refused:?}");
}

fn who_sends_too_much_is_ended(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let _web = Server::start("[::]:80", |mut stream| drop(std::io::copy(&mut stream, &mut std::io::sink())));
    let program = "
tcp = socket.create_connection(HOST)
while True: tcp.sendall(bytes(10000)); time.sleep(0.001)
";
    let ended = run(runner, &["net-sent=1MiB", "wall=60s"], program);

    ended.expect_limit("network-limit", 123, "net-sent", "1MiB");
    let sent = ended.number("/network/connections/0/sent");
    assert!(sent > 1 << 20, "{sent}");
}

fn who_receives_too_much_is_ended(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let _web = Server::start("[::]:80", |mut stream| while stream.write_all(&[0; 10_000]).is_ok() {});
    let program = "
tcp = socket.create_connection(HOST)
while True: tcp.recv(10000); time.sleep(0.001)
";
    let ended = run(runner, &["net-received=1MiB", "wall=60s"], program);

    ended.expect_limit("network-limit", 123, "net-received", "1MiB");
}

fn several_connections_count_together(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let _web = Server::start("[::]:80", |mut stream| drop(std::io::copy(&mut stream, &mut std::io::sink())));
    // Those that have ended and those that have not.
    let program = "
kept = []
for at in range(8):
    tcp = socket.create_connection(HOST)
    tcp.sendall(bytes(200000))
    if at % 2: kept.append(tcp)
    else: tcp.close()
    time.sleep(0.2)
time.sleep(60)
";
    let ended = run(runner, &["net-sent=1MiB", "wall=100s"], program);

    ended.expect_limit("network-limit", 123, "net-sent", "1MiB");
    assert!(ended.report.connections().len() >= 6, "{}", ended.told());
}

fn a_connection_that_lasts_too_long_ends_the_job(runner: &Runner, _: &Internet) {
    let (_names, _web) = (NameServer::start(&zone()), Server::echo("[::]:80"));
    let program = "
for _ in range(5):
    with socket.create_connection(HOST): time.sleep(0.4)
print('short ones', flush=True)
tcp = socket.create_connection(HOST)
time.sleep(60)
";
    let ended = run(runner, &["net-time=1s", "wall=100s"], program);

    ended.expect_limit("network-limit", 123, "net-time", "1s");
    assert_eq!(ended.stdout, b"short ones\n");
    assert!(ended.took < Duration::from_secs(15), "{:?}", ended.took);
}

fn what_ended_connections_carried_is_told_to_the_byte(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    // Reads to the end, and answers twice as much and one.
    let _web = Server::start("[::]:80", |mut stream| {
        let mut all = Vec::new();
        drop(stream.read_to_end(&mut all).and_then(|count| stream.write_all(&vec![b'x'; 2 * count + 1])));
    });
    let program = "
for size in (0, 1, 1000, 1000003):
    with socket.create_connection(HOST) as tcp:
        tcp.sendall(bytes(size))
        tcp.shutdown(socket.SHUT_WR)
        got = 0
        while part := tcp.recv(1 << 20): got += len(part)
        assert got == 2 * size + 1, got
";
    let ended = run(runner, &[], program);

    ended.printed();
    let connections = ended.report.at("/network/connections").as_array().cloned().unwrap_or_default();
    let told: Vec<_> = connections
        .iter()
        .map(|connection| (connection["sent"].as_u64(), connection["received"].as_u64(), &connection["exact"]))
        .collect();
    assert_eq!(told.len(), 4, "{}", ended.told());
    for ((sent, received, exact), size) in told.into_iter().zip([0, 1, 1000, 1_000_003]) {
        // The end of the server's stream may count as one more.
        let answer = 2 * size + 1;
        assert!(sent == Some(size) && [Some(answer), Some(answer + 1)].contains(&received), "{}", ended.told());
        assert_eq!(exact, true, "{}", ended.told());
    }
    assert!(connections.iter().all(|connection| connection["duration_us"].is_u64()), "{}", ended.told());
}

fn the_defaults_bound_a_job(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let _web = Server::start("[::]:80", |mut stream| drop(std::io::copy(&mut stream, &mut std::io::sink())));
    let program = "
tcp = socket.create_connection(HOST)
while True: tcp.sendall(bytes(1 << 20)); time.sleep(0.01)
";
    let ended = run(runner, &["wall=60s"], program);

    ended.expect_limit("network-limit", 123, "net-sent", "64MiB");
}
