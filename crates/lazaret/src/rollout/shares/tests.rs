use super::*;

struct Scene {
    file: PathBuf,
    rollout: Rollout,
    shares: Shares,
}

impl Scene {
    fn new(name: &str) -> Self {
        let file = std::env::temp_dir().join(format!("lazaret-shares-{}-{name}.toml", std::process::id()));
        let text = format!(
            "extends = \"default\"\n[rollout]\nenforce = \"1%\"\nshadow = \"99%\"\nold = \"none\"\nfile = \"{}\"",
            file.display()
        );
        let policy = crate::policy_text("rolled.toml", &text).expect("the policy is good");
        Self { file, rollout: policy.rollout.expect("there is one"), shares: Shares::default() }
    }

    fn write(&self, text: &str) {
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, text).expect("it can be written");
        std::fs::rename(&beside, &self.file).expect("it can be renamed");
    }

    fn current(&self) -> Result<(String, Vec<String>), Error> {
        self.shares.current(&self.rollout).map(|(share, notes)| (share.value.to_string(), notes))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.file));
    }
}

#[test]
fn a_file_is_read_again_when_it_changed() {
    let scene = Scene::new("changed");
    scene.write("enforce = \"5%\"\nshadow = \"95%\"");
    assert_eq!(scene.current().expect("it is good"), ("5%".to_owned(), vec![]));

    scene.write("enforce = \"20%\"\nshadow = \"80%\"");

    assert_eq!(scene.current().expect("it is good"), ("20%".to_owned(), vec![]));
}

#[test]
fn what_was_good_is_kept_when_the_file_breaks_or_goes() {
    let scene = Scene::new("breaks");
    scene.write("enforce = \"5%\"\nshadow = \"95%\"");
    scene.current().expect("it is good");

    for broken in ["", "enforce = \"5%\"\nshadow = \"90%\"", "garbage \u{1}", "enforce = \"500%\"\nshadow = \"5%\""] {
        scene.write(broken);
        let (share, notes) = scene.current().expect("the last share is kept");
        assert_eq!(share, "5%");
        assert!(notes.len() == 1 && notes[0].contains("that it said before is kept"), "{notes:?}");
    }
    std::fs::remove_file(&scene.file).expect("it can be removed");
    let (share, notes) = scene.current().expect("the last share is kept");
    assert_eq!((share.as_str(), notes.len()), ("5%", 1));
    scene.write("enforce = \"7%\"\nshadow = \"93%\"");
    assert_eq!(scene.current().expect("it is good again"), ("7%".to_owned(), vec![]));
}

#[test]
fn a_file_that_was_never_good_is_an_error() {
    let scene = Scene::new("never");

    let absent = scene.current().expect_err("there is none").to_string();
    scene.write("garbage");
    let garbage = scene.current().expect_err("it is no TOML").to_string();

    assert!(absent.contains("cannot read the shares"), "{absent}");
    assert!(garbage.contains("are wrong"), "{garbage}");
}

#[test]
fn what_is_no_file_or_too_large_is_an_error() {
    let scene = Scene::new("large");
    scene.write(&"#".repeat(70_000));
    assert!(scene.current().expect_err("it is too large").to_string().contains("larger than"));
    std::fs::remove_file(&scene.file).expect("it can be removed");
    std::fs::create_dir(&scene.file).expect("it can be made");

    let error = scene.current().expect_err("it is a directory").to_string();

    std::fs::remove_dir(&scene.file).expect("it can be removed");
    assert!(error.contains("is no regular file"), "{error}");
}
