//! The tiers that every attack is run against, and what one of them promises less.

use std::path::Path;

use crate::ground::{WIDE, files_mode};
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
const NOT_PROMISED: &[(&str, &str)] = &[
    ("host-name", "without a UTS namespace uname(2) tells the host's name"),
    ("host-uptime", "without a time namespace the clocks are the host's"),
];

/// The same of an ordinary user's jobs alone.
const NOT_PROMISED_TO_USERS: &[(&str, &str)] =
    &[("capabilities", "only root can empty the bounding set; no_new_privs keeps it from giving anything")];

/// Attacks that run only in a pid namespace of their own, as they would hit everything of their user's elsewhere, unless
/// they are told to: here that is what is tested.
const TOLD_TO: &[&str] = &["signal-everything", "stop-everything"];

/// Attacks on bounds that tier seccomp looks at: between two looks there can be more. That the job is ended for it is told by
/// its verdict, which has to be the row's.
const LOOKED_AT: &[&str] = &["disk-bomb", "inode-bomb"];

impl Tier {
    /// Whether the bound that `probe` is after is looked at, and can be passed for a moment.
    pub(crate) fn looks_at(self, probe: &Probe) -> bool {
        self == Self::Seccomp && LOOKED_AT.contains(&probe.name)
    }

    /// Why the tier does not promise to stop `probe`, if it does not.
    pub(crate) fn leaves_out(self, probe: &Probe, user: &str) -> Option<&'static str> {
        let of = |(name, why): &(&str, &'static str)| (*name == probe.name).then_some(*why);
        match self {
            Self::Jail => None,
            Self::Seccomp if user == "root" => NOT_PROMISED.iter().find_map(of),
            Self::Seccomp => NOT_PROMISED.iter().chain(NOT_PROMISED_TO_USERS).find_map(of),
        }
    }

    /// What the attack `name` is told beside its arguments.
    pub(crate) fn further(self, name: &str) -> Option<String> {
        (self == Self::Seccomp && TOLD_TO.contains(&name)).then(|| "anyway".to_owned())
    }

    /// A job's own directories, by the names that they have in the tier. The working directory is /job in both.
    pub(crate) fn place(self, word: &str) -> String {
        match (self, word) {
            (Self::Seccomp, "/job") => ".".to_owned(),
            (Self::Seccomp, "/tmp") => "../tmp".to_owned(),
            // Process 1 is its parent.
            (Self::Seccomp, "init") => "parent".to_owned(),
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
        "description = \"the attacks in tier seccomp\"\nextends = \"default\"\ntier = \"seccomp\"\n\n[files]\n{}\
         read = [{{ path = \"{}\", why = \"the attacks\" }}]\n\n{calls}",
        files_mode(),
        bin.display()
    )
}
