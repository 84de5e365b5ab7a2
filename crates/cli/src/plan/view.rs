//! A plan for people and programs: what `lazaret plan` prints, as data.

mod form;

pub(crate) use form::*;

use super::launch;
use super::rollout::RolloutView;
use lazaret::plan::{Entry, FilterPlan, Group, INNER_ID, LandlockPlan, Plan};
use lazaret::probe::{Controller, Hierarchy, Missing};
use lazaret::seccomp;
use lazaret::uid::Uids;
use lazaret::{Control, Holding, Layer, LimitKey, Mode, Policy, Source};
use lazaret_policy::{FilesMode, InputFrom, Job, Network, Outside, Stdin, Work};
use lazaret_sys::landlock::access;
use std::fmt::Display;
use std::path::Path;

/// The source of what no policy can change.
const EVERY_JOB: &str = "every job";

impl<'a> View<'a> {
    /// `plan` is what this host can do; `missing` is what it lacks of what `policy` requires.
    pub(crate) fn new(plan: &'a Plan, policy: &'a Policy, job: &Job, missing: &[Missing], steps: bool) -> Self {
        Self {
            schema: "lazaret.plan/1",
            enforceable: missing.is_empty(),
            policy: policy_view(policy),
            identity: identity(plan),
            namespaces: namespaces(plan),
            files: plan.room.tree.entries.iter().map(|entry| file(entry, policy)).collect(),
            left_out: plan.room.tree.left_out.iter().map(left_out).collect(),
            file_calls: plan.files.as_ref().map_or_else(Vec::new, |_| file_calls(policy)),
            network: network(policy),
            limits: LimitKey::ALL.iter().map(|key| limit(*key, policy)).collect(),
            rlimits: rlimits(&plan.rlimits, policy),
            cgroup: cgroup(plan, policy),
            filter: filter(&plan.filter, policy),
            landlock: landlock(&plan.room.landlock, policy),
            environment: environment(&plan.program, policy),
            program: program(&plan.program),
            inputs: job.inputs.iter().map(input).collect(),
            outputs: job.outputs.iter().map(output).collect(),
            stdin: stdin(job),
            enforcement: plan.controls.iter().map(|control| enforced(control, policy, missing)).collect(),
            steps: steps.then(|| launch::lists(launch::Launch::Jail(plan), job)),
            notes: &plan.notes,
            rollout: None,
        }
    }

    /// With what a rollout makes of the job.
    pub(crate) fn of_rollout(mut self, rollout: Option<RolloutView>) -> Self {
        self.rollout = rollout;
        self
    }

    /// The same of tier seccomp, which makes no namespace, no group and no file tree.
    pub(crate) fn of_filter(
        plan: &'a seccomp::Plan,
        policy: &'a Policy,
        job: &Job,
        missing: &[Missing],
        steps: bool,
    ) -> Self {
        let outside = match plan.mode {
            Mode::Root => [Uids::FIRST, Uids::FIRST + Uids::COUNT - 1],
            Mode::Rootless => [plan.caller_ids.0; 2],
        };
        Self {
            schema: "lazaret.plan/1",
            enforceable: missing.is_empty(),
            policy: policy_view(policy),
            identity: Identity { mode: plan.mode, inside: outside[0], outside },
            namespaces: Vec::new(),
            files: confined_files(plan, policy),
            left_out: plan.left_out.iter().map(left_out).collect(),
            file_calls: plan.files.as_ref().map_or_else(Vec::new, |_| file_calls(policy)),
            network: network_without_namespace(policy).collect(),
            limits: LimitKey::ALL.iter().map(|key| limit(*key, policy)).collect(),
            rlimits: rlimits(&plan.rlimits, policy),
            cgroup: Cgroup::Degraded { source: policy.tier.source.to_string() },
            filter: filter(&plan.filter, policy),
            landlock: landlock(&plan.landlock, policy),
            environment: environment(&plan.program, policy),
            program: program(&plan.program),
            inputs: job.inputs.iter().map(input).collect(),
            outputs: job.outputs.iter().map(output).collect(),
            stdin: stdin(job),
            enforcement: plan.controls.iter().map(|control| enforced(control, policy, missing)).collect(),
            steps: steps.then(|| launch::lists(launch::Launch::Filter(plan), job)),
            notes: &plan.notes,
            rollout: None,
        }
    }
}

