//! What goes to standard error: errors with their causes and a hint.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;

/// An error of Lazaret's own, ready to be shown.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    hint: Option<String>,
}

impl Failure {
    /// `error` with all its causes, and what the user can do.
    pub(crate) fn new(error: &dyn Error, hint: Option<String>) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let written = write!(text, "\n  caused by: {error}");
            debug_assert!(written.is_ok(), "writing to a String does not fail");
            cause = error.source();
        }
        Self { text, hint }
    }

    /// A message without a cause.
    pub(crate) fn message(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { text: text.into(), hint: Some(hint.into()) }
    }
}

impl From<lazaret::Error> for Failure {
    fn from(error: lazaret::Error) -> Self {
        Self::new(&error, error.hint())
    }
}

impl From<lazaret::PolicyError> for Failure {
    fn from(error: lazaret::PolicyError) -> Self {
        // Its text shows the places and ends in the hints.
        Self::new(&error, None)
    }
}

/// Shows a failure. It can hold names and texts of anybody's choice.
pub(crate) fn error(failure: &Failure) {
    let mut text = format!("lazaret: error: {}", failure.text);
    if let Some(hint) = &failure.hint {
        text.push_str("\n\nhint: ");
        text.push_str(hint);
    }
    let shown = text.split('\n').map(|line| lazaret_policy::printable(line.to_owned()));
    line(&shown.collect::<Vec<_>>().join("\n"));
}

/// Writes a line to standard error.
pub(crate) fn line(text: &str) {
    let written = writeln!(std::io::stderr().lock(), "{text}");
    // Where there is nobody to read it, there is nobody to tell.
    drop(written);
}

/// Writes to standard output. A reader that has gone is no error of ours.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::message(format!("cannot write to standard output: {e}"), "check where it is redirected to"))
        }
        _ => Ok(()),
    }
}
