//! Who is compared: no sandbox, other sandboxes, Lazaret.

mod bundle;
mod commands;

use crate::agent::{Choice, FILTER, Work};
use anyhow::{Context, Result, bail};
use bundle::Scratch;
use std::path::{Path, PathBuf};

/// What every contender runs.
const JOB: &str = "/bin/true";

/// Which agent launches a contender's jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A small process.
    Small,
    /// A process with much memory and many threads.
    Large,
    /// A small process that does not see the version 2 hierarchy beside the version 1 ones.
    WithoutUnified,
}

/// One way to run the job.
#[derive(Debug, Clone)]
pub(crate) struct Contender {
    /// Its name in `--only` and in tables.
    pub(crate) name: &'static str,
    /// What it isolates, in words.
    pub(crate) about: String,
    /// Who launches it.
    pub(crate) caller: Caller,
    /// What is launched.
    pub(crate) work: Work,
}

/// Somebody who is not measured.
#[derive(Debug, Clone)]
pub(crate) struct Absent {
    pub(crate) name: &'static str,
    pub(crate) why: String,
}

/// All of them, and the files that they need.
#[derive(Debug)]
pub(crate) struct Lineup {
    pub(crate) contenders: Vec<Contender>,
    pub(crate) absent: Vec<Absent>,
    /// Removed with the line-up.
    _scratch: Scratch,
}

/// The names that ratios and promises are about.
pub(crate) const FORK: &str = "fork+exec";
pub(crate) const SPAWN: &str = "posix_spawn";
pub(crate) const SPAWN_LARGE: &str = "posix_spawn-large";
pub(crate) const BWRAP: &str = "bwrap";
pub(crate) const PROGRAM: &str = "lazaret";
pub(crate) const LIBRARY: &str = "library";
pub(crate) const LIBRARY_LARGE: &str = "library-large";

impl Lineup {
    /// Everybody who is installed; the others with the reason.
    pub(crate) fn assemble(lazaret: Option<&Path>, degrade: &[String]) -> Result<Self> {
        let scratch = Scratch::new()?;
        let mut lineup = Self { contenders: bare(), absent: Vec::new(), _scratch: scratch };
        lineup.peers()?;
        let program = program(lazaret)?;
        let policy = Choice::new("default", degrade);
        let layers = match degrade {
            [] => "every layer".to_owned(),
            _ => format!("WITHOUT {} where this host cannot enforce it", degrade.join(", ")),
        };
        let mut argv = vec![program.to_string_lossy().into_owned(), "run".to_owned()];
        // Without options it is the command line of the promise, word for word.
        if !degrade.is_empty() {
            argv.extend(policy.options());
        }
        argv.extend(["--".to_owned(), JOB.to_owned()]);
        lineup.add(PROGRAM, &format!("the program, default profile, {layers}"), Caller::Small, spawn(argv));
        let library = Work::Library { policy, argv: vec![JOB.to_owned()] };
        let about = format!("the library, default profile, {layers}, output captured");
        lineup.add(LIBRARY, &format!("{about}; small caller"), Caller::Small, library.clone());
        lineup.add(LIBRARY_LARGE, &format!("{about}; large caller"), Caller::Large, library);
        Ok(lineup)
    }

    /// Keeps those that are asked for.
    ///
    /// # Errors
    ///
    /// When somebody is named who does not exist.
    pub(crate) fn select(&mut self, only: &[String], skip: &[String]) -> Result<()> {
        let known: Vec<&str> =
            self.contenders.iter().map(|c| c.name).chain(self.absent.iter().map(|a| a.name)).collect();
        if let Some(unknown) = only.iter().chain(skip).find(|name| !known.contains(&name.as_str())) {
            bail!("nobody is called `{unknown}`; there are: {}", known.join(", "));
        }
        let wanted =
            |name: &str| (only.is_empty() || only.iter().any(|o| o == name)) && !skip.iter().any(|s| s == name);
        self.contenders.retain(|contender| wanted(contender.name));
        self.absent.retain(|absent| wanted(absent.name));
        Ok(())
    }

