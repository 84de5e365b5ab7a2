//! The tiers that every attack is run against, and what one of them promises less.

use std::path::Path;

use crate::ground::WIDE;
use crate::probe::{Probe, Under};

/// A tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    /// Namespaces and all else.
    Jail,
    /// A filter, limits and Landlock alone.
    Seccomp,
}

/// Attacks that tier seccomp makes no promise of, and why: without namespaces these are the host's to see, or to have.
const NOT_PROMISED: &[(&str, &str)] = &[];

impl Tier {
    /// Why the tier does not promise to stop `probe`, if it does not.
    pub(crate) fn leaves_out(self, probe: &Probe) -> Option<&'static str> {
        let of = |(name, why): &(&str, &'static str)| (*name == probe.name).then_some(*why);
        match self {
            Self::Jail => None,
            Self::Seccomp => NOT_PROMISED.iter().find_map(of),
        }
    }

    /// A job's own directories, by the names that they have in the tier. The working directory is /job in both.
    pub(crate) fn place(self, word: &str) -> String {
        match (self, word) {
            (Self::Seccomp, "/job") => ".".to_owned(),
            (Self::Seccomp, "/tmp") => "../tmp".to_owned(),
            (_, word) => word.to_owned(),
        }
    }
}

/// The text of a policy for tier seccomp, which shows `bin` where it is. The wide one has what the tier can give.
pub(crate) fn policy_text(under: Under, bin: &Path) -> String {
    let calls = match under {
        Under::Default => String::new(),
        Under::Wide => format!("[system-calls]\ndefault = \"allow\"\nallow = [{WIDE}]\n"),
    };
    format!(
        "description = \"the attacks in tier seccomp\"\nextends = \"default\"\ntier = \"seccomp\"\n\n[files]\n\
         read = [{{ path = \"{}\", why = \"the attacks\" }}]\n\n{calls}",
        bin.display()
    )
}
