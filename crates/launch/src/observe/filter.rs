//! The filter that watches.

use super::Observe;
use crate::error::PlanError;
use crate::filter::{self, OwnRules, exec};
use crate::refusals;
use lazaret_filter::{Action, Arch, Call, Decision, Filter, Program, Rule, Watch};

/// What a filter's supervisor notes, and the filter that has it told.
#[derive(Debug, Clone)]
pub struct Watching {
    /// Whatever this does not simply allow is told.
    pub(super) filter: Filter,
    /// The other policy's rules, and from which on they are there to tell of calls beyond the bound of a file.
    other: Option<(Filter, usize)>,
    pub(super) everything: bool,
}

/// Calls that name an address.
const ADDRESS_CALLS: [&str; 3] = ["bind", "connect", "sendto"];

impl Watching {
    /// What `observe` asks for, but for the calls of the launch, which have the `token`. `None`: nothing.
    ///
    /// # Errors
    ///
    /// When the other policy's rules cannot be parsed.
    pub(crate) fn new(observe: &Observe, own: OwnRules, token: u64) -> Result<Option<Self>, PlanError> {
        let (mut watched, other) = match observe {
            Observe::Nothing => return Ok(None),
            Observe::Paths => (Filter::new(Action::Allow), None),
            Observe::Everything => (Filter::new(Action::Log), None),
            Observe::Against(other) => {
                let (filter, beyond) = filter::rules(&other.calls, own, Some(other.file_size))?;
                (filter.clone(), Some((filter, beyond)))
            }
        };
        let everything = *observe == Observe::Everything;
        if !everything {
            for call in lazaret_inspect::path_calls().chain(ADDRESS_CALLS) {
                watched.push(parsed(call)?, Action::Log);
            }
        }
        exec::free(&mut watched, token)?;
        Ok(Some(Self { filter: watched, other, everything }))
    }

    /// The program that enforces `enforced` and tells of what is watched, and of what `beside` does not simply allow.
    ///
    /// # Errors
    ///
    /// When both filters together are more than the kernel takes.
    pub(crate) fn compile(
        &self,
        enforced: &Filter,
        beside: Option<&Filter>,
        arch: Arch,
    ) -> Result<Program, lazaret_filter::CompileError> {
        let watch = match beside {
            Some(beside) => Watch::UnlessBoth(&self.filter, beside),
            None => Watch::Unless(&self.filter),
        };
        watch.compile(enforced, arch)
    }

    /// What the other policy makes of a call that the enforced one permits.
    pub(super) fn other_decides(&self, call: &Call) -> Option<Decision> {
        self.other.as_ref().map(|(filter, _)| filter.decide(call))
    }

    pub(super) fn is_beyond(&self, rule: Option<usize>) -> bool {
        self.other.as_ref().is_some_and(|(_, beyond)| rule.is_some_and(|rule| rule >= *beyond))
    }

    /// The text of the other policy's rule of that number.
    pub(super) fn rule(&self, rule: Option<usize>) -> Option<String> {
        let (filter, _) = self.other.as_ref()?;
        filter.rules().get(rule?).map(|(rule, _)| rule.to_string())
    }

    /// What to write into the other policy to allow `call`.
    pub(super) fn suggestion(&self, call: &str) -> Option<String> {
        let (filter, _) = self.other.as_ref()?;
        refusals::suggestion(call, filter)
    }

    pub(super) fn names_paths(&self, call: &str) -> bool {
        lazaret_inspect::path_calls().any(|known| known == call)
    }

    pub(super) fn names_addresses(&self, call: &str) -> bool {
        ADDRESS_CALLS.contains(&call)
    }
}

fn parsed(text: &str) -> Result<Rule, PlanError> {
    Rule::parse(text).map_err(|e| PlanError::Filter { problem: format!("`{text}`: {e}") })
}
