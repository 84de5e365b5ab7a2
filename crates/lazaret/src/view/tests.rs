use super::*;
use std::os::unix::fs::symlink;

/// A directory with `data/file`, `data/link` to `../hidden/secret`, and `hidden/secret`, and a policy that shows `data`.
struct Scene {
    directory: PathBuf,
    policy: Policy,
}

impl Scene {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("lazaret-view-{}-{name}", std::process::id()));
        std::fs::create_dir_all(directory.join("data")).expect("it can be made");
        std::fs::create_dir_all(directory.join("hidden")).expect("it can be made");
        std::fs::write(directory.join("data/file"), "").expect("it can be written");
        std::fs::write(directory.join("hidden/secret"), "").expect("it can be written");
        symlink("/data/../hidden/secret", directory.join("data/link")).expect("it can be made");
        let root = directory.display();
        let text = format!(
            "extends = \"default\"\n[files]\nread = [{{ path = \"{root}/data\", at = \"/data\" }}]\n\
             cow = [{{ path = \"{root}/hidden\", at = \"/data/view\" }}]"
        );
        let policy = crate::policy_text("view.toml", &text).expect("the policy is good");
        Self { directory, policy }
    }

    fn at(&self, path: &str) -> Shown {
        at(&self.policy, Path::new(path), true)
    }

    fn lacks(&self, path: &str, need: Need) -> Option<String> {
        lacks(&self.policy, Path::new(path), true, need).map(|lack| lack.why)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.directory).expect("it can be removed");
    }
}

#[test]
fn a_bind_shows_the_hosts_path() {
    let scene = Scene::new("bind");

    let shown = scene.at("/data/./file");

    let path = scene.directory.join("data/file");
    assert_eq!(shown, Shown::Host { path, writable: false, by: PathBuf::from("/data") });
}

#[test]
fn the_deepest_entry_counts() {
    let scene = Scene::new("deepest");

    let path = scene.directory.join("hidden/secret");
    let by = PathBuf::from("/data/view");
    assert_eq!(scene.at("/data/view/secret"), Shown::Host { path, writable: true, by });
    assert_eq!(scene.lacks("/data/view/new", Need::Change), None);
}

#[test]
fn a_link_is_followed_in_the_jails_tree() {
    let scene = Scene::new("link");

    assert_eq!(scene.at("/data/link"), Shown::Nothing { at: PathBuf::from("/hidden") });
    let unfollowed = at(&scene.policy, Path::new("/data/link"), false);
    assert!(matches!(unfollowed, Shown::Host { .. }), "{unfollowed:?}");
}

#[test]
fn what_the_host_has_and_the_policy_does_not_show_is_lacking() {
    let scene = Scene::new("lacks");
    let hidden = scene.directory.join("hidden/secret");
    // Not below /tmp, which is every job's own.
    assert_eq!(scene.lacks(&hidden.display().to_string(), Need::See), None);

    assert_eq!(scene.lacks("/etc/fstab-that-is-not-there", Need::See), None);
    assert_eq!(scene.lacks("/boot", Need::See), Some("it is not shown".to_owned()));
    assert_eq!(scene.lacks("/usr/bin/env", Need::See), None);
    assert_eq!(scene.lacks("/usr/new", Need::Change), Some("`/usr` is shown read-only".to_owned()));
    assert_eq!(scene.lacks("/job/out", Need::Change), None);
    assert_eq!(scene.lacks("/etc/passwd", Need::See), None);
}

#[test]
fn proc_and_dev_are_what_the_policy_says() {
    let scene = Scene::new("proc");

    assert_eq!(scene.at("/proc/self/maps"), Shown::Given);
    assert_eq!(scene.lacks("/proc/cpuinfo", Need::See), Some("it is not shown".to_owned()));
    assert_eq!(scene.lacks("/dev/null", Need::Change), None);
    assert_eq!(scene.lacks("/dev/tty", Need::See), Some("it is not shown".to_owned()));
    assert_eq!(scene.lacks("/dev/shm/x", Need::Change), Some("it is not shown".to_owned()));
}

#[test]
fn links_in_a_circle_end() {
    let scene = Scene::new("circle");
    symlink("circle", scene.directory.join("data/circle")).expect("it can be made");

    assert_eq!(scene.at("/data/circle"), Shown::Nothing { at: PathBuf::from("/data/circle") });
}

#[test]
fn what_lies_behind_a_link_has_to_be_given() {
    let scene = Scene::new("behind");
    let lack = refuses(&scene.policy, Path::new("/data/link"), true, Need::See).expect("it is not shown");

    assert_eq!(lack.path, Path::new("/hidden"));
    assert_eq!(lack.why, "it leads to `/hidden`, which is not shown");
    assert_eq!(through(&scene.policy, Path::new("/data/link"), true), [PathBuf::from("/data")]);
}

#[test]
fn a_suggestion_names_the_key_that_gives_it() {
    for (path, need, line) in [
        ("/srv/fonts/a.ttf", Need::See, Some("[files] read = [\"/srv/fonts/a.ttf\"]")),
        ("/srv/state/db", Need::Change, Some("[files] cow = [\"/srv/state\"]")),
        ("/proc/cpuinfo", Need::See, Some("[files] proc = \"full\"")),
        ("/dev/shm/x", Need::Change, Some("[files] shm = true")),
        ("/dev/kvm", Need::Change, Some("[files] devices = [\"/dev/kvm\"]")),
        ("/run/docker.sock", Need::Change, None),
    ] {
        assert_eq!(suggestion(Path::new(path), need).as_deref(), line, "{path}");
    }
}
