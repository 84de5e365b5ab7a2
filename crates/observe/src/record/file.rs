//! Recordings as files.

use super::{FORMAT, Recording, VERSION};
use crate::learn::looks;
use serde::Deserialize;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Why a recording cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file cannot be read.
    #[error("cannot read the recording `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file ends too early.
    #[error("the recording `{path}` is cut off: it ends at line {line}, in the middle")]
    CutOff {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
    },
    /// A newer Lazaret wrote it.
    #[error("the recording `{path}` is of version {version}, and this program reads {VERSION} at most")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// It is something else.
    #[error("`{path}` is not a recording of Lazaret")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It says that it is a recording, but its content is none.
    #[error("the recording `{path}` is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and how.
        source: serde_json::Error,
    },
    /// It speaks of runs, programs or values that it does not have.
    #[error("the recording `{path}` is damaged: {what}")]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// It cannot be written.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl RecordError {
    /// What the user can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Read { .. } => "name a file that `lazaret learn --record` wrote".to_owned(),
            Self::CutOff { .. } => "copy it again, or learn again; nothing of it was used".to_owned(),
            Self::Newer { .. } => "join it with the Lazaret that wrote it, or a newer one".to_owned(),
            Self::Foreign { .. } => "name a file that `lazaret learn --record` wrote; a policy is not one".to_owned(),
            Self::Damaged { .. } | Self::Inconsistent { .. } => "learn again; nothing of it was used".to_owned(),
            Self::Write { .. } => "name another file; what was there before is still there".to_owned(),
        }
    }
}

/// The beginning of every version.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

/// Reads the recording in the file `path`.
///
/// # Errors
///
/// When it cannot be read, is no recording, is of a newer version, or is not whole.
pub fn read(path: &Path) -> Result<Recording, RecordError> {
    let text = std::fs::read(path).map_err(|source| RecordError::Read { path: path.to_owned(), source })?;
    parse(path, &text)
}

pub(super) fn parse(path: &Path, text: &[u8]) -> Result<Recording, RecordError> {
    let path = path.to_owned();
    let head: Head = match serde_json::from_slice(text) {
        Ok(head) => head,
        Err(e) if e.is_eof() && begins_as_recording(text) => return Err(RecordError::CutOff { path, line: e.line() }),
        Err(_other) => return Err(RecordError::Foreign { path }),
    };
    if head.format != FORMAT {
        return Err(RecordError::Foreign { path });
    }
    if head.version > VERSION {
        return Err(RecordError::Newer { path, version: head.version });
    }
    let recording: Recording =
        serde_json::from_slice(text).map_err(|source| RecordError::Damaged { path: path.clone(), source })?;
    match inconsistency(&recording) {
        None => Ok(recording),
        Some(what) => Err(RecordError::Inconsistent { path, what }),
    }
}

fn begins_as_recording(text: &[u8]) -> bool {
    String::from_utf8_lossy(&text[..text.len().min(200)]).contains(FORMAT)
}

/// What later stages rely on.
fn inconsistency(recording: &Recording) -> Option<&'static str> {
    if recording.sessions.is_empty() {
        return Some("it has no session");
    }
    for session in &recording.sessions {
        let runs = session.files.len();
        let facts = session.calls.iter().map(|fact| (&fact.files, Some(fact.program)));
        let facts = facts.chain(session.paths.iter().map(|fact| (&fact.files, Some(fact.program))));
        let facts = facts.chain(session.hosts.iter().map(|fact| (&fact.files, None)));
        let mut facts = facts.chain(session.names.iter().map(|fact| (&fact.files, None)));
        let bad = facts.any(|(seen, program)| {
            seen.count() == 0
                || seen.iter().any(|run| run >= runs)
                || program.is_some_and(|program| program >= session.programs.len())
        });
        if bad {
            return Some("a fact names a run or a program that is not there");
        }
        if session.calls.iter().any(|fact| fact.values.len() < looks(&fact.call).len()) {
            return Some("a call lacks arguments that are looked at");
        }
        if !matches!(session.machine.arch.as_str(), "x86_64" | "aarch64") {
            return Some("it is of an unknown architecture");
        }
    }
    None
}

/// Writes `recording` to the file `path`: whole, or not at all.
///
/// # Errors
///
/// When it cannot be written. What was there before is still there then.
pub fn write(path: &Path, recording: &Recording) -> Result<(), RecordError> {
    let failed = |source| RecordError::Write { path: path.to_owned(), source };
    let mut text = serde_json::to_vec_pretty(recording).map_err(|e| failed(e.into()))?;
    text.push(b'\n');
    replace(path, &text).map_err(failed)
}

/// Puts `content` in the place of the file `path`, whole or not at all.
///
/// # Errors
///
/// When the directory cannot be written to, or is full.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".lazaret-").tempfile_in(directory)?;
    file.write_all(content)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|e| e.error)
}
