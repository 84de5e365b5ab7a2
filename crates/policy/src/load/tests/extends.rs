//! Policies on top of others.

use super::*;

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
fn what_is_refused_after_the_start_is_no_rule_of_the_order() {
    let policy = on_default("[system-calls]\nrefuse-after-start = [{ rule = \"openat\", why = \"done\" }, \"execve\"]");
    let later: Vec<_> = policy.system_calls.refuse_after_start.iter().collect();

    assert_eq!(later.iter().map(|rule| rule.rule.as_str()).collect::<Vec<_>>(), ["openat", "execve"]);
    assert_eq!((later[0].why.as_str(), later[1].source.to_string().as_str()), ("done", "policy.toml:3"));
    assert!(!rules(&policy).iter().any(|(rule, _)| *rule == "openat" || *rule == "execve"));
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
         net.loopback, net.host-name, system-calls.default, limits.cpu, limits.memory, limits.processes, \
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

const REQUIRING: &str = "extends = \"default\"\nrequire = [\"pid-namespace\", \"cgroup-memory\"]";

#[test]
fn required_layers_are_inherited_appended_and_removed() {
    let top = "extends = \"./base.toml\"\nrequire = [\"job-uid\"]\n[remove]\nrequire = [\"cgroup-memory\"]";
    let policy = files(&[("base.toml", REQUIRING), ("top.toml", top)]).file(Path::new("top.toml")).unwrap();

    let required: Vec<_> = policy.require.iter().map(|entry| (entry.value, entry.source.to_string())).collect();
    assert_eq!(required, [(Layer::PidNamespace, "base.toml:2".to_owned()), (Layer::JobUid, "top.toml:2".to_owned())]);
}

#[test]
fn a_layer_that_the_base_requires_cannot_be_given_up_unless_that_is_removed() {
    let top = "extends = \"./base.toml\"\ndegrade = [\"cgroup\"]";
    let error = files(&[("base.toml", REQUIRING), ("top.toml", top)]).file(Path::new("top.toml")).unwrap_err();

    let text = error.to_string();
    assert!(
        text.contains("`cgroup-memory` is required (base.toml:2) and given up with `cgroup` (top.toml:2)"),
        "{text}"
    );
    let removed = format!("{top}\n[remove]\nrequire = [\"cgroup-memory\"]");
    assert!(files(&[("base.toml", REQUIRING), ("top.toml", &removed)]).file(Path::new("top.toml")).is_ok());
}
