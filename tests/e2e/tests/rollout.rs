//! A policy that is introduced step by step: which way jobs go, and what is recorded of those in shadow.

use lazaret_e2e::{Ran, Runner, as_root_and_user};
use serde_json::Value;

as_root_and_user![
    a_job_in_shadow_runs_under_the_old_policy_and_tells_what_the_new_one_would_refuse,
    a_job_among_the_enforced_runs_under_the_new_policy,
    the_old_policy_refuses_in_shadow_what_it_refuses_without,
    without_an_old_policy_the_jail_alone_is_around_the_job,
    a_program_that_only_the_old_policy_shows_is_told,
    a_new_policy_under_which_no_command_can_be_started_is_told,
    a_file_of_a_forbidden_size_is_told_though_it_is_gone_in_the_end,
    a_command_that_cannot_be_started_ends_in_shadow_as_without,
    the_share_is_that_of_the_file,
    a_job_without_a_key_is_not_run,
    the_command_can_be_the_key,
    a_plan_shows_which_way_the_job_goes,
    the_same_key_stays_among_the_enforced_when_the_share_grows,
    reports_are_summed_up,
    the_tier_without_namespaces_has_a_shadow_too,
];

/// Writes `new.toml`, which refuses getpriority, files of more than 100 KiB and more than 10 bytes of output, and `old.toml`,
/// which shows /boot and refuses what `default` refuses.
fn policies(runner: &Runner, rollout: &str) {
    runner.put("old.toml", "extends = \"default\"\n[files]\nread = [{ path = \"/var/lib\", optional = true }]\n");
    let new = "extends = \"default\"\n[system-calls]\nrefuse = [\"getpriority\"]\n[limits]\nfile-size = \"100KiB\"\n\
               output = \"10B\"\n[rollout]\n";
    runner.put("new.toml", format!("{new}{rollout}\n"));
}

const SHADOW: &str = "enforce = \"0%\"\nshadow = \"100%\"\nold = \"./old.toml\"";
const ENFORCED: &str = "enforce = \"100%\"\nshadow = \"0%\"\nold = \"./old.toml\"";

fn run(runner: &Runner, script: &str) -> Ran {
    runner.run(&["--policy", "new.toml", "--job-key", "customer-17", "--", "sh", "-c", script])
}

/// What one of the lists of `rollout` has under `field`.
fn listed(ran: &Ran, list: &str, field: &str) -> Vec<String> {
    let entries = ran.report["rollout"][list].as_array().unwrap_or_else(|| panic!("no {list}: {ran}"));
    entries.iter().map(|entry| entry[field].as_str().unwrap_or_default().to_owned()).collect()
}

fn a_job_in_shadow_runs_under_the_old_policy_and_tells_what_the_new_one_would_refuse(runner: &Runner) {
    policies(runner, SHADOW);

    let ran = run(
        runner,
        "ls /var/lib >/dev/null && head -c 200000 /dev/zero > big && perl -e 'print defined getpriority(0, 0) ? \"a long output\" : $!'",
    );

    assert_eq!((ran.status, ran.stdout().as_str()), (Some(0), "a long output"), "{ran}");
    let rollout = &ran.report["rollout"];
    assert_eq!(
        [&rollout["mode"], &rollout["policy"], &rollout["old"], &rollout["share"], &rollout["share_from"]],
        ["shadow", "new.toml", "old.toml", "0%", "new.toml:8"]
    );
    assert_eq!(rollout["key_hash"], "6a6e9910653638be");
    assert_eq!(ran.report["policy"], "old.toml");
    assert_eq!(ran.report.refused(), Vec::<&str>::new());
    assert_eq!(listed(&ran, "would_refuse", "call"), ["getpriority"]);
    assert_eq!(rollout["would_refuse"][0]["errno"], 1);
    assert_eq!(rollout["would_refuse"][0]["rule"], "getpriority");
    assert_eq!(listed(&ran, "would_refuse_paths", "path"), ["/var/lib"]);
    assert_eq!(rollout["would_refuse_paths"][0]["suggestion"], "[files] read = [\"/var/lib\"]");
    assert_eq!(listed(&ran, "would_hit", "key"), ["file-size", "output"]);
    assert_eq!(rollout["complete"], true, "{rollout}");
}

