use std::collections::HashMap;
use std::path::PathBuf;

use super::*;
use crate::layer::Layer;
use crate::policy::{CallAction, EnvValue, ProcView, Root};

const PATH: &str = "policy.toml";

fn load(text: &str) -> Result<Policy, PolicyError> {
    Loader::new().text(Path::new(PATH), text)
}

fn explain(text: &str) -> String {
    load(text).unwrap_err().to_string()
}

/// The explanation of what is wrong with a policy that extends `default` and says `text`, on line 2 on.
fn explain_on_default(text: &str) -> String {
    explain(&format!("extends = \"default\"\n{text}"))
}

fn on_default(text: &str) -> Policy {
    load(&format!("extends = \"default\"\n{text}")).unwrap_or_else(|error| panic!("{error}"))
}

fn files<'a>(all: &'a [(&'a str, &'a str)]) -> Loader<'a> {
    let all: HashMap<PathBuf, &str> = all.iter().map(|(path, text)| (PathBuf::from(path), *text)).collect();
    Loader::new().with_reader(move |path| {
        all.get(path).map(|text| (*text).to_owned()).ok_or_else(|| io::Error::from_raw_os_error(2))
    })
}

fn rules(policy: &Policy) -> Vec<(&str, CallAction)> {
    policy.system_calls.rules.iter().map(|rule| (rule.rule.as_str(), rule.action)).collect()
}

fn reads(policy: &Policy) -> Vec<String> {
    policy.files.read.iter().map(|bind| bind.guest.display().to_string()).collect()
}

// What a policy says.

#[test]
fn every_key_of_the_language_is_read() {
    let policy = on_default(
        r#"
description = "all of it"
tier = "jail"
degrade = ["cgroup", "landlock"]
[files]
root = { directory = "/srv/rootfs" }
read = ["/opt", { path = "/srv/fonts", at = "/fonts", optional = true, why = "house style" }]
cow = [{ path = "/srv/site", at = "/data", why = "to be built" }]
devices = [{ path = "/dev/dri/renderD128", why = "a GPU" }]
proc = "full"
pts = true
shm = true
fonts = false
locale = "de_DE.UTF-8"
[network]
loopback = true
host-name = "worker.example"
[environment]
set = { GREETING = "hello" }
pass = ["TERM"]
[system-calls]
default = "kill"
allow = ["@network", { rule = "ioctl(request == TCGETS)", why = "isatty" }]
log = ["execve"]
trap = ["ptrace"]
kill = ["bpf"]
refuse = ["mount"]
silent = ["socket"]
[limits]
wall = "500ms"
cpu = "2m"
memory = 16777216
processes = 7
file-size = "1MiB"
disk = "64KiB"
output = 0
open-files = 4
cpus = 1.5
io-rate = "1MB"
"#,
    );
    assert_eq!(policy.description, "all of it");
    assert_eq!(policy.degrade.iter().map(|layer| layer.value).collect::<Vec<_>>(), [Layer::Cgroup, Layer::Landlock]);
    assert_eq!(policy.files.root.value, Root::Directory(PathBuf::from("/srv/rootfs")));
    let fonts = policy.files.read.iter().find(|bind| bind.guest == Path::new("/fonts")).unwrap();
    assert_eq!(
        (fonts.host.as_path(), fonts.optional, fonts.why.as_str()),
        (Path::new("/srv/fonts"), true, "house style")
    );
    assert_eq!(policy.files.cow[0].guest, Path::new("/data"));
    assert_eq!(policy.files.devices[0].path, Path::new("/dev/dri/renderD128"));
    assert_eq!(policy.files.proc.value, ProcView::Full);
    assert!(policy.files.pts.value && policy.files.shm.value && policy.network.loopback.value);
    assert_eq!(policy.network.host_name.value, "worker.example");
    let variable =
        |name: &str| policy.environment.iter().find(|variable| variable.name == name).unwrap().value.value.clone();
    assert_eq!(variable("GREETING"), EnvValue::Set("hello".to_owned()));
    assert_eq!(variable("TERM"), EnvValue::FromCaller);
    assert_eq!(variable("LANG"), EnvValue::Set("de_DE.UTF-8".to_owned()));
    assert_eq!(policy.system_calls.default.value, CallAction::Kill);
    assert_eq!(policy.limits.memory.bytes(), 16 << 20);
    assert_eq!(policy.limits.output.bytes(), 0);
    assert_eq!(policy.limits.cpus.as_ref().unwrap().millis(), 1500);
    assert_eq!(policy.limits.io_rate.as_ref().unwrap().bytes(), 1_000_000);
}