/// What Landlock's rules leave of the host's file tree, and the private directory.
fn confined_files(plan: &seccomp::Plan, policy: &Policy) -> Vec<File> {
    let file = |path: &Path, kind, source: &Source, why: &str| {
        let guest = path.display().to_string();
        File { of: guest.clone(), guest, kind, source: source.to_string(), why: why.to_owned() }
    };
    let there = |path: &Path| !plan.left_out.iter().any(|(left_out, _)| left_out == path);
    let shown = policy.files.read.iter().filter(|bind| there(&bind.host));
    let read = shown.map(|bind| file(&bind.host, "read-only", &bind.source, &bind.why));
    let nodes = policy.files.devices.iter();
    let devices = nodes.map(|device| file(&device.path, "device", &device.source, &device.why));
    let disk = &policy.limits.disk.source;
    let scratch = ["job", "tmp"].map(|name| file(&plan.place.join(name), "scratch", disk, ""));
    let proc = plan.own_proc.then(|| file(Path::new("/proc/self"), "proc", &policy.files.proc.source, ""));
    read.chain(devices).chain(proc).chain(scratch).collect()
}

fn program(program: &lazaret::plan::Program) -> Program {
    let texts = |texts: &[std::ffi::CString]| texts.iter().map(|text| text.to_string_lossy().into_owned()).collect();
    Program { candidates: texts(&program.candidates), arguments: texts(&program.arguments) }
}

fn stdin(job: &Job) -> &'static str {
    match &job.stdin {
        Stdin::Empty => "empty",
        Stdin::Bytes(_) => "bytes",
        Stdin::Inherit => "inherit",
    }
}

fn setting(name: impl Display, value: &dyn Display, source: &dyn Display) -> Setting {
    Setting { name: name.to_string(), value: value.to_string(), source: source.to_string() }
}

fn policy_view(policy: &Policy) -> PolicyView<'_> {
    PolicyView {
        name: &policy.name,
        chain: &policy.chain,
        tier: setting("tier", &policy.tier.value, &policy.tier.source),
        degrade: policy.degrade.iter().map(|layer| setting("degrade", &layer.value, &layer.source)).collect(),
        require: policy.require.iter().map(|layer| setting("require", &layer.value, &layer.source)).collect(),
    }
}

fn network(policy: &Policy) -> Vec<Setting> {
    let Network { loopback, host_name, .. } = &policy.network;
    let own = [
        setting("loopback", &loopback.value, &loopback.source),
        setting("host-name", &host_name.value, &host_name.source),
    ];
    own.into_iter().chain(network_without_namespace(policy)).collect()
}

fn network_without_namespace(policy: &Policy) -> impl Iterator<Item = Setting> {
    let Network { allow, name_servers, trust, until, .. } = &policy.network;
    let servers = name_servers.as_ref().map(|servers| {
        let text: Vec<String> = servers.value.iter().map(ToString::to_string).collect();
        setting("name-servers", &text.join(", "), &servers.source)
    });
    let rules = allow.iter().map(|host| setting("allow", &host.rule, &host.source));
    rules
        .chain(servers)
        .chain(until.iter().map(|until| setting("until", &until.value.name(), &until.source)))
        .chain(fetched(policy))
        .chain(trust.iter().map(|path| setting("trust", &path.value.display(), &path.source)))
}

fn fetched(policy: &Policy) -> impl Iterator<Item = Setting> {
    policy.fetch.iter().map(|fetch| {
        let what = format!("{} from {}, {} at most", fetch.to, fetch.url, fetch.max_bytes);
        setting("fetch", &what, &fetch.source)
    })
}

