use crate::check::{self, Fault};
use crate::error::{Place, PolicyError, Problem};
use crate::job::FileName;
use crate::layer::{Layer, Tier};
use crate::limits::LimitKey;
use crate::load::{RuleCheck, RuleProblem, contradiction, expand_network};
use crate::policy::{Bind, CallRule, Cow, Device, EnvValue, EnvVar, Fetch, HostRule, Policy};
use crate::quantity::{Bytes, FileSizeLimit};
use crate::rollout::Old;
use crate::source::{Source, Sourced};

/// Sets values on top of a loaded policy: what the options of a command line and programs ask for. When the policy is being
/// rolled out they are on top of the one that it replaces as well.
///
/// ```
/// # use lazaret_policy::{Loader, PolicyError, Source};
/// let mut builder = Loader::new().profile("default")?.builder();
/// builder.limit("memory=1GiB", Source::option("--limit"))?;
/// let policy = builder.build();
/// assert_eq!(policy.limits.memory.bytes(), 1 << 30);
/// assert_eq!(policy.limits.memory.source.to_string(), "--limit");
/// # Ok::<(), PolicyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PolicyBuilder {
    policy: Policy,
}

impl Policy {
    /// Begins changes on top of this policy.
    pub fn builder(self) -> PolicyBuilder {
        PolicyBuilder { policy: self }
    }
}

impl PolicyBuilder {
    /// Sets a limit, written `KEY=VALUE`.
    ///
    /// # Errors
    ///
    /// The key is unknown, or the value is no such quantity or out of bounds.
    pub fn limit(&mut self, written: &str, source: Source) -> Result<&mut Self, PolicyError> {
        let option = Written { text: written, source: &source };
        let Some((key, value)) = written.split_once('=') else {
            return Err(option
                .fault(Fault::new(format!("`{written}` sets nothing"), "write KEY=VALUE, such as memory=1GiB"), 0));
        };
        let limit: LimitKey = key.parse().map_err(|error| option.key_fault(Fault::from(error), key))?;
        self.each(|policy| {
            policy.limits.set(limit, value, source.clone()).map_err(|error| {
                let fault = Fault::from(error);
                option.fault(Fault::new(format!("limit `{limit}`: {}", fault.message), fault.hint), key.len() + 1)
            })
        })
    }

    /// Lets a layer be missing.
    ///
    /// # Errors
    ///
    /// The layer is unknown, or the jail is no jail without it.
    pub fn degrade(&mut self, written: &str, source: Source) -> Result<&mut Self, PolicyError> {
        let option = Written { text: written, source: &source };
        let layer = Layer::parse_degradable(written).map_err(|error| option.fault(Fault::from(error), 0))?;
        self.each(|policy| {
            replace(&mut policy.degrade, Sourced::new(layer, source.clone()), |a, b| a == b);
            without_contradiction(policy)
        })
    }

    /// Has a layer hold, whatever the tier.
    ///
    /// # Errors
    ///
    /// The layer is unknown, or the policy gives it up.
    pub fn require(&mut self, written: &str, source: Source) -> Result<&mut Self, PolicyError> {
        let option = Written { text: written, source: &source };
        let layer: Layer = written.parse().map_err(|error| option.fault(Fault::from(error), 0))?;
        self.each(|policy| {
            replace(&mut policy.require, Sourced::new(layer, source.clone()), |a, b| a == b);
            without_contradiction(policy)
        })
    }

    /// Sets an environment variable, written `NAME=VALUE`; a `NAME` alone is passed on from the caller.
    ///
    /// # Errors
    ///
    /// The name is empty, or something holds a NUL byte.
    pub fn environment(&mut self, written: &str, source: Source) -> Result<&mut Self, PolicyError> {
        let (name, value) = match written.split_once('=') {
            Some((name, value)) => (name, EnvValue::Set(value.to_owned())),
            None => (written, EnvValue::FromCaller),
        };
        let good = check::variable_name(name).and_then(|()| check::variable_value(name, written));
        good.map_err(|fault| Written { text: written, source: &source }.fault(fault, 0))?;
        let variable = EnvVar { name: name.to_owned(), value };
        self.each(|policy| {
            let variable = Sourced::new(variable.clone(), source.clone());
            replace(&mut policy.environment, variable, |a, b| a.name == b.name);
            Ok(())
        })
    }

    /// Adds a read-only bind; one at the same guest path is replaced.
    ///
    /// # Errors
    ///
    /// A path is not absolute, or lies where nothing can be bound.
    pub fn read(&mut self, bind: Bind, source: Source) -> Result<&mut Self, PolicyError> {
        let bind = check::bind(bind).map_err(|fault| unplaced(fault, &source))?;
        self.each(|policy| {
            let bind = Sourced::new(bind.clone(), source.clone());
            replace(&mut policy.files.read, bind, |a, b| a.guest == b.guest);
            Ok(())
        })
    }

    /// Adds a copy-on-write view; one at the same guest path is replaced.
    ///
    /// # Errors
    ///
    /// A path is not absolute, or lies where nothing can be bound.
    pub fn cow(&mut self, cow: Cow, source: Source) -> Result<&mut Self, PolicyError> {
        let cow = check::cow(cow).map_err(|fault| unplaced(fault, &source))?;
        self.each(|policy| {
            let cow = Sourced::new(cow.clone(), source.clone());
            replace(&mut policy.files.cow, cow, |a, b| a.guest == b.guest);
            Ok(())
        })
    }

