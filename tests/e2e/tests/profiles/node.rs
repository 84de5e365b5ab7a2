use crate::material;
use lazaret_e2e::{Runner, as_root_and_user, installed};

as_root_and_user![nodes_own_modules_work_and_the_network_does_not];

const EXPECTED: &str = "fs written
worker 40
exec child
shell ONE
spawn piped
fork 40
hash 5446dc961b14b804
keys public
zlib packed
os job job /tmp
timer done
unix served
net EPERM
dns none
wasm";

fn nodes_own_modules_work_and_the_network_does_not(runner: &Runner) {
    if !installed("/usr/bin/node", "nodejs") {
        return;
    }
    runner.bring(&material("everything.js"));

    let ran = runner.run(&["--profile", "node", "--in", "everything.js", "--", "node", "everything.js"]);

    // WebAssembly too where no group counts memory: V8 reserves more addresses than any such job has memory.
    assert_eq!(ran.succeeded().trim_end(), EXPECTED, "{ran}");
    assert_eq!(ran.report.refused(), ["socket"], "that of the network alone: {ran}");
}
