use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::text;

/// Everything that is wrong with a policy, in the order in which it was found. Its Display is the whole
/// explanation: for each problem an annotated excerpt of the file, then a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    problems: Vec<Problem>,
}

impl PolicyError {
    /// The problems, at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// `Err` when there are problems, otherwise `value`.
    pub(crate) fn unless_empty<T>(problems: Vec<Problem>, value: T) -> Result<T, Self> {
        if problems.is_empty() { Ok(value) } else { Err(Self { problems }) }
    }
}

impl From<Problem> for PolicyError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl From<Vec<Problem>> for PolicyError {
    fn from(problems: Vec<Problem>) -> Self {
        Self { problems }
    }
}

impl std::error::Error for PolicyError {}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// One thing that is wrong: a message, the place, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    message: String,
    label: String,
    hint: String,
    place: Option<Box<Place>>,
}

/// A stretch of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The text's name: a file's path, `profile default`, `command line`.
    pub(crate) name: String,
    pub(crate) text: Arc<str>,
    pub(crate) span: Range<usize>,
}

impl Problem {
    /// A problem that lies in no text. What a terminal would act on is escaped: both quote what users wrote.
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        let (message, hint) = (text::printable(message.into()), text::printable(hint.into()));
        Self { message, label: String::new(), hint, place: None }
    }

    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(Box::new(place));
        self
    }

    pub(crate) fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it, in one line.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// The name of the text that holds the problem: a file's path, `profile NAME`, or `command line`.
    pub fn file(&self) -> Option<&str> {
        self.place.as_ref().map(|place| place.name.as_str())
    }

    /// The text that holds the problem.
    pub fn source_text(&self) -> Option<&str> {
        self.place.as_ref().map(|place| &*place.text)
    }

    /// Where in that text it lies, in bytes.
    pub fn span(&self) -> Option<Range<usize>> {
        self.place.as_ref().map(|place| place.span.clone())
    }

    /// The line where it begins, counted from 1.
    pub fn line(&self) -> Option<usize> {
        self.place.as_ref().map(|place| line_of(&place.text, place.span.start))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = Level::ERROR.no_name().primary_title(self.message.as_str());
        match &self.place {
            None => f.write_str(&self.message)?,
            Some(place) => {
                let mark = AnnotationKind::Primary.span(place.span.clone());
                let mark = if self.label.is_empty() { mark } else { mark.label(self.label.as_str()) };
                let snippet = Snippet::source(&*place.text).path(place.name.as_str()).annotation(mark);
                let group = title.element(snippet);
                f.write_str(&Renderer::plain().decor_style(DecorStyle::Ascii).render(&[group]))?;
            }
        }
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\nhint: {}", self.hint) }
    }
}

/// The line, counted from 1, that holds byte `offset`.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}