fn a_job_among_the_enforced_runs_under_the_new_policy(runner: &Runner) {
    policies(runner, ENFORCED);

    let ran = run(runner, "ls /var/lib 2>/dev/null; perl -e 'getpriority 0, 0'; true");

    assert_eq!(ran.status, Some(0), "{ran}");
    assert_eq!((&ran.report["rollout"]["mode"], &ran.report["policy"]), (&"enforced".into(), &"new.toml".into()));
    assert_eq!(ran.stdout(), "");
    assert_eq!(ran.report.refused(), ["getpriority"]);
}

fn the_old_policy_refuses_in_shadow_what_it_refuses_without(runner: &Runner) {
    policies(runner, SHADOW);
    let script = "unshare -U true 2>&1; echo $?; cat /proc/cpuinfo 2>&1; echo $?; touch /usr/x 2>&1; echo $?; \
                  kill -0 1 2>&1; ls / | tr '\\n' ' '; ulimit -n; perl -e 'print kill(0, 1) ? 1 : 0'; nice -n -5 true 2>&1";

    let shadow = run(runner, script);
    let alone = runner.run(&["--policy", "old.toml", "--", "sh", "-c", script]);

    assert_eq!(shadow.report["rollout"]["mode"], "shadow");
    assert_eq!(alone.report["rollout"]["mode"], "none");
    assert_eq!((shadow.status, shadow.stdout()), (alone.status, alone.stdout()));
    let refusals = |ran: &Ran| {
        let list = ran.report["refusals"].as_array().expect("a list").iter();
        list.map(|one| ["call", "errno", "count", "rule"].map(|field| one[field].clone())).collect::<Vec<_>>()
    };
    assert!(!refusals(&alone).is_empty());
    assert_eq!(refusals(&shadow), refusals(&alone));
    let controls = |ran: &Ran| {
        let rows = ran.report["enforcement"].as_array().expect("a table").iter();
        rows.map(|row| ["layer", "asked", "holding"].map(|field| row[field].clone())).collect::<Vec<_>>()
    };
    assert_eq!(controls(&shadow), controls(&alone));
}

fn without_an_old_policy_the_jail_alone_is_around_the_job(runner: &Runner) {
    policies(runner, "enforce = \"0%\"\nshadow = \"100%\"\nold = \"none\"");

    let ran = run(
        runner,
        "ls /var/lib /home >/dev/null && grep -c processor /proc/cpuinfo >/dev/null && perl -e 'getpriority 0, 0' && \
         echo x > /etc/x; touch /usr/x; ls /run /sys; cat /proc/net/dev | wc -l; echo over",
    );

    assert_eq!((ran.status, &ran.report["rollout"]["old"]), (Some(0), &"none".into()), "{ran}");
    assert!(ran.stdout().ends_with("over\n"), "{ran}");
    assert!(!std::path::Path::new("/etc/x").exists() && !std::path::Path::new("/usr/x").exists());
    assert!(listed(&ran, "would_refuse", "call").contains(&"getpriority".to_owned()));
    let paths = listed(&ran, "would_refuse_paths", "path");
    for path in ["/var/lib", "/home", "/proc/cpuinfo"] {
        assert!(paths.iter().any(|known| known == path), "{path}: {paths:?}");
    }
}

fn a_program_that_only_the_old_policy_shows_is_told(runner: &Runner) {
    let directory = runner.path("programs");
    std::fs::create_dir(&directory).expect("it can be made");
    std::fs::copy("/bin/true", directory.join("mine")).expect("it can be copied");
    let at = "/opt/programs";
    let old =
        format!("extends = \"default\"\n[files]\nread = [{{ path = \"{}\", at = \"{at}\" }}]\n", directory.display());
    runner.put("old.toml", old);
    runner.put("new.toml", format!("extends = \"default\"\n[rollout]\n{SHADOW}\n"));

    let ran = runner.run(&["--policy", "new.toml", "--job-key", "k", "--", "/opt/programs/mine"]);

    assert_eq!(ran.status, Some(0), "{ran}");
    let needs = ran.report["rollout"]["would_refuse_paths"].as_array().expect("a list");
    let told = |need: &&Value| need["path"] == "/opt/programs/mine" && need["access"] == "execute";
    assert_eq!(needs.iter().filter(told).count(), 1, "{needs:?}");
}

