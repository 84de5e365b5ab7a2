//! Whether reading a job's memory can take as long as somebody likes.

use lazaret_policy::{Policy, Root};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// File systems whose pages come from this machine's own disks and memory. A page of any other, which a job may map, comes
/// when its server (FUSE, NFS, 9p) likes.
const QUICK: [&str; 30] = [
    "bcachefs",
    "binfmt_misc",
    "bpf",
    "btrfs",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "ext2",
    "ext3",
    "ext4",
    "f2fs",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "pstore",
    "ramfs",
    "securityfs",
    "squashfs",
    "sysfs",
    "tmpfs",
    "tracefs",
    "xfs",
];

/// The paths of this host that a job under `policy` is shown.
pub(crate) fn shown(policy: &Policy) -> Vec<PathBuf> {
    let files = &policy.files;
    let root = match &files.root.value {
        Root::Directory(root) => Some(root.clone()),
        Root::Host => None,
    };
    let read = files.read.iter().map(|bind| bind.host.clone());
    let cow = files.cow.iter().map(|cow| cow.host.clone());
    let devices = files.devices.iter().map(|device| device.path.clone());
    root.into_iter().chain(read).chain(cow).chain(devices).collect()
}

/// Whether a job that is shown these paths of this host can have memory that is not there at once.
///
/// # Errors
///
/// When this process cannot see its mounts.
pub(crate) fn may_wait(shown: &[PathBuf]) -> io::Result<bool> {
    let mounts = std::fs::read("/proc/self/mountinfo")?;
    let waits = shown.iter().any(|path| path.starts_with("/dev/userfaultfd"));
    Ok(waits || mounts.split(|byte| *byte == b'\n').any(|line| is_slow(line, shown)))
}

/// Source: proc_pid_mountinfo(5): the fifth field is the mount point; the type follows a field that is a hyphen.
fn is_slow(line: &[u8], shown: &[PathBuf]) -> bool {
    let mut fields = line.split(|byte| *byte == b' ');
    let Some(point) = fields.nth(4) else { return false };
    let kind = fields.skip_while(|field| *field != b"-").nth(1).unwrap_or_default();
    let point = PathBuf::from(OsString::from_vec(unescaped(point)));
    let concerns = |path: &Path| path.starts_with(&point) || point.starts_with(path);
    !QUICK.iter().any(|quick| quick.as_bytes() == kind) && shown.iter().any(|path| concerns(path))
}

/// A space, a tab, a newline and a backslash are written as a backslash and three octal digits.
fn unescaped(mut field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    while let Some((first, rest)) = field.split_first() {
        let digits = rest.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                field = &rest[3..];
            }
            None => {
                plain.push(*first);
                field = rest;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(line: &str, shown: &str) -> bool {
        is_slow(line.as_bytes(), &[PathBuf::from(shown)])
    }

    #[test]
    fn what_lies_on_beneath_or_above_a_servers_mount_is_slow() {
        let line = "36 35 0:33 / /srv/with\\040space rw,noatime shared:1 - fuse.sshfs host:/ rw";

        assert!(is(line, "/srv/with space"));
        assert!(is(line, "/srv/with space/data"));
        assert!(is(line, "/srv"));
        assert!(!is(line, "/srv/without"));
    }

    #[test]
    fn what_lies_on_this_machines_disks_is_quick() {
        assert!(!is("36 35 254:0 / / rw,noatime - ext4 /dev/vda rw", "/usr"));
        assert!(is("36 35 254:0 / / rw,noatime - nfs4 host:/ rw", "/usr"));
    }
}
