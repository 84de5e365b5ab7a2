//! The group of one job: made, limited, joined, measured, removed.

use super::directory::Directory;
use super::locate::{Controller, Groups, Hierarchy};
use crate::error::RunError;
use rustix::fs::OFlags;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

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
    directories: Vec<(Directory, Vec<Controller>)>,
    swap_bounded: bool,
}

impl JobGroup {
    /// Makes the group `name` below every parent and sets its limits.
    ///
    /// # Errors
    ///
    /// The directory or file that could not be made or written; nothing is left behind then.
    pub fn create(groups: &Groups, name: &str, limits: &GroupLimits) -> Result<Self, RunError> {
        let mut group = Self { hierarchy: groups.hierarchy, directories: Vec::new(), swap_bounded: false };
        for (parent, controllers) in groups.directories() {
            let path = parent.join(name);
            let directory = Directory::make(path.clone()).map_err(|source| cgroup_error("make", &path, source))?;
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
            .directory(Controller::Memory)
            .is_some_and(|memory| memory.write("memory.memsw.limit_in_bytes", &limits.memory.to_string()).is_ok());
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
        let memory = self.directory(Controller::Memory);
        self.swap_bounded = memory.is_some_and(|memory| memory.write("memory.swap.max", "0").is_ok());
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
        self.directory(controller).map_or(Ok(()), |directory| {
            directory.write(file, value).map_err(|source| cgroup_error("set", &directory.path().join(file), source))
        })
    }

    /// The directory of `controller`, if its hierarchy is there.
    pub(super) fn directory(&self, controller: Controller) -> Option<&Directory> {
        let found = self.directories.iter().find(|(_, controllers)| controllers.contains(&controller));
        found.map(|(directory, _)| directory)
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
    /// The second kind is for the job's own process alone: in version 1 process 1 stays out of what bounds bandwidth, so
    /// that no job can hold up the end of its jail by using all of its own.
    ///
    /// # Errors
    ///
    /// The file that cannot be opened for writing.
    pub fn doors(&self) -> Result<(Vec<OwnedFd>, Vec<OwnedFd>), RunError> {
        let door = match self.hierarchy {
            Hierarchy::V1 => "tasks",
            Hierarchy::V2 => "cgroup.procs",
        };
        let open = |directory: &Directory| {
            let failed = |source| cgroup_error("enter", &directory.path().join(door), source);
            directory.open(door, OFlags::WRONLY).map_err(failed)
        };
        let (mut everybodys, mut own) = (Vec::new(), Vec::new());
        for (directory, controllers) in &self.directories {
            let bounds_bandwidth = self.hierarchy == Hierarchy::V1 && controllers.contains(&Controller::Cpu);
            if bounds_bandwidth { &mut own } else { &mut everybodys }.push(open(directory)?);
        }
        Ok((everybodys, own))
    }

    /// Kills what is in the group, where the kernel can, and takes its bound on bandwidth away, so that the rest can be
    /// killed: a process has to run to die.
    pub fn kill(&self) {
        let freed = match self.hierarchy {
            Hierarchy::V1 => self.set(Controller::Cpu, "cpu.cfs_quota_us", "-1"),
            Hierarchy::V2 => self.set(Controller::Cpu, "cpu.max", "max"),
        };
        // Without a bound, or with the group gone, there is nothing to free.
        drop(freed);
        if self.hierarchy == Hierarchy::V2 {
            // Linux 5.14. Before, process 1 is killed alone, and the others with it.
            drop(self.set(Controller::Memory, "cgroup.kill", "1"));
        }
    }

    /// Removes the group. All its tasks must be dead and reaped.
    ///
    /// # Errors
    ///
    /// The directory that the kernel would not let go of within two seconds.
    pub fn remove(mut self) -> Result<(), RunError> {
        let directories = std::mem::take(&mut self.directories);
        directories.iter().rev().try_for_each(|(directory, _)| {
            directory.remove().map_err(|source| cgroup_error("remove", directory.path(), source))
        })
    }
}

impl Drop for JobGroup {
    fn drop(&mut self) {
        for (directory, _) in self.directories.iter().rev() {
            // The launch has failed already; the next launcher of this user sweeps what is left.
            drop(directory.remove());
        }
    }
}

fn cgroup_error(what: &'static str, path: &Path, source: io::Error) -> RunError {
    RunError::Cgroup { what, path: path.to_owned(), source }
}
