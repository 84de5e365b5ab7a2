//! Runs in a tier, where no attack may work.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::control::{streams, within};
use crate::ground::{Account, Ground, INSIDE, policy_text};
use crate::judge::{Before, Scenery};
use crate::launch::{self, Ended, Started};
use crate::probe::{Effect, Fate, Probe, Scene, Under};
use crate::scene;
use crate::stage::Stage;
use crate::tier::{self, Tier};

/// Longer than any limit of the table, with time to spare on a busy machine.
const BOUND: Duration = Duration::from_secs(45);

/// Runs `probe` in `tier` as a job of `account` and tells everything that should not be.
pub(crate) fn run(ground: &Ground, account: &Account, probe: &Probe, under: Under, tier: Tier) -> Result<(), String> {
    let lazaret = ground.lazaret.as_ref().map_err(Clone::clone)?;
    let mut stage = Stage::new(ground, account)?;
    let jail =
        Jail { lazaret, policy: policy(&stage, probe, under, tier)?, tier, report: stage.work().join("report.json") };
    let before = Before::look(&stage, probe.shows);
    let (ended, came_in) = act(&stage, &jail, probe)?;
    // At once: what is alive now was alive when the sandbox ended.
    let left = stage.processes_left();
    let remains = stage.remains();

    let scenery = Scenery { stage: &stage, before: &before, ended: &ended, remains: &remains, left: &left, came_in };
    let mut wrong = Vec::new();
    let never = [Effect::Claimed, Effect::SecretShown, Effect::OutsideHurt, Effect::ProcessLeft];
    let about_the_outside = |effect: &Effect| {
        !matches!(
            effect,
            Effect::Signalled(_)
                | Effect::Exited(_)
                | Effect::OutputLeaks
                | Effect::OutputBlocks
                | Effect::SurroundingsKilled
        )
    };
    let uncounted = tier == Tier::Seccomp || account.is_without_cgroup();
    let fate = match probe.fate_without_cgroup {
        Some(fate) if uncounted => fate,
        _ => probe.fate,
    };
    for effect in never.into_iter().chain(probe.shows.iter().copied().filter(about_the_outside)) {
        let excused = effect == Effect::Claimed && (matches!(fate, Fate::Ends) || tier.looks_at(probe));
        wrong.extend(scenery.shows(effect).filter(|_| !excused));
    }
    wrong.extend(before.changes(&stage, probe.shows));
    wrong.extend(remains.heard.iter().map(|line| format!("reached the outside: {line}")));
    wrong.extend(leaked_output(&stage));
    if ended.status.is_none() {
        wrong.push(format!("the sandbox did not end in {BOUND:?}"));
    }
    if !matches!(probe.scene, Scene::SupervisorKilled) {
        match read_report(&jail.report) {
            Ok(report) => {
                wrong.extend(wrong_fate(fate, &report, &ended));
                wrong.extend(left_cgroup(&report, &ended));
            }
            Err(why) => wrong.push(why),
        }
    }
    wrong.sort();
    wrong.dedup();
    if wrong.is_empty() {
        return Ok(());
    }
    let report = fs::read_to_string(&jail.report).unwrap_or_else(|error| error.to_string());
    Err(format!("{}\n{ended:#?}\nreport: {report}", wrong.join("\n")))
}

struct Jail<'g> {
    lazaret: &'g Path,
    policy: PathBuf,
    tier: Tier,
    report: PathBuf,
}

impl Jail<'_> {
    /// The command line of a job.
    fn words(&self, stage: &Stage<'_>, options: &[String], job: &[String]) -> Vec<String> {
        let mut words = vec![self.lazaret.display().to_string(), "run".to_owned(), "--policy".to_owned()];
        words.push(self.policy.display().to_string());
        words.extend_from_slice(&stage.account.degraded);
        words.extend_from_slice(options);
        let bin = if self.tier == Tier::Seccomp { own_bin(stage) } else { INSIDE.to_owned() };
        words.extend(["--".to_owned(), format!("{bin}/attack")]);
        words.extend(job.iter().map(|word| self.tier.place(word)));
        words
    }

    fn command(&self, stage: &Stage<'_>, probe: &Probe) -> Command {
        let mut options = stage.fill_all(probe.options);
        options.extend(["--report".to_owned(), self.report.display().to_string()]);
        if matches!(probe.scene, Scene::Output) {
            options.extend(["--out".to_owned(), format!("out:{}", fetched(stage).display())]);
        }
        let mut job = vec![probe.name.to_owned(), "--tag".to_owned(), stage.name.clone()];
        job.extend(self.tier.further(probe.name));
        job.extend(stage.fill_all(probe.args));
        let words = self.words(stage, &options, &job);
        within(stage, &stage.ground.attack.display().to_string(), &[probe.around], &words)
    }

    fn other(&self, stage: &Stage<'_>, words: &[&str]) -> Command {
        let mut job = vec![words[0].to_owned(), "--tag".to_owned(), stage.name.clone()];
        job.extend(stage.fill_all(&words[1..]));
        let words = self.words(stage, &["--quiet".to_owned()], &job);
        within(stage, "", &[], &words)
    }
}

