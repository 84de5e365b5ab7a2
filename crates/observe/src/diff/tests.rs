use super::*;
use lazaret_filter::groups;

fn policy(text: &str) -> Policy {
    lazaret::policy_text("policy.toml", &format!("extends = \"default\"\n{text}"))
        .unwrap_or_else(|error| panic!("{error}"))
}

fn between(before: &str, after: &str) -> Vec<Change> {
    diff(&policy(before), &policy(after), Arch::X86_64).expect("the rules are rules").changes
}

/// Kind, risk and subject of each change.
fn brief(changes: &[Change]) -> Vec<(Kind, Risk, &str)> {
    changes.iter().map(|change| (change.kind, change.risk, change.what.as_str())).collect()
}

#[test]
fn every_profile_is_the_same_as_itself() {
    for name in lazaret::profiles() {
        let policy = lazaret::profile(name).expect("a built-in profile loads");

        assert_eq!(diff(&policy, &policy, Arch::Aarch64).expect("rules").changes, [], "{name}");
    }
}

#[test]
fn the_same_rights_in_other_words_are_no_difference() {
    let before = "[system-calls]\nallow = [\"ioctl(request in [1, 2])\", \"socket(domain == AF_INET)\"]\n[files]\nread = [\"/srv\", \"/srv/data\"]\n";
    let after = "description = \"other\"\n[system-calls]\nallow = [\"socket(domain == 2)\", \"ioctl(request == 2)\", \"ioctl(request == 1)\"]\n[files]\nread = [{ path = \"/srv\", why = \"data\" }, \"/usr/share\"]\n";

    assert_eq!(between(before, after), []);
}

#[test]
fn a_condition_that_falls_away_is_a_right_that_widened() {
    let before = "[system-calls]\nallow = [\"socket(domain == AF_INET)\"]\n[remove]\nsilent = [\"*\"]\n";
    let after = "[system-calls]\nallow = [\"socket\"]\n[remove]\nsilent = [\"*\"]\n";

    let changes = between(before, after);

    assert_eq!(brief(&changes), [(Kind::Widened, Risk::High, "socket")]);
    assert_eq!(
        (changes[0].before.as_str(), changes[0].after.as_str()),
        ("allow socket(domain == AF_INET)", "every call")
    );
    assert_eq!(brief(&between(after, before)), [(Kind::Narrowed, Risk::None, "socket")]);
}

#[test]
fn dangerous_calls_are_told_with_the_risk_of_their_group() {
    let changes = between("", "[system-calls]\nallow = [\"ptrace\", \"mount\", \"getpriority\", \"sync\"]\n");

    assert_eq!(
        brief(&changes),
        [(Kind::Added, Risk::High, "mount"), (Kind::Added, Risk::High, "ptrace"), (Kind::Added, Risk::Low, "sync")]
    );
    assert!(changes[0].why.starts_with("@mount: the view of the file system"), "{}", changes[0].why);
}

#[test]
fn what_a_group_permits_of_a_call_has_the_groups_risk_and_the_rest_that_of_the_worst() {
    let none = "[remove]\nallow = [\"@process\", \"@threads\"]\n";
    let ordinary = "[system-calls]\nallow = [\"clone(flags & CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET == 0)\"]\n[remove]\nallow = [\"@process\", \"@threads\"]\n";
    let every = "[system-calls]\nallow = [\"clone\"]\n[remove]\nallow = [\"@process\", \"@threads\"]\n";

    assert_eq!(brief(&between(none, ordinary)), [(Kind::Added, Risk::Medium, "clone")]);
    assert_eq!(brief(&between(ordinary, every)), [(Kind::Widened, Risk::High, "clone")]);
}

#[test]
fn another_answer_to_a_refused_call_is_a_change_without_a_risk() {
    let changes = between("[system-calls]\nkill = [\"ptrace\"]\n", "[system-calls]\nsilent = [\"ptrace\"]\n");

    assert_eq!(brief(&changes), [(Kind::Changed, Risk::None, "ptrace")]);
    assert_eq!((changes[0].before.as_str(), changes[0].after.as_str()), ("kill", "silent"));
}

#[test]
fn a_bind_that_another_covers_is_no_right_of_its_own() {
    assert_eq!(between("", "[files]\nread = [\"/usr/share/fonts\"]\n"), []);
    let elsewhere = between("", "[files]\nread = [{ path = \"/srv/data\", at = \"/usr/share/data\" }]\n");
    assert_eq!(
        brief(&elsewhere),
        [(Kind::Added, Risk::Medium, "/srv/data at /usr/share/data"), (Kind::Narrowed, Risk::None, "/usr")]
    );
    let wider = between("[files]\nread = [\"/srv/data\"]\n", "[files]\nread = [\"/srv\"]\n");
    assert_eq!(brief(&wider), [(Kind::Widened, Risk::Medium, "/srv")]);
    let secret = between("", "[files]\nread = [\"/etc\"]\n");
    assert_eq!(brief(&secret)[0], (Kind::Widened, Risk::High, "/etc"));
    let view = between("[files]\nread = [\"/srv\"]\n", "[files]\ncow = [\"/srv\"]\n[remove]\n");
    assert!(brief(&view).contains(&(Kind::Widened, Risk::Medium, "/srv")), "{view:?}");
}

