//! Policies that no function can have.

use crate::{alone, called, compute, with_calls};
use lazaret::{Policy, SandboxError};

fn refused(policy: &Policy) -> SandboxError {
    match lazaret::sandboxed(policy, |_: &[u8]| Ok::<_, ()>(Vec::new())) {
        Ok(_) => panic!("{} must not be taken", policy.name),
        Err(error) => error,
    }
}

#[test]
fn a_policy_of_another_tier_is_refused() {
    let policy = lazaret::profile("default").expect("a built-in profile");

    let error = refused(&policy);

    assert!(error.to_string().contains("tier `seccomp`"), "{error}");
    assert!(error.hint().contains("compute"));
}

#[test]
fn a_policy_that_forbids_what_every_call_needs_is_refused_with_the_rule_to_add() {
    for (call, rule) in [("exit_group", "exit_group"), ("brk", "brk"), ("mmap", "mmap(prot & PROT_EXEC == 0)")] {
        let error = refused(&with_calls(&format!("refuse = [\"{call}\"]")));

        assert!(error.to_string().contains(&format!("forbids `{call}`")), "{error}");
        assert!(error.hint().contains(&format!("rule = \"{rule}\"")), "{}", error.hint());
    }
}

#[test]
fn what_a_function_cannot_have_is_refused_and_named_with_its_line() {
    let wishes = [
        ("[files]\nproc = \"minimal\"", "files.proc"),
        ("[files]\npts = true", "files.pts"),
        ("[files]\nshm = true", "files.shm"),
        ("[files]\nroot = { directory = \"/srv\" }", "files.root"),
        ("[files]\ncow = [{ path = \"/srv\", at = \"/srv\" }]", "files.cow"),
        ("[files]\nread = [{ path = \"/srv\", at = \"/elsewhere\" }]", "files.read"),
        ("[files]\ndevices = [\"/dev/kvm\"]", "files.devices"),
        ("[net]\nloopback = true", "net.loopback"),
        ("# once\n[[fetch]]\nurl = \"https://a.example/f\"\nto = \"f\"\nmax-bytes = 1", "fetch"),
        ("[net]\nallow = [\"a.example:80\"]", "net.allow"),
        ("[environment]\nset = { A = \"b\" }", "environment.set: A"),
        ("[environment]\npass = [\"A\"]", "environment.pass: A"),
        ("[limits]\nprocesses = 2", "limits.processes"),
        ("[limits]\ncpus = 0.5", "limits.cpus"),
        ("[limits]\nio-rate = \"1MiB\"", "limits.io-rate"),
        ("[system-calls]\nallow = [\"clone\"]", "system-calls: clone"),
        ("[system-calls]\nallow = [\"execve\"]", "system-calls: execve"),
        ("[system-calls]\nrefuse-after-start = [\"read\"]", "system-calls.refuse-after-start"),
    ];
    for (lines, key) in wishes {
        let policy = lazaret::policy_text("wish.toml", &format!("extends = \"compute\"\n{lines}\n"));

        let error = refused(&policy.expect("a good policy"));

        let SandboxError::Beyond { key: named, from, .. } = &error else { panic!("{lines}: {error}") };
        assert!(named.starts_with(key), "{named} for {key}");
        assert_eq!(from, "wish.toml:3", "{lines}");
    }
}

#[test]
fn a_path_of_the_policy_that_is_not_there_is_named() {
    let text = "extends = \"compute\"\n[files]\nread = [\"/no/such/file\"]\n";

    let error = refused(&lazaret::policy_text("path.toml", text).expect("a good policy"));

    assert!(error.to_string().contains("/no/such/file"), "{error}");
}

#[test]
fn more_descriptors_than_the_caller_may_have_are_not_promised() {
    let _alone = alone();
    let policy = lazaret::change(compute()).limit("open-files=1000000").expect("a good limit").build();
    let two = lazaret::sandboxed(&policy, |_: &[u8]| Ok::<_, ()>(vec![2])).expect("it can be sandboxed");

    let called = two.call(b"").expect("the call is made");

    assert_eq!(called.into_value().expect("it returned").expect("a value").to_vec(), [2]);
}

#[test]
fn descriptors_are_bounded_by_the_policy() {
    let _alone = alone();
    let text = "extends = \"compute\"\n[limits]\nopen-files = 20\n[system-calls]\nallow = [\"dup\"]\n";
    let policy = lazaret::policy_text("few.toml", text).expect("a good policy");
    let duplicates = |_: ()| {
        let mut made = 0;
        // Not closed before the end.
        while let Ok(descriptor) = rustix::io::dup(rustix::stdio::stdin()) {
            std::mem::forget(descriptor);
            made += 1;
        }
        made
    };

    for called in called(&policy, duplicates, &()) {
        assert_eq!(called.into_value().expect("it returned"), 20 - 3, "beside the three streams");
    }
}
