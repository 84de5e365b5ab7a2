//! Bombs.

use crate::probe::Effect::Claimed;
use crate::probe::{Fate, Probe};

/// Without a cgroup nothing counts what all processes have together, or what the kernel holds for them.
const UNCOUNTED: Fate = Fate::Ends;
const MEMORY: &[&str] = &["--limit", "memory=48MiB", "--limit", "disk=16MiB", "--limit", "wall=20s"];
const HELD: &[&str] = &["memory-limit"];
/// Without a cgroup nothing counts the processes that were refused either: the job is held, and fails by itself.
const REFUSED: Fate = Fate::Kinds(&["process-limit", "exit"]);

pub(crate) const ROWS: &[Probe] = &[
    Probe::new("fork-bomb", "have more processes than its limit")
        .args(&["40"])
        .options(&["--limit", "processes=40"])
        .verdict(&["process-limit"])
        .without_cgroup(REFUSED),
    Probe::new("fork-storm", "have more processes than its limit by forking in all of them")
        .args(&["60"])
        .options(&["--limit", "processes=60", "--limit", "wall=4s"])
        .verdict(&["process-limit", "timeout"])
        .without_cgroup(Fate::Kinds(&["process-limit", "timeout", "exit"]))
        .control_within("pid,mount"),
    Probe::new("thread-bomb", "have more threads than its limit")
        .args(&["40"])
        .options(&["--limit", "processes=40"])
        .verdict(&["process-limit"])
        .without_cgroup(REFUSED),
    Probe::new("zombie-farm", "have more dead children than its limit of processes")
        .args(&["40"])
        .options(&["--limit", "processes=40"])
        .verdict(&["process-limit"])
        .without_cgroup(REFUSED),
    Probe::new("memory-bomb", "have more memory than its limit")
        .args(&["48"])
        .options(MEMORY)
        .verdict(HELD)
        .without_cgroup(Fate::Kinds(&["memory-limit", "exit", "signal"])),
    Probe::new("disk-bomb", "have more in the files of /tmp than its limit of memory")
        .args(&["48", "/tmp"])
        .options(&["--limit", "memory=48MiB", "--limit", "disk=1GiB", "--limit", "wall=20s"])
        .verdict(HELD)
        .without_cgroup(UNCOUNTED)
        .control_args(&["48", "{dir}"]),
    Probe::new("memory-of-many", "have more memory than its limit in several processes")
        .args(&["48"])
        .options(MEMORY)
        .verdict(HELD)
        .without_cgroup(UNCOUNTED),
    Probe::new("shared-memory-bomb", "have more shared memory than its limit of memory")
        .args(&["48"])
        .options(MEMORY)
        .verdict(HELD)
        .without_cgroup(UNCOUNTED),
    Probe::new("memory-file-bomb", "have more in files in memory than its limit of memory")
        .args(&["48"])
        .options(MEMORY)
        .verdict(&["memory-limit", "exit"])
        .without_cgroup(UNCOUNTED),
    Probe::new("pipe-bomb", "fill more pipes than its limit of memory")
        .args(&["48"])
        .options(MEMORY)
        .verdict(&["memory-limit", "exit"])
        .without_cgroup(UNCOUNTED),
    Probe::new("socket-bomb", "fill more sockets than its limit of memory")
        .args(&["48"])
        .options(MEMORY)
        .verdict(&["memory-limit", "exit"])
        .without_cgroup(UNCOUNTED),
    Probe::new("disk-bomb", "write more to /job than its limit")
        .args(&["8", "/job"])
        .options(&["--limit", "disk=8MiB"])
        .verdict(&["disk-limit"])
        .control_args(&["8", "{dir}"]),
    Probe::new("disk-bomb", "write more to /tmp than its limit")
        .args(&["8", "/tmp"])
        .options(&["--limit", "disk=8MiB"])
        .verdict(&["disk-limit"])
        .control_args(&["8", "{dir}"]),
    Probe::new("disk-bomb", "write more to /dev/shm than its limit")
        .args(&["8", "/dev/shm"])
        .only_wide()
        .options(&["--limit", "disk=8MiB"])
        .verdict(&["disk-limit", "exit"])
        .control_args(&["8", "{dir}"]),
    Probe::new("file-bomb", "have a larger file than its limit")
        .args(&["4", "/job"])
        .options(&["--limit", "file-size=4MiB"])
        .verdict(&["file-size-limit"])
        .control_args(&["4", "{dir}"]),
    // The kernel's SIGXFSZ looks like one that the job sent itself, and the file stays empty: it may be reported as such.
    Probe::new("sparse-bomb", "have a file that says it has a tebibyte")
        .args(&["/job"])
        .options(&["--limit", "file-size=4MiB"])
        .verdict(&["file-size-limit", "signal"])
        .control_args(&["{dir}"]),
    Probe::new("inode-bomb", "have as many empty files as it likes")
        .args(&["200000", "/job"])
        .options(&["--limit", "disk=1MiB", "--limit", "memory=48MiB", "--limit", "wall=15s"])
        .verdict(&["disk-limit", "memory-limit"])
        .without_cgroup(Fate::Kinds(&["disk-limit"]))
        .control_args(&["2000", "{dir}"]),
    Probe::new("descriptor-bomb", "have more descriptors than its limit")
        .args(&["64"])
        .options(&["--limit", "open-files=64"])
        .fate(Fate::Blocked),
    Probe::new("output-bomb", "write more output than its limit")
        .args(&["1"])
        .options(&["--limit", "output=1MiB"])
        .verdict(&["output-limit"]),
    Probe::new("processor-bomb", "compute for longer than its limit")
        .args(&["1000"])
        .options(&["--limit", "cpu=1s"])
        .control_args(&["200"])
        .verdict(&["cpu-limit"]),
    Probe::new("processors-of-many", "compute for longer than its limit in many processes")
        .args(&["1000"])
        .options(&["--limit", "cpu=1s"])
        .control_args(&["200"])
        .verdict(&["cpu-limit"])
        .without_cgroup(UNCOUNTED)
        .shows(&[Claimed]),
];
