use super::*;
use crate::record::{Origin, Seen};

fn fact(path: &str, kind: PathKind, access: Access) -> PathFact {
    let leads = if kind == PathKind::Absent { Vec::new() } else { vec![path.to_owned()] };
    let (by, files) = (Origin::Program, Seen::once(0));
    PathFact { path: path.to_owned(), leads, kind, access, by, program: 0, files }
}

fn file(path: &str) -> PathFact {
    fact(path, PathKind::File, Access::Read)
}

/// Each fact in a run of its own, in order.
fn learn(facts: &[PathFact], base: Option<&Policy>) -> LearnedPaths {
    let sightings: Vec<Sighting<'_>> = facts
        .iter()
        .enumerate()
        .map(|(run, fact)| Sighting { fact, evidence: Evidence::new(Seen::once(run), fact.by, "p") })
        .collect();
    learned(&sightings, base)
}

fn shown(learned: &LearnedPaths) -> Vec<String> {
    learned.read.iter().map(|path| path.path.display().to_string()).collect()
}

#[test]
fn a_file_is_shown_by_itself_and_a_packages_directory_as_a_whole() {
    let learned = learn(
        &[
            file("/etc/app.conf"),
            file("/usr/share/app/deep/data"),
            file("/usr/lib/x86_64-linux-gnu/app-1/plugin.so"),
            file("/usr/lib/x86_64-linux-gnu/liba.so.1"),
            file("/usr/lib/python3/os.py"),
        ],
        None,
    );

    let expected = [
        "/etc/app.conf",
        "/usr/lib/python3",
        "/usr/lib/x86_64-linux-gnu/app-1",
        "/usr/lib/x86_64-linux-gnu/liba.so.1",
        "/usr/share/app",
    ];
    assert_eq!(shown(&learned), expected);
}

#[test]
fn eight_children_fold_to_their_directory_and_seven_do_not() {
    let files = |count| -> Vec<PathFact> { (0..count).map(|at| file(&format!("/opt/app/{at}"))).collect() };

    assert_eq!(shown(&learn(&files(7), None)).len(), 7);
    let folded = learn(&files(12), None);
    assert_eq!(shown(&folded), ["/opt/app"]);
    assert_eq!(folded.read[0].folded, Some(12));
    assert_eq!(folded.read[0].evidence.files.count(), 12);
    // With the eighth file the directory was shown, and nothing changed after.
    assert_eq!(folded.read[0].evidence.settled, 7);
}

#[test]
fn what_everybody_shares_is_never_folded() {
    for wide in ["", "/etc", "/home", "/home/user", "/usr/share", "/usr/local/etc", "/var/lib"] {
        let files: Vec<PathFact> = (0..20).map(|at| file(&format!("{wide}/{at}"))).collect();

        assert_eq!(shown(&learn(&files, None)).len(), 20, "{wide}");
    }
}

#[test]
fn a_directory_that_was_listed_is_shown_whole_unless_it_is_too_wide() {
    let learned = learn(
        &[
            fact("/srv/models", PathKind::Directory, Access::Read),
            file("/srv/models/a"),
            fact("/etc", PathKind::Directory, Access::Read),
            fact("/home/user", PathKind::Directory, Access::Read),
        ],
        None,
    );

    assert_eq!(shown(&learned), ["/srv/models"]);
    let refused: Vec<_> = learned.refused.iter().map(|refused| refused.path.as_path()).collect();
    assert_eq!(refused, [Path::new("/etc"), Path::new("/home/user")]);
}

#[test]
fn a_directory_that_was_only_looked_at_shows_nothing() {
    let learned = learn(&[fact("/srv/data", PathKind::Directory, Access::Look)], None);

    assert_eq!(learned.read, []);
    assert_eq!(learned.refused, []);
}

#[test]
fn both_ends_of_a_link_are_shown() {
    let mut link = file("/lib64/ld.so");
    link.leads = vec!["/lib64".to_owned(), "/usr/lib64/ld.so".to_owned(), "/opt/ld-2.so".to_owned()];

    assert_eq!(shown(&learn(&[link], None)), ["/lib64", "/opt/ld-2.so", "/usr/lib64/ld.so"]);
}

#[test]
fn what_the_jail_has_of_its_own_needs_no_rule() {
    let learned = learn(&[file("/etc/passwd"), fact("/dev/null", PathKind::Device, Access::Write)], None);

    assert_eq!(learned, LearnedPaths::default());
}

#[test]
fn what_has_a_key_of_its_own_is_said_by_it() {
    let device = |path: &str| fact(path, PathKind::Device, Access::Read);
    let learned = learn(
        &[
            file("/proc/self/maps"),
            device("/dev/dri/renderD128"),
            device("/dev/pts/0"),
            fact("/dev/shm/x", PathKind::File, Access::Write),
            file("/usr/share/fonts/a.ttf"),
            file("/usr/lib/locale/C.utf8/LC_CTYPE"),
        ],
        None,
    );

    assert_eq!(learned.read, []);
    assert_eq!(learned.proc.as_ref().map(|(view, _)| *view), Some(ProcView::Minimal));
    assert_eq!(learned.devices[0].path, Path::new("/dev/dri/renderD128"));
    let keys = [&learned.pts, &learned.shm, &learned.fonts, &learned.locale];
    assert!(keys.into_iter().all(Option::is_some));
    let more = learn(&[file("/proc/self/maps"), file("/proc/cpuinfo")], None);
    assert_eq!(more.proc.map(|(view, _)| view), Some(ProcView::Full));
}

#[test]
fn what_no_policy_gives_is_said() {
    let learned = learn(
        &[
            file("/sys/devices/system/cpu/online"),
            fact("/var/log/app", PathKind::File, Access::Write),
            fact("/run/socket", PathKind::Other, Access::Read),
            fact("/dev/tty", PathKind::Device, Access::Read),
        ],
        None,
    );

    assert_eq!(learned.read, []);
    assert_eq!(learned.refused.len(), 4);
}

#[test]
fn what_is_not_there_is_listed_and_not_shown() {
    let learned = learn(&[fact("/etc/ld.so.preload", PathKind::Absent, Access::Look)], None);

    assert_eq!(learned.read, []);
    assert_eq!(learned.absent[0].path, Path::new("/etc/ld.so.preload"));
}

#[test]
fn what_the_base_shows_is_left_out() {
    let base = lazaret::profile("default").expect("it is built in");

    let learned = learn(&[file("/usr/bin/tool"), file("/proc/self/exe"), file("/etc/tool.conf")], Some(&base));

    assert_eq!(shown(&learned), ["/etc/tool.conf"]);
    assert_eq!(learned.proc, None);
}
