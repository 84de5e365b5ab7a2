//! Devices that other tiers, and networks in user space, are made with.

use super::trial::{As, Trial};
use super::{Doctor, Feature};
use crate::steps::{Structure, Value, call};

const KVM_GET_API_VERSION: u64 = 0xae00;
const TUNSETIFF: u64 = 0x4004_54ca;
const IFF_TUN_NO_PI: u16 = 0x1001;
/// A number that no other descriptor of a trial has.
const FUSE_DESCRIPTOR: u64 = 90;

impl Doctor<'_> {
    pub(super) fn devices(&mut self) {
        use Feature::{MemoryExec, MountCalls, NetworkNamespace};
        let version = self.try_behind(Feature::Kvm, &[MemoryExec], |ground| {
            let mut trial = Trial::outside();
            let kvm = trial.open("/dev/kvm", libc::O_RDWR);
            let version = trial.slot();
            let args = vec![Value::Descriptor(kvm), Value::Number(KVM_GET_API_VERSION), Value::Number(0)];
            trial.step(call!(SYS_ioctl), args).save(version);
            trial.passes(ground).map(|done| done.answer(version))
        });
        if let Some(version) = version {
            self.detail(format!("API {version}"));
        }
        self.try_behind(Feature::Tun, &[NetworkNamespace], |ground| {
            let mut trial = Trial::inside(ground, As::Caller, libc::CLONE_NEWNET);
            let tun = trial.open("/dev/net/tun", libc::O_RDWR);
            let mut request = vec![0_u8; 40];
            request[..5].copy_from_slice(b"tun%d");
            request[16..18].copy_from_slice(&IFF_TUN_NO_PI.to_ne_bytes());
            let request = Structure { shown: "tun%d".into(), bytes: request, addresses: Vec::new() };
            let args = vec![Value::Descriptor(tun), Value::Number(TUNSETIFF), Value::Structure(request.into())];
            trial.step(call!(SYS_ioctl), args);
            trial.passes(ground)
        });
        self.try_behind(Feature::Fuse, &[MountCalls], |ground| {
            let mut trial = Trial::inside(ground, As::Caller, libc::CLONE_NEWNS);
            let fuse = trial.open("/dev/fuse", libc::O_RDWR);
            // The option names the descriptor by its number.
            let args = vec![Value::Descriptor(fuse), Value::Number(FUSE_DESCRIPTOR), Value::Number(0)];
            trial.step(call!(SYS_dup3), args);
            let (descriptor, id) = (FUSE_DESCRIPTOR.to_string(), crate::plan::INNER_ID.to_string());
            let options = [("fd", &*descriptor), ("rootmode", "40000"), ("user_id", &id), ("group_id", &id)];
            trial.file_system("fuse", &options);
            trial.passes(ground)
        });
    }
}
