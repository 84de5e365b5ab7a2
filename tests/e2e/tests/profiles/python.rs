use crate::material;
use lazaret_e2e::{Runner, as_root_and_user, installed};

as_root_and_user![the_standard_library_works_and_the_network_does_not, modules_of_the_distribution_are_not_written_to];

const EXPECTED: &str = "json 40
pool 285
executor 30
spawn 36
manager 2
queue passed
shared 40
subprocess ONE
asyncio child
sqlite 2
tempfile temporary
threading 8
ssl True
hashlib 5446dc961b14b804
ctypes True
pwd job
zone 1:00:00
alarm
network PermissionError
";

fn the_standard_library_works_and_the_network_does_not(runner: &Runner) {
    if !installed("/usr/bin/python3", "python3") {
        return;
    }
    runner.bring(&material("everything.py"));

    let ran = runner.run(&["--profile", "python", "--in", "everything.py", "--", "python3", "everything.py"]);

    assert_eq!(ran.succeeded(), EXPECTED, "{ran}");
    assert_eq!(ran.report.refused(), ["socket"], "that of the network alone: {ran}");
}

fn modules_of_the_distribution_are_not_written_to(runner: &Runner) {
    if !installed("/usr/bin/python3", "python3") {
        return;
    }
    let script = "import json, os\nopen(json.__file__, 'a')";

    let ran = runner.run(&["--profile", "python", "--", "python3", "-c", script]);

    assert_eq!((ran.report.kind(), ran.status), ("exit", Some(1)), "{ran}");
    assert!(ran.stderr().contains("Read-only file system") || ran.stderr().contains("Permission denied"), "{ran}");
}
