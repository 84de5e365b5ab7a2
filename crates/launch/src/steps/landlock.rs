//! Steps that make a Landlock ruleset, and put it on.

use super::{List, Part, Steps, Structure, Value, call, named, text, words};
use crate::landlock::LandlockPlan;
use lazaret_sys::landlock::{RULE_PATH_BENEATH, RulesetAttr};

/// landlock(7). The ruleset is made by process 1 and put on the job alone, so that process 1 lies outside its domain.
pub fn make(steps: &mut Steps, list: List, plan: &LandlockPlan) {
    let LandlockPlan::Rules { abi, files, network, scope, rules } = plan else { return };
    let part = Part::Landlock;
    let ruleset = steps.carried.ruleset;
    let attributes = Structure::words(words::HANDLED, &[*files, *network, *scope]);
    let size = RulesetAttr::size(*abi) as u64;
    let args = vec![Value::Structure(attributes.into()), Value::Number(size), Value::Number(0)];
    steps.add(list, part, call!(SYS_landlock_create_ruleset), args).save(ruleset);
    for rule in rules {
        let path = rule.path.as_os_str().as_encoded_bytes();
        let directory = steps.scratch_slot();
        let flags = Value::Named((libc::O_PATH | libc::O_CLOEXEC) as u64, "O_PATH|O_CLOEXEC");
        let open = vec![named!(AT_FDCWD), text(path), flags];
        steps.add(list, part, call!(SYS_openat), open).save(directory);
        // struct landlock_path_beneath_attr is packed: the descriptor follows the rights. The slot's word is copied in
        // by the walker's own operation.
        let args = vec![
            Value::Descriptor(ruleset),
            Value::Descriptor(directory),
            Value::Named(RULE_PATH_BENEATH, "LANDLOCK_RULE_PATH_BENEATH"),
            Value::Named(rule.rights, words::RIGHTS),
        ];
        steps.add(list, part, call!(op LANDLOCK_RULE), args);
        steps.add(list, part, call!(SYS_close), vec![Value::Descriptor(directory)]);
    }
}

/// Puts the ruleset of process 1 on the process that walks `list`.
pub fn put_on(steps: &mut Steps, list: List, plan: &LandlockPlan) {
    if matches!(plan, LandlockPlan::Rules { .. }) {
        let args = vec![Value::Descriptor(steps.carried.ruleset), Value::Number(0)];
        steps.add(list, Part::Landlock, call!(SYS_landlock_restrict_self), args);
    }
}