#[test]
fn limits_are_compared_by_size_and_not_by_text() {
    assert_eq!(
        between("[limits]\nmemory = \"1GiB\"\nwall = \"60s\"\n", "[limits]\nmemory = \"1024MiB\"\nwall = \"1m\"\n"),
        []
    );
    let changes = between("", "[limits]\nmemory = \"2GiB\"\nwall = \"5s\"\ncpus = 2\n");
    assert_eq!(
        brief(&changes),
        [
            (Kind::Widened, Risk::Low, "memory"),
            (Kind::Narrowed, Risk::None, "cpus"),
            (Kind::Narrowed, Risk::None, "wall")
        ]
    );
    assert_eq!(changes[0].after, "2GiB");
}

#[test]
fn everything_else_is_told_too() {
    let after = "degrade = [\"cgroup\"]\ntier = \"seccomp\"\n[files]\nproc = \"full\"\npts = true\ndevices = [\"/dev/dri/renderD128\"]\n[net]\nloopback = true\nhost-name = \"other\"\n[environment]\npass = [\"TZ\"]\nset = { LD_PRELOAD = \"x\", HOME = \"/tmp\" }\n[system-calls]\ndefault = \"allow\"\n";

    let changes = between("", after);

    for expected in [
        (Kind::Widened, Risk::High, "tier"),
        (Kind::Widened, Risk::Medium, "cgroup-memory"),
        (Kind::Widened, Risk::Medium, "/proc"),
        (Kind::Added, Risk::Low, "pseudo-terminals"),
        (Kind::Added, Risk::High, "/dev/dri/renderD128"),
        (Kind::Added, Risk::Low, "loopback"),
        (Kind::Changed, Risk::None, "host name"),
        (Kind::Added, Risk::Medium, "TZ"),
        (Kind::Added, Risk::Medium, "LD_PRELOAD"),
        (Kind::Changed, Risk::Low, "HOME"),
        (Kind::Widened, Risk::High, "calls that no rule names"),
        (Kind::Added, Risk::High, "mount"),
    ] {
        assert!(brief(&changes).contains(&expected), "{expected:?} {:#?}", brief(&changes));
    }
}

#[test]
fn the_groups_that_are_not_called_high_are_there() {
    let names: Vec<_> = groups::all().map(|group| group.name).collect();
    let count = |risk| names.iter().filter(|name| calls::severity(name) == risk).count();

    assert_eq!((count(Risk::Low), count(Risk::Medium), count(Risk::High)), (9, 13, names.len() - 22));
    for name in ["@debug", "@mount", "@namespace", "@network", "@module", "@privileged", "@raw-io"] {
        assert_eq!(calls::severity(name), Risk::High, "{name}");
    }
}

#[test]
fn what_is_refused_after_the_start_is_a_right_of_its_own() {
    let strict = "[system-calls]\nrefuse-after-start = [\"execve\", \"openat\"]\n";
    let loose = "[system-calls]\nrefuse-after-start = [\"openat\"]\n";

    let what = "execve, from the start on";
    assert_eq!(brief(&between(strict, loose)), [(Kind::Widened, Risk::Medium, what)]);
    assert_eq!(brief(&between(loose, strict)), [(Kind::Narrowed, Risk::None, what)]);
    assert_eq!(between(strict, strict), []);
}

#[test]
fn what_is_reached_outside_is_told_by_each_host_and_file() {
    let before = "[net]\nallow = [\"a.example:443\", \"b.example:443\"]\nuntil = \"input-complete\"\n";
    let after = "[net]\nallow = [\"a.example:443\", \"GET https://c.example/v1/*\"]\nname-servers = [\"192.0.2.53\"]\n\
                 trust = [\"/etc/own.pem\"]\n[[fetch]]\nurl = \"https://d.example/f\"\nto = \"f\"\nmax-bytes = \"1MiB\"\n";

    let changes = between(before, after);

    let mut of_network: Vec<_> = changes.iter().filter(|change| change.area == Area::Network).collect();
    of_network.sort_by(|a, b| (&a.what, &a.after).cmp(&(&b.what, &b.after)));
    let told: Vec<_> = of_network.iter().map(|c| (c.kind, c.risk, c.what.as_str(), c.after.as_str())).collect();
    assert_eq!(
        told,
        [
            (Kind::Removed, Risk::None, "allow", ""),
            (Kind::Added, Risk::High, "allow", "GET https://c.example/v1/*"),
            (Kind::Added, Risk::Medium, "fetch", "f from https://d.example/f, 1MiB at most"),
            (Kind::Changed, Risk::Low, "name servers", "192.0.2.53:53"),
            (Kind::Added, Risk::Medium, "trust", "/etc/own.pem"),
            (Kind::Widened, Risk::Medium, "until", "the job's end"),
        ]
    );
}
