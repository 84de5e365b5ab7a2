//! What a process executes.

use crate::record::Origin;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A process's program, and where its loader lies.
#[derive(Debug, Clone)]
pub(super) struct Image {
    /// The number of the program.
    pub(super) program: usize,
    /// The dynamic loader's mapping; empty for static programs.
    pub(super) loader: Range<u64>,
}

impl Image {
    /// Whose call goes on at `instruction`: the loader's, when it lies in the loader's mapping.
    pub(super) fn origin(&self, instruction: u64) -> Origin {
        if self.loader.contains(&instruction) { Origin::Loader } else { Origin::Program }
    }
}

/// The image of the process of the thread `tid`. `number` knows the number of a program's path.
pub(super) fn read(tid: u32, number: impl FnOnce(&Path) -> usize) -> Option<Image> {
    let program = fs::read_link(format!("/proc/{tid}/exe")).ok()?;
    let auxv = fs::read(format!("/proc/{tid}/auxv")).unwrap_or_default();
    let loader = match base(&auxv) {
        0 => 0..0,
        base => extent(&fs::read_to_string(format!("/proc/{tid}/maps")).unwrap_or_default(), base),
    };
    Some(Image { program: number(&program), loader })
}

/// AT_BASE: where the kernel mapped the loader; 0 when there is none. Source: getauxval(3).
fn base(auxv: &[u8]) -> u64 {
    const AT_BASE: u64 = 7;
    let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
    auxv.chunks_exact(16).find(|pair| word(&pair[..8]) == AT_BASE).map_or(0, |pair| word(&pair[8..]))
}

/// From `base` to the end of the mappings of the file that is mapped there. Source: proc_pid_maps(5).
fn extent(maps: &str, base: u64) -> Range<u64> {
    let mut range = base..base;
    let mut file = None;
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let Some((start, end)) = fields.next().and_then(|field| field.split_once('-')) else { continue };
        let (Ok(start), Ok(end)) = (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16)) else { continue };
        let name = fields.nth(4);
        if start == base {
            file = name;
        }
        if file.is_some() && name == file {
            range.end = range.end.max(end);
        }
    }
    range
}

/// The process that the thread `tid` belongs to.
pub(super) fn leader(tid: u32) -> Option<u32> {
    field(tid, "Tgid:")?.parse().ok()
}

/// The most memory that the process ever had resident, in bytes.
pub(super) fn resident(tid: u32) -> u64 {
    let kib = field(tid, "VmHWM:").and_then(|text| text.trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn field(tid: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned())
}

/// `/proc/PID/…` of the process itself as `/proc/self/…`, which is the same in each run.
pub(super) fn own(path: PathBuf, leader: u32) -> PathBuf {
    match path.strip_prefix(format!("/proc/{leader}")) {
        Ok(rest) if rest.as_os_str().is_empty() => PathBuf::from("/proc/self"),
        Ok(rest) => Path::new("/proc/self").join(rest),
        Err(_elsewhere) => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
7f0000000000-7f0000001000 r--p 00000000 08:01 11 /usr/lib/ld.so
7f0000001000-7f0000020000 r-xp 00001000 08:01 11 /usr/lib/ld.so
7f0000020000-7f0000021000 rw-p 00000000 00:00 0
7f0000021000-7f0000030000 r--p 00020000 08:01 11 /usr/lib/ld.so
7f0000100000-7f0000200000 r-xp 00000000 08:01 12 /usr/lib/libc.so.6
";

    #[test]
    fn the_loader_reaches_over_all_mappings_of_its_file() {
        assert_eq!(extent(MAPS, 0x7f00_0000_0000), 0x7f00_0000_0000..0x7f00_0003_0000);
    }

    #[test]
    fn a_call_is_the_loaders_when_its_instruction_lies_in_it() {
        let image = Image { program: 0, loader: extent(MAPS, 0x7f00_0000_0000) };

        assert_eq!(image.origin(0x7f00_0000_1234), Origin::Loader);
        assert_eq!(image.origin(0x7f00_0010_1234), Origin::Program);
    }

    #[test]
    fn a_static_program_has_no_loader() {
        let image = Image { program: 0, loader: 0..0 };

        assert_eq!(image.origin(0), Origin::Program);
        assert_eq!(base(&[]), 0);
    }

    #[test]
    fn a_process_finds_itself_under_one_name() {
        assert_eq!(own("/proc/12/maps".into(), 12), Path::new("/proc/self/maps"));
        assert_eq!(own("/proc/123/maps".into(), 12), Path::new("/proc/123/maps"));
    }
}
