//! The launch steps, as text.

use lazaret::plan::Plan;
use lazaret::seccomp;
use lazaret::steps::{self, List, Step, Steps};
use lazaret_policy::Job;

/// The lists of steps and who walks them.
const LISTS: [(List, &str, &str); 5] = [
    (List::Start, "start", "outside of every namespace, with the caller's rights"),
    (List::Isolate, "isolate", "process 1, in its namespaces"),
    (List::Build, "build", "process 1, which builds what the policy asks for"),
    (List::Admit, "admit", "process 1, which takes in the one job"),
    (List::Enter, "enter", "the job's own process, up to its execve"),
];

/// Calls whose last argument is a mode: shown in octal.
const WITH_MODE: [&str; 4] = ["mkdirat", "openat", "umask", "fchmod"];

/// One list.
#[derive(Debug, serde::Serialize)]
pub(crate) struct ListView {
    /// `start`, `isolate`, `build`, `admit` or `enter`.
    list: &'static str,
    /// Where it is walked.
    walked: &'static str,
    steps: Vec<StepView>,
}

/// One step.
#[derive(Debug, serde::Serialize)]
pub(crate) struct StepView {
    /// What it serves.
    part: &'static str,
    /// What it does.
    what: String,
    /// The call, in the manner of strace(1). `<name>` is a descriptor that an earlier step or the caller gave.
    call: String,
}

/// What is launched.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Launch<'a> {
    Jail(&'a Plan),
    Filter(&'a seccomp::Plan),
}

/// Every step, list by list.
pub(crate) fn lists(launch: Launch<'_>, job: &Job) -> Vec<ListView> {
    let names: Vec<_> = job.inputs.iter().map(|input| input.name.clone()).collect();
    let steps = match launch {
        Launch::Jail(plan) => steps::preview(plan, &names),
        Launch::Filter(plan) => seccomp::enter::preview(plan, &names),
    };
    let view = |(list, name, walked)| {
        let calls = steps.list(list).iter().filter_map(|step| view(&steps, list, step));
        ListView { list: name, walked, steps: calls.collect() }
    };
    LISTS.into_iter().map(view).collect()
}

/// Marks note the time and do nothing.
fn view(steps: &Steps, list: List, step: &Step) -> Option<StepView> {
    let call = steps.show(step);
    let view = || StepView { part: step.part().name(), what: steps.say(list, step), call: with_octal_mode(&call) };
    (!call.starts_with("MARK(")).then(view)
}

/// `mkdirat(<root>, "tmp", 493)` as `mkdirat(<root>, "tmp", 0755)`.
fn with_octal_mode(call: &str) -> String {
    let octal = || {
        let (name, rest) = call.split_once('(')?;
        let (args, after) = rest.rsplit_once(')')?;
        let (before, last) = args.rsplit_once(", ").map_or(("", args), |(before, last)| (before, last));
        let mode: u32 = last.parse().ok()?;
        let comma = if before.is_empty() { "" } else { ", " };
        WITH_MODE.contains(&name).then(|| format!("{name}({before}{comma}{mode:#05o}){after}").replace("0o", "0"))
    };
    octal().unwrap_or_else(|| call.to_owned())
}

/// All of it for people.
pub(crate) fn text(launch: Launch<'_>, job: &Job) -> String {
    let mut text = String::new();
    for ListView { list, walked, steps } in lists(launch, job) {
        text.push_str(&format!("# {list}: {walked}\n"));
        let mut part = "";
        for step in steps {
            if step.part != part {
                part = step.part;
                text.push_str(&format!("## {part}\n"));
            }
            text.push_str(&format!("{}\n    {}\n", step.what, step.call));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_shown_in_octal() {
        let shown = ["mkdirat(<root>, \"a, 493\", 493)", "umask(18)", "openat(<root>, \"f\", O_CREAT, 292) → fd"];

        let shown = shown.map(with_octal_mode);

        assert_eq!(
            shown,
            ["mkdirat(<root>, \"a, 493\", 0755)", "umask(0022)", "openat(<root>, \"f\", O_CREAT, 0444) → fd"]
        );
    }

    #[test]
    fn other_numbers_stay_as_they_are() {
        let shown = ["prctl(PR_CAPBSET_DROP, 40)", "openat(AT_FDCWD, \"493\", O_RDONLY)"].map(with_octal_mode);

        assert_eq!(shown, ["prctl(PR_CAPBSET_DROP, 40)", "openat(AT_FDCWD, \"493\", O_RDONLY)"]);
    }
}
