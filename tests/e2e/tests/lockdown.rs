//! Programs that lock themselves down, through the library for C and C++ as `make install-capi` puts it.

#[path = "lockdown/effects.rs"]
mod effects;
#[path = "lockdown/examples.rs"]
mod examples;
#[path = "lockdown/installed.rs"]
mod installed;
#[path = "lockdown/refusals.rs"]
mod refusals;

use lazaret_e2e::{PATIENCE, Ran, Runner, finish};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}

/// Where the library is installed for these tests: built and installed once in a run of them, by whoever comes first.
fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let tests = std::env::current_exe().expect("the test's own path is known");
        // target/debug/deps/lockdown-0123456789abcdef
        let profile = tests.ancestors().nth(2).expect("tests are built two directories deep");
        let target = profile.parent().expect("a profile's directory lies in the target directory");
        let prefix = target.join("tmp/lockdown-prefix");
        fs::create_dir_all(&prefix).expect("a directory can be made");
        let lock = File::create(prefix.join("lock")).expect("a file can be made");
        lock.lock().expect("a file can be locked");
        let run = std::env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| std::process::id().to_string());
        let stamp = prefix.join("stamp");
        if fs::read_to_string(&stamp).is_ok_and(|of| of == run) {
            return prefix;
        }
        let mut make = Command::new("make");
        make.args(["install-capi", "CAPI_PROFILE=debug"]).arg(format!("PREFIX={}", prefix.display()));
        make.arg(format!("CARGO={}", env!("CARGO"))).current_dir(repository()).env("CARGO_TARGET_DIR", target);
        let made = make.output().expect("make can be started");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        fs::write(stamp, run).expect("a file can be written");
        prefix
    })
}

/// `cc` or `c++` with `args` and what pkg-config says.
fn compile(compiler: &str, args: &[&str], source: &Path, to: &Path, is_static: bool) {
    let configured = |option: &str| {
        let mut command = Command::new("pkg-config");
        command.args(is_static.then_some("--static")).args([option, "lazaret"]);
        let answer =
            command.env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig")).output().expect("pkg-config is there");
        assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
        let text = String::from_utf8(answer.stdout).expect("options are text");
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut command = Command::new(compiler);
    command.args(args).args(configured("--cflags")).arg(source).arg("-o").arg(to);
    command.args(is_static.then_some("-Wl,-Bstatic")).args(configured("--libs"));
    command.args(is_static.then_some("-Wl,-Bdynamic"));
    let compiled = command.output().unwrap_or_else(|error| panic!("{compiler}: {error}"));
    assert!(compiled.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&compiled.stderr));
}

/// The shared library, where the runner's user can load it.
fn bring_library(runner: &Runner) {
    let copied = Command::new("cp").arg(prefix().join("lib/liblazaret.so.0")).arg(runner.work()).status();
    assert!(copied.is_ok_and(|status| status.success()), "cannot copy the library");
}

/// Runs one of the programs in tests/fixtures/capi/scene.c, with "work" on its standard input and `env` set.
fn scene(runner: &Runner, name: &str, env: &[(&str, &str)]) -> Ran {
    let program = runner.path("scene");
    if !program.exists() {
        bring_library(runner);
        let source = repository().join("tests/fixtures/capi/scene.c");
        let args = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"];
        compile("gcc", &args, &source, &program, false);
        runner.put("victim", "");
    }
    let mut command = runner.command(program);
    command.arg(name).env("LD_LIBRARY_PATH", runner.work()).envs(env.iter().copied());
    finish(&mut command, b"work", PATIENCE)
}
