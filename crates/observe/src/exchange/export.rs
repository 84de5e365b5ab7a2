//! Out of a policy.

use super::{ExchangeError, Exchanged, Format, Loss};
use lazaret_filter::{Arch, oci, systemd};
use lazaret_launch::filter::policy_rules;
use lazaret_policy::Policy;

/// Writes the system calls of `policy`, as they are on `arch`.
///
/// # Errors
///
/// When the format has no words for it that permit as much.
pub fn export(policy: &Policy, format: Format, arch: Arch) -> Result<Exchanged, ExchangeError> {
    let filter = policy_rules(&policy.system_calls)?;
    let later = policy.system_calls.refuse_after_start.iter().map(|rule| {
        Loss(format!(
            "`{}` is refused from the start of the program on ({}): no such list knows a start",
            rule.rule, rule.source
        ))
    });
    match format {
        Format::Oci => Ok(Exchanged { text: oci::write(&filter, arch)? + "\n", losses: later.collect() }),
        Format::Systemd => {
            let written = systemd::write(&filter, arch);
            let losses = written.losses.iter().map(|loss| Loss(sentence(loss)));
            Ok(Exchanged { losses: losses.chain(later).collect(), text: written.text })
        }
    }
}

fn sentence(loss: &systemd::Loss) -> String {
    match loss {
        systemd::Loss::Conditional(call) => {
            format!("`{call}` is permitted for some arguments: systemd's lists know none, and refuse it altogether")
        }
        systemd::Loss::Log(call) => format!("`{call}` is permitted and recorded: systemd's lists refuse it"),
        systemd::Loss::Trap(call) => format!("`{call}` gives a signal that can be handled: systemd's lists kill"),
        _ => "something else was lost".to_owned(),
    }
}
