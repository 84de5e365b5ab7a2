//! What kind of program a process executes.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// How a program begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// With a loader, which runs initialisers.
    Dynamic,
    /// At its entry.
    Static,
}

const PT_INTERP: u32 = 3;
/// struct Elf64_Ehdr and Elf64_Phdr.
const HEADER: usize = 64;
const ENTRY: usize = 56;
/// More entries than any program has.
const MOST: usize = 512;
/// How many scripts the kernel has interpreted by each other, and how long their first line may be. Source: execve(2).
const SCRIPTS: usize = 4;
const LINE: usize = 255;

/// What the process of the thread `pid` executes, by the file's own headers; `None` if that cannot be told. A running
/// program's file cannot be written (ETXTBSY), and the link leads to it whatever became of its name.
pub(crate) fn of(pid: u32) -> Option<Image> {
    let file = File::open(format!("/proc/{pid}/exe")).ok()?;
    read(|bytes, at| file.read_exact_at(bytes, at).ok())
}

/// The same of the file at `path`, or of the interpreter that the script there names.
pub(super) fn of_file(path: &Path) -> Option<Image> {
    let mut path = path.to_owned();
    for _ in 0..=SCRIPTS {
        let file = File::open(&path).ok().filter(|file| file.metadata().is_ok_and(|data| data.is_file()))?;
        let mut line = [0; LINE];
        let len = file.read_at(&mut line, 0).ok()?;
        let Some(rest) = line[..len].strip_prefix(b"#!") else {
            return read(|bytes, at| file.read_exact_at(bytes, at).ok());
        };
        let words = rest.split(|byte| *byte == b'\n').next()?.split(|byte| b" \t".contains(byte));
        path = Path::new(OsStr::from_bytes(words.into_iter().find(|word| !word.is_empty())?)).to_owned();
    }
    None
}

/// The same, of what `at` fills bytes from.
pub(super) fn read(at: impl Fn(&mut [u8], u64) -> Option<()>) -> Option<Image> {
    let mut header = [0; HEADER];
    at(&mut header, 0)?;
    // 64 bits, little-endian: no other program runs here.
    if header[..6] != [0x7f, b'E', b'L', b'F', 2, 1] {
        return None;
    }
    let half = |place: usize| usize::from(u16::from_le_bytes([header[place], header[place + 1]]));
    let first = u64::from_le_bytes(header[32..40].try_into().ok()?);
    let (size, count) = (half(54), half(56));
    if size != ENTRY || count == 0 || count > MOST {
        return None;
    }
    let mut entries = vec![0; ENTRY * count];
    at(&mut entries, first)?;
    let has_loader = entries.chunks_exact(ENTRY).any(|entry| entry[..4] == PT_INTERP.to_le_bytes());
    Some(if has_loader { Image::Dynamic } else { Image::Static })
}
