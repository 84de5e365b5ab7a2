//! What a network costs: none in between, Lazaret's broker, and other ways out of an empty network namespace.

use crate::args;
use crate::helper;
use crate::host;
use crate::order::order;
use crate::output::{Results, Table, progress};
use crate::peers;
use crate::stats::{Summary, median, ratio};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Where pasta and slirp4netns have the host's loopback appear: their own defaults, or what the command lines below say.
const SLIRP_HOST: &str = "10.0.2.2";
const PASTA_HOST: &str = "10.9.9.1";

/// How many of the contenders are none of the peers: no sandbox, and Lazaret.
const OWN: usize = 2;
/// Seconds after which a turn is given up.
const PATIENCE: &str = "120";

/// One way to reach a server on the host's loopback.
#[derive(Debug)]
struct Contender {
    name: &'static str,
    about: &'static str,
    /// What runs the helper, whose words are appended.
    argv: Vec<String>,
    /// Where the server is from there.
    address: &'static str,
    /// Measurements in nanoseconds, by their names.
    measured: BTreeMap<String, Vec<u64>>,
    /// Why there are no more of them, of a peer.
    failed: Option<String>,
}

pub(crate) fn network(args: &args::Network) -> Result<()> {
    let results = Results::prepare(&args.common.results, "network")?;
    let load_before = host::load();
    let lazaret = peers::program(args.common.lazaret.as_deref())?;
    let scene = tempfile::tempdir().context("cannot make a temporary directory")?;
    // Pasta lets go of root's rights, and has to find the helper all the same.
    std::fs::set_permissions(scene.path(), std::fs::Permissions::from_mode(0o755)).context("cannot set a mode")?;
    let helper = helper::compile(scene.path(), include_str!("network/helper.c"), &["-pthread"], "gcc")?;
    let server = Server::start(&helper)?;
    let mut contenders = contenders(&lazaret, &helper, server.port, &args.common.degrade, scene.path())?;
    progress(&format!("{} contenders, {} rounds", contenders.len(), args.rounds));
    for round in 0..args.rounds {
        for turn in order(contenders.len(), usize::try_from(round)?) {
            let contender = &mut contenders[turn];
            if contender.failed.is_some() {
                continue;
            }
            let measured = contender
                .measure("connect", server.port, args.connections)
                .and_then(|()| contender.measure("carry", server.port, args.mib));
            // A peer that does not work here is told and left out; without the first two there is nothing to tell.
            match measured {
                Err(error) if turn >= OWN => {
                    progress(&format!("SKIPPED: {error:#}"));
                    contender.failed = Some(format!("{error:#}"));
                }
                measured => measured?,
            }
        }
    }
    let markdown = format!(
        "# The network\n\n{}- {} rounds of {} connections of each kind, and of {} MiB each way, with a server on the last processor \
         alone\n\n{}",
        host::markdown(&load_before),
        args.rounds,
        args.connections,
        args.mib,
        table(&contenders, args.mib)?,
    );
    let data: BTreeMap<_, _> = contenders.iter().map(|contender| (contender.name, &contender.measured)).collect();
    results.publish(&markdown, &serde_json::json!(data))
}

