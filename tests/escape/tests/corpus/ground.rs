//! What all runs share: the programs, the accounts, the policies, and what this machine has.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::launch;
use crate::probe::{ACCOUNT, Need, Under};

/// Where the policies show the corpus in the jail.
pub(crate) const INSIDE: &str = "/opt/lazaret-escape";

/// A user who starts jails.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    /// `None`: the user that the harness has.
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    /// Further options of `lazaret run` for what this user may not have on this machine.
    pub(crate) degraded: Vec<String>,
}

impl Account {
    /// `program`, to be started by this user with an environment that holds nothing.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/nonexistent").current_dir("/");
        if let (Some(uid), Some(gid)) = (self.uid, self.gid) {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Whether jobs of this user are in no cgroup here.
    pub(crate) fn is_without_cgroup(&self) -> bool {
        !self.degraded.is_empty()
    }
}

/// The programs and where everything happens.
#[derive(Debug)]
pub(crate) struct Ground {
    /// Readable for all; gone when the harness ends.
    pub(crate) root: PathBuf,
    pub(crate) attack: PathBuf,
    /// The sandbox. `None`: it was not found, and why.
    pub(crate) lazaret: Result<PathBuf, String>,
    /// Root, when the harness has it.
    pub(crate) root_account: Option<Account>,
    /// The ordinary user, or why there is none.
    pub(crate) user_account: Result<Account, String>,
    /// The root of the hierarchy of cgroup version 2, if it is mounted.
    pub(crate) cgroup2: Option<String>,
}

impl Ground {
    /// Lays everything out in `root`.
    pub(crate) fn new(root: &Path) -> std::io::Result<Self> {
        fs::set_permissions(root, Permissions::from_mode(0o755))?;
        let bin = root.join("bin");
        fs::create_dir(&bin)?;
        let attack = bin.join("attack");
        fs::copy(env!("CARGO_BIN_EXE_attack"), &attack)?;
        fs::set_permissions(&attack, Permissions::from_mode(0o755))?;
        let is_root = fs::metadata("/proc/self")?.uid() == 0;
        if is_root {
            privileged_programs(&bin)?;
        }
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let cgroup2 =
            mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|f| f.get(2) == Some(&"cgroup2"));
        let mut ground = Self {
            root: root.to_path_buf(),
            attack,
            lazaret: find_lazaret(),
            root_account: is_root.then(|| Account {
                name: "root".to_owned(),
                uid: None,
                gid: None,
                degraded: Vec::new(),
            }),
            user_account: user_account(is_root),
            cgroup2: cgroup2.map(|fields| fields[1].to_owned()),
        };
        if let Ok(built) = &ground.lazaret {
            // Where it was built may be hidden from the ordinary user.
            let copy = root.join("lazaret");
            fs::copy(built, &copy)?;
            fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
            ground.lazaret = Ok(copy);
        }
        for under in [Under::Default, Under::Wide] {
            fs::write(ground.policy(under), policy_text(under, &bin))?;
        }
        ground.degrade();
        Ok(ground)
    }

    /// Where the corpus is, outside.
    pub(crate) fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// The file of a policy.
    pub(crate) fn policy(&self, under: Under) -> PathBuf {
        self.root.join(match under {
            Under::Default => "default.toml",
            Under::Wide => "wide.toml",
        })
    }

    /// Lets the ordinary user go without what this machine does not give to ordinary users. It is tried: once with
    /// everything, and once without a cgroup.
    fn degrade(&mut self) {
        let (Ok(lazaret), Ok(account)) = (&self.lazaret, &self.user_account) else { return };
        let works = |options: &[&str]| {
            let policy = self.policy(Under::Default);
            let mut command = account.command(lazaret);
            command.args(["run", "--quiet", "--policy"]).arg(policy).args(options).args(["--", "/bin/true"]);
            launch::run(&mut command, Duration::from_secs(20)).is_ok_and(|ended| ended.code() == Some(0))
        };
        let without = ["--degrade", "cgroup"];
        if !works(&[])
            && works(&without)
            && let Ok(account) = &mut self.user_account
        {
            account.degraded = without.map(str::to_owned).to_vec();
        }
    }

    /// Why `need` is not met here.
    pub(crate) fn lacks(&self, need: Need) -> Option<String> {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        match need {
            Need::Capability(number, name) => {
                let status = read("/proc/self/status");
                let held = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
                let held = held.and_then(|held| u64::from_str_radix(held.trim(), 16).ok()).unwrap_or_default();
                (held >> number & 1 == 0).then(|| format!("root has no {name} on this machine"))
            }
            Need::CoreFiles => read("/proc/sys/kernel/core_pattern")
                .starts_with('|')
                .then(|| "core dumps of this machine go to a program, which would keep it".to_owned()),
            Need::Disk => {
                let device = fs::metadata("/usr").map(|usr| usr.dev()).unwrap_or_default();
                (device >> 8 == 0).then(|| "/usr is on no disk of this machine".to_owned())
            }
            Need::OneFileSystem => {
                let device = |path: &Path| fs::metadata(path).map(|data| data.dev()).ok();
                (device(&self.root) != device(Path::new("/usr")))
                    .then(|| "/var/tmp and /usr are on two file systems".to_owned())
            }
            Need::Cgroup2 => self.cgroup2.is_none().then(|| "cgroup version 2 is not mounted".to_owned()),
        }
    }
}

