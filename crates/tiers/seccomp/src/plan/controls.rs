//! Every control of a plan: what was asked for, what will hold, and why not.

use crate::probe::Support;
use lazaret_launch::filter::FilterPlan;
use lazaret_launch::landlock::LandlockPlan;
use lazaret_policy::{Control, Holding, Layer, LimitKey, Mode, Policy};

/// The tier has none: the reason that stands beside each such layer.
const NONE: &str = "tier seccomp has none";

pub(super) fn all(policy: &Policy, support: &Support, filter: &FilterPlan, landlock: &LandlockPlan) -> Vec<Control> {
    let lacks = support.lacks(policy);
    let control = |layer: Layer| {
        let lack = lacks.iter().find(|lack| lack.layer == layer || lack.layer.carries().contains(&layer));
        let (holding, detail, why_not) = match lack {
            Some(lack) => (Holding::No, String::new(), Some(lack.why.clone())),
            None => holds(layer, policy, support, filter, landlock),
        };
        let source = policy.degrades(layer).map(|entry| entry.source.to_string());
        let source =
            source.or_else(|| limit_of(layer).and_then(|key| policy.limits.source(key)).map(ToString::to_string));
        Control {
            layer,
            asked: layer.summary().to_owned(),
            holding,
            detail,
            why_not,
            source: source.unwrap_or_else(|| policy.tier.source.to_string()),
        }
    };
    // `io-rate` is refused, so that nobody asks for it.
    Layer::ALL.iter().copied().filter(|layer| *layer != Layer::CgroupIo).map(control).collect()
}

fn limit_of(layer: Layer) -> Option<LimitKey> {
    Some(match layer {
        Layer::CgroupMemory | Layer::CgroupSwap => LimitKey::Memory,
        Layer::CgroupPids => LimitKey::Processes,
        Layer::CgroupCpu => LimitKey::Cpu,
        Layer::WallTime => LimitKey::Wall,
        Layer::Disk => LimitKey::Disk,
        Layer::Output => LimitKey::Output,
        _ => return None,
    })
}

fn holds(
    layer: Layer,
    policy: &Policy,
    support: &Support,
    filter: &FilterPlan,
    landlock: &LandlockPlan,
) -> (Holding, String, Option<String>) {
    let limit = |key| policy.limits.get_display(key);
    let yes = |detail: String| (Holding::Yes, detail, None);
    let no = |instead: &str, why: &str| (Holding::No, instead.to_owned(), Some(why.to_owned()));
    let partly = |detail: String, why: &str| (Holding::Partly, detail, Some(why.to_owned()));
    match layer {
        Layer::UserNamespace => no("no capability, and no new namespace", NONE),
        Layer::PidNamespace => no("a reaper finds every process that descends from the job, and kills it", NONE),
        Layer::MountNamespace if filter.brokered().files => {
            no("the supervisor opens files, and nothing else exists for the job; it can enter other directories", NONE)
        }
        Layer::MountNamespace => no("Landlock confines files; names and attributes of others can be looked at", NONE),
        Layer::NetworkNamespace if policy.network.has_rules() => {
            let rules = policy.network.allow.len();
            no(&format!("sockets reach nobody by themselves; {rules} rules on what the supervisor connects to"), NONE)
        }
        Layer::NetworkNamespace => no("no socket can be made", NONE),
        Layer::IpcNamespace => no("System V objects and message queues are refused", NONE),
        Layer::UtsNamespace => no("the job sees the host's name", NONE),
        Layer::CgroupNamespace | Layer::TimeNamespace | Layer::CgroupIo => no("", NONE),
        Layer::Cgroup => no("per-process limits and supervision", NONE),
        Layer::CgroupSwap => no("swap counts to memory where the supervisor looks", NONE),
        Layer::CgroupMemory => partly(
            format!("{}: RLIMIT_DATA of each process, and the sum of all is looked at", limit(LimitKey::Memory)),
            "no group counts: between two looks all together can have more",
        ),
        Layer::CgroupPids if support.mode == Mode::Root => {
            yes(format!("{}: RLIMIT_NPROC of the job's own user id", limit(LimitKey::Processes)))
        }
        Layer::CgroupPids => partly(
            format!("{}: RLIMIT_NPROC, and the number of all is looked at", limit(LimitKey::Processes)),
            "the kernel counts the caller's other processes too, and where those end the job can have more",
        ),
        Layer::CgroupCpu => partly(
            format!("{} in all: RLIMIT_CPU of each process, and the sum of all is looked at", limit(LimitKey::Cpu)),
            "no group counts: the time of processes that nobody waits for is lost",
        ),
        Layer::Rlimits => yes(format!(
            "files of {}, {} descriptors, and what every job has",
            limit(LimitKey::FileSize),
            limit(LimitKey::OpenFiles)
        )),
        Layer::WallTime => yes(format!("{}, by the supervisor's clock", limit(LimitKey::Wall))),
        Layer::Disk => partly(
            format!("{}: what the private directory holds is looked at", limit(LimitKey::Disk)),
            if support.open_files {
                "no file system bounds it: between two looks the job can write more"
            } else {
                "no file system bounds it: between two looks the job can write more; files without a name are not seen, as \
                 this process has no CAP_SYS_PTRACE"
            },
        ),
        Layer::Output => yes(format!("{} of each stream", limit(LimitKey::Output))),
        Layer::JobUid if support.mode == Mode::Root => yes(String::new()),
        Layer::JobUid if filter.brokered().files => no(
            "files are used by the supervisor, beneath what the policy names",
            support.no_job_uid.as_deref().unwrap_or("started by an ordinary user: the job has that user's id"),
        ),
        Layer::JobUid => no(
            "modes, owners, times and attributes of files cannot be changed",
            support.no_job_uid.as_deref().unwrap_or("started by an ordinary user: the job has that user's id"),
        ),
        Layer::Capabilities => yes("none in any set, no_new_privs".to_owned()),
        Layer::Landlock => match landlock {
            LandlockPlan::Rules { abi, rules, .. } => yes(format!("ABI {abi}, {} rules", rules.len())),
            LandlockPlan::Degraded => no("", NONE),
        },
        Layer::LandlockNetwork => match landlock {
            LandlockPlan::Rules { network: 0, .. } => no("no socket can be made", "needs Landlock ABI 4 (Linux 6.7)"),
            _ => yes(String::new()),
        },
        Layer::LandlockScope => yes(String::new()),
        Layer::Seccomp => yes(format!(
            "{} rules, else {}; {} instructions",
            policy.system_calls.rules.len(),
            policy.system_calls.default.value,
            filter.instructions
        )),
        Layer::Notifier if !filter.supervised => no("", "refused calls fail unrecorded"),
        Layer::Notifier => yes(String::new()),
    }
}
