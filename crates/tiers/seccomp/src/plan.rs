//! Decides what will be done: policy, job and support become a plan. Pure, but for looking at the policy's paths.

mod controls;
mod files;
mod rules;
#[cfg(test)]
mod tests;

pub use rules::own_rules;

use crate::probe::Support;
use lazaret_launch::bounds::Rlimit;
use lazaret_launch::error::PlanError;
use lazaret_launch::fetch::FetchPlan;
use lazaret_launch::files::FilesPlan;
use lazaret_launch::filter::FilterPlan;
use lazaret_launch::landlock::LandlockPlan;
use lazaret_launch::network::NetworkPlan;
use lazaret_launch::program::Program;
use lazaret_launch::require;
use lazaret_launch::start;
use lazaret_policy::{Control, Job, Limits, Mode, Policy, ProcView, Root, Source, Tier};
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where jobs' private directories are made unless the launcher is told another place.
pub const BASE: &str = "/tmp";

/// Exactly what will be done for one job.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name of the policy.
    pub policy: String,
    /// Whose user id the job gets.
    pub mode: Mode,
    /// The caller's own ids, which a rootless job has too.
    pub caller_ids: (u32, u32),
    /// The job's private directory. `job` and `tmp` in it are what /job and /tmp are in a jail.
    pub place: PathBuf,
    /// Every limit.
    pub limits: Limits,
    /// Per-process limits of setrlimit(2).
    pub rlimits: Vec<Rlimit>,
    /// The system-call filter.
    pub filter: Arc<FilterPlan>,
    /// Landlock's rules.
    pub landlock: LandlockPlan,
    /// Whether the job's first process may read its own directory of /proc.
    pub own_proc: bool,
    /// Optional paths of the policy that this host does not have.
    pub left_out: Vec<(PathBuf, Source)>,
    /// What is fetched before the job starts.
    pub fetch: FetchPlan,
    /// What may be connected to, if anything.
    pub network: Option<NetworkPlan>,
    /// What the supervisor opens for the job, if it makes its calls on files.
    pub files: Option<FilesPlan>,
    /// What is executed, with which arguments and environment.
    pub program: Program,
    /// Every control: what was asked for, and what will hold.
    pub controls: Vec<Control>,
    /// What the user should know beside.
    pub notes: Vec<String>,
}

impl Plan {
    /// Decides. `place` is the private directory, `tasks` how many processes and threads the job's user has already, and
    /// `filter` the policy's own, with [`own_rules`] behind it.
    ///
    /// # Errors
    ///
    /// When the policy asks for what the tier has not, or the host lacks, or the job is wrong.
    pub fn new(
        policy: &Policy,
        job: &Job,
        support: &Support,
        place: &Path,
        tasks: u64,
        filter: Arc<FilterPlan>,
    ) -> Result<Self, PlanError> {
        job.check().map_err(PlanError::Job)?;
        unmet(policy)?;
        filter.check_exec()?;
        let missing = support.missing(policy);
        if !missing.is_empty() {
            return Err(PlanError::Unenforceable(missing));
        }
        let (landlock, left_out, roots) = files::decide(policy, support, place)?;
        let controls = controls::all(policy, support, &filter, &landlock);
        require::check(policy, &controls)?;
        let (mut program, replaced) = at_home(Program::started(policy, job, &filter)?, place);
        program.begins = program.library.and_then(|_| start::begins(&program.candidates));
        // The reaper has the job's id in a rootless job.
        let others = match support.mode {
            Mode::Root => 0,
            Mode::Rootless => tasks + 1,
        };
        let processes = u64::from(policy.limits.processes.get()) + others;
        if let (Some(mode), Some(why)) =
            (policy.files.mode.as_ref().filter(|_| policy.files.are_brokered()), support.no_hands)
        {
            let (asked_by, problem) = (mode.source.clone(), why.to_owned());
            let fix = "use a host that has it, or set mode = \"direct\" under [files]";
            return Err(PlanError::Files { asked_by, problem, fix });
        }
        let network = network(policy, &filter, &landlock)?;
        let files = FilesPlan::new(policy, &filter, files::tree(policy, roots, &landlock, place))?;
        Ok(Self {
            policy: policy.name.clone(),
            mode: support.mode,
            caller_ids: support.ids,
            place: place.to_owned(),
            rlimits: support.bounds.rlimits(&policy.limits, processes, true),
            limits: policy.limits.clone(),
            filter,
            own_proc: policy.files.proc.value == ProcView::Minimal && landlock != LandlockPlan::Degraded,
            landlock,
            left_out,
            fetch: FetchPlan::new(policy)?,
            network,
            files,
            program,
            controls,
            notes: notes(policy, support, place, &replaced),
        })
    }

    /// The job's working directory.
    pub fn job_directory(&self) -> PathBuf {
        self.place.join("job")
    }
}

