//! The files to learn from, and their order.

use std::io;
use std::path::{Path, PathBuf};

/// Why there is no corpus.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A directory cannot be listed.
    #[error("cannot list `{path}`")]
    List {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has no files.
    #[error("the corpus `{path}` is empty: it has no files")]
    Empty {
        /// The directory.
        path: PathBuf,
    },
}

/// A file of the corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Where it is.
    pub path: PathBuf,
    /// Its path below the corpus, as text.
    pub name: String,
}

/// Every regular file below `directory`, through links to files but not to directories, in the order in which it is to be
/// run: shuffled by `seed`, so that kinds of files that lie together do not come all at the end.
///
/// # Errors
///
/// When a directory cannot be listed, or there is no file.
pub fn list(directory: &Path, seed: u64) -> Result<Vec<Sample>, CorpusError> {
    let mut samples = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(next) = pending.pop() {
        let failed = |source| CorpusError::List { path: next.clone(), source };
        for entry in std::fs::read_dir(&next).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            if entry.file_type().map_err(failed)?.is_dir() {
                pending.push(path);
            } else if std::fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
                let name = path.strip_prefix(directory).unwrap_or(&path).display().to_string();
                samples.push(Sample { path, name });
            }
        }
    }
    if samples.is_empty() {
        return Err(CorpusError::Empty { path: directory.to_owned() });
    }
    samples.sort_by(|a, b| a.path.cmp(&b.path));
    shuffle(&mut samples, seed);
    Ok(samples)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corpus_has_the_files_of_all_its_directories_in_an_order_that_its_seed_decides() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        std::fs::create_dir(directory.path().join("sub")).expect("it is ours");
        for at in 0..20 {
            let name = if at % 2 == 0 { format!("{at}") } else { format!("sub/{at}") };
            std::fs::write(directory.path().join(name), "").expect("it is ours");
        }
        let names = |seed| -> Vec<String> {
            list(directory.path(), seed).expect("it has files").into_iter().map(|sample| sample.name).collect()
        };

        assert_eq!(names(1).len(), 20);
        assert_eq!(names(1), names(1));
        assert_ne!(names(1), names(2));
        assert!(names(1).contains(&"sub/3".to_owned()));
    }

    #[test]
    fn a_corpus_without_files_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        std::fs::create_dir(directory.path().join("sub")).expect("it is ours");

        assert!(matches!(list(directory.path(), 0), Err(CorpusError::Empty { .. })));
    }
}