#[test]
fn every_value_knows_its_file_and_line() {
    let policy = on_default("[limits]\nwall = \"7s\"\n[environment]\nset.A = \"1\"");
    assert_eq!(policy.limits.wall.source.to_string(), "policy.toml:3");
    assert_eq!(policy.environment.iter().find(|v| v.name == "A").unwrap().source.to_string(), "policy.toml:5");
    assert!(policy.limits.cpu.source.to_string().starts_with("profile default:"));
}

#[test]
fn the_rules_of_one_policy_apply_in_a_fixed_order_after_those_of_its_base() {
    let policy = files(&[
        ("base.toml", "extends = \"default\"\n[remove]\nallow = [\"*\"]\nsilent = [\"*\"]\n[system-calls]\nrefuse = [\"r0\"]\nallow = [\"a0\"]"),
        ("top.toml", "extends = \"./base.toml\"\n[system-calls]\nsilent = [\"s1\"]\nrefuse = [\"r1\"]\nkill = [\"k1\"]\ntrap = [\"t1\"]\nlog = [\"l1\"]\nallow = [\"a1\"]"),
    ])
    .file(Path::new("top.toml"))
    .unwrap();
    let order: Vec<&str> = rules(&policy).into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(order, ["a0", "r0", "a1", "l1", "t1", "k1", "r1", "s1"]);
}

#[test]
fn a_rule_said_again_moves_to_the_end_where_it_decides() {
    let policy = on_default("[system-calls]\nallow = [\"@chown\", \"@timer\"]");
    let order = rules(&policy);
    assert_eq!(order[order.len() - 2..], [("@chown", CallAction::Allow), ("@timer", CallAction::Allow)]);
    assert_eq!(order.iter().filter(|(rule, _)| *rule == "@timer").count(), 1);
}

// Extending.

#[test]
fn scalars_replace_and_lists_append() {
    let base = on_default("");
    let policy = on_default("[files]\nread = [\"/opt\"]\n[limits]\nwall = \"5s\"");
    assert_eq!(policy.limits.wall.to_string(), "5s");
    assert_eq!(policy.limits.cpu, base.limits.cpu);
    let mut expected = reads(&base);
    expected.insert(expected.iter().position(|path| path == "/etc/localtime").unwrap() + 1, "/opt".to_owned());
    assert_eq!(reads(&policy), expected);
}

#[test]
fn the_same_path_or_variable_replaces_the_bases() {
    let policy =
        on_default("[files]\nread = [{ path = \"/srv/usr\", at = \"/usr\" }]\n[environment]\nset.PATH = \"/opt\"");
    let usr: Vec<_> = policy.files.read.iter().filter(|bind| bind.guest == Path::new("/usr")).collect();
    assert_eq!(usr.len(), 1);
    assert_eq!(usr[0].host, Path::new("/srv/usr"));
    assert_eq!(policy.environment.iter().filter(|variable| variable.name == "PATH").count(), 1);
}

#[test]
fn entries_of_the_base_can_be_removed() {
    let policy = on_default(
        "[remove]\nread = [\"/etc/localtime\", \"/sbin/\"]\nallow = [\"@threads\"]\nsilent = [\"*\"]\nenvironment = [\"TMPDIR\"]",
    );
    assert!(!reads(&policy).contains(&"/etc/localtime".to_owned()));
    assert!(!reads(&policy).contains(&"/sbin".to_owned()));
    assert!(reads(&policy).contains(&"/usr".to_owned()));
    assert!(!rules(&policy).contains(&("@threads", CallAction::Allow)));
    assert!(rules(&policy).iter().all(|(_, action)| *action == CallAction::Allow));
    assert!(policy.environment.iter().all(|variable| variable.name != "TMPDIR"));
}

