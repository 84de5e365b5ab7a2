//! Into a policy.

use super::{ExchangeError, Exchanged, Format, Loss, nearest};
use lazaret_filter::compare::Difference;
use lazaret_filter::oci::{Environment, Ignored};
use lazaret_filter::{Action, Arch, Filter, Rule, oci, systemd, table};
use lazaret_launch::filter::action;
use lazaret_policy::CallAction;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// More rules than this for one call are not for people to read.
const MOST_RULES: usize = 64;

/// What is imported, and for whom.
#[derive(Debug, Clone)]
pub struct Import<'a> {
    /// The text.
    pub text: &'a str,
    /// Where it comes from, for the policy's comments.
    pub name: &'a str,
    /// Its language.
    pub format: Format,
    /// The policy that gives all but the system calls.
    pub extends: &'a str,
    /// What the profile's conditions are answered with.
    pub environment: &'a Environment,
}

/// Why each call is there, by its name.
type Reasons = BTreeMap<String, String>;

/// A policy whose system calls are those of the text.
///
/// # Errors
///
/// When the text is not what it should be, or says something that no filter can.
pub fn import(import: &Import<'_>) -> Result<Exchanged, ExchangeError> {
    let mut losses = Vec::new();
    let (filter, reasons) = match import.format {
        Format::Oci => of_profile(import, &mut losses)?,
        Format::Systemd => of_unit(import, &mut losses)?,
    };
    // Whatever the errno: what nobody named is worth a line in the report.
    let default = match nearest(filter.default_action()) {
        CallAction::Silent => CallAction::Refuse,
        default => default,
    };
    let mut changed: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    note(filter.default_action(), "every call that is not named", &mut changed);
    let mut rules = Vec::new();
    for (_, call) in table::iter(import.environment.arch) {
        let own: Vec<_> = filter.rules().iter().filter(|(rule, _)| rule.call() == Some(call)).cloned().collect();
        if call == "clone3" && !own.is_empty() && own.iter().all(|(_, action)| is_absent(*action)) {
            // As in every policy.
            continue;
        }
        for (_, action) in &own {
            note(*action, call, &mut changed);
        }
        rules.extend(of_call(call, &own, default, import.environment.arch, &mut losses));
    }
    if default == CallAction::Allow || default == CallAction::Log {
        losses.push(Loss("calls of io_uring, and calls newer than Linux 6.18, are refused where the source permits what it does not name".to_owned()));
    }
    losses.extend(changed.into_iter().map(|(errno, mut of)| {
        of.dedup();
        Loss(format!("{} instead of EPERM: {}", error(errno), shortened(&of)))
    }));
    Ok(Exchanged { text: policy(import, default, &rules, &reasons, &losses), losses })
}

/// Whether an action says that there is no such call.
fn is_absent(action: Action) -> bool {
    matches!(action, Action::Errno(ENOSYS) | Action::Refuse(ENOSYS))
}

const ENOSYS: u16 = 38;

/// Remarks that an action's errno is none that a policy has.
fn note(action: Action, what: &str, changed: &mut BTreeMap<u16, Vec<String>>) {
    if let Action::Errno(errno @ (0 | 2..)) | Action::Refuse(errno @ (0 | 2..)) = action {
        changed.entry(errno).or_default().push(what.to_owned());
    }
}

fn error(errno: u16) -> String {
    let name = lazaret_filter::errno::name(errno);
    name.map_or_else(
        || format!("the source answers with error {errno}"),
        |name| format!("the source answers with {name}"),
    )
}

