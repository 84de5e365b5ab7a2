//! What opening a file costs where the supervisor opens it, and that nothing else does.

use crate::args;
use crate::helper;
use crate::host;
use crate::order::order;
use crate::output::{Results, Table, progress};
use crate::peers;
use crate::stats::median;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is opened, by the words of the helper, and what is carried.
const OPENS: [&str; 5] = ["absolute", "relative", "link", "absent", "stat"];
const CARRIED: [&str; 3] = ["read", "write", "mmap"];

/// One way to run the helper.
#[derive(Debug)]
struct Contender {
    name: &'static str,
    argv: Vec<String>,
    directory: PathBuf,
    /// Medians of each turn in nanoseconds, by what was done.
    measured: BTreeMap<String, Vec<u64>>,
}

pub(crate) fn files(args: &args::Files) -> Result<()> {
    let results = Results::prepare(&args.common.results, "files")?;
    let load_before = host::load();
    let lazaret = peers::program(args.common.lazaret.as_deref())?;
    let scene = tempfile::tempdir().context("cannot make a temporary directory")?;
    let helper = helper::compile(scene.path(), include_str!("files/helper.c"), &[], "gcc")?;
    let mut contenders = contenders(&lazaret, &helper, &args.common.degrade, scene.path())?;
    progress(&format!("{} contenders, {} rounds", contenders.len(), args.rounds));
    for round in 0..args.rounds {
        for turn in order(contenders.len(), usize::try_from(round)?) {
            contenders[turn].measure(args.opens)?;
        }
    }
    let markdown = format!(
        "# Files\n\n{}- {} rounds of {} opens of each kind, and of 64 MiB; medians of the rounds' medians\n\n{}",
        host::markdown(&load_before),
        args.rounds,
        args.opens,
        table(&contenders)?,
    );
    let data: BTreeMap<_, _> = contenders.iter().map(|contender| (contender.name, &contender.measured)).collect();
    results.publish(&markdown, &serde_json::json!(data))
}

fn contenders(lazaret: &Path, helper: &Path, degrade: &[String], scene: &Path) -> Result<Vec<Contender>> {
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a path is not text");
    let helper = text(helper)?;
    let bare = Contender {
        name: "bare",
        argv: vec![helper.clone()],
        directory: scene.to_path_buf(),
        measured: BTreeMap::new(),
    };
    let mut all = vec![bare];
    for (name, tier, mode) in [
        ("jail", "jail", "direct"),
        ("jail, brokered", "jail", "brokered"),
        ("seccomp, direct", "seccomp", "direct"),
        ("seccomp", "seccomp", "brokered"),
    ] {
        let policy = scene.join(format!("{tier}-{mode}.toml"));
        std::fs::write(&policy, format!("extends = \"default\"\n[files]\nmode = \"{mode}\"\n"))
            .context("cannot write to the temporary directory")?;
        let (policy, input) = (text(&policy)?, format!("{helper}:helper"));
        let mut argv = vec![text(lazaret)?];
        argv.extend(["run", "--quiet", "--tier", tier, "--policy", &policy, "--in", &input].map(str::to_owned));
        argv.extend(["--limit", "cpu=10m", "--limit", "wall=10m", "--limit", "disk=256MiB"].map(str::to_owned));
        argv.extend(degrade.iter().flat_map(|layer| ["--degrade".to_owned(), layer.clone()]));
        argv.extend(["--", "./helper"].map(str::to_owned));
        all.push(Contender { name, argv, directory: scene.to_path_buf(), measured: BTreeMap::new() });
    }
    Ok(all)
}

impl Contender {
    fn measure(&mut self, opens: u32) -> Result<()> {
        let mut command = Command::new(&self.argv[0]);
        command.args(&self.argv[1..]).arg(opens.to_string()).current_dir(&self.directory).stdin(Stdio::null());
        let output = command.output().with_context(|| format!("cannot start {}", self.name))?;
        if !output.status.success() {
            bail!("{}: {}\n{}", self.name, output.status, String::from_utf8_lossy(&output.stderr));
        }
        for line in String::from_utf8(output.stdout)?.lines() {
            let (what, value) = line.split_once(' ').with_context(|| format!("`{line}` is no measurement"))?;
            self.measured.entry(what.to_owned()).or_default().push(value.parse()?);
        }
        Ok(())
    }

    fn median_of(&self, what: &str) -> Result<f64> {
        let samples = self.measured.get(what).map(Vec::as_slice).unwrap_or_default();
        median(samples).with_context(|| format!("{} measured no {what}", self.name))
    }
}

fn table(contenders: &[Contender]) -> Result<String> {
    let heads: Vec<String> = std::iter::once(String::new())
        .chain(OPENS.iter().flat_map(|what| [format!("{what} µs"), "more".to_owned()]))
        .chain(CARRIED.iter().map(|what| format!("{what} ms")))
        .collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let mut table = Table::new(&heads);
    for contender in contenders {
        let mut row = vec![contender.name.to_owned()];
        for what in OPENS {
            let (own, bare) = (contender.median_of(what)?, contenders[0].median_of(what)?);
            row.push(format!("{:.1}", own / 1e3));
            row.push(format!("{:.1}", (own - bare) / 1e3));
        }
        for what in CARRIED {
            row.push(format!("{:.1}", contender.median_of(what)? / 1e6));
        }
        table.row(row);
    }
    Ok(table.to_markdown())
}
