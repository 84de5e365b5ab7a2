//! What a job can and cannot do in its copy-on-write views: they follow the rights of the job's user id on the host.

use crate::probe::{PathFacts, Support};
use lazaret_policy::{Cow, Mode, Policy};

/// A remark for each view in which the job will be able to do less than its user may expect.
pub(crate) fn notes(policy: &Policy, support: &Support, facts: &PathFacts) -> Vec<String> {
    policy.files.cow.iter().filter_map(|cow| note(cow, support, facts)).collect()
}

fn note(cow: &Cow, support: &Support, facts: &PathFacts) -> Option<String> {
    let (host, guest) = (cow.host.display(), cow.guest.display());
    match support.mode {
        Mode::Root => Some(format!(
            "copy-on-write of `{host}` at `{guest}`: started by root, the job has a user id of its own. It can read there \
             what everybody may, add and remove entries right in `{guest}`, and change nothing else that is there; start \
             Lazaret as the owner of `{host}` to let it"
        )),
        Mode::Rootless => {
            let (user, group) = facts.owner(&cow.host).filter(|owner| *owner != support.ids)?;
            Some(format!(
                "copy-on-write of `{host}` at `{guest}`: it belongs to user {user} and group {group}, not to this user and \
                 its group. The job cannot change what is others' (EOVERFLOW, \"Value too large for defined data type\"); \
                 start Lazaret as the owner, or give it the files with chown"
            ))
        }
    }
}