/// How the supervisor makes the calls that name files.
fn file_calls(policy: &Policy) -> Vec<Setting> {
    let files = &policy.files;
    // Where the policy does not say, it is the tier that has it so.
    let by = files.mode.as_ref().map_or(&policy.tier.source, |mode| &mode.source);
    let outside = files.outside.as_ref();
    let answer = outside.map_or(Outside::Absent, |outside| outside.value);
    let mut settings = vec![
        setting("mode", &FilesMode::Brokered.name(), by),
        setting("outside", &answer.name(), outside.map_or(by, |outside| &outside.source)),
    ];
    if let Some(phases) = &policy.phases {
        let Work { begins, read, write } = &phases.work;
        settings.push(setting("work begins", &begins.value.name(), &begins.source));
        settings.extend(read.iter().map(|path| setting("work reads", &path.display(), &path.source)));
        settings.extend(write.iter().map(|path| setting("work writes", &path.display(), &path.source)));
    }
    settings
}

fn identity(plan: &Plan) -> Identity {
    let outside = match plan.shell.mode {
        Mode::Root => [Uids::FIRST, Uids::FIRST + Uids::COUNT - 1],
        Mode::Rootless => [plan.shell.caller_ids.0; 2],
    };
    Identity { mode: plan.shell.mode, inside: INNER_ID, outside }
}

fn namespaces(plan: &Plan) -> Vec<Namespace> {
    [
        ("user", true),
        ("pid", true),
        ("mount", true),
        ("network", true),
        ("ipc", true),
        ("uts", true),
        ("cgroup", plan.namespaces.cgroup),
        ("time", plan.namespaces.time),
    ]
    .map(|(name, made)| Namespace { name, made })
    .into()
}

fn file(entry: &Entry, policy: &Policy) -> File {
    let shown = |path: &Path| path.display().to_string();
    let (guest, kind, of) = match entry {
        Entry::Directory { guest } => (guest.as_path(), "directory", String::new()),
        Entry::Bind { host, guest, .. } => (guest.as_path(), "read-only", shown(host)),
        Entry::Symlink { guest, target } => (guest.as_path(), "link", shown(target)),
        Entry::File { guest, content } => (guest.as_path(), "file", format!("{} bytes", content.len())),
        Entry::Device { host, guest } => (guest.as_path(), "device", shown(host)),
        Entry::Proc { view } => (Path::new("/proc"), "proc", view.to_string()),
        Entry::Mask { guest } => (guest.as_path(), "masked", String::new()),
        Entry::Scratch { guest } => (guest.as_path(), "scratch", format!("{} in all", policy.limits.disk.value)),
        Entry::Pts { guest } => (guest.as_path(), "pts", String::new()),
        Entry::Cow { host, guest } => (guest.as_path(), "copy-on-write", shown(host)),
    };
    let (source, why) = origin(entry, guest, policy);
    File { guest: shown(guest), kind, of, source, why }
}

fn left_out((path, source): &(std::path::PathBuf, Source)) -> LeftOut {
    LeftOut { path: path.display().to_string(), source: source.to_string() }
}

/// Where an entry of the tree comes from, and the policy's reason for it.
fn origin(entry: &Entry, guest: &Path, policy: &Policy) -> (String, String) {
    let files = &policy.files;
    let plain = |source: &Source| (source.to_string(), String::new());
    match entry {
        Entry::Proc { .. } | Entry::Mask { .. } => return plain(&files.proc.source),
        Entry::Pts { .. } => return plain(&files.pts.source),
        Entry::Scratch { .. } if guest == Path::new("/dev/shm") => return plain(&files.shm.source),
        Entry::Scratch { .. } => return plain(&policy.limits.disk.source),
        _ => {}
    }
    if let Some(bind) = files.read.iter().find(|bind| bind.guest == guest) {
        return (bind.source.to_string(), bind.why.clone());
    }
    if let Some(cow) = files.cow.iter().find(|cow| cow.guest == guest) {
        return (cow.source.to_string(), cow.why.clone());
    }
    if let Some(device) = files.devices.iter().find(|device| device.path == guest) {
        return (device.source.to_string(), device.why.clone());
    }
    match entry {
        Entry::Directory { .. } => {
            let below = files.read.iter().find(|bind| bind.guest.starts_with(guest));
            let below = below.map(|bind| (bind.source.to_string(), format!("above {}", bind.guest.display())));
            below.unwrap_or_else(|| (EVERY_JOB.to_owned(), String::new()))
        }
        Entry::Bind { .. } => plain(&files.root.source),
        Entry::Symlink { .. } if guest == Path::new("/dev/ptmx") => plain(&files.pts.source),
        Entry::Symlink { .. } if !guest.starts_with("/dev") => plain(&files.root.source),
        _ => (EVERY_JOB.to_owned(), String::new()),
    }
}

