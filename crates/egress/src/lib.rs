//! Where a job may connect to.
//!
//! A [`Rule`] says which host and port a job may reach, a [`RequestRule`] which requests of HTTP it may make; [`Host`] is the
//! one form of all spellings of a host, [`RequestPath`] that of a path; [`Guard`] decides on an address that a name resolved
//! to, right before it is connected to.

mod class;
mod guard;
mod host;
mod path;
mod question;
mod request;
mod rule;
mod upstream;

pub use class::{Class, class, wrapped};
pub use guard::{Guard, Refusal};
pub use host::{Host, HostError, Name};
pub use path::{PathError, RequestPath};
pub use question::{Question, Told, Transport, Wants};
pub use request::{Methods, PathPattern, RequestRule, RequestRuleError, RequestRuleProblem, Scheme};
pub use rule::{Ports, Rule, RuleError, RuleProblem, Target};
pub use upstream::{ResolveError, Resolved, Upstream};
