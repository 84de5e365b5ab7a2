//! What is wrong is shown where it stands.

use super::*;

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
    let around = |actions| ["default"].into_iter().chain(actions).chain(["refuse-after-start"]);
    assert_eq!(keys("system-calls"), around(actions).collect::<Vec<_>>());
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
        ("net = []", "`net` must be a table, `[net]`"),
        ("net.loopback = \"yes\"", "`net.loopback` must be true or false"),
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
        ("tier = \"microvm\"", "tier `microvm` is not in this version", "this version has `seccomp` and `jail`"),
        ("system-calls.default = \"alow\"", "unknown action `alow`", "did you mean `allow`?"),
        ("files.proc = \"minimum\"", "unknown view of /proc `minimum`", "did you mean `minimal`?"),
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
