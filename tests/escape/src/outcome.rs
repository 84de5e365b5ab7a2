//! What a probe has to say of itself.

use std::fmt::Display;
use std::process::ExitCode;
use std::str::FromStr;

use crate::call::Errno;

/// One attack: what it got, or what stopped it.
pub(crate) type Probe = fn(&Arguments) -> Outcome;

/// A probe by its name on the command line.
pub(crate) type Named = (&'static str, Probe);

/// What a probe believes. The harness outside believes only what it sees there.
pub(crate) enum Outcome {
    /// It worked, and how.
    Escaped(String),
    /// It was stopped, and by which errors.
    Blocked(String),
}

impl Outcome {
    pub(crate) fn escaped(how: impl Into<String>) -> Self {
        Self::Escaped(how.into())
    }

    /// For effects that only the outside can see.
    pub(crate) fn judged_outside() -> Self {
        Self::Blocked("or not: judged outside".to_owned())
    }

    /// Prints the one line that the harness looks for.
    #[expect(clippy::print_stdout, reason = "the line is the program's output")]
    pub(crate) fn tell(self) -> ExitCode {
        match self {
            Self::Escaped(how) => {
                println!("ESCAPED {}", one_line(&how));
                ExitCode::SUCCESS
            }
            Self::Blocked(why) => {
                println!("blocked {}", one_line(&why));
                ExitCode::FAILURE
            }
        }
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(4000).collect()
}

/// The ways that a probe tried, in vain so far.
#[derive(Default)]
pub(crate) struct Tries {
    failed: Vec<String>,
}

impl Tries {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Notes the failure of one way and gives the success, if it was one.
    pub(crate) fn of<T, E: Into<Errno>>(&mut self, what: impl Display, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.failed(what, error.into());
                None
            }
        }
    }

    /// Notes a failure.
    pub(crate) fn failed(&mut self, what: impl Display, why: impl Display) {
        self.failed.push(format!("{what}: {why}"));
    }

    /// Nothing worked.
    pub(crate) fn blocked(self) -> Outcome {
        Outcome::Blocked(self.failed.join(", "))
    }
}

/// The probe's own arguments.
pub(crate) struct Arguments(Vec<String>);

impl Arguments {
    pub(crate) fn new(given: Vec<String>) -> Self {
        Self(given)
    }

    pub(crate) fn all(&self) -> &[String] {
        &self.0
    }

    /// The argument at `index`, empty when it is missing.
    pub(crate) fn text(&self, index: usize) -> &str {
        self.0.get(index).map_or("", String::as_str)
    }

    /// The argument at `index` as a number, 0 when it is missing or none.
    pub(crate) fn number<T: FromStr + Default>(&self, index: usize) -> T {
        self.text(index).parse().unwrap_or_default()
    }
}
