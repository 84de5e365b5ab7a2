//! What the host paths of a policy are.

use lazaret_policy::{Policy, Root};
use rustix::fs::{FileType, major, minor};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathKind {
    /// Nothing is there.
    Missing,
    /// A directory, and the disk that its file system is on.
    Directory {
        /// Major and minor number of the whole disk, where the policy bounds the rate of disks and there is one.
        disk: Option<(u32, u32)>,
    },
    /// A regular file.
    File,
    /// A character device.
    CharacterDevice,
    /// A symbolic link with its text and the path it leads to in the end, if it leads anywhere.
    Symlink {
        /// The link's text.
        target: PathBuf,
        /// Where it leads, all links resolved.
        resolved: Option<PathBuf>,
    },
    /// Something that cannot be shown in a jail.
    Other(&'static str),
}

/// What the paths that a policy names are, at this moment. The launch acts on the paths again, inside the job's own
/// mount namespace: a path that changed meanwhile fails or shows what the policy allowed it to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathFacts {
    kinds: HashMap<PathBuf, PathKind>,
    /// Device and inode numbers of those that are there, in the order of looking.
    identities: Vec<(u64, u64)>,
    listings: HashMap<PathBuf, Vec<PathBuf>>,
    owners: HashMap<PathBuf, (u32, u32)>,
    with_disks: bool,
}

impl PathFacts {
    /// Looks at every path that `policy` names.
    pub fn gather(policy: &Policy) -> Self {
        let mut facts = Self { with_disks: policy.limits.io_rate.is_some(), ..Self::default() };
        let files = &policy.files;
        if let Root::Directory(root) = &files.root.value {
            facts.look(root);
            let listing = list(root);
            for entry in &listing {
                facts.look(entry);
            }
            facts.listings.insert(root.clone(), listing);
        }
        files.read.iter().for_each(|bind| facts.look(&bind.host));
        for cow in &files.cow {
            facts.look(&cow.host);
            if let Ok(metadata) = fs::metadata(&cow.host) {
                facts.owners.insert(cow.host.clone(), (metadata.uid(), metadata.gid()));
            }
        }
        files.devices.iter().for_each(|device| facts.look(&device.path));
        facts
    }

    fn look(&mut self, path: &Path) {
        if !self.kinds.contains_key(path) {
            let metadata = fs::symlink_metadata(path);
            self.identities.extend(metadata.as_ref().map(|metadata| (metadata.dev(), metadata.ino())));
            let kind = kind(path, metadata, self.with_disks);
            if let PathKind::Symlink { resolved: Some(resolved), .. } = &kind {
                let resolved = resolved.clone();
                self.look(&resolved);
            }
            self.kinds.insert(path.to_owned(), kind);
        }
    }

    /// What `path` is.
    pub fn kind(&self, path: &Path) -> &PathKind {
        self.kinds.get(path).unwrap_or(&PathKind::Missing)
    }

    /// Device and inode numbers of the paths that are there: other ones behind the same names are told by them.
    pub(crate) fn identities(&self) -> &[(u64, u64)] {
        &self.identities
    }

    /// The entries of the root directory `path`, as full paths.
    pub fn listing(&self, path: &Path) -> &[PathBuf] {
        self.listings.get(path).map_or(&[], Vec::as_slice)
    }

    /// User and group id of the owner of `path`, a directory that is shown as a copy.
    pub fn owner(&self, path: &Path) -> Option<(u32, u32)> {
        self.owners.get(path).copied()
    }

    /// Notes what a path is, for plans that are made without a host.
    pub fn note(&mut self, path: impl Into<PathBuf>, kind: PathKind) {
        self.kinds.insert(path.into(), kind);
    }
}

fn kind(path: &Path, metadata: io::Result<fs::Metadata>, with_disks: bool) -> PathKind {
    let metadata = match metadata {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return PathKind::Missing,
        Err(_) => return PathKind::Other("it cannot be looked at by this user"),
    };
    let file_type = metadata.file_type();
    if file_type.is_symlink() {
        let target = fs::read_link(path).unwrap_or_default();
        return PathKind::Symlink { target, resolved: fs::canonicalize(path).ok() };
    }
    if file_type.is_dir() {
        return PathKind::Directory { disk: if with_disks { whole_disk(metadata.dev()) } else { None } };
    }
    if file_type.is_char_device() {
        return PathKind::CharacterDevice;
    }
    match FileType::from_raw_mode(metadata.mode()) {
        FileType::RegularFile => PathKind::File,
        FileType::BlockDevice => PathKind::Other("it is a block device"),
        FileType::Fifo => PathKind::Other("it is a FIFO"),
        FileType::Socket => PathKind::Other("it is a socket"),
        _ => PathKind::Other("it is of an unknown kind"),
    }
}

fn list(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The disk of the file system `device`: throttles are set on whole disks, not on partitions. `None` for file systems
/// without one.
fn whole_disk(device: u64) -> Option<(u32, u32)> {
    let entry = PathBuf::from(format!("/sys/dev/block/{}:{}", major(device), minor(device)));
    let number = if entry.join("partition").exists() { entry.join("../dev") } else { entry.join("dev") };
    let text = fs::read_to_string(number).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
