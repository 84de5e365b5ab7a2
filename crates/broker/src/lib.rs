//! Makes calls for a job: on the job's own objects, with arguments that were copied once and decided on as copies.
//!
//! A system-call filter cannot look through a pointer, so it cannot decide about a path or an address. It has such calls
//! wait, and the supervisor makes them here. It never lets one go on as it is because of what it read: the job's other
//! threads can change memory, and descriptor tables, after the look.

mod caller;
pub mod files;
pub mod ledger;
pub mod net;
mod rules;
pub mod together;

pub use caller::{Caller, CallerError, Reply};
pub use ledger::{Account, Budget, Change, ConnectionId, Ledger, LedgerError, Passed, supported};
pub use rules::RULES;
pub use together::Together;
