//! What was learned, as JSON.

use super::learned::Learned;
use super::paths::LearnedPath;
use super::{Evidence, Saturation};
use crate::record::Origin;
use serde_json::{Value, json as object};

/// Everything that the policy has, and what speaks for it.
#[must_use]
pub fn json(learned: &Learned) -> Value {
    let evidence = |evidence: &Evidence| {
        let by: Vec<&str> = evidence
            .by
            .iter()
            .map(|by| match by {
                Origin::Program => "program",
                Origin::Loader => "loader",
            })
            .collect();
        object!({
            "first": evidence.files.first().and_then(|run| learned.files.get(run)),
            "files": evidence.files.count(),
            "by": by,
            "programs": evidence.programs,
        })
    };
    let paths = |paths: &[LearnedPath]| -> Vec<Value> {
        paths
            .iter()
            .map(|path| object!({ "path": path.path, "folded": path.folded, "evidence": evidence(&path.evidence) }))
            .collect()
    };
    let pairs = |pairs: &[(String, String)]| -> Vec<Value> {
        pairs.iter().map(|(file, why)| object!({ "file": file, "why": why })).collect()
    };
    let saturation = |(arch, saturation): &(String, Saturation)| {
        object!({
            "arch": arch,
            "files": saturation.files,
            "last-new-call": saturation.last_call,
            "last-new-path": saturation.last_path,
            "quiet": saturation.quiet(),
            "needed": saturation.needed(),
            "ready": saturation.is_ready(),
        })
    };
    let keys = [
        ("pts", &learned.paths.pts),
        ("shm", &learned.paths.shm),
        ("fonts", &learned.paths.fonts),
        ("locale", &learned.paths.locale),
    ];
    let keys: serde_json::Map<String, Value> =
        keys.iter().filter_map(|(key, need)| Some(((*key).to_owned(), evidence(need.as_ref()?)))).collect();
    object!({
        "schema": "lazaret.learn/1",
        "ready": learned.is_ready(),
        "command": learned.command,
        "files": learned.files.len(),
        "left-out": pairs(&learned.left_out),
        "failed": pairs(&learned.failed),
        "saturation": learned.saturation.iter().map(saturation).collect::<Vec<_>>(),
        "system-calls": learned.rules.iter().map(|rule| object!({
            "rule": rule.rule,
            "evidence": evidence(&rule.evidence),
        })).collect::<Vec<_>>(),
        "offers": learned.offers.iter().map(|offer| object!({
            "rule": offer.rule,
            "seen": offer.seen,
            "reason": offer.reason,
        })).collect::<Vec<_>>(),
        "read": paths(&learned.paths.read),
        "devices": paths(&learned.paths.devices),
        "proc": learned.paths.proc.as_ref().map(|(view, of)| object!({
            "view": view.name(),
            "evidence": evidence(of),
        })),
        "keys": keys,
        "refused": learned.paths.refused.iter().map(|refused| object!({
            "path": refused.path,
            "why": refused.why,
            "evidence": evidence(&refused.evidence),
        })).collect::<Vec<_>>(),
        "absent": paths(&learned.paths.absent),
        "hosts": learned.hosts.iter().map(|(address, role, names, seen)| object!({
            "address": address,
            "role": role,
            "names": names,
            "files": seen.count(),
        })).collect::<Vec<_>>(),
        "names": learned.names.iter().map(|(name, seen)| object!({ "name": name, "files": seen.count() })).collect::<Vec<_>>(),
        "limits": learned.limits.iter().map(|limit| object!({
            "key": limit.key.name(),
            "value": limit.value,
            "measured": limit.measured,
        })).collect::<Vec<_>>(),
        "peaks": learned.peaks,
        "possible": learned.possibility.as_ref().map(|possibility| object!({
            "calls": possibility.calls,
            "files": possibility.files,
            "unknown-sites": possibility.unknown,
            "unread": pairs(&possibility.unread),
        })),
        "notes": learned.notes,
    })
}
