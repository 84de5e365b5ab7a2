use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

use crate::job::FileName;
use crate::layer::{Layer, Tier};
use crate::limits::Limits;
use crate::phase::FilePhases;
use crate::quantity::FileSizeLimit;
use crate::rollout::Rollout;
use crate::source::Sourced;

/// What a job may do: validated, with everything it extends merged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Policy {
    /// The profile's name, or the file's path as given.
    pub name: String,
    /// One line or more for people.
    pub description: String,
    /// The policies that it extends, base first, itself not among them.
    pub chain: Vec<String>,
    /// The kind of boundary.
    pub tier: Sourced<Tier>,
    /// The layers that may be missing. [`Policy::degrades`] also knows the layers that these carry.
    pub degrade: Vec<Sourced<Layer>>,
    /// The layers that must hold whatever the tier. None of them is among `degrade`.
    pub require: Vec<Sourced<Layer>>,
    /// Files, devices and file systems.
    pub files: Files,
    /// What of the files is left when the job's work begins. `None`: all, to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phases: Option<FilePhases>,
    /// The network, as far as the jail has one.
    pub network: Network,
    /// Files that are fetched for the job before it starts, each name once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fetch: Vec<Sourced<Fetch>>,
    /// Environment variables, each name once. The job has no others.
    pub environment: Vec<Sourced<EnvVar>>,
    /// System calls.
    pub system_calls: SystemCalls,
    /// Bounds of what it may use.
    pub limits: Limits,
    /// How it is introduced. `None`: it holds for every job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
}

impl Policy {
    /// The entry of the policy that requires `layer`, when there is one: the layer's own, or that of a layer that cannot
    /// hold without it.
    pub fn requires(&self, layer: Layer) -> Option<&Sourced<Layer>> {
        let own = self.require.iter().find(|entry| entry.value == layer);
        own.or_else(|| self.require.iter().find(|entry| layer.carries().contains(&entry.value)))
    }

    /// A layer that is required and given up, as the two entries that say so.
    pub fn contradiction(&self) -> Option<(&Sourced<Layer>, &Sourced<Layer>)> {
        self.require.iter().find_map(|required| Some((required, self.degrades(required.value)?)))
    }

    /// The entry of the policy that lets `layer` be missing, when there is one: the layer's own, or that of a
    /// layer that it cannot hold without.
    pub fn degrades(&self, layer: Layer) -> Option<&Sourced<Layer>> {
        let own = self.degrade.iter().find(|entry| entry.value == layer);
        own.or_else(|| self.degrade.iter().find(|entry| entry.carries().contains(&layer)))
    }
}

/// The job's file tree. `/job` and `/tmp` are always there, private and sized by the `disk` limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Files {
    /// What lies at `/`.
    pub root: Sourced<Root>,
    /// Read-only binds of the host, each guest path once.
    pub read: Vec<Sourced<Bind>>,
    /// Copy-on-write views of host directories, each guest path once.
    pub cow: Vec<Sourced<Cow>>,
    /// Device nodes beside null, zero, full, random and urandom, each once.
    pub devices: Vec<Sourced<Device>>,
    /// What `/proc` shows.
    pub proc: Sourced<ProcView>,
    /// Whether there are pseudo-terminals of the job's own.
    pub pts: Sourced<bool>,
    /// Whether there is a `/dev/shm`, counted to the `disk` limit.
    pub shm: Sourced<bool>,
    /// Whether the host's fonts are readable. Their binds are among `read`.
    pub fonts: Sourced<bool>,
    /// The locale. Its variable is in the environment and its files among `read`.
    pub locale: Sourced<String>,
    /// Who makes the calls that name files. `None`: the policy does not say, and the job makes them itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Sourced<FilesMode>>,
    /// What the job is told of files that it may not use, where its calls are made for it. `None`: that there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outside: Option<Sourced<Outside>>,
}

impl Files {
    /// Whether the supervisor makes the calls that name files.
    pub fn are_brokered(&self) -> bool {
        self.mode.as_ref().is_some_and(|mode| mode.value == FilesMode::Brokered)
    }
}

