//! Control groups: a group is made, limited, entered and removed.

use super::cause::Cause;
use super::trial::{Trial, Trouble};
use super::{Doctor, Feature};
use crate::cgroup::{Controller, GroupLimits, Groups, Hierarchy, JobGroup};
use crate::error::RunError;
use crate::steps::{Value, call, text};
use std::fs;
use std::path::{Path, PathBuf};

/// The groups of this process before it was moved to make a place for others ready.
#[derive(Debug)]
pub(super) struct Before(Place);

#[derive(Debug)]
enum Place {
    None,
    /// Version 1: the directories of the hierarchies that jails use.
    One(Vec<PathBuf>),
    /// Version 2: the directory.
    Two(PathBuf),
}

const CONTROLLERS: [&str; 5] = ["memory", "pids", "cpu", "cpuacct", "blkio"];
const LITTLE: u64 = 64 << 20;

impl Before {
    pub(super) fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self(place(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo")))
    }

    fn directories(&self) -> Vec<&Path> {
        match &self.0 {
            Place::None => Vec::new(),
            Place::One(directories) => directories.iter().map(PathBuf::as_path).collect(),
            Place::Two(own) => vec![own],
        }
    }

    /// The directories in which this user could be given groups, for texts: in version 2 the nearest that hands
    /// controllers down, as the one with this process in it cannot.
    pub(super) fn places(&self) -> String {
        let hands_down = |group: &&Path| {
            let text = fs::read_to_string(group.join("cgroup.subtree_control")).unwrap_or_default();
            ["memory", "pids"].iter().all(|needed| text.split_whitespace().any(|name| name == *needed))
        };
        let directories = match &self.0 {
            Place::Two(own) => vec![own.ancestors().find(hands_down).unwrap_or(own)],
            Place::None | Place::One(_) => self.directories(),
        };
        let directories: Vec<String> = directories.iter().map(|path| path.display().to_string()).collect();
        directories.join(" ")
    }

    fn cause(&self) -> Cause {
        let access = |path: &&Path| rustix::fs::access(*path, rustix::fs::Access::WRITE_OK);
        match self.directories().iter().map(access).find_map(Result::err) {
            _ if self.directories().is_empty() => Cause::NoHierarchy,
            // Another mount lies over it.
            Some(rustix::io::Errno::NOENT) => Cause::NoHierarchy,
            Some(rustix::io::Errno::ROFS) => Cause::ReadOnlyHierarchy,
            _ => Cause::NotDelegated,
        }
    }
}

/// Where the group is that `membership` (/proc/self/cgroup) names, by `mounts` (/proc/self/mountinfo).
fn place(membership: &str, mounts: &str) -> Place {
    let mut one = Vec::new();
    let mut two = None;
    for line in membership.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(names), Some(own)) = (fields.next(), fields.next()) else { continue };
        if names.is_empty() {
            two = directory(own, mounts, "cgroup2", "");
        } else if let Some(name) = CONTROLLERS.iter().find(|known| names.split(',').any(|name| name == **known)) {
            one.extend(directory(own, mounts, "cgroup", name));
        }
    }
    one.dedup();
    match two {
        _ if !one.is_empty() => Place::One(one),
        Some(own) => Place::Two(own),
        None => Place::None,
    }
}

/// The directory of group `own` in the first mount of that kind that shows it and has the option.
fn directory(own: &str, mounts: &str, kind: &str, option: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let fits = after.next()? == kind && (option.is_empty() || after.nth(1)?.split(',').any(|o| o == option));
        let below = if root == "/" { own } else { own.strip_prefix(root)? };
        let below = below.trim_start_matches('/');
        let point = Path::new(point);
        fits.then(|| if below.is_empty() { point.to_owned() } else { point.join(below) })
    })
}

