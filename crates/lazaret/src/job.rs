//! Jobs, put together step by step.

use crate::error::Error;
use crate::launcher::Launcher;
use crate::report::Report;
use crate::rollout;
use lazaret_jail::RunError;
use lazaret_jail::run::{Cancel, Sink};
use lazaret_launch::observe::{Observe, Observed};
use lazaret_policy::{EnvValue, FileName, Input, Job as Data, JobError, Output, Policy, Stdin};
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::OnceLock;

/// One command with its arguments, environment, inputs and wanted outputs.
///
/// Mistakes in the parts are reported when the job is run.
#[derive(Debug, Clone)]
pub struct Job {
    data: Data,
    problem: Option<JobError>,
    cancels: Vec<Cancel>,
    key: Option<Vec<u8>>,
    passing: Vec<(String, String)>,
    explains_paths: bool,
}

impl Job {
    /// A job that runs `command`, which is looked for in the policy's PATH unless it has a slash.
    pub fn new(command: impl Into<OsString>) -> Self {
        Self {
            data: Data::new(command),
            problem: None,
            cancels: Vec::new(),
            key: None,
            passing: Vec::new(),
            explains_paths: false,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.data.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator>(mut self, args: I) -> Self
    where
        I::Item: Into<OsString>,
    {
        self.data.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable, beside those that the policy sets.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.data.environment.push((name.into(), value.into()));
        self
    }

    /// Offers a variable of the caller's own environment: the job has it if the policy that it runs under passes it.
    #[must_use]
    pub fn pass(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.passing.push((name.into(), value.into()));
        self
    }

    /// Puts a copy of the host file `path` into `/job`, under its base name.
    #[must_use]
    pub fn input(self, path: impl Into<PathBuf>) -> Self {
        let input = Input::file(path);
        self.add_input(input)
    }

    /// Puts a copy of the host file `path` into `/job` as `name`.
    #[must_use]
    pub fn input_as(self, path: impl Into<PathBuf>, name: impl AsRef<OsStr>) -> Self {
        let input = FileName::new(name).map_err(JobError::FileName).map(|name| Input::renamed(path, name));
        self.add_input(input)
    }

    /// Puts `bytes` into `/job` as `name`.
    #[must_use]
    pub fn input_bytes(self, name: impl AsRef<OsStr>, bytes: impl Into<Vec<u8>>) -> Self {
        let input = FileName::new(name).map_err(JobError::FileName).map(|name| Input::bytes(name, bytes));
        self.add_input(input)
    }

    fn add_input(mut self, input: Result<Input, JobError>) -> Self {
        match input {
            Ok(input) => self.data.inputs.push(input),
            Err(problem) => self.problem = self.problem.or(Some(problem)),
        }
        self
    }

    /// Wants the file `name` of `/job`, with its bytes in the report: [`Report::output`].
    #[must_use]
    pub fn output(self, name: impl AsRef<OsStr>) -> Self {
        self.add_output(name.as_ref(), None)
    }

    /// Wants the file `name` of `/job` at `path`, where it appears whole or not at all.
    #[must_use]
    pub fn output_to(self, name: impl AsRef<OsStr>, path: impl Into<PathBuf>) -> Self {
        self.add_output(name.as_ref(), Some(path.into()))
    }

    fn add_output(mut self, name: &OsStr, to: Option<PathBuf>) -> Self {
        match FileName::new(name) {
            Ok(name) => self.data.outputs.push(Output { name, to }),
            Err(problem) => self.problem = self.problem.or(Some(JobError::FileName(problem))),
        }
        self
    }

    /// Exports what the job changed in copy-on-write views to the new directory `path`, if it came to its own end.
    #[must_use]
    pub fn export_changes(mut self, path: impl Into<PathBuf>) -> Self {
        self.data.export_changes = Some(path.into());
        self
    }

    /// Gives `bytes` on standard input, which is empty otherwise.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.data.stdin = Stdin::Bytes(bytes.into());
        self
    }

    /// Passes the caller's standard input on, with [`Sink::Forward`].
    #[must_use]
    pub fn stdin_inherited(mut self) -> Self {
        self.data.stdin = Stdin::Inherit;
        self
    }

    /// Lets `cancel` end the job, at any time. It may end other jobs too, and several may end this one.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: &Cancel) -> Self {
        self.cancels.push(cancel.clone());
        self
    }

    /// What a rollout of a policy goes by: jobs of one key go the same way, whatever the share. The customer's number, say.
    #[must_use]
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Has the report say which paths the job asked for in vain although they exist outside:
    /// [`path_refusals`](lazaret_policy::Report::path_refusals). Every call of the job that names a path is then seen before
    /// it is made, which costs some microseconds each.
    #[must_use]
    pub fn explain_paths(mut self, explain: bool) -> Self {
        self.explains_paths = explain;
        self
    }

