//! What speaks for a rule.

use crate::record::{Origin, Seen};
use std::collections::BTreeSet;

/// In which runs a rule was needed, and by whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The runs.
    pub files: Seen,
    /// The run in which the rule came to be what it is: whatever was seen later it let through already.
    pub settled: usize,
    /// Whose calls needed it.
    pub by: BTreeSet<Origin>,
    /// The base names of the programs whose calls needed it.
    pub programs: BTreeSet<String>,
}

impl Evidence {
    /// One thing that was seen.
    #[must_use]
    pub fn new(files: Seen, by: Origin, program: &str) -> Self {
        let settled = files.first().unwrap_or(0);
        Self { files, settled, by: [by].into(), programs: [program.to_owned()].into() }
    }

    /// All of `parts` together.
    pub(crate) fn of<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        let mut all = Self::default();
        for part in parts {
            all.join(part);
        }
        all
    }

    /// Adds `other`.
    pub(crate) fn join(&mut self, other: &Self) {
        self.files.add(&other.files, 0);
        self.settled = self.settled.max(other.settled);
        self.by.extend(&other.by);
        self.programs.extend(other.programs.iter().cloned());
    }

    /// Adds `other`, which speaks for the very same thing: it is settled as soon as either is.
    pub(crate) fn join_same(&mut self, other: &Self) {
        let settled = if self.programs.is_empty() { other.settled } else { self.settled.min(other.settled) };
        self.join(other);
        self.settled = settled;
    }

    /// `first needed by a.png; by 41 of 50 files; program`. `main` is the program that need not be named.
    #[must_use]
    pub fn why(&self, names: &[String], main: &str) -> String {
        let first = self.files.first().and_then(|run| names.get(run)).map_or("", String::as_str);
        let mut text = format!("first needed by {first}; by {} of {} files; ", self.files.count(), names.len());
        let whose: Vec<&str> = self
            .by
            .iter()
            .map(|by| match by {
                Origin::Program => "program",
                Origin::Loader => "loader",
            })
            .collect();
        text.push_str(&whose.join(" and "));
        let others: Vec<&str> = self.programs.iter().map(String::as_str).filter(|name| *name != main).collect();
        if !others.is_empty() {
            text.push_str(if self.programs.contains(main) { ", also in " } else { " in " });
            text.push_str(&others.join(", "));
        }
        text
    }
}
