//! Recordings of several machines, architectures and versions as one.

use super::{Recording, Session};
use std::fmt;

/// In what joined sessions differ. Nothing of either is lost; the policy is made of both.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conflict {
    /// They are of different commands.
    Command {
        /// That of the first session.
        first: String,
        /// Another.
        other: String,
    },
    /// They were learned on top of different policies.
    Base {
        /// That of the first session.
        first: String,
        /// Another.
        other: String,
    },
    /// A variable has different values.
    Environment {
        /// Its name.
        name: String,
        /// Its value in the first session.
        first: String,
        /// Another.
        other: String,
    },
    /// A program of the same path and architecture has different contents: another version.
    Program {
        /// Its path.
        path: String,
    },
    /// They are of different architectures: each has calls of its own.
    Architecture {
        /// That of the first session.
        first: String,
        /// Another.
        other: String,
    },
    /// The same session is there twice; the second was left out.
    Twice,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { first, other } => write!(f, "different commands: `{first}` and `{other}`"),
            Self::Base { first, other } => write!(f, "learned on top of different policies: {first} and {other}"),
            Self::Environment { name, first, other } => {
                write!(f, "the variable {name} is {first} and {other}; the first is taken")
            }
            Self::Program { path } => write!(f, "different versions of {path}"),
            Self::Architecture { first, other } => write!(f, "different architectures: {first} and {other}"),
            Self::Twice => f.write_str("the same session is there twice; it counts once"),
        }
    }
}

/// Joins recordings. Every session is kept as it is, and what they differ in is named.
#[must_use]
pub fn join(recordings: Vec<Recording>) -> (Recording, Vec<Conflict>) {
    let mut conflicts = Vec::new();
    let mut sessions: Vec<Session> = Vec::new();
    for session in recordings.into_iter().flat_map(|recording| recording.sessions) {
        if sessions.contains(&session) {
            conflicts.push(Conflict::Twice);
            continue;
        }
        if let Some(first) = sessions.first() {
            compare(first, &session, &mut conflicts);
        }
        for earlier in &sessions {
            programs(earlier, &session, &mut conflicts);
        }
        sessions.push(session);
    }
    let mut unique: Vec<Conflict> = Vec::new();
    for conflict in conflicts {
        if !unique.contains(&conflict) {
            unique.push(conflict);
        }
    }
    (Recording { format: super::FORMAT.to_owned(), version: super::VERSION, sessions }, unique)
}

fn compare(first: &Session, other: &Session, conflicts: &mut Vec<Conflict>) {
    if first.command != other.command {
        conflicts.push(Conflict::Command { first: first.command.join(" "), other: other.command.join(" ") });
    }
    if first.base != other.base {
        let name = |base: &Option<String>| base.clone().unwrap_or_else(|| "none".to_owned());
        conflicts.push(Conflict::Base { first: name(&first.base), other: name(&other.base) });
    }
    if first.machine.arch != other.machine.arch {
        let (first, other) = (first.machine.arch.clone(), other.machine.arch.clone());
        conflicts.push(Conflict::Architecture { first, other });
    }
    for (name, value) in &first.environment {
        if let Some(different) = other.environment.get(name).filter(|different| *different != value) {
            let (name, first, other) = (name.clone(), value.clone(), different.clone());
            conflicts.push(Conflict::Environment { name, first, other });
        }
    }
}

fn programs(earlier: &Session, later: &Session, conflicts: &mut Vec<Conflict>) {
    if earlier.machine.arch != later.machine.arch {
        return;
    }
    for program in &earlier.programs {
        let same = later.programs.iter().find(|other| other.path == program.path);
        if same.is_some_and(|other| other.sha256 != program.sha256) {
            conflicts.push(Conflict::Program { path: program.path.clone() });
        }
    }
}
