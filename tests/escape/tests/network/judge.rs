//! What the arena and the report tell, and whether it is right.

use std::path::Path;

use serde_json::Value;

use crate::probe::Under;
use crate::table::{Row, Shows};
use crate::tier::Tier;

/// The arena's lines.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) took: u64,
    pub(crate) ended: String,
    pub(crate) permitted: u64,
    /// Who else was reached.
    pub(crate) reached: Vec<String>,
    /// What the attack said.
    pub(crate) said: String,
}

impl Told {
    pub(crate) fn read(text: &str) -> Self {
        let mut told = Self::default();
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "took" => told.took = rest.parse().unwrap_or(u64::MAX),
                "ended" => told.ended = rest.to_owned(),
                "permitted" => told.permitted = rest.parse().unwrap_or_default(),
                "connection" | "datagram" | "listening" | "group" | "name" | "unsupervised" => {
                    told.reached.push(line.to_owned())
                }
                "blocked" | "ESCAPED" => told.said = line.to_owned(),
                _ => {}
            }
        }
        told
    }
}

/// Whether a control shows what it should.
pub(crate) fn is_shown(told: &Told, shows: Shows) -> bool {
    let has = |word: &str| told.reached.iter().any(|line| line.starts_with(word));
    match shows {
        Shows::Connection => has("connection"),
        Shows::Datagram => has("datagram"),
        Shows::Listening => has("listening"),
        Shows::Group => has("group"),
        Shows::Name => has("name "),
        Shows::Claimed => told.said.starts_with("ESCAPED"),
        Shows::Nothing(_) => true,
    }
}

/// What was reached that should not be, and whether the attack was one.
pub(crate) fn of_the_outside(told: &Told, least: u64) -> Vec<String> {
    let permitted = |line: &&String| !line.starts_with("name permitted.test ");
    let mut wrong: Vec<String> = told.reached.iter().filter(permitted).map(|line| format!("reached: {line}")).collect();
    if told.permitted < least {
        wrong.push(format!("only {} connections were made to whom a rule permits", told.permitted));
    }
    if told.said.starts_with("ESCAPED") {
        wrong.push(told.said.clone());
    }
    if told.ended == "late" {
        wrong.push("the sandbox did not end in time".to_owned());
    }
    wrong
}

/// What is wrong with how the job ended.
pub(crate) fn of_the_job(told: &Told, row: &Row, (under, tier): (Under, Tier), report: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    if told.ended == "signal 9" && row.is_killed {
        return wrong;
    }
    let text = std::fs::read(report).unwrap_or_default();
    let report: Value = serde_json::from_slice(&text).unwrap_or_default();
    let kind = report["verdict"]["kind"].as_str().unwrap_or("none");
    // It has the job's roots open as well. Who has too few for that runs no job, or ends it.
    let is_closed = tier == Tier::Seccomp && row.has_few_descriptors() && matches!(kind, "none" | "disk-limit");
    if !row.verdicts.contains(&kind) && !is_closed {
        wrong.push(format!("the verdict is {}", report["verdict"]));
    }
    let is_excused = row.is_excused(under) || tier == Tier::Seccomp;
    if kind == "exit" && !is_excused && !told.said.starts_with("blocked or not, judged outside") {
        wrong.push(format!("it was not tried: {}", told.said));
    }
    wrong
}
