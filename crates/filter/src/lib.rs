//! The system-call filter of Lazaret: tables, groups, the allowlist language and the BPF compiler.
//!
//! Pure data: nothing here makes a system call. A [`Filter`] is a default [`Action`] and an ordered list of
//! [`Rule`]s with their actions, of which the last that matches decides. [`Filter::decide`] says what that means for
//! one call, and [`Filter::compile`] makes the same decision into a classic-BPF [`Program`] for seccomp(2).
//!
//! ```
//! use lazaret_filter::{Action, Arch, Backend, Filter, Rule};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let filter = Filter::new(Action::Refuse(1))
//!     .rule(Rule::parse("@default")?, Action::Allow)
//!     .rule(Rule::parse("@threads")?, Action::Allow)
//!     .rule(Rule::parse("ioctl(request == TIOCSTI)")?, Action::Kill);
//! let program = filter.compile(Arch::X86_64, Backend::Alone)?;
//! assert!(program.len() < 256);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

#[cfg(test)]
mod arbitrary;
mod arch;
mod compile;
mod cube;
mod filter;
mod permits;
mod program;
mod rule;
mod watch;

pub mod argument;
pub mod compare;
pub mod constant;
pub mod errno;
pub mod groups;
pub mod interpret;
pub mod oci;
pub mod systemd;
pub mod table;

pub use arch::Arch;
pub use argument::argument_name;
pub use compile::{Backend, CompileError, RuleCost};
pub use filter::{Action, Call, Decision, Filter, Reason};
pub use program::{Instruction, Program};
pub use rule::{ParseError, ParseErrorKind, Rule};
pub use watch::{Sight, Watch};
