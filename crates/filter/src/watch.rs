//! Watching calls without deciding about them: a second filter beside the one that is enforced.
//!
//! The kernel takes one listener, and of several filters the strictest answer; so both filters have to be one program.
//! Its decision graph is that of the enforced filter, in which whatever is simply allowed leads on to the graph of the
//! other. No path that refuses is touched, so nothing can be permitted that the enforced filter refuses.

#[cfg(test)]
mod tests;

use crate::arch::Arch;
use crate::compile::{Backend, CompileError};
use crate::filter::{Action, Call, Decision, Filter};
use crate::program::Program;

/// Which permitted calls a supervisor is told of, beside those that the enforced filter has it told of. It lets them
/// happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch<'a> {
    /// None.
    Nothing,
    /// All that this filter does not simply allow.
    Unless(&'a Filter),
    /// All that one of these filters does not simply allow.
    UnlessBoth(&'a Filter, &'a Filter),
}

/// What enforced filter and watched filter make of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// What becomes of the call. Nothing else decides about it.
    pub enforced: Decision,
    /// What would become of it under the other filter: known where there is one, and the call was permitted. Of two, the
    /// first that does not simply allow it.
    pub watched: Option<Decision>,
}

impl<'a> Watch<'a> {
    /// Compiles `enforced` for `arch` and a supervisor, who is told of what is watched too.
    ///
    /// For every call that `enforced` does not simply allow, the program returns what that of
    /// [`Filter::compile`] returns; for one that it does, [`Watch`] says whether the supervisor is told.
    ///
    /// # Errors
    ///
    /// As [`Filter::compile`], of either filter, and when both together are too long.
    pub fn compile(self, enforced: &Filter, arch: Arch) -> Result<Program, CompileError> {
        enforced.compile_watched(arch, Backend::Supervised, self)
    }

    /// The filters, in the order in which a permitted call is put to them.
    pub(crate) fn filters(self) -> impl Iterator<Item = &'a Filter> {
        let (first, second) = match self {
            Self::Nothing => (None, None),
            Self::Unless(filter) => (Some(filter), None),
            Self::UnlessBoth(first, second) => (Some(first), Some(second)),
        };
        first.into_iter().chain(second)
    }

    /// Decides again about a call that the supervisor was told of.
    #[must_use]
    pub fn decide(self, enforced: &Filter, call: &Call) -> Sight {
        let enforced = enforced.decide(call);
        let watched = match self {
            _ if !enforced.action.permits() => None,
            Self::Unless(filter) => Some(filter.decide(call)),
            Self::UnlessBoth(first, second) => match first.decide(call) {
                decision if decision.action != Action::Allow => Some(decision),
                _ => Some(second.decide(call)),
            },
            Self::Nothing => None,
        };
        Sight { enforced, watched }
    }
}
