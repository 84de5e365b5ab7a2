//! Which roots can be used.

use crate::job::{CHANGE, READ, RUN, open_path};
use lazaret_broker::files::{Access, Exec, Files, Identity, Memory, Outside, Processes, Root, RootError, Setting};
use std::fs;
use std::path::{Path, PathBuf};

fn root(guest: &str, place: &Path, access: Access) -> Root {
    Root { guest: PathBuf::from(guest), place: open_path(place), access }
}

fn files(roots: Vec<Root>) -> Result<Files, RootError> {
    Files::new(Setting {
        tree: open_path(Path::new("/")),
        roots,
        outside: Outside::Absent,
        exec: Exec::Refused,
        identity: Identity::Own,
        processes: Processes::Own,
        memory: Memory::Bounded,
    })
}

#[test]
fn roots_are_absolute_paths_that_are_named_once_and_no_other_proc() {
    let tmp = Path::new("/tmp");

    let relative = files(vec![root("tmp", tmp, READ)]);
    let upwards = files(vec![root("/tmp/../etc", tmp, READ)]);
    let twice = files(vec![root("/tmp", tmp, READ), root("/tmp/", tmp, CHANGE)]);
    let proc = files(vec![root("/tmp", Path::new("/proc"), READ)]);

    let own = ["/proc/self", "/proc/mounts", "/proc/1"].map(|path| files(vec![root(path, Path::new(path), READ)]));
    let whole = files(vec![root("/proc", Path::new("/proc"), READ), root("/proc/sys", Path::new("/proc/sys"), READ)]);

    assert!(own.iter().all(|own| matches!(own, Err(RootError::Proc { .. }))), "{own:?}");
    assert!(whole.is_ok());
    assert!(matches!(relative, Err(RootError::Path { .. })));
    assert!(matches!(upwards, Err(RootError::Path { .. })));
    assert!(matches!(twice, Err(RootError::Twice { .. })));
    assert!(matches!(proc, Err(RootError::Proc { .. })));
}

#[test]
fn roots_can_be_restricted_and_not_widened() {
    let scene = tempfile::tempdir().expect("there is room");
    for name in ["r/inner", "other"] {
        fs::create_dir_all(scene.path().join(name)).expect("new");
    }
    let place = scene.path();
    let guest = |name: &str| place.join(name).to_string_lossy().into_owned();
    let mut files = files(vec![root(&guest("r"), &place.join("r"), CHANGE)]).expect("a root");

    let wider = files.restrict(vec![root(&guest("r"), &place.join("r"), RUN)]);
    let outside = files.restrict(vec![root(&guest("other"), &place.join("other"), READ)]);
    let above = files.restrict(vec![root(&guest(""), place, READ)]);
    let elsewhere = files.restrict(vec![root(&guest("r/inner"), &place.join("other"), READ)]);
    let same = files.restrict(vec![root(&guest("r"), &place.join("r"), CHANGE)]);
    let fewer = files.restrict(vec![root(&guest("r/inner"), &place.join("r/inner"), READ)]);
    let back = files.restrict(vec![root(&guest("r"), &place.join("r"), READ)]);

    for refused in [wider, outside, above, elsewhere, back] {
        assert!(matches!(refused, Err(RootError::Wider { .. })), "{refused:?}");
    }
    assert!(same.is_ok() && fewer.is_ok(), "{same:?} {fewer:?}");
}
