//! Questions for names: of every form, and of none.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use super::attack;
use crate::call::ignore;
use crate::outcome::{Arguments, Named, Outcome};

pub(crate) const PROBES: &[Named] = &[("net-names", names), ("net-name-streams", streams)];

/// Of the name server that resolv.conf(5) names.
fn server() -> String {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let server = text.lines().find_map(|line| line.strip_prefix("nameserver ")).unwrap_or("127.0.0.1");
    format!("{}:53", server.trim())
}

/// A question. Source: RFC 1035, 4.1.
fn question(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len().min(63) as u8);
        bytes.extend(label.bytes().take(63));
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend(1_u16.to_be_bytes());
    bytes
}

/// What is no question, made of a good one.
fn broken(turn: usize) -> Vec<u8> {
    let mut bytes = question(turn as u16, "secret.of.the.job.test", [1, 28, 255, 16, 12, 252][turn % 6]);
    match turn % 12 {
        // A name that is a pointer to itself, and two that point to each other.
        0 => bytes.splice(12.., [0xc0, 12, 0, 1, 0, 1]).for_each(drop),
        1 => bytes.splice(12.., [0xc0, 14, 0xc0, 12, 0, 1, 0, 1]).for_each(drop),
        2 => bytes.truncate(turn / 12 % bytes.len()),
        // Many questions are said to come, and many answers.
        3 => bytes[4..12].fill(0xff),
        4 => bytes[2] = 0x80,
        5 => bytes[2] = (turn / 12) as u8,
        6 => bytes.extend(std::iter::repeat_n(0x3f, turn / 12 % 4000)),
        7 => bytes.splice(12..13, [0xff]).for_each(drop),
        8 => {
            let at = turn * 7 % bytes.len();
            bytes[at] ^= (turn / 12 * 31 + 1) as u8;
        }
        // Labels of 63 bytes, beyond all that a name may be.
        9 => bytes.splice(12.., [&[63][..], &[b'a'; 63]].concat().repeat(8)).for_each(drop),
        10 => bytes = (0..turn % 600).map(|at| ((at * turn * 2_654_435_761) >> 7) as u8).collect(),
        // Options that lie about their length.
        _ => {
            bytes[11] = 1;
            bytes.extend([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 3]);
        }
    }
    bytes
}

/// Whether an answer has addresses, and its code.
fn told(answer: &[u8]) -> (bool, u8) {
    (answer.get(6..8).is_some_and(|count| count != [0, 0]), answer.get(3).map_or(255, |flags| flags & 15))
}

/// Many names that no rule names, and what is no question; then there is still an answer.
fn names(args: &Arguments) -> Outcome {
    let mut leaked = None;
    let outcome = attack(args, |targets, counts| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(server())?;
        socket.set_read_timeout(Some(Duration::from_millis(5)))?;
        let mut answer = [0; 4096];
        for turn in 0..targets.loops {
            let bytes =
                if turn % 2 == 0 { broken(turn / 2) } else { question(turn as u16, &format!("{turn}.names.test"), 1) };
            counts.of("ask", socket.send(&bytes).map_err(Into::into));
            if turn % 32 != 31 {
                continue;
            }
            // An answer may be one that came late.
            while let Ok(length) = socket.recv(&mut answer) {
                let (has_addresses, code) = told(&answer[..length]);
                counts.of(
                    ["no error", "a broken question", "failed", "no such name", "not known", "refused"]
                        [usize::from(code.min(5))],
                    Ok(()),
                );
                if has_addresses {
                    leaked.get_or_insert_with(|| format!("was told {:?}", &answer[..length]));
                }
            }
        }
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(server())?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        ignore(socket.send(&question(7, "permitted.test", 1)));
        let length = counts.of("the permitted name", socket.recv(&mut answer).map_err(Into::into)).unwrap_or_default();
        counts.of(if told(&answer[..length]).0 { "its addresses" } else { "no addresses for it" }, Ok(()));
        Ok(())
    });
    leaked.map_or(outcome, Outcome::escaped)
}

/// The same by TCP: broken lengths, halves, and streams that say nothing.
fn streams(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        let mut silent = Vec::new();
        for turn in 0..targets.loops / 16 {
            let Some(mut stream) = counts.of("connect", TcpStream::connect(server()).map_err(Into::into)) else {
                continue;
            };
            stream.set_read_timeout(Some(Duration::from_millis(50)))?;
            for turn in 16 * turn..16 * turn + 16 {
                let bytes = if turn % 16 < 12 {
                    question(turn as u16, &format!("{turn}.streams.test"), 1)
                } else {
                    broken(turn)
                };
                let length = if turn % 16 == 13 { u16::MAX } else { bytes.len() as u16 };
                if stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).is_err() {
                    break;
                }
            }
            let mut answer = [0; 512];
            counts.of("answer", stream.read(&mut answer).map_err(Into::into));
            if turn % 40 == 0 && silent.len() < 12 {
                silent.push(stream);
            }
        }
        drop(silent);
        let mut last = TcpStream::connect(server())?;
        last.set_read_timeout(Some(Duration::from_secs(10)))?;
        let bytes = question(9, "unknown.test", 1);
        ignore(last.write_all(&[&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat()));
        let mut answer = [0; 512];
        counts.of(
            "answer at last",
            last.read(&mut answer)
                .map_err(Into::into)
                .and_then(|length| if length > 0 { Ok(()) } else { Err(crate::call::Errno(libc::EPIPE)) }),
        );
        Ok(())
    })
}
