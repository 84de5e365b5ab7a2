use crate::assert_well_behaved;
use lazaret_e2e::{Runner, as_root_and_user, installed};

as_root_and_user![
    programs_compute_from_standard_input,
    programs_compute_from_an_input_file,
    a_static_program_computes,
    nothing_is_started_written_or_connected,
];

const TABLE: &str = "Venice 40\nRagusa 30\nMarseille 25\n";
const SHA256: &str = "8d54bc77d03bd73beef2d4e96d359cecb97f0d4b5f6a7dbafd38927598e0265f";

fn programs_compute_from_standard_input(runner: &Runner) {
    for (command, expected) in [
        (&["wc", "-l"][..], "3\n"),
        (&["sort"], "Marseille 25\nRagusa 30\nVenice 40\n"),
        (&["tr", "a-z", "A-Z"], "VENICE 40\nRAGUSA 30\nMARSEILLE 25\n"),
        (&["cut", "-d ", "-f2"], "40\n30\n25\n"),
        (&["grep", "-c", "a"], "2\n"),
        (&["sed", "-n", "s/Venice/Venezia/p"], "Venezia 40\n"),
        (&["head", "-n", "1"], "Venice 40\n"),
        (&["base64", "-w0"], "VmVuaWNlIDQwClJhZ3VzYSAzMApNYXJzZWlsbGUgMjUK"),
        (&["date", "-u", "-d", "@0", "+%Y"], "1970\n"),
    ] {
        let ran = runner.run_with(&[&["--profile", "pure", "--stdin", "--"], command].concat(), TABLE.as_bytes());

        assert_well_behaved(&ran);
        assert_eq!(ran.stdout(), expected, "{ran}");
    }
}

fn programs_compute_from_an_input_file(runner: &Runner) {
    runner.put("table", TABLE);
    let outside = runner.bare("/usr/bin/sha256sum", &["table"]).stdout();

    let ran = runner.run(&["--profile", "pure", "--in", "table", "--", "sha256sum", "table"]);

    assert_well_behaved(&ran);
    assert_eq!(ran.stdout(), outside, "{ran}");
}

fn a_static_program_computes(runner: &Runner) {
    if !installed("/bin/busybox", "busybox-static") {
        return;
    }

    let job = ["--profile", "pure", "--stdin", "--", "busybox", "sha256sum"];
    let ran = runner.run_with(&job, TABLE.as_bytes());

    assert!(ran.succeeded().starts_with(SHA256), "{ran}");
}

fn nothing_is_started_written_or_connected(runner: &Runner) {
    for (command, call) in [
        (&["sh", "-c", "/usr/bin/id; echo more"][..], "fork"),
        (&["timeout", "9", "id"], "fork"),
        (&["touch", "/job/new"], "openat"),
        (&["mkdir", "/tmp/new"], "mkdir"),
        (&["ln", "-s", "a", "b"], "symlink"),
        (&["bash", "-c", "echo >/dev/tcp/127.0.0.1/9"], "socket"),
    ] {
        let ran = runner.run(&[&["--profile", "pure", "--"], command].concat());

        assert_ne!(ran.report.kind(), "ok", "{ran}");
        // By whichever of its forms the C library makes the call.
        assert!(
            ran.report.refused().iter().any(|name| name.contains(call) || (call == "fork" && *name == "clone")),
            "{ran}"
        );
        assert!(!ran.stdout().contains("uid="), "{ran}");
    }
}
