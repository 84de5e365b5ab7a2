//! Namespaces, each with nothing but a user namespace around it.

use super::trial::{As, Trial};
use super::{Doctor, Feature};
use crate::steps::{Value, call};

const CLONE_NEWTIME: u64 = 0x80;

impl Doctor<'_> {
    pub(super) fn namespaces(&mut self) {
        use Feature::{IdMaps, MemoryExec, NetworkNamespace, UserNamespace};
        self.try_behind(UserNamespace, &[MemoryExec], |ground| Trial::unmapped().passes(ground));
        self.try_behind(IdMaps, &[UserNamespace], |ground| Trial::inside(ground, As::Job, 0).passes(ground));
        for (feature, flag) in [
            (Feature::PidNamespace, libc::CLONE_NEWPID),
            (Feature::MountNamespace, libc::CLONE_NEWNS),
            (NetworkNamespace, libc::CLONE_NEWNET),
            (Feature::IpcNamespace, libc::CLONE_NEWIPC),
            (Feature::UtsNamespace, libc::CLONE_NEWUTS),
            (Feature::CgroupNamespace, libc::CLONE_NEWCGROUP),
        ] {
            self.try_behind(feature, &[UserNamespace, IdMaps], |ground| {
                Trial::inside(ground, As::Job, flag).passes(ground)
            });
        }
        self.try_behind(Feature::Loopback, &[NetworkNamespace], |ground| {
            let mut trial = Trial::inside(ground, As::Job, libc::CLONE_NEWNET);
            trial.loopback();
            trial.passes(ground)
        });
        self.try_behind(Feature::TimeNamespace, &[UserNamespace, IdMaps], |ground| {
            let mut trial = Trial::inside(ground, As::Job, 0);
            trial.step(call!(SYS_unshare), vec![Value::Number(CLONE_NEWTIME)]);
            trial.write_file("/proc/self/timens_offsets", "monotonic 1 0\nboottime 1 0\n");
            trial.passes(ground)
        });
    }
}
