//! The job that everything is for: pictures to thumbnails, bare, in the seccomp tier and jailed.

mod served;

use crate::agent::{Agent, Choice, UNIQUE, Work};
use crate::args;
use crate::host;
use crate::order::order;
use crate::output::{Results, Table, progress};
use crate::peers;
use crate::stats::{Summary, milliseconds, ratio};
use anyhow::{Context, Result, bail};
use served::Served;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The distribution's own program; others of the name may come first in PATH.
const CONVERT: &str = "/usr/bin/convert";
const PICTURES: &str = "/usr/share/backgrounds/gnome";
/// Turns before any that counts.
const WARM_UP: u32 = 2;
/// Jobs of each that runs at once, in a block.
const BLOCK: u32 = 4;

/// What fetches a picture where Lazaret does not.
const CURL: &str = "/usr/bin/curl";

/// One way to make a thumbnail.
#[derive(Debug, serde::Serialize)]
struct Contender {
    name: &'static str,
    argv: Vec<String>,
    /// One at a time.
    latencies_ns: Vec<u64>,
    /// As many at once as there are processors: for each job of a block.
    each_ns: Vec<u64>,
}

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
    let upload = directory.path().join("upload.jpg");
    let made =
        Command::new(CONVERT).arg(&photo).args(["-resize", "640x640", "-quality", "85"]).arg(&upload).output()?;
    if !made.status.success() {
        bail!("cannot make a small picture:\n{}", String::from_utf8_lossy(&made.stderr));
    }
    let mut agent = Agent::start(&[], &[])?;
    let (mut sections, mut all) = (String::new(), Vec::new());
    for (name, picture, rounds) in [("upload", &upload, args.rounds * 3), ("photograph", &photo, args.rounds)] {
        progress(&format!("{name}: {rounds} rounds"));
        let mut contenders = contenders(&text(&program)?, &text(picture)?, directory.path(), &args.common.degrade)?;
        compete(&mut agent, &mut contenders, rounds)?;
        let size = fs::metadata(picture)?.len();
        sections.push_str(&format!("\n## {name}, {size} bytes of JPEG\n\n{}", table(&contenders)?));
        sections.extend(contenders.iter().map(|own| format!("- {}: `{}`\n", own.name, own.argv.join(" "))));
        all.push((name, contenders));
    }
    if Path::new(CURL).is_file() {
        let served = Served::start(&upload)?;
        let rounds = args.rounds * 3;
        progress(&format!("upload, fetched: {rounds} rounds"));
        let mut contenders = fetching(&text(&program)?, served.address, directory.path(), &args.common.degrade)?;
        compete(&mut agent, &mut contenders, rounds)?;
        sections.push_str(&format!("\n## upload, fetched over HTTP from loopback\n\n{}", table(&contenders)?));
        sections.extend(contenders.iter().map(|own| format!("- {}: `{}`\n", own.name, own.argv.join(" "))));
        all.push(("fetched", contenders));
    } else {
        skip(&format!("of one that is fetched: {CURL} is missing: install curl"));
    }
    let markdown = format!(
        "# Pictures to thumbnails\n\n{}- picture: {}\n- at once: {}\n{sections}",
        host::markdown(&load_before),
        picture.display(),
        at_once(),
    );
    results.publish(&markdown, &serde_json::json!(all))
}

/// As many jobs as there are processors.
fn at_once() -> u32 {
    std::thread::available_parallelism().ok().and_then(|count| u32::try_from(count.get()).ok()).unwrap_or(1)
}

fn contenders(program: &str, picture: &str, directory: &Path, degrade: &[String]) -> Result<Vec<Contender>> {
    let thumb = text(&directory.join(format!("thumb-{UNIQUE}.png")))?;
    let boxed = |tier: &str| {
        let mut argv = owned([program, "run", "--tier", tier]);
        argv.extend(Choice::new("imagemagick", degrade).options());
        argv.extend(owned(["--in", &format!("{picture}:in.jpg"), "--out", &format!("thumb.png:{thumb}"), "--"]));
        argv.extend(owned([CONVERT, "in.jpg", "-resize", "256x256", "thumb.png"]));
        argv
    };
    let bare = owned([CONVERT, picture, "-resize", "256x256", &thumb]);
    let ways = [("bare", bare), ("lazaret run --tier seccomp", boxed("seccomp")), ("lazaret run", boxed("jail"))];
    let contender = |(name, argv)| Contender { name, argv, latencies_ns: Vec::new(), each_ns: Vec::new() };
    Ok(ways.map(contender).into())
}