fn limit(key: LimitKey, policy: &Policy) -> Limit {
    let source = policy.limits.source(key).map(ToString::to_string);
    Limit { key, value: policy.limits.get_display(key), bounds: key.summary(), source }
}

fn rlimits(rlimits: &[lazaret::plan::Rlimit], policy: &Policy) -> Vec<Rlimit> {
    let source = |name: &str| {
        let key = match name {
            "RLIMIT_FSIZE" => LimitKey::FileSize,
            "RLIMIT_NOFILE" => LimitKey::OpenFiles,
            "RLIMIT_NPROC" => LimitKey::Processes,
            "RLIMIT_CPU" => LimitKey::Cpu,
            "RLIMIT_DATA" => LimitKey::Memory,
            _ => return EVERY_JOB.to_owned(),
        };
        policy.limits.source(key).map_or_else(|| EVERY_JOB.to_owned(), |source| format!("{key}: {source}"))
    };
    let view =
        |rlimit: &lazaret::plan::Rlimit| Rlimit { name: rlimit.name, value: rlimit.value, source: source(rlimit.name) };
    rlimits.iter().map(view).collect()
}

/// Where the policy gives up a layer; the tier's own place when it does not, and the host lacks it.
fn given_up(layer: Layer, policy: &Policy) -> String {
    policy.degrades(layer).map_or_else(|| policy.tier.source.to_string(), |entry| entry.source.to_string())
}

fn cgroup(plan: &Plan, policy: &Policy) -> Cgroup {
    let Group::Limited { groups, limits } = &plan.group else {
        return Cgroup::Degraded { source: given_up(Layer::Cgroup, policy) };
    };
    let from = |key| policy.limits.source(key).map_or_else(String::new, ToString::to_string);
    let mut settings = vec![
        setting("memory", &limits.memory, &from(LimitKey::Memory)),
        setting("tasks", &limits.tasks, &format!("{}, and two of Lazaret's own", from(LimitKey::Processes))),
    ];
    if let Some(quota) = limits.cpu_quota_us {
        settings.push(setting("cpu-quota", &format!("{quota} of 100000 µs"), &from(LimitKey::Cpus)));
    }
    if let Some((rate, devices)) = &limits.io_rate {
        let devices: Vec<String> = devices.iter().map(|(major, minor)| format!("{major}:{minor}")).collect();
        let value = format!("{rate} bytes/s, devices {}", devices.join(" "));
        settings.push(setting("io-rate", &value, &from(LimitKey::IoRate)));
    }
    let directories = groups.directories().into_iter().map(|(path, controllers)| GroupDirectory {
        path: path.display().to_string(),
        controllers: controllers.into_iter().map(controller_name).collect(),
    });
    let version = match groups.hierarchy {
        Hierarchy::V1 => 1,
        Hierarchy::V2 => 2,
    };
    Cgroup::Limited { version, directories: directories.collect(), settings }
}

fn controller_name(controller: Controller) -> &'static str {
    match controller {
        Controller::Memory => "memory",
        Controller::Pids => "pids",
        Controller::Cpu => "cpu",
        Controller::CpuAccounting => "cpu-accounting",
        Controller::Io => "io",
    }
}

