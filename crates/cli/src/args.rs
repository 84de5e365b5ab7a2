//! What can be typed. Completions and the manual page are made from this.

mod exchange;

pub(crate) use exchange::{Diff, Export, FailOn, Import, Language, Machine, Seccomp};

use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Run risky commands in fresh sandboxes
///
/// Each command runs alone in a jail of its own and leaves nothing behind. What it may do is said by a policy; how it
/// ended is said by a typed verdict.
#[derive(Debug, Parser)]
#[command(name = "lazaret", version, propagate_version = true)]
pub(crate) struct Program {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command in a fresh jail
    ///
    /// The command works in /job, where the inputs are. Exit status: the command's own; 128+N for signal N; 124 when
    /// wall-clock or processor time ran out; 126 and 127 when it could not be executed or found; 123 for every other
    /// verdict; 125 for an error of Lazaret's own.
    Run(Run),
    /// Show what would be enforced, without running anything
    ///
    /// Takes the options of `run`. Every value is shown with the place that it comes from. Needs no privileges. When this
    /// host cannot enforce a layer, all that it can is shown all the same, and the exit status is 125 as that of `run`.
    Plan(Plan),
    /// Run a command on every file of a corpus, and tell what it needs that the policy does not give
    ///
    /// Each file is copied into /job of a sandbox of its own, and its name takes the place of `{}` in the command. Exit
    /// status: 0 when every run got what it needed and succeeded; 1 when not; 125 for an error of Lazaret's own.
    Check(Check),
    /// Sum up the reports of a policy that is being rolled out: what it would have refused, and how often
    Rollout(Rollout),
    /// Try what this host can enforce, and tell how to get what is missing
    ///
    /// Everything is tried, by processes of their own that end at once; nothing is changed. Exit status: 0; 1 when a
    /// profile or policy is given and this host cannot enforce it; 125 for an error of Lazaret's own.
    Doctor(Doctor),
    /// Say what a job was refused, where it asked for it, and what would allow it
    ///
    /// Reads a report that `run --report` wrote. Each refused system call is shown with its arguments, the thread and the
    /// stack that it came from, the rule that refused it, and the line of a policy that would allow it.
    Explain(Explain),
    /// Learn a policy from what a program does over a corpus of files
    ///
    /// Runs the command over every file below the corpus, without a jail and without root, and writes the smallest policy
    /// that all runs need. The corpus must be trusted: this is no boundary. Exit status: 0; 1 when too little was seen for
    /// the policy to be ready; 125 for an error of Lazaret's own, and then nothing is written.
    Learn(Box<crate::learn::Learn>),
    /// List the built-in profiles, or show one
    Profiles(Profiles),
    /// Compare two policies as rights that were added and removed, with their risk
    ///
    /// Exit status: 0 when they give the same rights; 1 when they do not; 125 for an error of Lazaret's own.
    Diff(Diff),
    /// Exchange system-call filters with containers (OCI, Docker) and systemd
    #[command(subcommand)]
    Seccomp(Seccomp),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write all pages into a directory
    Man {
        /// Where to write one page for each command
        directory: Option<PathBuf>,
    },
}

/// What `run` and `plan` share: a policy and a job.
#[derive(Debug, Clone, Args)]
pub(crate) struct JobArgs {
    /// A built-in profile
    #[arg(long, value_name = "NAME", default_value = "default", conflicts_with = "policy")]
    pub(crate) profile: String,
    /// A policy file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// The kind of boundary
    #[arg(long, value_name = "TIER")]
    pub(crate) tier: Option<String>,
    /// Copy a file into /job, under its base name or NAME
    #[arg(long = "in", value_name = "HOST[:NAME]")]
    pub(crate) inputs: Vec<OsString>,
    /// Take a file out of /job, to its name in the current directory or to HOST
    #[arg(long = "out", value_name = "NAME[:HOST]")]
    pub(crate) outputs: Vec<OsString>,
    /// Export what was changed in copy-on-write views to a new directory
    #[arg(long, value_name = "DIR")]
    pub(crate) export_changes: Option<PathBuf>,
    /// Set an environment variable
    #[arg(long = "env", value_name = "K=V")]
    pub(crate) environment: Vec<String>,
    /// Let the job connect to a host and port: api.example.com:443, *.example.com:443, 10.1.0.0/16:5432
    #[arg(long = "net", value_name = "HOST:PORT")]
    pub(crate) hosts: Vec<String>,
    /// Fetch a file into /job before the job starts, which needs no network for that
    #[arg(long = "fetch", value_name = "NAME=URL")]
    pub(crate) fetch: Vec<String>,
    /// Set a limit: wall, cpu, memory, processes, file-size, disk, output, open-files, cpus, io-rate, net-connections, net-sent,
    /// net-received, net-time
    #[arg(long = "limit", value_name = "KEY=VALUE")]
    pub(crate) limits: Vec<String>,
    /// What a rollout goes by: jobs of one key go the same way; the customer's number, say
    #[arg(long, value_name = "KEY")]
    pub(crate) job_key: Option<OsString>,
    /// Pass standard input to the command
    #[arg(long)]
    pub(crate) stdin: bool,
    /// Accept that this host cannot enforce a layer; `lazaret doctor` names the layers
    #[arg(long = "degrade", value_name = "LAYER")]
    pub(crate) degrade: Vec<String>,
    /// Have a layer hold whatever the tier
    #[arg(long = "require", value_name = "LAYER")]
    pub(crate) require: Vec<String>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Write the report as JSON to a file, or to standard output for `-`
    #[arg(long, value_name = "FILE|-")]
    pub(crate) report: Option<PathBuf>,
    /// Also find out which paths the command asked for in vain although they exist outside (slower)
    #[arg(long)]
    pub(crate) explain: bool,
    /// No summary on the terminal
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Print the launch steps: every system call, in order (with --json, beside everything else)
    #[arg(long)]
    pub(crate) steps: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// The directory with the files to run the command on, and those below it
    #[arg(long, value_name = "DIR")]
    pub(crate) corpus: PathBuf,
    /// How many runs there are at once; as many as there are processors otherwise
    #[arg(long, value_name = "N")]
    pub(crate) parallel: Option<NonZeroUsize>,
    /// Also name what of the policy no run used: slower, as every system call is noted
    #[arg(long)]
    pub(crate) stale: bool,
    /// Accept runs that fail without the policy too
    #[arg(long)]
    pub(crate) allow_failures: bool,
    /// Count paths that a successful run looked for and did without
    #[arg(long)]
    pub(crate) strict: bool,
    /// Write the outcome as JUnit XML to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rollout {
    /// Reports, or directories of them
    #[arg(required = true, value_name = "REPORT")]
    pub(crate) reports: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Say whether this built-in profile can be enforced here
    #[arg(long, value_name = "NAME", conflicts_with = "policy")]
    pub(crate) profile: Option<String>,
    /// Say whether this policy file can be enforced here
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The report, or standard input for `-`
    #[arg(value_name = "REPORT|-")]
    pub(crate) report: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Profiles {
    /// Show this one
    pub(crate) name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
