//! From a filter to the JSON.

use std::collections::BTreeMap;

use super::{Arg, Entry, Profile};
use crate::arch::Arch;
use crate::cube::{self, Cube};
use crate::filter::{Action, Filter};
use crate::rule::{Comparison, Plain, Resolved};
use crate::table::{self, CallId};

/// More entries than this for one call are of no use to anybody.
const MAX_CUBES: usize = 1024;

/// A filter cannot be written as a profile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The format has no order and no negation, and saying it without takes too many entries.
    #[error("the conditions on `{call}` need more than {MAX_CUBES} entries in a format without order")]
    TooManyConditions {
        /// The call.
        call: &'static str,
    },
    /// The JSON could not be made.
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
}

/// Writes what `filter` decides on `arch` as a profile, pretty-printed.
///
/// [`Action::Errno`] and [`Action::Refuse`] are the same there. How a runtime treats foreign architectures and unknown
/// calls is up to the runtime.
///
/// # Errors
///
/// When some call's conditions cannot be said in a reasonable number of entries.
pub fn write(filter: &Filter, arch: Arch) -> Result<String, WriteError> {
    let default = Outcome::of(filter.default_action());
    let mut unconditional: BTreeMap<Outcome, Vec<String>> = BTreeMap::new();
    let mut conditional = Vec::new();
    for (_, name) in table::iter(arch) {
        let Some(call) = CallId::named(name) else {
            continue;
        };
        let cubes = || decision(filter, call, arch, default);
        let with_args = |(outcome, cube)| (outcome, args(cube));
        let entries = one_outcome(filter, call, arch, default)
            .or_else(|| Some(cubes()?.into_iter().map(with_args).collect()))
            .ok_or(WriteError::TooManyConditions { call: name })?;
        for (outcome, args) in entries {
            if args.is_empty() {
                unconditional.entry(outcome).or_default().push(name.to_owned());
            } else {
                conditional.push(outcome.entry(vec![name.to_owned()], args));
            }
        }
    }
    let mut syscalls: Vec<_> =
        unconditional.into_iter().map(|(outcome, names)| outcome.entry(names, Vec::new())).collect();
    syscalls.append(&mut conditional);
    let architecture = match arch {
        Arch::X86_64 => "SCMP_ARCH_X86_64",
        Arch::Aarch64 => "SCMP_ARCH_AARCH64",
    };
    let profile = Profile {
        default_action: default.action.to_owned(),
        default_errno_ret: default.errno,
        architectures: vec![architecture.to_owned()],
        syscalls,
    };
    Ok(serde_json::to_string_pretty(&profile)?)
}

/// An action in the words of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Outcome {
    action: &'static str,
    errno: Option<u32>,
}

impl Outcome {
    fn of(action: Action) -> Self {
        let (action, errno) = match action {
            Action::Allow => ("SCMP_ACT_ALLOW", None),
            Action::Log => ("SCMP_ACT_LOG", None),
            Action::Trap => ("SCMP_ACT_TRAP", None),
            Action::Kill => ("SCMP_ACT_KILL_PROCESS", None),
            Action::Errno(errno) | Action::Refuse(errno) => ("SCMP_ACT_ERRNO", Some(u32::from(errno))),
        };
        Self { action, errno }
    }

    fn entry(self, names: Vec<String>, args: Vec<Arg>) -> Entry {
        Entry { names, action: self.action.to_owned(), errno_ret: self.errno, args, ..Entry::default() }
    }
}

/// The entries of a call whose alternatives all have one outcome, and which has the default one otherwise: these may
/// overlap, so that a comparison of 64 bits, which the format has, can stand as it is. `None`: it is no such call, or that
/// takes too many entries.
fn one_outcome(filter: &Filter, call: CallId, arch: Arch, default: Outcome) -> Option<Vec<(Outcome, Vec<Arg>)>> {
    let alternatives: Vec<_> = filter.alternatives(call).collect();
    let outcome = Outcome::of(alternatives.first()?.action);
    let is_one = alternatives.iter().all(|alternative| Outcome::of(alternative.action) == outcome);
    if !is_one || outcome == default || Outcome::of(filter.fallback(call).action) != default || call.is_io_uring() {
        return None;
    }
    let mut entries = Vec::new();
    for alternative in &alternatives {
        let leaning = alternative.action.leaning();
        let conditions: Vec<_> =
            alternative.member.conditions.iter().map(|condition| condition.resolve(arch, leaning)).collect();
        let mut cubes = vec![Cube::default()];
        let mut natives = Vec::new();
        for condition in &conditions {
            // Several conditions on one argument are alternatives to the runtimes.
            let alone = conditions.iter().filter(|other| other.index == condition.index).count() == 1;
            match native(condition).filter(|_| alone) {
                Some(arg) => natives.push(arg),
                None => {
                    let holding = cube::of(condition);
                    cubes = cubes
                        .iter()
                        .flat_map(|cube| holding.iter().filter_map(|other| cube.intersect(*other)))
                        .collect();
                }
            }
            if cubes.len() > MAX_CUBES {
                return None;
            }
        }
        entries.extend(cubes.into_iter().map(|cube| {
            let mut args = args(cube);
            args.extend(natives.iter().cloned());
            args.sort_by_key(|arg| arg.index);
            (outcome, args)
        }));
    }
    (entries.len() <= MAX_CUBES).then_some(entries)
}

