//! What this host can enforce, tried: for `lazaret doctor`.
//!
//! Each feature is tried by steps of a launch that do that one thing, in processes of their own which end at once. What
//! is missing gets its usual explanation and fixes, out of one table.

mod advice;
mod cause;
mod devices;
mod feature;
mod filter;
mod groups;
mod landlock;
mod mounts;
mod namespaces;
mod trial;

pub use cause::{Cause, Circumstances, Container};
pub use feature::{Feature, Group};

use super::{Identity, Support};
use advice::Words;
use lazaret_policy::{Mode, Policy};
use std::path::Path;
use trial::{Ground, Trial, Trouble};

/// What was found on a host.
#[derive(Debug, Clone)]
pub struct Examination {
    /// What a launch knows of the host.
    pub support: Support,
    /// Hints that chose the explanations.
    pub circumstances: Circumstances,
    /// Every feature, in the order of [`Feature::ALL`].
    pub findings: Vec<Finding>,
}

/// What was found of one feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The feature.
    pub feature: Feature,
    /// Whether it is there.
    pub state: State,
    /// What exactly was found, such as an ABI or a place. Empty: nothing beyond the state.
    pub detail: String,
}

/// Whether a feature is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It was tried, and works.
    Works,
    /// It was tried, and does not work.
    Missing(Lack),
    /// It could not be tried, because this other one is missing.
    Behind(Feature),
    /// Jails of this user's do not have it, whatever the host can do.
    NotApplicable,
}

/// Why a feature is missing and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The cause, as far as this host's hints tell.
    pub cause: Cause,
    /// The kernel's answer, where there was one.
    pub errno: Option<i32>,
    /// What was found and what it means, in words.
    pub reason: String,
    /// Ways to have it, the best first. Each is enough by itself, unless its text says otherwise.
    pub fixes: Vec<Fix>,
}

/// One way to have a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What is changed.
    pub kind: FixKind,
    /// What to do with `text`.
    pub how: String,
    /// The exact command, flag, setting or content of a file.
    pub text: String,
}

/// What a fix changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FixKind {
    /// A sysctl.
    Sysctl,
    /// An AppArmor profile.
    AppArmor,
    /// A boot parameter.
    Boot,
    /// The kernel.
    Kernel,
    /// How a container is started.
    Container,
    /// A service's unit, or a scope.
    Service,
    /// Something that a command does.
    Command,
    /// The policy: what it asks for.
    Policy,
}

impl FixKind {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sysctl => "sysctl",
            Self::AppArmor => "apparmor",
            Self::Boot => "boot",
            Self::Kernel => "kernel",
            Self::Container => "container",
            Self::Service => "service",
            Self::Command => "command",
            Self::Policy => "policy",
        }
    }
}

/// Tries everything. `program` is the one that starts jails, for fixes that name it.
///
/// Takes some dozen milliseconds, at most a few seconds on a kernel that does not answer. Nothing of the host is changed
/// when this returns: groups that are made for a trial are gone, and so are all processes.
pub fn examine(program: &Path) -> Examination {
    let before = groups::Before::look();
    let (support, undo) = Support::prepare_for_now(Identity::probe());
    let circumstances = Circumstances::read();
    let ground = Ground::new(&support);
    let words = Words {
        program: program.display().to_string(),
        user: support.ids.0.to_string(),
        groups: before.places(),
        scope: if support.ids.0 == 0 { "systemd-run --scope" } else { "systemd-run --user --scope" }.to_owned(),
        ..Words::default()
    };
    let mut doctor = Doctor { support: &support, circumstances: &circumstances, ground, words, findings: Vec::new() };
    doctor.launch();
    doctor.namespaces();
    doctor.mounts();
    doctor.groups(&before);
    doctor.identity();
    doctor.landlock();
    doctor.filter();
    doctor.devices();
    let mut findings = doctor.findings;
    findings.sort_by_key(|finding| finding.feature);
    undo.take_back();
    Examination { support, circumstances, findings }
}

