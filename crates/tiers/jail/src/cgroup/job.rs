//! The group of one job: made, limited, joined, measured, removed.

use super::locate::{Controller, Groups, Hierarchy};
use crate::error::RunError;
use rustix::fs::{Mode, OFlags};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a group enforces. Zero tasks of the caller's are in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupLimits {
    /// Bytes of memory, swap included.
    pub memory: u64,
    /// Tasks.
    pub tasks: u64,
    /// Microseconds of processor time in each 100 ms.
    pub cpu_quota_us: Option<u64>,
    /// Bytes per second, each way, for each of these disks. Whole ones: the kernel throttles no partitions.
    pub io_rate: Option<(u64, Vec<(u32, u32)>)>,
}

/// The period of [`GroupLimits::cpu_quota_us`].
pub const CPU_PERIOD_US: u64 = 100_000;

/// One job's group: a directory in each hierarchy. Dropping it removes it.
#[derive(Debug)]
pub struct JobGroup {
    hierarchy: Hierarchy,
    directories: Vec<(PathBuf, Vec<Controller>)>,
    swap_bounded: bool,
}

/// How long the kernel may take to let go of a group whose tasks are all dead.
const REMOVAL: Duration = Duration::from_secs(2);

impl JobGroup {
    /// Makes the group `name` below every parent and sets its limits.
    ///
    /// # Errors
    ///
    /// The directory or file that could not be made or written; nothing is left behind then.
    pub fn create(groups: &Groups, name: &str, limits: &GroupLimits) -> Result<Self, RunError> {
        let mut group = Self { hierarchy: groups.hierarchy, directories: Vec::new(), swap_bounded: false };
        for (parent, controllers) in groups.directories() {
            let directory = parent.join(name);
            make(&directory).map_err(|source| cgroup_error("make", &directory, source))?;
            group.directories.push((directory, controllers));
        }
        group.limit(limits)?;
        Ok(group)
    }

    fn limit(&mut self, limits: &GroupLimits) -> Result<(), RunError> {
        match self.hierarchy {
            Hierarchy::V1 => self.limit_v1(limits),
            Hierarchy::V2 => self.limit_v2(limits),
        }
    }

    fn limit_v1(&mut self, limits: &GroupLimits) -> Result<(), RunError> {
        self.set(Controller::Memory, "memory.limit_in_bytes", &limits.memory.to_string())?;
        // Absent when the kernel was built or booted without swap accounting.
        self.swap_bounded = self
            .path(Controller::Memory, "memory.memsw.limit_in_bytes")
            .is_some_and(|file| fs::write(file, limits.memory.to_string()).is_ok());
        self.set(Controller::Pids, "pids.max", &limits.tasks.to_string())?;
        if let Some(quota) = limits.cpu_quota_us {
            self.set(Controller::Cpu, "cpu.cfs_period_us", &CPU_PERIOD_US.to_string())?;
            self.set(Controller::Cpu, "cpu.cfs_quota_us", &quota.to_string())?;
        }
        if let Some((rate, disks)) = &limits.io_rate {
            for (major, minor) in disks {
                let line = format!("{major}:{minor} {rate}");
                self.set(Controller::Io, "blkio.throttle.read_bps_device", &line)?;
                self.set(Controller::Io, "blkio.throttle.write_bps_device", &line)?;
            }
        }
        Ok(())
    }

    fn limit_v2(&mut self, limits: &GroupLimits) -> Result<(), RunError> {
        self.set(Controller::Memory, "memory.max", &limits.memory.to_string())?;
        self.set(Controller::Memory, "memory.oom.group", "1")?;
        self.swap_bounded =
            self.path(Controller::Memory, "memory.swap.max").is_some_and(|file| fs::write(file, "0").is_ok());
        self.set(Controller::Pids, "pids.max", &limits.tasks.to_string())?;
        if let Some(quota) = limits.cpu_quota_us {
            self.set(Controller::Cpu, "cpu.max", &format!("{quota} {CPU_PERIOD_US}"))?;
        }
        if let Some((rate, disks)) = &limits.io_rate {
            for (major, minor) in disks {
                let line = format!("{major}:{minor} rbps={rate} wbps={rate}");
                self.set(Controller::Io, "io.max", &line)?;
            }
        }
        Ok(())
    }

