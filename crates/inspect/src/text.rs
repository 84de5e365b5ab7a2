//! A call's arguments in words.

mod rows;
#[cfg(test)]
mod tests;

use crate::address;
use crate::path::PATH_MAX;
use crate::thread::{InspectError, Thread};
use lazaret_filter::{Arch, Call, constant};
use lazaret_policy::{ArgumentText, signal_name};

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind<'a> {
    /// A number in hexadecimal: an address, or what has no better form.
    Hex,
    /// A descriptor.
    Descriptor,
    /// A descriptor of a directory, or AT_FDCWD.
    Directory,
    /// An int, in decimal with its sign.
    Int,
    /// An unsigned int, in decimal.
    Unsigned,
    /// 64 bits, in decimal with their sign.
    Long,
    /// A number of bytes.
    Size,
    /// Permissions.
    Octal,
    /// Permissions and the type of a node.
    Node,
    /// The mode of access(2).
    Access,
    /// A signal's number.
    Signal,
    /// A set of signals, behind a pointer.
    Signals,
    /// A text behind a pointer.
    String,
    /// Pointers to texts behind a pointer, with a null at the end.
    Strings,
    /// A path behind a pointer.
    Path,
    /// A socket address behind a pointer, with its length in the next argument.
    Address,
    /// A struct msghdr behind a pointer, of which the address is shown.
    Message,
    /// The type of a socket, with flags.
    Socket,
    /// The protocol of a socket, which depends on its domain.
    Protocol,
    /// The flags of clone(2), with a signal in their lowest byte.
    Clone,
    /// A struct clone_args behind a pointer, of which the flags are shown.
    CloneArguments,
    /// A struct open_how behind a pointer.
    How,
    /// A struct timespec behind a pointer.
    Time,
    /// A struct rlimit behind a pointer.
    Limit,
    /// One of the constants that begin so.
    One(&'a str),
    /// A set of the flags that begin so.
    Flags(&'a str),
}

impl<'a> Kind<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if let Some(prefixes) = text.strip_prefix('=') {
            return Some(Self::One(prefixes));
        }
        if let Some(prefixes) = text.strip_prefix('+') {
            return Some(Self::Flags(prefixes));
        }
        Some(match text {
            "" => Self::Hex,
            "fd" => Self::Descriptor,
            "dirfd" => Self::Directory,
            "int" => Self::Int,
            "uint" => Self::Unsigned,
            "long" => Self::Long,
            "size" => Self::Size,
            "octal" => Self::Octal,
            "node" => Self::Node,
            "access" => Self::Access,
            "signal" => Self::Signal,
            "signals" => Self::Signals,
            "string" => Self::String,
            "strings" => Self::Strings,
            "path" => Self::Path,
            "address" => Self::Address,
            "message" => Self::Message,
            "socket" => Self::Socket,
            "protocol" => Self::Protocol,
            "clone" => Self::Clone,
            "clone3" => Self::CloneArguments,
            "how" => Self::How,
            "time" => Self::Time,
            "limit" => Self::Limit,
            _ => return None,
        })
    }
}

/// How much of a text that is no path is shown.
const SHOWN: usize = 256;
/// How many texts of a list are shown.
const LISTED: usize = 16;

/// The arguments of the call `name`, with kinds as text.
fn described(name: &str) -> Option<impl Iterator<Item = (&'static str, &'static str)>> {
    let at = rows::ROWS.binary_search_by(|(call, _)| (*call).cmp(name)).ok()?;
    Some(rows::ROWS[at].1.split_ascii_whitespace().map(|argument| argument.split_once(':').unwrap_or((argument, ""))))
}

/// The name of the argument at `index` of the call `name`, and the beginnings of the constants of which it is one.
pub(crate) fn choice(name: &str, index: usize) -> Option<(&'static str, &'static str)> {
    let (argument, kind) = described(name)?.nth(index)?;
    Some((argument, kind.strip_prefix('=')?))
}

/// The arguments of `call` in words. What stands in the thread's memory is left as an address where it cannot be read.
///
/// # Errors
///
/// When the call no longer waits.
pub(crate) fn arguments(thread: &Thread<'_>, call: &Call) -> Result<Vec<ArgumentText>, InspectError> {
    let (Some(name), Some(arch)) = (crate::name(call), Arch::native()) else { return Ok(numbers(call)) };
    let Some(described) = described(name) else { return Ok(numbers(call)) };
    let decoder = Decoder { thread, args: call.args, arch };
    let texts = described.zip(0..6).map(|((name, kind), index)| {
        let kind = Kind::parse(kind).unwrap_or(Kind::Hex);
        ArgumentText { name: name.to_owned(), value: decoder.text(kind, index) }
    });
    thread.settled(texts.collect())
}

/// The same without a look at the thread: numbers and constants, and addresses as they are.
pub(crate) fn registers(call: &Call) -> Vec<ArgumentText> {
    let blind = Thread::of_nobody();
    arguments(&blind, call).unwrap_or_else(|_never| numbers(call))
}

