use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::document::Document;
use super::draft::{Draft, List, Removal};
use super::{Checks, RuleCheck};
use crate::check::{self, Fault};
use crate::error::Problem;
use crate::layer::Layer;
use crate::limits::LimitKey;
use crate::policy::{
    Bind, CallAction, CallRule, Cow, Device, EnvValue, EnvVar, FilesMode, HostRule, Outside, ProcView, Root, Until,
};
use crate::source::Sourced;
use crate::text;

mod fetch;
mod phase;
mod rollout;
mod values;

pub(super) use self::rollout::shares;
use self::values::Entry;

type Key<'i> = Spanned<DeString<'i>>;
type Value<'i> = Spanned<DeValue<'i>>;

/// The tables of a policy and their keys; the first is the text's top level.
pub(super) const TABLES: [(&str, &[&str]); 12] = [
    (
        "",
        &[
            "description",
            "extends",
            "tier",
            "degrade",
            "require",
            "files",
            "net",
            "fetch",
            "phase",
            "environment",
            "system-calls",
            "limits",
            "rollout",
            "remove",
        ],
    ),
    ("files", &["root", "read", "cow", "devices", "proc", "pts", "shm", "fonts", "locale", "mode", "outside"]),
    ("net", &["loopback", "host-name", "allow", "name-servers", "trust", "until"]),
    ("fetch", &["url", "to", "max-bytes", "types", "allow", "why"]),
    ("phase", &["init", "work"]),
    ("phase.init", &["read"]),
    ("phase.work", &["begins", "read", "write"]),
    ("environment", &["set", "pass"]),
    ("system-calls", &["default", "allow", "log", "trap", "kill", "refuse", "silent", "refuse-after-start"]),
    (
        "limits",
        &[
            "wall",
            "cpu",
            "memory",
            "processes",
            "file-size",
            "disk",
            "output",
            "open-files",
            "cpus",
            "io-rate",
            "net-connections",
            "net-sent",
            "net-received",
            "net-time",
        ],
    ),
    ("rollout", &["enforce", "shadow", "old", "key", "file"]),
    ("remove", List::KEYS),
];

/// Reads one text. Every problem found is kept; the draft holds what was good.
pub(super) fn read(document: &Document, checks: Checks) -> (Draft, Vec<Problem>) {
    let (table, errors) = DeTable::parse_recoverable(&document.text);
    let checks = if document.is_built_in() { Checks::default() } else { checks };
    let mut walk = Walk { document, checks, draft: Draft::default(), problems: Vec::new() };
    if errors.is_empty() {
        walk.top(table.get_ref());
    } else {
        // What could be read of a broken text is not looked at: its errors would be echoes.
        for error in errors {
            walk.syntax(&error);
        }
    }
    walk.problems.sort_by_key(|problem| problem.span().map(|span| span.start));
    (walk.draft, walk.problems)
}

