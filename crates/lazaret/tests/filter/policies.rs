//! Random policies: as their author thinks of them, and as TOML.

use crate::meaning::{ACTIONS, Layer, Policy};
use lazaret_filter::groups;
use proptest::prelude::*;
use proptest::sample::select;
use std::fmt::Write as _;

/// Calls that rules put conditions on: arguments of every width.
const CONDITIONAL: &[&str] = &[
    "ioctl",
    "fcntl",
    "lseek",
    "flock",
    "socket",
    "openat",
    "prctl",
    "getpriority",
    "madvise",
    "sched_get_priority_max",
    "clone",
    "mknodat",
    "getppid",
    "prlimit64",
    "pwrite64",
    "setpriority",
];
/// Calls that rules name as such.
const PLAIN: &[&str] = &[
    "getppid",
    "getuid",
    "read",
    "ioctl",
    "fcntl",
    "socket",
    "openat",
    "open",
    "mmap",
    "clone",
    "clone3",
    "execve",
    "lseek",
    "flock",
    "getpriority",
    "sched_yield",
    "io_uring_setup",
    "mseal",
    "prctl",
];
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    3,
    5,
    0x10,
    0x28,
    0x5401,
    0x5412,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0005,
    0xffff_ffff_0000_5412,
    u64::MAX,
];
const NAMED: &[&str] = &[
    "TIOCSTI",
    "CLONE_NEWUSER",
    "AT_FDCWD",
    "O_DIRECTORY | O_NOFOLLOW",
    "CLONE_NEWUSER | CLONE_THREAD",
    "-1",
    "-2147483648",
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(NUMBERS).prop_map(|number| format!("{number:#x}")),
        2 => select(NAMED).prop_map(str::to_owned),
        1 => any::<u32>().prop_map(|number| number.to_string()),
        1 => any::<u64>().prop_map(|number| format!("{number:#x}")),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    let argument =
        select(&["arg0", "arg1", "arg2", "arg3", "flags", "request", "cmd", "arg", "offset", "whence", "domain"][..]);
    let test = prop_oneof![
        (select(&["==", "!=", "<", "<=", ">", ">="][..]), value())
            .prop_map(|(symbol, value)| format!("{symbol} {value}")),
        (value(), select(&["==", "!="][..])).prop_map(|(mask, symbol)| format!("& {mask} {symbol} 0")),
        (value(), select(&["==", "!="][..])).prop_map(|(mask, symbol)| format!("& {mask} {symbol} {mask}")),
        prop::collection::vec(value(), 1..5).prop_map(|values| format!("in [{}]", values.join(", "))),
    ];
    (argument, test).prop_map(|(argument, test)| format!("{argument} {test}"))
}

fn rule() -> impl Strategy<Value = String> {
    let groups: Vec<_> = groups::all().map(|group| group.name).collect();
    // Most combinations of call, argument and value are none, and are told apart from rules by the parser, which is tested
    // by itself.
    let conditional = (select(CONDITIONAL), prop::collection::vec(condition(), 1..3))
        .prop_map(|(call, conditions)| format!("{call}({})", conditions.join(", ")))
        .prop_filter("not every argument goes with every call and value", |text| {
            text.parse::<lazaret_filter::Rule>().is_ok()
        });
    prop_oneof![5 => conditional, 2 => select(PLAIN).prop_map(str::to_owned), 2 => select(groups).prop_map(str::to_owned)]
}

/// Rules with their actions: no two the same, and none that permits io_uring, which is an error.
fn rules() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    prop::collection::vec((select(&ACTIONS[..]), rule()), 0..10).prop_map(|rules| {
        let mut kept: Vec<(&'static str, String)> = Vec::new();
        for rule in rules {
            let rings = rule.1.contains("io_uring") || rule.1 == "@io-uring";
            let rule = if rings { ("refuse", rule.1) } else { rule };
            if !kept.contains(&rule) {
                kept.push(rule);
            }
        }
        kept
    })
}

/// A policy of one to three layers. Removals are of what is there.
pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    let layer = (
        proptest::option::of(select(&ACTIONS[..])),
        rules(),
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        any::<u8>(),
    );
    (select(&ACTIONS[..]), prop::collection::vec(layer, 1..4)).prop_map(|(first, layers)| {
        let mut policy = Policy::default();
        for (default, rules, picks, all) in layers {
            let before = policy.rules();
            let mut removals = Vec::new();
            for pick in picks.into_iter().filter(|_| !before.is_empty()) {
                let (action, rule) = pick.get(&before).clone();
                // Once in a while the whole list.
                let what = if all < 16 { "*".to_owned() } else { rule };
                if !removals.iter().any(|(of, known)| *of == action && (*known == what || known == "*")) {
                    removals.push((action, what));
                }
            }
            let default = if policy.layers.is_empty() { Some(default.unwrap_or(first)) } else { default };
            policy.layers.push(Layer { default, rules, removals });
        }
        policy
    })
}

impl Policy {
    /// The layers as texts, the base first; layer N is to be found as `./N.toml`.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.layers.iter().enumerate().map(|(at, layer)| layer.text(at)).collect()
    }

    /// The policy, through the loader.
    pub(crate) fn load(&self) -> Result<lazaret::Policy, lazaret::PolicyError> {
        let texts = self.texts();
        let read = |path: &std::path::Path| {
            let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<usize>().ok());
            number.and_then(|number| texts.get(number).cloned()).ok_or_else(|| std::io::ErrorKind::NotFound.into())
        };
        let last = format!("./{}.toml", texts.len() - 1);
        lazaret_policy::Loader::new().with_reader(read).file(std::path::Path::new(&last))
    }
}

impl Layer {
    fn text(&self, at: usize) -> String {
        let mut text = match at.checked_sub(1) {
            None => "extends = \"pure\"\n".to_owned(),
            Some(below) => format!("extends = \"./{below}.toml\"\n"),
        };
        let list = |text: &mut String, entries: &[(&'static str, String)], bare: bool| {
            for action in ACTIONS {
                let mine = entries.iter().filter(|(of, _)| *of == action).map(|(_, rule)| rule);
                // Both ways to write an entry.
                let shown: Vec<_> = mine
                    .enumerate()
                    .map(|(at, rule)| {
                        if bare || at % 2 == 0 {
                            format!("{rule:?}")
                        } else {
                            format!("{{ rule = {rule:?}, why = \"because\" }}")
                        }
                    })
                    .collect();
                if !shown.is_empty() {
                    writeln!(text, "{action} = [{}]", shown.join(", ")).expect("a String can be written to");
                }
            }
        };
        text.push_str("[system-calls]\n");
        if let Some(default) = self.default {
            writeln!(text, "default = {default:?}").expect("a String can be written to");
        }
        list(&mut text, &self.rules, false);
        text.push_str("[remove]\n");
        if at == 0 {
            // Of `pure` nothing is to stay.
            text.push_str(
                "allow = [\"*\"]\nrefuse = [\"*\"]\nsilent = [\"*\"]\nlog = [\"*\"]\ntrap = [\"*\"]\nkill = [\"*\"]\n",
            );
        } else {
            list(&mut text, &self.removals, true);
        }
        text
    }
}
