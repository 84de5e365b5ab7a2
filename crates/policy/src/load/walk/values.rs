//! Reading single values, and telling what is wrong with them.

use std::fmt::Display;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use toml::de::{DeTable, DeValue};

use super::{Key, TABLES, Value, Walk, in_order};
use crate::check::Fault;
use crate::error::Problem;
use crate::source::Sourced;
use crate::text;

/// An entry of a list: a string, or a table whose main key holds that string.
pub(super) struct Entry {
    pub(super) text: String,
    /// Where the string stands, quotes included.
    pub(super) span: Range<usize>,
    pub(super) at: Option<(String, Range<usize>)>,
    pub(super) optional: bool,
    pub(super) why: String,
}

impl Walk<'_> {
    pub(super) fn sourced<T>(&self, span: &Range<usize>, value: T) -> Sourced<T> {
        Sourced::new(value, self.document.source(span))
    }

    pub(super) fn accept<T>(&mut self, value: Result<T, Fault>, span: &Range<usize>) -> Option<Sourced<T>> {
        match value {
            Ok(value) => Some(self.sourced(span, value)),
            Err(fault) => {
                self.fault(span, fault);
                None
            }
        }
    }

    /// As [`Walk::accept`], for an entry of a list; `known` says that this text has an entry of that name already.
    pub(super) fn unique<T>(
        &mut self,
        value: Result<T, Fault>,
        known: bool,
        name: &dyn Display,
        span: &Range<usize>,
    ) -> Option<Sourced<T>> {
        let value = self.accept(value, span)?;
        if known {
            self.fault(span, Fault::new(format!("`{name}` is named twice"), "drop one of the two"));
            return None;
        }
        Some(value)
    }

    pub(super) fn string(&mut self, key: &str, value: &Value<'_>) -> Option<Sourced<String>> {
        match value.get_ref() {
            DeValue::String(text) => Some(self.sourced(&value.span(), text.to_string())),
            _ => {
                self.wrong_type(key, value, "a string");
                None
            }
        }
    }

    pub(super) fn checked(
        &mut self,
        key: &str,
        value: &Value<'_>,
        check: impl Fn(&str) -> Result<(), Fault>,
    ) -> Option<Sourced<String>> {
        let text = self.string(key, value)?;
        let good = check(&text);
        self.accept(good.map(|()| text.value), &value.span())
    }

    pub(super) fn parsed<T: FromStr>(&mut self, key: &str, value: &Value<'_>) -> Option<Sourced<T>>
    where
        Fault: From<T::Err>,
    {
        let text = self.string(key, value)?;
        self.accept(text.parse().map_err(Fault::from), &value.span())
    }

    /// A value that is one of several by name; `what` they are called.
    pub(super) fn named<T: Copy>(
        &mut self,
        key: &str,
        value: &Value<'_>,
        (what, names): (&str, &[(&'static str, T)]),
    ) -> Option<Sourced<T>> {
        let written = self.string(key, value)?;
        let found = names.iter().find(|(name, _)| *name == written.value);
        if found.is_none() {
            let hint = text::name_hint(&written, names.iter().map(|(name, _)| *name));
            self.fault(&value.span(), Fault::new(format!("unknown {what} `{}`", written.value), hint));
        }
        found.map(|(_, found)| written.map(|_| *found))
    }

    pub(super) fn boolean(&mut self, key: &str, value: &Value<'_>) -> Option<Sourced<bool>> {
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(self.sourced(&value.span(), *flag)),
            _ => {
                self.wrong_type(key, value, "true or false");
                None
            }
        }
    }

    pub(super) fn strings(&mut self, key: &str, value: &Value<'_>) -> Vec<(String, Range<usize>)> {
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(key, value, "a list of strings");
            return Vec::new();
        };
        let mut found = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => found.push((text.to_string(), item.span())),
                _ => self.wrong_type(&format!("{key}[]"), item, "a string"),
            }
        }
        found
    }

    /// The entries of a list: strings, or tables with `main` and the keys `others`.
    pub(super) fn entries(&mut self, key: &str, value: &Value<'_>, main: &str, others: &[&str]) -> Vec<Entry> {
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(key, value, "a list");
            return Vec::new();
        };
        let mut found = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => found.push(Entry {
                    text: text.to_string(),
                    span: item.span(),
                    at: None,
                    optional: false,
                    why: String::new(),
                }),
                DeValue::Table(table) => found.extend(self.entry(key, table, &item.span(), main, others)),
                _ => self.wrong_type(&format!("{key}[]"), item, &format!("a string or a table with `{main}`")),
            }
        }
        found
    }

    pub(super) fn entry(
        &mut self,
        list: &str,
        table: &DeTable<'_>,
        whole: &Range<usize>,
        main: &str,
        others: &[&str],
    ) -> Option<Entry> {
        let before = self.problems.len();
        let mut entry =
            Entry { text: String::new(), span: whole.clone(), at: None, optional: false, why: String::new() };
        let mut is_named = false;
        for (key, value) in in_order(table) {
            let name = key.get_ref().as_ref();
            let dotted = format!("{list}.{name}");
            if name != main && !others.contains(&name) {
                let known = std::iter::once(main).chain(others.iter().copied());
                let fault =
                    Fault::new(format!("unknown key `{name}` in an entry of `{list}`"), text::name_hint(name, known));
                self.fault(&key.span(), fault);
            } else if name == main {
                is_named = true;
                if let Some(text) = self.string(&dotted, value) {
                    (entry.text, entry.span) = (text.value, value.span());
                }
            } else if name == "optional" {
                entry.optional = self.boolean(&dotted, value).is_some_and(|flag| flag.value);
            } else if let Some(text) = self.string(&dotted, value) {
                match name {
                    "at" => entry.at = Some((text.value, value.span())),
                    _ => entry.why = text.value,
                }
            }
        }
        if !is_named {
            self.fault(
                whole,
                Fault::new(format!("an entry of `{list}` has no `{main}`"), format!("add `{main} = \"…\"`")),
            );
        }
        (self.problems.len() == before).then_some(entry)
    }

    /// Makes a bind or view of an entry. A fault in the guest path is shown at `at`, when that is where it stands.
    pub(super) fn binding<T>(
        &mut self,
        entry: Entry,
        make: impl Fn(PathBuf, PathBuf, bool, String) -> Result<T, Fault>,
    ) -> Option<T> {
        let Entry { text, span, at, optional, why } = entry;
        let host = PathBuf::from(text);
        let guest = at.as_ref().map_or_else(|| host.clone(), |(at, _)| PathBuf::from(at));
        match make(host.clone(), guest, optional, why) {
            Ok(made) => Some(made),
            Err(fault) => {
                // The host path is at fault when it is so wherever it is bound.
                let is_host = make(host, PathBuf::from("/a"), optional, String::new()).is_err();
                let place = at.filter(|_| !is_host).map_or(span, |(_, at)| at);
                self.fault(&place, fault);
                None
            }
        }
    }

    pub(super) fn table(&mut self, key: &str, value: &Value<'_>, read: impl Fn(&mut Self, &DeTable<'_>)) {
        match value.get_ref() {
            DeValue::Table(table) => read(self, table),
            _ => self.wrong_type(key, value, &format!("a table, `[{key}]`")),
        }
    }

    pub(super) fn fault(&mut self, span: &Range<usize>, fault: Fault) {
        let place = self.document.place(span);
        self.problems.push(Problem::new(fault.message, fault.hint).at(place));
    }

    pub(super) fn wrong_type(&mut self, key: &str, value: &Value<'_>, wanted: &str) {
        let kind = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let fault = Fault::new(format!("`{key}` must be {wanted}"), format!("write {wanted}"));
        let problem = Problem::new(fault.message, fault.hint).labelled(format!("this is {kind}"));
        self.problems.push(problem.at(self.document.place(&value.span())));
    }

    /// A key that its table does not have: it belongs to another table, or is misspelt.
    pub(super) fn unknown_key(&mut self, table: &str, key: &Key<'_>) {
        let name = key.get_ref().as_ref();
        let message = match table {
            "" => format!("unknown key `{name}`"),
            _ => format!("unknown key `{name}` in [{table}]"),
        };
        let known = TABLES.iter().find(|(other, _)| *other == table).map_or(&[][..], |(_, keys)| *keys);
        let home = TABLES
            .iter()
            .filter(|(other, _)| *other != "remove")
            .find(|(other, keys)| *other != table && keys.contains(&name));
        let hint = match home {
            Some(("", _)) => format!("`{name}` belongs at the top, before the first [table]"),
            Some((other, _)) => format!("`{name}` belongs under [{other}]"),
            None => text::name_hint(name, known.iter().copied()),
        };
        self.fault(&key.span(), Fault::new(message, hint));
    }

    pub(super) fn syntax(&mut self, error: &toml::de::Error) {
        let end = self.document.text.len();
        let span = error.span().unwrap_or(end..end);
        let hint = match error.message() {
            "duplicate key" => "drop one of the two",
            _ => "see https://toml.io for the syntax",
        };
        let fault = Fault::new(format!("this is not TOML: {}", error.message()), hint);
        self.fault(&span, fault);
    }
}
