//! The corpus, one row for each probe.

mod bombs;
mod ends;
mod files;
mod host;
mod kernel;
mod mounts;
mod privileges;
mod processes;
mod sockets;

use crate::probe::Probe;

/// Every row.
pub(crate) fn all() -> impl Iterator<Item = &'static Probe> {
    let themes = [
        files::ROWS,
        processes::ROWS,
        kernel::ROWS,
        mounts::ROWS,
        sockets::ROWS,
        privileges::ROWS,
        host::ROWS,
        bombs::ROWS,
        ends::ROWS,
    ];
    themes.into_iter().flatten()
}
