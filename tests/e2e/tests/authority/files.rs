//! Files of the user's, where programs look for credentials.

use crate::job::{job, token};
use crate::probe::{Probe, shown};
use lazaret_e2e::{Runner, as_root_and_user};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

as_root_and_user![
    accounts_of_the_host_are_not_told,
    credentials_in_files_of_the_user_are_not_the_jobs,
    files_that_everybody_may_read_are_not_the_jobs,
    of_a_directory_that_is_shown_only_that_is_read,
];

const NAMES: [&str; 9] = [
    ".ssh/id_rsa",
    ".aws/credentials",
    ".netrc",
    ".gnupg/private-keys-v1.d/key",
    ".config/gcloud/application_default_credentials.json",
    ".docker/config.json",
    ".kube/config",
    ".git-credentials",
    ".bash_history",
];

/// A home with files that everybody may read: whether they are the user's own or not, only the sandbox is in the way.
fn home(below: &Path, secret: &str) -> PathBuf {
    let home = below.join("home");
    for name in NAMES {
        let path = home.join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a directory can be made");
        fs::write(&path, secret).expect("a new file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("our own");
    }
    home
}

const LOOK: &str = "
secret, home, caller, *names = sys.argv[1:]
secret = secret.encode()
for name in names:
    reach('~/' + name, lambda: secret in contents(os.path.expanduser('~/' + name)))
    reach(name, lambda: secret in contents(f'{home}/{name}'))
    for way in (f'/proc/{caller}/root', f'/proc/{os.getppid()}/root', '/proc/self/root', '/proc/1/root'):
        reach(name + ' by a root', lambda: secret in contents(f'{way}{home}/{name}'))
    reach(name + ' by a directory', lambda: secret in contents(f'/proc/{caller}/cwd/home/{name}'))
    reach(name + ' from where it begins', lambda: secret in contents('../' * 12 + f'{home}/{name}'))
    reach(name + ' by a link', lambda: os.symlink(f'{home}/{name}', 'link') or secret in contents('link'))
    reach('no link', lambda: os.unlink('link'))
reach('list', lambda: os.listdir(home))
";

fn credentials_in_files_of_the_user_are_not_the_jobs(runner: &Runner) {
    let secret = token();
    let home = home(&runner.work(), &secret).display().to_string();
    let arguments: Vec<&str> = [&secret, home.as_str(), "CALLER"].into_iter().chain(NAMES).collect();
    let environment = [("HOME", home.as_str())];
    let probe = Probe { environment: &environment, ..Probe::new(runner, LOOK, &arguments) };
    let ways = ["", " by a root", " by a directory", " from where it begins", " by a link"];
    let mut all: Vec<String> = NAMES.iter().flat_map(|name| ways.map(|way| format!("{name}{way}"))).collect();
    all.extend(NAMES.iter().map(|name| format!("~/{name}")));
    all.push("list".to_owned());

    probe.reaches_outside_only(&all.iter().map(String::as_str).collect::<Vec<_>>());
}

fn files_that_everybody_may_read_are_not_the_jobs(runner: &Runner) {
    // /dev/shm is where shared memory of POSIX lies.
    let places = ["/tmp", "/var/tmp", "/dev/shm"].map(|place| {
        let file = tempfile::Builder::new().prefix("lazaret-e2e-").tempfile_in(place).expect("a new file");
        fs::write(file.path(), "planted").expect("our own");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).expect("our own");
        file
    });
    let planted: Vec<&str> = places.iter().map(|file| file.path().to_str().expect("a simple name")).collect();
    let host = ["/etc/hostname", "/etc/fstab", "/proc/cmdline"];
    let all: Vec<&str> = planted.iter().copied().chain(host).filter(|path| Path::new(path).exists()).collect();
    let look = "for path in sys.argv[1:]: reach(path, contents, path)";

    Probe::new(runner, look, &all).reaches_outside_only(&all);
}

/// Some jobs have such files: Lazaret's own, with the job's account.
fn accounts_of_the_host_are_not_told(runner: &Runner) {
    let paths = ["/etc/passwd", "/etc/group", "/etc/shadow"];
    let longest = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().max_by_key(|line| line.len()).map(str::to_owned).unwrap_or_default()
    };
    let lines = paths.map(longest);
    let arguments: Vec<&str> = paths.iter().copied().chain(lines.iter().map(String::as_str)).collect();
    let look =
        "for path, line in zip(sys.argv[1:4], sys.argv[4:]): reach(path, lambda: line.encode() in contents(path))";

    Probe::new(runner, look, &arguments).reaches_outside_only(&paths[..2]);
}

/// What a policy's `read` is worth in each tier, and that the probe sees a file where it may.
fn of_a_directory_that_is_shown_only_that_is_read(runner: &Runner) {
    let secret = token();
    let directory = shown();
    let home = home(directory.path(), &secret);
    let shown = home.join(".aws").display().to_string();
    let home = home.display().to_string();
    let look = "for path in sys.argv[2:]: reach(path, lambda: sys.argv[1].encode() in contents(path))";
    let (inside, outside) = (format!("{shown}/credentials"), format!("{home}/.netrc"));
    let around = format!("{shown}/../.netrc");
    let arguments = [secret.as_str(), &inside, &outside, &around];
    let probe = Probe::new(runner, look, &arguments);

    probe.reaches_outside(&[&inside, &outside, &around]);
    for tier in ["jail", "seccomp"] {
        for mode in ["direct", "brokered"] {
            let files = format!("[files]\nmode = {mode:?}\nread = [{shown:?}]\n");
            let policy = format!("extends = \"default\"\ntier = {tier:?}\n{files}");
            let ran = probe.run_as(job(runner).policy(&policy));

            assert_eq!(ran.succeeded(), format!("{inside}\nend\n"), "{tier} {mode}");
        }
    }
}
