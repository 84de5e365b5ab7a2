use super::*;
use crate::{Action, Arch, Call, Filter, Rule, table};

fn decided(filter: &Filter, name: &str, args: [u64; 6]) -> Action {
    let nr = table::number(Arch::X86_64, name).unwrap_or_else(|| panic!("{name}"));
    filter.decide(&Call { audit_arch: Arch::X86_64.audit(), nr, args }).action
}

#[test]
fn sets_are_sorted_and_every_set_in_a_set_is_there() {
    assert!(SETS.is_sorted_by(|one, other| one.0 < other.0));
    for set in sets() {
        assert!(calls(set).is_some_and(|calls| calls.len() > 1), "{set}");
    }
    assert!(calls("@system-service").is_some_and(|calls| calls.contains("read") && calls.contains("sendmsg")));
    assert_eq!(calls("@nothing"), None);
}

#[test]
fn an_allow_list_has_the_default_set_in_it_and_kills_for_the_rest() {
    let unit = read("SystemCallFilter=@basic-io socket").expect("the line is sound");

    for (name, action) in [
        ("read", Action::Allow),
        ("socket", Action::Allow),
        ("execve", Action::Allow),
        ("connect", Action::Kill),
        ("mount", Action::Kill),
    ] {
        assert_eq!(decided(&unit.filter, name, [0; 6]), action, "{name}");
    }
}

#[test]
fn later_lines_add_and_take_away_by_the_kind_of_the_first() {
    let text = "[Service]\nSystemCallErrorNumber=EPERM\nSystemCallFilter=@system-service\nSystemCallFilter=~@resources \\\n  ptrace\nSystemCallFilter=ptrace chown:EACCES kcmp:kill\n";

    let unit = read(text).expect("the lines are sound");

    for (name, action) in [
        ("read", Action::Allow),
        ("setrlimit", Action::Refuse(1)),
        ("ptrace", Action::Allow),
        ("chown", Action::Refuse(13)),
        ("kcmp", Action::Kill),
        ("reboot", Action::Refuse(1)),
    ] {
        assert_eq!(decided(&unit.filter, name, [0; 6]), action, "{name}");
    }
    assert!(unit.unknown.contains(&"chown32".to_owned()), "{:?}", unit.unknown);
}

#[test]
fn a_deny_list_allows_the_rest() {
    let unit = read("~@mount swapon:EIO\n@mount:7").expect("the list is sound");

    // The second line is of the other kind: it takes away.
    assert_eq!(decided(&unit.filter, "mount", [0; 6]), Action::Allow);
    assert_eq!(decided(&unit.filter, "swapon", [0; 6]), Action::Refuse(5));
    assert_eq!(decided(&unit.filter, "read", [0; 6]), Action::Allow);
}

#[test]
fn an_empty_line_begins_anew() {
    let unit =
        read("SystemCallFilter=~read\nSystemCallFilter=\nSystemCallFilter=write\n").expect("the lines are sound");

    assert_eq!(decided(&unit.filter, "read", [0; 6]), Action::Kill);
    assert_eq!(decided(&unit.filter, "write", [0; 6]), Action::Allow);
}

#[test]
fn what_is_no_list_is_an_error_with_its_line() {
    for (text, line) in [("SystemCallFilter=@nothing", 1), ("\nSystemCallFilter=raed", 2), ("read:ENOTHING", 1)] {
        let error = read(text).expect_err(text).to_string();
        assert!(error.contains(&format!("line {line}")), "{error}");
    }
    assert_eq!(read("[Service]\nUser=nobody\n# SystemCallFilter\n").map(|_| ()), Err(ReadError::Nothing));
}

#[test]
fn a_filter_without_conditions_is_the_same_when_it_is_read_again() {
    let rules = [
        ("@default", Action::Allow),
        ("@process", Action::Allow),
        ("clone", Action::Allow),
        ("ioctl", Action::Allow),
        ("open", Action::Allow),
        ("openat", Action::Allow),
        ("prctl", Action::Allow),
        ("arch_prctl", Action::Errno(22)),
        ("close_range", Action::Allow),
        ("execve", Action::Kill),
        ("personality", Action::Allow),
        ("chown", Action::Refuse(13)),
        ("sched_setscheduler", Action::Allow),
    ];
    for default in [Action::Refuse(1), Action::Kill, Action::Allow] {
        let filter = rules.iter().fold(Filter::new(default), |filter, (text, action)| {
            filter.rule(Rule::parse(text).expect("a rule"), *action)
        });

        let written = write(&filter, Arch::X86_64);
        let again = read(&written.text).expect("the lines are sound").filter;

        for (_, name) in table::iter(Arch::X86_64) {
            let conditional = written.losses.contains(&Loss::Conditional(name));
            let [one, two] = [&filter, &again].map(|filter| decided(filter, name, [0; 6]));
            let same = match (one, two) {
                (Action::Errno(one) | Action::Refuse(one), Action::Errno(two) | Action::Refuse(two)) => one == two,
                (one, two) => one == two,
            };
            assert!(same || conditional && !two.permits(), "{name}: {one:?} {two:?}\n{}", written.text);
        }
    }
}

#[test]
fn conditions_are_a_loss_that_permits_less() {
    let filter =
        Filter::new(Action::Refuse(1)).rule(Rule::parse("socket(domain == AF_UNIX)").expect("a rule"), Action::Allow);

    let written = write(&filter, Arch::X86_64);

    assert_eq!(written.losses, [Loss::Conditional("socket")]);
    let again = read(&written.text).expect("the lines are sound").filter;
    assert_eq!(decided(&again, "socket", [1, 0, 0, 0, 0, 0]), Action::Refuse(1));
    // What an allow list of systemd's has in it by itself is taken out.
    assert_eq!(decided(&again, "execve", [0; 6]), Action::Refuse(1));
}