/// Who makes a job's calls that name files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilesMode {
    /// The job: mounts and Landlock hold what it names.
    Direct,
    /// The supervisor, which looks at each path and opens it beneath what the policy names; mounts and Landlock hold the
    /// job's process as well.
    Brokered,
}

impl FilesMode {
    /// Every mode.
    pub const ALL: &[Self] = &[Self::Direct, Self::Brokered];

    /// The name in policies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Brokered => "brokered",
        }
    }
}

/// What a job is told of files outside of what it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outside {
    /// That there are none: `ENOENT`.
    Absent,
    /// That it may not use them, whether they are there or not: `EACCES`.
    Refused,
}

impl Outside {
    /// Every answer.
    pub const ALL: &[Self] = &[Self::Absent, Self::Refused];

    /// The name in policies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Refused => "refused",
        }
    }
}

/// What lies at the jail's `/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Root {
    /// An empty, read-only tree that holds the binds and nothing else.
    Host,
    /// A directory of the host, read-only, beneath the binds.
    Directory(PathBuf),
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Directory(path) => path.display().fmt(f),
        }
    }
}

/// A host path that is readable in the jail. A symbolic link on the host's side is made again as that link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Bind {
    /// Absolute path on the host.
    pub host: PathBuf,
    /// Absolute path in the jail.
    pub guest: PathBuf,
    /// Whether the jail is built without it when the host has no such path.
    pub optional: bool,
    /// Why the program needs it. Empty when the policy does not say.
    pub why: String,
}

/// A view of a host directory that the job may change without changing the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cow {
    /// Absolute path of the directory on the host.
    pub host: PathBuf,
    /// Absolute path in the jail.
    pub guest: PathBuf,
    /// Why the program needs it. Empty when the policy does not say.
    pub why: String,
}

/// A device node of the host that the job may open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Device {
    /// Absolute path beneath `/dev`, the same in the jail.
    pub path: PathBuf,
    /// Why the program needs it. Empty when the policy does not say.
    pub why: String,
}

/// What `/proc` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcView {
    /// There is no `/proc`.
    None,
    /// The job's processes only (`subset=pid`, `hidepid`).
    Minimal,
    /// Everything, with other users' processes hidden and sensitive paths masked.
    Full,
}

impl ProcView {
    /// Every view.
    pub const ALL: &[Self] = &[Self::None, Self::Minimal, Self::Full];

    /// The name in policies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for ProcView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The network. The jail's own is empty: what its rules permit is connected to outside, and handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Network {
    /// Whether the job's own loopback interface is up.
    pub loopback: Sourced<bool>,
    /// What the job is told the machine is called.
    pub host_name: Sourced<String>,
    /// The hosts and ports that it may connect to. The system calls that programs need for that are among the rules.
    pub allow: Vec<Sourced<HostRule>>,
    /// When it ends, if that is before the job does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Sourced<Until>>,
    /// Who is asked for the addresses of names. `None`: those of the host's resolv.conf(5), behind its hosts(5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_servers: Option<Sourced<Vec<SocketAddr>>>,
    /// Files of certificates of authorities that are believed beside the host's, where Lazaret itself speaks TLS.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trust: Vec<Sourced<PathBuf>>,
}

/// A file that Lazaret itself fetches, so that the job needs no network for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fetch {
    /// From where, by `http` or `https`.
    pub url: String,
    /// Its name in `/job`.
    #[serde(serialize_with = "as_text")]
    pub to: FileName,
    /// The most that it may have.
    #[serde(serialize_with = "as_text")]
    pub max_bytes: FileSizeLimit,
    /// Of which types it may be, as the server says: `image/png`, `image/*`. Empty: of every one.
    pub types: Vec<String>,
    /// Hosts and ports, beside the URL's own, to which redirects may lead; and ranges of addresses that are not public.
    pub allow: Vec<String>,
}