#[test]
fn an_optional_limit_of_the_base_can_be_removed() {
    let bounded = "extends = \"default\"\n[limits]\ncpus = 1\nio-rate = \"1MiB\"";
    let policy =
        files(&[("base.toml", bounded), ("top.toml", "extends = \"./base.toml\"\n[remove]\nlimits = [\"cpus\"]")])
            .file(Path::new("top.toml"))
            .unwrap();
    assert_eq!(policy.limits.cpus, None);
    assert!(policy.limits.io_rate.is_some());
}

#[test]
fn files_are_found_beside_the_policy_that_extends_them() {
    let policy = files(&[
        ("/etc/lazaret/top.toml", "extends = \"./base/middle.toml\""),
        ("/etc/lazaret/base/middle.toml", "extends = \"./bottom.toml\""),
        ("/etc/lazaret/base/bottom.toml", "extends = \"default\""),
    ])
    .file(Path::new("/etc/lazaret/top.toml"))
    .unwrap();
    assert_eq!(policy.name, "/etc/lazaret/top.toml");
    assert_eq!(policy.chain, ["default", "/etc/lazaret/base/bottom.toml", "/etc/lazaret/base/middle.toml"]);
}

#[test]
fn a_policy_that_extends_nothing_must_set_everything() {
    assert_eq!(
        explain("tier = \"jail\"\n[limits]\nwall = \"1s\""),
        "`policy.toml` leaves unset: files.root, files.proc, files.pts, files.shm, files.fonts, files.locale, \
         network.loopback, network.host-name, system-calls.default, limits.cpu, limits.memory, limits.processes, \
         limits.file-size, limits.disk, limits.output, limits.open-files\n\
         hint: add `extends = \"default\"`, or set them; nothing has a hidden default"
    );
}

