//! What is executed.

use crate::error::PlanError;
use crate::filter::FilterPlan;
use crate::network;
use crate::start;
use lazaret_policy::{EnvValue, Job, JobError, Policy};
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The paths to try, the arguments and the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Paths in the jail, tried in turn as execvp(3) does.
    pub candidates: Vec<CString>,
    /// The argument vector.
    pub arguments: Vec<CString>,
    /// The environment, sorted by name.
    pub environment: Vec<CString>,
    /// The descriptor through which it loads the library that tells of its start, where it is to.
    pub library: Option<u32>,
    /// How it begins, where that is known and matters: where it loads that library.
    pub begins: Option<start::Image>,
}

impl Program {
    /// What the policy has the job execute, and with the library that tells of its start where the policy refuses calls
    /// from then on.
    ///
    /// # Errors
    ///
    /// A NUL in a string, or the start cannot be told here.
    pub fn started(policy: &Policy, job: &Job, filter: &FilterPlan) -> Result<Self, PlanError> {
        let mut program = Self::new(policy, job)?;
        program.library = start::descriptor(policy, job, filter)?;
        let Some(number) = program.library else { return Ok(program) };
        const NAME: &str = "LD_PRELOAD=";
        let own = program.environment.iter().position(|variable| variable.as_bytes().starts_with(NAME.as_bytes()));
        let mut value = format!("{NAME}/proc/self/fd/{number}").into_bytes();
        match own.map(|at| program.environment.remove(at)) {
            // Its own comes behind.
            Some(own) if own.as_bytes().len() > NAME.len() => {
                value.push(b':');
                value.extend_from_slice(&own.as_bytes()[NAME.len()..]);
            }
            _ => {}
        }
        program.environment.push(string(value)?);
        Ok(program)
    }

    /// Names the certificates that a job believes whose requests are looked at, which works in `directory`: where the job
    /// does not name others.
    ///
    /// # Errors
    ///
    /// A NUL in a string.
    pub fn believe(&mut self, directory: &Path) -> Result<(), PlanError> {
        for (name, file) in network::variables(directory) {
            let prefix = format!("{name}=");
            if !self.environment.iter().any(|variable| variable.as_bytes().starts_with(prefix.as_bytes())) {
                self.environment.push(string([prefix.as_bytes(), file.as_os_str().as_bytes()].concat())?);
            }
        }
        Ok(())
    }

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
            library: None,
            begins: None,
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