/// Copies of harmless programs that give rights: a set-uid `id`, and a `cat` with CAP_NET_RAW.
fn privileged_programs(bin: &Path) -> std::io::Result<()> {
    let id = bin.join("set-uid-id");
    fs::copy("/usr/bin/id", &id)?;
    fs::set_permissions(&id, Permissions::from_mode(0o4755))?;
    let cat = bin.join("capable-cat");
    fs::copy("/usr/bin/cat", &cat)?;
    fs::set_permissions(&cat, Permissions::from_mode(0o755))?;
    let set = Command::new(bin.join("attack")).arg("make-capable").arg(&cat).status()?;
    if set.success() { Ok(()) } else { Err(std::io::Error::other("cannot set a file capability")) }
}

/// `LAZARET_BIN`, or what was built beside us. A sandbox that is named and is not there is an error of its own.
fn find_lazaret() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("LAZARET_BIN") {
        let named = PathBuf::from(named);
        return if named.is_file() { Ok(named) } else { Err(format!("LAZARET_BIN: no file {}", named.display())) };
    }
    let attack = Path::new(env!("CARGO_BIN_EXE_attack"));
    let target = attack.ancestors().nth(2).unwrap_or(Path::new("target"));
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let own = attack.parent().map(Path::to_path_buf).into_iter();
    let places =
        own.chain([target.join("debug"), target.join("release"), workspace.join("debug"), workspace.join("release")]);
    let found = places.map(|place| place.join("lazaret")).find(|path| path.is_file());
    found.ok_or_else(|| "there is no `lazaret`: build it with `cargo build`, or name it in LAZARET_BIN".to_owned())
}

fn user_account(is_root: bool) -> Result<Account, String> {
    if !is_root {
        return Ok(Account { name: "the tester".to_owned(), uid: None, gid: None, degraded: Vec::new() });
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let fields =
        users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.first() == Some(&ACCOUNT));
    let ids = fields.and_then(|fields| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)));
    let (uid, gid) = ids.ok_or_else(|| format!("there is no account {ACCOUNT}: run tests/escape/setup.sh"))?;
    Ok(Account { name: ACCOUNT.to_owned(), uid: Some(uid), gid: Some(gid), degraded: Vec::new() })
}

/// Who makes the calls on files, where `LAZARET_ESCAPE_FILES` says so (`direct`, `brokered`) and not the tier.
pub(crate) fn files_mode() -> String {
    std::env::var("LAZARET_ESCAPE_FILES").map_or_else(|_| String::new(), |mode| format!("mode = \"{mode}\"\n"))
}

/// The policy's text; `bin` is what it shows at [`INSIDE`].
pub(crate) fn policy_text(under: Under, bin: &Path) -> String {
    let bin = bin.display();
    let mode = files_mode();
    let show = format!("{mode}read = [{{ path = \"{bin}\", at = \"{INSIDE}\", why = \"the attacks\" }}]\n");
    match under {
        Under::Default => {
            format!(
                "description = \"the default profile, which sees the attacks\"\nextends = \"default\"\n\n[files]\n{show}"
            )
        }
        Under::Wide => format!(
            "description = \"all system calls, so that the other layers are on their own\"\nextends = \"default\"\n\n\
             [files]\n{show}proc = \"full\"\npts = true\nshm = true\n\n[net]\nloopback = true\n\n\
             [system-calls]\ndefault = \"allow\"\nallow = [{WIDE}]\n"
        ),
    }
}

/// The groups of calls, each by name, so that what the default profile refuses by name is allowed again.
pub(crate) const WIDE: &str = r#"
    "@default", "@file-read", "@file-write", "@file-metadata", "@process", "@threads", "@memory", "@time", "@timer",
    "@signal", "@ipc", "@socket", "@network-local", "@network", "@event", "@terminal", "@sync", "@aio", "@credentials",
    "@resources", "@chown", "@sandbox", "@setuid", "@keyring", "@namespace", "@debug", "@mount", "@module", "@raw-io",
    "@reboot", "@clock", "@cpu-emulation", "@privileged", "@obsolete", "clone3", "ioctl", "prctl", "socket", "clone",
    "personality", "prlimit64", "mknodat", "fsconfig",
"#;
