//! What a new policy would have refused a job that ran under the old one.

use crate::view::{self, Need};
use lazaret_launch::Finished;
use lazaret_launch::error::Missing;
use lazaret_launch::filter::forbidden_call;
use lazaret_launch::observe::{Observed, PathKey, PathNote};
use lazaret_policy::{EnvVar, Job, LimitHit, LimitKey, PathNeed, Policy, Report, Shadow, Sourced, Trial};
use std::path::Path;

/// Both policies, the job, and what the host lacks for the new one.
pub(super) struct Seen<'a> {
    pub(super) old: &'a Policy,
    pub(super) new: &'a Policy,
    pub(super) job: &'a Job,
    pub(super) missing: &'a [Missing],
}

impl Seen<'_> {
    /// What the report says of a job in shadow.
    pub(super) fn tell(&self, trial: Trial, finished: &Finished) -> Shadow {
        let (observed, report) = (&finished.observed, &finished.report);
        let unseen = self.unseen(observed, report);
        let would_refuse_paths = self.paths(observed);
        Shadow {
            trial,
            complete: unseen.is_empty() && observed.calls_dropped == 0 && observed.paths_dropped == 0,
            unseen,
            would_refuse: observed.calls.clone(),
            would_refuse_dropped: observed.calls_dropped,
            would_refuse_paths,
            would_refuse_paths_dropped: observed.paths_dropped,
            would_hit: self.hits(observed, report),
            would_differ: self.differences(observed),
        }
    }

    /// Paths that the old policy gives, as far as they are there, and the new one does not.
    fn paths(&self, observed: &Observed) -> Vec<PathNeed> {
        let program = view::program(self.old, Path::new(&self.job.command)).map(|path| {
            let key = PathKey { path, access: lazaret_inspect::PathAccess::Execute, follow: true };
            (key, PathNote::new("execve"))
        });
        let seen = observed.paths.iter().map(|(key, note)| (key.clone(), note.clone()));
        let mut needs: Vec<PathNeed> = Vec::new();
        for (key, note) in program.into_iter().chain(seen) {
            let Some((need, access)) = view::need(self.new, key.access) else { continue };
            if view::refuses(self.old, &key.path, key.follow, need).is_some() || !is_there(self.old, &key, need) {
                continue;
            }
            let Some(lack) = view::refuses(self.new, &key.path, key.follow, need) else { continue };
            let path = view::escape(&key.path);
            match needs.iter_mut().find(|known| known.path == path && known.access == access) {
                Some(known) => known.count += note.count,
                None => {
                    let suggestion = view::suggestion(&lack.path, need);
                    needs.push(PathNeed {
                        path,
                        access,
                        call: note.call,
                        why: lack.why,
                        count: note.count,
                        suggestion,
                    });
                }
            }
        }
        needs
    }

    /// Limits of the new policy that the job went beyond.
    fn hits(&self, observed: &Observed, report: &Report) -> Vec<LimitHit> {
        let limits = &self.new.limits;
        let usage = &report.usage;
        let cpu = usage.user_us.saturating_add(usage.system_us);
        let output = report.streams.stdout.bytes.max(report.streams.stderr.bytes);
        let cut = report.streams.stdout.truncated || report.streams.stderr.truncated;
        let file = observed.peaks.file.filter(|size| !self.is_input(*size));
        let beyond = |value: Option<u64>, limit: u64| value.is_some_and(|value| value > limit);
        let reached = [
            (LimitKey::Wall, u128::from(usage.wall_us) > limits.wall.duration().as_micros()),
            (LimitKey::Cpu, u128::from(cpu) > limits.cpu.duration().as_micros()),
            (LimitKey::Memory, beyond(usage.peak_memory, limits.memory.bytes())),
            (LimitKey::Processes, beyond(usage.processes, limits.processes.get().into())),
            (LimitKey::FileSize, observed.beyond_file || beyond(file, limits.file_size.bytes())),
            (LimitKey::Disk, beyond(observed.peaks.disk, limits.disk.bytes())),
            (LimitKey::Output, output > limits.output.bytes() || cut && output >= limits.output.bytes()),
        ];
        reached.into_iter().filter(|(_, hit)| *hit).map(|(key, _)| limits.hit(key)).collect()
    }

    /// Whether a file of `size` bytes can be an input, which no limit of files applies to.
    fn is_input(&self, size: u64) -> bool {
        self.job.inputs.iter().any(|input| match &input.from {
            lazaret_policy::InputFrom::File(path) => path.metadata().is_ok_and(|found| found.len() == size),
            lazaret_policy::InputFrom::Bytes(bytes) => bytes.len() as u64 == size,
        })
    }

    fn differences(&self, observed: &Observed) -> Vec<String> {
        let mut found = Vec::new();
        for call in &observed.deadly {
            found.push(format!("the job would have been ended, or sent SIGSYS, for `{call}`"));
        }
        if observed.loopback && self.old.network.loopback.value && !self.new.network.loopback.value {
            found.push("an address of the loopback interface was used, which would not be up".to_owned());
        }
        if let Ok(Some(call)) = forbidden_call(&self.new.system_calls) {
            found.push(format!("the job would not have been run: no command can be started without `{call}`"));
        }
        for lack in self.missing {
            found.push(format!("the job would not have been run: this host cannot enforce `{}`", lack.layer));
        }
        found
    }

    /// What nobody can see, or could not be seen this time.
    fn unseen(&self, observed: &Observed, report: &Report) -> Vec<String> {
        let mut unseen: Vec<String> = observed.problem.iter().map(|why| format!("calls and paths: {why}")).collect();
        if observed.unread > 0 {
            unseen.push(format!("the paths or addresses of {} calls could not be read", observed.unread));
        }
        let (old, new) = (&self.old.limits, &self.new.limits);
        if report.usage.peak_memory.is_none() && new.memory.bytes() < old.memory.bytes() {
            unseen.push("the most memory held at once: this host does not count it".to_owned());
        }
        if report.usage.processes.is_none() && new.processes.get() < old.processes.get() {
            unseen.push("the most processes at once: this host does not count them".to_owned());
        }
        if new.open_files.get() < old.open_files.get() {
            unseen.push(format!("whether a process held more than {} descriptors open", new.open_files.get()));
        }
        if observed.peaks.disk.is_none() && new.disk.bytes() < old.disk.bytes() {
            unseen.push("what the job's directories held at most".to_owned());
        }
        for name in variables_that_differ(self.old, self.new) {
            unseen.push(format!("whether the job reads the environment variable `{name}`, which differs"));
        }
        if self.old.network.host_name.value != self.new.network.host_name.value {
            unseen.push("whether the job reads the host name, which differs".to_owned());
        }
        if self.new.phases.is_some() && self.old.phases != self.new.phases {
            unseen.push("what the job opens in its second phase".to_owned());
        }
        unseen
    }
}

/// Whether there is something for the job, under the policy it ran under, that another policy could take away.
fn is_there(policy: &Policy, key: &PathKey, need: Need) -> bool {
    match view::at(policy, &key.path, key.follow) {
        view::Shown::Host { path, writable, .. } => {
            path.symlink_metadata().is_ok() || (writable && need == Need::Change)
        }
        view::Shown::Own => true,
        view::Shown::Given => key.path.symlink_metadata().is_ok() || key.path.starts_with("/proc"),
        view::Shown::Nothing { .. } => false,
    }
}

fn variables_that_differ(old: &Policy, new: &Policy) -> Vec<String> {
    let missing =
        |from: &Policy, variable: &Sourced<EnvVar>| !from.environment.iter().any(|other| other.value == variable.value);
    let mut names: Vec<String> =
        old.environment.iter().filter(|variable| missing(new, variable)).map(|v| v.name.clone()).collect();
    names.extend(new.environment.iter().filter(|variable| missing(old, variable)).map(|v| v.name.clone()));
    names.sort();
    names.dedup();
    names
}
