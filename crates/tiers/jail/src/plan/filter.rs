//! The system-call filter of a plan.

use crate::error::PlanError;
use lazaret_filter::{Action, Arch, Backend, Filter, Rule};
use lazaret_policy::{CallAction, Policy};

/// The filter, as rules and compiled.
#[derive(Debug, Clone)]
pub struct FilterPlan {
    /// The rules; the supervisor decides on refused calls with them again.
    pub filter: Filter,
    /// Whether refused calls are reported to the supervisor.
    pub supervised: bool,
    /// The program, as an array of struct sock_filter.
    pub program: Vec<u8>,
    /// Its number of instructions.
    pub instructions: u16,
}

const EPERM: u16 = 1;

impl FilterPlan {
    pub(crate) fn new(policy: &Policy, supervised: bool) -> Result<Self, PlanError> {
        let calls = &policy.system_calls;
        let mut filter = Filter::new(action(calls.default.value));
        for rule in &calls.rules {
            let parsed = Rule::parse(&rule.rule)
                .map_err(|e| PlanError::Filter { problem: format!("`{}` ({}): {e}", rule.rule, rule.source) })?;
            filter.push(parsed, action(rule.action));
        }
        let backend = if supervised { Backend::Supervised } else { Backend::Alone };
        let arch = Arch::native()
            .ok_or_else(|| PlanError::Filter { problem: "there is no table for this architecture".to_owned() })?;
        let program = filter.compile(arch, backend).map_err(|e| PlanError::Filter { problem: e.to_string() })?;
        let instructions =
            u16::try_from(program.len()).map_err(|_too_long| PlanError::Filter { problem: "too long".to_owned() })?;
        Ok(Self { program: program.as_bytes(), instructions, filter, supervised })
    }
}

fn action(action: CallAction) -> Action {
    match action {
        CallAction::Allow => Action::Allow,
        CallAction::Log => Action::Log,
        CallAction::Trap => Action::Trap,
        CallAction::Kill => Action::Kill,
        CallAction::Refuse => Action::Refuse(EPERM),
        CallAction::Silent => Action::Errno(EPERM),
    }
}
