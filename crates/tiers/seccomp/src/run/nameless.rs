//! Files of a job that no directory names any more: what holds them is that they are open, or mapped.

use std::fs::{self, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// How much text of `/proc/PID/maps` is read at one look.
const MOST_TEXT: u64 = 16 << 20;
/// What the kernel puts behind the path of a file that has none any more.
const DELETED: &[u8] = b" (deleted)";

/// One look at them.
#[derive(Debug)]
pub(crate) struct Nameless<'a> {
    place: &'a Path,
    /// Those that were counted, and how much for each: every one counts once.
    found: Vec<Found>,
    text_left: u64,
    hides: bool,
}

#[derive(Debug)]
struct Found {
    inode: u64,
    bytes: u64,
    /// What it holds was seen, and not only how far it is mapped.
    exact: bool,
}

impl<'a> Nameless<'a> {
    /// Of files that were below `place`, as this process sees the path.
    pub(crate) fn below(place: &'a Path) -> Self {
        Self { place, found: Vec::new(), text_left: MOST_TEXT, hides: false }
    }

    /// How many bytes there are, and whether some process could have more and cannot be looked into.
    pub(crate) fn bytes(self) -> (u64, bool) {
        (self.found.iter().map(|found| found.bytes).sum(), self.hides)
    }

    /// Looks at the process `pid`.
    pub(crate) fn of_process(&mut self, pid: i32) {
        let looked = self.open(pid).and_then(|()| self.mapped(pid));
        self.hides |= looked.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        self.hides |= self.text_left == 0;
    }

    /// All threads have one table: the filter refuses another. A first thread that has ended shows nothing of it.
    fn open(&mut self, pid: i32) -> io::Result<()> {
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let mut is_empty = true;
            for descriptor in fs::read_dir(task?.path().join("fd"))?.flatten() {
                is_empty = false;
                if let Ok(file) = fs::metadata(descriptor.path()) {
                    self.count(&file);
                }
            }
            if !is_empty {
                break;
            }
        }
        Ok(())
    }

    fn count(&mut self, file: &Metadata) {
        if file.is_file() && file.nlink() == 0 {
            self.add(Found { inode: file.ino(), bytes: file.blocks() * 512, exact: true });
        }
    }

    fn add(&mut self, new: Found) {
        match self.found.iter_mut().find(|found| found.inode == new.inode) {
            Some(found) if found.exact => {}
            Some(found) if new.exact => *found = new,
            Some(found) => found.bytes = found.bytes.max(new.bytes),
            None => self.found.push(new),
        }
    }

    /// A mapping holds its file when every descriptor is closed. To see its size takes CAP_CHECKPOINT_RESTORE; else how far
    /// it is mapped has to do.
    fn mapped(&mut self, pid: i32) -> io::Result<()> {
        let mut text = Vec::new();
        let read = fs::File::open(format!("/proc/{pid}/maps"))?.take(self.text_left).read_to_end(&mut text)?;
        self.text_left -= read as u64;
        for line in text.split(|byte| *byte == b'\n') {
            let Some(mapping) = Mapping::parse(line).filter(|mapping| self.is_nameless(mapping)) else { continue };
            match fs::metadata(format!("/proc/{pid}/map_files/{}", mapping.range)) {
                Ok(file) => self.count(&file),
                Err(_) => self.add(Found { inode: mapping.inode, bytes: mapping.end_in_file, exact: false }),
            }
        }
        Ok(())
    }

    fn is_nameless(&self, mapping: &Mapping<'_>) -> bool {
        mapping.path.starts_with(self.place.as_os_str().as_encoded_bytes()) && mapping.path.ends_with(DELETED)
    }
}

/// proc(5), `/proc/PID/maps`: `from-to rights offset device inode path`.
struct Mapping<'a> {
    range: &'a str,
    end_in_file: u64,
    inode: u64,
    path: &'a [u8],
}

impl<'a> Mapping<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let path = line.iter().position(|byte| *byte == b'/')?;
        let (fields, path) = line.split_at_checked(path)?;
        let mut fields = std::str::from_utf8(fields).ok()?.split_ascii_whitespace();
        let (range, offset, inode) = (fields.next()?, fields.nth(1)?, fields.nth(1)?);
        let (from, to) = range.split_once('-')?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        let length = hex(to)?.checked_sub(hex(from)?)?;
        Some(Self { range, end_in_file: hex(offset)?.checked_add(length)?, inode: inode.parse().ok()?, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_tells_how_far_its_file_goes_at_least_and_its_name_whatever_is_in_it() {
        let line = b"7f00-9f00 rw-s 00001000 fe:00 4711                       /tmp/l/job/a b/\xff (deleted)";

        let mapping = Mapping::parse(line).expect("it is whole");

        assert_eq!((mapping.range, mapping.end_in_file, mapping.inode), ("7f00-9f00", 0x3000, 4711));
        assert_eq!(mapping.path, b"/tmp/l/job/a b/\xff (deleted)");
        assert!(Mapping::parse(b"7f00-9f00 rw-p 00000000 00:00 0 [heap]").is_none());
    }

    #[test]
    fn what_was_seen_counts_for_what_is_mapped_and_each_file_once() {
        let mut nameless = Nameless::below(Path::new("/tmp/l"));
        nameless.add(Found { inode: 1, bytes: 10, exact: false });
        nameless.add(Found { inode: 1, bytes: 30, exact: false });
        nameless.add(Found { inode: 2, bytes: 5, exact: false });
        nameless.add(Found { inode: 2, bytes: 4, exact: true });
        nameless.add(Found { inode: 2, bytes: 9, exact: false });

        assert_eq!(nameless.bytes(), (34, false));
    }
}