    /// Whether [`Job::explain_paths`] was asked for.
    pub(crate) fn explains_paths(&self) -> bool {
        self.explains_paths
    }

    /// The key that was given.
    pub fn given_key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    /// The job as data.
    ///
    /// # Errors
    ///
    /// The first mistake that was made in putting it together.
    pub fn data(&self) -> Result<&Data, Error> {
        match &self.problem {
            None => Ok(&self.data),
            Some(problem) => Err(Error::Job(problem.clone())),
        }
    }

    /// The job as data, with those of the caller's variables that `policy` passes.
    ///
    /// # Errors
    ///
    /// As [`Job::data`].
    pub fn data_under(&self, policy: &Policy) -> Result<Cow<'_, Data>, Error> {
        let data = self.data()?;
        let is_passed = |name: &str| {
            let variables = policy.environment.iter();
            variables
                .map(|variable| &variable.value)
                .any(|known| known.name == name && known.value == EnvValue::FromCaller)
        };
        let passed: Vec<_> = self.passing.iter().filter(|(name, _)| is_passed(name)).cloned().collect();
        if passed.is_empty() {
            return Ok(Cow::Borrowed(data));
        }
        let mut data = data.clone();
        data.environment.extend(passed);
        Ok(Cow::Owned(data))
    }

    /// Runs the job under `policy` and waits for its end. Standard output and error are in the report.
    ///
    /// The first run in a process looks at the host, which later ones remember: see [`launcher`].
    ///
    /// # Errors
    ///
    /// Lazaret's own failures. The job's are in the report.
    pub fn run(&self, policy: &Policy) -> Result<Report, Error> {
        self.run_with(launcher()?, policy, &Sink::Capture)
    }

    /// Runs the job with a launcher of the caller's own, and its streams where the caller wants them.
    ///
    /// # Errors
    ///
    /// As [`Job::run`].
    pub fn run_with(&self, launcher: &Launcher, policy: &Policy, sink: &Sink<'_>) -> Result<Report, Error> {
        let finished = rollout::run(launcher, policy, self, sink, &self.cancels)?;
        Ok(Report::new(finished))
    }

    /// Runs the job under `policy` itself, whatever rollout that has, and notes of it what `observe` asks for.
    ///
    /// # Errors
    ///
    /// As [`Job::run`].
    pub fn run_observed(
        &self,
        launcher: &Launcher,
        policy: &Policy,
        observe: &Observe,
        sink: &Sink<'_>,
    ) -> Result<(Report, Observed), Error> {
        let job = self.data_under(policy)?;
        let mut finished = launcher.run_observed(policy, &job, observe, sink, &self.cancels)?;
        let observed = std::mem::take(&mut finished.observed);
        Ok((Report::new(finished), observed))
    }

    /// Runs the job without blocking a worker of the Tokio runtime. Dropping the future ends the job.
    ///
    /// The waiting is done by a thread of the runtime's blocking pool, one for each running job; the pool's size bounds
    /// how many run at once.
    ///
    /// # Errors
    ///
    /// As [`Job::run`], and [`Error::Runtime`] when the runtime shuts down.
    ///
    /// # Panics
    ///
    /// When called outside of a Tokio runtime.
    #[cfg(feature = "tokio")]
    pub async fn run_async(&self, policy: &Policy) -> Result<Report, Error> {
        let cancel = Cancel::new().map_err(Error::Run)?;
        let (job, policy) = (self.clone().cancelled_by(&cancel), policy.clone());
        let mut guard = CancelOnDrop(Some(cancel));
        let report = tokio::task::spawn_blocking(move || job.run(&policy)).await;
        guard.0 = None;
        report.unwrap_or(Err(Error::Runtime))
    }
}

/// Ends the job of a future that is dropped while it waits.
#[cfg(feature = "tokio")]
struct CancelOnDrop(Option<Cancel>);

#[cfg(feature = "tokio")]
impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(cancel) = &self.0 {
            cancel.cancel();
        }
    }
}

/// The launcher that [`Job::run`] uses: made at the first call, kept for the life of the process.
///
/// # Errors
///
/// When memory or descriptors run out; the next call tries again.
pub fn launcher() -> Result<&'static Launcher, Error> {
    static LAUNCHER: OnceLock<Launcher> = OnceLock::new();
    if let Some(launcher) = LAUNCHER.get() {
        return Ok(launcher);
    }
    let made = Launcher::new().map_err(|error: RunError| Error::Run(error))?;
    Ok(LAUNCHER.get_or_init(|| made))
}
