//! Where a job may connect to.
//!
//! Pure data and decisions: nothing here opens a socket. A [`Rule`] says which host and port a job may reach; [`Host`] is the one
//! form of all spellings of a host; [`Guard`] decides on an address that a name resolved to, right before it is connected to.

mod class;
mod guard;
mod host;
mod rule;

pub use class::{Class, class, wrapped};
pub use guard::{Guard, Refusal};
pub use host::{Host, HostError, Name};
pub use rule::{Ports, Rule, RuleError, RuleProblem, Target};
