//! Landlock's rules for a process that stays where it is.

use super::error::LockdownError;
use super::facts::Facts;
use lazaret_policy::{Policy, Source};
use lazaret_sys::landlock::{ABI_OF_ALL_THREADS, NETWORK_KNOWN, Restrict, Ruleset, RulesetAttr, SCOPE_KNOWN, access};
use rustix::fs::{FileType, Mode, OFlags};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// What Landlock will enforce.
#[derive(Debug)]
pub(crate) enum LandlockPlan {
    /// Nothing: it is missing, and the policy degrades the layer.
    Degraded,
    Rules {
        abi: u32,
        whom: Restrict,
        attributes: RulesetAttr,
        /// Opened paths, with the rights beneath them.
        rules: Vec<(PathBuf, OwnedFd, u64)>,
    },
}

/// Devices that every job has.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
/// Landlock's scopes: abstract Unix sockets, signals.
const SCOPE_SOCKETS: u64 = 1;

impl LandlockPlan {
    /// Opens the paths of the policy.
    pub(crate) fn new(policy: &Policy, facts: &Facts) -> Result<Self, LockdownError> {
        let abi = match &facts.landlock {
            Ok(abi) => *abi,
            // Only degraded policies get here.
            Err(_) => return Ok(Self::Degraded),
        };
        let whom = if abi >= ABI_OF_ALL_THREADS { Restrict::AllThreads } else { Restrict::Thread };
        let covers = whom == Restrict::AllThreads || facts.is_single();
        let attributes = RulesetAttr {
            handled_access_fs: access::known(abi),
            handled_access_net: if abi >= 4 { NETWORK_KNOWN } else { 0 },
            scoped: match abi {
                ..6 => 0,
                // Before Linux 6.15 threads of one process that are in different domains could not signal each other.
                _ if !covers => SCOPE_SOCKETS,
                _ => SCOPE_KNOWN,
            },
        };
        let mut rules = Vec::new();
        for path in DEVICES {
            rules.extend(rule(Path::new(path), true, abi, None)?);
        }
        for device in &policy.files.devices {
            rules.extend(rule(&device.path, true, abi, Some((&device.source, false)))?);
        }
        for bind in &policy.files.read {
            rules.extend(rule(&bind.host, false, abi, Some((&bind.source, bind.optional)))?);
        }
        Ok(Self::Rules { abi, whom, attributes, rules })
    }

    /// The ruleset, ready to be put in force.
    pub(crate) fn ruleset(&self) -> io::Result<Option<(Ruleset, Restrict)>> {
        let Self::Rules { abi, whom, attributes, rules } = self else { return Ok(None) };
        let ruleset = Ruleset::new(attributes, *abi)?;
        for (_, path, rights) in rules {
            ruleset.allow(std::os::fd::AsFd::as_fd(path), *rights)?;
        }
        Ok(Some((ruleset, *whom)))
    }
}

/// The rule for `path`; `None` for one that may be missing and is. Without an asker a path may be missing.
fn rule(
    path: &Path,
    is_device: bool,
    abi: u32,
    asked_by: Option<(&Source, bool)>,
) -> Result<Option<(PathBuf, OwnedFd, u64)>, LockdownError> {
    let fail = |source: io::Error| match asked_by {
        None | Some((_, true)) => Ok(None),
        Some((asked_by, false)) => {
            Err(LockdownError::Path { path: path.to_owned(), asked_by: asked_by.clone(), source })
        }
    };
    let opened = match rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Ok(opened) => opened,
        Err(errno) => return fail(errno.into()),
    };
    let kind = match rustix::fs::fstat(&opened) {
        Ok(stat) => FileType::from_raw_mode(stat.st_mode),
        Err(errno) => return fail(errno.into()),
    };
    let rights = match (is_device, kind) {
        (true, FileType::CharacterDevice) => access::READ_FILE | access::WRITE_FILE | access::IOCTL_DEV,
        (true, _) => return fail(io::Error::other("it is no character device")),
        (false, FileType::Directory) => access::READ_FILE | access::READ_DIR,
        (false, _) => access::READ_FILE,
    };
    Ok(Some((path.to_owned(), opened, rights & access::known(abi))))
}
