use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::*;
use crate::load::Loader;
use crate::policy::CallAction;
use crate::source::Source;

fn share(text: &str) -> Share {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn load(text: &str) -> Result<Policy, crate::PolicyError> {
    let files: HashMap<PathBuf, &str> = HashMap::from([
        (PathBuf::from("before.toml"), "extends = \"default\"\n[limits]\nwall = \"7s\""),
        (
            PathBuf::from("rolled.toml"),
            "extends = \"default\"\n[rollout]\nenforce = \"1%\"\nshadow = \"99%\"\nold = \"none\"",
        ),
        (PathBuf::from("sec.toml"), "extends = \"default\"\ntier = \"seccomp\""),
    ]);
    let read = move |path: &Path| {
        files.get(path).map(|text| (*text).to_owned()).ok_or_else(|| io::Error::from_raw_os_error(2))
    };
    Loader::new().with_reader(read).text(Path::new("new.toml"), text)
}

fn rollout(text: &str) -> Rollout {
    let policy = load(&format!("extends = \"default\"\n[rollout]\n{text}")).unwrap_or_else(|error| panic!("{error}"));
    policy.rollout.expect("there is a rollout")
}

fn explain(text: &str) -> String {
    load(&format!("extends = \"default\"\n[rollout]\n{text}")).expect_err("the policy is bad").to_string()
}

#[test]
fn the_hash_of_a_key_never_changes() {
    for (key, hash) in [
        (&b""[..], "513719df151be434"),
        (b"a", "3e30651e30ccd787"),
        (b"customer-17", "6a6e9910653638be"),
        (b"\xff", "b28f67bf5e86dfbe"),
    ] {
        assert_eq!(KeyHash::of(key).to_string(), hash);
    }
    assert_eq!(KeyHash::of_parts([&b"convert"[..], b"in.png"]).to_string(), "fd594b274ffe3b88");
}

#[test]
fn parts_are_told_apart() {
    assert_ne!(KeyHash::of_parts([&b"ab"[..], b"c"]), KeyHash::of_parts([&b"a"[..], b"bc"]));
}

#[test]
fn a_key_has_its_place_among_all_keys() {
    // 41.5750 %
    let key = KeyHash::of(b"customer-17");

    assert_eq!(key.arm(share("41.575%")), Arm::Shadow);
    assert_eq!(key.arm(share("41.5751%")), Arm::Enforced);
}

#[test]
fn a_larger_share_holds_the_keys_of_a_smaller_one() {
    let keys: Vec<_> = (0..20_000).map(|number| KeyHash::of(format!("job {number}").as_bytes())).collect();
    let shares = ["0%", "0.5%", "5%", "20%", "63.7%", "100%"].map(share);
    let within = |of: Share| keys.iter().filter(|key| key.arm(of) == Arm::Enforced).count();

    for pair in shares.windows(2) {
        assert!(keys.iter().all(|key| key.arm(pair[0]) == Arm::Shadow || key.arm(pair[1]) == Arm::Enforced));
    }
    assert_eq!((within(Share::NONE), within(Share::ALL)), (0, keys.len()));
    assert!((800..1200).contains(&within(share("5%"))), "{}", within(share("5%")));
    assert!((3800..4200).contains(&within(share("20%"))), "{}", within(share("20%")));
}

#[test]
fn a_share_is_shown_as_it_is_written() {
    for text in ["0%", "5%", "0.5%", "99.9999%", "100%", "12.05%"] {
        assert_eq!(share(text).to_string(), text);
    }
    assert_eq!(share("5.50%").to_string(), "5.5%");
}

#[test]
fn what_is_no_share_is_refused() {
    for text in ["", "%", "5", "5 %", "-5%", "101%", "100.0001%", "5.%", ".5%", "0.00001%", "1e1%", "+5%", "5%%", "٥%"]
    {
        assert!(text.parse::<Share>().is_err(), "{text}");
    }
}

#[test]
fn a_rollout_says_what_other_jobs_run_under() {
    let profile = rollout("enforce = \"5%\"\nshadow = \"95%\"\nold = \"imagemagick\"");
    let file = rollout("enforce = \"5%\"\nshadow = \"95%\"\nold = \"./before.toml\"\nkey = \"command\"");

    assert_eq!((profile.old.name(), profile.key.value), ("imagemagick", KeyRule::Given));
    assert_eq!(profile.enforce.source.to_string(), "new.toml:3");
    assert_eq!(file.key.value, KeyRule::Command);
    match file.old.value {
        Old::Policy(old) => {
            assert_eq!((old.name.as_str(), old.limits.wall.to_string()), ("before.toml", "7s".to_owned()))
        }
        Old::None => panic!("there is an old policy"),
    }
}

#[test]
fn a_rollout_can_be_written_in_one_line() {
    let policy = load("extends = \"default\"\nrollout = { enforce = \"5%\", shadow = \"95%\", old = \"none\" }");

    assert_eq!(policy.expect("it is good").rollout.expect("there is one").old.value, Old::None);
}

#[test]
fn a_rollout_is_not_inherited() {
    let policy = load("extends = \"./rolled.toml\"").expect("the policy is good");

    assert_eq!(policy.rollout, None);
}

#[test]
fn shares_that_are_not_whole_are_shown_with_their_line() {
    let text = explain("enforce = \"5%\"\nshadow = \"90%\"\nold = \"none\"");

    assert!(text.contains("the shares 5% and 90% are not 100% together"), "{text}");
    assert!(text.contains("new.toml:4"), "{text}");
    assert!(text.contains("write shadow = \"95%\""), "{text}");
}

#[test]
fn a_rollout_that_is_wrong_tells_why() {
    for (text, message) in [
        ("enforce = \"5\"\nshadow = \"95%\"\nold = \"none\"", "`5` is not a share of jobs"),
        ("enforce = 5\nshadow = \"95%\"\nold = \"none\"", "`rollout.enforce` must be a string"),
        ("enforce = \"5%\"\nold = \"none\"", "a rollout has no share `shadow`"),
        ("enforce = \"5%\"\nshadow = \"95%\"", "`rollout` names no old policy"),
        ("enforce = \"5%\"\nshadow = \"95%\"\nold = \"nine\"", "unknown profile `nine`"),
        ("enforce = \"5%\"\nshadow = \"95%\"\nold = \"./absent.toml\"", "cannot read the policy `absent.toml`"),
        ("enforce = \"5%\"\nshadow = \"95%\"\nold = \"./new.toml\"", "`./new.toml` replaces itself"),
        ("enforce = \"5%\"\nshadow = \"95%\"\nold = \"./rolled.toml\"", "`./rolled.toml` is itself being rolled out"),
        ("enforce = \"5%\"\nshadow = \"95%\"\nold = \"./sec.toml\"", "is for the tier seccomp"),
        ("enforce = \"5%\"\nshadow = \"95%\"\nold = \"none\"\nkey = \"user\"", "unknown key `user` of a rollout"),
        ("enforce = \"5%\"\nshadow = \"95%\"\nold = \"none\"\nfile = \"x.toml\"", "`x.toml` is not an absolute path"),
        ("enforce = \"5%\"\nshadow = \"95%\"\nold = \"none\"\nsalt = \"x\"", "unknown key `salt` in [rollout]"),
    ] {
        let explained = explain(text);
        assert!(explained.contains(message), "{text}\n{explained}");
    }
}

#[test]
fn a_file_of_shares_is_read_and_what_is_wrong_with_it_is_shown() {
    let path = Path::new("/etc/lazaret/rollout.toml");
    let good = Rollout::share_in(path, "# since Monday\nenforce = \"20%\"\nshadow = \"80%\"\n").expect("it is good");

    assert_eq!((good.value, good.source.to_string()), (share("20%"), "/etc/lazaret/rollout.toml:2".to_owned()));
    for (text, message) in [
        ("", "a rollout has no share `enforce`"),
        ("enforce = \"20%\"", "a rollout has no share `shadow`"),
        ("enforce = \"20%\"\nshadow = \"70%\"", "not 100% together"),
        ("enforce = \"20%\"\nshadow = \"80%\"\nold = \"none\"", "unknown key `old`"),
        ("enforce = ", "this is not TOML"),
        ("\u{0}\u{1}", "this is not TOML"),
    ] {
        let explained = Rollout::share_in(path, text).expect_err("it is bad").to_string();
        assert!(explained.contains(message), "{text}\n{explained}");
    }
}

#[test]
fn what_is_loosened_has_no_rule_and_no_limit_below_the_policys_own() {
    let text =
        "extends = \"default\"\n[limits]\nmemory = \"2TiB\"\n[files]\nread = [{ path = \"/srv/etc\", at = \"/etc\" }]";
    let policy = load(text).expect("the policy is good");
    let loose = policy.loosened(&Source::Builder);

    assert_eq!((loose.name.as_str(), loose.system_calls.default.value), ("none", CallAction::Allow));
    assert!(loose.system_calls.rules.is_empty());
    assert_eq!(loose.limits.memory.to_string(), "2TiB");
    assert_eq!(loose.limits.wall.to_string(), "24h");
    let etc: Vec<_> = loose.files.read.iter().filter(|bind| bind.guest == Path::new("/etc")).collect();
    assert_eq!(etc.iter().map(|bind| bind.host.as_path()).collect::<Vec<_>>(), [Path::new("/srv/etc")]);
    assert!(loose.files.read.iter().any(|bind| bind.guest == Path::new("/home") && bind.optional));
    assert_eq!(loose.environment, policy.environment);
}

#[test]
fn what_is_set_on_top_is_on_top_of_the_old_policy_too() {
    let text = "extends = \"default\"\n[rollout]\nenforce = \"5%\"\nshadow = \"95%\"\nold = \"imagemagick\"";
    let mut builder = load(text).expect("the policy is good").builder();
    builder.limit("wall=3s", Source::Builder).expect("a good limit");
    builder.degrade("cgroup", Source::Builder).expect("a layer that can be");

    let policy = builder.build();

    match policy.rollout.expect("there is one").old.value {
        Old::Policy(old) => {
            assert_eq!(old.limits.wall.to_string(), "3s");
            assert!(old.degrades(crate::Layer::Cgroup).is_some());
        }
        Old::None => panic!("there is an old policy"),
    }
}
