//! How much a run uses, as far as its calls show it.

use super::image;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A process, from one moment to another. Moments are counted, not timed.
#[derive(Debug, Clone, Copy)]
struct Life {
    process: usize,
    from: u64,
    /// `None`: it still lives, or ended without a word.
    to: Option<u64>,
    resident: u64,
}

/// What was used so far.
#[derive(Debug, Default)]
pub(super) struct Usage {
    moment: u64,
    lives: Vec<Life>,
    threads: u64,
    most_threads: u64,
    highest_descriptor: u64,
    largest_file: u64,
    /// Bytes of files that are no longer there.
    removed: u64,
}

/// Descriptors beyond are not ones: a limit as high is never set.
const MOST_DESCRIPTORS: u64 = 1 << 20;

impl Usage {
    /// A process begins, or goes on as another program.
    pub(super) fn begins(&mut self, process: usize) {
        self.moment += 1;
        self.lives.push(Life { process, from: self.moment, to: None, resident: 0 });
    }

    /// The process, of the thread `tid`, is about to end or to become another program.
    pub(super) fn ends(&mut self, process: usize, tid: u32) {
        self.moment += 1;
        let resident = image::resident(tid);
        if let Some(life) = self.lives.iter_mut().rev().find(|life| life.process == process && life.to.is_none()) {
            life.to = Some(self.moment);
            life.resident = resident;
        }
        self.unnamed(tid);
    }

    /// Files that the process has open and that have no name any more.
    fn unnamed(&mut self, tid: u32) {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{tid}/fd")) else { return };
        for descriptor in descriptors.flatten() {
            let target = fs::read_link(descriptor.path()).unwrap_or_default();
            if target.as_os_str().as_encoded_bytes().ends_with(b" (deleted)")
                && let Ok(metadata) = fs::metadata(descriptor.path())
                && metadata.is_file()
            {
                self.gone(metadata.size());
            }
        }
    }

    /// The name `path`, of a file of the run's own, is about to be removed.
    pub(super) fn removed(&mut self, path: &Path) {
        if let Ok(metadata) = fs::symlink_metadata(path)
            && metadata.is_file()
        {
            self.gone(metadata.size());
        }
    }

    fn gone(&mut self, size: u64) {
        self.largest_file = self.largest_file.max(size);
        self.removed = self.removed.saturating_add(size);
    }

    /// A descriptor that is in use.
    pub(super) fn descriptor(&mut self, register: u64) {
        let number = register & u64::from(u32::MAX);
        if number < MOST_DESCRIPTORS {
            self.highest_descriptor = self.highest_descriptor.max(number);
        }
    }

    pub(super) fn thread_begins(&mut self) {
        self.threads += 1;
        self.most_threads = self.most_threads.max(self.threads);
    }

    pub(super) fn threads_end(&mut self, count: usize) {
        self.threads = self.threads.saturating_sub(count as u64);
    }

    pub(super) fn most_threads(&self) -> u64 {
        self.most_threads.max(1)
    }

    /// A limit of open descriptors bounds their numbers: as many as the highest and one.
    pub(super) fn descriptors(&self) -> u64 {
        self.highest_descriptor + 1
    }

    /// The most memory of all processes that lived at one moment, each at its own peak: no less than was ever used.
    pub(super) fn resident(&self) -> u64 {
        let alive = |life: &Life, moment| life.from <= moment && life.to.is_none_or(|to| moment < to);
        let at = |moment| self.lives.iter().filter(|life| alive(life, moment)).map(|life| life.resident).sum();
        self.lives.iter().map(|life| at(life.from)).max().unwrap_or(0)
    }

    /// The largest file and all bytes, with what `directories` hold now and what was removed before.
    pub(super) fn files(&self, directories: &[&Path]) -> (u64, u64) {
        let mut largest = self.largest_file;
        let mut all = self.removed;
        let mut pending: Vec<_> = directories.iter().map(|directory| directory.to_path_buf()).collect();
        while let Some(next) = pending.pop() {
            let Ok(entries) = fs::read_dir(&next) else { continue };
            for entry in entries.flatten() {
                let Ok(metadata) = fs::symlink_metadata(entry.path()) else { continue };
                if metadata.is_dir() {
                    pending.push(entry.path());
                } else if metadata.is_file() {
                    largest = largest.max(metadata.size());
                    all = all.saturating_add(metadata.size());
                }
            }
        }
        (largest, all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(from: u64, to: Option<u64>, resident: u64) -> Life {
        Life { process: 0, from, to, resident }
    }

    #[test]
    fn only_processes_that_live_together_add_up() {
        let usage = Usage {
            lives: vec![life(1, Some(10), 5), life(2, Some(4), 7), life(5, Some(6), 8), life(11, None, 9)],
            ..Usage::default()
        };

        assert_eq!(usage.resident(), 13);
    }

    #[test]
    fn what_was_removed_counts_with_what_is_there() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let file = directory.path().join("a");
        fs::write(&file, [0; 30]).expect("it is ours");
        fs::create_dir(directory.path().join("sub")).expect("it is ours");
        fs::write(directory.path().join("sub/b"), [0; 10]).expect("it is ours");
        let mut usage = Usage::default();

        usage.removed(&file);
        fs::remove_file(&file).expect("it is ours");

        assert_eq!(usage.files(&[directory.path()]), (30, 40));
    }

    #[test]
    fn threads_are_counted_while_they_live() {
        let mut usage = Usage::default();
        usage.thread_begins();
        usage.thread_begins();
        usage.threads_end(1);
        usage.thread_begins();

        assert_eq!(usage.most_threads(), 2);
    }
}
