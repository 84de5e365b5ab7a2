//! What can be typed.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Compare Lazaret with other sandboxes and with no sandbox, on this machine, in one run
#[derive(Debug, Parser)]
#[command(name = "lazaret-bench", version)]
pub(crate) struct Program {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Latency of /bin/true side by side, then jobs per second at several concurrencies
    Compare(Compare),
    /// Function calls beside fork(2) and calls in the process; 64 MiB beside copies of it
    Functions(Functions),
    /// Many library jobs in a row: they leave nothing behind and do not get slower
    Soak(Soak),
    /// Where Lazaret's own time goes
    Phases(Phases),
    /// Pictures to thumbnails: bare, in the seccomp tier, jailed; how many per second
    Thumbnail(Thumbnail),
    /// What a system-call filter costs: none, Lazaret's, libseccomp's
    Filter(Filter),
    /// A corpus of small pictures, run plainly and learned from
    Learn(Learn),
    /// Opening files: bare, in the jail, in tier seccomp, by the job and by the broker
    Files(Files),
    /// Connections and what they carry: bare, by the broker, by pasta and slirp4netns
    Network(Network),
    /// A process that is told what to run, and times it. For the other commands
    #[command(hide = true)]
    Agent(Agent),
}

/// What all measurements share.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The built `lazaret`; by default the one beside this program
    #[arg(long, value_name = "FILE")]
    pub(crate) lazaret: Option<PathBuf>,
    /// Accept that this host cannot enforce a layer of Lazaret's; repeatable
    #[arg(long, value_name = "LAYER")]
    pub(crate) degrade: Vec<String>,
    /// Where results are kept
    #[arg(long, value_name = "DIRECTORY", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    pub(crate) results: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Compare {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How often each contender takes its turn [default: 200, with --quick 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: Option<u32>,
    /// Only this contender; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Not this contender; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) skip: Vec<String>,
    /// A tenth of the rounds
    #[arg(long)]
    pub(crate) quick: bool,
    /// Jobs at once, for the jobs per second
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 2, 8])]
    pub(crate) concurrency: Vec<u32>,
    /// Pause before each single timing, so that what the last one left to the kernel is not charged to the next
    #[arg(long, value_name = "MS", default_value_t = 2)]
    pub(crate) settle: u64,
    /// Megabytes that the large caller has resident
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub(crate) large_mib: usize,
    /// Threads of the large caller
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) large_threads: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Files {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How often each contender takes its turn
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Opens of each kind in a turn
    #[arg(long, value_name = "N", default_value_t = 3000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) opens: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Network {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How often each contender takes its turn
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Connections of each kind in a turn
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,
    /// What is carried each way in a turn
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) mib: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Functions {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How often each contender takes its turn
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// How often each way of 64 MiB takes its turn
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) bulk_rounds: u32,
    /// Pause before each timing
    #[arg(long, value_name = "MS", default_value_t = 2)]
    pub(crate) settle: u64,
    /// Megabytes that the large caller has resident
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub(crate) large_mib: usize,
    /// Threads of the large caller
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) large_threads: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Soak {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How many jobs
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..))]
    pub(crate) jobs: u32,
    /// How much slower the last jobs may be than the first, beside bare processes, percent
    #[arg(long, value_name = "PERCENT", default_value_t = 15.0)]
    pub(crate) slower: f64,
}

#[derive(Debug, Args)]
pub(crate) struct Phases {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How many runs of the library, and of the program
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// The profile
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) profile: String,
    /// The command
    #[arg(last = true, value_name = "COMMAND", default_value = "/bin/true")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Thumbnail {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How often each way takes its turn
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// The picture; by default the largest of gnome-backgrounds
    #[arg(long, value_name = "FILE")]
    pub(crate) picture: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// How often each filter takes its turn
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Where results are kept
    #[arg(long, value_name = "DIRECTORY", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    pub(crate) results: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Learn {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How often each way goes through the corpus
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// How many pictures
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pictures: u32,
    /// How many times the plain time learning may take
    #[arg(long, value_name = "TIMES", default_value_t = 3.0)]
    pub(crate) slower: f64,
}

#[derive(Debug, Args)]
pub(crate) struct Agent {
    /// Megabytes to hold resident
    #[arg(long, default_value_t = 0)]
    pub(crate) resident_mib: usize,
    /// Threads to park
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: usize,
    /// Start a spawner before anything else
    #[arg(long)]
    pub(crate) spawner: bool,
}
