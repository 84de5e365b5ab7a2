//! Jobs that do not end, and verdicts that a job would like to choose.

use std::time::Duration;

use crate::call::{ignore, sys};
use crate::child;
use crate::outcome::{Arguments, Named, Outcome};
use crate::processes;

pub(crate) const PROBES: &[Named] = &[
    ("sleep-forever", sleep_forever),
    ("ignore-signals", ignore_signals),
    ("stop-everything", stop_everything),
    ("daemon", daemon),
    ("moving-target", moving_target),
    ("end-by-signal", end_by_signal),
    ("end-with-code", end_with_code),
];

/// Long enough to be for ever, short enough not to stay for ever when a jail fails.
const FOR_EVER: u64 = 60_000;

fn sleep_forever(_: &Arguments) -> Outcome {
    child::nap(FOR_EVER);
    Outcome::escaped("slept as long as it liked")
}

fn ignore_signals(_: &Arguments) -> Outcome {
    let mut every = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: a writable signal set.
    unsafe { libc::sigfillset(every.as_mut_ptr()) };
    // SAFETY: filled by the call before.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, every.as_ptr(), std::ptr::null_mut()) };
    for number in 1..64 {
        // SAFETY: a signal is ignored; no handler. It fails for those that cannot be.
        unsafe { libc::signal(number, libc::SIG_IGN) };
    }
    child::nap(FOR_EVER);
    Outcome::escaped("slept as long as it liked")
}

/// Stops everything that it can see, and then itself.
fn stop_everything(args: &Arguments) -> Outcome {
    if args.text(0) != "anyway" && !processes::in_own_pid_namespace() {
        return Outcome::escaped("there is no pid namespace of its own");
    }
    ignore(sys!(kill, -1, libc::SIGSTOP));
    ignore(sys!(kill, 1, libc::SIGSTOP));
    ignore(sys!(kill, 0, libc::SIGSTOP));
    Outcome::escaped("went on")
}

/// A grandchild in a session of its own, which ignores what it can, while the job ends.
fn daemon(_: &Arguments) -> Outcome {
    let made = child::fork(|| {
        // SAFETY: no arguments.
        unsafe { libc::setsid() };
        let again = child::fork(|| {
            for number in [libc::SIGHUP, libc::SIGTERM, libc::SIGINT, libc::SIGQUIT] {
                // SAFETY: a signal is ignored; no handler.
                unsafe { libc::signal(number, libc::SIG_IGN) };
            }
            for descriptor in 0..3 {
                // SAFETY: a number.
                unsafe { libc::close(descriptor) };
            }
            child::nap(FOR_EVER);
            0
        });
        i32::from(again.is_err())
    });
    match made.and_then(child::Child::wait) {
        Ok(child::End::Exited(0)) => Outcome::judged_outside(),
        other => Outcome::Blocked(format!("fork: {other:?}")),
    }
}

/// \[MILLISECONDS\]: a process that is never the same twice: each makes the next and ends.
fn moving_target(args: &Arguments) -> Outcome {
    let life = if args.all().is_empty() { FOR_EVER } else { args.number(0) };
    let made = child::fork(|| {
        // SAFETY: no arguments.
        unsafe { libc::setsid() };
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(life) {
            // SAFETY: one thread.
            if unsafe { libc::fork() } > 0 {
                return 0;
            }
            // Long enough to be met by whoever looks for it, on a busy machine too.
            child::nap(40);
        }
        0
    });
    ignore(made.and_then(child::Child::wait));
    Outcome::judged_outside()
}

/// NUMBER: ends itself as a limit would.
fn end_by_signal(args: &Arguments) -> Outcome {
    let number: i32 = args.number(0);
    // SAFETY: the default is set; no handler.
    unsafe { libc::signal(number, libc::SIG_DFL) };
    ignore(sys!(kill, std::process::id(), number));
    child::nap(1000);
    Outcome::Blocked("the signal did not end it".to_owned())
}

/// CODE: exits as a shell would for a signal.
fn end_with_code(args: &Arguments) -> Outcome {
    child::leave(args.number(0))
}