/// The same, end to end: the picture is fetched first, by curl beside `convert`, or by Lazaret before the job starts.
fn fetching(program: &str, server: SocketAddr, directory: &Path, degrade: &[String]) -> Result<Vec<Contender>> {
    let thumb = text(&directory.join(format!("thumb-{UNIQUE}.png")))?;
    let fetched = text(&directory.join(format!("fetched-{UNIQUE}.jpg")))?;
    let url = format!("http://{server}/upload.jpg");
    let policy = directory.join("fetch.toml");
    let rules = format!(
        "extends = \"imagemagick\"\n[[fetch]]\nurl = \"{url}\"\nto = \"in.jpg\"\nmax-bytes = \"64MiB\"\n\
         types = [\"image/*\"]\nallow = [\"{server}\"]\n"
    );
    fs::write(&policy, rules).context("cannot write to the temporary directory")?;
    let boxed = |tier: &str| {
        let mut argv = owned([program, "run", "--tier", tier, "--policy", &policy.to_string_lossy()]);
        argv.extend(degrade.iter().flat_map(|layer| ["--degrade".to_owned(), layer.clone()]));
        argv.extend(owned(["--out", &format!("thumb.png:{thumb}"), "--"]));
        argv.extend(owned([CONVERT, "in.jpg", "-resize", "256x256", "thumb.png"]));
        argv
    };
    let script = format!("{CURL} -sf -o {fetched} {url} && {CONVERT} {fetched} -resize 256x256 {thumb}");
    let ways = [
        ("curl && convert", owned(["/bin/sh", "-c", &script])),
        ("lazaret run --tier seccomp", boxed("seccomp")),
        ("lazaret run", boxed("jail")),
    ];
    let contender = |(name, argv)| Contender { name, argv, latencies_ns: Vec::new(), each_ns: Vec::new() };
    Ok(ways.map(contender).into())
}

fn compete(agent: &mut Agent, contenders: &mut [Contender], rounds: u32) -> Result<()> {
    let at_once = at_once();
    for round in 0..rounds + WARM_UP {
        for turn in order(contenders.len(), usize::try_from(round)?) {
            let contender = &mut contenders[turn];
            let work = Work::Spawn { argv: contender.argv.clone(), filter: None };
            let one = agent.measure(&work, 1, 1)?;
            // Fewer of the longer ones.
            let block = (round % 4 == 0).then(|| agent.measure(&work, BLOCK * at_once, at_once)).transpose()?;
            if round >= WARM_UP {
                contender.latencies_ns.extend(one.latencies_ns);
                contender.each_ns.extend(block.map(|block| block.elapsed_ns / u64::from(BLOCK * at_once)));
            }
        }
    }
    Ok(())
}

fn table(contenders: &[Contender]) -> Result<String> {
    let mut table = Table::new(&["way, ms", "n", "min", "median", "p95", "p99", "× bare", "per second", "of bare"]);
    let bare = Summary::of(&contenders[0].latencies_ns).context("there is a round")?;
    let each = |own: &Contender| Ok::<_, anyhow::Error>(Summary::of(&own.each_ns).context("there is a block")?.median);
    for contender in contenders {
        let own = Summary::of(&contender.latencies_ns).context("there is a round")?;
        let [min, median, p95, p99] = [own.min, own.median, own.p95, own.p99].map(milliseconds);
        let times = format!("{:.3}", ratio(own.median, bare.median));
        let per_second = format!("{:.1}", 1e9 / each(contender)?);
        let of_bare = format!("{:.3}", ratio(each(&contenders[0])?, each(contender)?));
        let count = own.count.to_string();
        table.row(vec![contender.name.to_owned(), count, min, median, p95, p99, times, per_second, of_bare]);
    }
    Ok(table.to_markdown())
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
