//! The files that are run.

use super::Run;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The files below a directory, sorted.
#[derive(Debug)]
pub struct Corpus {
    root: PathBuf,
    /// Those that can be read.
    pub files: Vec<PathBuf>,
    /// Files and directories that cannot.
    pub unreadable: Vec<Unreadable>,
}

/// Something in a corpus that cannot be read.
#[derive(Debug)]
pub struct Unreadable {
    /// Its path in the corpus, as text.
    pub name: String,
    /// Why.
    pub why: io::Error,
}

impl Unreadable {
    pub(super) fn as_run(&self) -> Run {
        Run::error(&self.name, format!("it cannot be read: {}", self.why))
    }
}

/// A corpus that nothing can be learned from.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// The directory cannot be read.
    #[error("cannot read the corpus `{}`", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no file in it.
    #[error("the corpus `{}` has no file", .path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
}

impl CorpusError {
    /// What the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Directory { .. } => "name a directory of files that the command can be run on",
            Self::Empty { .. } => "put files into it that the command can be run on; what is not run is not checked",
        }
    }
}

impl Corpus {
    /// The regular files below `root`, links to files included, links to directories not.
    ///
    /// # Errors
    ///
    /// When the directory itself cannot be read, or holds no file.
    pub fn open(root: &Path) -> Result<Self, CorpusError> {
        let failed = |source| CorpusError::Directory { path: root.to_owned(), source };
        let mut corpus = Self { root: root.to_owned(), files: Vec::new(), unreadable: Vec::new() };
        let mut directories = vec![(root.to_owned(), std::fs::read_dir(root).map_err(failed)?)];
        while let Some((directory, entries)) = directories.pop() {
            for entry in entries {
                let path = match entry {
                    Ok(entry) => entry.path(),
                    Err(why) => {
                        corpus.leave_out(&directory, why);
                        break;
                    }
                };
                let is_link = path.is_symlink();
                match path.metadata() {
                    Err(why) => corpus.leave_out(&path, why),
                    Ok(found) if found.is_dir() && !is_link => match std::fs::read_dir(&path) {
                        Ok(entries) => directories.push((path, entries)),
                        Err(why) => corpus.leave_out(&path, why),
                    },
                    Ok(found) if found.is_file() => match File::open(&path) {
                        Ok(_readable) => corpus.files.push(path),
                        Err(why) => corpus.leave_out(&path, why),
                    },
                    // Neither a file nor a directory: nothing to be run on.
                    Ok(_) => {}
                }
            }
        }
        corpus.files.sort();
        corpus.unreadable.sort_by(|a, b| a.name.cmp(&b.name));
        if corpus.files.is_empty() && corpus.unreadable.is_empty() {
            return Err(CorpusError::Empty { path: root.to_owned() });
        }
        Ok(corpus)
    }

    /// The path of a file in the corpus, as text.
    pub(super) fn name(&self, file: &Path) -> String {
        lazaret::view::escape(file.strip_prefix(&self.root).unwrap_or(file))
    }

    fn leave_out(&mut self, path: &Path, why: io::Error) {
        self.unreadable.push(Unreadable { name: self.name(path), why });
    }
}

/// `argument` with every `{}` replaced by `name`.
#[must_use]
pub fn fill(argument: &std::ffi::OsStr, name: &std::ffi::OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let (mut rest, name) = (argument.as_bytes(), name.as_bytes());
    let mut filled = Vec::with_capacity(rest.len());
    while let Some(at) = rest.windows(2).position(|pair| pair == b"{}") {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(name);
        rest = &rest[at + 2..];
    }
    filled.extend_from_slice(rest);
    OsString::from_vec(filled)
}
