//! What is executed.

use crate::error::PlanError;
use lazaret_policy::{EnvValue, Job, JobError, Policy};
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;

/// The paths to try, the arguments and the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Paths in the jail, tried in turn as execvp(3) does.
    pub candidates: Vec<CString>,
    /// The argument vector.
    pub arguments: Vec<CString>,
    /// The environment, sorted by name.
    pub environment: Vec<CString>,
}

impl Program {
    /// Looks nothing up: which candidate is there is found by executing.
    ///
    /// # Errors
    ///
    /// A NUL in a string.
    pub fn new(policy: &Policy, job: &Job) -> Result<Self, PlanError> {
        let mut environment: BTreeMap<&str, &str> = BTreeMap::new();
        for variable in &policy.environment {
            if let EnvValue::Set(value) = &variable.value.value {
                environment.insert(&variable.value.name, value);
            }
        }
        for (name, value) in &job.environment {
            environment.insert(name, value);
        }
        let candidates = candidates(job.command.as_bytes(), environment.get("PATH").copied().unwrap_or_default());
        let arguments = std::iter::once(&job.command).chain(&job.args);
        Ok(Self {
            candidates: candidates.into_iter().map(string).collect::<Result<_, _>>()?,
            arguments: arguments.map(|arg| string(arg.as_bytes().to_vec())).collect::<Result<_, _>>()?,
            environment: environment
                .iter()
                .map(|(name, value)| string(format!("{name}={value}").into_bytes()))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// As execvp(3): a command with a slash is a path, any other is looked for in each directory of PATH.
fn candidates(command: &[u8], path: &str) -> Vec<Vec<u8>> {
    if command.contains(&b'/') {
        return vec![command.to_vec()];
    }
    let directories = path.split(':').filter(|directory| !directory.is_empty());
    directories.map(|directory| [directory.as_bytes(), b"/", command].concat()).collect()
}

fn string(bytes: Vec<u8>) -> Result<CString, PlanError> {
    CString::new(bytes).map_err(|error| {
        let text = OsStr::from_bytes(&error.into_vec()).to_string_lossy().into_owned();
        PlanError::Job(JobError::Nul { text })
    })
}