fn a_new_policy_under_which_no_command_can_be_started_is_told(runner: &Runner) {
    policies(runner, SHADOW);
    runner
        .put("new.toml", format!("extends = \"default\"\n[system-calls]\nkill = [\"execve\"]\n[rollout]\n{SHADOW}\n"));

    let ran = runner.run(&["--policy", "new.toml", "--job-key", "k", "--", "true"]);

    assert_eq!(ran.status, Some(0), "{ran}");
    let differs = ran.report["rollout"]["would_differ"].as_array().expect("a list");
    let told =
        |what: &Value| what.as_str().is_some_and(|text| text.contains("no command can be started without `execve`"));
    assert!(differs.iter().any(told), "{differs:?}");
}

fn a_file_of_a_forbidden_size_is_told_though_it_is_gone_in_the_end(runner: &Runner) {
    policies(runner, SHADOW);

    let ran = run(runner, "truncate -s 101K f && rm f");
    let within = run(runner, "truncate -s 100K f && rm f");

    assert_eq!((ran.status, within.status), (Some(0), Some(0)), "{ran}");
    assert_eq!(listed(&ran, "would_hit", "key"), ["file-size"]);
    assert_eq!(listed(&within, "would_hit", "key"), Vec::<String>::new());
}

fn a_command_that_cannot_be_started_ends_in_shadow_as_without(runner: &Runner) {
    policies(runner, SHADOW);

    let absent = runner.run(&["--policy", "new.toml", "--job-key", "k", "--", "no-such-command"]);
    let wrong = runner.run(&["--policy", "new.toml", "--job-key", "k", "--", "/etc/localtime"]);

    assert_eq!((absent.status, wrong.status), (Some(127), Some(126)), "{absent}\n{wrong}");
    assert_eq!(absent.report["rollout"]["mode"], "shadow");
}

fn the_share_is_that_of_the_file(runner: &Runner) {
    let file = runner.put("shares.toml", "enforce = \"100%\"\nshadow = \"0%\"\n");
    policies(runner, &format!("{SHADOW}\nfile = \"{}\"", file.display()));
    let all = run(runner, "true");
    runner.put("shares.toml", "enforce = \"0%\"\nshadow = \"100%\"\n");
    let none = run(runner, "true");
    runner.put("shares.toml", "enforce = \"5%\"\nshadow = \"9");
    let garbage = run(runner, "true");
    std::fs::remove_file(&file).expect("it can be removed");
    let absent = run(runner, "true");

    assert_eq!([&all.report["rollout"]["mode"], &none.report["rollout"]["mode"]], ["enforced", "shadow"]);
    assert!(all.report["rollout"]["share_from"].as_str().is_some_and(|from| from.ends_with("shares.toml:1")), "{all}");
    assert_eq!((garbage.status, absent.status), (Some(125), Some(125)));
    assert!(garbage.stderr().contains("this is not TOML") && garbage.stderr().contains("shares.toml"), "{garbage}");
    assert!(absent.stderr().contains("cannot read the shares of the rollout"), "{absent}");
}

fn a_job_without_a_key_is_not_run(runner: &Runner) {
    policies(runner, SHADOW);

    let without = runner.lazaret(&["run", "--policy", "new.toml", "--", "touch", "x"]);
    let empty = runner.lazaret(&["run", "--policy", "new.toml", "--job-key", "", "--", "touch", "x"]);

    assert_eq!((without.status, empty.status), (Some(125), Some(125)));
    assert!(without.stderr().contains("give one with --job-key"), "{without}");
    assert!(empty.stderr().contains("the job's key is empty"), "{empty}");
}

fn the_command_can_be_the_key(runner: &Runner) {
    policies(runner, &format!("{SHADOW}\nkey = \"command\""));
    let hash = |args: &[&str]| {
        let ran = runner.run(&[&["--policy", "new.toml"], args].concat());
        assert_eq!(ran.status, Some(0), "{ran}");
        ran.report["rollout"]["key_hash"].clone()
    };

    let (first, again, other) = (hash(&["--", "echo", "a"]), hash(&["--", "echo", "a"]), hash(&["--", "echo", "b"]));
    let given = hash(&["--job-key", "customer-17", "--", "echo", "a"]);

    assert_eq!(first, again);
    assert_ne!(first, other);
    assert_eq!(given, "6a6e9910653638be");
}

