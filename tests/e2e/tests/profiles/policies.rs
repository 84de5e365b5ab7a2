use crate::assert_well_behaved;
use lazaret_e2e::{Runner, as_root_and_user};
use std::fs;
use std::path::Path;

as_root_and_user![
    a_policy_of_the_users_extends_a_profile,
    a_policy_extends_a_file_that_extends_a_profile,
    what_a_policy_removes_is_refused,
    variables_come_from_the_option_and_from_nowhere_else,
    standard_input_is_passed_on_only_when_asked_for,
    a_pipe_of_a_shell_leads_through_the_jail,
    each_profile_is_printed_as_it_is,
    programs_of_the_distribution_come_first,
];

fn a_policy_of_the_users_extends_a_profile(runner: &Runner) {
    runner.put("style.txt", "house style");
    let style = runner.path("style.txt");
    runner.put(
        "thumbs.toml",
        format!(
            "extends = \"shell\"\n\
             [files]\nread = [{{ path = \"{}\", at = \"/opt/style\", why = \"the house style\" }}]\n\
             [net]\nhost-name = \"thumbs\"\n\
             [environment]\nset = {{ GREETING = \"hello\" }}\npass = [\"PASSED\", \"ABSENT\"]\n\
             [limits]\nwall = \"700ms\"\n",
            style.display()
        ),
    );
    let script =
        "cat /opt/style; echo; uname -n; echo $GREETING $PASSED ${ABSENT-absent} ${OTHER-absent} $SHELL; sleep 60";
    let mut command = runner.job(&["--policy", "thumbs.toml", "--", "sh", "-c", script]);
    command.env("PASSED", "passed").env("OTHER", "other");

    let ran = lazaret_e2e::finish(&mut command, b"", lazaret_e2e::PATIENCE);

    assert_eq!(ran.stdout(), "house style\nthumbs\nhello passed absent absent /bin/sh\n", "{ran}");
    let report = runner.report();
    assert_eq!((report.kind(), ran.status), ("timeout", Some(124)), "{ran}");
    assert_eq!(report["verdict"]["limit"]["key"], "wall");
}

fn a_policy_extends_a_file_that_extends_a_profile(runner: &Runner) {
    fs::create_dir(runner.path("sub")).unwrap_or_else(|_| panic!("the work directory can be written"));
    runner.put("base.toml", "extends = \"python\"\n[environment]\nset = { FROM = \"base\", OVER = \"base\" }\n");
    runner.put("sub/top.toml", "extends = \"../base.toml\"\n[environment]\nset = { OVER = \"top\" }\n");
    let script = "import os; print(os.environ['FROM'], os.environ['OVER'], os.environ['PYTHONDONTWRITEBYTECODE'])";

    let ran = runner.run(&["--policy", "sub/top.toml", "--", "python3", "-c", script]);

    assert_well_behaved(&ran);
    assert_eq!(ran.stdout(), "base top 1\n", "{ran}");
}

fn what_a_policy_removes_is_refused(runner: &Runner) {
    runner.put("one.toml", "extends = \"shell\"\n[remove]\nallow = [\"@process\"]\nread = [\"/etc/localtime\"]\n");

    let ran = runner.run(&[
        "--policy",
        "one.toml",
        "--",
        "bash",
        "-c",
        "test -e /etc/localtime || echo gone; /usr/bin/id; echo more",
    ]);

    assert!(ran.stdout().starts_with("gone\n") && !ran.stdout().contains("uid="), "{ran}");
    assert!(ran.report.refused().iter().any(|call| ["clone", "fork", "vfork"].contains(call)), "{ran}");
}

fn variables_come_from_the_option_and_from_nowhere_else(runner: &Runner) {
    let mut command = runner.job(&["--env", "A=1", "--env", "TMPDIR=/job", "--", "env"]);
    command.env("SECRET", "key");

    let ran = lazaret_e2e::finish(&mut command, b"", lazaret_e2e::PATIENCE);

    let said = ran.stdout();
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["A=1", "HOME=/job", "LANG=C.UTF-8", "PATH=/usr/bin:/bin:/usr/local/bin", "TMPDIR=/job"],
        "{ran}"
    );
}

fn standard_input_is_passed_on_only_when_asked_for(runner: &Runner) {
    let asked = runner.run_with(&["--stdin", "--", "cat"], b"from outside");
    let not_asked = runner.run_with(&["--", "cat"], b"from outside");

    assert_eq!(asked.succeeded(), "from outside");
    assert_eq!(not_asked.succeeded(), "");
}

fn a_pipe_of_a_shell_leads_through_the_jail(runner: &Runner) {
    let options = runner.options().join(" ");
    let script = format!(
        "seq 100000 | {program} run {options} --profile pure --stdin -- sort -n | {program} run {options} --profile pure \
         --stdin -- tail -n 1",
        program = runner.program().display()
    );

    let ran = runner.bare("/bin/sh", &["-c", &script]);

    assert_eq!((ran.status, ran.stdout().as_str()), (Some(0), "100000\n"), "{ran}");
}

fn each_profile_is_printed_as_it_is(runner: &Runner) {
    let list = runner.lazaret(&["profiles"]).stdout();
    for name in ["default", "pure", "imagemagick", "ffmpeg", "libreoffice", "poppler", "python", "node", "shell"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../profiles/{name}.toml"));
        let file = fs::read_to_string(path).expect("profiles can be read");

        let ran = runner.lazaret(&["profiles", name]);

        assert_eq!((ran.status, ran.stdout()), (Some(0), file), "{name}");
        assert!(list.contains(name), "{list}");
    }
}

fn programs_of_the_distribution_come_first(runner: &Runner) {
    let ran = runner.run(&["--", "sh", "-c", "command -v env"]);

    assert_eq!(ran.succeeded(), "/usr/bin/env\n");
}
