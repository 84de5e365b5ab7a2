//! The last list: the job's own process, up to its exec.

use super::{List, Part, Slot, Steps, Structure, Value, admit, call, named, text};
use crate::plan::{JOB_DIRECTORY, LandlockPlan, Plan};

const LIST: List = List::Enter;

pub(crate) fn add(steps: &mut Steps, plan: &Plan, own_doors: &[Slot]) {
    steps.mark(LIST, Part::Process);
    for door in own_doors {
        admit::enter_group(steps, LIST, *door);
    }
    steps.add(LIST, Part::Process, call!(SYS_setsid), vec![]);
    for rlimit in &plan.rlimits {
        let value = Structure::words(rlimit.value.to_string(), &[rlimit.value, rlimit.value]);
        let resource = Value::Named(rlimit.resource.into(), rlimit.name);
        let args = vec![Value::Number(0), resource, Value::Structure(value.into()), Value::Number(0)];
        steps.add(LIST, Part::Process, call!(SYS_prlimit64), args);
    }
    steps.add(LIST, Part::Process, call!(SYS_chdir), vec![text(JOB_DIRECTORY)]);
    steps.add(LIST, Part::Process, call!(op DEFAULT_SIGNALS), vec![]);
    let none = Structure::words("[]", &[0]);
    let args = vec![named!(SIG_SETMASK), Value::Structure(none.into()), Value::Number(0), Value::Number(8)];
    steps.add(LIST, Part::Process, call!(SYS_rt_sigprocmask), args);
    // Only standard input, output and error outlive the exec.
    let rest = vec![Value::Number(3), Value::Number(u32::MAX.into()), named!(CLOSE_RANGE_CLOEXEC)];
    steps.add(LIST, Part::Process, call!(SYS_close_range), rest);
    if matches!(plan.room.landlock, LandlockPlan::Rules { .. }) {
        let args = vec![Value::Descriptor(steps.carried.ruleset), Value::Number(0)];
        steps.add(LIST, Part::Landlock, call!(SYS_landlock_restrict_self), args);
    }
    steps.mark(LIST, Part::Filter);
    filter(steps, plan);
}

/// seccomp(2). The listener's descriptor stays with process 1, which shares the table until the exec.
fn filter(steps: &mut Steps, plan: &Plan) {
    let mut program = u64::from(plan.filter.instructions).to_ne_bytes().to_vec();
    program.extend([0; 8]);
    let program = Structure {
        shown: format!("{{{} instructions}}", plan.filter.instructions).into(),
        bytes: program,
        addresses: vec![(8, plan.filter.program.clone())],
    };
    let (flags, shown) = if plan.filter.supervised { (8, "NEW_LISTENER") } else { (0, "0") };
    let mode = Value::Named(1, "SECCOMP_SET_MODE_FILTER");
    let args = vec![mode, Value::Named(flags, shown), Value::Structure(program.into())];
    let listener = steps.carried.listener;
    let step = steps.add(LIST, Part::Filter, call!(SYS_seccomp), args);
    if plan.filter.supervised {
        step.save(listener);
    }
}
