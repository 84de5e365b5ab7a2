//! `[[fetch]]`: files that are fetched for the job.

use toml::de::{DeTable, DeValue};

use super::{Value, Walk, in_order};
use crate::check::Fault;
use crate::job::FileName;
use crate::policy::Fetch;
use crate::quantity::FileSizeLimit;

const MISSING: &str = "a `[[fetch]]` names `url`, `to` and `max-bytes`";

impl Walk<'_> {
    pub(super) fn fetches(&mut self, value: &Value<'_>) {
        let DeValue::Array(entries) = value.get_ref() else {
            self.wrong_type("fetch", value, "a list of tables, each `[[fetch]]`");
            return;
        };
        for entry in entries {
            match entry.get_ref() {
                DeValue::Table(table) => self.fetch(table, entry),
                _ => self.wrong_type("fetch[]", entry, "a table, `[[fetch]]`"),
            }
        }
    }

    fn fetch(&mut self, table: &DeTable<'_>, whole: &Value<'_>) {
        let before = self.problems.len();
        let (mut url, mut to, mut max_bytes) = (None, None, None);
        let (mut types, mut allow) = (Vec::new(), Vec::new());
        for (key, value) in in_order(table) {
            match key.get_ref().as_ref() {
                "url" => {
                    url = self.string("fetch.url", value).filter(|text| {
                        let form = "write the whole of it: `https://images.example.com/cat.jpg`";
                        self.passes(self.checks.url, text, &value.span(), form)
                    });
                }
                "to" => {
                    let written = self.string("fetch.to", value);
                    to =
                        written.and_then(|name| self.accept(FileName::new(&*name).map_err(Fault::from), &value.span()));
                }
                "max-bytes" => max_bytes = self.bytes("fetch.max-bytes", value),
                "types" => {
                    for (text, span) in self.strings("fetch.types", value) {
                        if self.passes(self.checks.media, &text, &span, "a type is `image/png`, or `image/*`") {
                            types.push(text);
                        }
                    }
                }
                "allow" => {
                    for (text, span) in self.strings("fetch.allow", value) {
                        if self.passes(self.checks.host, &text, &span, "a rule is `host:port`") {
                            allow.push(text);
                        }
                    }
                }
                "why" => drop(self.string("fetch.why", value)),
                _ => self.unknown_key("fetch", key),
            }
        }
        let (Some(url), Some(to), Some(max_bytes)) = (url, to, max_bytes) else {
            if self.problems.len() == before {
                self.fault(&whole.span(), Fault::new("a file to fetch that is not wholly described", MISSING));
            }
            return;
        };
        let known = self.draft.fetch.iter().any(|other| other.to == to.value);
        let name = to.value.to_string();
        let fetch = Fetch { url: url.value, to: to.value, max_bytes, types, allow };
        if let Some(fetch) = self.unique(Ok(fetch), known, &name, &whole.span()) {
            self.draft.fetch.push(fetch);
        }
    }

    fn bytes(&mut self, key: &str, value: &Value<'_>) -> Option<FileSizeLimit> {
        let written = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.to_string(),
            _ => {
                self.wrong_type(key, value, "a size such as \"10MiB\"");
                return None;
            }
        };
        self.accept(written.parse().map_err(Fault::from), &value.span()).map(|size| size.value)
    }
}
