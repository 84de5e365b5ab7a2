//! The network namespace: its one interface, and the sockets on which the job asks for addresses of names.

use super::{List, Part, Slot, Steps, Structure, Value, call, named};
use crate::plan::ShellKind;

pub(crate) fn add(steps: &mut Steps, list: List, kind: ShellKind) {
    if kind.loopback {
        loopback(steps, list);
    }
    if kind.names {
        let (questions, streams) = (steps.carried.questions, steps.carried.question_streams);
        let datagrams = Value::Named((libc::SOCK_DGRAM | FLAGS) as u64, "SOCK_DGRAM|SOCK_CLOEXEC|SOCK_NONBLOCK");
        bound(steps, list, datagrams, questions, NAMES);
        listener(steps, list, streams, NAMES);
    }
    if kind.requests {
        let requests = steps.carried.requests;
        // Any port: the supervisor knows it, and nobody else needs to.
        listener(steps, list, requests, 0);
    }
}

/// The port of names: where the C library looks even without a resolv.conf(5).
const NAMES: u16 = 53;

fn listener(steps: &mut Steps, list: List, slot: Slot, port: u16) {
    let stream = Value::Named((libc::SOCK_STREAM | FLAGS) as u64, "SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK");
    bound(steps, list, stream, slot, port);
    let args = vec![Value::Descriptor(slot), Value::Number(1024)];
    steps.add(list, Part::Network, call!(SYS_listen), args);
}

/// netdevice(7), SIOCSIFFLAGS on `lo`.
pub(crate) fn loopback(steps: &mut Steps, list: List) {
    let socket = steps.scratch_slot();
    let mut request = vec![0_u8; 40];
    request[..2].copy_from_slice(b"lo");
    #[expect(clippy::cast_possible_truncation, reason = "IFF_UP is 1")]
    request[16..18].copy_from_slice(&(libc::IFF_UP as i16).to_ne_bytes());
    let request = Structure { shown: "{lo, IFF_UP}".into(), bytes: request, addresses: Vec::new() };
    let kind = Value::Named((libc::SOCK_DGRAM | libc::SOCK_CLOEXEC) as u64, "SOCK_DGRAM|SOCK_CLOEXEC");
    let open = vec![named!(AF_INET), kind, Value::Number(0)];
    steps.add(list, Part::Network, call!(SYS_socket), open).save(socket);
    let args = vec![Value::Descriptor(socket), named!(SIOCSIFFLAGS), Value::Structure(request.into())];
    steps.add(list, Part::Network, call!(SYS_ioctl), args);
    steps.add(list, Part::Network, call!(SYS_close), vec![Value::Descriptor(socket)]);
}

#[expect(clippy::cast_possible_truncation, reason = "AF_INET is 2")]
const FAMILY: u16 = libc::AF_INET as u16;
const FLAGS: i32 = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;

/// A socket on a port of 127.0.0.1.
fn bound(steps: &mut Steps, list: List, kind: Value, slot: Slot, port: u16) {
    steps.add(list, Part::Network, call!(SYS_socket), vec![named!(AF_INET), kind, Value::Number(0)]).save(slot);
    let mut address = vec![0_u8; 16];
    address[..2].copy_from_slice(&FAMILY.to_ne_bytes());
    address[2..4].copy_from_slice(&port.to_be_bytes());
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    let address = Structure { shown: format!("127.0.0.1:{port}").into(), bytes: address, addresses: Vec::new() };
    let args = vec![Value::Descriptor(slot), Value::Structure(address.into()), Value::Number(16)];
    steps.add(list, Part::Network, call!(SYS_bind), args);
}
