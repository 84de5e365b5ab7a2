//! What the end-to-end tests share: finding the program, running it as root and as an ordinary user, reading reports.
//!
//! ```no_run
//! use lazaret_e2e::{Runner, as_root_and_user};
//!
//! fn a_job_exits_with_its_own_code(runner: &Runner) {
//!     let ran = runner.run(&["--profile", "shell", "--", "sh", "-c", "exit 7"]);
//!
//!     assert_eq!((ran.report.kind(), ran.status), ("exit", Some(7)), "{ran}");
//! }
//!
//! // The tests `as_root::a_job_…` and `as_user::a_job_…`.
//! as_root_and_user![a_job_exits_with_its_own_code];
//! ```
//!
//! Every run is bounded in time, in a directory of its own that goes with its [`Runner`].

mod internet;
mod names;
mod process;
mod report;
mod runner;
mod server;

pub use internet::Internet;
pub use names::{NameServer, Says};
pub use process::{Ran, finish};
pub use report::Report;
pub use runner::{PATIENCE, Runner};
pub use server::Server;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The account under which tests run as an ordinary user, made by `make test`.
pub const ACCOUNT: &str = "lazaret-test";

/// For each function named, which takes a `&Runner`, a test as root in the module `as_root` and one as an ordinary user
/// in the module `as_user`.
#[macro_export]
macro_rules! as_root_and_user {
    ($($name:ident),+ $(,)?) => {
        mod as_root {
            $(#[test]
            fn $name() {
                if let Some(runner) = $crate::Runner::root() {
                    super::$name(&runner);
                }
            })+
        }
        mod as_user {
            $(#[test]
            fn $name() {
                if let Some(runner) = $crate::Runner::user() {
                    super::$name(&runner);
                }
            })+
        }
    };
}

/// As [`as_root_and_user!`], for functions that take a `&Runner` and an [`&Internet`](Internet) in which they
/// run. As the ordinary user only where root runs the tests, as only root can make it.
#[macro_export]
macro_rules! as_root_and_user_in_an_internet {
    ($($name:ident),+ $(,)?) => {
        mod as_root {
            $(#[test]
            fn $name() {
                if let Some(runner) = $crate::Runner::root() {
                    $crate::Internet::with(runner, super::$name);
                }
            })+
        }
        mod as_user {
            $(#[test]
            fn $name() {
                if let Some(runner) = $crate::Runner::user() {
                    $crate::Internet::with(runner, super::$name);
                }
            })+
        }
    };
}

/// The program under test: `LAZARET_BIN`, which `make test` sets, or the one in the directory of this test's build,
/// built now if it is not there.
///
/// # Panics
///
/// When it is not there and cannot be built.
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("LAZARET_BIN") {
        return PathBuf::from(path);
    }
    // target/debug/deps/profiles-0123456789abcdef
    let test = std::env::current_exe().expect("the test's own path is known");
    let directory = test.ancestors().nth(2).expect("tests are built two directories deep");
    let program = directory.join("lazaret");
    if !program.exists() {
        let target = directory.parent().expect("a profile's directory lies in the target directory");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--locked", "-p", "lazaret-cli", "--target-dir"]).arg(target);
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo can be started");
        assert!(built.success(), "cannot build lazaret: {built}");
    }
    program
}

/// The directory of a file in `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name)
}

/// Says visibly that a test cannot run here; under `LAZARET_TEST_STRICT=1` that is a failure.
///
/// # Panics
///
/// Under `LAZARET_TEST_STRICT=1`.
pub fn skip(why: &str) {
    let strict = std::env::var_os("LAZARET_TEST_STRICT").is_some_and(|value| value == "1");
    assert!(!strict, "skipping is an error under LAZARET_TEST_STRICT=1: {why}");
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    // Not eprintln, which the test harness would keep to itself.
    let written = writeln!(std::io::stderr(), "SKIP {test}: {why}");
    drop(written);
}

/// Whether `path`, from the Debian package `package`, is on this host; [`skip`]s if not.
pub fn installed(path: &str, package: &str) -> bool {
    let found = Path::new(path).exists();
    if !found {
        skip(&format!("{path} is missing: install {package}"));
    }
    found
}
