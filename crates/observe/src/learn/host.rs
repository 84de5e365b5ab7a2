//! What is to be said of this machine.

use crate::record::{Machine, PathFact, Program};
use lazaret_filter::Arch;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// This machine. `confined`: whether Landlock kept the runs to themselves.
pub(super) fn machine(arch: Arch, confined: bool) -> Machine {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    Machine {
        arch: arch.to_string(),
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        system: name.map(|name| name.trim_matches('"').to_owned()).unwrap_or_default(),
        confined,
    }
}

/// The program at `path`, with what tells its versions apart.
pub(super) fn identify(path: &Path) -> Program {
    let hash = fs::read(path)
        .map(|content| Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    Program { path: path.display().to_string(), sha256: hash.unwrap_or_default() }
}

/// Whether the program looked for names in /etc/hosts.
pub(super) fn read_hosts_file(paths: &[PathFact]) -> bool {
    paths.iter().any(|fact| fact.path == "/etc/hosts")
}

/// The names that /etc/hosts has for each address.
pub(super) fn hosts_file() -> HashMap<String, Vec<String>> {
    let mut names: HashMap<String, Vec<String>> = HashMap::new();
    for line in fs::read_to_string("/etc/hosts").unwrap_or_default().lines() {
        let mut words = line.split('#').next().unwrap_or("").split_ascii_whitespace();
        if let Some(address) = words.next() {
            names.entry(address.to_owned()).or_default().extend(words.map(str::to_owned));
        }
    }
    names
}
