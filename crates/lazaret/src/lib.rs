//! Run a risky command in a fresh sandbox and get a typed verdict.
//!
//! A [`Job`] is one command with its inputs and the outputs that are wanted; a [`Policy`] says what it may do. Each run
//! gets a jail of its own: namespaces, a private file tree, limits on the whole tree of processes, a system-call filter
//! and Landlock. When it returns, all of the job's processes are dead and nothing of the jail is left.
//!
//! ```
//! use lazaret::{Job, Verdict};
//!
//! let policy = lazaret::profile("default")?;
//! let report = Job::new("tr").args(["a-z", "A-Z"]).stdin(b"quarantine\n").run(&policy)?;
//!
//! assert_eq!(report.verdict, Verdict::Ok);
//! assert_eq!(report.stdout, b"QUARANTINE\n");
//! # Ok::<(), lazaret::Error>(())
//! ```
//!
//! A job's own fate is data, never an `Err`:
//!
//! ```
//! use lazaret::{Job, Verdict};
//!
//! let policy = lazaret::profile("default")?;
//! let policy = lazaret::change(policy).limit("wall=100ms")?.build();
//! let report = Job::new("sleep").args(["60"]).run(&policy)?;
//!
//! assert!(matches!(report.verdict, Verdict::Timeout { .. }));
//! println!("{}", report.verdict); // names the limit, its value and the key that raises it
//! # Ok::<(), lazaret::Error>(())
//! ```
//!
//! Files go in under their base names and come out whole or not at all:
//!
//! ```
//! # let directory = std::env::temp_dir().join(format!("lazaret-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! # let photo = directory.join("list.txt");
//! # std::fs::write(&photo, "b\na\n")?;
//! let policy = lazaret::profile("default")?;
//! let report = lazaret::Job::new("sort")
//!     .args(["-o", "sorted.txt", "list.txt"])
//!     .input(&photo)
//!     .output("sorted.txt")
//!     .run(&policy)?;
//!
//! assert_eq!(report.output("sorted.txt"), Some(&b"a\nb\n"[..]));
//! # std::fs::remove_dir_all(directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A program can also lock *itself* down, once it has opened what it needs: [`lockdown`].
//!
//! A closure runs in a locked-down process of its own, without namespaces or privileges: [`sandboxed`].
//!
//! ```
//! let policy = lazaret::profile("compute")?;
//! let decode = lazaret::sandboxed(&policy, |input: &[u8]| match input {
//!     [first, ..] => Ok(vec![*first]),
//!     [] => Err("nothing to decode".to_owned()),
//! })?;
//!
//! let called = decode.call(b"quarantine")?;
//! assert_eq!(&*called.into_value()?.map_err(|own| own)?, b"q");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! On a Tokio runtime, with the feature `tokio`, `Job::run_async` and `Function::call_async` do the same; dropping their
//! futures ends the job or the call.

#![forbid(unsafe_code)]

mod error;
mod job;
mod launcher;
mod load;
mod lock;
mod report;
pub mod rollout;
pub mod vain;
pub mod view;

pub use error::Error;
pub use job::{Job, launcher};
pub use launcher::{Launcher, own_rules};
pub use lazaret_jail::run::{Ahead, Cancel, Sink};
pub use lazaret_jail::{plan, probe, steps, uid};
pub use lazaret_launch::observe;
pub use lazaret_policy::{
    Bytes, Control, Explanation, FileName, Holding, Layer, LimitHit, LimitKey, Limits, Mode, OutputProblem, Policy,
    PolicyError, Refusal, Source, StartFailure, StartFailureKind, Tier, Usage, Verdict,
};
pub use lazaret_seccomp as seccomp;
pub use lazaret_seccomp::call::{
    self, CallError, Called, Ending, Function, SandboxError, Spawner, TypedFunction, sandboxed, sandboxed_typed,
    sandboxed_writing,
};
pub use lazaret_seccomp::lockdown::{Finding, LockdownError, LockdownReport, Severity, Unmet};
pub use load::{Change, change, check_host, check_url, policy_file, policy_text, profile, profiles};
pub use lock::{input_complete, lockdown, lockdown_preflight, lockdown_strict, work_begins};
pub use report::Report;
