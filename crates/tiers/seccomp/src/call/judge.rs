//! What a call's end is called.

use super::called::Ending;
use super::child::STEPS;
use super::error::CallError;
use super::output::state;
use super::recipe::Recipe;
use super::room::{Head, Layout};
use super::watch::{Stop, Watched};
use lazaret_policy::{LimitKey, Verdict};
use lazaret_sys::wait::Ended;
use std::io;
use std::time::Duration;

/// An answer that is there to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Whether it is the function's own error.
    pub(crate) is_error: bool,
    /// Its length, within the bound.
    pub(crate) len: usize,
}

/// How the call ended, with its answer if it returned. An error when the function's turn never came.
///
/// Nothing rests on the head but what the function may decide anyway: its answer, and what its own failure is called.
pub(crate) fn judge(
    watched: &Watched,
    head: &Head,
    recipe: &Recipe,
    layout: Layout,
) -> Result<(Ending, Option<Answer>), CallError> {
    if !watched.ready && watched.stop.is_none() {
        return Err(not_ready(head));
    }
    let limit = |key| {
        let verdict = Verdict::of_limit(recipe.limits.hit(key));
        Ending::Stopped(Box::new(verdict.unwrap_or_else(|| Verdict::signalled(libc::SIGKILL))))
    };
    if let Some(violation) = &watched.refused.violation {
        return Ok((Ending::Stopped(Box::new(violation.clone())), None));
    }
    // Only its own end makes an answer; where nobody knows how it ended, the answer tells.
    if matches!(watched.ended, Some(Ended::Exited(0)) | None) && head.state != 0 {
        return Ok(answered(head, layout, limit));
    }
    let ending = match (watched.stop, watched.ended) {
        (_, Some(Ended::Exited(code))) => Ending::NoAnswer { code: u8::try_from(code & 0xff).unwrap_or(u8::MAX) },
        (Some(Stop::Wall), _) => limit(LimitKey::Wall),
        (Some(Stop::Cpu), _) => limit(LimitKey::Cpu),
        (Some(Stop::Cancelled), _) => Ending::Stopped(Box::new(Verdict::Cancelled)),
        (_, Some(Ended::Signalled(signal))) => signalled(signal, watched, head, recipe, limit),
        (_, None) => Ending::Stopped(Box::new(Verdict::signalled(libc::SIGKILL))),
    };
    Ok((ending, None))
}

fn not_ready(head: &Head) -> CallError {
    let step = usize::try_from(head.step).ok().and_then(|step| STEPS.get(step));
    match step.filter(|_| head.state == state::SETUP) {
        Some(step) => CallError::Setup { step, source: io::Error::from_raw_os_error(head.errno) },
        None => CallError::Setup { step: "it was killed meanwhile", source: io::ErrorKind::Interrupted.into() },
    }
}

fn answered(head: &Head, layout: Layout, limit: impl Fn(LimitKey) -> Ending) -> (Ending, Option<Answer>) {
    let garbled = |problem: &str| (Ending::Garbled { problem: problem.to_owned() }, None);
    match head.state {
        state::VALUE | state::ERROR => match usize::try_from(head.output_len) {
            Ok(len) if head.output_len <= layout.bound => {
                (Ending::Returned, Some(Answer { is_error: head.state == state::ERROR, len }))
            }
            _ => garbled("it is longer than its place"),
        },
        state::PANIC => (Ending::Panicked { message: head.message.clone() }, None),
        state::OVER => (limit(LimitKey::Output), None),
        state::CODEC => garbled("the codec could not read its input or write its output"),
        _ => garbled("nobody wrote what is there"),
    }
}

fn signalled(
    signal: i32,
    watched: &Watched,
    head: &Head,
    recipe: &Recipe,
    limit: impl Fn(LimitKey) -> Ending,
) -> Ending {
    let processor_time = Duration::from_micros(watched.used.user_us + watched.used.system_us);
    let crash = matches!(signal, libc::SIGABRT | libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGTRAP);
    match signal {
        libc::SIGXCPU => limit(LimitKey::Cpu),
        libc::SIGKILL if processor_time >= recipe.limits.cpu.duration() => limit(LimitKey::Cpu),
        libc::SIGXFSZ => limit(LimitKey::FileSize),
        _ if crash && (head.short_memory || watched.refused.beyond) => limit(LimitKey::Memory),
        // A program that aborts where others unwind.
        libc::SIGABRT if !head.message.is_empty() => Ending::Panicked { message: head.message.clone() },
        libc::SIGSYS if !recipe.order.listen && recipe.filter.kills() => {
            Ending::Stopped(Box::new(Verdict::Violation {
                call: "unknown: nobody is told of calls on this host".to_owned(),
                number: 0,
                args: [0; 6],
                rule: None,
                arch: std::env::consts::ARCH.to_owned(),
                explanation: None,
            }))
        }
        signal => Ending::Stopped(Box::new(Verdict::signalled(signal))),
    }
}

#[cfg(test)]
mod tests;
