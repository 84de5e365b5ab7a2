//! Locking down the calling process.

use lazaret_policy::Policy;
use lazaret_seccomp::lockdown::{self, Findings, LockdownError, LockdownReport};

/// Locks this process down, in every thread, for the rest of its life: it keeps the system calls that `policy` allows,
/// less those that reach beyond the process, and has no capability, limits that it cannot lift, and Landlock.
///
/// The policy's tier has to be `seccomp`; the profile `compute` is made for this. Open everything that is needed first.
///
/// ```no_run
/// use std::io::Read;
///
/// let mut input = std::fs::File::open("untrusted.png")?;
/// lazaret::lockdown(&lazaret::profile("compute")?)?;
/// let mut bytes = Vec::new();
/// input.read_to_end(&mut bytes)?;
/// // Whatever happens from here on, nothing can be opened, started or sent anywhere.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Why not. Nothing was changed, unless the error is [`LockdownError::Partial`], which says what was.
pub fn lockdown(policy: &Policy) -> Result<LockdownReport, LockdownError> {
    lockdown::lockdown(policy, Findings::Report)
}

/// As [`lockdown()`], and what lets the process do more than the policy suggests, such as a held descriptor of a device,
/// is an error too.
///
/// # Errors
///
/// As [`lockdown()`].
pub fn lockdown_strict(policy: &Policy) -> Result<LockdownReport, LockdownError> {
    lockdown::lockdown(policy, Findings::Strict)
}

/// Tells what [`lockdown()`] would hold, break and leave open, with the descriptors and threads that there are now. Changes
/// nothing.
///
/// # Errors
///
/// Why it would fail, apart from findings, which are in the answer.
pub fn lockdown_preflight(policy: &Policy) -> Result<LockdownReport, LockdownError> {
    lockdown::preflight(policy)
}

/// Says, within a job, that it has all of its input, so that what its policy ends then is ended: the network of a policy with
/// `[net] until = "input-complete"`. Returns whether there is a supervisor who ended it.
///
/// When this returns `true`, every connection of the job is cut, and no other can be made.
pub fn input_complete() -> bool {
    lazaret_launch::start::input_complete()
}

/// Says, within a job, that its work begins: that it is about to look at what nobody vouches for. Of the files that its policy
/// gives it only those are left that `[phase.work]` names. Returns whether there is a supervisor who saw to it.
///
/// When this returns `true`, no thread or process of the job can open any other. What is open stays open.
pub fn work_begins() -> bool {
    lazaret_launch::start::work_begins()
}
