//! What a launch calls under the job's own filter, between filter and exec. Nobody answers the filter yet: a call that it
//! has told to the supervisor would wait for good.

use super::FilterPlan;
use crate::error::PlanError;
use lazaret_filter::{Action, Arch, Decision, Filter, Rule};
use lazaret_policy::SystemCalls;
use rustix::rand::{GetRandomFlags, getrandom};

/// Executes the command: paths, arguments and environment are anywhere.
const EXECVE: Must =
    Must { call: "execve", what: "which starts every command", known: [None, None, None, Some(0), Some(0)] };

/// Ends the process if that fails, with status 125.
const EXIT_GROUP: Must = Must {
    call: "exit_group",
    what: "by which a process ends",
    known: [Some(125), Some(0), Some(0), Some(0), Some(0)],
};

/// Asks whether a command that could not be executed is there: AT_FDCWD, a path, F_OK.
const FACCESSAT: Must = Must {
    call: "faccessat",
    what: "which looks for the command",
    known: [Some(-100_i64 as u64), None, Some(0), Some(0), Some(0)],
};

struct Must {
    call: &'static str,
    what: &'static str,
    /// The first five registers. The sixth, which none of the calls uses, has the token.
    known: [Option<u64>; 5],
}

impl Must {
    fn decisions(&self, filter: &Filter, token: u64) -> Vec<Decision> {
        let [a, b, c, d, e] = self.known;
        let args = [a, b, c, d, e, Some(token)];
        Arch::native().map_or_else(Vec::new, |arch| filter.possible(arch, self.call, args))
    }
}

/// The names of all of them.
fn calls() -> impl Iterator<Item = &'static str> {
    [EXECVE, FACCESSAT, EXIT_GROUP].into_iter().map(|must| must.call)
}

/// The rule that leaves `call` alone when the launch makes it.
fn spared(call: &str, token: u64) -> Result<Rule, PlanError> {
    let text = format!("{call}(arg5 == {token:#x})");
    Rule::parse(&text).map_err(|e| PlanError::Filter { problem: format!("`{text}`: {e}") })
}

/// Lets the launch's own calls, which hold `token` in a register that they do not use, happen without anybody being told:
/// nobody listens yet. Whoever guesses the token can make these calls untold, which 64 random bits prevent.
pub(crate) fn free(filter: &mut Filter, token: u64) -> Result<(), PlanError> {
    for call in calls() {
        filter.push(spared(call, token)?, Action::Allow);
    }
    Ok(())
}

/// A number by which the launch's own calls are known.
pub(crate) fn token() -> Result<u64, PlanError> {
    let mut token = [0; 8];
    match getrandom(&mut token, GetRandomFlags::empty()) {
        // Not zero, which the register holds anyway.
        Ok(8) => Ok(u64::from_ne_bytes(token) | 1),
        _ => Err(PlanError::Filter { problem: "the kernel gives no random numbers".to_owned() }),
    }
}

/// Has `filter` permit without a word what it would permit and tell of, as far as it is the launch that calls.
pub(super) fn spare_what_is_logged(filter: &mut Filter, token: u64) -> Result<(), PlanError> {
    for must in [EXECVE, FACCESSAT, EXIT_GROUP] {
        let decisions = must.decisions(filter, token);
        let logs = decisions.iter().any(|decision| decision.action == Action::Log);
        if logs && decisions.iter().all(|decision| decision.action.permits()) {
            filter.push(spared(must.call, token)?, Action::Allow);
        }
    }
    Ok(())
}

/// What a command cannot be started without, and what does not permit it.
fn forbidden(filter: &Filter, token: u64) -> Option<(Must, Decision)> {
    [EXECVE, EXIT_GROUP].into_iter().find_map(|must| {
        let decision = must.decisions(filter, token).into_iter().find(|decision| !decision.action.permits())?;
        Some((must, decision))
    })
}

/// The call for want of which no command could be started under `calls`, if there is one.
///
/// # Errors
///
/// A rule that cannot be parsed.
pub fn forbidden_call(calls: &SystemCalls) -> Result<Option<&'static str>, PlanError> {
    let (filter, _) = super::rules(calls, &[], None)?;
    Ok(forbidden(&filter, token()?).map(|(must, _)| must.call))
}

impl FilterPlan {
    /// Whether a command can be started under this filter: whatever the launch calls there is permitted.
    ///
    /// # Errors
    ///
    /// The call that is not, or perhaps not, and what decides that.
    pub fn check_exec(&self) -> Result<(), PlanError> {
        match forbidden(&self.filter, self.token) {
            None => Ok(()),
            Some((must, decision)) => {
                let decided_by = self.decided_by(&decision);
                Err(PlanError::Forbidden { call: must.call, what: must.what, decided_by })
            }
        }
    }

    /// Whether the launch may ask under this filter if a file is there: the call is made, or fails, without a word.
    pub(crate) fn may_look(&self) -> bool {
        let quiet = |decision: &Decision| matches!(decision.action, Action::Allow | Action::Errno(_));
        FACCESSAT.decisions(&self.filter, self.token).iter().all(quiet)
    }

    /// A decision's rule and where it stands.
    fn decided_by(&self, decision: &Decision) -> String {
        let (source, _) = self.rules().author(decision);
        match decision.rule.and_then(|rule| self.filter.rules().get(rule)) {
            Some((rule, action)) => format!("the rule `{rule}` {}, {source}", done(*action)),
            None => format!("the default {}, {source}", done(decision.action)),
        }
    }
}

fn done(action: Action) -> &'static str {
    match action {
        Action::Allow | Action::Log => "permits it",
        Action::Errno(_) => "refuses it in silence",
        Action::Refuse(_) => "refuses it",
        Action::Trap => "answers it with SIGSYS",
        Action::Kill => "kills for it",
    }
}