fn as_text<T: fmt::Display, S: serde::Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl Network {
    /// Whether anything outside can be connected to.
    pub fn has_rules(&self) -> bool {
        !self.allow.is_empty()
    }

    /// Whether requests are looked at on the way to some of that.
    pub fn has_request_rules(&self) -> bool {
        self.allow.iter().any(|host| host.is_of_requests())
    }

    /// Whether the loopback interface is up: names are asked for there too.
    pub fn has_loopback(&self) -> bool {
        self.loopback.value || self.has_rules()
    }
}

/// When a job's network ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// When the job says that its input is complete.
    InputComplete,
}

impl Until {
    /// Every value.
    pub const ALL: &[Self] = &[Self::InputComplete];

    /// The name in policies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InputComplete => "input-complete",
        }
    }
}

/// One host, or several, and ports; or requests to such.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostRule {
    /// The rule's text: `host:port`, `*.host:port`, `range/length:port-port`, `METHOD https://host/path`.
    pub rule: String,
    /// Why the program needs it. Empty when the policy does not say.
    pub why: String,
}

/// One environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: EnvValue,
}

/// Where a variable's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnvValue {
    /// The policy.
    Set(String),
    /// The caller's own environment, when the variable is set there.
    FromCaller,
}

/// Which system calls the job may make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SystemCalls {
    /// What becomes of a call that no rule names.
    pub default: Sourced<CallAction>,
    /// The rules, in order: the last that matches a call decides.
    pub rules: Vec<Sourced<CallRule>>,
    /// What is refused from the moment on at which the program's `main` begins, whatever the rules permit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refuse_after_start: Vec<Sourced<CallRule>>,
    /// What the supervisor does for the job, of what the rules permit.
    #[serde(skip_serializing_if = "Brokered::is_nothing")]
    pub brokered: Brokered,
}

/// Calls that the supervisor makes for a job: those that name a place, which a filter cannot see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Brokered {
    /// Those that name a socket address, where the policy has rules on hosts.
    pub network: bool,
    /// The call by which the job says that its input is complete, where something ends then.
    pub input_complete: bool,
    /// Those that name files, where the policy has them brokered.
    pub files: bool,
}

impl Brokered {
    /// Whether the job makes all of its calls itself.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// One rule of the system-call language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CallRule {
    /// The rule's text: `@group`, `call`, or `call(condition)`.
    pub rule: String,
    /// What becomes of the calls it names.
    pub action: CallAction,
    /// Why the program needs it. Empty when the policy does not say.
    pub why: String,
}

impl HostRule {
    /// Whether it is about requests of HTTP and not about connections: `GET https://api.example.com/v1/*`.
    pub fn is_of_requests(&self) -> bool {
        self.rule.contains("://")
    }
}

impl CallRule {
    /// The calls that a program with a network makes: a rule on hosts brings them along.
    pub(crate) fn of_network() -> [Self; 2] {
        let rule =
            |rule: &str, why: &str| Self { rule: rule.to_owned(), action: CallAction::Allow, why: why.to_owned() };
        [
            rule("@network", "to reach the hosts under [net]"),
            rule("socketpair(domain == AF_UNIX)", "programs that wait for many connections wake themselves by one"),
        ]
    }
}

/// What becomes of a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallAction {
    /// It is made.
    Allow,
    /// It is made and recorded in the report.
    Log,
    /// The thread gets SIGSYS.
    Trap,
    /// The job is killed; the verdict is a violation.
    Kill,
    /// It fails with EPERM and is recorded in the report.
    Refuse,
    /// It fails with EPERM, unrecorded.
    Silent,
}

impl CallAction {
    /// Every action, in the order in which one policy's lists apply.
    pub const ALL: &[Self] = &[Self::Allow, Self::Log, Self::Trap, Self::Kill, Self::Refuse, Self::Silent];

    /// The name in policies: a list's key, and a value of `default`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Log => "log",
            Self::Trap => "trap",
            Self::Kill => "kill",
            Self::Refuse => "refuse",
            Self::Silent => "silent",
        }
    }
}

impl fmt::Display for CallAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
