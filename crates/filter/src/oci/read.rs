//! From the JSON to a filter.

use std::collections::BTreeSet;

use super::{Arg, Circumstances, Entry, Profile};
use crate::arch::Arch;
use crate::argument::{self, Width};
use crate::filter::{Action, ENOSYS, EPERM, Filter};
use crate::rule::{Comparison, Condition, Member, Rule, Test, Value};
use crate::table::CallId;

/// What a profile's `includes` and `excludes` ask about.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The architecture of the job.
    pub arch: Arch,
    /// The capabilities in the job's bounding set, by names such as `CAP_SYS_ADMIN`.
    pub capabilities: BTreeSet<String>,
    /// The kernel's major and minor version.
    pub kernel: (u32, u32),
}

/// A filter out of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The filter, which permits no more than the profile.
    pub filter: Filter,
    /// What the profile names and the filter leaves out, in order.
    pub ignored: Vec<Ignored>,
}

/// Something in a profile that has no place in a filter. Leaving it out permits less, never more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ignored {
    /// A call that the table does not have, such as one of 32-bit architectures. A filter refuses it.
    UnknownCall(String),
    /// The profile permits an io_uring call. A filter refuses it.
    IoUring(String),
}

/// A profile cannot be read as a filter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The text is not JSON of the expected shape.
    #[error("the text is not a seccomp profile")]
    Json(#[from] serde_json::Error),
    /// The action has no counterpart.
    #[error("unsupported action `{action}`")]
    Action {
        /// The action as written.
        action: String,
    },
    /// The errno is not one that the kernel returns.
    #[error("errno {errno} is out of range")]
    Errno {
        /// The errno as written.
        errno: u32,
    },
    /// The comparison is unknown.
    #[error("unknown operator `{operator}`")]
    Operator {
        /// The operator as written.
        operator: String,
    },
    /// An argument's index is above 5, or its value is one that the argument cannot have.
    #[error("no condition on argument {index} of `{call}` can have the value {value:#x}")]
    Argument {
        /// The call.
        call: &'static str,
        /// The index as written.
        index: u8,
        /// The value as written.
        value: u64,
    },
    /// A kernel version is malformed.
    #[error("`{version}` is not a kernel version")]
    Kernel {
        /// The version as written.
        version: String,
    },
}

/// Reads a profile as it applies in `environment`.
///
/// `SCMP_ACT_ERRNO` becomes [`Action::Refuse`], except with `ENOSYS`, by which profiles make libraries fall back: that
/// is silent. Conditions on arguments of which the kernel reads 32 bits compare those only.
///
/// # Errors
///
/// When the text is not a profile, or says something that a filter cannot.
pub fn read(json: &str, environment: &Environment) -> Result<Imported, ReadError> {
    let profile: Profile = serde_json::from_str(json)?;
    let default = action(&profile.default_action, profile.default_errno_ret)?;
    let mut filter = Filter::new(default);
    let mut unconditional = Vec::new();
    let mut ignored = Vec::new();
    for entry in &profile.syscalls {
        if !applies(entry, environment)? {
            continue;
        }
        let entry_action = action(&entry.action, entry.errno_ret)?;
        if entry_action == default {
            continue;
        }
        for name in entry.names.iter().chain(&entry.name) {
            let Some(call) = CallId::named(name) else {
                ignored.push(Ignored::UnknownCall(name.clone()));
                continue;
            };
            if call.is_io_uring() && entry_action.permits() {
                ignored.push(Ignored::IoUring(name.clone()));
                continue;
            }
            for conditions in conjunctions(call, &entry.args)? {
                let is_conditional = !conditions.is_empty();
                let rule = Rule::of_call(Member { call, conditions });
                if is_conditional {
                    filter.push(rule, entry_action);
                } else {
                    unconditional.push((rule, entry_action));
                }
            }
        }
    }
    for (rule, action) in unconditional {
        filter.push(rule, action);
    }
    Ok(Imported { filter, ignored })
}

