//! Out of what was seen, counted and left behind: how the job ended.
//!
//! Nothing that a job says of itself counts. A limit is believed when the kernel counted it or its traces are there; a
//! signal or an exit code alone is reported as just that.

use crate::outcome::micros;
use crate::running::{Boundary, Running, Terms};
use crate::watch::{Stop, Watched};
use lazaret_init::format::Outcome;
use lazaret_policy::{LimitHit, LimitKey, StartFailure, StartFailureKind, Verdict};
use lazaret_sys::wait::Ended;
use std::io;
use std::mem::offset_of;

/// What the kernel counted for all processes of a job together. `None` where it does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measured {
    /// Processes killed because the memory limit was reached.
    pub oom_kills: u64,
    /// Forks refused because the process limit was reached.
    pub forks_refused: u64,
    /// Bytes at the highest point.
    pub peak_memory: Option<u64>,
    /// Tasks at the highest point, our own included.
    pub peak_tasks: Option<u64>,
    /// Processor time in user mode, µs.
    pub user_us: Option<u64>,
    /// Processor time in the kernel, µs.
    pub system_us: Option<u64>,
    /// Bytes read from block devices.
    pub read_bytes: Option<u64>,
    /// Bytes written to block devices.
    pub written_bytes: Option<u64>,
}

/// What a tier saw and counted of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// What the kernel counted, or the supervisor.
    pub measured: Measured,
    /// The job's directories had no room, or no file, left.
    pub disk_full: bool,
    /// A file of the job's has, or had, the size that none may exceed.
    pub file_at_limit: bool,
}

/// How the job ended, before its outputs were looked at.
#[derive(Debug)]
pub struct Fate {
    /// The verdict, unless an output is missing.
    pub verdict: Verdict,
    /// Every limit that was reached.
    pub limits_hit: Vec<LimitHit>,
    /// What was counted.
    pub measured: Measured,
    /// Remarks.
    pub notes: Vec<String>,
}

/// Everything that a verdict is made of.
struct Evidence {
    stop: Option<Stop>,
    start_failure: Option<StartFailure>,
    /// How the job's first process ended, if it ended by itself.
    ended: Option<Ended>,
    measured: Measured,
    cpu_used_up: bool,
    disk_full: bool,
    /// Not everything that the job wrote was passed on.
    cut: bool,
    /// A file of the job's has, or had, the size that none may exceed, or was to be changed beyond it.
    file_at_limit: bool,
    /// More connections were asked for than there may be.
    at_connections: bool,
}

/// The kernel's own killing leaves nothing but the signal, and any process can send itself that.
const UNTOLD_KILL: &str = "the policy kills for some system calls, which without the layer `notifier` ends in SIGSYS: \
                           whether the job made such a call or sent itself the signal cannot be told";

/// Judges.
pub fn judge(terms: &Terms<'_>, running: &Running, watched: &Watched, boundary: &mut impl Boundary) -> Fate {
    let ended = (running.shell.outcome::<u32>(offset_of!(Outcome, ended)) == 1)
        .then(|| Ended::from_status(running.shell.outcome(offset_of!(Outcome, wait_status))));
    let failed = !matches!(ended, Some(Ended::Exited(0)));
    let Seen { measured, disk_full, file_at_limit } = boundary.seen(running, failed);
    let mut notes = Vec::new();
    if watched.stop.is_none() && ended.is_none() && measured.oom_kills == 0 {
        notes.push(format!("the job's process 1 was ended from outside: {:?}", watched.init));
    }
    if ended == Some(Ended::Signalled(libc::SIGSYS)) && terms.filter.kills_untold() {
        notes.push(UNTOLD_KILL.to_owned());
    }
    let evidence = Evidence {
        stop: watched.stop.clone(),
        start_failure: start_failure(terms, running),
        ended,
        measured,
        cpu_used_up: cpu_us(running, &measured) >= micros(terms.limits.cpu.duration()),
        disk_full,
        cut: running.streams.stdout.truncated || running.streams.stderr.truncated,
        at_connections: watched.network.as_ref().is_some_and(|n| n.reached.contains(&LimitKey::NetConnections)),
        file_at_limit: failed && (file_at_limit || watched.refusals.beyond),
    };
    let limits_hit = limits_hit(terms, &evidence);
    Fate { verdict: evidence.verdict(terms), limits_hit, measured, notes }
}

/// Processor time of the whole tree, or of the first process and those it waited for, where nothing else counts.
pub fn cpu_us(running: &Running, measured: &Measured) -> u64 {
    let (user, system) = cpu_split_us(running, measured);
    user + system
}

/// The same, in user mode and in the kernel.
pub fn cpu_split_us(running: &Running, measured: &Measured) -> (u64, u64) {
    if let (Some(user), Some(system)) = (measured.user_us, measured.system_us) {
        return (user, system);
    }
    // struct rusage begins with two struct timeval.
    let usage: [u64; 18] = running.shell.outcome(offset_of!(Outcome, usage));
    (usage[0] * 1_000_000 + usage[1], usage[2] * 1_000_000 + usage[3])
}

/// Bytes read from and written to block devices: by the whole tree where that is counted, else by the first process and
/// those it waited for, in the blocks of 512 bytes that struct rusage counts.
pub fn io_bytes(running: &Running, measured: &Measured) -> (u64, u64) {
    // After the two struct timeval: maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock.
    let usage: [u64; 18] = running.shell.outcome(offset_of!(Outcome, usage));
    (measured.read_bytes.unwrap_or(usage[11] * 512), measured.written_bytes.unwrap_or(usage[12] * 512))
}

