//! What came of a job.

use lazaret_jail::run::Finished;
use lazaret_policy::{FileName, Report as Data};
use std::ffi::OsStr;
use std::ops::Deref;

/// What came of a job: the data of its report, and the outputs that were asked for without a destination.
#[derive(Debug)]
pub struct Report {
    data: Data,
    outputs: Vec<(FileName, Vec<u8>)>,
}

impl Report {
    pub(crate) fn new(finished: Finished) -> Self {
        Self { data: finished.report, outputs: finished.outputs }
    }

    /// The bytes of the output `name`, if the job delivered it and it was asked for without a destination.
    pub fn output(&self, name: impl AsRef<OsStr>) -> Option<&[u8]> {
        let name = name.as_ref();
        self.outputs.iter().find(|(output, _)| output.as_os_str() == name).map(|(_, bytes)| bytes.as_slice())
    }

    /// The data of the report, as its JSON has it.
    pub fn data(&self) -> &Data {
        &self.data
    }
}

impl Deref for Report {
    type Target = Data;

    fn deref(&self) -> &Data {
        &self.data
    }
}