/// A comparison of all 64 bits in the words of the format.
fn native(condition: &Resolved<'_>) -> Option<Arg> {
    let (op, value) = match condition.plain() {
        _ if !condition.is_long => return None,
        Plain::Compare(Comparison::NotEqual, value) => ("SCMP_CMP_NE", value),
        Plain::Compare(Comparison::Less, value) => ("SCMP_CMP_LT", value),
        Plain::Compare(Comparison::LessOrEqual, value) => ("SCMP_CMP_LE", value),
        Plain::Compare(Comparison::Greater, value) => ("SCMP_CMP_GT", value),
        Plain::Compare(Comparison::GreaterOrEqual, value) => ("SCMP_CMP_GE", value),
        Plain::Compare(Comparison::Equal, _) | Plain::Masked { .. } | Plain::In(_) => return None,
    };
    Some(Arg { index: condition.index, value, value_two: 0, op: op.to_owned() })
}

/// For which registers a call has an outcome other than the default one. `None` when that takes too many cubes.
fn decision(filter: &Filter, call: CallId, arch: Arch, default: Outcome) -> Option<Vec<(Outcome, Cube)>> {
    let mut entries = Vec::new();
    // What no alternative has claimed yet, going from the last, which prevails, to the first.
    let mut residual = vec![Cube::default()];
    let fallback = Outcome::of(filter.fallback(call).action);
    let mut run: Option<(Outcome, Vec<Cube>)> = None;
    let alternatives: Vec<_> = filter.alternatives(call).collect();
    for alternative in alternatives.iter().rev() {
        let outcome = Outcome::of(if call.is_io_uring() && alternative.action.permits() {
            filter.fallback(call).action
        } else {
            alternative.action
        });
        let cubes = cube::holding(alternative, arch, MAX_CUBES)?;
        // Alternatives of one outcome may overlap, so they are not kept apart.
        match &mut run {
            Some((same, claimed)) if *same == outcome => claimed.extend(cubes),
            _ => {
                residual = claim(residual, run.replace((outcome, cubes)), default, &mut entries)?;
            }
        }
    }
    if run.as_ref().is_some_and(|(outcome, _)| *outcome == fallback) {
        run = None;
    }
    residual = claim(residual, run, default, &mut entries)?;
    if fallback != default {
        entries.extend(residual.into_iter().map(|cube| (fallback, cube)));
    }
    (entries.len() <= MAX_CUBES).then_some(entries)
}

/// Takes what a run of alternatives claims out of the residual, and notes it unless it is the default.
fn claim(
    residual: Vec<Cube>,
    run: Option<(Outcome, Vec<Cube>)>,
    default: Outcome,
    entries: &mut Vec<(Outcome, Cube)>,
) -> Option<Vec<Cube>> {
    let Some((outcome, cubes)) = run else {
        return Some(residual);
    };
    if outcome != default {
        let claimed = residual.iter().flat_map(|rest| cubes.iter().filter_map(|cube| rest.intersect(*cube)));
        entries.extend(claimed.take(MAX_CUBES + 1).map(|cube| (outcome, cube)));
    }
    let mut rest = residual;
    for cube in cubes {
        rest = rest.into_iter().flat_map(|part| part.subtract(cube)).collect();
        if rest.len() > MAX_CUBES {
            return None;
        }
    }
    (entries.len() <= MAX_CUBES).then_some(rest)
}

fn args(cube: Cube) -> Vec<Arg> {
    let fixed = (0_u8..).zip(cube.0).filter(|(_, bits)| bits.mask != 0);
    fixed
        .map(|(index, bits)| {
            if bits.mask == u64::MAX {
                Arg { index, value: bits.value, value_two: 0, op: "SCMP_CMP_EQ".to_owned() }
            } else {
                Arg { index, value: bits.mask, value_two: bits.value, op: "SCMP_CMP_MASKED_EQ".to_owned() }
            }
        })
        .collect()
}
