//! Completions and manual pages, against what `--help` says and the programs that read them.

use lazaret_e2e::{Runner, as_root_and_user, installed};
use std::fs;
use std::path::PathBuf;

as_root_and_user![
    completions_name_every_command_and_option,
    shells_can_parse_their_completions,
    manual_pages_name_every_command_and_option,
    manual_pages_are_set_without_a_warning,
];

/// A command and its options, without the hyphens.
struct Command {
    name: String,
    options: Vec<String>,
}

/// Every command that `lazaret --help` lists, with the long options that its own help does.
fn commands(runner: &Runner) -> Vec<Command> {
    let help = runner.lazaret(&["--help"]).stdout();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A name stands two columns in; what is further in goes on with what is said of it.
    let names = listed.filter_map(|line| line.strip_prefix("  ")).filter(|rest| !rest.starts_with(' '));
    let names = names.filter_map(|rest| rest.split(' ').next()).filter(|name| *name != "help");
    let commands: Vec<Command> =
        names.map(|name| Command { name: name.to_owned(), options: options(runner, name) }).collect();
    let found =
        |name: &str, option: &str| commands.iter().any(|c| c.name == name && c.options.iter().any(|o| o == option));
    assert!(found("run", "report") && found("plan", "steps") && found("doctor", "json"), "{help}");
    commands
}

fn options(runner: &Runner, command: &str) -> Vec<String> {
    let help = runner.lazaret(&[command, "--help"]).stdout();
    // `      --profile <NAME>`, `  -h, --help`.
    let heads = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let long = heads.filter_map(|line| line.split([' ', ',']).find_map(|word| word.strip_prefix("--")));
    long.map(str::to_owned).collect()
}

/// The completions for a shell, as a file.
fn completions(runner: &Runner, shell: &str) -> PathBuf {
    let ran = runner.lazaret(&["completions", shell]);
    assert_eq!(ran.status, Some(0), "{ran}");
    runner.put(&format!("lazaret.{shell}"), ran.stdout)
}

fn completions_name_every_command_and_option(runner: &Runner) {
    for Command { name, options } in commands(runner) {
        for shell in ["bash", "zsh", "fish"] {
            let script = fs::read_to_string(completions(runner, shell)).expect("it was written");
            let word = |option: &str| if shell == "fish" { format!("-l {option}") } else { format!("--{option}") };
            // Those of one command may be on several lines, which all name it.
            let own = script.split('\n').filter(|line| shell != "fish" || line.contains(&name)).collect::<String>();
            let missing: Vec<&String> = options.iter().filter(|option| !own.contains(&word(option))).collect();
            assert!(own.contains(&name) && missing.is_empty(), "{shell}, {name}: {missing:?}");
        }
    }
}

fn shells_can_parse_their_completions(runner: &Runner) {
    for (shell, only_parse) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = completions(runner, shell);
        if installed(&format!("/usr/bin/{shell}"), shell) {
            let parsed = runner.bare(shell, &[only_parse, &script.to_string_lossy()]);
            assert_eq!((parsed.status, parsed.stderr()), (Some(0), String::new()));
        }
    }
}

/// The manual pages, by the name of the command.
fn pages(runner: &Runner) -> Vec<(String, PathBuf)> {
    let directory = runner.path("man");
    let made = runner.bare("mkdir", &["man"]);
    assert_eq!(made.status, Some(0), "{made}");
    let written = runner.lazaret(&["man", "man"]);
    assert_eq!(written.status, Some(0), "{written}");
    let entries = fs::read_dir(directory).expect("a directory can be listed").flatten();
    let named = |path: PathBuf| {
        let name = path.file_stem()?.to_str()?.strip_prefix("lazaret")?.trim_start_matches('-').to_owned();
        Some((name, path))
    };
    entries.filter_map(|entry| named(entry.path())).collect()
}

fn manual_pages_name_every_command_and_option(runner: &Runner) {
    let pages = pages(runner);

    for Command { name, options } in commands(runner) {
        let text = |page: &str| {
            let path = pages.iter().find(|(of, _)| of == page).map(|(_, path)| path);
            let text = fs::read_to_string(path.unwrap_or_else(|| panic!("there is no page for {page}")));
            text.expect("pages can be read").replace("\\-", "-")
        };
        let page = text(&name);
        let missing: Vec<&String> = options.iter().filter(|option| !page.contains(&format!("--{option}"))).collect();
        assert!(missing.is_empty(), "{name}: {missing:?}");
        assert!(text("").contains(&format!("lazaret-{name}(1)")), "lazaret(1) does not name {name}");
    }
}

fn manual_pages_are_set_without_a_warning(runner: &Runner) {
    if !installed("/usr/bin/groff", "groff-base") {
        return;
    }
    for (name, page) in pages(runner) {
        let set = runner.bare("groff", &["-man", "-ww", "-Tutf8", "-Kutf8", &page.to_string_lossy()]);
        assert_eq!((set.status, set.stderr()), (Some(0), String::new()), "lazaret-{name}(1)");
        assert!(set.stdout.len() > 200, "lazaret-{name}(1): {set}");
    }
}