impl Doctor<'_> {
    pub(super) fn groups(&mut self, before: &Before) {
        match &self.support.groups {
            Err(none) => {
                self.missing(Feature::Cgroup, before.cause(), none.why.clone(), None);
            }
            Ok(groups) => self.group(groups),
        }
        for (feature, controller) in [
            (Feature::CgroupMemory, Controller::Memory),
            (Feature::CgroupPids, Controller::Pids),
            (Feature::CgroupCpu, Controller::CpuAccounting),
            (Feature::CgroupCpuBandwidth, Controller::Cpu),
            (Feature::CgroupIo, Controller::Io),
        ] {
            self.controller(feature, controller);
        }
        self.swap();
    }

    /// A whole group, entered by a process of its own.
    fn group(&mut self, groups: &Groups) {
        let limits = GroupLimits { memory: LITTLE, tasks: 16, cpu_quota_us: None, io_rate: None };
        // A name that the next launcher would sweep, were this process killed here.
        let name = format!("lazaret-{}-doctor", std::process::id());
        let made = JobGroup::create(groups, &name, &limits).and_then(|group| Ok((group.doors()?, group)));
        let (doors, group) = match made {
            Ok(made) => made,
            Err(error) => return self.group_error(&error),
        };
        self.try_behind(Feature::Cgroup, &[Feature::MemoryExec], |ground| {
            let mut trial = Trial::outside();
            for door in doors.0.iter().chain(&doors.1) {
                let door = trial.fill(door);
                // "0" is the writer itself.
                trial.step(call!(SYS_write), vec![Value::Descriptor(door), text("0"), Value::Number(1)]);
            }
            trial.passes(ground)
        });
        let version = match groups.hierarchy {
            Hierarchy::V1 => "version 1",
            Hierarchy::V2 => "version 2",
        };
        let parent = groups.parents.get(&Controller::Memory).or_else(|| groups.parents.values().next());
        let parent = parent.map(|path| path.display().to_string()).unwrap_or_default();
        self.detail(format!("{version}, in {parent}"));
        if let Err(error) = group.remove() {
            self.take_back();
            self.group_error(&error);
        }
    }

    fn group_error(&mut self, error: &RunError) {
        let errno = match error {
            RunError::Cgroup { source, .. } => source.raw_os_error(),
            _ => None,
        };
        let cause = match errno {
            Some(libc::EROFS) => Cause::ReadOnlyHierarchy,
            Some(libc::EACCES | libc::EPERM) => Cause::NotDelegated,
            _ => Cause::Unknown,
        };
        let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        self.missing(Feature::Cgroup, cause, format!("{error}: {source}"), errno);
    }

    fn controller(&mut self, feature: Feature, controller: Controller) {
        let Ok(groups) = &self.support.groups else {
            self.try_behind(feature, &[Feature::Cgroup], |_| Ok::<(), Trouble>(()));
            return;
        };
        match groups.parents.get(&controller) {
            Some(parent) => {
                self.try_behind(feature, &[Feature::Cgroup], |_| Ok::<(), Trouble>(()));
                if self.works(feature) {
                    self.detail(parent.display().to_string());
                }
            }
            None => {
                let name = controller.v2_name().unwrap_or("cpu");
                let above = groups.parents.values().next().and_then(|parent| nearest_with(name, parent));
                self.words.above = above.map(|path| path.display().to_string()).unwrap_or_default();
                self.words.controller = name.to_owned();
                self.missing(feature, Cause::NoController, "the controller is not available here".to_owned(), None);
            }
        }
    }

    fn swap(&mut self) {
        if !self.works(Feature::CgroupMemory) {
            self.try_behind(Feature::CgroupSwap, &[Feature::CgroupMemory], |_| Ok::<(), Trouble>(()));
        } else if self.support.swap {
            self.try_behind(Feature::CgroupSwap, &[], |_| Ok::<(), Trouble>(()));
        } else {
            let found = "swap is in use, and memory.memsw.limit_in_bytes or memory.swap.max is not there".to_owned();
            self.missing(Feature::CgroupSwap, Cause::SwapAccounting, found, None);
        }
    }
}

/// The nearest group around `parent` that has the controller and could hand it down.
fn nearest_with<'a>(controller: &str, parent: &'a Path) -> Option<&'a Path> {
    let has = |group: &&Path| {
        let text = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
        text.split_whitespace().any(|name| name == controller)
    };
    let mut around = parent.ancestors().skip(1);
    let nearest = around.next();
    nearest.filter(has).or_else(|| around.find(has)).or(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_version_two_is_found_below_the_part_that_a_container_sees() {
        let mounts = "30 24 0:26 /box /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

        let place = place("0::/box/one\n", mounts);

        assert!(matches!(place, Place::Two(own) if own == Path::new("/sys/fs/cgroup/one")));
    }

    #[test]
    fn a_host_with_both_versions_has_its_controllers_on_the_first() {
        let mounts = "31 24 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      32 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

        let place = place("4:memory:/a\n0::/\n", mounts);

        assert!(matches!(place, Place::One(found) if found == [Path::new("/sys/fs/cgroup/memory/a")]));
    }

    #[test]
    fn without_a_mount_there_is_no_place() {
        let place = place("4:memory:/a\n0::/\n", "");

        assert!(matches!(place, Place::None));
    }
}
