//! Limits with headroom, from the most that was measured.

use crate::record::Peaks;
use lazaret_policy::{LimitKey, Policy};
use std::time::Duration;

/// The rule in words.
pub const RULE: &str = "time: four times the most that a run took, at least 5s (wall) and 2s (cpu), in whole seconds, from \
    a minute on in whole minutes; bytes: twice the most, at least 64MiB of memory and 1MiB of anything else, rounded up \
    to a power of two, and `memory` counts `disk` too; processes: as many as were seen at once, and half as many more \
    where there was more than one; open-files: twice as many, at least 32, rounded up to a power of two";

/// A limit with what was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearnedLimit {
    /// Its key.
    pub key: LimitKey,
    /// Its value as a policy writes it.
    pub value: String,
    /// What was measured, for people.
    pub measured: String,
    /// The value as a number: milliseconds, bytes or a count.
    amount: u64,
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// The limits that `peaks` call for. On top of `base` only those that it has too low.
pub(crate) fn limits(peaks: &Peaks, base: Option<&Policy>) -> Vec<LearnedLimit> {
    let Peaks { wall_ms, cpu_ms, memory, processes, file_size, disk, output, open_files } = *peaks;
    let disk_limit = bytes(disk.max(file_size), MIB);
    let all = [
        time(LimitKey::Wall, wall_ms, 5),
        time(LimitKey::Cpu, cpu_ms, 2),
        size(LimitKey::Memory, memory, bytes(memory.saturating_add(disk_limit / 2), 64 * MIB)),
        count(
            LimitKey::Processes,
            processes,
            if processes > 1 { processes.saturating_add(processes.div_ceil(2)) } else { 1 },
        ),
        size(LimitKey::FileSize, file_size, bytes(file_size, MIB)),
        size(LimitKey::Disk, disk, disk_limit),
        size(LimitKey::Output, output, bytes(output, MIB)),
        count(LimitKey::OpenFiles, open_files, bytes(open_files, 32)),
    ];
    all.into_iter().filter(|limit| base.is_none_or(|base| limit.amount > given(base, limit.key))).collect()
}

fn given(base: &Policy, key: LimitKey) -> u64 {
    let limits = &base.limits;
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match key {
        LimitKey::Wall => millis(limits.wall.value.duration()),
        LimitKey::Cpu => millis(limits.cpu.value.duration()),
        LimitKey::Memory => limits.memory.value.bytes(),
        LimitKey::Processes => limits.processes.value.get().into(),
        LimitKey::FileSize => limits.file_size.value.bytes(),
        LimitKey::Disk => limits.disk.value.bytes(),
        LimitKey::Output => limits.output.value.bytes(),
        LimitKey::OpenFiles => limits.open_files.value.get().into(),
        LimitKey::Cpus
        | LimitKey::IoRate
        | LimitKey::NetConnections
        | LimitKey::NetSent
        | LimitKey::NetReceived
        | LimitKey::NetTime => u64::MAX,
    }
}

fn time(key: LimitKey, measured: u64, least_seconds: u64) -> LearnedLimit {
    let seconds = measured.saturating_mul(4).div_ceil(1000).max(least_seconds);
    let (value, seconds) = match seconds {
        ..60 => (format!("{seconds}s"), seconds),
        _ => (format!("{}m", seconds.div_ceil(60)), seconds.div_ceil(60) * 60),
    };
    LearnedLimit { key, value, measured: format!("{measured} ms"), amount: seconds.saturating_mul(1000) }
}

/// Twice `measured`, at least `least`, rounded up to a power of two.
fn bytes(measured: u64, least: u64) -> u64 {
    measured.saturating_mul(2).max(least).checked_next_power_of_two().unwrap_or(1 << 62)
}

fn size(key: LimitKey, measured: u64, amount: u64) -> LearnedLimit {
    let value = match amount {
        GIB.. => format!("{}GiB", amount / GIB),
        _ => format!("{}MiB", amount / MIB),
    };
    let measured = match measured {
        0..KIB => format!("{measured} B"),
        KIB..MIB => format!("{} KiB", measured.div_ceil(KIB)),
        _ => format!("{} MiB", measured.div_ceil(MIB)),
    };
    LearnedLimit { key, value, measured, amount }
}

fn count(key: LimitKey, measured: u64, amount: u64) -> LearnedLimit {
    LearnedLimit { key, value: amount.to_string(), measured: measured.to_string(), amount }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(peaks: Peaks, key: LimitKey) -> String {
        let found = limits(&peaks, None).into_iter().find(|limit| limit.key == key);
        found.expect("without a base there is every limit").value
    }

    #[test]
    fn what_no_machine_measures_is_a_limit_all_the_same() {
        let most = u64::MAX;
        let peaks = Peaks {
            wall_ms: most,
            cpu_ms: most,
            memory: most,
            processes: most,
            file_size: most,
            disk: most,
            output: most,
            open_files: most,
        };

        assert_eq!(limits(&peaks, None).len(), 8);
    }

    #[test]
    fn every_limit_has_headroom_over_what_was_measured() {
        let peaks = Peaks {
            wall_ms: 3_100,
            cpu_ms: 20_000,
            memory: 100 * MIB,
            processes: 4,
            file_size: 3 * MIB,
            disk: 10 * MIB,
            output: 10,
            open_files: 20,
        };

        assert_eq!(value(peaks, LimitKey::Wall), "13s");
        assert_eq!(value(peaks, LimitKey::Cpu), "2m");
        assert_eq!(value(peaks, LimitKey::Memory), "256MiB");
        assert_eq!(value(peaks, LimitKey::Processes), "6");
        assert_eq!(value(peaks, LimitKey::FileSize), "8MiB");
        assert_eq!(value(peaks, LimitKey::Disk), "32MiB");
        assert_eq!(value(peaks, LimitKey::Output), "1MiB");
        assert_eq!(value(peaks, LimitKey::OpenFiles), "64");
    }

    #[test]
    fn one_process_stays_one() {
        assert_eq!(value(Peaks { processes: 1, ..Peaks::default() }, LimitKey::Processes), "1");
    }

    #[test]
    fn a_base_is_raised_only_where_it_is_too_low() {
        let base = lazaret::profile("default").expect("it is built in");
        let peaks = Peaks { open_files: 1000, ..Peaks::default() };

        let keys: Vec<LimitKey> = limits(&peaks, Some(&base)).into_iter().map(|limit| limit.key).collect();

        assert_eq!(keys, [LimitKey::OpenFiles]);
    }
}
