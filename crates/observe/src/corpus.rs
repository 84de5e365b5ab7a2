//! The files that a command is run on, for each of which `{}` stands in its arguments.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// What stands for a file in an argument.
const PLACE: &[u8] = b"{}";

/// The files below a directory, sorted.
#[derive(Debug)]
pub struct Corpus {
    root: PathBuf,
    /// Those that can be read.
    pub files: Vec<Sample>,
    /// Files and directories that cannot.
    pub unreadable: Vec<Unreadable>,
}

/// A file of a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Where it is.
    pub path: PathBuf,
    /// Its path in the corpus, as text; bytes that do not print are written `\xNN`.
    pub name: String,
}

/// Something in a corpus that cannot be read.
#[derive(Debug)]
pub struct Unreadable {
    /// Its path in the corpus, as text.
    pub name: String,
    /// Why.
    pub why: io::Error,
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
            Self::Empty { .. } => "put files into it such as the command will be given",
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
                        Ok(_readable) => {
                            let name = corpus.name(&path);
                            corpus.files.push(Sample { path, name });
                        }
                        Err(why) => corpus.leave_out(&path, why),
                    },
                    // Neither a file nor a directory: nothing to be run on.
                    Ok(_) => {}
                }
            }
        }
        corpus.files.sort_by(|a, b| a.path.cmp(&b.path));
        corpus.unreadable.sort_by(|a, b| a.name.cmp(&b.name));
        if corpus.files.is_empty() && corpus.unreadable.is_empty() {
            return Err(CorpusError::Empty { path: root.to_owned() });
        }
        Ok(corpus)
    }

    /// The same files in another order, which `seed` decides: kinds of files that lie together do not come all at the end.
    #[must_use]
    pub fn shuffled(mut self, seed: u64) -> Self {
        shuffle(&mut self.files, seed);
        self
    }

    fn name(&self, file: &Path) -> String {
        lazaret::view::escape(file.strip_prefix(&self.root).unwrap_or(file))
    }

    fn leave_out(&mut self, path: &Path, why: io::Error) {
        self.unreadable.push(Unreadable { name: self.name(path), why });
    }
}

/// Fisher and Yates, driven by SplitMix64: the same order everywhere for the same names and seed.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for at in (1..items.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let with = usize::try_from(z % (at as u64 + 1)).unwrap_or(0);
        items.swap(at, with);
    }
}

/// `argument` with every `{}` replaced by `name`.
#[must_use]
pub fn fill(argument: &OsStr, name: &OsStr) -> OsString {
    let mut rest = argument.as_bytes();
    let mut filled = Vec::with_capacity(rest.len());
    while let Some(at) = rest.windows(PLACE.len()).position(|bytes| bytes == PLACE) {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(name.as_bytes());
        rest = &rest[at + PLACE.len()..];
    }
    filled.extend_from_slice(rest);
    OsString::from_vec(filled)
}

/// Whether one of `words` says where the file goes.
#[must_use]
pub fn has_place(words: &[OsString]) -> bool {
    words.iter().any(|word| word.as_bytes().windows(PLACE.len()).any(|bytes| bytes == PLACE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory can be made");
        for name in names {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("it is ours");
            std::fs::write(path, "").expect("it is ours");
        }
        directory
    }

    fn names(corpus: &Corpus) -> Vec<&str> {
        corpus.files.iter().map(|sample| sample.name.as_str()).collect()
    }

    #[test]
    fn every_placeholder_is_filled() {
        let filled = |argument: &str, name: &str| fill(OsStr::new(argument), OsStr::new(name));

        assert_eq!(filled("{}:{}.png", "a b.gif"), "a b.gif:a b.gif.png");
        assert_eq!(filled("{ }", "x"), "{ }");
        assert_eq!(filled("{{}}", "x"), "{x}");
        assert_eq!(filled("{}", "{}"), "{}", "what is filled in is not filled again");
    }

    #[test]
    fn a_word_may_have_the_place_within_it() {
        let command = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();

        assert!(has_place(&command(&["convert", "gif:{}", "out.png"])));
        assert!(!has_place(&command(&["convert", "{ }", "{"])));
    }

    #[test]
    fn a_corpus_is_sorted_goes_below_and_names_what_cannot_be_read() {
        let directory = files(&["z", "a", "m/b", "new\nline"]);
        std::os::unix::fs::symlink("nowhere", directory.path().join("dangling")).expect("it can be made");

        let corpus = Corpus::open(directory.path()).expect("it is good");

        assert_eq!(names(&corpus), ["a", "m/b", "new\\x0aline", "z"]);
        assert_eq!(corpus.unreadable.iter().map(|left| left.name.as_str()).collect::<Vec<_>>(), ["dangling"]);
    }

    #[test]
    fn the_order_is_the_seeds() {
        let all: Vec<String> =
            (0..20).map(|at| if at % 2 == 0 { format!("{at}") } else { format!("sub/{at}") }).collect();
        let directory = files(&all.iter().map(String::as_str).collect::<Vec<_>>());
        let order = |seed| {
            let corpus = Corpus::open(directory.path()).expect("it has files").shuffled(seed);
            names(&corpus).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };

        assert_eq!((order(1).len(), order(1)), (20, order(1)));
        assert_ne!(order(1), order(2));
    }

    #[test]
    fn an_empty_corpus_and_an_absent_one_are_errors() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        std::fs::create_dir(directory.path().join("sub")).expect("it is ours");

        let empty = Corpus::open(directory.path());
        let absent = Corpus::open(&directory.path().join("absent"));

        assert!(matches!(empty, Err(CorpusError::Empty { .. })), "{empty:?}");
        assert!(matches!(absent, Err(CorpusError::Directory { .. })), "{absent:?}");
    }
}