struct Walk<'d> {
    document: &'d Document,
    checks: Checks,
    draft: Draft,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn top(&mut self, table: &DeTable<'_>) {
        for (key, value) in in_order(table) {
            match key.get_ref().as_ref() {
                "description" => self.draft.description = self.string("description", value).map(|text| text.value),
                "extends" => {
                    self.draft.extends = self.string("extends", value).map(|text| (text.value, value.span()));
                }
                "tier" => self.draft.tier = self.parsed("tier", value),
                "degrade" => {
                    for (name, span) in self.strings("degrade", value) {
                        let layer = Layer::parse_degradable(&name).map_err(Fault::from);
                        let known = self.draft.degrade.iter().any(|entry| entry.name() == name);
                        if let Some(layer) = self.unique(layer, known, &name, &span) {
                            self.draft.degrade.push(layer);
                        }
                    }
                }
                "require" => {
                    for (name, span) in self.strings("require", value) {
                        let layer = name.parse::<Layer>().map_err(Fault::from);
                        let known = self.draft.require.iter().any(|entry| entry.name() == name);
                        if let Some(layer) = self.unique(layer, known, &name, &span) {
                            self.draft.require.push(layer);
                        }
                    }
                }
                "files" => self.table("files", value, Self::files),
                "net" => self.table("net", value, Self::net),
                "fetch" => self.fetches(value),
                "phase" => self.phases(value),
                "environment" => self.table("environment", value, Self::environment),
                "system-calls" => self.table("system-calls", value, Self::system_calls),
                "limits" => self.table("limits", value, Self::limits),
                "rollout" => self.rollout(value),
                "remove" => self.table("remove", value, Self::remove),
                _ => self.unknown_key("", key),
            }
        }
        // One policy's lists apply in a fixed order, whatever order they are written in.
        self.draft.rules.sort_by_key(|rule| CallAction::ALL.iter().position(|action| *action == rule.action));
    }

    fn files(&mut self, table: &DeTable<'_>) {
        for (key, value) in in_order(table) {
            match key.get_ref().as_ref() {
                "root" => self.draft.files.root = self.root(value),
                "read" => {
                    for entry in self.entries("files.read", value, "path", &["at", "optional", "why"]) {
                        let span = entry.span.clone();
                        let bind = self.binding(entry, |host, guest, optional, why| {
                            check::bind(Bind { host, guest, optional, why })
                        });
                        let guest = bind.as_ref().map(|bind| bind.guest.clone()).unwrap_or_default();
                        let known = self.draft.files.read.iter().any(|other| other.guest == guest);
                        if let Some(bind) = bind.and_then(|bind| self.unique(Ok(bind), known, &guest.display(), &span))
                        {
                            self.draft.files.read.push(bind);
                        }
                    }
                }
                "cow" => {
                    for entry in self.entries("files.cow", value, "path", &["at", "why"]) {
                        let span = entry.span.clone();
                        let cow = self.binding(entry, |host, guest, _, why| check::cow(Cow { host, guest, why }));
                        let guest = cow.as_ref().map(|cow| cow.guest.clone()).unwrap_or_default();
                        let known = self.draft.files.cow.iter().any(|other| other.guest == guest);
                        if let Some(cow) = cow.and_then(|cow| self.unique(Ok(cow), known, &guest.display(), &span)) {
                            self.draft.files.cow.push(cow);
                        }
                    }
                }
                "devices" => {
                    for entry in self.entries("files.devices", value, "path", &["why"]) {
                        let Entry { text, span, at: _, optional: _, why } = entry;
                        let device = check::device(Device { path: PathBuf::from(&text), why });
                        let path = device.as_ref().map(|device| device.path.clone()).unwrap_or_default();
                        let known = self.draft.files.devices.iter().any(|other| other.path == path);
                        if let Some(device) = self.unique(device, known, &text, &span) {
                            self.draft.files.devices.push(device);
                        }
                    }
                }
                "proc" => self.draft.files.proc = self.proc(value),
                "pts" => self.draft.files.pts = self.boolean("files.pts", value),
                "shm" => self.draft.files.shm = self.boolean("files.shm", value),
                "fonts" => self.draft.files.fonts = self.boolean("files.fonts", value),
                "locale" => {
                    self.draft.files.locale = self.checked("files.locale", value, check::locale);
                }
                "mode" => {
                    let names: Vec<_> = FilesMode::ALL.iter().map(|mode| (mode.name(), *mode)).collect();
                    self.draft.files.mode = self.named("files.mode", value, ("mode", &names));
                }
                "outside" => {
                    let names: Vec<_> = Outside::ALL.iter().map(|outside| (outside.name(), *outside)).collect();
                    self.draft.files.outside = self.named("files.outside", value, ("answer", &names));
                }
                _ => self.unknown_key("files", key),
            }
        }
    }

    fn net(&mut self, table: &DeTable<'_>) {
        for (key, value) in in_order(table) {
            match key.get_ref().as_ref() {
                "loopback" => self.draft.loopback = self.boolean("net.loopback", value),
                "host-name" => {
                    self.draft.host_name = self.checked("net.host-name", value, check::host_name);
                }
                "until" => {
                    let names: Vec<_> = Until::ALL.iter().map(|until| (until.name(), *until)).collect();
                    self.draft.until = self.named("net.until", value, ("end", &names));
                }
                "trust" => {
                    for (text, span) in self.strings("net.trust", value) {
                        let path = check::absolute_file(&text);
                        let known = self.draft.trust.iter().any(|other| other.value.as_os_str() == text.as_str());
                        if let Some(path) = self.unique(path, known, &text, &span) {
                            self.draft.trust.push(path);
                        }
                    }
                }
                "name-servers" => {
                    let written = self.strings("net.name-servers", value);
                    if written.is_empty() {
                        let fault = Fault::new("no name server: no name would resolve", "name one, or drop the key");
                        self.fault(&value.span(), fault);
                        continue;
                    }
                    let parsed = written.into_iter().map(|(text, span)| self.accept(check::name_server(&text), &span));
                    let servers: Option<Vec<_>> = parsed.collect();
                    self.draft.name_servers = servers.map(|servers| {
                        self.sourced(&value.span(), servers.into_iter().map(|server| server.value).collect())
                    });
                }
                "allow" => {
                    for entry in self.entries("net.allow", value, "host", &["why"]) {
                        self.host_rule(entry);
                    }
                }
                _ => self.unknown_key("net", key),
            }
        }
    }

    fn host_rule(&mut self, entry: Entry) {
        let Entry { text, span, at: _, optional: _, why } = entry;
        if !self.passes(self.checks.host, &text, &span, "a rule is `host:port`, such as `api.example.com:443`") {
            return;
        }
        let known = self.draft.hosts.iter().any(|other| other.rule == text);
        let rule = HostRule { rule: text.clone(), why };
        if let Some(rule) = self.unique(Ok(rule), known, &text, &span) {
            for call in CallRule::of_network() {
                if !self.draft.rules.iter().any(|other| (other.action, &other.rule) == (call.action, &call.rule)) {
                    self.draft.rules.push(rule.clone().map(|_| call));
                }
            }
            self.draft.hosts.push(rule);
        }
    }

    fn environment(&mut self, table: &DeTable<'_>) {
        for (key, value) in in_order(table) {
            match key.get_ref().as_ref() {
                "set" => {
                    let DeValue::Table(set) = value.get_ref() else {
                        self.wrong_type("environment.set", value, "a table such as { PATH = \"/usr/bin\" }");
                        continue;
                    };
                    for (name, value) in in_order(set) {
                        let span = name.span();
                        let name = name.get_ref().as_ref();
                        let Some(text) = self.string(&format!("environment.set.{name}"), value) else {
                            continue;
                        };
                        let good = check::variable_name(name).and_then(|()| check::variable_value(name, &text));
                        self.variable(name, good.map(|()| EnvValue::Set(text.value)), &span);
                    }
                }
                "pass" => {
                    for (name, span) in self.strings("environment.pass", value) {
                        self.variable(&name, check::variable_name(&name).map(|()| EnvValue::FromCaller), &span);
                    }
                }
                _ => self.unknown_key("environment", key),
            }
        }
    }

    fn variable(&mut self, name: &str, value: Result<EnvValue, Fault>, span: &Range<usize>) {
        let variable = value.map(|value| EnvVar { name: name.to_owned(), value });
        let known = self.draft.environment.iter().any(|other| other.name == name);
        if let Some(variable) = self.unique(variable, known, &name, span) {
            self.draft.environment.push(variable);
        }
    }

    fn system_calls(&mut self, table: &DeTable<'_>) {
        for (key, value) in in_order(table) {
            let name = key.get_ref().as_ref();
            if name == "default" {
                self.draft.call_default = self.call_default(value);
            } else if let Some(action) = CallAction::ALL.iter().find(|action| action.name() == name) {
                for entry in self.entries(&format!("system-calls.{name}"), value, "rule", &["why"]) {
                    self.rule(entry, *action);
                }
            } else if name == "refuse-after-start" {
                for entry in self.entries("system-calls.refuse-after-start", value, "rule", &["why"]) {
                    self.rule_after_start(entry);
                }
            } else {
                self.unknown_key("system-calls", key);
            }
        }
    }

    /// Whether the text of a rule passes `check`. If it does not, that is told; `form` says what rules look like.
    fn passes(&mut self, check: Option<RuleCheck>, text: &str, span: &Range<usize>, form: &str) -> bool {
        let Some(Err(problem)) = check.map(|check| check(text)) else { return true };
        let within = self.within(span, text, &problem.span);
        let hint = problem.hint.unwrap_or_else(|| form.to_owned());
        self.fault(&within, Fault::new(problem.message, hint));
        false
    }

    fn is_rule(&mut self, text: &str, span: &Range<usize>) -> bool {
        self.passes(self.checks.call, text, span, "a rule is `@group`, `call` or `call(condition)`")
    }

    fn rule_after_start(&mut self, entry: Entry) {
        let Entry { text, span, at: _, optional: _, why } = entry;
        if !self.is_rule(&text, &span) {
            return;
        }
        let known = self.draft.refuse_after_start.iter().any(|other| other.rule == text);
        let rule = CallRule { rule: text.clone(), action: CallAction::Refuse, why };
        if let Some(rule) = self.unique(Ok(rule), known, &text, &span) {
            self.draft.refuse_after_start.push(rule);
        }
    }

    fn rule(&mut self, entry: Entry, action: CallAction) {
        let Entry { text, span, at: _, optional: _, why } = entry;
        if !self.is_rule(&text, &span) {
            return;
        }
        let known = self.draft.rules.iter().any(|other| other.action == action && other.rule == text);
        let rule = CallRule { rule: text.clone(), action, why };
        if let Some(rule) = self.unique(Ok(rule), known, &text, &span) {
            self.draft.rules.push(rule);
        }
    }

    /// Where in the document the stretch `part` of the string `text` stands, whose literal is at `span`. The whole
    /// literal when escapes make the two differ.
    fn within(&self, span: &Range<usize>, text: &str, part: &Range<usize>) -> Range<usize> {
        let literal = self.document.text.get(span.clone()).unwrap_or_default();
        match literal.find(text) {
            Some(quote) if !text.is_empty() && part.start <= part.end && part.end <= text.len() => {
                let start = span.start + quote;
                start + part.start..start + part.end
            }
            _ => span.clone(),
        }
    }

    fn call_default(&mut self, value: &Value<'_>) -> Option<Sourced<CallAction>> {
        let written = self.string("system-calls.default", value)?;
        let action = CallAction::ALL.iter().find(|action| action.name() == written.value);
        if action.is_none() {
            let hint = text::name_hint(&written, CallAction::ALL.iter().map(|action| action.name()));
            self.fault(&value.span(), Fault::new(format!("unknown action `{}`", written.value), hint));
        }
        action.map(|action| written.map(|_| *action))
    }

    fn proc(&mut self, value: &Value<'_>) -> Option<Sourced<ProcView>> {
        let names: Vec<_> = ProcView::ALL.iter().map(|view| (view.name(), *view)).collect();
        self.named("files.proc", value, ("view of /proc", &names))
    }

    fn root(&mut self, value: &Value<'_>) -> Option<Sourced<Root>> {
        let wanted = "\"host\" or { directory = \"/path\" }";
        let table = match value.get_ref() {
            DeValue::String(written) if written == "host" => {
                return Some(self.sourced(&value.span(), Root::Host));
            }
            DeValue::String(written) => {
                let hint = if written.starts_with('/') {
                    format!("for a directory write root = {{ directory = \"{written}\" }}")
                } else {
                    format!("write {wanted}")
                };
                self.fault(&value.span(), Fault::new(format!("unknown root `{written}`"), hint));
                return None;
            }
            DeValue::Table(table) => table,
            _ => {
                self.wrong_type("files.root", value, wanted);
                return None;
            }
        };
        let mut directory = None;
        for (key, value) in in_order(table) {
            if key.get_ref() == "directory" {
                directory = self.string("files.root.directory", value).map(|path| (path, value.span()));
            } else {
                let name = key.get_ref();
                self.fault(
                    &key.span(),
                    Fault::new(format!("unknown key `{name}` in `files.root`"), format!("write {wanted}")),
                );
            }
        }
        if directory.is_none() && table.is_empty() {
            self.fault(&value.span(), Fault::new("`files.root` names no directory", format!("write {wanted}")));
        }
        let (path, span) = directory?;
        self.accept(check::root_directory(Path::new(&path.value)).map(Root::Directory), &span)
    }

    fn limits(&mut self, table: &DeTable<'_>) {
        for (key, value) in in_order(table) {
            let Ok(limit) = LimitKey::from_str(key.get_ref()) else {
                self.unknown_key("limits", key);
                continue;
            };
            let written = match value.get_ref() {
                DeValue::String(written) => written.to_string(),
                DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
                DeValue::Integer(number) => {
                    let decimal = i128::from_str_radix(number.as_str(), number.radix());
                    decimal.map_or_else(|_overflow| number.to_string(), |decimal| decimal.to_string())
                }
                DeValue::Float(number) if limit == LimitKey::Cpus => number.as_str().to_owned(),
                _ => {
                    self.wrong_type(&format!("limits.{limit}"), value, example(limit));
                    continue;
                }
            };
            let source = self.document.source(&key.span());
            if let Err(error) = self.draft.limits.set(limit, &written, source) {
                let fault = Fault::from(error);
                self.fault(&value.span(), Fault::new(format!("`limits.{limit}`: {}", fault.message), fault.hint));
            }
        }
    }

    fn remove(&mut self, table: &DeTable<'_>) {
        for (key, value) in in_order(table) {
            let Some(list) = List::from_key(key.get_ref()) else {
                self.unknown_key("remove", key);
                continue;
            };
            for (what, span) in self.strings(&format!("remove.{}", key.get_ref()), value) {
                self.draft.removals.push(Removal { list, what, place: self.document.place(&span) });
            }
        }
    }
}

/// The entries as they stand in the text.
fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<(&'t Key<'i>, &'t Value<'i>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// What a limit's value looks like.
const fn example(limit: LimitKey) -> &'static str {
    match limit {
        LimitKey::Wall | LimitKey::Cpu | LimitKey::NetTime => "a time such as \"30s\"",
        LimitKey::Memory
        | LimitKey::FileSize
        | LimitKey::Disk
        | LimitKey::Output
        | LimitKey::IoRate
        | LimitKey::NetSent
        | LimitKey::NetReceived => "a size such as \"512MiB\"",
        LimitKey::Processes | LimitKey::OpenFiles | LimitKey::NetConnections => "an integer such as 64",
        LimitKey::Cpus => "a number of cores such as 1.5",
    }
}
