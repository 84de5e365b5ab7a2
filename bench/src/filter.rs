//! What a system-call filter costs: ours, libseccomp's two, and none.

mod contender;
mod report;

use crate::args;
use crate::helper;
use crate::host;
use crate::order::order;
use crate::output::{Results, progress};
use anyhow::{Context, Result, bail};
use contender::{Contender, Sources};
use std::path::Path;
use std::process::{Command, Stdio};

/// What is measured, in the order in which the helper prints it.
const WHAT: [&str; 4] = ["install", "getppid", "read", "openat"];

/// Timings of one contender: of each of [`WHAT`], in hundredths of a nanosecond, one for each round.
#[derive(Debug, serde::Serialize)]
struct Timings {
    name: String,
    instructions: usize,
    build_ns: Vec<u64>,
    hundredths_ns: [Vec<u64>; 4],
}

pub(crate) fn filter(args: &args::Filter) -> Result<()> {
    let results = Results::prepare(&args.results, "filter")?;
    let load_before = host::load();
    let scene = tempfile::tempdir().context("cannot make a temporary directory")?;
    let helper = helper::compile(scene.path(), include_str!("filter/helper.c"), &["-lseccomp"], "libseccomp-dev")?;
    let contenders = Sources::all()?.contenders(&helper, scene.path())?;
    progress(&format!("{} contenders, {} rounds", contenders.len(), args.rounds));
    let mut timings: Vec<_> = contenders
        .iter()
        .map(|contender| Timings {
            name: contender.name.clone(),
            instructions: contender.instructions,
            build_ns: contender.build_ns.clone(),
            hundredths_ns: Default::default(),
        })
        .collect();
    for round in 0..args.rounds {
        for turn in order(contenders.len(), usize::try_from(round)?) {
            let measured = measure(&helper, &contenders[turn], scene.path())?;
            for (all, one) in timings[turn].hundredths_ns.iter_mut().zip(measured) {
                all.push(one);
            }
        }
    }
    let markdown = report::markdown(&timings, args.rounds, &load_before);
    let data = serde_json::json!({
        "facts": host::facts().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "timings": timings,
    });
    results.publish(&markdown, &data)?;
    let slower = report::slower(&timings);
    if !slower.is_empty() {
        bail!("slower than the better of libseccomp's two: {}", slower.join("; "));
    }
    Ok(())
}

fn measure(helper: &Path, contender: &Contender, directory: &Path) -> Result<[u64; 4]> {
    let output = Command::new(helper)
        .arg("measure")
        .args([&contender.program, directory])
        .stdin(Stdio::null())
        .output()
        .context("cannot start the helper")?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<u64> = told.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers.try_into() {
        Ok(numbers) if output.status.success() => Ok(numbers),
        _ => bail!("`{}` ended with {}: {}", contender.name, output.status, String::from_utf8_lossy(&output.stderr)),
    }
}
