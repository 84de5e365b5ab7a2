//! The share that holds now: the policy's, or that of a file which is looked at before every job.

#[cfg(test)]
mod tests;

use crate::error::Error;
use lazaret_policy::{Rollout, Share, Sourced};
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The most bytes that a file of shares has: two lines and what people write around them.
const MOST_BYTES: u64 = 64 << 10;

/// The files that this process read, and the last share in each that was good.
#[derive(Debug, Default)]
pub(crate) struct Shares(Mutex<HashMap<PathBuf, Read>>);

/// What a file said when it was last good.
#[derive(Debug, Clone)]
struct Read {
    stamp: Stamp,
    share: Sourced<Share>,
}

/// Tells a file from what it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    size: u64,
    changed: [i64; 4],
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            place: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            changed: [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()],
        }
    }
}

impl Shares {
    /// Those of this process: what was once good in a file is kept for as long as it lives.
    pub(crate) fn of_process() -> &'static Self {
        static SHARES: OnceLock<Shares> = OnceLock::new();
        SHARES.get_or_init(Self::default)
    }

    /// The share that holds now, and remarks.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is wrong, and was never good before: nobody says then how many jobs are to run
    /// under the old policy.
    pub(crate) fn current(&self, rollout: &Rollout) -> Result<(Sourced<Share>, Vec<String>), Error> {
        let Some(file) = &rollout.file else { return Ok((rollout.enforce.clone(), Vec::new())) };
        let path = &file.value;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let problem = match look(path, known.get(path)) {
            Ok(read) => {
                let share = read.share.clone();
                known.insert(path.clone(), read);
                return Ok((share, Vec::new()));
            }
            Err(problem) => problem,
        };
        match known.get(path) {
            Some(last) => {
                let note = format!("{problem}; the share of {} that it said before is kept", last.share.value);
                Ok((last.share.clone(), vec![note]))
            }
            None => Err(Error::Shares { problem }),
        }
    }
}

/// What the file says now; what it said before, if it is the same file.
fn look(path: &Path, before: Option<&Read>) -> Result<Read, String> {
    let shown = path.display();
    let failed = |e: io::Error| format!("cannot read the shares of the rollout in `{shown}`: {e}");
    let same = |metadata: &Metadata| before.filter(|read| read.stamp == Stamp::of(metadata));
    if let Some(read) = same(&std::fs::metadata(path).map_err(failed)?) {
        return Ok(read.clone());
    }
    // Not to wait for a writer, should it be a pipe.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(format!("`{shown}`, with the shares of the rollout, is no regular file"));
    }
    let mut text = String::new();
    (&file).take(MOST_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(format!("`{shown}`, with the shares of the rollout, is larger than {MOST_BYTES} bytes"));
    }
    // Somebody who writes it in place may be in the middle of that: what is read is good only if the file stayed.
    let stamp = Stamp::of(&metadata);
    if file.metadata().map(|after| Stamp::of(&after)).map_err(failed)? != stamp {
        return Err(format!("`{shown}`, with the shares of the rollout, was being written"));
    }
    let share =
        Rollout::share_in(path, &text).map_err(|e| format!("the shares of the rollout in `{shown}` are wrong: {e}"))?;
    Ok(Read { stamp, share })
}