fn filter<'a>(filter: &FilterPlan, policy: &'a Policy) -> Filter<'a> {
    let calls = &policy.system_calls;
    let rule = |rule: &'a lazaret_policy::Sourced<lazaret_policy::CallRule>| Rule {
        rule: &rule.value.rule,
        action: rule.value.action,
        source: rule.source.to_string(),
        why: &rule.value.why,
    };
    Filter {
        default: calls.default.value,
        default_source: calls.default.source.to_string(),
        instructions: filter.instructions,
        supervised: filter.supervised,
        rules: calls.rules.iter().map(rule).collect(),
        refuse_after_start: calls.refuse_after_start.iter().map(rule).collect(),
    }
}

const RIGHTS: [(u64, &str); 16] = [
    (access::EXECUTE, "execute"),
    (access::WRITE_FILE, "write-file"),
    (access::READ_FILE, "read-file"),
    (access::READ_DIR, "read-dir"),
    (access::REMOVE_DIR, "remove-dir"),
    (access::REMOVE_FILE, "remove-file"),
    (access::MAKE_CHAR, "make-char"),
    (access::MAKE_DIR, "make-dir"),
    (access::MAKE_REG, "make-reg"),
    (access::MAKE_SOCK, "make-sock"),
    (access::MAKE_FIFO, "make-fifo"),
    (access::MAKE_BLOCK, "make-block"),
    (access::MAKE_SYM, "make-sym"),
    (access::REFER, "refer"),
    (access::TRUNCATE, "truncate"),
    (access::IOCTL_DEV, "ioctl-dev"),
];

fn rights(bits: u64) -> Vec<&'static str> {
    RIGHTS.iter().filter(|(right, _)| bits & right != 0).map(|(_, name)| *name).collect()
}

fn landlock(plan: &LandlockPlan, policy: &Policy) -> Landlock {
    let LandlockPlan::Rules { abi, files, network, scope, rules } = plan else {
        return Landlock::Degraded { source: given_up(Layer::Landlock, policy) };
    };
    let rule = |rule: &lazaret::plan::LandlockRule| LandlockRule {
        path: rule.path.display().to_string(),
        rights: rights(rule.rights),
    };
    Landlock::Rules {
        abi: *abi,
        handled: rights(*files),
        tcp_refused: *network != 0,
        scoped: *scope != 0,
        rules: rules.iter().map(rule).collect(),
    }
}

fn environment(program: &lazaret::plan::Program, policy: &Policy) -> Vec<Setting> {
    let view = |variable: &std::ffi::CString| {
        let text = variable.to_string_lossy();
        let (name, value) = text.split_once('=').unwrap_or((&text, ""));
        let asked = policy.environment.iter().find(|known| known.name == name);
        let source = asked.map_or_else(|| "the job".to_owned(), |known| known.source.to_string());
        Setting { name: name.to_owned(), value: value.to_owned(), source }
    };
    program.environment.iter().map(view).collect()
}

fn input(input: &lazaret_policy::Input) -> Input {
    let name = input.name.to_string();
    match &input.from {
        InputFrom::Bytes(bytes) => Input { name, from: None, size: Some(bytes.len() as u64), problem: None },
        InputFrom::File(path) => {
            let (size, problem) = match std::fs::metadata(path) {
                Ok(found) if found.is_file() => (Some(found.len()), None),
                Ok(_) => (None, Some("it is no regular file".to_owned())),
                Err(error) => (None, Some(error.to_string())),
            };
            Input { name, from: Some(path.display().to_string()), size, problem }
        }
    }
}

fn output(output: &lazaret_policy::Output) -> Output {
    Output { name: output.name.to_string(), to: output.to.as_ref().map(|path| path.display().to_string()) }
}

fn enforced(control: &Control, policy: &Policy, missing: &[Missing]) -> Enforced {
    let mut control = control.clone();
    let lack = missing.iter().find(|lack| lack.layer == control.layer || lack.layer.carries().contains(&control.layer));
    let refused = lack.is_some() && policy.degrades(control.layer).is_none();
    if refused {
        control.source = policy.tier.source.to_string();
        control.holding = Holding::No;
        // Nothing runs, so nothing holds in its place.
        control.detail.clear();
    }
    Enforced { fix: lack.filter(|_| refused).map(|lack| lack.fix.clone()), refused, control }
}
