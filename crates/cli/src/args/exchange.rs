//! What can be typed about policies as such: comparing them, and exchanging their system calls.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The policy before: a profile's name, a file, or a recording of `lazaret learn`
    #[arg(value_name = "BEFORE")]
    pub(crate) before: PathBuf,
    /// The policy after
    #[arg(value_name = "AFTER")]
    pub(crate) after: PathBuf,
    /// Which differences make the exit status 1
    #[arg(long, value_name = "WHICH", value_enum, default_value = "any")]
    pub(crate) fail_on: FailOn,
    /// The architecture whose system calls are compared [default: this one's]
    #[arg(long, value_name = "ARCH", value_enum)]
    pub(crate) arch: Option<Machine>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Every difference
    Any,
    /// A right that was added or widened, or of which neither can be ruled out
    Widened,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Machine {
    /// 64-bit x86
    #[value(name = "x86_64")]
    X86_64,
    /// 64-bit ARM
    Aarch64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Seccomp {
    /// Write a policy's system calls as a container's seccomp profile, or as lines of a systemd unit
    Export(Export),
    /// Make a policy of a container's seccomp profile, or of a systemd unit's SystemCallFilter=
    ///
    /// The policy never permits what its source does not. What it cannot say is listed, and nothing is written unless
    /// --lossy accepts that.
    Import(Import),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// The JSON of the OCI, Docker, containerd and Podman
    Oci,
    /// SystemCallFilter= and its kin
    Systemd,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// A built-in profile
    #[arg(long, value_name = "NAME", required_unless_present = "policy", conflicts_with = "policy")]
    pub(crate) profile: Option<String>,
    /// A policy file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// The language to write
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "oci")]
    pub(crate) format: Language,
    /// The architecture [default: this one's]
    #[arg(long, value_name = "ARCH", value_enum)]
    pub(crate) arch: Option<Machine>,
    /// Accept what the format cannot say; it is listed
    #[arg(long)]
    pub(crate) lossy: bool,
    /// Where to write it [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The seccomp profile or unit
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Where to write the policy
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// The policy that gives all but the system calls: a profile's name, or a file as seen from the policy's directory
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) extends: String,
    /// The language of FILE [default: oci when it begins with `{`, else systemd]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<Language>,
    /// The architecture [default: this one's]
    #[arg(long, value_name = "ARCH", value_enum)]
    pub(crate) arch: Option<Machine>,
    /// A capability that the job is taken to have; repeatable [default: none]
    #[arg(long = "capability", value_name = "CAP")]
    pub(crate) capabilities: Vec<String>,
    /// The kernel's version, MAJOR.MINOR [default: this one's]
    #[arg(long, value_name = "VERSION")]
    pub(crate) kernel: Option<String>,
    /// Accept what a policy cannot say; it is listed
    #[arg(long)]
    pub(crate) lossy: bool,
}
