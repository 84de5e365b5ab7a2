//! Whether a user's own instance of systemd delegated a unit. It marks no groups, as the host's does; it is asked.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Uid;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

/// How long the answer may take.
const PATIENCE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// Whether `group` is that of a unit which the instance of the user `user` delegated.
///
/// Source: systemctl(1), systemd.resource-control(5).
pub(super) fn has_delegated(group: &Path, user: Uid) -> bool {
    let instance = format!("user@{}.service", user.as_raw());
    let runtime = format!("/run/user/{}", user.as_raw());
    let is_theirs = group.ancestors().skip(1).any(|around| around.file_name().is_some_and(|name| *name == *instance));
    let unit = group.file_name().filter(|_| is_theirs && Path::new(&runtime).join("systemd/private").exists());
    let Some(unit) = unit else { return false };
    let mut command = Command::new("/usr/bin/systemctl");
    command.args(["--user", "show", "--property=Delegate", "--value", "--"]).arg(unit);
    command.env_clear().env("XDG_RUNTIME_DIR", runtime);
    let Ok(mut asked) = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn() else {
        return false;
    };
    let mut answer = [0_u8; 4];
    let heard = asked.stdout.as_mut().is_some_and(|stdout| {
        let mut ready = [PollFd::new(stdout, PollFlags::IN)];
        let in_time = matches!(poll(&mut ready, Some(&PATIENCE)), Ok(1));
        in_time && stdout.read_exact(&mut answer).is_ok()
    });
    // It may have ended by itself.
    drop(asked.kill());
    drop(asked.wait());
    heard && answer == *b"yes\n"
}
