//! What is mapped in a process. Source: proc_pid_maps(5).

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// A range of a process's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) executable: bool,
    /// Where in the file it begins.
    pub(crate) offset: u64,
    /// The file's number on its file system; 0: no file.
    pub(crate) inode: u64,
    /// The path of the file, or a word such as `[stack]`; empty where there is none.
    pub(crate) name: Vec<u8>,
}

/// How much of the list is read. A process may have 65,530 mappings, of about a hundred bytes each.
const BOUND: u64 = 4 << 20;

/// The mappings of the process, by ascending address. A list that is longer than anybody needs is cut.
pub(crate) fn read(path: &Path) -> Option<Vec<Mapping>> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(BOUND).read_to_end(&mut text).ok()?;
    Some(text.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// `55d0c0000000-55d0c0002000 r-xp 00001000 fe:01 131090  /usr/bin/cat`
fn parse(line: &[u8]) -> Option<Mapping> {
    let mut rest = line;
    let mut field = || {
        let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        let (field, behind) = rest.split_at(end);
        rest = behind.strip_prefix(b" ").unwrap_or(behind);
        std::str::from_utf8(field).ok()
    };
    let (start, end) = field()?.split_once('-')?;
    let executable = field()?.as_bytes().get(2) == Some(&b'x');
    let offset = u64::from_str_radix(field()?, 16).ok()?;
    field()?;
    let inode = field()?.parse().ok()?;
    let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    Some(Mapping { start, end, executable, offset, inode, name: unescape(rest.trim_ascii_start()) })
}

/// The kernel writes a line's end in a name, and nothing else, as `\012`.
fn unescape(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.windows(4).position(|four| four == b"\\012") {
        plain.extend_from_slice(&rest[..at]);
        plain.push(b'\n');
        rest = &rest[at + 4..];
    }
    plain.extend_from_slice(rest);
    plain
}

/// The mapping that holds `address`.
pub(crate) fn holding(maps: &[Mapping], address: u64) -> Option<&Mapping> {
    let at = maps.partition_point(|mapping| mapping.end <= address);
    maps.get(at).filter(|mapping| mapping.start <= address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_whatever_its_file_is_called() {
        let line = b"55d0c0000000-55d0c0002000 r-xp 00001000 fe:01 131090                     /job/a b\\012c";

        let mapping = parse(line).expect("a line of the kernel's");

        assert_eq!((mapping.start, mapping.end, mapping.offset), (0x55d0_c000_0000, 0x55d0_c000_2000, 0x1000));
        assert_eq!((mapping.executable, mapping.inode), (true, 131_090));
        assert_eq!(mapping.name, b"/job/a b\nc");
    }

    #[test]
    fn what_is_no_line_is_none() {
        for line in [&b""[..], b"x", b"1-2", b"1-2 rwxp zz 00:00 0", b"1-2 rw", b"\xff-\xfe r-xp 0 0 0"] {
            assert_eq!(parse(line), None, "{line:?}");
        }
    }

    #[test]
    fn this_process_has_its_code_where_it_runs() {
        let maps = read(Path::new("/proc/self/maps")).expect("it is there");
        let here = this_process_has_its_code_where_it_runs as *const () as u64;

        let mapping = holding(&maps, here).expect("code is mapped");

        assert!(mapping.executable && mapping.name.starts_with(b"/"));
        assert_eq!(holding(&maps, 1), None);
    }
}
