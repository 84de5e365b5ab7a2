//! What would allow a refused call: groups with their risk, and the line of a policy.

use crate::text;
use lazaret_filter::{Action, Arch, Call, Decision, Filter, Reason, Rule, constant, groups, table};
use lazaret_policy::GroupText;

/// What would allow a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advice {
    /// Smallest first.
    pub(crate) groups: Vec<GroupText>,
    /// The line of a policy, or why there is none.
    pub(crate) line: Result<String, String>,
}

/// Calls that do one of many things, by the argument that says which, and the constants that it may be.
const NARROWED: [(&str, usize); 13] = [
    ("arch_prctl", 0),
    ("bpf", 0),
    ("fcntl", 1),
    ("ioctl", 1),
    ("keyctl", 0),
    ("madvise", 2),
    ("membarrier", 0),
    ("personality", 0),
    ("prctl", 0),
    ("ptrace", 0),
    ("seccomp", 0),
    ("socket", 0),
    ("socketpair", 0),
];

/// Which rule of a filter decided, as far as a policy is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    /// The policy's own, or its default.
    Policy,
    /// One of Lazaret's, behind those of every policy.
    Lazaret,
}

/// What would have `filter` permit `call`, about which it came to `decision`, by a rule of `author`.
pub(crate) fn advice(filter: &Filter, call: &Call, decision: &Decision, author: Author) -> Advice {
    let never = |why: &str| Advice { groups: Vec::new(), line: Err(why.to_owned()) };
    match decision.reason {
        Reason::ForeignArch => return never("a call in the manner of another architecture is never let through"),
        Reason::X32 => return never("a call of the x32 kind is never let through"),
        Reason::Unknown => return never("no call of that number is known, and what is not known is never let through"),
        Reason::IoUring => return never("io_uring makes calls that no filter sees, so it is never let through"),
        Reason::Rule | Reason::Default | Reason::Clone3 => {}
    }
    if author == Author::Lazaret {
        return never("a rule of Lazaret's own, which protects the boundary and prevails over every policy");
    }
    let Some(name) = Arch::from_audit(call.audit_arch).and_then(|arch| table::name(arch, call.nr)) else {
        return never("no call of that number is known");
    };
    if name.starts_with("io_uring") {
        return never("io_uring makes calls that no filter sees, so it is never let through");
    }
    let permits = |rule: &str, filter: Filter| {
        Rule::parse(rule).is_ok_and(|rule| filter.rule(rule, Action::Allow).decide(call).action.permits())
    };
    let narrow = narrowed(call, name).into_iter();
    let line = narrow.chain([name.to_owned()]).find(|rule| permits(rule, filter.clone()));
    let held = |group: &groups::Group| filter.rules().iter().any(|(rule, _)| rule.group() == Some(group));
    let mut fitting: Vec<&groups::Group> = groups::all()
        .filter(|group| !held(group) && permits(group.name, Filter::new(Action::Kill)))
        .filter(|group| permits(group.name, filter.clone()))
        .collect();
    fitting.sort_by_key(|group| group.rules().count());
    let groups = fitting.into_iter().map(|group| GroupText { name: group.name.into(), risk: group.risk.into() });
    Advice {
        groups: groups.collect(),
        line: line.map_or_else(
            || Err("no rule lets this call through".to_owned()),
            |rule| Ok(format!("[system-calls] allow = [\"{rule}\"]")),
        ),
    }
}

