//! What is said of a function's refused calls.

use crate::{alone, called, compute, with_calls};
use lazaret::{Ending, Explanation, Verdict};

fn read_shadow(path: String) -> bool {
    std::fs::read(path).is_ok()
}

/// What every explanation of that call has, whoever made the process.
fn is_explained(explanation: &Explanation) -> bool {
    let value = |name: &str| explanation.arguments.iter().find(|argument| argument.name == name);
    let path = explanation.arguments.iter().any(|argument| argument.value.contains("/etc/shadow"));
    let stack = explanation.stack.iter().any(|frame| {
        frame.function.as_deref().is_some_and(|function| function.contains("read_shadow"))
            && frame.file.as_deref().is_some_and(|file| file.ends_with("explained.rs"))
    });
    let thread = explanation.thread.as_ref().is_some_and(|thread| thread.name == "lazaret-call");
    path && value("flags").is_some()
        && stack
        && thread
        && explanation.library.is_some()
        && explanation.since_kernel.is_some()
        && !explanation.groups.is_empty()
        && explanation.allow.as_deref().is_some_and(|line| line.contains("openat"))
}

#[test]
fn a_refused_call_is_explained_as_that_of_a_command_is() {
    let _alone = alone();

    for called in called(&compute(), read_shadow, &"/etc/shadow".to_owned()) {
        let refusal = called.refusals.iter().find(|refusal| refusal.call == "openat").expect("it was recorded");

        assert_eq!(refusal.count, 1, "the look is not another call");
        let explanation = refusal.explanation.as_deref().expect("it was looked at");
        assert!(is_explained(explanation), "{explanation:#?}");
        assert_eq!(called.value(), Ok(&false), "it goes on");
    }
}

#[test]
fn a_violation_is_explained_too() {
    let _alone = alone();
    let policy = with_calls("kill = [\"openat\"]");

    for called in called(&policy, read_shadow, &"/etc/shadow".to_owned()) {
        let Ending::Stopped(verdict) = &called.ending else { panic!("{called:?}") };
        let Verdict::Violation { call, explanation: Some(explanation), .. } = &**verdict else { panic!("{verdict:?}") };

        assert_eq!(call, "openat");
        assert!(is_explained(explanation), "{explanation:#?}");
        assert!(explanation.source.starts_with("changed.toml"), "{}", explanation.source);
    }
}

#[test]
fn a_rule_about_the_functions_own_process_is_said_with_its_number() {
    let _alone = alone();
    let signal_init = |_: ()| -> u32 {
        // SAFETY: numbers only, to a process that is always there; nothing is sent.
        #[expect(unsafe_code, reason = "a call that the filter refuses")]
        let _refused = unsafe { libc::kill(1, 0) };
        std::process::id()
    };

    for called in called(&with_calls("allow = [\"kill\"]"), signal_init, &()) {
        let pid = called.value().expect("it returned");
        let refusal = called.refusals.iter().find(|refusal| refusal.call == "kill").expect("it was recorded");

        let rule = refusal.rule.as_deref().expect("Lazaret's own");
        assert!(rule.contains(&pid.to_string()), "{rule}");
        assert_eq!(refusal.suggestion, None, "no policy can allow it");
        let explanation = refusal.explanation.as_deref().expect("it was looked at");
        assert_eq!((explanation.source.as_str(), &explanation.allow), ("Lazaret", &None), "{explanation:#?}");
    }
}
