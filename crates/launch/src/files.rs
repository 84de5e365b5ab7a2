//! A job's files where the supervisor makes the calls that name them, as a plan, and its beginning.

mod hands;

pub use hands::FileHands;

use crate::error::{PlanError, RunError};
use crate::filter::FilterPlan;
use crate::network::{may_wait, shown};
pub use lazaret_broker::files::{Access, Exec, Identity, Processes, calls};
use lazaret_broker::files::{Memory, Outside};
use lazaret_policy::{Begins, FileName, Layer, Outside as Answer, Policy, Sourced};
use std::path::{Path, PathBuf};

/// What of the job's file tree it may use, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesPlan {
    /// Places, as the job names them.
    pub roots: Vec<RootPlan>,
    /// What it is told of the rest.
    pub outside: Outside,
    /// Who holds what it executes.
    pub exec: Exec,
    /// Which processes it may look at in /proc.
    pub processes: Processes,
    /// Paths of this host that the job is shown.
    pub shown: Vec<PathBuf>,
    /// Where its inputs are, as the job names it.
    pub job_directory: PathBuf,
    /// Files of the job's own: their paths, as it names them, and what they hold. They are only read.
    pub own: Vec<(PathBuf, String)>,
    /// What is left of the roots when its work begins.
    pub work: Option<WorkPlan>,
}

/// A place that the job may use, with everything beneath it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootPlan {
    /// Its path, as the job names it.
    pub guest: PathBuf,
    /// How.
    pub access: Access,
}

/// The second phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkPlan {
    /// When it begins.
    pub begins: Begins,
    /// What is left.
    pub roots: Vec<RootPlan>,
}

/// What a tier knows of a job's files.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Places, as the job names them.
    pub roots: Vec<RootPlan>,
    /// Who holds what it executes.
    pub exec: Exec,
    /// Which processes it may look at.
    pub processes: Processes,
    /// Where `/job` and `/tmp` of a policy are in this tier.
    pub own: [(&'static str, PathBuf); 2],
    /// Files that the job is given in place of what is there. They are among `roots`.
    pub files: Vec<(PathBuf, String)>,
}

impl Tree {
    /// `path` of a policy, as the job of this tier names it.
    fn guest(&self, path: &Path) -> PathBuf {
        let moved = self.own.iter().find_map(|(own, place)| Some(place.join(path.strip_prefix(own).ok()?)));
        moved.unwrap_or_else(|| path.to_path_buf())
    }

    /// Everything that may be done at `path`: roots add to each other.
    fn access(&self, path: &Path) -> Access {
        let around = self.roots.iter().filter(|root| path.starts_with(&root.guest));
        around.fold(Access::default(), |all, root| Access {
            read: all.read || root.access.read,
            write: all.write || root.access.write,
            execute: all.execute || root.access.execute,
        })
    }
}

impl FilesPlan {
    /// The files that `policy` gives out of `tree`, if the supervisor is to open them: if `filter` puts such calls to it.
    ///
    /// # Errors
    ///
    /// When nobody can do that here, or the second phase would have what the first has not.
    pub fn new(policy: &Policy, filter: &FilterPlan, tree: Tree) -> Result<Option<Self>, PlanError> {
        if !filter.brokered().files {
            return Ok(None);
        }
        let cannot = |problem: String| {
            let asked_by = policy.files.mode.as_ref().map_or(&policy.tier.source, |mode| &mode.source).clone();
            let fix = "use a host that has it, or set mode = \"direct\" under [files]";
            Err(PlanError::Files { asked_by, problem, fix })
        };
        if !filter.supervised {
            return cannot(format!("it needs the layer `{}`, which does not hold here", Layer::Notifier));
        }
        if !lazaret_sys::seccomp::can_wait_killable() {
            return cannot(
                "this kernel lets signals disturb calls that are made for a job (before Linux 5.19)".to_owned(),
            );
        }
        let outside = match policy.files.outside.as_ref().map_or(Answer::Absent, |outside| outside.value) {
            Answer::Absent => Outside::Absent,
            Answer::Refused => Outside::Denied,
        };
        let work = work(policy, &tree)?;
        let job_directory = tree.guest(Path::new("/job"));
        let Tree { roots, exec, processes, files: own, .. } = tree;
        let exec = match exec {
            // What the job was given, or made, is not executed before it is known to be looked at.
            Exec::Held if work.is_some() => Exec::Shown,
            exec => exec,
        };
        let shown = shown(policy);
        Ok(Some(Self { roots, outside, exec, processes, shown, job_directory, own, work }))
    }

    /// The hands that make one job's calls, as `identity`, which is handed `inputs`.
    ///
    /// # Errors
    ///
    /// When this host's mounts cannot be looked at.
    pub fn begin(&self, identity: Identity, inputs: &[FileName]) -> Result<FileHands, RunError> {
        let slow = may_wait(&self.shown)
            .map_err(|source| RunError::Resource { what: "look at this host's mounts", source })?;
        let memory = if slow { Memory::Bounded } else { Memory::Direct };
        let inputs = inputs.iter().map(|name| self.job_directory.join(name.as_os_str())).collect();
        Ok(FileHands::new(self.clone(), identity, memory, inputs))
    }
}

fn work(policy: &Policy, tree: &Tree) -> Result<Option<WorkPlan>, PlanError> {
    let Some(phases) = &policy.phases else { return Ok(None) };
    let work = &phases.work;
    let mut roots: Vec<RootPlan> = Vec::new();
    let reads = work.read.iter().map(|path| (path, Access { read: true, ..Access::default() }));
    let writes = work.write.iter().map(|path| (path, Access { read: true, write: true, execute: false }));
    for (path, access) in reads.chain(writes) {
        let guest = tree.guest(path);
        within(tree, path, &guest, access)?;
        match roots.iter_mut().find(|root| root.guest == guest) {
            Some(known) => known.access.write |= access.write,
            None => roots.push(RootPlan { guest, access }),
        }
    }
    Ok(Some(WorkPlan { begins: work.begins.value, roots }))
}

/// Whether the first phase has `path` with `access`.
fn within(tree: &Tree, path: &Sourced<PathBuf>, guest: &Path, access: Access) -> Result<(), PlanError> {
    let had = tree.access(guest);
    let lacks = if access.read && !had.read {
        "the first phase may not read it"
    } else if access.write && !had.write {
        "the first phase may not write there"
    } else {
        return Ok(());
    };
    Err(PlanError::Files {
        asked_by: path.source.clone(),
        problem: format!("`{}` is named for the second phase, and {lacks}", path.display()),
        fix: "name it under [files] or [phase.init] as well, or take it out",
    })
}
