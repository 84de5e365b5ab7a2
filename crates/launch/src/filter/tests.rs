use super::*;
use lazaret_policy::{Brokered, CallRule, Sourced};
use std::path::PathBuf;

fn plan(default: CallAction, rules: &[(&str, CallAction)]) -> FilterPlan {
    let source = |line| Source::File { path: PathBuf::from("mine.toml"), line };
    let rule = |(line, (rule, action)): (usize, &(&str, CallAction))| {
        let rule = CallRule { rule: (*rule).to_owned(), action: *action, why: String::new() };
        Sourced::new(rule, source(line + 2))
    };
    let rules = rules.iter().enumerate().map(rule).collect();
    let calls = SystemCalls {
        default: Sourced::new(default, source(1)),
        rules,
        refuse_after_start: Vec::new(),
        brokered: Brokered::default(),
    };
    FilterPlan::bounded(&calls, &[], true, 1 << 20).expect("the rules are good")
}

fn refusal(default: CallAction, rules: &[(&str, CallAction)]) -> Option<String> {
    plan(default, rules).check_exec().err().map(|error| error.to_string())
}

use CallAction::{Allow, Kill, Log, Refuse, Silent, Trap};

#[test]
fn a_policy_that_forbids_what_starts_or_ends_a_command_is_refused_with_what_decides() {
    let both: [(&str, CallAction); 2] = [("execve", Allow), ("exit_group", Allow)];
    let told = |rules: &[(&str, CallAction)]| refusal(Allow, rules).expect("it is refused");

    assert!(refusal(Refuse, &[("exit_group", Allow)]).expect("it is").contains("the default refuses it, mine.toml:1"));
    assert!(told(&[("execve", Refuse)]).contains("the rule `execve` refuses it, mine.toml:2"));
    assert!(told(&[("execve", Silent)]).contains("in silence, mine.toml:2"));
    assert!(told(&[("execve", Kill)]).contains("kills for it, mine.toml:2"));
    assert!(told(&[("exit_group", Trap)]).contains("`exit_group`, by which a process ends"));
    assert_eq!(refusal(Kill, &both), None);
}

#[test]
fn a_condition_on_what_nobody_knows_before_the_launch_does_not_permit_and_does_refuse() {
    let exit = ("exit_group", Allow);

    assert!(refusal(Refuse, &[exit, ("execve(arg0 == 4096)", Allow)]).is_some());
    assert!(refusal(Allow, &[("execve(arg1 == 4096)", Refuse)]).is_some());
    assert!(refusal(Refuse, &[("execve", Allow), ("exit_group(arg0 == 0)", Allow)]).is_some());
    assert_eq!(refusal(Refuse, &[exit, ("execve", Allow), ("execve(arg0 == 4096)", Log)]), None);
    assert_eq!(refusal(Allow, &[("exit_group(arg0 == 3)", Kill)]), None);
}

#[test]
fn calls_of_the_launch_that_are_to_be_recorded_do_not_wait_for_a_supervisor() {
    let plan = plan(Log, &[]);
    let call = |token: u64| {
        let arch = Arch::native().expect("this architecture has a table");
        let nr = table::number(arch, "execve").expect("the call is known");
        plan.filter.decide(&Call { audit_arch: arch.audit(), nr, args: [1, 2, 3, 0, 0, token] }).action
    };

    assert_eq!(call(plan.token), Action::Allow);
    assert_eq!(call(0), Action::Log);
}

#[test]
fn a_file_is_asked_for_only_where_that_is_told_to_nobody() {
    assert!(plan(Allow, &[]).may_look());
    assert!(plan(Allow, &[("faccessat", Silent)]).may_look());
    assert!(!plan(Allow, &[("faccessat", Refuse)]).may_look());
    assert!(!plan(Kill, &[("execve", Allow)]).may_look());
}