    /// Writes a control file, if the hierarchy of its controller is there: the plan decided whether it may be missing.
    fn set(&self, controller: Controller, file: &str, value: &str) -> Result<(), RunError> {
        match self.path(controller, file) {
            None => Ok(()),
            Some(path) => fs::write(&path, value).map_err(|source| cgroup_error("set", &path, source)),
        }
    }

    /// The control file `file` of `controller`, if its hierarchy is there.
    pub(super) fn path(&self, controller: Controller, file: &str) -> Option<PathBuf> {
        let (directory, _) = self.directories.iter().find(|(_, controllers)| controllers.contains(&controller))?;
        Some(directory.join(file))
    }

    /// The version of the hierarchy.
    pub(super) fn hierarchy(&self) -> Hierarchy {
        self.hierarchy
    }

    /// Whether swap counts to the memory limit.
    pub fn swap_bounded(&self) -> bool {
        self.swap_bounded
    }

    /// The files that a process of one thread writes "0" to in order to enter the group, one for each hierarchy.
    ///
    /// In version 1 that is `tasks`: a thread that moves itself alone needs none of the locks that moving a process
    /// through `cgroup.procs` takes, which can wait for an RCU grace period of many milliseconds
    /// (kernel/cgroup/cgroup.c, `cgroup_procs_write_start`).
    ///
    /// # Errors
    ///
    /// The file that cannot be opened for writing.
    pub fn doors(&self) -> Result<Vec<OwnedFd>, RunError> {
        let open = |(directory, _): &(PathBuf, Vec<Controller>)| {
            let path = directory.join(match self.hierarchy {
                Hierarchy::V1 => "tasks",
                Hierarchy::V2 => "cgroup.procs",
            });
            rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| cgroup_error("enter", &path, errno.into()))
        };
        self.directories.iter().map(open).collect()
    }

    /// Removes the group. All its tasks must be dead and reaped.
    ///
    /// # Errors
    ///
    /// The directory that the kernel would not let go of within two seconds.
    pub fn remove(mut self) -> Result<(), RunError> {
        let directories = std::mem::take(&mut self.directories);
        directories.iter().rev().try_for_each(|(directory, _)| {
            remove_directory(directory).map_err(|source| cgroup_error("remove", directory, source))
        })
    }
}

impl Drop for JobGroup {
    fn drop(&mut self) {
        for (directory, _) in self.directories.iter().rev() {
            // The launch has failed already; the next launcher of this user sweeps what is left.
            drop(remove_directory(directory));
        }
    }
}

/// Makes a group's directory. One of that name was left by a killed process that had this one's number: this process
/// gives each name once.
fn make(directory: &Path) -> io::Result<()> {
    match fs::create_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            remove_directory(directory)?;
            fs::create_dir(directory)
        }
        other => other,
    }
}

fn remove_directory(directory: &Path) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match fs::remove_dir(directory) {
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy && start.elapsed() < REMOVAL => {
                std::thread::sleep(Duration::from_micros(200));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => return other,
        }
    }
}

fn cgroup_error(what: &'static str, path: &Path, source: io::Error) -> RunError {
    RunError::Cgroup { what, path: path.to_owned(), source }
}

/// Removes the groups of callers that were killed before they could: `lazaret-PID-…` with no process PID.
///
/// Every group has a directory in the memory hierarchy, removed last: its names tell those of all others.
pub(crate) fn sweep(groups: &Groups) {
    let Some(Ok(entries)) = groups.parents.get(&Controller::Memory).map(fs::read_dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|n| n.strip_prefix("lazaret-")).and_then(|n| n.split('-').next());
        let Some(owner) = owner.and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if !Path::new(&format!("/proc/{owner}")).exists() {
            let others = groups.parents.iter().filter(|(controller, _)| **controller != Controller::Memory);
            for parent in others.map(|(_, parent)| parent).chain(groups.parents.get(&Controller::Memory)) {
                let removed = fs::remove_dir(parent.join(&name));
                // Its last tasks are still dying. A later sweep gets it, and finds it by the memory's directory.
                if removed.is_err_and(|e| e.kind() == io::ErrorKind::ResourceBusy) {
                    break;
                }
            }
        }
    }
}
