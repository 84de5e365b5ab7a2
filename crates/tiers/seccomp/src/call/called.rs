//! What came of a call.

use lazaret_policy::{Refusal, Usage, Verdict};

/// What came of a call: how it ended, what the function returned, what it used, what it was refused.
#[derive(Debug)]
#[non_exhaustive]
pub struct Called<T> {
    /// How it ended.
    pub ending: Ending,
    /// What it used. Its peak of memory includes what it shared with its parent when it began.
    pub usage: Usage,
    /// System calls that were refused, equal ones counted together.
    pub refusals: Vec<Refusal>,
    /// Refusals that were too many to be recorded.
    pub refusals_dropped: u64,
    pub(crate) value: Option<T>,
}

impl<T> Called<T> {
    /// What the function returned.
    ///
    /// # Errors
    ///
    /// How it ended, when it returned nothing.
    pub fn value(&self) -> Result<&T, &Ending> {
        self.value.as_ref().ok_or(&self.ending)
    }

    /// What the function returned.
    ///
    /// # Errors
    ///
    /// How it ended, when it returned nothing.
    pub fn into_value(self) -> Result<T, Ending> {
        self.value.ok_or(self.ending)
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ending {
    /// The function returned, a value or its own error.
    #[error("the function returned")]
    Returned,
    /// It panicked.
    #[error("the function panicked: {message}")]
    Panicked {
        /// The panic's message and place, as far as they fit into four kilobytes. The function may have made it up.
        message: String,
    },
    /// Its process exited without an answer: something in it called `exit`.
    #[error("the function's process exited with {code} and gave no answer")]
    NoAnswer {
        /// The exit code.
        code: u8,
    },
    /// What it left where its answer belongs is none.
    #[error("the function gave no proper answer: {problem}")]
    Garbled {
        /// What is wrong with it.
        problem: String,
    },
    /// A limit, a signal, a system call that the policy answers with death, or a cancellation ended it.
    #[error("{0}")]
    Stopped(Box<Verdict>),
}

impl Ending {
    /// Whether the function returned.
    pub fn is_returned(&self) -> bool {
        matches!(self, Self::Returned)
    }

    /// The verdict, when it was stopped.
    pub fn verdict(&self) -> Option<&Verdict> {
        match self {
            Self::Stopped(verdict) => Some(verdict),
            Self::Returned => Some(&Verdict::Ok),
            Self::Panicked { .. } | Self::NoAnswer { .. } | Self::Garbled { .. } => None,
        }
    }
}