/// The rule for what `call` does of the many things that calls of its `name` can do.
fn narrowed(call: &Call, name: &str) -> Option<String> {
    let (_, index) = NARROWED.into_iter().find(|(call, _)| *call == name)?;
    let arch = Arch::from_audit(call.audit_arch)?;
    let (argument, prefixes) = text::choice(name, index)?;
    #[expect(clippy::cast_possible_truncation, reason = "these arguments are ints")]
    let value = call.args[index] as u32;
    let prefixes: Vec<&str> = prefixes.split('|').collect();
    let value = match constant::name(arch, &prefixes, value.into()) {
        Some(name) => name.to_owned(),
        None => format!("{value:#x}"),
    };
    Some(format!("{name}({argument} == {value})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(rules: &[(&str, Action)]) -> Filter {
        let parsed = |rule: &str| Rule::parse(rule).expect("a rule");
        rules.iter().fold(Filter::new(Action::Refuse(1)), |filter, (rule, action)| filter.rule(parsed(rule), *action))
    }

    fn asked(filter: &Filter, name: &str, args: [u64; 6]) -> Advice {
        let nr = table::number(Arch::X86_64, name).expect("a call of this architecture");
        let call = Call { audit_arch: Arch::X86_64.audit(), nr, args };
        advice(filter, &call, &filter.decide(&call), Author::Policy)
    }

    #[test]
    fn every_call_of_the_table_has_a_line_that_allows_it_or_a_reason() {
        let filter = filter(&[("@default", Action::Allow)]);
        for (nr, name) in table::iter(Arch::X86_64) {
            let call = Call { audit_arch: Arch::X86_64.audit(), nr, args: [1; 6] };
            let decision = filter.decide(&call);
            if decision.action.permits() {
                continue;
            }
            let found = advice(&filter, &call, &decision, Author::Policy);
            assert_eq!(found.line.is_err(), name.starts_with("io_uring"), "{name}: {found:?}");
            if let Ok(line) = found.line {
                let rule = line.strip_prefix("[system-calls] allow = [\"").and_then(|line| line.strip_suffix("\"]"));
                let rule = Rule::parse(rule.expect("it is such a line")).expect("a rule");
                let allowed = filter.clone().rule(rule, Action::Allow).decide(&call);
                assert!(allowed.action.permits(), "{name}: {line}");
            }
        }
    }

    #[test]
    fn what_does_many_things_is_allowed_the_one_that_was_asked_for() {
        let filter = filter(&[]);

        let line = |name, args| asked(&filter, name, args).line.expect("there is one");

        assert_eq!(line("ioctl", [0, 0x5401, 0, 0, 0, 0]), "[system-calls] allow = [\"ioctl(request == TCGETS)\"]");
        assert_eq!(
            line("ioctl", [0, 0x1234_5678, 0, 0, 0, 0]),
            "[system-calls] allow = [\"ioctl(request == 0x12345678)\"]"
        );
        assert_eq!(line("socket", [2, 1, 0, 0, 0, 0]), "[system-calls] allow = [\"socket(domain == AF_INET)\"]");
        assert_eq!(
            line("ptrace", [16, 1, 0, 0, 0, 0]),
            "[system-calls] allow = [\"ptrace(request == PTRACE_ATTACH)\"]"
        );
        assert_eq!(line("mount", [1; 6]), "[system-calls] allow = [\"mount\"]");
    }

    #[test]
    fn groups_are_those_that_would_allow_this_very_call_smallest_first() {
        let found = asked(&filter(&[]), "ptrace", [0; 6]).groups;

        assert!(!found.is_empty() && found.iter().all(|group| !group.risk.is_empty()), "{found:?}");
        let sizes: Vec<_> =
            found.iter().map(|group| groups::find(&group.name).expect("a group").rules().count()).collect();
        assert!(sizes.is_sorted(), "{found:?}");
    }

    #[test]
    fn what_nothing_can_allow_has_a_reason() {
        let filter = filter(&[]);
        let foreign = Call { audit_arch: 0x4000_0003, nr: 5, args: [0; 6] };
        let unknown = Call { audit_arch: Arch::X86_64.audit(), nr: 460_000, args: [0; 6] };
        let own = Call { audit_arch: Arch::X86_64.audit(), nr: 101, args: [0; 6] };

        let why = |call: &Call, author| advice(&filter, call, &filter.decide(call), author).line.expect_err("never");

        assert!(why(&foreign, Author::Policy).contains("another architecture"));
        assert!(why(&unknown, Author::Policy).contains("not known"));
        assert!(why(&own, Author::Lazaret).contains("Lazaret's own"));
    }
}
