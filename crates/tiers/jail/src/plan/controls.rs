//! Every control of a plan: what was asked for, what will hold, and why not.

use super::{FilterPlan, LandlockPlan, Tree};
use crate::probe::Support;
use lazaret_policy::{Control, Holding, Layer, LimitKey, Mode, Policy, Source};

pub(crate) fn all(
    policy: &Policy,
    support: &Support,
    filter: &FilterPlan,
    landlock: &LandlockPlan,
    tree: &Tree,
) -> Vec<Control> {
    let lacks = support.lacks(policy);
    let control = |layer: Layer| {
        let lack = lacks.iter().find(|m| m.layer == layer || m.layer.carries().contains(&layer));
        let degraded = policy.degrades(layer);
        let source = degraded.map_or_else(|| policy.tier.source.to_string(), |d| d.source.to_string());
        let mut control = Control {
            layer,
            asked: layer.summary().to_owned(),
            holding: Holding::Yes,
            detail: detail(layer, policy, filter, landlock, tree),
            why_not: None,
            source: limit_source(layer, policy).map_or(source, Source::to_string),
        };
        if let Some(lack) = lack {
            control.holding = Holding::No;
            control.why_not = Some(lack.why.clone());
            control.detail = instead(layer).to_owned();
        }
        special(layer, support, landlock, filter, &mut control);
        control
    };
    let asked = |layer: &Layer| *layer != Layer::CgroupIo || policy.limits.io_rate.is_some();
    Layer::ALL.iter().copied().filter(asked).map(control).collect()
}

/// Layers that are not asked of every host: their absence is told, not refused.
fn special(layer: Layer, support: &Support, landlock: &LandlockPlan, filter: &FilterPlan, control: &mut Control) {
    let mut not = |why: &str| {
        control.holding = Holding::No;
        control.why_not = Some(why.to_owned());
    };
    match (layer, landlock) {
        (Layer::JobUid, _) if support.mode == Mode::Rootless && support.no_job_uid.is_none() => {
            not("started by an ordinary user: on the host the job has that user's id");
        }
        (Layer::LandlockNetwork, LandlockPlan::Rules { abi, .. }) if *abi < 4 => {
            not("needs Landlock ABI 4 (Linux 6.7)")
        }
        (Layer::LandlockNetwork, LandlockPlan::Rules { network: 0, .. }) => {
            not("the policy turns the loopback interface on");
        }
        (Layer::LandlockScope, LandlockPlan::Rules { abi, .. }) if *abi < 6 => not("needs Landlock ABI 6 (Linux 6.12)"),
        (Layer::Notifier, _) if !filter.supervised => not("refused calls fail unrecorded"),
        _ => {}
    }
}

fn limit_source(layer: Layer, policy: &Policy) -> Option<&Source> {
    let key = match layer {
        Layer::CgroupMemory | Layer::CgroupSwap => LimitKey::Memory,
        Layer::CgroupPids => LimitKey::Processes,
        Layer::CgroupCpu => LimitKey::Cpu,
        Layer::CgroupIo => LimitKey::IoRate,
        Layer::WallTime => LimitKey::Wall,
        Layer::Disk => LimitKey::Disk,
        Layer::Output => LimitKey::Output,
        Layer::Seccomp => return Some(&policy.system_calls.default.source),
        _ => return None,
    };
    policy.limits.source(key)
}

fn detail(layer: Layer, policy: &Policy, filter: &FilterPlan, landlock: &LandlockPlan, tree: &Tree) -> String {
    let limit = |key| policy.limits.get_display(key);
    match layer {
        Layer::MountNamespace => format!("{} entries, nothing else of the host", tree.entries.len()),
        Layer::NetworkNamespace if policy.network.has_rules() => {
            format!("loopback alone; {} rules on what the supervisor connects to", policy.network.allow.len())
        }
        Layer::NetworkNamespace if policy.network.loopback.value => "loopback alone".to_owned(),
        Layer::NetworkNamespace => "no interface is up".to_owned(),
        Layer::UtsNamespace => format!("host name `{}`", policy.network.host_name.value),
        Layer::CgroupMemory => limit(LimitKey::Memory),
        Layer::CgroupSwap => format!("counts to the {} of memory", limit(LimitKey::Memory)),
        Layer::CgroupPids => limit(LimitKey::Processes),
        Layer::CgroupCpu if policy.limits.cpus.is_some() => {
            format!("{} in all, {} cores at once", limit(LimitKey::Cpu), limit(LimitKey::Cpus))
        }
        Layer::CgroupCpu => format!("{} in all", limit(LimitKey::Cpu)),
        Layer::CgroupIo => format!("{}/s each way", limit(LimitKey::IoRate)),
        Layer::Rlimits => format!(
            "files of {}, {} descriptors, and what every jail has",
            limit(LimitKey::FileSize),
            limit(LimitKey::OpenFiles)
        ),
        Layer::WallTime => format!("{}, by the supervisor's clock", limit(LimitKey::Wall)),
        Layer::Disk => format!("a tmpfs of {}, {} files", limit(LimitKey::Disk), tree.inodes),
        Layer::Output => format!("{} of each stream", limit(LimitKey::Output)),
        Layer::Capabilities => "none in any set, securebits locked, no_new_privs".to_owned(),
        Layer::Landlock => match landlock {
            LandlockPlan::Rules { abi, rules, .. } => format!("ABI {abi}, {} rules", rules.len()),
            LandlockPlan::Degraded => String::new(),
        },
        Layer::Seccomp => format!(
            "{} rules, else {}; {} instructions",
            policy.system_calls.rules.len(),
            policy.system_calls.default.value,
            filter.instructions
        ),
        _ => String::new(),
    }
}

/// What holds in place of a degraded layer.
fn instead(layer: Layer) -> &'static str {
    match layer {
        Layer::CgroupMemory => {
            "RLIMIT_DATA bounds the private writable memory of each process; shared memory is not bounded"
        }
        Layer::CgroupPids => "RLIMIT_NPROC bounds the processes of the job's user namespace",
        Layer::CgroupCpu => "RLIMIT_CPU bounds each process by itself",
        Layer::Cgroup => "per-process limits and supervision",
        Layer::JobUid => "the job has the caller's id on the host",
        _ => "",
    }
}
