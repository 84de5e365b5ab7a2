//! Landlock, by its effect on a process of its own.

use super::cause::Cause;
use super::trial::{Ground, Trial, Trouble};
use super::{Doctor, Feature};
use crate::steps::{Structure, Value, call, named};
use lazaret_sys::landlock::{NETWORK_KNOWN, RulesetAttr, SCOPE_KNOWN, access};

const CREATE_RULESET_VERSION: u64 = 1;
/// As a field of struct sockaddr_in.
const AF_INET: u16 = 2;

impl Doctor<'_> {
    pub(super) fn landlock(&mut self) {
        use Feature::Landlock;
        // What the call itself answers tells why there is none.
        let version = self.try_behind(Landlock, &[Feature::MemoryExec], |ground| {
            let mut trial = Trial::outside();
            let version = trial.slot();
            let args = vec![Value::Number(0), Value::Number(0), Value::Number(CREATE_RULESET_VERSION)];
            trial.step(call!(SYS_landlock_create_ruleset), args).save(version);
            let done = trial.passes(ground)?;
            let abi = u32::try_from(done.answer(version)).unwrap_or(0);
            files(ground, abi).map(|()| abi)
        });
        if let Some(abi) = version {
            self.detail(format!("ABI {abi}"));
        }
        self.newer(Feature::LandlockNetwork, version, 4, network);
        self.newer(Feature::LandlockScope, version, 6, scope);
    }

    fn newer(
        &mut self,
        feature: Feature,
        version: Option<u32>,
        needed: u32,
        trial: fn(&Ground, u32) -> Result<(), Trouble>,
    ) {
        match version {
            Some(abi) if abi < needed => {
                let found = format!("this kernel's ABI is {abi}, and {needed} is needed");
                self.missing(feature, Cause::Kernel, found, None);
            }
            version => {
                self.try_behind(feature, &[Feature::Landlock], |ground| trial(ground, version.unwrap_or(0)));
            }
        }
    }
}

/// A process that has confined itself by these attributes.
fn confined<'a>(abi: u32, attributes: RulesetAttr) -> Trial<'a> {
    let mut trial = Trial::outside();
    trial.no_new_privileges();
    let ruleset = trial.slot();
    let RulesetAttr { handled_access_fs, handled_access_net, scoped } = attributes;
    let words = Structure::words("handled", &[handled_access_fs, handled_access_net, scoped]);
    let args = vec![Value::Structure(words.into()), Value::Number(RulesetAttr::size(abi) as u64), Value::Number(0)];
    trial.step(call!(SYS_landlock_create_ruleset), args).save(ruleset);
    trial.step(call!(SYS_landlock_restrict_self), vec![Value::Descriptor(ruleset), Value::Number(0)]);
    trial
}

fn files(ground: &Ground, abi: u32) -> Result<(), Trouble> {
    let mut trial = confined(abi, RulesetAttr { handled_access_fs: access::known(abi), ..RulesetAttr::default() });
    trial.open("/", libc::O_RDONLY | libc::O_DIRECTORY);
    trial.ends_in(ground, libc::EACCES)
}

/// Binds to any free port of 127.0.0.1, for the moment that the process lives.
fn network(ground: &Ground, abi: u32) -> Result<(), Trouble> {
    let mut trial = confined(abi, RulesetAttr { handled_access_net: NETWORK_KNOWN, ..RulesetAttr::default() });
    let socket = trial.slot();
    trial.step(call!(SYS_socket), vec![named!(AF_INET), named!(SOCK_STREAM), Value::Number(0)]).save(socket);
    let mut address = vec![0_u8; 16];
    address[..2].copy_from_slice(&AF_INET.to_ne_bytes());
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    let address = Structure { shown: "127.0.0.1".into(), bytes: address, addresses: Vec::new() };
    let args = vec![Value::Descriptor(socket), Value::Structure(address.into()), Value::Number(16)];
    trial.step(call!(SYS_bind), args);
    trial.ends_in(ground, libc::EACCES)
}

/// Asks whether it may signal this process, without doing so.
fn scope(ground: &Ground, abi: u32) -> Result<(), Trouble> {
    let mut trial = confined(abi, RulesetAttr { scoped: SCOPE_KNOWN, ..RulesetAttr::default() });
    trial.step(call!(SYS_kill), vec![Value::Number(std::process::id().into()), Value::Number(0)]);
    trial.ends_in(ground, libc::EPERM)
}
