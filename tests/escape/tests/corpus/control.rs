//! Runs outside the jail, which show that the attacks work.

use std::fs::{File, OpenOptions};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::ground::{Account, Ground};
use crate::judge::{Before, Scenery};
use crate::launch::{Ended, Started};
use crate::probe::{Effect, Probe, Scene, Shown, Streams};
use crate::scene;
use crate::stage::Stage;

/// What a control has shown.
pub(crate) enum Showing {
    /// That the attack works.
    Works,
    /// Nothing: this machine lacks something that no set-up gives it.
    NotHere(String),
}

/// Runs `probe` outside.
pub(crate) fn run(ground: &Ground, probe: &Probe, shown: &Shown) -> Result<Showing, String> {
    if let Some(lack) = shown.needs.iter().find_map(|need| ground.lacks(*need)) {
        return Ok(Showing::NotHere(lack));
    }
    let account = account(ground, shown)?;
    let mut stage = Stage::new(ground, account)?;
    let effects = shown.shows.unwrap_or(probe.shows);
    let before_copy = effects.contains(&Effect::Changed("{copy}"));
    if before_copy {
        stage.own_copy()?;
    }
    let before = Before::look(&stage, effects);
    let (ended, left, came_in) = act(&stage, probe, shown)?;
    let remains = stage.remains();
    let scenery = Scenery { stage: &stage, before: &before, ended: &ended, remains: &remains, left: &left, came_in };
    let missing: Vec<Effect> = effects.iter().copied().filter(|effect| scenery.shows(*effect).is_none()).collect();
    if missing.is_empty() {
        return Ok(Showing::Works);
    }
    if let Some(absence) = absence(&ended.stdout, shown.absent) {
        return Ok(Showing::NotHere(format!("this kernel has no such thing: {absence}")));
    }
    Err(format!("the attack does not work outside either: not seen: {missing:?}\n{ended:#?}\nleft: {left:?}"))
}

fn account<'g>(ground: &'g Ground, shown: &Shown) -> Result<&'g Account, String> {
    if shown.as_user {
        return ground.user_account.as_ref().map_err(Clone::clone);
    }
    ground.root_account.as_ref().ok_or_else(|| "the control needs root".to_owned())
}

fn act(stage: &Stage<'_>, probe: &Probe, shown: &Shown) -> Result<(Ended, Vec<String>, bool), String> {
    let args = stage.fill_all(shown.args.unwrap_or(probe.args));
    let own_copy = probe.shows.contains(&Effect::Changed("{copy}"));
    let program = if own_copy { stage.fill("{copy}") } else { stage.ground.attack.display().to_string() };
    let mut attack = vec![program.clone()];
    match probe.scene {
        Scene::After(words) | Scene::Beside(words) => {
            let beside = matches!(probe.scene, Scene::Beside(_));
            attack.push(if beside { "side-by-side" } else { "in-turn" }.to_owned());
            attack.push(stage.fill_all(words).join(" "));
            attack.push(format!("{} {}", probe.name, args.join(" ")));
        }
        _ => {
            attack.extend([probe.name, "--tag", &stage.name].map(str::to_owned));
            attack.extend_from_slice(&args);
        }
    }
    let mut command = within(stage, &program, &[probe.around, shown.within], &attack);
    streams(stage, probe.streams, &mut command)?;
    let bound = if probe.shows.contains(&Effect::Unending) { 1500 } else { 20_000 };
    let mut started = Started::new(&mut command)?;
    let came_in = match probe.scene {
        Scene::HostComes => scene::come_in(stage, &args),
        Scene::SupervisorKilled => {
            scene::wait_for_process(stage, probe.name)?;
            started.child.kill().map_err(|error| format!("cannot kill: {error}"))?;
            false
        }
        _ => false,
    };
    let ended = started.end(Duration::from_millis(bound))?;
    Ok((ended, stage.processes_left(), came_in))
}

/// `program within WORDS -- what`, or `what` alone when there are no words; started by the stage's user where its job
/// would be.
pub(crate) fn within(stage: &Stage<'_>, program: &str, words: &[&str], what: &[String]) -> Command {
    let words: Vec<String> = words.iter().filter(|words| !words.is_empty()).map(|words| stage.fill(words)).collect();
    let mut all = Vec::new();
    if !words.is_empty() {
        all.extend([program.to_owned(), "within".to_owned(), words.join(","), "--".to_owned()]);
    }
    all.extend_from_slice(what);
    let mut command = stage.account.command(&all[0]);
    command.args(&all[1..]).current_dir(stage.work()).env("ESCAPE_SECRET", &stage.secret);
    command
}

/// Sets the standard descriptors.
pub(crate) fn streams(stage: &Stage<'_>, streams: Streams, command: &mut Command) -> Result<(), String> {
    let target = stage.fill("{target}");
    let said = |error: std::io::Error| format!("cannot open {target}: {error}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    match streams {
        Streams::Pipes => {}
        Streams::InputFile => {
            command.stdin(File::open(&target).map_err(said)?);
        }
        Streams::OutputFile => {
            command.stdout(OpenOptions::new().append(true).open(&target).map_err(said)?);
        }
    }
    Ok(())
}

/// What an attack was stopped by, when every error that it met says that the kernel has no such thing.
fn absence(stdout: &str, absent: &[&str]) -> Option<String> {
    let line = stdout.lines().find(|line| line.starts_with("blocked"))?;
    let words = line.split(|c: char| !c.is_ascii_alphanumeric());
    let errors: Vec<&str> = words
        .filter(|word| {
            word.len() > 3
                && word.starts_with('E')
                && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        })
        .collect();
    let all = !errors.is_empty() && errors.iter().all(|error| absent.contains(error));
    all.then(|| line.to_owned())
}
