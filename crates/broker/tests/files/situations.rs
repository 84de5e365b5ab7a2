//! What calls return through the broker is what they return without.

use crate::job::{Job, compiled};
use lazaret_broker::files::Identity;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

/// What is another answer than the kernel's, and why.
const DIFFERENT: &[(&str, &str)] = &[];

fn tree(place: &Path, owner: Option<u32>) {
    fs::create_dir_all(place.join("d/e")).expect("new");
    fs::write(place.join("f"), "content\n").expect("new");
    fs::write(place.join("d/f"), "deeper\n").expect("new");
    for (link, text) in [("l", "f"), ("ld", "d"), ("dangling", "none"), ("loop", "loop"), ("up", "..")] {
        symlink(text, place.join(link)).expect("new");
    }
    symlink(place.join("d"), place.join("abs")).expect("new");
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(rustix::fs::CWD, place.join("s"), rustix::fs::FileType::Fifo, mode, 0).expect("new");
    for path in [".", "d", "d/e", "f", "d/f", "s"].map(|path| place.join(path)) {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("own");
        chown(path, owner, owner).expect("root, or own");
    }
}

fn compare(owner: Option<u32>, identity: &Identity) {
    let scene = tempfile::tempdir_in("/tmp").expect("there is room");
    fs::set_permissions(scene.path(), fs::Permissions::from_mode(0o755)).expect("own");
    let programs = scene.path().join("programs");
    fs::create_dir(&programs).expect("new");
    let Some(program) = compiled("situations.c", &programs) else { return };
    let program = program.to_str().expect("a plain path").to_owned();
    let user = owner.map(|id| id.to_string());
    let mut command: Vec<&str> = Vec::new();
    let options = user.as_ref().map(|id| [format!("--reuid={id}"), format!("--regid={id}")]);
    if let Some([uid, gid]) = &options {
        command.extend(["/usr/bin/setpriv", uid, gid, "--clear-groups"]);
    }
    command.push(&program);
    let run = |name: &str, native: bool| {
        let place = scene.path().join(name);
        fs::create_dir(&place).expect("new");
        tree(&place, owner);
        let job = Job { native, identity: identity.clone(), ..Job::new(&place) };
        let ran = job.with(&programs, crate::job::RUN).run(&command).went_well();
        ran.output.replace(name, "NAME")
    };

    let (native, brokered) = (run("native", true), run("broker", false));

    let pairs = native.lines().zip(brokered.lines()).filter(|(native, brokered)| native != brokered);
    let pairs = pairs.filter(|(native, _)| !DIFFERENT.iter().any(|(line, _)| native.contains(line)));
    let differing: Vec<String> = pairs.map(|(native, brokered)| format!("{native}\n  {brokered}")).collect();
    assert!(native.lines().count() > 250, "{native}");
    assert_eq!(native.lines().count(), brokered.lines().count());
    assert!(differing.is_empty(), "{} of {}:\n{}", differing.len(), native.lines().count(), differing.join("\n"));
}

#[test]
fn answers_are_those_of_the_kernel() {
    compare(None, &Identity::Own);
}

#[test]
fn answers_to_another_user_are_those_of_the_kernel() {
    if rustix::process::geteuid().is_root() {
        compare(Some(65534), &Identity::Job { uid: 65534, gid: 65534, groups: Vec::new() });
    }
}
