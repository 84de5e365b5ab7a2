//! Every control of a lockdown: what was asked for, what holds, and why not.

use super::error::Unmet;
use super::facts::Facts;
use super::filter::FilterPlan;
use super::landlock::LandlockPlan;
use super::plan::{LANDLOCK_CALLS, THREAD_CALLS};
use lazaret_policy::{Control, Holding, Layer, LimitKey, Policy};
use lazaret_sys::landlock::{Restrict, SCOPE_KNOWN};

/// The layers that a process can have without a supervisor and without namespaces.
const LAYERS: [Layer; 14] = [
    Layer::CgroupMemory,
    Layer::CgroupPids,
    Layer::CgroupCpu,
    Layer::CgroupIo,
    Layer::Rlimits,
    Layer::WallTime,
    Layer::Disk,
    Layer::Output,
    Layer::Capabilities,
    Layer::Landlock,
    Layer::LandlockNetwork,
    Layer::LandlockScope,
    Layer::Seccomp,
    Layer::Notifier,
];

pub(crate) fn all(
    policy: &Policy,
    facts: &Facts,
    filter: &FilterPlan,
    landlock: &LandlockPlan,
    degraded: &[Unmet],
) -> Vec<Control> {
    let control = |layer: Layer| {
        let (detail, why_not) = detail(layer, policy, facts, filter, landlock);
        let mut control = Control {
            layer,
            asked: layer.summary().to_owned(),
            holding: if why_not.is_some() { Holding::No } else { Holding::Yes },
            detail,
            why_not,
            source: source(layer, policy),
        };
        let lacks: Vec<&Unmet> =
            degraded.iter().filter(|unmet| unmet.layer == layer || unmet.layer.carries().contains(&layer)).collect();
        if let Some(first) = lacks.first() {
            control.holding = match (layer, landlock) {
                // The calling thread, and what bounds the rest of memory and processor time.
                (Layer::Landlock, LandlockPlan::Rules { .. }) | (Layer::CgroupMemory | Layer::CgroupCpu, _) => {
                    Holding::Partly
                }
                _ => Holding::No,
            };
            control.why_not = Some(first.why.clone());
        }
        control
    };
    let asked = |layer: &Layer| *layer != Layer::CgroupIo || policy.limits.io_rate.is_some();
    LAYERS.iter().copied().filter(asked).map(control).collect()
}

fn source(layer: Layer, policy: &Policy) -> String {
    let limit = |key| policy.limits.source(key);
    let own = match layer {
        Layer::CgroupMemory => limit(LimitKey::Memory),
        Layer::CgroupPids => limit(LimitKey::Processes),
        Layer::CgroupCpu => limit(LimitKey::Cpu),
        Layer::CgroupIo => limit(LimitKey::IoRate),
        Layer::Rlimits => limit(LimitKey::FileSize),
        Layer::WallTime => limit(LimitKey::Wall),
        Layer::Disk => limit(LimitKey::Disk),
        Layer::Output => limit(LimitKey::Output),
        Layer::Seccomp => Some(&policy.system_calls.default.source),
        _ => None,
    };
    let degraded = policy.degrades(layer).map(|entry| &entry.source);
    degraded.or(own).unwrap_or(&policy.tier.source).to_string()
}

/// What is done, and why it is not what was asked, if so.
fn detail(
    layer: Layer,
    policy: &Policy,
    facts: &Facts,
    filter: &FilterPlan,
    landlock: &LandlockPlan,
) -> (String, Option<String>) {
    let limit = |key| policy.limits.get_display(key);
    let holds = |detail: String| (detail, None);
    match layer {
        Layer::CgroupMemory => {
            holds(format!("{} more than is mapped now: RLIMIT_AS, RLIMIT_DATA", limit(LimitKey::Memory)))
        }
        Layer::CgroupPids if filter.permits_one(&THREAD_CALLS, &policy.system_calls).is_some() => {
            holds(format!("RLIMIT_NPROC of {}, to which the user's other tasks count", limit(LimitKey::Processes)))
        }
        Layer::CgroupPids => holds("the filter lets nothing be started".to_owned()),
        Layer::CgroupCpu => holds(format!("a timer kills after {} more; RLIMIT_CPU behind it", limit(LimitKey::Cpu))),
        Layer::CgroupIo => holds(String::new()),
        Layer::Rlimits => holds(format!(
            "files of {}, {} descriptors, no core dump",
            limit(LimitKey::FileSize),
            limit(LimitKey::OpenFiles)
        )),
        Layer::WallTime => {
            holds(format!("a timer kills after {}, which the filter lets nobody touch", limit(LimitKey::Wall)))
        }
        Layer::Disk => holds("no directory of its own; nothing can be made in any".to_owned()),
        Layer::Output => (
            "the process writes to the descriptors that it has".to_owned(),
            Some("nobody is between the process and its standard output to bound it".to_owned()),
        ),
        Layer::Capabilities => holds("none in any set of any thread, no_new_privs".to_owned()),
        Layer::Landlock | Layer::LandlockNetwork | Layer::LandlockScope => {
            of_landlock(layer, policy, facts, filter, landlock)
        }
        Layer::Seccomp => holds(format!(
            "{} rules, else {}, on all threads; {} instructions",
            policy.system_calls.rules.len(),
            policy.system_calls.default.value,
            filter.instructions
        )),
        _ => (
            "refused calls fail; `log` goes to the kernel's log".to_owned(),
            Some("a process that locks itself down has no supervisor".to_owned()),
        ),
    }
}

fn of_landlock(
    layer: Layer,
    policy: &Policy,
    facts: &Facts,
    filter: &FilterPlan,
    landlock: &LandlockPlan,
) -> (String, Option<String>) {
    let LandlockPlan::Rules { abi, whom, attributes, rules } = landlock else {
        return (String::new(), Some("this kernel offers none".to_owned()));
    };
    let scope = match (*whom, facts.is_single()) {
        (Restrict::AllThreads, _) | (_, true) => "all threads",
        _ => "the calling thread",
    };
    match layer {
        Layer::LandlockNetwork if *abi < 4 => (String::new(), Some("needs Landlock ABI 4 (Linux 6.7)".to_owned())),
        Layer::LandlockScope if *abi < 6 => (String::new(), Some("needs Landlock ABI 6 (Linux 6.12)".to_owned())),
        Layer::LandlockScope if attributes.scoped != SCOPE_KNOWN => (
            "abstract sockets; signals by the filter's own rules".to_owned(),
            Some("other threads are not in the calling thread's domain".to_owned()),
        ),
        Layer::Landlock => {
            let rest = match (scope, filter.permits_one(&LANDLOCK_CALLS, &policy.system_calls)) {
                ("all threads", _) => "",
                (_, None) => ", and the filter permits no call that it would decide on in the others",
                (_, Some(_)) => "",
            };
            (format!("ABI {abi}, {} rules, {scope}{rest}", rules.len()), None)
        }
        _ => (scope.to_owned(), None),
    }
}
