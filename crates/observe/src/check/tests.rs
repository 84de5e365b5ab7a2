use super::*;
use std::path::PathBuf;

fn run(file: &str, result: RunResult) -> Run {
    Run { result, error: None, ..Run::error(file, String::new()) }
}

fn refusal(call: &str) -> Refusal {
    Refusal {
        call: call.to_owned(),
        number: 110,
        args: [0; 6],
        errno: 1,
        count: 2,
        rule: None,
        suggestion: Some(format!("[system-calls] allow = [\"{call}\"]")),
        explanation: None,
    }
}

fn outcome(runs: Vec<Run>) -> Outcome {
    Outcome { schema: "lazaret.check/1", policy: "pure".to_owned(), passed: false, runs, stale: None }
}

#[test]
fn what_is_silent_is_told_to_the_supervisor_in_its_place() {
    let text = "extends = \"default\"\n[system-calls]\nrefuse = [\"getppid\"]\nsilent = [\"getppid\", \"sync\"]";
    let policy = lazaret::policy_text("p.toml", text).expect("the policy is good");

    let telling = telling(&policy);

    assert_eq!(telling.system_calls.rules.len(), policy.system_calls.rules.len());
    for (before, after) in policy.system_calls.rules.iter().zip(&telling.system_calls.rules) {
        assert_eq!(before.rule, after.rule);
        assert_ne!(after.action, CallAction::Silent);
        assert!(before.action == after.action || before.action == CallAction::Silent);
    }
}

#[test]
fn the_summary_names_what_is_needed_and_how_to_give_it() {
    let mut needs = run("a.gif", RunResult::Needs);
    needs.calls.push(refusal("getppid"));

    let text = summary(&outcome(vec![needs, run("b.gif", RunResult::Passed)]), false);

    assert!(text.starts_with("a.gif: needs what the policy does not give\n  refused 2 time(s): getppid"), "{text}");
    assert!(text.contains("to allow it: [system-calls] allow = [\"getppid\"]"), "{text}");
    assert!(text.ends_with("1 of 2 files pass: pure does not give all that is needed\n"), "{text}");
}

#[test]
fn junit_is_well_formed_whatever_the_names_are() {
    let mut needs = run("<a & \"b\"]]>\u{1}.gif", RunResult::Needs);
    needs.calls.push(refusal("getppid"));
    needs.stderr = Some("\u{0}\u{1b}[31m </failure> & more".to_owned());
    let error = Run::error("c.gif", "it cannot be read".to_owned());
    let text = junit(&outcome(vec![needs, error, run("d.gif", RunResult::Passed)])).expect("it can be written");

    let mut reader = quick_xml::Reader::from_reader(&text[..]);
    let (mut starts, mut attributes) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().expect("it is well formed") {
            quick_xml::events::Event::Eof => break,
            quick_xml::events::Event::Start(tag) | quick_xml::events::Event::Empty(tag) => {
                starts.push(tag.name().as_ref().to_owned());
                for attribute in tag.attributes() {
                    attributes.push(attribute.expect("it is good").value.into_owned());
                }
            }
            _ => {}
        }
    }
    let expected =
        ["testsuites", "testsuite", "testcase", "failure", "testcase", "error", "testcase"].map(str::to_owned);
    assert_eq!(starts, expected);
    assert!(attributes.iter().any(|value| value == "&lt;a &amp; &quot;b&quot;]]&gt;\u{fffd}.gif"), "{attributes:?}");
    assert!(!text.contains(&0) && !text.contains(&1) && !text.contains(&0x1b));
}

#[test]
fn a_rule_is_stale_when_it_decided_about_nothing() {
    let text = "extends = \"pure\"\n[files]\nread = [\"/usr\", \"/etc\"]\n[system-calls]\nallow = [\"getppid\", \"sync\", \"@credentials\"]";
    let policy = lazaret::policy_text("p.toml", text).expect("the policy is good");
    let number = |text: &str| policy.system_calls.rules.iter().position(|rule| rule.rule == text).expect("it is there");
    let mut used = Use::default();
    used.note(number("sync"), "sync");
    used.note(number("@credentials"), "getpid");
    used.show(&PathBuf::from("/usr"));

    let stale = stale::stale(&policy, &used);

    let of = |kind| stale.iter().filter(move |stale| stale.kind == kind).map(|stale| stale.what.as_str());
    assert!(of(StaleKind::Allow).any(|what| what == "getppid"));
    assert!(of(StaleKind::Allow).all(|what| what != "sync"));
    assert!(of(StaleKind::Read).any(|what| what == "/etc") && of(StaleKind::Read).all(|what| what != "/usr"));
    let group = stale.iter().find(|stale| stale.what == "@credentials").expect("it was used in part");
    assert_eq!((group.kind, group.source.as_str()), (StaleKind::Group, "p.toml:5"));
    assert!(group.unused.contains(&"getuid".to_owned()) && !group.unused.contains(&"getpid".to_owned()));
}