fn contenders(lazaret: &Path, helper: &Path, port: u16, degrade: &[String], scene: &Path) -> Result<Vec<Contender>> {
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a path is not text");
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let helper = text(helper)?;
    let new =
        |name, about, argv, address| Contender { name, about, argv, address, measured: BTreeMap::new(), failed: None };
    let mut all = vec![new("bare", "no sandbox", vec![helper.clone()], "127.0.0.1")];
    let (rule, input) = (format!("127.0.0.1:{port}"), format!("{helper}:helper"));
    let mut argv = vec![text(lazaret)?];
    argv.extend(words(&["run", "--quiet", "--net", &rule, "--in", &input, "--limit", "net-connections=60000"]));
    argv.extend(words(&["--limit", "net-received=1TiB", "--limit", "net-sent=1TiB", "--limit", "wall=10m"]));
    argv.extend(words(&["--limit", "cpu=10m"]));
    argv.extend(degrade.iter().flat_map(|layer| ["--degrade".to_owned(), layer.clone()]));
    argv.extend(words(&["--", "./helper"]));
    all.push(new("lazaret", "a whole jail; the broker connects, then nothing is in between", argv, "127.0.0.1"));
    if is_there("pasta") {
        // The gateway stands for the host's loopback.
        let map =
            ["--config-net", "--quiet", "-a", "10.9.9.2", "-n", "24", "-g", PASTA_HOST, "-t", "none", "-u", "none"];
        let mut argv = words(&["pasta"]);
        argv.extend(words(&map));
        argv.extend(words(&["-T", "none", "-U", "none", "--"]));
        argv.push(helper.clone());
        all.push(new("pasta", "a network namespace with a TAP device and translation in user space", argv, PASTA_HOST));
    }
    if is_there("slirp4netns") {
        let script = text(&scene.join("slirp.sh"))?;
        std::fs::write(&script, include_str!("network/slirp.sh")).context("cannot write to the temporary directory")?;
        let argv = words(&["sh", &script, &helper]);
        all.push(new("slirp4netns", "the same by another program", argv, SLIRP_HOST));
    }
    for absent in ["pasta", "slirp4netns"].into_iter().filter(|name| !is_there(name)) {
        progress(&format!("SKIPPED: {absent} is not installed"));
    }
    Ok(all)
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

impl Contender {
    fn measure(&mut self, what: &str, port: u16, count: u32) -> Result<()> {
        let output = Command::new("timeout")
            .arg(PATIENCE)
            .args(&self.argv)
            .args([what, self.address, &port.to_string(), &count.to_string()])
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {}", self.name))?;
        if output.status.code() == Some(124) {
            bail!("{} did not {what} within {PATIENCE} s", self.name);
        }
        if !output.status.success() {
            bail!("{} failed to {what}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        }
        for line in String::from_utf8(output.stdout)?.lines() {
            let (name, value) = line.split_once(' ').with_context(|| format!("`{line}` is no measurement"))?;
            // The two connections of what is carried are too few to say anything.
            if what == "connect" || !name.ends_with("blocking") {
                self.measured.entry(name.to_owned()).or_default().push(value.parse()?);
            }
        }
        Ok(())
    }

    fn median_of(&self, what: &str) -> Result<f64> {
        let samples = self.measured.get(what).map(Vec::as_slice).unwrap_or_default();
        median(samples).with_context(|| format!("{} measured no {what}", self.name))
    }
}

fn table(contenders: &[Contender], mib: u32) -> Result<String> {
    let mut table = Table::new(&[
        "",
        "connect µs",
        "p95",
        "more µs",
        "no wait µs",
        "more µs",
        "receive MiB/s",
        "",
        "send MiB/s",
        "",
    ]);
    let bare = &contenders[0];
    let micros = |ns: f64| format!("{:.1}", ns / 1000.0);
    for contender in contenders.iter().filter(|contender| contender.failed.is_none()) {
        let connect = Summary::of(&contender.measured["blocking"]).context("nothing was measured")?;
        let no_wait = contender.median_of("nonblocking")?;
        let rate = |what| Ok::<_, anyhow::Error>(f64::from(mib) * 1e9 / contender.median_of(what)?);
        let of_bare = |what| Ok::<_, anyhow::Error>(ratio(bare.median_of(what)?, contender.median_of(what)?));
        table.row(vec![
            contender.name.to_owned(),
            micros(connect.median),
            micros(connect.p95),
            micros(connect.median - bare.median_of("blocking")?),
            micros(no_wait),
            micros(no_wait - bare.median_of("nonblocking")?),
            format!("{:.0}", rate("receive")?),
            format!("{:.2}", of_bare("receive")?),
            format!("{:.0}", rate("send")?),
            format!("{:.2}", of_bare("send")?),
        ]);
    }
    let about = contenders.iter().map(|own| match &own.failed {
        None => format!("- {}: {}\n", own.name, own.about),
        Some(why) => format!("- {}: left out: {why}\n", own.name),
    });
    Ok(format!("{}\n{}", table.to_markdown(), about.collect::<String>()))
}

/// The helper as a server; it ends with this value.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(helper: &Path) -> Result<Self> {
        let mut child = Command::new(helper)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the server")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("the server has no output")?).read_line(&mut line)?;
        Ok(Self { child, port: line.trim().parse().context("the server says no port")? })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}