/// The rules about one call in the order in which a policy applies them: by action.
fn of_call(
    call: &'static str,
    own: &[(Rule, Action)],
    default: CallAction,
    arch: Arch,
    losses: &mut Vec<Loss>,
) -> Vec<(CallAction, Rule)> {
    if call == "clone3" && own.is_empty() && action(default).permits() {
        // A policy's default is none for it; the source's is.
        return Rule::parse(call).map(|rule| vec![(default, rule)]).unwrap_or_default();
    }
    let filter = |rules: &[(CallAction, Rule)]| {
        rules.iter().fold(Filter::new(action(default)), |filter, (of, rule)| filter.rule(rule.clone(), action(*of)))
    };
    // What stands before a rule without conditions never decides.
    let begin = own.iter().rposition(|(rule, _)| !rule.is_conditional()).unwrap_or(0);
    let ordered: Vec<_> = own[begin.min(own.len())..].iter().map(|(rule, of)| (nearest(*of), rule.clone())).collect();
    let meant = filter(&ordered);
    let same = |rules: &[(CallAction, Rule)]| meant.difference(&filter(rules), arch, call);
    let mut sorted = ordered.clone();
    sorted.sort_by_key(|(of, _)| CallAction::ALL.iter().position(|known| known == of));
    // Within one action the order decides nothing, and a policy says everything once.
    let mut seen = BTreeSet::new();
    sorted.retain(|(of, rule)| seen.insert((of.name(), rule.to_string())));
    if sorted.iter().all(|(of, _)| *of == default) && same(&[]) == Difference::None {
        return Vec::new();
    }
    if same(&sorted) == Difference::None {
        return sorted;
    }
    let apart = meant.rules_apart(arch, call).filter(|rules| rules.len() <= MOST_RULES);
    let apart: Option<Vec<_>> = apart.map(|rules| rules.into_iter().map(|(rule, of)| (nearest(of), rule)).collect());
    if let Some(apart) = apart {
        match same(&apart) {
            Difference::None => return apart,
            Difference::Some { wider: false, .. } => {
                losses.push(Loss(format!("`{call}` is permitted for fewer arguments than in the source")));
                return apart;
            }
            _ => {}
        }
    }
    losses.push(Loss(format!("the conditions on `{call}` are too many for rules without order: it is refused")));
    Rule::parse(call).map(|rule| vec![(CallAction::Refuse, rule)]).unwrap_or_default()
}

fn of_profile(import: &Import<'_>, losses: &mut Vec<Loss>) -> Result<(Filter, Reasons), ExchangeError> {
    let imported = oci::read(import.text, import.environment)?;
    let unknown = |ignored: &Ignored| match ignored {
        Ignored::UnknownCall(name) => Some(name.clone()),
        Ignored::IoUring(_) => None,
    };
    named(
        losses,
        "calls that this architecture's table does not have are refused",
        imported.ignored.iter().filter_map(unknown),
    );
    let rings = imported.ignored.iter().filter(|ignored| matches!(ignored, Ignored::IoUring(_)));
    named(
        losses,
        "io_uring goes around every filter and is refused",
        rings.map(|ignored| match ignored {
            Ignored::UnknownCall(name) | Ignored::IoUring(name) => name.clone(),
        }),
    );
    // It was read a moment ago.
    let json: Value = serde_json::from_str(import.text).map_err(oci::ReadError::from)?;
    unsaid(&json, import.environment, losses);
    let mut reasons = Reasons::new();
    for (at, entry) in json["syscalls"].as_array().into_iter().flatten().enumerate() {
        let comment = entry["comment"].as_str().filter(|comment| !comment.is_empty());
        let reason = comment.map_or_else(|| format!("entry {} of {}", at + 1, import.name), str::to_owned);
        let names = entry["names"].as_array().into_iter().flatten().chain(entry.get("name"));
        for name in names.filter_map(Value::as_str) {
            reasons.entry(name.to_owned()).or_insert_with(|| reason.clone());
        }
    }
    Ok((imported.filter, reasons))
}

