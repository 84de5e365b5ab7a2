use super::*;
use lazaret_filter::{Call, table};
use lazaret_policy::Loader;
use std::path::Path;

fn policy(lines: &str) -> Policy {
    let text = format!("extends = \"compute\"\n[system-calls]\n{lines}\n");
    Loader::new().text(Path::new("test.toml"), &text).expect("a good policy")
}

fn decides(filter: &CallFilter, name: &str, args: [u64; 6]) -> Action {
    let arch = Arch::native().expect("a known processor");
    let nr = table::number(arch, name).expect("a call");
    filter.filter.decide(&Call { audit_arch: arch.audit(), nr, args }).action
}

#[test]
fn a_process_can_signal_itself_and_no_other() {
    let filter = CallFilter::new(&policy("allow = [\"kill\", \"tkill\"]"), true, 32).expect("it can be enforced");

    for call in ["kill", "tgkill", "tkill"] {
        assert_eq!(decides(&filter, call, [SELF.into(), 0, 0, 0, 0, 0]), Action::Allow, "{call}");
        for other in [0, 1, u64::from(u32::MAX), u64::from(SELF) - 1] {
            assert_eq!(decides(&filter, call, [other, 9, 9, 0, 0, 0]), Action::Refuse(EPERM), "{call} {other}");
        }
    }
}

#[test]
fn the_programs_places_of_the_own_id_are_all_found() {
    let filter = CallFilter::new(&policy("allow = [\"kill\"]"), true, 32).expect("it can be enforced");
    let holds = |instruction: &[u8]| instruction[4..] == SELF.to_ne_bytes();

    let held = filter.program.chunks(8).filter(|instruction| holds(instruction)).count();

    assert!(held > 0);
    assert_eq!(filter.own_id.len(), held);
}

#[test]
fn the_way_to_say_ready_is_one_descriptor() {
    let filter = CallFilter::new(&policy(""), true, 32).expect("it can be enforced");

    assert_eq!(decides(&filter, "sendmsg", [32, 0, 0, 0, 0, 0]), Action::Allow);
    for other in [0, 3, 31, 33] {
        assert!(!decides(&filter, "sendmsg", [other, 0, 0, 0, 0, 0]).permits(), "{other}");
    }
}

#[test]
fn a_call_that_some_arguments_permit_may_be_permitted_and_one_that_is_refused_later_may_not() {
    let filter = |rules: &[(&str, Action)]| {
        let mut filter = Filter::new(Action::Refuse(EPERM));
        for (rule, action) in rules {
            filter.push(Rule::parse(rule).expect("a rule"), *action);
        }
        filter
    };
    let refuse = Action::Refuse(EPERM);

    assert!(may_permit(&filter(&[("clone(flags == 0)", Action::Allow)]), "clone"));
    assert!(may_permit(&filter(&[("clone", Action::Allow), ("clone(flags == 1)", refuse)]), "clone"));
    assert!(!may_permit(&filter(&[("clone", Action::Allow), ("clone", refuse)]), "clone"));
    assert!(!may_permit(&Filter::new(Action::Allow), "clone3"));
}