#[test]
fn a_cycle_is_an_error() {
    let error = files(&[("a.toml", "extends = \"./b.toml\""), ("b.toml", "extends = \"././a.toml\"")])
        .file(Path::new("a.toml"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "\
`a.toml` extends itself
 --> b.toml:1:11
  |
1 | extends = \"././a.toml\"
  |           ^^^^^^^^^^^^
hint: a chain of policies must end at one that extends nothing"
    );
}

#[test]
fn a_chain_may_be_eight_deep_and_no_deeper() {
    let link = |n: usize| {
        if n == 0 { "extends = \"default\"".to_owned() } else { format!("extends = \"./{}.toml\"", n - 1) }
    };
    let mut loader = Loader::new().with_reader(|path: &Path| {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap();
        Ok(link(stem.parse().unwrap()))
    });
    assert_eq!(loader.file(Path::new("7.toml")).unwrap().chain.len(), 8);
    let error = loader.file(Path::new("8.toml")).unwrap_err();
    assert_eq!(error.problems()[0].message(), "more than 8 policies extend one another");
}

#[test]
fn a_base_that_cannot_be_read_is_shown_where_it_is_named() {
    let error = files(&[("a.toml", "extends = \"./b.toml\"")]).file(Path::new("a.toml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\
cannot read the policy `b.toml`: No such file or directory (os error 2)
 --> a.toml:1:11
  |
1 | extends = \"./b.toml\"
  |           ^^^^^^^^^^
hint: check the path"
    );
}

#[test]
fn an_error_in_a_base_is_shown_in_the_base() {
    let error = files(&[("a.toml", "extends = \"./b.toml\""), ("b.toml", "extends = \"default\"\npts = true")])
        .file(Path::new("a.toml"))
        .unwrap_err();
    assert_eq!((error.problems()[0].file(), error.problems()[0].line()), (Some("b.toml"), Some(2)));
}

#[test]
fn removing_what_the_base_does_not_have_is_an_error() {
    assert_eq!(
        explain_on_default("[remove]\nread = [\"/ust\"]"),
        "\
the base has no `/ust` in `read`
 --> policy.toml:3:9
  |
3 | read = [\"/ust\"]
  |         ^^^^^^
hint: did you mean `/usr`?"
    );
    assert!(explain("[remove]\nread = [\"/usr\"]").starts_with("a policy that extends nothing has nothing to remove"));
    assert!(explain_on_default("[remove]\nlimits = [\"wall\"]").contains("the limit `wall` cannot be removed"));
    assert!(explain_on_default("[remove]\nlimits = [\"cpus\"]").contains("the base has no limit `cpus`"));
    assert!(explain_on_default("[remove]\nkill = [\"bpf\"]").contains("its `kill` is empty: drop this entry"));
}

// Fonts and locale.

#[test]
fn fonts_become_binds_with_a_source_and_a_reason() {
    let policy = on_default("[files]\nfonts = true");
    let fonts = policy.files.read.iter().find(|bind| bind.guest == Path::new("/etc/fonts")).unwrap();
    assert!(fonts.optional);
    assert_eq!(fonts.why, "fonts = true: fontconfig's configuration");
    assert_eq!(fonts.source.to_string(), "policy.toml:3");
}

#[test]
fn fonts_that_another_bind_shows_are_not_bound_twice() {
    let policy = on_default("[files]\nfonts = true");
    assert!(!reads(&policy).contains(&"/usr/share/fonts".to_owned()));
    let policy = on_default("[files]\nfonts = true\nread = [{ path = \"/srv/usr\", at = \"/usr\" }]");
    assert!(reads(&policy).contains(&"/usr/share/fonts".to_owned()));
}

#[test]
fn the_locale_yields_to_a_variable_that_is_set() {
    let policy = on_default("[files]\nlocale = \"de_DE.UTF-8\"\n[environment]\nset.LANG = \"C\"");
    let languages: Vec<_> = policy.environment.iter().filter(|variable| variable.name == "LANG").collect();
    assert_eq!(languages.len(), 1);
    assert_eq!(languages[0].value.value, EnvValue::Set("C".to_owned()));
}

// Bad input.

#[test]
fn an_unknown_profile_gets_the_nearest_known_one() {
    let error = Loader::new().profile("imagemagik").unwrap_err();
    assert_eq!(error.to_string(), "unknown profile `imagemagik`\nhint: did you mean `imagemagick`?");
    let error = Loader::new().profile("zzz").unwrap_err();
    assert!(error.to_string().contains("hint: known are `default`, `pure`"));
}

#[test]
fn a_file_where_a_profile_is_wanted_says_how_to_name_it() {
    assert_eq!(
        explain("extends = \"base.toml\""),
        "\
unknown profile `base.toml`
 --> policy.toml:1:11
  |
1 | extends = \"base.toml\"
  |           ^^^^^^^^^^^
hint: a profile has a plain name; for a file use `--policy base.toml`, or `extends = \"./base.toml\"`"
    );
}

#[test]
fn a_file_without_a_reader_is_an_error() {
    assert!(explain("extends = \"./base.toml\"").starts_with("`base.toml` is a file, and none can be read here"));
}

#[test]
fn an_unknown_key_is_shown_with_the_nearest_known_one() {
    assert_eq!(
        explain_on_default("[limits]\nmemroy = \"1GiB\""),
        "\
unknown key `memroy` in [limits]
 --> policy.toml:3:1
  |
3 | memroy = \"1GiB\"
  | ^^^^^^
hint: did you mean `memory`?"
    );
}

#[test]
fn an_underscore_for_a_hyphen_is_recognised() {
    assert!(explain_on_default("[limits]\nfile_size = 1").contains("did you mean `file-size`?"));
    assert!(explain_on_default("[system_calls]").contains("did you mean `system-calls`?"));
}

#[test]
fn a_key_in_the_wrong_table_is_sent_to_the_right_one() {
    assert!(explain_on_default("memory = \"1GiB\"").contains("hint: `memory` belongs under [limits]"));
    assert!(
        explain_on_default("[limits]\ntier = \"jail\"")
            .contains("hint: `tier` belongs at the top, before the first [table]")
    );
}

#[test]
fn an_unknown_key_of_an_entry_is_shown() {
    assert_eq!(
        explain_on_default("[files]\nread = [{ path = \"/opt\", option = true }]"),
        "\
unknown key `option` in an entry of `files.read`
 --> policy.toml:3:26
  |
3 | read = [{ path = \"/opt\", option = true }]
  |                          ^^^^^^
hint: did you mean `optional`?"
    );
}

#[test]
fn the_keys_that_hints_know_are_the_keys_that_are_read() {
    let keys = |table: &str| walk::TABLES.iter().find(|(name, _)| *name == table).unwrap().1.to_vec();
    let limits: Vec<&str> = crate::LimitKey::ALL.iter().map(|key| key.name()).collect();
    assert_eq!(keys("limits"), limits);
    let actions = CallAction::ALL.iter().map(|action| action.name());
    assert_eq!(keys("system-calls"), ["default"].into_iter().chain(actions).collect::<Vec<_>>());
    for (table, keys) in walk::TABLES {
        for key in keys {
            let said = explain_on_default(&if table.is_empty() {
                format!("{key} = 0")
            } else {
                format!("{table}.{key} = 1979-05-27")
            });
            assert!(!said.starts_with("unknown key"), "{said}");
        }
    }
}

#[test]
fn an_entry_needs_its_main_key() {
    assert!(
        explain_on_default("[system-calls]\nallow = [{ why = \"so\" }]")
            .starts_with("an entry of `system-calls.allow` has no `rule`")
    );
}

#[test]
fn a_wrong_type_is_named_where_it_stands() {
    assert_eq!(
        explain_on_default("[limits]\nwall = true"),
        "\
`limits.wall` must be a time such as \"30s\"
 --> policy.toml:3:8
  |
3 | wall = true
  |        ^^^^ this is a boolean
hint: write a time such as \"30s\""
    );
}

#[test]
fn every_key_rejects_a_wrong_type() {
    for (text, message) in [
        ("description = 1", "`description` must be a string"),
        ("tier = 1", "`tier` must be a string"),
        ("degrade = \"cgroup\"", "`degrade` must be a list of strings"),
        ("degrade = [1]", "`degrade[]` must be a string"),
        ("files = 1", "`files` must be a table, `[files]`"),
        ("files.root = 1", "`files.root` must be \"host\" or { directory = \"/path\" }"),
        ("files.read = \"/opt\"", "`files.read` must be a list"),
        ("files.read = [1]", "`files.read[]` must be a string or a table with `path`"),
        ("files.read = [{ path = 1 }]", "`files.read.path` must be a string"),
        ("files.read = [{ path = \"/opt\", optional = \"yes\" }]", "`files.read.optional` must be true or false"),
        ("files.pts = 1", "`files.pts` must be true or false"),
        ("files.proc = false", "`files.proc` must be a string"),
        ("network = []", "`network` must be a table, `[network]`"),
        ("network.loopback = \"yes\"", "`network.loopback` must be true or false"),
        ("environment.set = [\"A=B\"]", "`environment.set` must be a table such as { PATH = \"/usr/bin\" }"),
        ("environment.set.A = 1", "`environment.set.A` must be a string"),
        ("environment.pass = \"A\"", "`environment.pass` must be a list of strings"),
        ("system-calls.default = []", "`system-calls.default` must be a string"),
        ("system-calls.allow = \"read\"", "`system-calls.allow` must be a list"),
        ("limits.processes = 1.5", "`limits.processes` must be an integer such as 64"),
        ("limits.memory = []", "`limits.memory` must be a size such as \"512MiB\""),
        ("remove.read = \"/usr\"", "`remove.read` must be a list of strings"),
    ] {
        let error = load(&format!("extends = \"default\"\n{text}")).unwrap_err();
        let messages: Vec<&str> = error.problems().iter().map(Problem::message).collect();
        assert_eq!(messages, [message], "{text}");
    }
}

#[test]
fn an_unknown_unit_is_shown_with_the_known_ones() {
    assert_eq!(
        explain_on_default("[limits]\nmemory = \"512M\""),
        "\
`limits.memory`: unknown unit `M` in `512M`
 --> policy.toml:3:10
  |
3 | memory = \"512M\"
  |          ^^^^^^
hint: units are B, KiB, MiB, GiB, TiB (powers of 1024) and kB, MB, GB, TB (powers of 1000)"
    );
}

#[test]
fn a_time_without_a_unit_is_shown_with_one() {
    assert_eq!(
        explain_on_default("[limits]\nwall = 30"),
        "\
`limits.wall`: `30` has no unit
 --> policy.toml:3:8
  |
3 | wall = 30
  |        ^^
hint: for seconds write \"30s\""
    );
}

#[test]
fn values_out_of_bounds_are_rejected_in_their_place() {
    for (text, message) in [
        ("wall = \"0s\"", "`limits.wall`: 0s is out of range: at least 1ms and at most 24h"),
        ("cpu = \"25h\"", "`limits.cpu`: 25h is out of range: at least 1ms and at most 24h"),
        ("memory = 1", "`limits.memory`: 1 is out of range: at least 4MiB and at most 9223372036854775807"),
        ("processes = 0", "`limits.processes`: 0 is out of range: at least 1 and at most 32768"),
        ("processes = -1", "`limits.processes`: `-1` is negative"),
        ("processes = 0x10000", "`limits.processes`: 65536 is out of range: at least 1 and at most 32768"),
        ("file-size = 0", "`limits.file-size`: 0 is out of range: at least 1 and at most 9223372036854775807"),
        ("disk = \"1KiB\"", "`limits.disk`: 1KiB is out of range: at least 64KiB and at most 9223372036854775807"),
        ("open-files = 3", "`limits.open-files`: 3 is out of range: at least 4 and at most 1048576"),
        ("cpus = 0.001", "`limits.cpus`: 0.001 is out of range: at least 0.01 and at most 4096"),
        ("cpus = inf", "`limits.cpus`: `inf` is not a number of cores such as 1 or 1.5, with three decimals at most"),
    ] {
        let error = load(&format!("extends = \"default\"\n[limits]\n{text}")).unwrap_err();
        assert_eq!(error.problems()[0].message(), message, "{text}");
    }
}

#[test]
fn an_unknown_layer_tier_action_or_view_gets_the_nearest_known_one() {
    for (text, message, hint) in [
        ("degrade = [\"cgruop\"]", "unknown layer `cgruop`", "did you mean `cgroup`?"),
        ("tier = \"jial\"", "unknown tier `jial`", "did you mean `jail`?"),
        ("tier = \"microvm\"", "tier `microvm` is not in this version", "this version has `jail`"),
        ("system-calls.default = \"alow\"", "unknown action `alow`", "did you mean `allow`?"),
        ("files.proc = \"minimum\"", "unknown view `minimum` of /proc", "did you mean `minimal`?"),
        ("files.root = \"/srv\"", "unknown root `/srv`", "for a directory write root = { directory = \"/srv\" }"),
    ] {
        let error = load(&format!("extends = \"default\"\n{text}")).unwrap_err();
        let problem = &error.problems()[0];
        assert_eq!((problem.message(), problem.hint()), (message, hint));
        assert_eq!(problem.line(), Some(2));
    }
}

#[test]
fn a_layer_that_makes_the_jail_cannot_be_degraded() {
    let error = load("extends = \"default\"\ndegrade = [\"pid-namespace\"]").unwrap_err();
    assert_eq!(error.problems()[0].message(), "`pid-namespace` cannot be degraded: the jail is no jail without it");
}

#[test]
fn paths_that_cannot_be_bound_are_shown() {
    for (text, message) in [
        ("read = [\"opt\"]", "`opt` is not an absolute path"),
        ("read = [\"/opt/../etc\"]", "`/opt/../etc` holds `..`"),
        ("read = [\"/\"]", "nothing can be bound at `/`"),
        ("read = [\"/proc\"]", "`/proc` of the host cannot be bound as files"),
        ("read = [{ path = \"/opt\", at = \"/job/x\" }]", "`/job/x` lies in `/job`, which is the jail's own"),
        ("read = [\"/opt\", \"/opt/\"]", "`/opt` is named twice"),
        ("cow = [{ path = \"/srv\", at = \"/tmp\" }]", "`/tmp` lies in `/tmp`, which is the jail's own"),
        ("devices = [\"/etc/passwd\"]", "`/etc/passwd` does not lie beneath /dev"),
        ("devices = [\"/dev/null\"]", "`/dev/null` is in every jail"),
        (
            "root = { directory = \"/\" }",
            "the host's own `/` cannot be the jail's root: it holds the host's secrets and sockets",
        ),
        ("root = {}", "`files.root` names no directory"),
        ("locale = \"../x\"", "`../x` cannot be a locale"),
    ] {
        let error = load(&format!("extends = \"default\"\n[files]\n{text}")).unwrap_err();
        assert_eq!(error.problems()[0].message(), message, "{text}");
    }
}

#[test]
fn a_bad_guest_path_is_shown_at_its_own_place() {
    let text = "extends = \"default\"\n[files]\nread = [{ path = \"/opt\", at = \"job\" }]";
    let error = load(text).unwrap_err();
    assert_eq!(&text[error.problems()[0].span().unwrap()], "\"job\"");
}

#[test]
fn variables_are_checked() {
    for (text, message) in [
        ("set = { \"A=B\" = \"x\" }", "`A=B` cannot be the name of an environment variable"),
        ("set = { A = \"x\\u0000\" }", "the value of `A` holds a NUL byte"),
        ("pass = [\"\"]", "`` cannot be the name of an environment variable"),
        ("set = { A = \"x\" }\npass = [\"A\"]", "`A` is named twice"),
    ] {
        let error = load(&format!("extends = \"default\"\n[environment]\n{text}")).unwrap_err();
        assert_eq!(error.problems()[0].message(), message, "{text}");
    }
}

#[test]
fn what_is_not_toml_is_shown_where_it_breaks() {
    assert_eq!(
        explain("extends = \"default\"\n[limits\nwall = \"30s\"\n"),
        "\
this is not TOML: unclosed table, expected `]`
 --> policy.toml:2:8
  |
2 | [limits
  |        ^
hint: see https://toml.io for the syntax"
    );
    assert_eq!(
        explain("tier = \"jail\"\ntier = \"jail\""),
        "\
this is not TOML: duplicate key
 --> policy.toml:2:1
  |
2 | tier = \"jail\"
  | ^^^^
hint: drop one of the two"
    );
}

#[test]
fn all_problems_of_a_file_are_told_in_the_order_of_its_lines() {
    let error =
        load("extends = \"defualt\"\ntire = \"jail\"\n[limits]\nwall = 1\n[files]\nread = [\"x\", \"y\"]").unwrap_err();
    let lines: Vec<_> = error.problems().iter().filter_map(Problem::line).collect();
    assert_eq!(lines, [2, 4, 6, 6, 1]);
}

#[test]
fn a_bad_rule_is_shown_within_its_string() {
    fn check(rule: &str) -> Result<(), RuleProblem> {
        match rule.find("TCGETZ") {
            Some(start) => Err(RuleProblem {
                span: start..start + 6,
                message: "unknown constant `TCGETZ`".to_owned(),
                hint: Some("did you mean `TCGETS`?".to_owned()),
            }),
            None => Ok(()),
        }
    }
    let load = |text: &str| {
        Loader::new()
            .with_rule_check(check)
            .text(Path::new(PATH), &format!("extends = \"default\"\n{text}"))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        load("[system-calls]\nallow = [{ rule = \"ioctl(request == TCGETZ)\", why = \"isatty\" }]"),
        "\
unknown constant `TCGETZ`
 --> policy.toml:3:37
  |
3 | allow = [{ rule = \"ioctl(request == TCGETZ)\", why = \"isatty\" }]
  |                                     ^^^^^^
hint: did you mean `TCGETS`?"
    );
    // An escape makes the text differ from what is written: the whole string is shown.
    assert!(load("[system-calls]\nallow = [\"ioctl\\u0028TCGETZ)\"]").contains("^^^^^^^^^^^^^^^^^^^^"));
}

#[test]
fn messages_do_not_pass_on_what_a_terminal_would_act_on() {
    let said = explain("\"\\u001b[31m\" = 1");
    assert!(said.starts_with("unknown key `\\u{1b}[31m`"), "{said}");
    assert!(!explain("extends = \"\\u001b]0;x\"").contains('\u{1b}'));
}

#[test]
fn no_text_makes_the_loader_panic() {
    for text in [
        "",
        "\u{feff}",
        "=",
        "[",
        "[[files]]",
        "a.b.c = 1",
        "\0",
        "files.read = [[[[",
        "extends = \"\"",
        "x = '''",
        "é = \"é",
    ] {
        assert!(load(text).is_err(), "{text:?}");
    }
    assert!(load(&format!("{}\nextends = \"default\"", "# é\r\n".repeat(3))).is_ok());
}
