//! The memory that a call shares with its caller: a page to tell how it went, the input, the output.

use super::output::MANY;
use lazaret_sys::map::{self, Frozen, Written};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use serde::{Deserialize, Serialize};
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// How much of the beginning is the head.
pub(crate) const HEAD: usize = 4096;
/// Where in the head the message of a panic begins.
pub(crate) const MESSAGE: usize = 64;
/// From this size on, parts begin where huge pages do.
const HUGE: u64 = map::HUGE as u64;
const PAGE: u64 = 4096;
/// Outputs up to this size are copied, larger ones mapped.
const COPIED: usize = 64 * 1024;

/// Where the parts lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layout {
    /// Bytes of input.
    pub(crate) input: u64,
    /// Bytes of its place, after the head.
    pub(crate) capacity: u64,
    /// Bytes that the output may have.
    pub(crate) bound: u64,
}

impl Layout {
    pub(crate) fn input_at(self) -> u64 {
        if self.capacity >= HUGE { HUGE } else { HEAD as u64 }
    }

    pub(crate) fn output_at(self) -> u64 {
        let end = self.input_at() + self.capacity;
        end.next_multiple_of(if self.bound >= HUGE { HUGE } else { PAGE })
    }

    fn len(self) -> u64 {
        self.output_at() + self.bound
    }
}

/// The caller's side of it.
#[derive(Debug)]
pub(crate) struct Room {
    file: OwnedFd,
    pub(crate) layout: Layout,
}

/// What the child left in the head. Nothing of it is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) state: u32,
    pub(crate) step: u32,
    pub(crate) errno: i32,
    pub(crate) output_len: u64,
    pub(crate) short_memory: bool,
    pub(crate) message: String,
}

impl Room {
    pub(crate) fn new(layout: Layout) -> io::Result<Self> {
        let file = above_streams(map::file("lazaret-call", layout.len())?)?;
        map::seal(&file)?;
        Ok(Self { file, layout })
    }

    /// One that another process of this program made.
    pub(crate) fn of(file: OwnedFd, layout: Layout) -> Self {
        Self { file, layout }
    }

    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Puts the input in its place: a large one in huge pages, a small one by write(2), which has no fault for each page, as
    /// writing to a mapping has.
    pub(crate) fn put(&self, mut bytes: &[u8]) -> io::Result<()> {
        if bytes.len() as u64 >= HUGE {
            let mut place = self.map_input()?;
            place.populate(0..bytes.len());
            place[..bytes.len()].copy_from_slice(bytes);
            return Ok(());
        }
        let mut at = self.layout.input_at();
        while !bytes.is_empty() {
            let written = rustix::io::pwrite(&self.file, bytes, at)?;
            bytes = &bytes[written..];
            at += written as u64;
        }
        Ok(())
    }

    /// The input's place, to be written in.
    pub(crate) fn map_input(&self) -> io::Result<Written> {
        let len = usize::try_from(self.layout.capacity).map_err(io::Error::other)?;
        Written::map(&self.file, self.layout.input_at(), len)
    }

    /// The head, read once. The child is dead.
    pub(crate) fn head(&self) -> io::Result<Head> {
        let mut bytes = [0; HEAD];
        let mut read = 0;
        while read < HEAD {
            match rustix::io::pread(&self.file, &mut bytes[read..], read as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => read += more,
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(Head::parse(&bytes))
    }

    /// The first `len` bytes of the output, which are within the bound. The child is dead.
    pub(crate) fn output(&self, len: usize) -> io::Result<Bytes> {
        if len > COPIED {
            return Frozen::map(&self.file, self.layout.output_at(), len).map(|mapped| Bytes(Held::Mapped(mapped)));
        }
        let mut bytes = vec![0; len];
        let mut read = 0;
        while read < len {
            match rustix::io::pread(&self.file, &mut bytes[read..], self.layout.output_at() + read as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => read += more,
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(Bytes(Held::Copied(bytes)))
    }
}

impl Head {
    pub(crate) fn parse(bytes: &[u8; HEAD]) -> Self {
        let word = |at: usize| bytes[at..].first_chunk().map_or(0, |word| u32::from_ne_bytes(*word));
        let len = bytes[16..].first_chunk().map_or(0, |word| u64::from_ne_bytes(*word));
        let message = &bytes[MESSAGE..];
        let message = &message[..usize::try_from(word(28)).unwrap_or(0).min(message.len())];
        Self {
            state: word(0),
            step: word(4),
            errno: word(8).cast_signed(),
            output_len: len,
            short_memory: bytes[24] == 1,
            message: String::from_utf8_lossy(message).into_owned(),
        }
    }
}

/// The descriptor under a number that is not one of the standard streams'.
pub(crate) fn above_streams(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    if descriptor.as_raw_fd() > 2 { Ok(descriptor) } else { Ok(fcntl_dupfd_cloexec(descriptor, 3)?) }
}

/// Bytes that a function returned. They dereference to a slice; large ones are still where the function put them, and
/// nobody can change them any more.
#[derive(Debug)]
pub struct Bytes(Held);

#[derive(Debug)]
enum Held {
    Copied(Vec<u8>),
    Mapped(Frozen),
}

impl Bytes {
    /// The bytes as a vector; large ones are copied.
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Held::Copied(bytes) => bytes,
            Held::Mapped(mapped) => mapped.to_vec(),
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Held::Copied(bytes) => bytes,
            Held::Mapped(mapped) => mapped,
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq<[u8]> for Bytes {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

/// An input that is written where the function reads it.
///
/// ```no_run
/// use std::io::Write;
/// # let policy = lazaret_policy::Loader::new().profile("compute")?;
/// let count = lazaret_seccomp::call::sandboxed(&policy, |input| Ok::<_, ()>(vec![input.len() as u8]))?;
/// let mut input = count.input(64)?;
/// input.write_all(b"three")?;
/// let called = count.call_with(input)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Input {
    pub(crate) room: Room,
    mapped: Option<Written>,
    pub(crate) len: usize,
}

impl Input {
    pub(crate) fn new(capacity: usize, bound: u64) -> io::Result<Self> {
        let room = Room::new(Layout { input: 0, capacity: capacity as u64, bound })?;
        let mapped = if capacity == 0 { None } else { Some(room.map_input()?) };
        Ok(Self { room, mapped, len: 0 })
    }

    /// Where its parts lie: the input may be shorter than its place.
    pub(crate) fn layout(&self) -> Layout {
        Layout { input: self.len as u64, ..self.room.layout }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of the place, to be filled by other means than [`std::io::Write`]; then [`Input::set_len`].
    pub fn spare(&mut self) -> &mut [u8] {
        self.mapped.as_deref_mut().unwrap_or_default()
    }

    /// How much of the place is the input.
    ///
    /// # Panics
    ///
    /// When that is more than the capacity.
    pub fn set_len(&mut self, len: usize) {
        assert!(len <= self.mapped.as_deref().map_or(0, <[u8]>::len), "an input has its capacity at most");
        self.len = len;
    }
}

/// Writes behind what was written. At the capacity it takes no more, as a slice does.
impl io::Write for Input {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let at = self.len;
        let taken = bytes.len().min(self.spare().len() - at);
        if let Some(mapped) = self.mapped.as_mut().filter(|_| taken >= MANY) {
            // Without, there is a fault for each page.
            mapped.populate(at..at + taken);
        }
        let free = &mut self.spare()[at..];
        free[..taken].copy_from_slice(&bytes[..taken]);
        self.len += taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
