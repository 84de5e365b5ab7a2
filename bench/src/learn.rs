//! A corpus of small pictures, run plainly and learned from.

use crate::args;
use crate::host;
use crate::order::order;
use crate::output::{Results, Table, progress};
use crate::peers;
use crate::stats::{Summary, milliseconds, ratio};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The distribution's own program; others of the name may come first in PATH.
const CONVERT: &str = "/usr/bin/convert";
/// Turns before any that counts.
const WARM_UP: u32 = 1;
const FORMATS: [&str; 4] = ["png", "jpg", "gif", "ppm"];
/// What learned runs have too, so that both ways do the same.
const ENVIRONMENT: [(&str, &str); 2] = [("PATH", "/usr/bin:/bin:/usr/local/bin"), ("LANG", "C.UTF-8")];

pub(crate) fn learn(args: &args::Learn) -> Result<()> {
    if !Path::new(CONVERT).is_file() {
        progress(&format!("SKIPPED: learning was not measured: {CONVERT} is missing: install imagemagick"));
        return Ok(());
    }
    let results = Results::prepare(&args.common.results, "learn")?;
    let load_before = host::load();
    let program = peers::program(args.common.lazaret.as_deref())?;
    let directory = tempfile::Builder::new().prefix("lazaret-bench-").tempdir()?;
    let corpus = directory.path().join("corpus");
    let pictures = make(&corpus, args.pictures)?;
    let ways = [Way::Plain, Way::Learned];
    let mut took = [Vec::new(), Vec::new()];
    progress(&format!("{} rounds over {} pictures, taking turns", args.rounds, pictures.len()));
    for round in 0..WARM_UP + args.rounds {
        for turn in order(ways.len(), usize::try_from(round)?) {
            let ns = ways[turn].go(&program, directory.path(), &corpus, &pictures)?;
            if round >= WARM_UP {
                took[turn].push(ns / pictures.len() as u64);
            }
        }
    }
    let plain = Summary::of(&took[0]).context("there is a round")?;
    let learned = Summary::of(&took[1]).context("there is a round")?;
    let times = ratio(learned.median, plain.median);
    let mut table = Table::new(&["way, ms for each file", "n", "min", "median", "p95", "× plain"]);
    for (name, own) in [("plain", plain), ("learned", learned)] {
        let [min, median, p95] = [own.min, own.median, own.p95].map(milliseconds);
        table.row(vec![
            name.to_owned(),
            own.count.to_string(),
            min,
            median,
            p95,
            format!("{:.3}", ratio(own.median, plain.median)),
        ]);
    }
    let markdown = format!(
        "# Learning against running plainly\n\n{}- corpus: {} pictures of 16 to 240 pixels, `convert {{}} out.png`\n\n{}\n\
         `learned` is `lazaret learn` as a whole: its start, its runs, and the policy written in the end.\n",
        host::markdown(&load_before),
        pictures.len(),
        table.to_markdown(),
    );
    results.publish(&markdown, &serde_json::json!({ "plain_ns": took[0], "learned_ns": took[1] }))?;
    if times > args.slower {
        bail!("learning took {times:.2} times the plain time, and {} are promised", args.slower);
    }
    Ok(())
}

enum Way {
    Plain,
    Learned,
}

impl Way {
    /// Goes through the corpus once. Nanoseconds.
    fn go(&self, program: &Path, directory: &Path, corpus: &Path, pictures: &[PathBuf]) -> Result<u64> {
        let begun = Instant::now();
        match self {
            Self::Plain => {
                for picture in pictures {
                    run(Command::new(CONVERT).arg(picture).arg("out.png").current_dir(directory))?;
                }
            }
            Self::Learned => {
                let mut command = Command::new(program);
                command.args(["learn", "--quiet", "--accept-unsaturated", "--out", "policy.toml", "--corpus"]);
                command.arg(corpus).args(["--", CONVERT, "{}", "out.png"]);
                run(command.current_dir(directory))?;
            }
        }
        Ok(u64::try_from(begun.elapsed().as_nanos())?)
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.env_clear().envs(ENVIRONMENT).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("`{command:?}`: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Small pictures of several formats, in a new directory.
fn make(corpus: &Path, count: u32) -> Result<Vec<PathBuf>> {
    fs::create_dir(corpus)?;
    let formats = FORMATS.iter().cycle();
    let named = (0..count).zip(formats).map(|(at, format)| {
        let path = corpus.join(format!("{at}.{format}"));
        let side = 16 + at % 8 * 32;
        run(Command::new(CONVERT).args(["-size", &format!("{side}x{side}"), "plasma:"]).arg(&path))?;
        Ok(path)
    });
    named.collect()
}
