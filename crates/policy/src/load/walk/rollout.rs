//! `[rollout]`, and the file that holds its shares.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{Value, Walk, in_order};
use crate::check::{self, Fault};
use crate::error::Problem;
use crate::load::Checks;
use crate::load::document::Document;
use crate::load::draft::{Draft, DraftRollout};
use crate::rollout::{KeyRule, Share, ShareError};
use crate::source::Sourced;
use crate::text;

/// Reads the shares that a file holds.
pub(in crate::load) fn shares(document: &Document) -> Result<Sourced<Share>, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(&document.text);
    let mut walk = Walk { document, checks: Checks::default(), draft: Draft::default(), problems: Vec::new() };
    for error in &errors {
        walk.syntax(error);
    }
    let table = table.get_ref();
    if walk.problems.is_empty() {
        for (key, _) in in_order(table) {
            let name = key.get_ref().as_ref();
            if !matches!(name, "enforce" | "shadow") {
                let hint = text::name_hint(name, ["enforce", "shadow"]);
                walk.fault(&key.span(), Fault::new(format!("unknown key `{name}` in a rollout's shares"), hint));
            }
        }
        let share = walk.shares(table, &(0..document.text.len()));
        if let (Some(share), true) = (share, walk.problems.is_empty()) {
            return Ok(share);
        }
    }
    Err(walk.problems)
}

impl Walk<'_> {
    pub(super) fn rollout(&mut self, value: &Value<'_>) {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type("rollout", value, "a table, `[rollout]`");
            return;
        };
        let before = self.problems.len();
        let (mut old, mut file) = (None, None);
        let mut key = self.sourced(&value.span(), KeyRule::Given);
        for (name, value) in in_order(table) {
            match name.get_ref().as_ref() {
                "enforce" | "shadow" => {}
                "old" => {
                    let place = self.document.place(&value.span());
                    old = self.string("rollout.old", value).map(|text| (text, place));
                }
                "key" => key = self.key_rule(value).unwrap_or(key),
                "file" => {
                    file = self
                        .string("rollout.file", value)
                        .and_then(|text| self.accept(check::absolute(Path::new(&text.value)), &value.span()));
                }
                _ => self.unknown_key("rollout", name),
            }
        }
        let enforce = self.shares(table, &value.span());
        match (enforce, old) {
            (Some(enforce), Some((old, place))) if self.problems.len() == before => {
                self.draft.rollout = Some(DraftRollout { enforce, old, place, key, file });
            }
            (_, None) if self.problems.len() == before => {
                let hint = "name what the other jobs run under: `old = \"default\"`, `old = \"./before.toml\"`, or \
                            `old = \"none\"` for next to no limits at all";
                self.fault(&value.span(), Fault::new("`rollout` names no old policy", hint));
            }
            _ => {}
        }
    }

    /// `enforce`, when it and `shadow` are 100 % together.
    fn shares(&mut self, table: &DeTable<'_>, whole: &std::ops::Range<usize>) -> Option<Sourced<Share>> {
        let mut found = [None, None];
        let mut is_good = true;
        for (slot, name) in found.iter_mut().zip(["enforce", "shadow"]) {
            match in_order(table).into_iter().find(|(key, _)| key.get_ref() == name) {
                None => {
                    let hint = "write both, such as enforce = \"5%\" and shadow = \"95%\"";
                    self.fault(whole, Fault::new(format!("a rollout has no share `{name}`"), hint));
                    is_good = false;
                }
                Some((_, value)) => {
                    let share = self.parsed::<Share>(&format!("rollout.{name}"), value);
                    is_good &= share.is_some();
                    *slot = share.map(|share| (share, value.span()));
                }
            }
        }
        let [Some((enforce, _)), Some((shadow, span))] = found else { return None };
        if is_good && shadow.value != enforce.rest() {
            let hint = format!("with enforce = \"{}\" write shadow = \"{}\"", enforce.value, enforce.rest());
            let message = format!("the shares {} and {} are not 100% together", enforce.value, shadow.value);
            self.fault(&span, Fault::new(message, hint));
            return None;
        }
        is_good.then_some(enforce)
    }

    fn key_rule(&mut self, value: &Value<'_>) -> Option<Sourced<KeyRule>> {
        let written = self.string("rollout.key", value)?;
        let rule = KeyRule::ALL.iter().find(|rule| rule.name() == written.value);
        if rule.is_none() {
            let hint = text::name_hint(&written, KeyRule::ALL.iter().map(|rule| rule.name()));
            self.fault(&value.span(), Fault::new(format!("unknown key `{}` of a rollout", written.value), hint));
        }
        rule.map(|rule| written.map(|_| *rule))
    }
}

impl From<ShareError> for Fault {
    fn from(error: ShareError) -> Self {
        Self::new(error.to_string(), ShareError::HINT)
    }
}
