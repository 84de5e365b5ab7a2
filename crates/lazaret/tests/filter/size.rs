//! Policies that are too large for the kernel.

use lazaret::plan::{FilterPlan, OWN_RULES};

fn policy(rules: &[String]) -> lazaret::Policy {
    let text = format!("extends = \"default\"\n[system-calls]\nallow = {rules:?}\n");
    lazaret::policy_text("large.toml", &text).expect("the policy loads")
}

/// Rules that list `count` values each, none beside another.
fn lists(calls: &[&str], count: u32) -> Vec<String> {
    let values: Vec<_> = (0..count).map(|value| (3 * value + 7).to_string()).collect();
    calls.iter().map(|call| format!("{call}(arg1 in [{}])", values.join(", "))).collect()
}

#[test]
fn policies_of_growing_size_compile_or_name_what_is_too_much() {
    let calls = ["bpf", "keyctl", "ptrace", "quotactl", "reboot", "kcmp", "syslog", "msgget", "semget", "shmget"];
    let mut too_large = 0;
    for count in [1, 10, 100, 400, 800, 1600, 3200, 6400] {
        let policy = policy(&lists(&calls, count));
        match FilterPlan::new(&policy.system_calls, OWN_RULES, true) {
            Ok(plan) => assert!(plan.instructions <= 4096, "{}", plan.instructions),
            Err(error) => {
                too_large += 1;
                let text = error.to_string();
                assert!(text.contains("4096") && text.contains("large.toml:3") && text.contains(" tests"), "{text}");
                // The message stays readable however long the rule is.
                assert!(text.len() < 1000, "{text}");
                assert!(error.hint().contains("names"), "{}", error.hint());
            }
        }
    }
    assert!((1..8).contains(&too_large), "{too_large}");
}

#[test]
fn the_rule_that_takes_most_is_named_first() {
    let mut rules = lists(&["bpf", "keyctl"], 40);
    rules.push(lists(&["ptrace"], 7000).remove(0));
    let policy = policy(&rules);

    let error = FilterPlan::new(&policy.system_calls, OWN_RULES, false)
        .expect_err("the kernel takes 4096 instructions")
        .to_string();

    let place = |call: &str| error.find(call).unwrap_or_else(|| panic!("{call}: {error}"));
    assert!(place("`ptrace(") < place("`bpf(") || place("`ptrace(") < place("`keyctl("), "{error}");
}
