//! The text of a learned policy.

use super::calls::LearnedRule;
use super::learned::Learned;
use super::network::LearnedNetwork;
use super::paths::LearnedPath;
use super::{limits, paths, saturation};
use crate::record::Seen;
use lazaret_policy::{CallAction, ProcView, is_printable};

/// At most so many lines of a list that is for readers alone.
const LISTED: usize = 50;

/// The policy as TOML. `extends` is what the key of that name gets; `None`: the policy is the whole of it.
#[must_use]
pub fn render(learned: &Learned, extends: Option<&str>) -> String {
    let mut text = Text { learned, out: String::new() };
    text.head();
    text.line(&format!("description = {}", quoted(&description(learned))));
    match extends {
        Some(base) => text.line(&format!("extends = {}", quoted(base))),
        None => text.line("tier = \"jail\"\ndegrade = []"),
    }
    text.files(extends.is_some());
    text.network(extends.is_some());
    text.environment(extends.is_some());
    text.system_calls(extends.is_some());
    text.limits();
    text.remarks();
    text.out
}

fn description(learned: &Learned) -> String {
    let state = if learned.is_ready() { "" } else { " NOT READY: too little was seen." };
    format!("Learned from {} file(s): {}.{state}", learned.files.len(), one_line(&learned.command))
}

struct Text<'a> {
    learned: &'a Learned,
    out: String,
}