/// What a profile says that a filter has no place for.
fn unsaid(json: &Value, environment: &Environment, losses: &mut Vec<Loss>) {
    let entries = || json["syscalls"].as_array().into_iter().flatten();
    let circumstances = |key: &str| -> BTreeSet<String> {
        let both = entries().flat_map(|entry| [&entry["includes"][key], &entry["excludes"][key]]);
        let texts = both.flat_map(|value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]));
        texts.filter_map(|value| value.as_str().map(str::to_owned)).collect()
    };
    let capabilities = circumstances("caps");
    if !capabilities.is_empty() {
        let held: Vec<_> = environment.capabilities.iter().cloned().collect();
        let held = if held.is_empty() { "none".to_owned() } else { held.join(", ") };
        losses.push(Loss(format!(
            "entries that depend on capabilities ({}) are taken as with {held} (--capability)",
            shortened(&capabilities.into_iter().collect::<Vec<_>>())
        )));
    }
    let kernels = circumstances("minKernel");
    if !kernels.is_empty() {
        let (major, minor) = environment.kernel;
        losses.push(Loss(format!(
            "entries that depend on the kernel's version ({}) are taken as on Linux {major}.{minor} (--kernel)",
            shortened(&kernels.into_iter().collect::<Vec<_>>())
        )));
    }
    let own = match environment.arch {
        Arch::X86_64 => "SCMP_ARCH_X86_64",
        Arch::Aarch64 => "SCMP_ARCH_AARCH64",
    };
    let mapped = json["archMap"].as_array().into_iter().flatten();
    let below = mapped
        .filter(|map| map["architecture"] == own)
        .flat_map(|map| map["subArchitectures"].as_array().into_iter().flatten());
    let others = json["architectures"].as_array().into_iter().flatten().chain(below);
    let others: BTreeSet<_> = others.filter_map(Value::as_str).filter(|arch| *arch != own).map(str::to_owned).collect();
    named(losses, "calls in the manner of other architectures are refused", others.into_iter());
    let threads =
        entries().filter(|entry| matches!(entry["action"].as_str(), Some("SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD")));
    let threads: Vec<_> = threads
        .flat_map(|entry| entry["names"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    named(losses, "the whole job is killed where the source kills a thread", threads.into_iter());
    if matches!(json["defaultAction"].as_str(), Some("SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD")) {
        losses.push(Loss("by default the whole job is killed where the source kills a thread".to_owned()));
    }
    const KNOWN: [&str; 6] =
        ["defaultAction", "defaultErrnoRet", "defaultErrno", "architectures", "archMap", "syscalls"];
    let keys = json.as_object().into_iter().flatten().map(|(key, _)| key.clone());
    named(losses, "keys that mean nothing to a policy", keys.filter(|key| !KNOWN.contains(&key.as_str())));
}

fn of_unit(import: &Import<'_>, losses: &mut Vec<Loss>) -> Result<(Filter, Reasons), ExchangeError> {
    let unit = systemd::read(import.text)?;
    named(losses, "calls that this architecture's table does not have are refused", unit.unknown.into_iter());
    named(losses, "io_uring goes around every filter and is refused", unit.io_uring.into_iter());
    named(losses, "settings that mean nothing to a policy's system calls", unit.settings.into_iter());
    let mut reasons = Reasons::new();
    for set in systemd::sets() {
        if import.text.contains(set) || set == "@default" {
            for call in systemd::calls(set).into_iter().flatten() {
                reasons.entry(call.to_owned()).or_insert_with(|| format!("{set} of {}", import.name));
            }
        }
    }
    Ok((unit.filter, reasons))
}

/// A loss that names what it is about, if there is anything.
fn named(losses: &mut Vec<Loss>, what: &str, names: impl Iterator<Item = String>) {
    let mut names: Vec<_> = names.collect();
    names.dedup();
    if !names.is_empty() {
        losses.push(Loss(format!("{what}: {}", shortened(&names))));
    }
}

/// A list, cut where it is too long for a message.
fn shortened(names: &[String]) -> String {
    const MOST: usize = 12;
    let shown = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MOST { format!("{shown} and {} more", names.len() - MOST) } else { shown }
}

fn policy(
    import: &Import<'_>,
    default: CallAction,
    rules: &[(CallAction, Rule)],
    reasons: &Reasons,
    losses: &[Loss],
) -> String {
    let (major, minor) = import.environment.kernel;
    let capabilities: Vec<_> = import.environment.capabilities.iter().map(String::as_str).collect();
    let capabilities = if capabilities.is_empty() { "no capabilities".to_owned() } else { capabilities.join(", ") };
    let mut text = format!(
        "# System calls imported from {}, for {}, Linux {major}.{minor}, with {capabilities}.\n",
        one_line(import.name),
        import.environment.arch
    );
    for loss in losses {
        line(&mut text, format_args!("# Lost: {}.", one_line(&loss.0)));
    }
    line(&mut text, format_args!("\ndescription = {}", quoted(&format!("System calls of {}.", import.name))));
    line(&mut text, format_args!("extends = {}\n\n[system-calls]\ndefault = \"{default}\"", quoted(import.extends)));
    for of in CallAction::ALL {
        let listed: Vec<_> = rules.iter().filter(|(action, _)| action == of).collect();
        if listed.is_empty() {
            continue;
        }
        line(&mut text, format_args!("{of} = ["));
        for (_, rule) in listed {
            let reason = rule.call().and_then(|call| reasons.get(call)).cloned();
            let reason = reason.unwrap_or_else(|| format!("from {}", import.name));
            line(&mut text, format_args!("    {{ rule = {}, why = {} }},", quoted(&rule.to_string()), quoted(&reason)));
        }
        line(&mut text, format_args!("]"));
    }
    // Nothing of the base's calls, or the policy would permit more than its source.
    line(&mut text, format_args!("\n[remove]"));
    for of in CallAction::ALL {
        line(&mut text, format_args!("{of} = [\"*\"]"));
    }
    text
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let written = writeln!(text, "{arguments}");
    debug_assert!(written.is_ok(), "writing to a String does not fail");
}

fn one_line(text: &str) -> String {
    text.chars().map(|letter| if lazaret_policy::is_printable(letter) { letter } else { ' ' }).collect()
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let escaped: String = one_line(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}