fn a_plan_shows_which_way_the_job_goes(runner: &Runner) {
    policies(runner, SHADOW);
    let options = runner.options();
    let plan = |more: &[&str]| runner.lazaret(&[&["plan", "--policy", "new.toml"], options, more].concat());

    let text = plan(&["--job-key", "customer-17", "--", "true"]);
    let json = plan(&["--json", "--job-key", "customer-17", "--", "true"]);
    let without = plan(&["--", "true"]);

    assert_eq!((text.status, without.status), (Some(0), Some(125)), "{text}");
    assert!(text.stdout().contains("this job (key 6a6e9910653638be) is in shadow: it runs under old.toml"), "{text}");
    let json: Value = serde_json::from_slice(&json.stdout).expect("it is JSON");
    assert_eq!([&json["rollout"]["mode"], &json["policy"]["name"]], ["shadow", "old.toml"]);
    assert!(without.stdout().contains("this job would not be run"), "{without}");
}

fn the_same_key_stays_among_the_enforced_when_the_share_grows(runner: &Runner) {
    // Its place is 41.575 %.
    for (share, rest, mode) in [("41%", "59%", "shadow"), ("42%", "58%", "enforced"), ("80%", "20%", "enforced")] {
        policies(runner, &format!("enforce = \"{share}\"\nshadow = \"{rest}\"\nold = \"./old.toml\""));
        assert_eq!(run(runner, "true").report["rollout"]["mode"], mode, "{share}");
    }
}

fn reports_are_summed_up(runner: &Runner) {
    policies(runner, SHADOW);
    std::fs::create_dir(runner.path("reports")).expect("it can be made");
    for (name, script) in
        [("a", "perl -e 'getpriority 0, 0; getpriority 0, 0'"), ("b", "perl -e 'getpriority 0, 0'"), ("c", "true")]
    {
        let ran = run(runner, script);
        assert_eq!(ran.status, Some(0), "{ran}");
        let text = serde_json::to_vec(&ran.report.0).expect("it is JSON");
        runner.put(&format!("reports/{name}.json"), text);
    }

    let text = runner.lazaret(&["rollout", "reports"]);
    let json = runner.lazaret(&["rollout", "--json", "reports"]);
    let none = runner.lazaret(&["rollout", "no-such-report"]);

    assert!(text.stdout().contains("getpriority by `getpriority`: in 2 jobs, 3 times"), "{text}");
    let json: Value = serde_json::from_slice(&json.stdout).expect("it is JSON");
    assert_eq!(json["policies"]["new.toml"]["shadow"], 3);
    assert_eq!(json["policies"]["new.toml"]["shadow_clean"], 1);
    assert_eq!(none.status, Some(125));
}

fn the_tier_without_namespaces_has_a_shadow_too(runner: &Runner) {
    runner.put("old.toml", "extends = \"default\"\ntier = \"seccomp\"\n[files]\nread = [\"/var/lib\"]\n");
    let new = "extends = \"default\"\ntier = \"seccomp\"\n[system-calls]\nrefuse = [\"getpriority\"]\n[limits]\n\
               file-size = \"100KiB\"\n[rollout]\n";
    runner.put("new.toml", format!("{new}{SHADOW}\n"));

    let ran = run(
        runner,
        "ls /var/lib >/dev/null && head -c 200000 /dev/zero > big && perl -e 'getpriority 0, 0'; cat /boot/x; true",
    );

    assert_eq!((ran.status, &ran.report["tier"]), (Some(0), &"seccomp".into()), "{ran}");
    assert_eq!(listed(&ran, "would_refuse", "call"), ["getpriority"]);
    assert!(listed(&ran, "would_refuse_paths", "path").contains(&"/var/lib".to_owned()), "{ran}");
    assert_eq!(listed(&ran, "would_hit", "key"), ["file-size"]);
    let plan = runner.lazaret(&["plan", "--policy", "new.toml", "--job-key", "customer-17", "--", "true"]);
    assert!(plan.stdout().contains("is in shadow: it runs under old.toml"), "{plan}");
}
