//! Functions that a process which was forked from this one has too, named by their address.

use crate::descriptor::OwnSocket;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

type Call<O> = fn(&[u8], &mut O);

/// A function that captures nothing, and whose code a process that was forked from this one has at the same address.
#[derive(Debug)]
pub struct Entry<O>(Call<O>);

impl<O> Clone for Entry<O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O> Copy for Entry<O> {}

impl<O> Entry<O> {
    /// Calls it.
    pub fn call(self, input: &[u8], output: &mut O) {
        (self.0)(input, output);
    }
}

fn call<F: Fn(&[u8], &mut O), O>(input: &[u8], output: &mut O) {
    const { assert!(size_of::<F>() == 0) };
    // SAFETY: F has no size, so that a dangling, aligned pointer is a valid reference to it; a value of it exists, which
    // `Code::entry` forgot.
    let function = unsafe { NonNull::<F>::dangling().as_ref() };
    function(input, output);
}

/// The code that was mapped at some moment, which processes that were forked then have too.
#[derive(Debug)]
pub struct Code(Vec<Mapped>);

/// One executable mapping: where it is, and of which file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mapped {
    first: usize,
    end: usize,
    /// Offset, device and inode, as proc(5) writes them.
    file: String,
}

impl Code {
    /// What is mapped now.
    ///
    /// Source: proc_pid_maps(5).
    ///
    /// # Errors
    ///
    /// When `/proc` is not there.
    pub fn now() -> io::Result<Self> {
        let maps = std::fs::read("/proc/self/maps")?;
        Ok(Self(String::from_utf8_lossy(&maps).lines().filter_map(Mapped::parse).collect()))
    }

    /// The entry of `function`; `None` if its code was not mapped then as it is now: in a library that was loaded later.
    /// Does not compile for a function that captures something.
    ///
    /// # Errors
    ///
    /// When `/proc` is not there.
    pub fn entry<O, F: Fn(&[u8], &mut O) + 'static>(&self, function: F) -> io::Result<Option<Entry<O>>> {
        const {
            assert!(
                size_of::<F>() == 0,
                "a spawner runs functions that capture nothing: pass what they need in their input"
            );
        }
        // It is never dropped, so that it is there for ever; without a size, everywhere.
        std::mem::forget(function);
        let address = call::<F, O> as Call<O> as usize;
        let now = Self::now()?;
        let there = |code: &Self| code.0.iter().find(|mapped| (mapped.first..mapped.end).contains(&address)).cloned();
        let same = there(self).is_some_and(|mapped| there(&now) == Some(mapped));
        Ok(same.then_some(Entry(call::<F, O>)))
    }
}

impl Mapped {
    /// `55d0c0a00000-55d0c0a21000 r-xp 00002000 fe:00 1234  /usr/bin/cat`
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (first, end) = words.next()?.split_once('-')?;
        let executable = words.next()?.as_bytes().get(2) == Some(&b'x');
        let address = |text| usize::from_str_radix(text, 16).ok();
        let file = words.take(3).collect::<Vec<_>>().join(" ");
        executable.then_some(Self { first: address(first)?, end: address(end)?, file })
    }
}

/// One end of a connection over which entries are passed, from a process to one that was forked from it. Nothing but
/// [`Channel::send`] writes to it.
#[derive(Debug)]
pub struct Channel<O>(OwnSocket, PhantomData<fn(&mut O)>);

/// An entry, bytes, and descriptors.
#[derive(Debug)]
pub struct Received<O> {
    /// The entry.
    pub entry: Entry<O>,
    /// What came with it.
    pub bytes: Vec<u8>,
    /// The descriptors that came with it.
    pub descriptors: Vec<OwnedFd>,
}

impl<O> Channel<O> {
    /// Two ends, of which one is for this process and the other for a process that is forked from it.
    ///
    /// Source: socketpair(2).
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE`.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        // Not under a number of the standard streams, which the forked process gives others.
        let above = |end: OwnedFd| match end.as_raw_fd() {
            0..=2 => rustix::io::fcntl_dupfd_cloexec(end, 3),
            _ => Ok(end),
        };
        Ok((Self(OwnSocket::new(above(one)?)?, PhantomData), Self(OwnSocket::new(above(other)?)?, PhantomData)))
    }

    /// Sends an entry with `bytes` and `descriptors`, without waiting.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when there is no room, `EPIPE` when the other end is gone, `EBADF` when this one was closed behind its owner's
    /// back, `EMSGSIZE` for too many bytes.
    pub fn send(&self, entry: Entry<O>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut message = (entry.0 as usize).to_ne_bytes().to_vec();
        message.extend_from_slice(bytes);
        crate::descriptor::try_send(self.0.get()?, &message, descriptors)
    }

    /// Whether its number still stands for it.
    pub fn is_own(&self) -> bool {
        self.0.get().is_ok()
    }

    /// Takes the next message into `bytes`, which bounds it. `None`: the other end is gone.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when no message is there.
    pub fn receive(&self, bytes: &mut [u8]) -> io::Result<Option<Received<O>>> {
        let (len, descriptors) = crate::descriptor::receive(self.0.as_fd(), bytes)?;
        let Some((address, rest)) = bytes[..len].split_first_chunk() else { return Ok(None) };
        // SAFETY: only `send` writes to this socket, which both processes have from before their fork; what it sends is
        // the address of a function of this type, which `Code` found to be mapped here.
        let call = unsafe { std::mem::transmute::<usize, Call<O>>(usize::from_ne_bytes(*address)) };
        Ok(Some(Received { entry: Entry(call), bytes: rest.to_vec(), descriptors }))
    }
}

impl<O> AsFd for Channel<O> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(input: &[u8], output: &mut usize) {
        *output = input.len();
    }

    #[test]
    fn an_entry_passes_through_a_channel_and_is_called() {
        let entry = Code::now().expect("a /proc").entry(count).expect("a /proc").expect("this very program");
        let (to, from) = Channel::pair().expect("two descriptors");
        to.send(entry, b"with it", &[]).expect("there is room");

        let received = from.receive(&mut [0; 100]).expect("it is there").expect("nobody has gone");
        let mut counted = 0;
        received.entry.call(b"four", &mut counted);

        assert_eq!((counted, received.bytes.as_slice()), (4, &b"with it"[..]));
    }

    #[test]
    fn code_that_was_not_mapped_then_is_not_there() {
        let nothing = Code(Vec::new());

        assert!(nothing.entry(count).expect("a /proc").is_none());
    }
}
