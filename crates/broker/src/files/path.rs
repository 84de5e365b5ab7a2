//! Paths in the job's file tree, as names.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// An absolute path of a job, without links, `.` and `..`: the names on the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Guest(Vec<Vec<u8>>);

impl Guest {
    /// `/`.
    pub(super) fn top() -> Self {
        Self(Vec::new())
    }

    /// `None` when it is relative or has `..` in it.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.first() != Some(&b'/') {
            return None;
        }
        let names = text.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
        let names: Vec<Vec<u8>> = names.map(<[u8]>::to_vec).collect();
        (!names.iter().any(|name| name == b"..")).then_some(Self(names))
    }

    pub(super) fn of(names: &[&[u8]]) -> Self {
        Self(names.iter().map(|name| name.to_vec()).collect())
    }

    pub(super) fn names(&self) -> &[Vec<u8>] {
        &self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The directory above; of `/`, itself.
    pub(super) fn pop(&mut self) {
        self.0.pop();
    }

    pub(super) fn join(&self, rest: &[Vec<u8>]) -> Self {
        Self(self.0.iter().chain(rest).cloned().collect())
    }

    pub(super) fn child(&self, name: &[u8]) -> Self {
        Self(self.0.iter().cloned().chain([name.to_vec()]).collect())
    }

    /// Whether it is the beginning of a path of these names, or all of it.
    pub(super) fn is_prefix_of<N: AsRef<[u8]>>(&self, names: &[N]) -> bool {
        self.0.len() <= names.len() && self.0.iter().zip(names).all(|(own, other)| own.as_slice() == other.as_ref())
    }

    pub(super) fn is_at_or_beneath(&self, other: &Self) -> bool {
        other.is_prefix_of(&self.0)
    }

    pub(super) fn is_beneath(&self, other: &Self) -> bool {
        self.len() > other.len() && self.is_at_or_beneath(other)
    }

    /// The directories above it, `/` first.
    pub(super) fn parents(&self) -> impl Iterator<Item = Self> {
        (0..self.0.len()).map(|names| Self(self.0[..names].to_vec()))
    }

    /// What is behind the first `names` names, as a relative path.
    pub(super) fn relative(&self, names: usize) -> Vec<u8> {
        match self.0.get(names..) {
            None | Some([]) => b".".to_vec(),
            Some(rest) => rest.join(&b'/'),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![b'/'];
        bytes.extend(self.0.join(&b'/'));
        bytes
    }

    pub(super) fn to_path(&self) -> PathBuf {
        PathBuf::from(OsString::from_vec(self.to_bytes()))
    }
}