    fn add(&mut self, name: &'static str, about: &str, caller: Caller, work: Work) {
        self.contenders.push(Contender { name, about: about.to_owned(), caller, work });
    }

    fn peers(&mut self) -> Result<()> {
        for peer in commands::all(&self._scratch)? {
            let Some(program) = in_path(peer.program) else {
                self.absent.push(Absent { name: peer.name, why: "not installed".to_owned() });
                continue;
            };
            let args = match peer.args {
                Ok(args) => args,
                Err(error) => {
                    let why = format!("cannot be set up like Lazaret: {error:#}");
                    self.absent.push(Absent { name: peer.name, why });
                    continue;
                }
            };
            let argv = std::iter::once(program.to_string_lossy().into_owned()).chain(args).collect();
            let work = Work::Spawn { argv, filter: peer.filter };
            self.add(peer.name, peer.about, peer.caller, work);
        }
        Ok(())
    }
}

impl Contender {
    /// The command line, as a shell would take it.
    pub(crate) fn command_line(&self) -> String {
        match &self.work {
            Work::Fork { argv } | Work::Spawn { argv, filter: None } => shell(argv),
            Work::Spawn { argv, filter: Some(filter) } => {
                format!("{}` with descriptor {FILTER} open on `{}", shell(argv), filter.display())
            }
            Work::Function(function) => format!("{function:?}"),
            Work::Library { policy: Choice { profile, degrade }, argv } => {
                let degrade: String = degrade.iter().map(|layer| format!(".degrade({layer:?})?")).collect();
                format!(
                    "lazaret::Job::new({argv:?}).run(&lazaret::change(lazaret::profile({profile:?})?){degrade}.build())"
                )
            }
        }
    }
}

fn bare() -> Vec<Contender> {
    let argv = || vec![JOB.to_owned()];
    let contender = |name, about: &str, caller, work| Contender { name, about: about.to_owned(), caller, work };
    vec![
        contender(FORK, "no sandbox; fork(2) and execve(2), small caller", Caller::Small, Work::Fork { argv: argv() }),
        contender(SPAWN, "no sandbox; posix_spawn(3), small caller", Caller::Small, spawn(argv())),
        contender(SPAWN_LARGE, "no sandbox; posix_spawn(3), large caller", Caller::Large, spawn(argv())),
    ]
}

fn spawn(argv: Vec<String>) -> Work {
    Work::Spawn { argv, filter: None }
}

/// The program to measure: the one that is named, or the one beside this one.
pub(crate) fn program(named: Option<&Path>) -> Result<PathBuf> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => std::env::current_exe().context("cannot find this program")?.with_file_name("lazaret"),
    };
    std::path::absolute(&path)
        .ok()
        .filter(|path| path.is_file())
        .with_context(|| format!("`{}` is missing: build it, or name it with --lazaret", path.display()))
}

/// The file that a shell would run for `name`.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

fn shell(argv: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_=.,:+{}".contains(c);
    let quote = |word: &String| match word.chars().all(plain) {
        true if !word.is_empty() => word.clone(),
        _ => format!("'{}'", word.replace('\'', r"'\''")),
    };
    argv.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_a_shell_would_split_are_quoted() {
        assert_eq!(shell(&["a".to_owned(), "0 1 1".to_owned(), String::new()]), "a '0 1 1' ''");
    }

    #[test]
    fn a_name_that_nobody_has_is_an_error() {
        let mut lineup = Lineup {
            contenders: bare(),
            absent: vec![Absent { name: "nsjail", why: String::new() }],
            _scratch: Scratch::new().expect("there is a place for temporary files"),
        };

        let error = lineup.select(&["nsjial".to_owned()], &[]).expect_err("nobody has that name");

        assert!(error.to_string().contains("nsjail"), "{error}");
    }
}