impl Text<'_> {
    fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    fn comment(&mut self, text: &str) {
        const WIDTH: usize = 118;
        let mut line = String::from("#");
        for word in one_line(text).split(' ') {
            if line.len() + 1 + word.len() > WIDTH && line.len() > 1 {
                self.line(&line);
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }

    fn why(&self, evidence: &super::Evidence) -> String {
        evidence.why(&self.learned.files, &self.learned.main)
    }

    fn head(&mut self) {
        let learned = self.learned;
        if !learned.is_ready() {
            self.comment("NOT READY. Too little was seen for this policy to be relied on:");
            for line in saturation_lines(learned) {
                self.comment(&line);
            }
            self.line("#");
        }
        self.comment(&format!("Learned by lazaret {}: {}", env!("CARGO_PKG_VERSION"), learned.command));
        self.comment(&format!(
            "Learned from {} file(s); {} left out, {} with a failing program.",
            learned.files.len(),
            learned.left_out.len(),
            learned.failed.len()
        ));
        if learned.is_ready() {
            for line in saturation_lines(learned) {
                self.comment(&line);
            }
        }
        for (file, why) in learned.left_out.iter().take(LISTED) {
            self.comment(&format!("left out: {file}: {why}"));
        }
        for (file, why) in learned.failed.iter().take(LISTED) {
            self.comment(&format!("failed, and learned from: {file}: {why}"));
        }
        for note in &learned.notes {
            self.comment(&format!("note: {note}"));
        }
        self.line("");
    }

    fn files(&mut self, extends: bool) {
        let paths = &self.learned.paths;
        let read = self.entries(&paths.read, "path");
        let devices = self.entries(&paths.devices, "path");
        self.line("\n[files]");
        self.comment(&format!("Paths: {}.", paths::RULE));
        if !extends {
            self.line("root = \"host\"\ncow = []");
        }
        if !extends || !read.is_empty() {
            self.list("read", &read);
        }
        if !extends || !devices.is_empty() {
            self.list("devices", &devices);
        }
        match (&paths.proc, extends) {
            (Some((view, evidence)), _) => {
                let why = self.why(evidence);
                self.line(&format!("proc = {} # {}", quoted(view.name()), one_line(&why)));
            }
            (None, false) => self.line(&format!("proc = {}", quoted(ProcView::None.name()))),
            (None, true) => {}
        }
        for (key, need) in [("pts", &paths.pts), ("shm", &paths.shm), ("fonts", &paths.fonts)] {
            match need {
                Some(evidence) => {
                    let why = self.why(evidence);
                    self.line(&format!("{key} = true # {}", one_line(&why)));
                }
                None if !extends => self.line(&format!("{key} = false")),
                None => {}
            }
        }
        if !extends || paths.locale.is_some() {
            self.line(&format!("locale = {}", quoted(self.learned.locale)));
        }
        let refused: Vec<String> = paths
            .refused
            .iter()
            .map(|refused| format!("{}: {} ({})", refused.path.display(), refused.why, self.why(&refused.evidence)))
            .collect();
        self.remark("Used, and not to be had by a policy", &refused);
        let absent: Vec<String> = paths.absent.iter().map(|path| path.path.display().to_string()).collect();
        self.remark("Looked for and not there, so that nothing is needed", &absent);
    }

    fn entries(&self, paths: &[LearnedPath], key: &str) -> Vec<String> {
        paths
            .iter()
            .map(|path| {
                let optional = if self.learned.is_everywhere(&path.evidence.files) { "" } else { ", optional = true" };
                let folded = path.folded.map_or_else(String::new, |count| format!("; {count} of its entries used"));
                let why = format!("{}{folded}", self.why(&path.evidence));
                format!("{{ {key} = {}{optional}, why = {} }}", quoted(&path.path.display().to_string()), quoted(&why))
            })
            .collect()
    }

    fn list(&mut self, key: &str, entries: &[String]) {
        if entries.is_empty() {
            self.line(&format!("{key} = []"));
            return;
        }
        self.line(&format!("{key} = ["));
        for entry in entries {
            self.line(&format!("    {entry},"));
        }
        self.line("]");
    }

    fn remark(&mut self, head: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.comment(&format!("{head}:"));
        for line in lines.iter().take(LISTED) {
            self.comment(&format!("  {line}"));
        }
        if lines.len() > LISTED {
            self.comment(&format!("  and {} more, which the recording has", lines.len() - LISTED));
        }
    }

    fn network(&mut self, extends: bool) {
        let learned = self.learned;
        let network = LearnedNetwork::new(&learned.hosts, &learned.names);
        let count = |seen: &Seen| format!("{} of {} files", seen.count(), learned.files.len());
        let allow: Vec<String> = network
            .allow
            .iter()
            .map(|(rule, seen)| {
                format!("{{ host = {}, why = {} }}", quoted(rule), quoted(&format!("by {}", count(seen))))
            })
            .collect();
        let has_servers = network.loopback.count() > 0;
        if !extends || !allow.is_empty() || has_servers {
            self.line("\n[net]");
        }
        if network.is_guessed {
            self.comment(
                "Which name goes with which port is not seen: every name has every port here that was used in the same runs. \
                 Take out what is not needed.",
            );
        }
        if !allow.is_empty() {
            self.list("allow", &allow);
        }
        if has_servers {
            let why = format!("servers of its own; by {}", count(&network.loopback));
            self.line(&format!("loopback = true # {why}"));
        } else if !extends {
            self.line("loopback = false");
        }
        if !extends {
            self.line("host-name = \"job\"");
        }
        let rest: Vec<String> = network.rest.iter().map(|(what, seen)| format!("{what}: {}", count(seen))).collect();
        if !rest.is_empty() {
            self.remark("Seen, and no rule: only TCP to hosts is permitted by one; names are asked of the jail", &rest);
        }
    }

    fn environment(&mut self, extends: bool) {
        let environment = &self.learned.environment;
        if extends && environment.is_empty() {
            return;
        }
        let set: Vec<String> =
            environment.iter().map(|(name, value)| format!("{} = {}", quoted(name), quoted(value))).collect();
        self.line("\n[environment]");
        self.comment("Which variables a program reads cannot be seen: these are those that the runs had.");
        self.line(&format!("set = {{ {} }}", set.join(", ")));
        if !extends {
            self.line("pass = []");
        }
    }

    fn system_calls(&mut self, extends: bool) {
        let learned = self.learned;
        let mut allow: Vec<String> = learned.rules.iter().map(|rule| self.rule(rule)).collect();
        if learned.shape.portable {
            allow.extend(
                learned
                    .offers
                    .iter()
                    .map(|offer| format!("{{ rule = {}, why = {} }}", quoted(&offer.rule), quoted(&offer.reason))),
            );
        }
        let strictness = learned.shape.strictness;
        let possible: Vec<String> = learned
            .possibility
            .iter()
            .flat_map(|possibility| &possibility.calls)
            .map(|call| format!("{{ rule = {}, why = \"the code could call it; not seen\" }}", quoted(call)))
            .collect();
        let default = strictness.neither.unwrap_or(CallAction::Refuse);
        self.line("\n[system-calls]");
        if !extends || strictness.neither.is_some() {
            self.line(&format!("default = {}", quoted(default.name())));
        }
        if strictness.possible == CallAction::Allow {
            allow.extend(possible.iter().cloned());
        }
        if !extends || !allow.is_empty() {
            self.list("allow", &allow);
        }
        for action in [CallAction::Log, CallAction::Trap, CallAction::Kill, CallAction::Refuse, CallAction::Silent] {
            // What the default does anyway needs no rules.
            let listed = strictness.possible == action && action != default && action != CallAction::Allow;
            if listed && !possible.is_empty() {
                self.list(action.name(), &possible);
            } else if !extends {
                self.line(&format!("{} = []", action.name()));
            }
        }
        if let Some(possibility) = &learned.possibility {
            self.comment(&format!(
                "Looked into {} file(s): {} calls are possible and were not seen; {} place(s) make a call whose number \
                 could not be found.",
                possibility.files,
                possibility.calls.len(),
                possibility.unknown
            ));
            for (file, why) in possibility.unread.iter().take(LISTED) {
                self.comment(&format!("not looked into: {file}: {why}"));
            }
        }
        if !learned.shape.portable {
            let offers: Vec<String> =
                learned.offers.iter().map(|offer| format!("{}: {}", offer.rule, offer.reason)).collect();
            self.remark("The same calls elsewhere, let through with --portable", &offers);
        }
    }

    fn rule(&self, rule: &LearnedRule) -> String {
        let why = match rule.evidence.files.first() {
            Some(_) => self.why(&rule.evidence),
            None => "start the command; the filter is in force by then".to_owned(),
        };
        format!("{{ rule = {}, why = {} }}", quoted(&rule.rule), quoted(&why))
    }

    fn limits(&mut self) {
        if self.learned.limits.is_empty() {
            return;
        }
        self.line("\n[limits]");
        self.comment(&format!("Headroom: {}.", limits::RULE));
        for limit in &self.learned.limits {
            let value = match limit.value.parse::<u64>() {
                Ok(number) => number.to_string(),
                Err(_with_unit) => quoted(&limit.value),
            };
            self.line(&format!("{} = {value} # at most {} was measured", limit.key.name(), limit.measured));
        }
    }

    fn remarks(&mut self) {
        self.line("");
        self.comment(&format!("When a policy is ready: {}.", saturation::RULE));
    }
}

/// How saturated the learning is: a line for each architecture.
#[must_use]
pub fn saturation_lines(learned: &Learned) -> Vec<String> {
    let mut lines = Vec::new();
    for (arch, saturation) in &learned.saturation {
        let at = |last: Option<usize>| match last {
            Some(last) => format!("at file {last} of {}", saturation.files),
            None => "never".to_owned(),
        };
        lines.push(format!(
            "{arch}: last new call {}; last new path {}; nothing new in the last {} files, {} are needed{}",
            at(saturation.last_call),
            at(saturation.last_path),
            saturation.quiet(),
            saturation.needed(),
            match saturation.missing() {
                0 => String::new(),
                more => format!(": give {more} or more files beside these"),
            }
        ));
    }
    lines
}

/// A string of TOML, on one line: a text of several would look like other lines of the policy.
fn quoted(text: &str) -> String {
    if text.chars().all(is_printable) {
        return toml::Value::String(text.to_owned()).to_string();
    }
    let written = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if is_printable(c) => c.to_string(),
        c => format!("\\u{:04X}", u32::from(c)),
    });
    format!("\"{}\"", written.collect::<String>())
}

/// Without anything that would end a comment or trick a terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if is_printable(c) { c } else { '\u{fffd}' }).collect()
}
