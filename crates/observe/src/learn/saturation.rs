//! Whether enough was seen.

/// Nothing new may come in at least so many of the last files.
pub const LEAST_QUIET: usize = 20;

/// The rule in words.
pub const RULE: &str = "neither a system call nor a path may be new in the last fifth of the files, and in the \
    last 20 at least";

/// When the last new things came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saturation {
    /// How many files were learned from.
    pub files: usize,
    /// The file, from 1, that changed the system calls last; `None` when there are none.
    pub last_call: Option<usize>,
    /// The file, from 1, that changed the paths last; `None` when there are none.
    pub last_path: Option<usize>,
}

impl Saturation {
    /// How many files at the end must bring nothing new.
    #[must_use]
    pub fn needed(&self) -> usize {
        self.files.div_ceil(5).max(LEAST_QUIET)
    }

    /// How many files at the end brought nothing new.
    #[must_use]
    pub fn quiet(&self) -> usize {
        self.files - self.last_call.max(self.last_path).unwrap_or(0)
    }

    /// Whether the policy can be called ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.quiet() >= self.needed()
    }

    /// How many files more would do if none of them brought anything new.
    #[must_use]
    pub fn missing(&self) -> usize {
        let mut more = 0;
        while self.quiet() + more < (self.files + more).div_ceil(5).max(LEAST_QUIET) {
            more += 1;
        }
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saturation(files: usize, last: usize) -> Saturation {
        Saturation { files, last_call: Some(last), last_path: Some(1) }
    }

    #[test]
    fn twenty_quiet_files_at_the_end_are_the_least() {
        assert!(!saturation(20, 1).is_ready());
        assert!(saturation(21, 1).is_ready());
        assert!(!saturation(50, 31).is_ready());
        assert!(saturation(50, 30).is_ready());
    }

    #[test]
    fn of_many_files_a_fifth_must_be_quiet() {
        assert!(!saturation(1000, 912).is_ready());
        assert!(!saturation(1000, 801).is_ready());
        assert!(saturation(1000, 800).is_ready());
    }

    #[test]
    fn paths_count_as_calls_do() {
        assert!(!Saturation { files: 30, last_call: Some(1), last_path: Some(29) }.is_ready());
    }

    #[test]
    fn it_says_how_many_files_would_be_enough() {
        for (files, last) in [(3, 1), (50, 49), (1000, 912)] {
            let missing = saturation(files, last).missing();

            assert!(saturation(files + missing, last).is_ready(), "{files}");
            assert!(!saturation(files + missing - 1, last).is_ready(), "{files}");
        }
    }
}
