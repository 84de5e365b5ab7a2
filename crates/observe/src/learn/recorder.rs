//! What was seen, over all runs of a session.

use super::look::looks;
use super::watch::Numbered;
use crate::record::{Access, Answered, CallFact, HostFact, NameFact, Origin, PathFact, PathKind, Seen};
use rustc_hash::FxHashMap;
use std::collections::HashMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};

/// The looks at one call are no more than this.
pub(super) const MOST_LOOKS: usize = 3;

/// What makes a call the same as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CallKey {
    pub(super) number: u32,
    pub(super) foreign: bool,
    pub(super) program: usize,
    pub(super) by: Origin,
    pub(super) values: [u64; MOST_LOOKS],
}

/// A call of that kind, and what to answer.
#[derive(Debug)]
pub(super) struct CallEntry {
    pub(super) name: String,
    pub(super) example: [u64; 6],
    pub(super) answered: Answered,
    /// 0: it is made.
    pub(super) errno: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PathKey {
    pub(super) path: PathBuf,
    pub(super) access: Access,
    pub(super) follow: bool,
    pub(super) by: Origin,
    pub(super) program: usize,
}

#[derive(Debug)]
struct PathEntry {
    leads: Vec<PathBuf>,
    kind: PathKind,
}

/// Things of one kind: each once, with the runs it was seen in.
#[derive(Debug)]
struct Shelf<K, V> {
    index: FxHashMap<K, usize>,
    items: Vec<(K, V, Seen)>,
    /// For each item, the last run that touched it, counted over all runs, also those that were not learned from.
    touched: Vec<u64>,
    /// What the present run touched.
    present: Vec<usize>,
}

impl<K, V> Default for Shelf<K, V> {
    fn default() -> Self {
        Self { index: FxHashMap::default(), items: Vec::new(), touched: Vec::new(), present: Vec::new() }
    }
}

impl<K: Eq + Hash + Clone, V> Shelf<K, V> {
    fn touch(&mut self, serial: u64, key: K, make: impl FnOnce(&K) -> V) -> &V {
        let at = match self.index.get(&key) {
            Some(at) => *at,
            None => {
                let at = self.items.len();
                let value = make(&key);
                self.index.insert(key.clone(), at);
                self.items.push((key, value, Seen::default()));
                self.touched.push(0);
                at
            }
        };
        if self.touched[at] != serial {
            self.touched[at] = serial;
            self.present.push(at);
        }
        &self.items[at].1
    }

    /// The present run is number `run` of those that are learned from; `None`: it is not.
    fn settle(&mut self, run: Option<usize>) {
        for at in self.present.drain(..) {
            if let Some(run) = run {
                self.items[at].2.insert(run);
            }
        }
    }

    fn into_seen(self) -> impl Iterator<Item = (K, V, Seen)> {
        self.items.into_iter().filter(|(_, _, seen)| seen.count() > 0)
    }
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    serial: u64,
    calls: Shelf<CallKey, CallEntry>,
    paths: Shelf<PathKey, PathEntry>,
    hosts: Shelf<(String, &'static str), ()>,
    names: Shelf<String, ()>,
    programs: Vec<PathBuf>,
}

/// What is left when all runs are over.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) calls: Vec<CallFact>,
    pub(super) paths: Vec<PathFact>,
    pub(super) hosts: Vec<HostFact>,
    pub(super) names: Vec<NameFact>,
    pub(super) programs: Vec<PathBuf>,
}

impl Recorder {
    /// A run begins.
    pub(super) fn begin(&mut self) {
        self.serial += 1;
    }

    /// The run ends, as number `run` of those that are learned from, or as one that is not.
    pub(super) fn settle(&mut self, run: Option<usize>) {
        self.calls.settle(run);
        self.paths.settle(run);
        self.hosts.settle(run);
        self.names.settle(run);
    }

    /// The number of the program at `path`.
    pub(super) fn program(&mut self, path: &Path) -> usize {
        self.programs.iter().position(|known| known == path).unwrap_or_else(|| {
            self.programs.push(path.to_owned());
            self.programs.len() - 1
        })
    }

    /// A call was made. `make` says what it is when it is the first of its kind.
    pub(super) fn call(&mut self, key: CallKey, make: impl FnOnce(&CallKey) -> CallEntry) -> &CallEntry {
        self.calls.touch(self.serial, key, make)
    }

    /// A path was named that leads to `leads`.
    pub(super) fn path(&mut self, key: PathKey, leads: impl FnOnce(&PathKey) -> (Vec<PathBuf>, PathKind)) {
        self.paths.touch(self.serial, key, |key| {
            let (leads, kind) = leads(key);
            PathEntry { leads, kind }
        });
    }

    /// An address was used.
    pub(super) fn host(&mut self, address: String, role: &'static str) {
        self.hosts.touch(self.serial, (address, role), |_| ());
    }

    /// A name was asked for.
    pub(super) fn name(&mut self, name: String) {
        self.names.touch(self.serial, name, |_| ());
    }

    /// Everything that was seen in a run that was learned from.
    pub(super) fn finish(self, hosts_file: &HashMap<String, Vec<String>>) -> Facts {
        let text = |path: &Path| path.display().to_string();
        let calls = self.calls.into_seen().map(|(key, entry, files)| CallFact {
            values: key.values[..looks(&entry.name).len().min(MOST_LOOKS)].to_vec(),
            call: entry.name,
            example: entry.example,
            by: key.by,
            program: key.program,
            answer: entry.answered,
            files,
        });
        let paths = self.paths.into_seen().map(|(key, entry, files)| PathFact {
            path: text(&key.path),
            leads: entry.leads.iter().map(|path| text(path)).collect(),
            kind: entry.kind,
            access: key.access,
            by: key.by,
            program: key.program,
            files,
        });
        let hosts = self.hosts.into_seen().map(|((address, role), (), files)| HostFact {
            names: hosts_file.get(host(&address)).cloned().unwrap_or_default(),
            address,
            role: role.to_owned(),
            files,
        });
        let names = self.names.into_seen().map(|(name, (), files)| NameFact { name, files });
        let mut facts = Facts {
            calls: calls.collect(),
            paths: paths.collect(),
            hosts: hosts.collect(),
            names: names.collect(),
            programs: self.programs,
        };
        facts.calls.sort_by(|a, b| (&a.call, &a.values, a.by, a.program).cmp(&(&b.call, &b.values, b.by, b.program)));
        facts.paths.sort_by(|a, b| (&a.path, a.access, a.by, a.program).cmp(&(&b.path, b.access, b.by, b.program)));
        facts.hosts.sort_by(|a, b| (&a.address, &a.role).cmp(&(&b.address, &b.role)));
        facts.names.sort_by(|a, b| a.name.cmp(&b.name));
        facts
    }
}

/// The address of `address:port`, without brackets.
fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host.trim_start_matches('[').trim_end_matches(']'))
}

/// Looks at the registers of a call.
pub(super) fn values(numbered: &Numbered, args: &[u64; 6]) -> [u64; MOST_LOOKS] {
    let mut values = [0; MOST_LOOKS];
    for (value, look) in values.iter_mut().zip(numbered.looks) {
        *value = look.at(args);
    }
    values
}