impl Examination {
    /// What was found of `feature`.
    pub fn finding(&self, feature: Feature) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.feature == feature)
    }

    /// What a jail for `policy` needs and this host lacks. Empty: the policy can be enforced.
    pub fn missing(&self, policy: &Policy) -> Vec<&Finding> {
        let lacks = |finding: &&Finding| match finding.state {
            State::Missing(_) => finding.feature.needed_by(policy),
            State::Behind(other) => finding.feature.needed_by(policy) && !other.needed_by(policy),
            State::Works | State::NotApplicable => false,
        };
        self.findings.iter().filter(lacks).collect()
    }
}

/// An examination under way.
struct Doctor<'a> {
    support: &'a Support,
    circumstances: &'a Circumstances,
    ground: Ground,
    words: Words,
    findings: Vec<Finding>,
}

impl Doctor<'_> {
    fn note(&mut self, feature: Feature, state: State, detail: impl Into<String>) {
        self.findings.push(Finding { feature, state, detail: detail.into() });
    }

    fn works(&self, feature: Feature) -> bool {
        self.findings.iter().any(|finding| finding.feature == feature && finding.state == State::Works)
    }

    /// Notes how a trial came out, unless one of `needs` is missing: then it is not tried.
    fn try_behind<T>(
        &mut self,
        feature: Feature,
        needs: &[Feature],
        trial: impl FnOnce(&Ground) -> Result<T, Trouble>,
    ) -> Option<T> {
        if let Some(missing) = needs.iter().find(|need| !self.works(**need)) {
            self.note(feature, State::Behind(*missing), "");
            return None;
        }
        match trial(&self.ground) {
            Ok(done) => {
                self.note(feature, State::Works, "");
                Some(done)
            }
            Err(trouble) => {
                let cause = self.circumstances.cause(feature, &trouble);
                let (found, errno) = advice::found(&trouble);
                self.missing(feature, cause, found, errno);
                None
            }
        }
    }

    fn missing(&mut self, feature: Feature, cause: Cause, found: String, errno: Option<i32>) {
        let lack = advice::lack(feature, (cause, found, errno), self.circumstances, &self.words);
        self.note(feature, State::Missing(lack), "");
    }

    /// What the last finding is, more exactly.
    fn detail(&mut self, detail: impl Into<String>) {
        if let Some(last) = self.findings.last_mut() {
            last.detail = detail.into();
        }
    }

    /// Forgets the last finding: more was found.
    fn take_back(&mut self) {
        self.findings.pop();
    }

    fn launch(&mut self) {
        self.try_behind(Feature::MemoryExec, &[], |ground| Trial::outside().passes(ground));
        self.try_behind(Feature::CloseRange, &[Feature::MemoryExec], |ground| {
            let mut trial = Trial::outside();
            trial.close_range();
            trial.passes(ground)
        });
    }

    fn identity(&mut self) {
        if self.support.mode == Mode::Rootless && self.support.no_job_uid.is_none() {
            self.note(Feature::JobUid, State::NotApplicable, "an ordinary user's jobs have that user's id");
            return;
        }
        if let Some(why) = &self.support.no_job_uid {
            let cause = if why.contains("mapped") { Cause::IdsNotMapped } else { Cause::NoCapability };
            self.missing(Feature::JobUid, cause, why.clone(), None);
            return;
        }
        let tried =
            self.try_behind(Feature::JobUid, &[Feature::MemoryExec], |ground| Trial::as_job(ground).passes(ground));
        if tried.is_none() {
            return;
        }
        match lock_file() {
            Ok(()) => {
                use crate::uid::Uids;
                self.detail(format!("ids {} to {}", Uids::FIRST, Uids::FIRST + Uids::COUNT - 1));
            }
            Err(found) => {
                self.take_back();
                self.missing(Feature::JobUid, Cause::LockFile, found, None);
            }
        }
    }
}

/// Whether the lock file can be written, or made.
fn lock_file() -> Result<(), String> {
    use rustix::fs::{Access, access};
    let file = Path::new(crate::uid::Uids::LOCK_FILE);
    let nearest = file.ancestors().find(|path| path.exists()).unwrap_or(file);
    access(nearest, Access::WRITE_OK).map_err(|errno| format!("{} cannot be written: {errno}", nearest.display()))
}
