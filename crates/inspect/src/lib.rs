//! Looks at a thread of a job that waits in a system call: the paths and addresses that the call names.
//!
//! A [`Thread`] is one that waits for its supervisor's answer to a system call (seccomp_unotify(2)). What is read of it is
//! the job's: any bytes, which may have changed by the time that the kernel reads them. It is good for records and
//! remarks, and no decision may rest on it.

#![forbid(unsafe_code)]

mod address;
mod advice;
mod explain;
mod image;
mod look;
mod maps;
mod module;
mod path;
mod reader;
mod since;
mod stack;
mod text;
mod thread;

pub use address::{Address, AddressRole, AddressUse, addresses};
pub use explain::{Explainer, Refused, line_after_start};
pub use look::{Looker, Sight};
pub use path::{PathAccess, PathUse, path_calls, paths};
pub use reader::Reader;
pub use thread::{InspectError, Thread};

use lazaret_filter::{Arch, Call, table};

/// The name of `call` when it was made in the manner of this architecture.
fn name(call: &Call) -> Option<&'static str> {
    let arch = Arch::from_audit(call.audit_arch).filter(|arch| Some(*arch) == Arch::native())?;
    table::name(arch, call.nr)
}
