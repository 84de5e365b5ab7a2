use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Place;
use crate::source::Source;

/// The text of one policy and what it is called.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) origin: Origin,
    pub(super) text: Arc<str>,
    /// Offsets of the line ends: every value's line is asked for.
    line_ends: Vec<usize>,
}

/// What a text is: the identity by which a policy that extends itself is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A built-in profile.
    Profile(String),
    /// A file.
    File(PathBuf),
}

impl Origin {
    /// What a policy's `extends` names, seen from this text: a path when it has a slash, otherwise a profile.
    pub(super) fn base(&self, written: &str) -> Self {
        if !written.contains('/') {
            return Self::Profile(written.to_owned());
        }
        let directory = match self {
            Self::File(path) => path.parent().unwrap_or(Path::new("")),
            Self::Profile(_) => Path::new(""),
        };
        Self::File(without_dots(&directory.join(written)))
    }

    /// The name in a policy's chain.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Profile(name) => name.clone(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

impl Document {
    pub(super) fn new(origin: Origin, text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        Self { origin, text, line_ends }
    }

    /// Whether it is part of this crate, whose tests check it.
    pub(super) fn is_built_in(&self) -> bool {
        matches!(self.origin, Origin::Profile(_))
    }

    /// The name in messages.
    fn title(&self) -> String {
        match &self.origin {
            Origin::Profile(name) => format!("profile {name}"),
            Origin::File(path) => path.display().to_string(),
        }
    }

    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        Place { name: self.title(), text: Arc::clone(&self.text), span: span.clone() }
    }

    pub(super) fn source(&self, span: &Range<usize>) -> Source {
        let line = self.line_ends.partition_point(|end| *end < span.start) + 1;
        match &self.origin {
            Origin::Profile(name) => Source::Profile { name: name.clone(), line },
            Origin::File(path) => Source::File { path: path.clone(), line },
        }
    }
}

/// The path without `.` components, so that `a/./b` and `a/b` are one file. `..` stays: only the file system
/// knows what it names.
fn without_dots(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect()
}