/// The network that the policy gives, if it gives any.
fn network(policy: &Policy, filter: &FilterPlan, landlock: &LandlockPlan) -> Result<Option<NetworkPlan>, PlanError> {
    let Some(plan) = NetworkPlan::new(policy, filter, landlock)? else { return Ok(None) };
    let lacks = if !filter.brokered().files {
        "the supervisor to open the job's files, as the job asks for names as one of these says"
    } else if !plan.walled {
        "Landlock ABI 4 (Linux 6.7), as the job's sockets are of this host's network"
    } else {
        return Ok(Some(plan));
    };
    let asked_by = policy.network.allow.first().map_or(&policy.tier.source, |host| &host.source).clone();
    let problem = format!("in tier seccomp it needs {lacks}");
    Err(PlanError::Network { asked_by, problem, fix: "use a host that has it, or the jail (--tier jail)" })
}

/// Whether the policy asks for something that needs namespaces or groups, and that its program would miss.
///
/// # Errors
///
/// The first such thing, and where the policy asks for it.
pub fn unmet(policy: &Policy) -> Result<(), PlanError> {
    let cannot = |what: String, asked_by: &Source| {
        Err(PlanError::Unmet { tier: "tier seccomp", what, asked_by: asked_by.clone() })
    };
    if policy.tier.value != Tier::Seccomp {
        return cannot(format!("the tier `{}`", policy.tier.value), &policy.tier.source);
    }
    let files = &policy.files;
    if let Some(cow) = files.cow.first() {
        return cannot(format!("a copy-on-write view of `{}`", cow.host.display()), &cow.source);
    }
    if let Root::Directory(root) = &files.root.value {
        return cannot(format!("the root `{}`", root.display()), &files.root.source);
    }
    if let Some(bind) = files.read.iter().find(|bind| bind.host != bind.guest) {
        return cannot(format!("`{}` at another place, `{}`", bind.host.display(), bind.guest.display()), &bind.source);
    }
    if files.proc.value == ProcView::Full {
        return cannot("`proc = \"full\"`".to_owned(), &files.proc.source);
    }
    if files.pts.value {
        return cannot("pseudo-terminals of the job's own (`pts`)".to_owned(), &files.pts.source);
    }
    if policy.network.loopback.value {
        return cannot("a loopback interface of the job's own".to_owned(), &policy.network.loopback.source);
    }
    if let Some(host) = policy.network.allow.iter().find(|host| host.value.is_of_requests()) {
        return cannot(format!("rules on requests such as `{}`", host.rule), &host.source);
    }
    if let Some(cpus) = &policy.limits.cpus {
        return cannot(format!("a bound of {} processors at once (`cpus`)", cpus.value), &cpus.source);
    }
    if let Some(rate) = &policy.limits.io_rate {
        return cannot("a bound on the rate of disks (`io-rate`)".to_owned(), &rate.source);
    }
    Ok(())
}

/// `program` with the jail's directories in its environment replaced by those of `place`, and the names of the variables.
fn at_home(mut program: Program, place: &Path) -> (Program, Vec<String>) {
    let mut replaced = Vec::new();
    for variable in &mut program.environment {
        let text = variable.to_string_lossy().into_owned();
        let Some((name, value)) = text.split_once('=') else { continue };
        let within = |directory: &str| {
            value.strip_prefix(directory).filter(|rest| rest.is_empty() || rest.starts_with('/')).map(str::to_owned)
        };
        let moved = match (within("/job"), within("/tmp")) {
            (Some(rest), _) => format!("{}{rest}", place.join("job").display()),
            (_, Some(rest)) => format!("{}{rest}", place.join("tmp").display()),
            _ => continue,
        };
        if let Ok(moved) = CString::new(format!("{name}={moved}")) {
            replaced.push(name.to_owned());
            *variable = moved;
        }
    }
    (program, replaced)
}

fn notes(policy: &Policy, support: &Support, place: &Path, replaced: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    let (job, tmp) = (place.join("job"), place.join("tmp"));
    let moved = if replaced.is_empty() { String::new() } else { format!("; so say {}", replaced.join(", ")) };
    notes.push(format!("in tier seccomp /job is {} and /tmp is {}{moved}", job.display(), tmp.display()));
    if policy.files.shm.value {
        notes.push(format!(
            "tier seccomp has no /dev/shm of the job's own ({}): the job has none, and POSIX semaphores and shared memory \
             fail",
            policy.files.shm.source
        ));
    }
    if policy.files.are_brokered() && support.landlock.as_ref().is_ok_and(|abi| *abi == 0) {
        notes.push(
            "without Landlock nothing holds what the job executes: it executes nothing but its command".to_owned(),
        );
    }
    if let (None, Some(why)) = (&policy.files.mode, support.no_hands) {
        notes.push(format!("files are opened by the job itself, held by Landlock alone: {why}"));
    }
    if let Some(why) = &support.no_job_uid {
        notes.push(format!("the job has root's id, without its rights: {why}"));
    }
    if support.mode == Mode::Rootless && !support.brokers_files(policy) {
        notes.push(
            "the job has the caller's id, so that it may not change modes, owners, times or attributes of any file: \
             Landlock does not tell its own files from the caller's there"
                .to_owned(),
        );
    }
    notes
}