/// Registers, of a call that nothing is known about.
fn numbers(call: &Call) -> Vec<ArgumentText> {
    let number = |(index, value): (usize, &u64)| ArgumentText { name: format!("arg{index}"), value: hex(*value) };
    call.args.iter().enumerate().map(number).collect()
}

fn hex(value: u64) -> String {
    if value < 10 { value.to_string() } else { format!("{value:#x}") }
}

/// `bytes` in quotes, with what does not print escaped.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        // Letters of all scripts stay readable; control characters and what changes the direction of text do not.
        Ok(text) if !text.is_ascii() => format!("{text:?}"),
        _ => format!("\"{}\"", bytes.escape_ascii()),
    }
}

struct Decoder<'a> {
    thread: &'a Thread<'a>,
    args: [u64; 6],
    arch: Arch,
}

impl Decoder<'_> {
    fn text(&self, kind: Kind<'_>, index: usize) -> String {
        let value = self.args[index];
        #[expect(clippy::cast_possible_truncation, reason = "the high half of an int's register has no meaning")]
        let low = value as u32;
        let found = match kind {
            Kind::Hex => None,
            Kind::Descriptor | Kind::Int => Some(low.cast_signed().to_string()),
            Kind::Directory if low.cast_signed() == libc::AT_FDCWD => Some("AT_FDCWD".to_owned()),
            Kind::Directory => Some(low.cast_signed().to_string()),
            Kind::Unsigned => Some(low.to_string()),
            Kind::Long => Some(value.cast_signed().to_string()),
            Kind::Size => Some(value.to_string()),
            Kind::Octal => Some(octal(low)),
            Kind::Node => Some(self.node(low)),
            Kind::Access => Some(access(low)),
            Kind::Signal => Some(if low == 0 { "0".to_owned() } else { signal_name(low.cast_signed()) }),
            Kind::Signals => self.words::<1>(value).map(|[set]| signals(set)),
            Kind::String => self.string(value, SHOWN),
            Kind::Path => self.string(value, PATH_MAX),
            Kind::Strings => self.strings(value),
            Kind::Address => self.address(value, self.args.get(index + 1).copied().unwrap_or(0)),
            Kind::Message => self.message(value),
            Kind::Socket => Some(self.socket(low)),
            Kind::Protocol => Some(self.protocol(low)),
            Kind::Clone => Some(self.clone_flags(value)),
            Kind::CloneArguments => {
                self.words::<1>(value).map(|[flags]| format!("{{flags={}}}", self.clone_flags(flags)))
            }
            Kind::How => self.how(value),
            Kind::Time => self.words::<2>(value).map(|[seconds, rest]| time(seconds, rest)),
            Kind::Limit => self.words::<2>(value).map(|[soft, hard]| format!("{{{}, {}}}", limit(soft), limit(hard))),
            Kind::One(prefixes) => self.one(prefixes, low).map(str::to_owned),
            Kind::Flags(prefixes) => Some(self.flags(prefixes, low.into())),
        };
        found.unwrap_or_else(|| if value == 0 && kind.is_pointer() { "NULL".to_owned() } else { hex(value) })
    }

    fn one(&self, prefixes: &str, value: u32) -> Option<&'static str> {
        let prefixes: Vec<&str> = prefixes.split('|').collect();
        // A constant below zero fills the register, or its low half alone.
        constant::name(self.arch, &prefixes, value.into())
            .or_else(|| constant::name(self.arch, &prefixes, i64::from(value.cast_signed()).cast_unsigned()))
    }

    fn flags(&self, prefixes: &str, value: u64) -> String {
        let prefixes: Vec<&str> = prefixes.split('|').collect();
        let (mut names, left) = constant::flags(self.arch, &prefixes, value);
        // Nothing in the lowest two bits is a flag of its own where these have a name for zero.
        if prefixes == ["O_"] && value & 3 == 0 && !names.contains(&"O_RDONLY") && value & 0x20_0000 == 0 {
            names.insert(0, "O_RDONLY");
        }
        let mut text = names.join(" | ");
        if left != 0 || text.is_empty() {
            text.push_str(if text.is_empty() { "" } else { " | " });
            text.push_str(&hex(left));
        }
        text
    }

    fn string(&self, address: u64, bound: usize) -> Option<String> {
        let mut bytes = vec![0; bound];
        let read = self.thread.read(address, &mut bytes).ok().filter(|read| *read > 0)?;
        bytes.truncate(read);
        match bytes.iter().position(|byte| *byte == 0) {
            Some(end) => Some(quoted(&bytes[..end])),
            // What is not a whole text may be none.
            None if read == bound => Some(format!("{}\u{2026}", quoted(&bytes[..SHOWN.min(bound)]))),
            None => None,
        }
    }

    fn strings(&self, address: u64) -> Option<String> {
        let mut texts = Vec::new();
        for index in 0..=LISTED as u64 {
            let [pointer] = self.words::<1>(address.checked_add(index * 8)?)?;
            if pointer == 0 {
                break;
            }
            if texts.len() == LISTED {
                texts.push("\u{2026}".to_owned());
                break;
            }
            texts.push(self.string(pointer, SHOWN).unwrap_or_else(|| hex(pointer)));
        }
        Some(format!("[{}]", texts.join(", ")))
    }

    fn words<const N: usize>(&self, address: u64) -> Option<[u64; N]> {
        let mut words = [0; N];
        for (word, offset) in words.iter_mut().zip((0..).step_by(8)) {
            let mut bytes = [0; 8];
            let read = self.thread.read(address.checked_add(offset)?, &mut bytes).ok()?;
            *word = (read == bytes.len()).then_some(u64::from_ne_bytes(bytes))?;
        }
        Some(words)
    }

    fn address(&self, address: u64, length: u64) -> Option<String> {
        if address == 0 {
            return None;
        }
        let found = address::at(self.thread, address, length).ok()??;
        Some(found.to_string())
    }

    fn message(&self, address: u64) -> Option<String> {
        let [name, length] = self.words::<2>(address)?;
        Some(match self.address(name, length) {
            Some(to) => format!("{{to {to}}}"),
            None => "{without an address}".to_owned(),
        })
    }

    fn node(&self, mode: u32) -> String {
        let kind = match mode & libc::S_IFMT {
            0 => return octal(mode),
            kind => kind,
        };
        match self.one("S_IF", kind) {
            Some(name) => format!("{name} | {}", octal(mode & !libc::S_IFMT)),
            None => octal(mode),
        }
    }

    fn socket(&self, value: u32) -> String {
        let (kind, flags) = (value & 0xf, value & !0xf);
        let name = self.one("SOCK_|-SOCK_CLOEXEC|-SOCK_NONBLOCK", kind).map_or_else(|| kind.to_string(), str::to_owned);
        if flags == 0 { name } else { format!("{name} | {}", self.flags("SOCK_CLOEXEC|SOCK_NONBLOCK", flags.into())) }
    }

    fn protocol(&self, value: u32) -> String {
        #[expect(clippy::cast_possible_truncation, reason = "the domain is an int")]
        let domain = (self.args[0] as u32).cast_signed();
        let prefixes = match domain {
            libc::AF_INET | libc::AF_INET6 => "IPPROTO_",
            libc::AF_NETLINK => "NETLINK_",
            _ => return value.to_string(),
        };
        self.one(prefixes, value).map_or_else(|| value.to_string(), str::to_owned)
    }

    fn clone_flags(&self, flags: u64) -> String {
        let (signal, flags) = (flags & 0xff, flags & !0xff);
        #[expect(clippy::cast_possible_truncation, reason = "masked to a byte")]
        let signal = (signal != 0).then(|| signal_name(signal as i32));
        let names = (flags != 0).then(|| self.flags("CLONE_|-CLONE_NEWTIME", flags));
        let parts: Vec<String> = names.into_iter().chain(signal).collect();
        if parts.is_empty() { "0".to_owned() } else { parts.join(" | ") }
    }

    fn how(&self, address: u64) -> Option<String> {
        let [flags, mode, resolve] = self.words::<3>(address)?;
        #[expect(clippy::cast_possible_truncation, reason = "a mode has no more bits that count")]
        let mode = octal(mode as u32);
        Some(format!("{{flags={}, mode={mode}, resolve={}}}", self.flags("O_", flags), hex(resolve)))
    }
}

