use std::borrow::Borrow;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

/// One command to run in a sandbox of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The command, searched on the jail's `PATH` when it has no slash.
    pub command: OsString,
    /// Its arguments, without the command itself.
    pub args: Vec<OsString>,
    /// Environment variables beside those of the policy; a later one replaces an earlier of the same name.
    pub environment: Vec<(String, String)>,
    /// Files that lie in `/job` when the command starts.
    pub inputs: Vec<Input>,
    /// Files of `/job` that are taken out when the command has succeeded.
    pub outputs: Vec<Output>,
    /// Standard input.
    pub stdin: Stdin,
    /// Where the changes in copy-on-write views are exported to: a directory that does not exist yet.
    pub export_changes: Option<PathBuf>,
}

impl Job {
    /// A job without arguments, files or standard input.
    pub fn new(command: impl Into<OsString>) -> Self {
        Self {
            command: command.into(),
            args: Vec::new(),
            environment: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            stdin: Stdin::Empty,
            export_changes: None,
        }
    }

    /// Checks what the fields' types do not prove. Whether files exist is not looked at.
    ///
    /// # Errors
    ///
    /// An empty command, a NUL byte in a string, a bad variable name, two inputs or two outputs of one name.
    pub fn check(&self) -> Result<(), JobError> {
        let Self { command, args, environment, inputs, outputs, stdin: _, export_changes: _ } = self;
        if command.is_empty() {
            return Err(JobError::EmptyCommand);
        }
        if let Some(bad) = std::iter::once(command).chain(args).find(|text| text.as_bytes().contains(&0)) {
            return Err(JobError::Nul { text: text::escape(bad.as_bytes()) });
        }
        for (name, value) in environment {
            if !is_variable_name(name) {
                return Err(JobError::VariableName { name: text::escape(name.as_bytes()) });
            }
            if value.contains('\0') {
                return Err(JobError::Nul { text: format!("{name}={}", text::escape(value.as_bytes())) });
            }
        }
        let mut seen = HashSet::new();
        if let Some(input) = inputs.iter().find(|input| !seen.insert(&input.name)) {
            return Err(JobError::DuplicateInput { name: input.name.clone() });
        }
        let mut seen = HashSet::new();
        if let Some(output) = outputs.iter().find(|output| !seen.insert(&output.name)) {
            return Err(JobError::DuplicateOutput { name: output.name.clone() });
        }
        Ok(())
    }
}

/// Why a job is not one that can be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The command is empty.
    #[error("the command is empty")]
    EmptyCommand,
    /// A command, argument or value holds a NUL byte, which no `execve` can pass.
    #[error("`{text}` holds a NUL byte")]
    Nul {
        /// The text, escaped.
        text: String,
    },
    /// A variable's name is empty or holds `=` or NUL.
    #[error("`{name}` cannot be the name of an environment variable")]
    VariableName {
        /// The name, escaped.
        name: String,
    },
    /// Two inputs would have the same name in `/job`.
    #[error("two inputs are named `{name}`")]
    DuplicateInput {
        /// The name.
        name: FileName,
    },
    /// One output is asked for twice.
    #[error("the output `{name}` is asked for twice")]
    DuplicateOutput {
        /// The name.
        name: FileName,
    },
    /// An input's path has no base name, as `/` and `..` have none.
    #[error("`{}` has no base name to use in /job", path.display())]
    NoBaseName {
        /// The path.
        path: PathBuf,
    },
    /// A name that cannot be a file's.
    #[error("{0}")]
    FileName(FileNameError),
}

impl JobError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::EmptyCommand => "name a command".to_owned(),
            Self::Nul { .. } => "remove the NUL byte".to_owned(),
            Self::VariableName { .. } => "names are not empty and hold neither `=` nor NUL".to_owned(),
            Self::DuplicateInput { name } => {
                format!("give one of them another name, `--in HOST:NAME`, NAME not `{name}`")
            }
            Self::DuplicateOutput { .. } => "ask for it once".to_owned(),
            Self::NoBaseName { .. } => "name it, `--in HOST:NAME`".to_owned(),
            Self::FileName(_) => FileNameError::HINT.to_owned(),
        }
    }
}

/// A file that is given to the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where its content comes from.
    pub from: InputFrom,
    /// Its name in `/job`.
    pub name: FileName,
}

