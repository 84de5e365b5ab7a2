//! Sockets and the terminal.

use crate::probe::Effect::{CameIn, Claimed, Heard, Printed, SecretShown};
use crate::probe::{Probe, Scene};

pub(crate) const ROWS: &[Probe] = &[
    Probe::new("abstract-socket", "talk to an abstract socket of the host")
        .args(&["{name}", "hello"])
        .shows(&[Claimed, Heard("abstract")]),
    Probe::new("path-socket", "talk to a socket file of the host")
        .args(&["{dir}/socket", "hello"])
        .shows(&[Claimed, Heard("path")]),
    Probe::new("host-tcp", "connect to the host by TCP")
        .args(&["hello", "127.0.0.1:{port}"])
        .shows(&[Claimed, Heard("tcp")]),
    Probe::new("host-tcp", "connect to the host by TCP over IPv6")
        .args(&["hello", "[::1]:{port6}", "[::ffff:127.0.0.1]:{port}"])
        .shows(&[Claimed]),
    Probe::new("host-udp", "send to the host by UDP")
        .args(&["hello", "127.0.0.1:{udp}", "[::ffff:127.0.0.1]:{udp}"])
        .shows(&[Heard("udp")]),
    Probe::new("any-packet", "send any packet out").control_within("net,address=192.0.2.1"),
    Probe::new("listen-for-host", "let the host come in by a socket")
        .args(&["{name}-inside", "{free-port}"])
        .scene(Scene::HostComes)
        .shows(&[Claimed, CameIn]),
    Probe::new("raw-socket", "have a raw socket").strict_only().control_within("net"),
    Probe::new("raw-socket", "have a raw socket by its capabilities alone").only_wide().control_within("net"),
    Probe::new("packet-socket", "have a packet socket").control_within("net"),
    Probe::new("netlink-sockets", "talk to the kernel by netlink").strict_only().control_within("net"),
    Probe::new("see-interfaces", "see the host's network interfaces"),
    Probe::new("vsock", "have a socket to the hypervisor").strict_only().absent_by(&[
        "EAFNOSUPPORT",
        "ESOCKTNOSUPPORT",
        "EPROTONOSUPPORT",
        "ENODEV",
    ]),
    Probe::new("odd-sockets", "have a socket of a seldom used family")
        .strict_only()
        .control_within("net")
        .absent_by(&["EAFNOSUPPORT", "ESOCKTNOSUPPORT", "EPROTONOSUPPORT"]),
    Probe::new("receive-descriptor", "be given a descriptor by a process of the host")
        .args(&["{name}-giver", "{dir}/giver"])
        .shows(&[Claimed, SecretShown]),
    Probe::new("type-into-terminal", "type into its caller's terminal")
        .args(&["0", "x"])
        .around("pty")
        .shows(&[Claimed, Printed("TERMINAL input x")]),
    Probe::new("type-into-terminal", "type into its caller's terminal by a request with high bits set")
        .args(&["1", "x"])
        .around("pty")
        .shows(&[Claimed, Printed("TERMINAL input x")]),
    Probe::new("paste-into-terminal", "paste into a virtual console")
        .around("pty")
        .cannot_be_shown("it needs a virtual console of the machine, which nobody may be working at"),
    Probe::new("take-terminal", "have its caller's terminal as its own").around("pty"),
    Probe::new("change-terminal", "leave its caller's terminal in another mode")
        .around("pty")
        .shows(&[Claimed, Printed("TERMINAL changed")]),
];
