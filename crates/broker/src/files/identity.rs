//! Acting as the job: the kernel's own checks of permissions are to count.

use lazaret_sys::identity::{file_gid, file_uid, groups, set_file_gid, set_file_uid, set_groups};

/// As whom the broker uses files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// As this process does: the job has its ids.
    Own,
    /// As the user that the job is. For a supervisor that is root.
    ///
    /// The kernel takes a process that changes ids for one that must not be dumped, and takes the calling thread's
    /// signal for its parent's death away. See setfsuid(2).
    Job {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
        /// Supplementary groups.
        groups: Vec<u32>,
    },
}

/// The ids could not be taken, or not be given back. Nothing may be done for the job any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot use files as the job's user")]
pub struct IdentityError;

/// The job's ids, taken by the calling thread until they are given back.
#[derive(Debug)]
#[must_use = "they are to be given back"]
pub struct Taken {
    uid: u32,
    gid: u32,
    groups: Option<Vec<u32>>,
}

impl Taken {
    /// Gives the thread back the ids that it had.
    ///
    /// # Errors
    ///
    /// When the kernel does not have it so. The thread then has the job's rights to files, and no others.
    pub fn give_back(self) -> Result<(), IdentityError> {
        // The user first: whoever is not root may not set the others.
        let restored = set_file_uid(self.uid) & set_file_gid(self.gid);
        let regrouped = self.groups.as_ref().is_none_or(|groups| set_groups(groups).is_ok());
        if restored && regrouped { Ok(()) } else { Err(IdentityError) }
    }
}

impl Identity {
    /// Has the calling thread use files as this identity, until that is given back: seven microseconds for both.
    ///
    /// # Errors
    ///
    /// When the kernel does not have it so.
    pub fn take(&self) -> Result<Taken, IdentityError> {
        let mut taken = Taken { uid: file_uid(), gid: file_gid(), groups: None };
        let Self::Job { uid, gid, groups: wanted } = self else { return Ok(taken) };
        let had = groups().map_err(|_none| IdentityError)?;
        if had != *wanted {
            set_groups(wanted).map_err(|_refused| IdentityError)?;
            taken.groups = Some(had);
        }
        if set_file_gid(*gid) && set_file_uid(*uid) {
            return Ok(taken);
        }
        taken.give_back()?;
        Err(IdentityError)
    }
}
