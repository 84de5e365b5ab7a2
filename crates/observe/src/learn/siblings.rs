//! Calls that do the same on other architectures, and in older and newer C libraries.

use super::calls::LearnedRule;
use lazaret_filter::{Arch, Rule, table};

/// A rule that would let the same thing through elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its text.
    pub rule: String,
    /// The call that was seen.
    pub seen: String,
    /// Where it is the same call.
    pub reason: String,
}

/// Calls that do the same, the oldest first.
const FAMILIES: &[&[&str]] = &[
    &["access", "faccessat", "faccessat2"],
    &["accept", "accept4"],
    &["chmod", "fchmodat"],
    &["chown", "fchownat"],
    &["creat", "openat"],
    &["dup2", "dup3"],
    &["epoll_create", "epoll_create1"],
    &["epoll_wait", "epoll_pwait"],
    &["eventfd", "eventfd2"],
    &["fstat", "newfstatat"],
    &["getdents", "getdents64"],
    &["getpgrp", "getpgid"],
    &["getrlimit", "prlimit64"],
    &["inotify_init", "inotify_init1"],
    &["lchown", "fchownat"],
    &["link", "linkat"],
    &["lstat", "newfstatat"],
    &["mkdir", "mkdirat"],
    &["mknod", "mknodat"],
    &["open", "openat"],
    &["pipe", "pipe2"],
    &["poll", "ppoll"],
    &["readlink", "readlinkat"],
    &["rename", "renameat", "renameat2"],
    &["rmdir", "unlinkat"],
    &["select", "pselect6"],
    &["setrlimit", "prlimit64"],
    &["signalfd", "signalfd4"],
    &["stat", "newfstatat", "statx"],
    &["symlink", "symlinkat"],
    &["time", "clock_gettime"],
    &["unlink", "unlinkat"],
    &["utimes", "utimensat"],
    &["vfork", "clone"],
    &["fork", "clone"],
];

/// Which siblings of `rules` are not among them. A sibling that could do more than was seen is offered under a condition.
pub(crate) fn offers(rules: &[LearnedRule]) -> Vec<Offer> {
    let calls: Vec<String> = rules
        .iter()
        .filter_map(|rule| Rule::parse(&rule.rule).ok())
        .flat_map(|rule| rule.calls().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let is_seen = |call: &str| calls.iter().any(|seen| seen == call);
    let mut offers: Vec<Offer> = Vec::new();
    for family in FAMILIES {
        let Some(seen) = family.iter().find(|call| is_seen(call)) else { continue };
        for sibling in family.iter().filter(|call| !is_seen(call)) {
            if offers.iter().any(|offer| offer.rule.split('(').next() == Some(*sibling)) {
                continue;
            }
            let reason = reason(sibling, seen);
            offers.push(Offer { rule: rule(sibling, seen, rules), seen: (*seen).to_owned(), reason });
        }
    }
    offers
}

fn rule(sibling: &str, seen: &str, rules: &[LearnedRule]) -> String {
    const READING: &str = "(flags & O_WRONLY | O_RDWR | O_CREAT | O_TRUNC == 0)";
    const NO_NAMESPACE: &str = "(flags & CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
        CLONE_NEWPID | CLONE_NEWNET == 0)";
    let reads_only = rules.iter().any(|rule| rule.rule == format!("{seen}{READING}"));
    match sibling {
        "open" | "openat" if reads_only => format!("{sibling}{READING}"),
        "clone" => format!("clone{NO_NAMESPACE}"),
        "prlimit64" if seen == "getrlimit" => "prlimit64(pid == 0, new == 0)".to_owned(),
        "prlimit64" => "prlimit64(pid == 0)".to_owned(),
        _ => sibling.to_owned(),
    }
}

fn reason(sibling: &str, seen: &str) -> String {
    let lacks = Arch::ALL.into_iter().find(|arch| table::number(*arch, seen).is_none());
    match lacks {
        Some(arch) => format!("the same as {seen} on {arch}, which lacks that"),
        None if Arch::ALL.into_iter().any(|arch| table::number(arch, sibling).is_none()) => {
            format!("the same as {seen} in older programs")
        }
        None => format!("the same as {seen} in other C libraries"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(rules: &[&str]) -> Vec<LearnedRule> {
        let rule = |text: &&str| LearnedRule { rule: (*text).to_owned(), evidence: super::super::Evidence::default() };
        rules.iter().map(rule).collect()
    }

    #[test]
    fn every_sibling_is_a_call_and_every_offer_a_rule() {
        for call in FAMILIES.iter().flat_map(|family| family.iter()) {
            for offer in offers(&seen(&[call])) {
                assert!(Rule::parse(&offer.rule).is_ok(), "{}", offer.rule);
            }
        }
    }

    #[test]
    fn a_call_that_an_architecture_lacks_has_its_sibling_offered() {
        let offers = offers(&seen(&["poll"]));

        assert_eq!(offers.len(), 1);
        assert_eq!(offers[0].rule, "ppoll");
        assert!(offers[0].reason.contains("aarch64"), "{}", offers[0].reason);
    }

    #[test]
    fn what_only_read_is_offered_for_reading_only() {
        let offers = offers(&seen(&["openat(flags & O_WRONLY | O_RDWR | O_CREAT | O_TRUNC == 0)"]));

        let open = offers.iter().find(|offer| offer.rule.starts_with("open(")).expect("it is offered");
        assert_eq!(open.rule, "open(flags & O_WRONLY | O_RDWR | O_CREAT | O_TRUNC == 0)");
    }
}
