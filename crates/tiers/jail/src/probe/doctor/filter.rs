//! System-call filters and the notification of supervisors.

use super::trial::{Ground, Trial, Trouble, readable};
use super::{Doctor, Feature};
use crate::steps::{Slot, Structure, Value, call};
use lazaret_sys::{descriptor, seccomp};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::os::fd::AsFd;

// linux/seccomp.h
const SET_MODE_FILTER: u64 = 1;
const NEW_LISTENER: u64 = 1 << 3;
const WAIT_KILLABLE_RECV: u64 = 1 << 5;
const NOTIF_SET_FLAGS: u64 = 0x4008_2104;
const SYNC_WAKE_UP: u64 = 1;
const RET_KILL_PROCESS: u32 = 0x8000_0000;
const RET_KILL_THREAD: u32 = 0;
const RET_TRAP: u32 = 0x0003_0000;
const RET_ERRNO: u32 = 0x0005_0000;
const RET_USER_NOTIF: u32 = 0x7fc0_0000;
const RET_TRACE: u32 = 0x7ff0_0000;
const RET_LOG: u32 = 0x7ffc_0000;
const RET_ALLOW: u32 = 0x7fff_0000;

/// An answer that getppid(2) never gives by itself.
const MARK: i32 = libc::E2BIG;

impl Doctor<'_> {
    pub(super) fn filter(&mut self) {
        use Feature::{MemoryExec, Notifier, Seccomp};
        self.try_behind(Seccomp, &[MemoryExec], |ground| {
            filtered(RET_ERRNO | MARK.cast_unsigned(), 0).0.ends_in(ground, MARK)
        });
        self.try_behind(Feature::ActionTrap, &[Seccomp], |ground| {
            filtered(RET_TRAP, 0).0.dies_of(ground, libc::SIGSYS)
        });
        // Nobody traces it: then the call fails.
        self.try_behind(Feature::ActionTrace, &[Seccomp], |ground| {
            filtered(RET_TRACE, 0).0.ends_in(ground, libc::ENOSYS)
        });
        for (feature, action) in [
            (Feature::ActionLog, RET_LOG),
            (Feature::ActionKill, RET_KILL_PROCESS),
            (Feature::ActionKillThread, RET_KILL_THREAD),
        ] {
            self.try_behind(feature, &[Seccomp], |_| known(action));
            self.detail("by the kernel's word: a trial would fill its log");
        }
        self.try_behind(Notifier, &[Seccomp], notified);
        self.try_behind(Feature::NotifierKillable, &[Notifier], |ground| {
            installed(NEW_LISTENER | WAIT_KILLABLE_RECV).0.passes(ground)
        });
        self.try_behind(Feature::NotifierWakeUp, &[Notifier], |ground| {
            let (mut trial, listener) = installed(NEW_LISTENER);
            let args = vec![Value::Descriptor(listener), Value::Number(NOTIF_SET_FLAGS), Value::Number(SYNC_WAKE_UP)];
            trial.step(call!(SYS_ioctl), args);
            trial.passes(ground)
        });
    }
}

/// A process that has installed a filter which gives `action` for getppid(2), and its listener.
fn with_filter<'a>(action: u32, flags: u64) -> (Trial<'a>, Slot) {
    let mut trial = Trial::outside();
    trial.no_new_privileges();
    // A process that is killed by a filter shall leave no core.
    trial.not_dumpable();
    let number = u32::try_from(libc::SYS_getppid).unwrap_or(u32::MAX);
    // ld [nr]; jeq number, 0, 1; ret action; ret allow: struct sock_filter of linux/filter.h.
    let instructions =
        [(0x20_u16, 0_u8, 0_u8, 0_u32), (0x15, 0, 1, number), (0x06, 0, 0, action), (0x06, 0, 0, RET_ALLOW)];
    let program: Vec<u8> = instructions
        .iter()
        .flat_map(|(code, yes, no, k)| [&code.to_ne_bytes()[..], &[*yes, *no], &k.to_ne_bytes()].concat())
        .collect();
    let mut header = (instructions.len() as u64).to_ne_bytes().to_vec();
    header.extend([0; 8]);
    let header = Structure { shown: "filter".into(), bytes: header, addresses: vec![(8, program)] };
    let listener = trial.slot();
    let args = vec![Value::Number(SET_MODE_FILTER), Value::Number(flags), Value::Structure(header.into())];
    trial.step(call!(SYS_seccomp), args).save(listener);
    (trial, listener)
}

/// [`with_filter`], then the call that it speaks of.
fn filtered<'a>(action: u32, flags: u64) -> (Trial<'a>, Slot) {
    let (mut trial, listener) = with_filter(action, flags);
    trial.step(call!(SYS_getppid), Vec::new());
    (trial, listener)
}

fn installed<'a>(flags: u64) -> (Trial<'a>, Slot) {
    with_filter(RET_USER_NOTIF, flags)
}

fn known(action: u32) -> Result<(), Trouble> {
    let refused = |errno| Trouble::Refused { call: "seccomp", errno };
    match seccomp::has_action(action) {
        Ok(true) => Ok(()),
        Ok(false) => Err(refused(libc::EOPNOTSUPP)),
        Err(e) => Err(refused(e.raw_os_error().unwrap_or(libc::EIO))),
    }
}

/// The whole way: a call waits, is received here, and gets the answer that it is given.
fn notified(ground: &Ground) -> Result<(), Trouble> {
    let not_started = |errno: rustix::io::Errno| Trouble::NotStarted(errno.raw_os_error());
    let (own, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).map_err(not_started)?;
    let (mut trial, listener) = installed(NEW_LISTENER);
    let channel = trial.fill(&theirs);
    trial.send(channel, listener);
    trial.step(call!(SYS_getppid), Vec::new());
    let running = trial.start(ground)?;
    drop(theirs);
    answer(&own, &running);
    running.ends_in(MARK)
}

/// Answers one call. What goes wrong shows in the process that waits for it.
fn answer(channel: &std::os::fd::OwnedFd, running: &super::trial::Running) {
    let mut places = [0; 8];
    if !readable(channel.as_fd(), running.until()) {
        return;
    }
    let Ok((_, descriptors)) = descriptor::receive(channel.as_fd(), &mut places) else { return };
    let Some(listener) = descriptors.first() else { return };
    if readable(listener.as_fd(), running.until())
        && let Ok(Some(call)) = seccomp::receive(listener.as_fd())
    {
        drop(seccomp::answer(listener.as_fd(), call.id, seccomp::Answer::Errno(MARK)));
    }
}
