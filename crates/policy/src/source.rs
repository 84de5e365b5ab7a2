use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

/// Where a value of a policy came from. Shown beside the value in a plan and in the report's enforcement table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A built-in profile and the line, counted from 1.
    Profile {
        /// The profile's name.
        name: String,
        /// Line, counted from 1.
        line: usize,
    },
    /// A policy file and the line, counted from 1.
    File {
        /// The path as the caller or the extending policy named it.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
    },
    /// An option of the command line, such as `--limit`.
    CommandLine {
        /// The option with its dashes.
        option: String,
    },
    /// Set by a program through [`PolicyBuilder`](crate::PolicyBuilder).
    Builder,
}

impl Source {
    /// The source of a value given by the command-line option `option`, dashes included.
    pub fn option(option: impl Into<String>) -> Self {
        Self::CommandLine { option: option.into() }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Profile { name, line } => write!(f, "profile {name}:{line}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::CommandLine { option } => f.write_str(option),
            Self::Builder => f.write_str("program"),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A value and where it came from. Dereferences to the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it was set.
    pub source: Source,
}

impl<T> Sourced<T> {
    /// Pairs a value with its source.
    pub fn new(value: T, source: Source) -> Self {
        Self { value, source }
    }

    /// The same source with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Sourced<U> {
        Sourced { value: change(self.value), source: self.source }
    }
}

impl<T> Deref for Sourced<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
