//! `[phase.init]` and `[phase.work]`: what of the files is left when a job's work begins.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::{Value, Walk, in_order};
use crate::check::{self, Fault};
use crate::phase::{Begins, FilePhases, Work};
use crate::policy::Bind;
use crate::source::Sourced;

const MISSING: &str = "write `[phase.work]`, with what may still be opened then under `read` and `write`";

impl Walk<'_> {
    pub(super) fn phases(&mut self, value: &Value<'_>) {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type("phase", value, "two tables, `[phase.init]` and `[phase.work]`");
            return;
        };
        let (mut init, mut work) = (Vec::new(), None);
        for (key, value) in in_order(table) {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("init", DeValue::Table(table)) => init = self.init(table),
                ("work", DeValue::Table(table)) => work = Some(self.work(table, value)),
                ("init" | "work", _) => self.wrong_type(&format!("phase.{}", key.get_ref()), value, "a table"),
                _ => self.unknown_key("phase", key),
            }
        }
        match work {
            Some(work) => self.draft.phases = Some(FilePhases { init, work }),
            None => self.fault(&value.span(), Fault::new("a first phase without a second one", MISSING)),
        }
    }

    fn init(&mut self, table: &DeTable<'_>) -> Vec<Sourced<Bind>> {
        let mut binds: Vec<Sourced<Bind>> = Vec::new();
        for (key, value) in in_order(table) {
            if key.get_ref() != "read" {
                self.unknown_key("phase.init", key);
                continue;
            }
            for entry in self.entries("phase.init.read", value, "path", &["at", "optional", "why"]) {
                let span = entry.span.clone();
                let checked = |host, guest, optional, why| check::bind(Bind { host, guest, optional, why });
                let Some(bind) = self.binding(entry, checked) else { continue };
                let known = binds.iter().any(|other| other.guest == bind.guest);
                let name = bind.guest.display().to_string();
                binds.extend(self.unique(Ok(bind), known, &name, &span));
            }
        }
        binds
    }

    fn work(&mut self, table: &DeTable<'_>, whole: &Value<'_>) -> Work {
        let mut begins = self.sourced(&whole.span(), Begins::InputOpened);
        let (mut read, mut write) = (Vec::new(), Vec::new());
        for (key, value) in in_order(table) {
            match key.get_ref().as_ref() {
                "begins" => {
                    let names: Vec<_> = Begins::ALL.iter().map(|begins| (begins.name(), *begins)).collect();
                    if let Some(named) = self.named("phase.work.begins", value, ("moment", &names)) {
                        begins = named;
                    }
                }
                "read" => read = self.places("phase.work.read", value),
                "write" => write = self.places("phase.work.write", value),
                _ => self.unknown_key("phase.work", key),
            }
        }
        Work { begins, read, write }
    }

    /// Paths as the job names them.
    fn places(&mut self, key: &str, value: &Value<'_>) -> Vec<Sourced<PathBuf>> {
        let mut places: Vec<Sourced<PathBuf>> = Vec::new();
        for (text, span) in self.strings(key, value) {
            let path = check::absolute(Path::new(&text));
            let known = path.as_ref().is_ok_and(|path| places.iter().any(|other| other.value == *path));
            places.extend(self.unique(path, known, &text, &span));
        }
        places
    }
}
