use crate::{assert_well_behaved, material};
use lazaret_e2e::{Runner, as_root_and_user};

as_root_and_user![scripts_work_with_the_programs_of_a_base_system, a_script_sees_neither_the_host_nor_its_processes];

const EXPECTED: &str = "two
5
sum 6
1
2020-01-01
background
timeout 124
trapped
job
job
1+2+3
here string
process substitution
fifo
4
1970
HOME LANG PATH PWD SHELL SHLVL TERM TMPDIR _
no terminal
";

fn scripts_work_with_the_programs_of_a_base_system(runner: &Runner) {
    runner.bring(&material("everything.sh"));

    let ran = runner.run(&["--profile", "shell", "--in", "everything.sh", "--", "bash", "everything.sh"]);

    assert_well_behaved(&ran);
    assert_eq!(ran.stdout(), EXPECTED, "{ran}");
}

fn a_script_sees_neither_the_host_nor_its_processes(runner: &Runner) {
    runner.put("secret", "of the host");
    let secret = runner.path("secret");
    let script = format!(
        "cat {}; cat /etc/shadow; touch /usr/x; ls -A / | paste -sd' '; ls -d /proc/[0-9]* | wc -l; ls -A /job /tmp",
        secret.display()
    );

    let ran = runner.run(&["--profile", "shell", "--", "sh", "-c", &script]);

    assert!(!ran.stdout().contains("of the host"), "{ran}");
    let lines: Vec<String> = ran.stdout().lines().map(str::to_owned).collect();
    assert_eq!(lines[2..], ["/job:", "", "/tmp:"], "empty: {ran}");
    for hidden in ["root", "home", "var", "work", "sys", "run", "boot"] {
        assert!(!lines[0].split(' ').any(|name| name == hidden), "/{hidden} is there: {ran}");
    }
    // The shell, `ls` and `wc`; the first of the jail is hidden.
    assert!(matches!(lines[1].parse(), Ok(1..=4_u32)), "{ran}");
}