impl Evidence {
    fn verdict(&self, terms: &Terms<'_>) -> Verdict {
        let limit = |key| Verdict::of_limit(terms.limits.hit(key));
        let or_signal = |verdict: Option<Verdict>| verdict.unwrap_or_else(|| Verdict::signalled(libc::SIGKILL));
        match (&self.stop, self.ended) {
            (Some(Stop::Violation(verdict)), _) => return verdict.clone(),
            // Found after the end too: what was written past a bound is no success.
            (
                Some(Stop::Limit(
                    key @ (LimitKey::Output
                    | LimitKey::Disk
                    | LimitKey::NetSent
                    | LimitKey::NetReceived
                    | LimitKey::NetTime),
                )),
                _,
            ) => return or_signal(limit(*key)),
            (Some(Stop::Cancelled), _) if self.cut => return Verdict::Cancelled,
            _ if self.measured.oom_kills > 0 => return or_signal(limit(LimitKey::Memory)),
            // The end came before the supervisor's: then it is the job's own.
            (Some(stop), None) => {
                return match stop {
                    Stop::Limit(key) => or_signal(limit(*key)),
                    Stop::Cancelled => Verdict::Cancelled,
                    Stop::Violation(verdict) => verdict.clone(),
                };
            }
            _ => {}
        }
        if let Some(failure) = &self.start_failure {
            return Verdict::not_started(failure.clone());
        }
        let own = match self.ended {
            Some(Ended::Exited(code)) => Verdict::exited(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
            Some(Ended::Signalled(signal)) => Verdict::signalled(signal),
            None => Verdict::signalled(libc::SIGKILL),
        };
        if own.is_ok() {
            return own;
        }
        let killed_for_time = matches!(self.ended, Some(Ended::Signalled(libc::SIGKILL | libc::SIGXCPU)));
        let hit = if self.cpu_used_up && killed_for_time {
            limit(LimitKey::Cpu)
        } else if self.measured.forks_refused > 0 {
            limit(LimitKey::Processes)
        } else if self.file_at_limit {
            limit(LimitKey::FileSize)
        } else if self.disk_full {
            limit(LimitKey::Disk)
        } else {
            None
        };
        hit.unwrap_or(own)
    }
}

/// Every limit that was reached, whether or not the job died of it.
fn limits_hit(terms: &Terms<'_>, evidence: &Evidence) -> Vec<LimitHit> {
    let stopped_for = |key| evidence.stop == Some(Stop::Limit(key));
    let reached = [
        (LimitKey::Memory, evidence.measured.oom_kills > 0 || stopped_for(LimitKey::Memory)),
        (LimitKey::Processes, evidence.measured.forks_refused > 0 || stopped_for(LimitKey::Processes)),
        (LimitKey::FileSize, evidence.file_at_limit),
        (LimitKey::Disk, evidence.disk_full),
        (LimitKey::Cpu, evidence.cpu_used_up || evidence.stop == Some(Stop::Limit(LimitKey::Cpu))),
        (LimitKey::Wall, evidence.stop == Some(Stop::Limit(LimitKey::Wall))),
        (LimitKey::Output, evidence.stop == Some(Stop::Limit(LimitKey::Output))),
        (LimitKey::NetConnections, evidence.at_connections),
        (LimitKey::NetSent, stopped_for(LimitKey::NetSent)),
        (LimitKey::NetReceived, stopped_for(LimitKey::NetReceived)),
        (LimitKey::NetTime, stopped_for(LimitKey::NetTime)),
    ];
    reached.into_iter().filter(|(_, hit)| *hit).map(|(key, _)| terms.limits.hit(key)).collect()
}

fn start_failure(terms: &Terms<'_>, running: &Running) -> Option<StartFailure> {
    let errno: i32 = running.shell.outcome(offset_of!(Outcome, exec_errno));
    if running.shell.outcome::<u32>(offset_of!(Outcome, reached_exec)) == 0 || errno == 0 {
        return None;
    }
    let candidate: u32 = running.shell.outcome(offset_of!(Outcome, exec_candidate));
    let exists = running.shell.outcome::<u32>(offset_of!(Outcome, exec_exists)) == 1;
    let path = terms.program.candidates.get(candidate as usize);
    let path = path.map_or_else(String::new, |path| path.to_string_lossy().into_owned());
    let command = terms.program.arguments.first().map_or_else(String::new, |arg| arg.to_string_lossy().into_owned());
    let (kind, detail) = match errno {
        libc::ENOENT if exists => {
            (StartFailureKind::BadInterpreter, format!("`{path}` is there, but the interpreter that it names is not"))
        }
        libc::ENOENT | libc::ENOTDIR if command.contains('/') => {
            (StartFailureKind::NotFound, "there is no such file for the job".to_owned())
        }
        libc::ENOENT | libc::ENOTDIR => {
            (StartFailureKind::NotFound, "it is in no directory of PATH for the job".to_owned())
        }
        libc::EACCES | libc::EPERM => (StartFailureKind::NotExecutable, format!("`{path}` may not be executed")),
        libc::ENOEXEC => {
            (StartFailureKind::NotExecutable, format!("`{path}` is neither a program nor a script with a `#!` line"))
        }
        errno => (StartFailureKind::Other, format!("`{path}`: {}", io::Error::from_raw_os_error(errno))),
    };
    Some(StartFailure { kind, command, errno, detail })
}
