//! What a policy says is read, with fonts and locale.

use super::*;

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
[net]
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
