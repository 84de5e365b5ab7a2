//! What a job's group counted.

use super::job::JobGroup;
use super::locate::{Controller, Hierarchy};
use lazaret_launch::judge::Measured;
use rustix::fs::OFlags;

impl JobGroup {
    /// Processor time of the whole group so far, µs.
    pub fn cpu_us(&self) -> Option<u64> {
        match self.hierarchy() {
            Hierarchy::V1 => self.number(Controller::CpuAccounting, "cpuacct.usage").map(|ns| ns / 1000),
            Hierarchy::V2 => self.keyed(Controller::CpuAccounting, "cpu.stat", "usage_usec"),
        }
    }

    /// Everything that was counted.
    pub fn measure(&self) -> Measured {
        let pids = Controller::Pids;
        let counted = Measured {
            forks_refused: self.keyed(pids, "pids.events", "max").unwrap_or(0),
            peak_tasks: self.number(pids, "pids.peak"),
            ..Measured::default()
        };
        match self.hierarchy() {
            Hierarchy::V1 => self.measure_v1(counted),
            Hierarchy::V2 => self.measure_v2(counted),
        }
    }

    fn measure_v1(&self, counted: Measured) -> Measured {
        let cpu = |file| self.number(Controller::CpuAccounting, file).map(|ns| ns / 1000);
        let (read_bytes, written_bytes) = self.io_v1();
        Measured {
            oom_kills: self.keyed(Controller::Memory, "memory.oom_control", "oom_kill").unwrap_or(0),
            peak_memory: self.number(Controller::Memory, "memory.max_usage_in_bytes"),
            user_us: cpu("cpuacct.usage_user"),
            system_us: cpu("cpuacct.usage_sys"),
            read_bytes,
            written_bytes,
            ..counted
        }
    }

    fn measure_v2(&self, counted: Measured) -> Measured {
        let cpu = |key| self.keyed(Controller::CpuAccounting, "cpu.stat", key);
        let io = self.text(Controller::Io, "io.stat");
        let sum = |key: &str| io.as_ref().map(|text| sum_of_pairs(text, key));
        Measured {
            oom_kills: self.keyed(Controller::Memory, "memory.events", "oom_kill").unwrap_or(0),
            peak_memory: self.number(Controller::Memory, "memory.peak"),
            user_us: cpu("user_usec"),
            system_us: cpu("system_usec"),
            read_bytes: sum("rbytes"),
            written_bytes: sum("wbytes"),
            ..counted
        }
    }

    /// Lines of `MAJOR:MINOR Read BYTES`, `MAJOR:MINOR Write BYTES`.
    fn io_v1(&self) -> (Option<u64>, Option<u64>) {
        let text = self.text(Controller::Io, "blkio.throttle.io_service_bytes");
        let sum = |kind: &str| {
            text.as_ref().map(|text| {
                let of_kind = text.lines().filter(|line| line.split(' ').nth(1) == Some(kind));
                of_kind.filter_map(|line| line.split(' ').nth(2)?.parse::<u64>().ok()).sum()
            })
        };
        (sum("Read"), sum("Write"))
    }

    fn text(&self, controller: Controller, file: &str) -> Option<String> {
        let file = self.directory(controller)?.open(file, OFlags::RDONLY).ok()?;
        // The files that are read hold a number or a few short lines; what is longer is cut, and the rest not used.
        let mut buffer = [0_u8; 4096];
        let length = rustix::io::read(&file, &mut buffer).ok()?;
        String::from_utf8(buffer[..length].to_vec()).ok()
    }

    fn number(&self, controller: Controller, file: &str) -> Option<u64> {
        self.text(controller, file)?.trim().parse().ok()
    }

    /// The value behind `key` in a file of `key value` lines.
    fn keyed(&self, controller: Controller, file: &str, key: &str) -> Option<u64> {
        let text = self.text(controller, file)?;
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
        value.trim().parse().ok()
    }
}

/// Sums `key=NUMBER` over all lines.
fn sum_of_pairs(text: &str, key: &str) -> u64 {
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| *name == key).filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
}
