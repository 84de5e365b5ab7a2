//! The job that everything is for: a photograph to a thumbnail, bare and jailed.

use crate::agent::{Agent, Choice, Work};
use crate::args;
use crate::host;
use crate::order::order;
use crate::output::{Results, Table, progress};
use crate::peers;
use crate::stats::{Summary, milliseconds, ratio};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The distribution's own program; others of the name may come first in PATH.
const CONVERT: &str = "/usr/bin/convert";
const PICTURES: &str = "/usr/share/backgrounds/gnome";
/// Turns before any that counts.
const WARM_UP: u32 = 2;

pub(crate) fn thumbnail(args: &args::Thumbnail) -> Result<()> {
    let skip = |what: &str| progress(&format!("SKIPPED: the thumbnail was not measured: {what}"));
    if !Path::new(CONVERT).is_file() {
        skip(&format!("{CONVERT} is missing: install imagemagick"));
        return Ok(());
    }
    let Some(picture) = args.picture.clone().or_else(largest_picture) else {
        skip(&format!("there is no picture in {PICTURES}: install gnome-backgrounds"));
        return Ok(());
    };
    let results = Results::prepare(&args.common.results, "thumbnail")?;
    let load_before = host::load();
    let program = peers::program(args.common.lazaret.as_deref())?;
    let directory = tempfile::Builder::new().prefix("lazaret-bench-").tempdir()?;
    let photo = directory.path().join("photo.jpg");
    let made = Command::new(CONVERT).arg(&picture).args(["-quality", "92"]).arg(&photo).output()?;
    if !made.status.success() {
        bail!("cannot make a photograph of `{}`:\n{}", picture.display(), String::from_utf8_lossy(&made.stderr));
    }
    let (photo, thumb) = (text(&photo)?, text(&directory.path().join("thumb.png"))?);
    let bare = [CONVERT, &photo, "-resize", "256x256", &thumb];
    let outputs = format!("thumb.png:{thumb}");
    let mut jailed = vec![text(&program)?, "run".to_owned()];
    jailed.extend(Choice::new("imagemagick", &args.common.degrade).options());
    jailed.extend(owned(["--in", &photo, "--out", &outputs, "--"]));
    jailed.extend(owned([CONVERT, "photo.jpg", "-resize", "256x256", "thumb.png"]));
    let ways = [("bare", owned(bare)), ("lazaret run", jailed)];

    let mut agent = Agent::start(&[], &[])?;
    let works = ways.clone().map(|(_, argv)| Work::Spawn { argv, filter: None });
    let mut latencies = [Vec::new(), Vec::new()];
    for work in &works {
        agent.measure(work, WARM_UP, 1)?;
    }
    for round in 0..args.rounds {
        for turn in order(works.len(), usize::try_from(round)?) {
            latencies[turn].extend(agent.measure(&works[turn], 1, 1)?.latencies_ns);
        }
    }
    let mut table = Table::new(&["way, ms", "n", "min", "median", "p95", "p99", "× bare"]);
    let bare = Summary::of(&latencies[0]).context("there is a round")?;
    for ((name, _), samples) in ways.iter().zip(&latencies) {
        let own = Summary::of(samples).context("there is a round")?;
        let times = format!("{:.3}", ratio(own.median, bare.median));
        let [min, median, p95, p99] = [own.min, own.median, own.p95, own.p99].map(milliseconds);
        table.row(vec![(*name).to_owned(), own.count.to_string(), min, median, p95, p99, times]);
    }
    let lines = ways.iter().map(|(name, argv)| format!("- {name}: `{}`\n", argv.join(" ")));
    let size = fs::metadata(&photo)?.len();
    let markdown = format!(
        "# A photograph to a thumbnail\n\n{}- picture: {} as JPEG, {size} bytes\n\n{}\n{}",
        host::markdown(&load_before),
        picture.display(),
        table.to_markdown(),
        lines.collect::<String>(),
    );
    results.publish(&markdown, &serde_json::json!({ "latencies_ns": latencies }))
}

fn largest_picture() -> Option<PathBuf> {
    let pictures = fs::read_dir(PICTURES).ok()?.flatten().filter(|entry| {
        let path = entry.path();
        path.extension().is_some_and(|extension| ["jpg", "jpeg", "webp", "png"].iter().any(|known| extension == *known))
    });
    pictures.max_by_key(|entry| entry.metadata().map_or(0, |data| data.len())).map(|entry| entry.path())
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("`{}` is not text", path.display()))
}

fn owned<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}