/// Where an output of the job goes.
fn fetched(stage: &Stage<'_>) -> PathBuf {
    stage.directory.join("work/fetched")
}

/// Where tier seccomp sees the attacks: where they are.
fn own_bin(stage: &Stage<'_>) -> String {
    stage.ground.bin().display().to_string()
}

fn policy(stage: &Stage<'_>, probe: &Probe, under: Under, tier: Tier) -> Result<PathBuf, String> {
    if tier == Tier::Seccomp {
        let file = stage.directory.join("policy.toml");
        let text = tier::policy_text(under, &stage.ground.bin());
        fs::write(&file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        return Ok(file);
    }
    if !probe.shows.contains(&Effect::Changed("{copy}")) {
        return Ok(stage.ground.policy(under));
    }
    let file = stage.directory.join("policy.toml");
    let text = policy_text(under, &stage.own_copy()?);
    fs::write(&file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    Ok(file)
}

fn act(stage: &Stage<'_>, jail: &Jail<'_>, probe: &Probe) -> Result<(Ended, bool), String> {
    let mut command = jail.command(stage, probe);
    streams(stage, probe.streams, &mut command)?;
    match probe.scene {
        Scene::After(words) => {
            let first = launch::run(&mut jail.other(stage, words), BOUND)?;
            if first.code() != Some(1) {
                return Err(format!("the job before failed: {first:#?}"));
            }
            Ok((Started::new(&mut command)?.end(BOUND)?, false))
        }
        Scene::Beside(words) => {
            let mut other = jail.other(stage, words);
            streams(stage, crate::probe::Streams::Pipes, &mut other)?;
            let other = Started::new(&mut other)?;
            scene::wait_for_process(stage, words[0])?;
            std::thread::sleep(Duration::from_millis(200));
            let ended = Started::new(&mut command)?.end(BOUND)?;
            let other = other.end(BOUND)?;
            if other.code() == Some(1) { Ok((ended, false)) } else { Err(format!("the job beside failed: {other:#?}")) }
        }
        Scene::SupervisorKilled => {
            let mut started = Started::new(&mut command)?;
            scene::wait_for_process(stage, probe.name)?;
            started.child.kill().map_err(|error| format!("cannot kill: {error}"))?;
            let ended = started.end(BOUND)?;
            // The kernel takes a moment to do what it was told.
            let start = Instant::now();
            while !stage.processes().is_empty() && start.elapsed() < Duration::from_secs(3) {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok((ended, false))
        }
        Scene::HostComes => {
            let started = Started::new(&mut command)?;
            let came_in = scene::come_in(stage, &stage.fill_all(probe.args));
            Ok((started.end(BOUND)?, came_in))
        }
        Scene::Job | Scene::Output => Ok((Started::new(&mut command)?.end(BOUND)?, false)),
    }
}

fn leaked_output(stage: &Stage<'_>) -> Option<String> {
    let taken = fs::read(fetched(stage)).ok()?;
    let leaked = String::from_utf8_lossy(&taken).contains(&stage.secret);
    leaked.then(|| "the secret was taken out as an output".to_owned())
}

fn read_report(path: &Path) -> Result<Value, String> {
    let text = fs::read(path).map_err(|error| format!("there is no report: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("the report cannot be read: {error}"))
}

fn wrong_fate(fate: Fate, report: &Value, ended: &Ended) -> Option<String> {
    let verdict = &report["verdict"];
    let kind = verdict["kind"].as_str().unwrap_or("none");
    let is_right = match fate {
        Fate::Blocked => {
            let said = ended.stdout.lines().any(|line| line.starts_with("blocked"));
            // Where standard output is a file, what it said is there.
            let said = said || ended.stdout.is_empty() && verdict["code"] == 1;
            kind == "violation" || kind == "exit" && verdict["code"] == 1 && said
        }
        Fate::Kinds(kinds) => kinds.contains(&kind),
        Fate::Signal(number) => kind == "signal" && verdict["number"] == number,
        Fate::Code(code) => kind == "exit" && verdict["code"] == code && verdict["start_failure"].is_null(),
        Fate::Ends => true,
    };
    (!is_right).then(|| format!("the verdict is {verdict}, not {fate:?}"))
}

/// A cgroup that is still there after the job: named by the run, or by the process that ran it.
fn left_cgroup(report: &Value, ended: &Ended) -> Option<String> {
    let id = report["id"].as_str().filter(|id| !id.is_empty())?;
    let names = [id.to_owned(), format!("lazaret-{}-", ended.pid)];
    let found = names.iter().find_map(|name| find_directory(Path::new("/sys/fs/cgroup"), name, 5));
    found.map(|path| format!("the cgroup {} is left", path.display()))
}

fn find_directory(directory: &Path, name: &str, depth: u32) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?.flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    for entry in directories {
        if entry.file_name().to_string_lossy().contains(name) {
            return Some(entry.path());
        }
        if let Some(found) = (depth > 0).then(|| find_directory(&entry.path(), name, depth - 1)).flatten() {
            return Some(found);
        }
    }
    None
}
