use super::*;
use lazaret_launch::observe::PathNote;
use std::path::PathBuf;

type Told = (String, String, PathCause, Option<String>);

fn found(policy: &str, asked: &[(&str, PathAccess)]) -> Vec<Told> {
    found_in(Tier::Jail, policy, asked)
}

fn found_in(tier: Tier, policy: &str, asked: &[(&str, PathAccess)]) -> Vec<Told> {
    let policy = crate::policy_text("p.toml", policy).expect("a policy");
    let mut observed = Observed::default();
    for (path, access) in asked {
        let key = PathKey { path: PathBuf::from(path), access: *access, follow: true };
        observed.paths.insert(key, PathNote::new("openat"));
    }
    let tell = |refusal: PathRefusal| (refusal.path, refusal.error, refusal.cause, refusal.allow);
    paths(&policy, tier, Mode::Root, &observed).into_iter().map(tell).collect()
}

#[test]
fn what_exists_and_is_not_shown_has_the_line_that_shows_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("data \"1\"");
    std::fs::write(&file, "x").expect("a new file");
    let path = format!("/srv{}", "x".repeat(40));

    // /tmp is the job's own, so the file is looked for where nothing of the job's is.
    assert_eq!(found("extends = \"default\"", &[(&path, PathAccess::Read)]), []);
    let root = found("extends = \"default\"", &[("/root", PathAccess::List)]);
    let line = "[files] read = [\"/root\"]".to_owned();
    assert_eq!(root, [("/root".to_owned(), "ENOENT".to_owned(), PathCause::NotShown, Some(line))]);
    assert_eq!(line_of(&file), Ok(format!("[files] read = [\"{}/data \\\"1\\\"\"]", directory.path().display())));
    assert!(line_of(Path::new("/a\nb")).is_err());
}

fn line_of(path: &Path) -> Result<String, &'static str> {
    line("read", path)
}

#[test]
fn what_is_shown_and_cannot_be_changed_has_the_line_for_a_copy_on_write_view() {
    let policy = "extends = \"default\"\n[files]\nread = [\"/usr/share\"]";

    let asked = [("/usr/share/new", PathAccess::Create), ("/etc/passwd", PathAccess::Write)];
    let refusals = found(policy, &asked);

    assert_eq!(refusals.len(), 2, "{refusals:?}");
    assert!(refusals.iter().all(|refusal| refusal.1 == "EROFS" && refusal.2 == PathCause::ReadOnly), "{refusals:?}");
    assert_eq!(refusals[1].3.as_deref(), Some("[files] cow = [\"/usr/share\"]"));
    assert_eq!(refusals[0].3, None);
}

#[test]
fn what_the_job_has_and_what_is_nowhere_is_no_refusal() {
    let asked = [
        ("/job/x", PathAccess::Create),
        ("/tmp/x", PathAccess::Read),
        ("/dev/null", PathAccess::Write),
        ("/usr/lib", PathAccess::List),
        ("/usr/lib/no-such-thing", PathAccess::Read),
    ];

    assert_eq!(found("extends = \"default\"", &asked), []);
}

#[test]
fn without_a_tree_of_the_jobs_own_it_is_landlock_that_refuses() {
    let policy = "extends = \"default\"\n[files]\nread = [\"/usr/share\"]";
    let asked = [("/root", PathAccess::List), ("/usr/share/new", PathAccess::Create)];

    let refusals = found_in(Tier::Seccomp, policy, &asked);

    assert!(refusals.iter().all(|told| told.1 == "EACCES" && told.2 == PathCause::Landlock), "{refusals:?}");
    assert_eq!(refusals[0].3.as_deref(), Some("[files] read = [\"/root\"]"));
    assert_eq!((refusals.len(), &refusals[1].3), (2, &None));
}

#[test]
fn what_only_an_owner_may_is_told_with_no_line() {
    let directory = tempfile::tempdir_in("/var/tmp").expect("a directory");
    std::fs::write(directory.path().join("data"), "x").expect("a new file");
    let (host, file) = (directory.path().display(), directory.path().join("data"));
    let told = |policy: &str, access, by_owner: Option<&str>| {
        let policy = crate::policy_text("p.toml", policy).expect("a policy");
        let mut observed = Observed::default();
        let note = PathNote { by_owner: by_owner.map(str::to_owned), ..PathNote::new("openat") };
        observed.paths.insert(PathKey { path: file.clone(), access, follow: true }, note);
        let all = paths(&policy, Tier::Jail, Mode::Root, &observed);
        all.into_iter().map(|refusal| (refusal.error, refusal.cause, refusal.allow)).next()
    };
    let view = format!("extends = \"default\"\n[files]\ncow = [\"{host}\"]");
    let shown = format!("extends = \"default\"\n[files]\nread = [\"{host}\"]");
    let owner = |error: &str| Some((error.to_owned(), PathCause::Owner, None));

    assert_eq!(told(&view, PathAccess::ChangeMetadata, Some("chmod")), owner("EPERM"));
    assert_eq!(told(&view, PathAccess::Metadata, Some("link")), owner("EPERM"));
    assert_eq!(told(&shown, PathAccess::Read, Some("openat")), owner("EPERM"));
    assert_eq!(told(&view, PathAccess::Metadata, None), None);
    assert_eq!(told(&shown, PathAccess::Read, None), None);
    assert_eq!(told(&shown, PathAccess::ChangeMetadata, Some("chmod")).map(|told| told.0), Some("EROFS".to_owned()));
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("our own");
    assert_eq!(told(&view, PathAccess::Write, None), owner("EOVERFLOW"));
}