impl Input {
    /// A host file under its own base name.
    ///
    /// # Errors
    ///
    /// The path has no base name.
    pub fn file(path: impl Into<PathBuf>) -> Result<Self, JobError> {
        let path = path.into();
        match path.file_name().map(FileName::new) {
            Some(name) => Ok(Self { name: name.map_err(JobError::FileName)?, from: InputFrom::File(path) }),
            None => Err(JobError::NoBaseName { path }),
        }
    }

    /// A host file under another name.
    pub fn renamed(path: impl Into<PathBuf>, name: FileName) -> Self {
        Self { from: InputFrom::File(path.into()), name }
    }

    /// A file of these bytes.
    pub fn bytes(name: FileName, bytes: impl Into<Vec<u8>>) -> Self {
        Self { from: InputFrom::Bytes(bytes.into()), name }
    }
}

/// Where an input's content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputFrom {
    /// A regular file of the host.
    File(PathBuf),
    /// Memory of the caller.
    Bytes(Vec<u8>),
}

/// A file that is taken from the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its name in `/job`.
    pub name: FileName,
    /// Where to put it. `None`: only checked, measured and hashed.
    pub to: Option<PathBuf>,
}

/// Standard input of the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stdin {
    /// At its end from the start.
    Empty,
    /// These bytes.
    Bytes(Vec<u8>),
    /// The caller's own, passed through a pipe.
    Inherit,
}

/// The name of one file in `/job`: 1 to 255 bytes, no slash, no NUL, neither `.` nor `..`.
///
/// Every other byte is allowed, a newline and invalid UTF-8 too, because the kernel allows it and users' files
/// have such names. Shown and serialised, bytes that do not print are written `\xNN` and a backslash is doubled, so a
/// name can neither break a line nor drive a terminal, and can be read back.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Vec<u8>);

impl FileName {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// See [`FileNameError`].
    pub fn new(name: impl AsRef<OsStr>) -> Result<Self, FileNameError> {
        let name = name.as_ref().as_bytes();
        match name {
            [] => Err(FileNameError::Empty),
            b"." | b".." => Err(FileNameError::Dots),
            _ if name.len() > 255 => Err(FileNameError::TooLong { bytes: name.len() }),
            _ if name.contains(&b'/') => Err(FileNameError::Slash { name: text::escape(name) }),
            _ if name.contains(&0) => Err(FileNameError::Nul { name: text::escape(name) }),
            _ => Ok(Self(name.to_vec())),
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name for use with paths.
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }
}

impl AsRef<OsStr> for FileName {
    fn as_ref(&self) -> &OsStr {
        self.as_os_str()
    }
}

impl AsRef<Path> for FileName {
    fn as_ref(&self) -> &Path {
        Path::new(self.as_os_str())
    }
}

impl Borrow<OsStr> for FileName {
    fn borrow(&self) -> &OsStr {
        self.as_os_str()
    }
}

impl TryFrom<&str> for FileName {
    type Error = FileNameError;

    fn try_from(name: &str) -> Result<Self, FileNameError> {
        Self::new(name)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::escape(&self.0))
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

impl Serialize for FileName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FileName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let written = String::deserialize(deserializer)?;
        let bytes =
            text::unescape(&written).ok_or_else(|| D::Error::custom("a backslash must begin `\\\\` or `\\xNN`"))?;
        Self::new(OsString::from_vec(bytes)).map_err(D::Error::custom)
    }
}

impl JsonSchema for FileName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FileName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "The name of a file in /job. A backslash is doubled and a byte that does not print is written \\xNN.",
            "type": "string",
            "minLength": 1,
        })
    }
}

/// Why a text cannot be the name of a file in `/job`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// It is empty.
    #[error("a file name is empty")]
    Empty,
    /// It is `.` or `..`.
    #[error("`.` and `..` name directories, not files")]
    Dots,
    /// It is longer than 255 bytes.
    #[error("a file name of {bytes} bytes is too long: 255 are the most")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It has a slash.
    #[error("`{name}` is a path, not a name: it holds a slash")]
    Slash {
        /// The text, escaped.
        name: String,
    },
    /// It has a NUL byte.
    #[error("`{name}` holds a NUL byte")]
    Nul {
        /// The text, escaped.
        name: String,
    },
}

impl FileNameError {
    /// What a name must be.
    pub const HINT: &str = "files lie in /job itself: give a plain name, 1 to 255 bytes, without a slash";
}

/// Whether the kernel and `getenv` can tell a variable of that name from its value.
pub(crate) fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

#[cfg(test)]
mod tests;
