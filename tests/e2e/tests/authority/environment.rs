//! Variables of the caller's environment.

use crate::job::token;
use crate::probe::Probe;
use lazaret_e2e::{Runner, as_root_and_user};

as_root_and_user![variables_of_the_caller_are_not_the_jobs];

/// Where credentials and agents are told to programs.
const NAMES: [&str; 12] = [
    "AWS_SECRET_ACCESS_KEY",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "GITHUB_TOKEN",
    "SSH_AUTH_SOCK",
    "GPG_AGENT_INFO",
    "GNUPGHOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_RUNTIME_DIR",
    "DOCKER_HOST",
    "KUBECONFIG",
    "DISPLAY",
    "PGPASSWORD",
];

const LOOK: &str = "
secret = sys.argv[1].encode()
reach('variables', lambda: any(secret in value for value in os.environb.values()))
for name, pid in (('own', 'self'), ('thread', 'thread-self'), ('first', '1'), ('parent', os.getppid()), ('caller', sys.argv[2])):
    reach(name, lambda: secret in contents(f'/proc/{pid}/environ'))
def listed():
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            if secret in contents(f'/proc/{pid}/environ'): return True
        except OSError: pass
reach('listed', listed)
";

fn variables_of_the_caller_are_not_the_jobs(runner: &Runner) {
    let secret = token();
    let environment: Vec<(&str, &str)> = NAMES.iter().map(|name| (*name, secret.as_str())).collect();
    let arguments = [secret.as_str(), "CALLER"];
    let probe = Probe { environment: &environment, ..Probe::new(runner, LOOK, &arguments) };

    probe.reaches_outside_only(&["variables", "own", "thread", "parent", "caller", "listed"]);
}