fn action(name: &str, errno: Option<u32>) -> Result<Action, ReadError> {
    match name {
        "SCMP_ACT_ALLOW" => Ok(Action::Allow),
        "SCMP_ACT_LOG" => Ok(Action::Log),
        "SCMP_ACT_TRAP" => Ok(Action::Trap),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_PROCESS" | "SCMP_ACT_KILL_THREAD" => Ok(Action::Kill),
        "SCMP_ACT_ERRNO" => {
            let errno = errno.unwrap_or(u32::from(EPERM));
            match u16::try_from(errno) {
                Ok(ENOSYS) => Ok(Action::Errno(ENOSYS)),
                Ok(errno @ 0..=4095) => Ok(Action::Refuse(errno)),
                _ => Err(ReadError::Errno { errno }),
            }
        }
        _ => Err(ReadError::Action { action: name.to_owned() }),
    }
}

fn applies(entry: &Entry, environment: &Environment) -> Result<bool, ReadError> {
    let Circumstances { caps, arches, min_kernel } = &entry.includes;
    let included = caps.iter().all(|cap| environment.capabilities.contains(cap))
        && (arches.is_empty() || arches.iter().any(|arch| is_named(environment.arch, arch)))
        && min_kernel.as_deref().map(version).transpose()?.is_none_or(|version| environment.kernel >= version);
    let Circumstances { caps, arches, min_kernel } = &entry.excludes;
    let excluded = caps.iter().any(|cap| environment.capabilities.contains(cap))
        || arches.iter().any(|arch| is_named(environment.arch, arch))
        || min_kernel.as_deref().map(version).transpose()?.is_some_and(|version| environment.kernel >= version);
    Ok(included && !excluded)
}

fn is_named(arch: Arch, name: &str) -> bool {
    match arch {
        Arch::X86_64 => matches!(name, "amd64" | "x86_64"),
        Arch::Aarch64 => matches!(name, "arm64" | "aarch64"),
    }
}

fn version(text: &str) -> Result<(u32, u32), ReadError> {
    let parsed = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    parsed.ok_or_else(|| ReadError::Kernel { version: text.to_owned() })
}

/// The conditions of an entry, as alternatives: if some argument has several, each stands alone, as runc has it.
fn conjunctions(call: CallId, args: &[Arg]) -> Result<Vec<Vec<Condition>>, ReadError> {
    let indices: BTreeSet<_> = args.iter().map(|arg| arg.index).collect();
    let conditions = args.iter().map(|arg| condition(call, arg)).collect::<Result<Vec<_>, _>>()?;
    if indices.len() < args.len() {
        Ok(conditions.into_iter().map(|condition| vec![condition]).collect())
    } else {
        Ok(vec![conditions])
    }
}

fn condition(call: CallId, arg: &Arg) -> Result<Condition, ReadError> {
    let Arg { index, value, value_two, ref op } = *arg;
    let impossible = || ReadError::Argument { call: call.name(), index, value };
    if index > 5 {
        return Err(impossible());
    }
    let argument = argument::at(call, index);
    let is_int = argument.width == Width::Int;
    let number = Value::number(value);
    let comparison = match op.as_str() {
        "SCMP_CMP_EQ" => Comparison::Equal,
        "SCMP_CMP_NE" => Comparison::NotEqual,
        "SCMP_CMP_LT" => Comparison::Less,
        "SCMP_CMP_LE" => Comparison::LessOrEqual,
        "SCMP_CMP_GT" => Comparison::Greater,
        "SCMP_CMP_GE" => Comparison::GreaterOrEqual,
        "SCMP_CMP_MASKED_EQ" => {
            let masked = Value::number(value & value_two);
            return if is_int && !(number.fits_int() && masked.fits_int()) {
                Err(impossible())
            } else if is_int && value == u64::from(u32::MAX) {
                Ok(Condition { argument, test: Test::Compare(Comparison::Equal, masked) })
            } else {
                Ok(Condition { argument, test: Test::Masked { mask: number, equal: true, value: masked } })
            };
        }
        _ => {
            return Err(ReadError::Operator { operator: op.clone() });
        }
    };
    let fits = if comparison.is_ordering() { number.fits_unsigned_int() } else { number.fits_int() };
    if is_int && !fits {
        return Err(impossible());
    }
    Ok(Condition { argument, test: Test::Compare(comparison, number) })
}
