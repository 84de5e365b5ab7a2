//! A job that tries to get out, while somebody outside helps it by moving directories, or by handing it descriptors.

use crate::job::{Job, RUN, Ran, compiled, open_path};
use lazaret_broker::files::{Outside, Why};
use lazaret_sys::descriptor;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{self, File};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SECRET: usize = 6666;
const MOVES: usize = 100_000;

struct Scene {
    place: TempDir,
    program: String,
}

impl Scene {
    /// `None` without a compiler.
    fn new() -> Option<Self> {
        let place = tempfile::tempdir_in("/tmp").expect("there is room");
        let secret = format!("{:*<SECRET$}", "SECRET");
        for directory in ["work/d/x/y", "work/q", "outside/e/x/y", "programs"] {
            fs::create_dir_all(place.path().join(directory)).expect("new");
        }
        for (name, content) in [("secret", &*secret), ("outside/secret", &secret), ("work/f", "mine"), ("work/d/f", "")]
        {
            fs::write(place.path().join(name), content).expect("new");
        }
        let program = compiled("attack.c", &place.path().join("programs"))?;
        Some(Self { program: program.to_str().expect("a plain path").to_owned(), place })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn job(&self) -> Job {
        Job::new(&self.path("work")).with(self.path("programs"), RUN)
    }

    /// Nothing was got at, and nothing outside is changed.
    #[track_caller]
    fn held(&self, ran: Ran) -> Ran {
        let ran = ran.went_well();
        assert!(!ran.output.contains("ESCAPED"), "{}", ran.output);
        assert!(ran.output.ends_with("tries\n"), "{ran:#?}");
        assert_eq!(names(self.place.path()), ["outside", "programs", "secret", "work"]);
        assert_eq!(names(&self.path("outside")), ["e", "secret"]);
        for secret in ["secret", "outside/secret"] {
            let known = fs::metadata(self.path(secret)).expect("it is there");
            assert_eq!((known.len(), known.permissions().readonly()), (SECRET as u64, false));
        }
        ran
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it is there");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn the_same_attacks_get_out_where_nobody_decides() {
    for attack in ["spellings", "swap", "memory"] {
        let Some(scene) = Scene::new() else { return };
        let secret = scene.path("secret");
        let job = Job { native: true, ..scene.job() };

        let ran = job.run(&[&scene.program, attack, secret.to_str().expect("a plain path")]).went_well();

        assert!(ran.output.contains("ESCAPED"), "{attack}: {ran:#?}");
    }
}

#[test]
fn directories_that_are_moved_under_a_walking_job_lead_nowhere() {
    let Some(scene) = Scene::new() else { return };
    let [inner, outer] =
        [("work/d/x", "outside/moved"), ("work/d", "outside/e")].map(|(a, b)| (scene.path(a), scene.path(b)));
    let stop = scene.path("work/stop");
    let mover = std::thread::spawn(move || {
        let began = Instant::now();
        let mut moves = 0;
        while moves < MOVES || began.elapsed() < Duration::from_secs(3) {
            fs::rename(&inner.0, &inner.1).expect("out");
            fs::rename(&inner.1, &inner.0).expect("and in");
            renameat_with(CWD, &outer.0, CWD, &outer.1, RenameFlags::EXCHANGE).expect("one for the other");
            renameat_with(CWD, &outer.0, CWD, &outer.1, RenameFlags::EXCHANGE).expect("and back");
            moves += 4;
        }
        fs::write(stop, "").expect("new");
        moves
    });
    let input = Some(OwnedFd::from(File::open(scene.path("work")).expect("it is there")));

    let ran = Job { input, ..scene.job() }.run(&[&scene.program, "walk"]);

    let moves = mover.join().expect("all moves are made");
    let ran = scene.held(ran);
    assert!(moves >= MOVES && ran.made > 1000, "{moves} moves, {} calls", ran.made);
    assert!(ran.refused.iter().any(|refused| refused.why == Why::Outside));
}

#[test]
fn links_and_directories_that_change_places_lead_nowhere() {
    let Some(scene) = Scene::new() else { return };

    let ran = scene.held(scene.job().run(&[&scene.program, "swap"]));

    assert!(ran.refused.iter().any(|refused| refused.why == Why::Outside));
}

#[test]
fn a_path_that_is_changed_while_the_call_waits_counts_as_it_was_copied() {
    let Some(scene) = Scene::new() else { return };

    let ran = scene.held(scene.job().run(&[&scene.program, "memory"]));

    assert!(ran.made > 10_000, "{}", ran.made);
}

#[test]
fn descriptors_from_outside_are_no_way_out() {
    for outside in [Outside::Absent, Outside::Denied] {
        let Some(scene) = Scene::new() else { return };
        let (here, there) = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::SEQPACKET,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )
        .expect("a pair of sockets");
        let directory = File::open(scene.path("outside")).expect("it is there");
        let bare = open_path(&scene.path("outside"));
        let file = File::open(scene.path("secret")).expect("it is there");
        let bare_file = open_path(&scene.path("secret"));
        for sent in [directory.as_fd(), bare.as_fd(), file.as_fd(), bare_file.as_fd()] {
            descriptor::send(here.as_fd(), b"x", &[sent]).expect("there is room");
        }

        let ran = Job { input: Some(there), outside, ..scene.job() }.run(&[&scene.program, "descriptors"]);

        let ran = scene.held(ran);
        assert!(ran.made > 10_000, "{}", ran.made);
    }
}

#[test]
fn no_spelling_of_a_path_leads_out() {
    for outside in [Outside::Absent, Outside::Denied] {
        let Some(scene) = Scene::new() else { return };
        let secret = scene.path("secret");
        let job = Job { outside, ..scene.job() }.with("/proc", crate::job::READ);

        let ran = job.run(&[&scene.program, "spellings", secret.to_str().expect("a plain path")]);

        scene.held(ran);
    }
}

#[test]
fn no_file_makes_the_supervisor_wait() {
    let Some(scene) = Scene::new() else { return };
    let began = Instant::now();
    let devices = ["/dev/tty", "/dev/console"].map(PathBuf::from).into_iter().filter(|path| path.exists());

    let ran = devices.fold(scene.job(), |job, path| job.with(path, crate::job::CHANGE)).run(&[&scene.program, "waits"]);

    let ran = scene.held(ran);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(!ran.output.contains("no lease"), "{ran:#?}");
    assert!(ran.refused.iter().any(|refused| refused.why == Why::Fifo));
}