    /// Adds a device node.
    ///
    /// # Errors
    ///
    /// The path does not lie beneath `/dev`, or is one that every jail makes itself.
    pub fn device(&mut self, device: Device, source: Source) -> Result<&mut Self, PolicyError> {
        let device = check::device(device).map_err(|fault| unplaced(fault, &source))?;
        self.each(|policy| {
            let device = Sourced::new(device.clone(), source.clone());
            replace(&mut policy.files.devices, device, |a, b| a.path == b.path);
            Ok(())
        })
    }

    /// Permits a host and a port, written `host:port`, and the system calls that programs need to reach it. `check` looks at
    /// the text.
    ///
    /// # Errors
    ///
    /// What `check` finds.
    pub fn host(&mut self, written: &str, check: RuleCheck, source: Source) -> Result<&mut Self, PolicyError> {
        if let Err(RuleProblem { span, message, hint }) = check(written) {
            let hint = hint.unwrap_or_else(|| "write host:port, such as api.example.com:443".to_owned());
            return Err(Written { text: written, source: &source }.place(
                Fault::new(message, hint),
                span.start,
                span.end,
            ));
        }
        let rule = HostRule { rule: written.to_owned(), why: String::new() };
        self.each(|policy| {
            replace(&mut policy.network.allow, Sourced::new(rule.clone(), source.clone()), |a, b| a.rule == b.rule);
            for call in CallRule::of_network() {
                policy.system_calls.rules.retain(|old| (old.action, &old.rule) != (call.action, &call.rule));
                policy.system_calls.rules.push(Sourced::new(call, source.clone()));
            }
            policy.system_calls.brokered.network = true;
            policy.system_calls.brokered.input_complete = policy.network.until.is_some();
            expand_network(policy);
            Ok(())
        })
    }

    /// Has a file fetched for the job, written `NAME=URL`; it may have as many bytes as `/job` holds, and be of any type.
    /// `check` looks at the URL.
    ///
    /// # Errors
    ///
    /// A name that is none, and what `check` finds.
    pub fn fetch(&mut self, written: &str, check: RuleCheck, source: Source) -> Result<&mut Self, PolicyError> {
        let option = Written { text: written, source: &source };
        let Some((name, url)) = written.split_once('=') else {
            let hint = "write NAME=URL, such as cat.jpg=https://images.example.com/cat.jpg";
            return Err(option.fault(Fault::new(format!("`{written}` names no file and URL"), hint), 0));
        };
        let to = FileName::new(name).map_err(|error| option.key_fault(Fault::from(error), name))?;
        if let Err(RuleProblem { span, message, hint }) = check(url) {
            let from = name.len() + 1;
            let fault = Fault::new(message, hint.unwrap_or_else(|| "write the whole URL".to_owned()));
            return Err(option.place(fault, from + span.start, from + span.end));
        }
        self.each(|policy| {
            let max_bytes = FileSizeLimit::new(Bytes(policy.limits.disk.bytes()))
                .map_err(|error| option.fault(Fault::from(error), 0))?;
            let fetch = Fetch { url: url.to_owned(), to: to.clone(), max_bytes, types: Vec::new(), allow: Vec::new() };
            replace(&mut policy.fetch, Sourced::new(fetch, source.clone()), |a, b| a.to == b.to);
            Ok(())
        })
    }

    /// Sets the tier.
    pub fn tier(&mut self, tier: Tier, source: Source) -> &mut Self {
        self.policy.tier = Sourced::new(tier, source.clone());
        if let Some(old) = old(&mut self.policy) {
            old.tier = Sourced::new(tier, source);
        }
        self
    }

    /// The policy with the changes.
    pub fn build(self) -> Policy {
        self.policy
    }
}

impl PolicyBuilder {
    /// Changes the policy, and the one that it replaces.
    fn each(&mut self, change: impl Fn(&mut Policy) -> Result<(), PolicyError>) -> Result<&mut Self, PolicyError> {
        change(&mut self.policy)?;
        if let Some(old) = old(&mut self.policy) {
            change(old)?;
        }
        Ok(self)
    }
}

/// The policy that `policy` replaces.
fn old(policy: &mut Policy) -> Option<&mut Policy> {
    match &mut policy.rollout.as_mut()?.old.value {
        Old::Policy(old) => Some(old),
        Old::None => None,
    }
}

fn without_contradiction(policy: &Policy) -> Result<(), PolicyError> {
    match policy.contradiction() {
        Some(_) => Err(contradiction(policy).into()),
        None => Ok(()),
    }
}

fn replace<T>(list: &mut Vec<Sourced<T>>, new: Sourced<T>, same: impl Fn(&T, &T) -> bool) {
    match list.iter_mut().find(|old| same(&old.value, &new.value)) {
        Some(old) => *old = new,
        None => list.push(new),
    }
}

fn unplaced(fault: Fault, source: &Source) -> PolicyError {
    Problem::new(format!("{source}: {}", fault.message), fault.hint).into()
}

/// A value as the caller wrote it, for messages that point into it.
struct Written<'a> {
    text: &'a str,
    source: &'a Source,
}

impl Written<'_> {
    /// The fault, pointing at what stands from byte `from` on.
    fn fault(&self, fault: Fault, from: usize) -> PolicyError {
        self.place(fault, from, self.text.len())
    }

    /// The fault, pointing at the key at the beginning.
    fn key_fault(&self, fault: Fault, key: &str) -> PolicyError {
        self.place(fault, 0, key.len())
    }

    fn place(&self, fault: Fault, from: usize, to: usize) -> PolicyError {
        let (name, before) = match self.source {
            Source::CommandLine { option } => ("command line".to_owned(), format!("{option} ")),
            other => (other.to_string(), String::new()),
        };
        let span = before.len() + from..before.len() + to;
        let place = Place { name, text: format!("{before}{}", self.text).into(), span };
        Problem::new(fault.message, fault.hint).at(place).into()
    }
}

#[cfg(test)]
mod tests;
