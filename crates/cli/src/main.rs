//! The `lazaret` program: arguments in, exit status out. Everything it does is in the library.

#![forbid(unsafe_code)]

mod args;
mod check;
mod choose;
mod diff;
mod doctor;
mod explain;
mod message;
mod plan;
mod profiles;
mod rollout;
mod run;
mod seccomp;
mod shell;

use args::{Command, Program};
use clap::Parser;
use message::Failure;
use std::process::ExitCode;

/// Exit status of every error of Lazaret's own.
const OWN_ERROR: u8 = 125;

fn main() -> ExitCode {
    let program = match Program::try_parse() {
        Ok(program) => program,
        Err(error) => return usage(&error),
    };
    match dispatch(program.command) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            message::error(&failure);
            ExitCode::from(OWN_ERROR)
        }
    }
}

fn dispatch(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Run(run) => run::run(&run),
        Command::Plan(plan) => plan::plan(&plan),
        Command::Check(check) => check::check(&check),
        Command::Rollout(rollout) => rollout::rollout(&rollout),
        Command::Doctor(doctor) => doctor::doctor(&doctor),
        Command::Explain(explain) => explain::explain(&explain),
        Command::Profiles(profiles) => profiles::profiles(&profiles),
        Command::Diff(diff) => diff::diff(&diff),
        Command::Seccomp(seccomp) => seccomp::seccomp(&seccomp),
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { directory } => shell::man(directory.as_deref()),
    }
}

/// Help and version go to standard output and are no error; a wrong use is one of ours.
fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    match (error.use_stderr(), printed) {
        (false, Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::from(OWN_ERROR),
    }
}
