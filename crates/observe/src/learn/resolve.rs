//! Where a path leads on this host.

use crate::record::PathKind;
use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path, PathBuf};

/// A path, followed as the kernel does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lead {
    /// Each link on the way, and what is behind the last; none of them has links before its last part. Empty: nothing is
    /// there.
    pub(super) steps: Vec<PathBuf>,
    pub(super) kind: PathKind,
}

/// What was followed already.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    known: HashMap<(PathBuf, bool), Lead>,
    execs: HashMap<PathBuf, Vec<PathBuf>>,
}

/// More links than this on the way are ELOOP: path_resolution(7).
const MOST_LINKS: usize = 40;
/// A script's interpreter may be a script, and so on: execve(2).
const MOST_INTERPRETERS: usize = 5;

impl Resolver {
    /// Where `path` leads; with `follow`, behind a link at its end too.
    pub(super) fn lead(&mut self, path: &Path, follow: bool) -> &Lead {
        self.known.entry((path.to_owned(), follow)).or_insert_with(|| walk(path, follow))
    }

    /// What the kernel opens to execute `path`, beside itself: a script's interpreter, a program's loader.
    pub(super) fn interpreters(&mut self, path: &Path) -> &[PathBuf] {
        self.execs.entry(path.to_owned()).or_insert_with(|| {
            let mut found: Vec<PathBuf> = Vec::new();
            let mut next = interpreter(path);
            while let Some(path) = next.filter(|_| found.len() < MOST_INTERPRETERS) {
                next = interpreter(&path);
                found.push(path);
            }
            found
        })
    }
}

fn walk(path: &Path, follow: bool) -> Lead {
    const ABSENT: Lead = Lead { steps: Vec::new(), kind: PathKind::Absent };
    // There, links say something else to each process.
    if ["/proc", "/sys", "/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr"]
        .iter()
        .any(|root| path.starts_with(root))
    {
        return match fs::symlink_metadata(path) {
            Ok(_) => Lead { steps: vec![path.to_owned()], kind: PathKind::File },
            Err(_absent) => ABSENT,
        };
    }
    let parts = |path: &Path| -> Vec<OsString> {
        path.components().filter(|part| *part != Component::RootDir).map(|part| part.as_os_str().to_owned()).collect()
    };
    let mut at = PathBuf::from("/");
    let mut kind = PathKind::Directory;
    let mut steps = Vec::new();
    let mut rest: VecDeque<OsString> = parts(path).into();
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        let Ok(metadata) = fs::symlink_metadata(&next) else { return ABSENT };
        if metadata.is_symlink() && (follow || !rest.is_empty()) {
            let Ok(target) = fs::read_link(&next) else { return ABSENT };
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            for part in parts(&target).into_iter().rev() {
                rest.push_front(part);
            }
            steps.push(next);
            if steps.len() > MOST_LINKS {
                return ABSENT;
            }
            continue;
        }
        let file_type = metadata.file_type();
        kind = if file_type.is_dir() {
            PathKind::Directory
        } else if file_type.is_char_device() || file_type.is_block_device() {
            PathKind::Device
        } else if file_type.is_socket() || file_type.is_fifo() {
            PathKind::Other
        } else {
            PathKind::File
        };
        at = next;
    }
    steps.push(at);
    Lead { steps, kind }
}

/// The interpreter that the file names: `#!` or PT_INTERP.
fn interpreter(path: &Path) -> Option<PathBuf> {
    use object::elf::FileHeader64;
    use object::read::elf::{FileHeader as _, ProgramHeader as _};
    use std::io::Read as _;
    use std::os::unix::ffi::OsStringExt as _;
    const HEAD: u64 = 16 * 1024;
    let mut head = Vec::new();
    fs::File::open(path).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next()?;
        let name = line.split(|byte| matches!(byte, b' ' | b'\t')).find(|word| !word.is_empty())?;
        return Some(PathBuf::from(OsString::from_vec(name.to_vec())));
    }
    let header = FileHeader64::<object::Endianness>::parse(head.as_slice()).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, head.as_slice()).ok()?;
    let name = segments.iter().find_map(|segment| segment.interpreter(endian, head.as_slice()).ok().flatten())?;
    Some(PathBuf::from(OsString::from_vec(name.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_link_on_the_way_is_a_step_and_none_has_links_before_its_end() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let root = fs::canonicalize(directory.path()).expect("it is there");
        fs::create_dir(root.join("real")).expect("it is ours");
        fs::write(root.join("real/file"), "").expect("it is ours");
        symlink("real", root.join("dir")).expect("it is ours");
        symlink("../dir/file", root.join("real/again")).expect("it is ours");

        let lead = walk(&root.join("dir/again"), true);

        let steps = ["dir", "real/again", "dir", "real/file"].map(|name| root.join(name));
        assert_eq!(lead, Lead { steps: steps.to_vec(), kind: PathKind::File });
    }

    #[test]
    fn a_link_that_is_not_followed_is_the_end() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let root = fs::canonicalize(directory.path()).expect("it is there");
        symlink("nowhere", root.join("link")).expect("it is ours");

        assert_eq!(walk(&root.join("link"), false).steps, [root.join("link")]);
        assert_eq!(walk(&root.join("link"), true).kind, PathKind::Absent);
    }

    #[test]
    fn a_script_needs_its_interpreter_and_that_ones_loader() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let script = directory.path().join("script");
        fs::write(&script, "#! /bin/sh -e\n").expect("it is ours");
        let mut resolver = Resolver::default();

        let found = resolver.interpreters(&script).to_vec();

        assert_eq!(found.first(), Some(&PathBuf::from("/bin/sh")));
        assert!(found.len() <= 2, "{found:?}");
    }
}
