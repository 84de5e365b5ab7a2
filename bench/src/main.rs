//! Side-by-side timings of Lazaret, other sandboxes and no sandbox.

#![forbid(unsafe_code)]

mod agent;
mod args;
mod compare;
mod files;
mod filter;
mod functions;
mod helper;
mod host;
mod learn;
mod network;
mod order;
mod output;
mod peers;
mod phases;
mod soak;
mod stats;
mod thumbnail;

use anyhow::Result;
use args::{Command, Program};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::progress(&format!("lazaret-bench: error: {error}"));
            for cause in error.chain().skip(1) {
                output::progress(&format!("  caused by: {cause}"));
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    match Program::parse().command {
        Command::Compare(args) => compare::compare(&args),
        Command::Functions(args) => functions::functions(&args),
        Command::Soak(args) => soak::soak(&args),
        Command::Phases(args) => phases::phases(&args),
        Command::Filter(args) => filter::filter(&args),
        Command::Thumbnail(args) => thumbnail::thumbnail(&args),
        Command::Learn(args) => learn::learn(&args),
        Command::Files(args) => files::files(&args),
        Command::Network(args) => network::network(&args),
        Command::Agent(args) => agent::serve(&args),
    }
}