impl Kind<'_> {
    /// Whether its zero is a null pointer.
    fn is_pointer(self) -> bool {
        matches!(
            self,
            Self::Signals
                | Self::String
                | Self::Strings
                | Self::Path
                | Self::Address
                | Self::Message
                | Self::CloneArguments
                | Self::How
                | Self::Time
                | Self::Limit
        )
    }
}

fn octal(mode: u32) -> String {
    if mode == 0 { "0".to_owned() } else { format!("0{mode:o}") }
}

fn access(mode: u32) -> String {
    if mode == 0 {
        return "F_OK".to_owned();
    }
    let names = [(4, "R_OK"), (2, "W_OK"), (1, "X_OK")].into_iter().filter(|(bit, _)| mode & bit != 0);
    let mut names: Vec<String> = names.map(|(_, name)| name.to_owned()).collect();
    if mode & !7 != 0 {
        names.push(hex((mode & !7).into()));
    }
    names.join(" | ")
}

fn signals(set: u64) -> String {
    let all = !set;
    let list = |set: u64| {
        let names = (0..64).filter(|bit| set >> bit & 1 == 1).map(|bit| signal_name(bit + 1));
        names.collect::<Vec<_>>().join(", ")
    };
    // A mask of nearly all reads better by what it lacks.
    if set.count_ones() > 32 { format!("all but [{}]", list(all)) } else { format!("[{}]", list(set)) }
}

fn time(seconds: u64, nanoseconds: u64) -> String {
    format!("{{{} s, {} ns}}", seconds.cast_signed(), nanoseconds.cast_signed())
}

fn limit(value: u64) -> String {
    if value == u64::MAX { "RLIM_INFINITY".to_owned() } else { value.to_string() }
}
