//! The last step: a draft in which everything is set becomes a policy.

use std::path::Path;

use super::draft::{Draft, DraftFiles, DraftLimits};
use crate::error::Problem;
use crate::limits::Limits;
use crate::policy::{Bind, Brokered, EnvValue, EnvVar, Files, FilesMode, Network, Policy, Root, SystemCalls};
use crate::source::{Source, Sourced};

impl Draft {
    /// The policy. Whatever is unset by now is an error: nothing has a hidden default.
    pub(super) fn finish(self, name: String, chain: Vec<String>) -> Result<Policy, Problem> {
        let mut unset = Unset(Vec::new());
        let Self {
            description,
            extends: _,
            tier,
            degrade,
            require,
            files,
            loopback,
            host_name,
            hosts,
            name_servers,
            trust,
            until,
            fetch,
            phases,
            environment,
            call_default,
            rules,
            refuse_after_start,
            limits,
            removals: _,
            rollout: _,
        } = self;
        let DraftFiles { root, read, cow, devices, proc, pts, shm, fonts, locale, mode, outside } = files;
        let DraftLimits {
            wall,
            cpu,
            memory,
            processes,
            file_size,
            disk,
            output,
            open_files,
            cpus,
            io_rate,
            net_connections,
            net_sent,
            net_received,
            net_time,
        } = limits;
        let tier = unset.check("tier", tier);
        let root = unset.check("files.root", root);
        let proc = unset.check("files.proc", proc);
        let pts = unset.check("files.pts", pts);
        let shm = unset.check("files.shm", shm);
        let fonts = unset.check("files.fonts", fonts);
        let locale = unset.check("files.locale", locale);
        let loopback = unset.check("net.loopback", loopback);
        let host_name = unset.check("net.host-name", host_name);
        let call_default = unset.check("system-calls.default", call_default);
        let wall = unset.check("limits.wall", wall);
        let cpu = unset.check("limits.cpu", cpu);
        let memory = unset.check("limits.memory", memory);
        let processes = unset.check("limits.processes", processes);
        let file_size = unset.check("limits.file-size", file_size);
        let disk = unset.check("limits.disk", disk);
        let output = unset.check("limits.output", output);
        let open_files = unset.check("limits.open-files", open_files);
        let network = !hosts.is_empty();
        let files = mode.as_ref().is_some_and(|mode| mode.value == FilesMode::Brokered);
        let brokered = Brokered { network, input_complete: network && until.is_some(), files };
        let complete = || -> Option<Policy> {
            let files = Files {
                root: root?,
                read,
                cow,
                devices,
                proc: proc?,
                pts: pts?,
                shm: shm?,
                fonts: fonts?,
                locale: locale?,
                mode,
                outside,
            };
            Some(Policy {
                name: name.clone(),
                description: description.unwrap_or_default(),
                chain,
                tier: tier?,
                degrade,
                require,
                files,
                phases,
                network: Network {
                    loopback: loopback?,
                    host_name: host_name?,
                    allow: hosts,
                    name_servers,
                    trust,
                    until,
                },
                fetch,
                environment,
                system_calls: SystemCalls { default: call_default?, rules, refuse_after_start, brokered },
                limits: Limits {
                    wall: wall?,
                    cpu: cpu?,
                    memory: memory?,
                    processes: processes?,
                    file_size: file_size?,
                    disk: disk?,
                    output: output?,
                    open_files: open_files?,
                    cpus,
                    io_rate,
                    net_connections,
                    net_sent,
                    net_received,
                    net_time,
                },
                rollout: None,
            })
        };
        match complete() {
            Some(policy) if policy.contradiction().is_some() => Err(contradiction(&policy)),
            Some(mut policy) => {
                check_brokered(&policy)?;
                expand_init(&mut policy);
                expand_fonts(&mut policy);
                expand_locale(&mut policy);
                expand_network(&mut policy);
                Ok(policy)
            }
            None => Err(Problem::new(
                format!("`{name}` leaves unset: {}", unset.0.join(", ")),
                "add `extends = \"default\"`, or set them; nothing has a hidden default",
            )),
        }
    }
}

/// What only means something where the supervisor makes the job's calls on files.
fn check_brokered(policy: &Policy) -> Result<(), Problem> {
    let phase = policy.phases.as_ref().map(|phases| ("[phase.work]", &phases.work.begins.source));
    let outside = policy.files.outside.as_ref().map(|outside| ("`files.outside`", &outside.source));
    match phase.or(outside) {
        Some((what, source)) if !policy.files.are_brokered() => Err(Problem::new(
            format!("{what} ({source}) holds only where the supervisor makes the job's calls on files"),
            "set `mode = \"brokered\"` under [files]",
        )),
        _ => Ok(()),
    }
}

/// What is shown for the first phase is shown like everything else.
fn expand_init(policy: &mut Policy) {
    let init = policy.phases.as_ref().map_or(&[][..], |phases| &phases.init);
    let shown = |bind: &Bind| policy.files.read.iter().any(|other| other.guest == bind.guest);
    let more: Vec<_> = init.iter().filter(|bind| !shown(bind)).cloned().collect();
    policy.files.read.extend(more);
}

/// What is required cannot be done without: both places are told.
pub(crate) fn contradiction(policy: &Policy) -> Problem {
    let said = policy.contradiction().map(|(required, degraded)| {
        let layer = required.value;
        let through = if degraded.value == layer { String::new() } else { format!(" with `{}`", degraded.value) };
        format!("`{layer}` is required ({}) and given up{through} ({})", required.source, degraded.source)
    });
    Problem::new(
        said.unwrap_or_default(),
        "take one of the two out: `[remove] require = […]` or `[remove] degrade = […]`",
    )
}

/// The keys that no text has set.
struct Unset(Vec<&'static str>);

impl Unset {
    fn check<T>(&mut self, key: &'static str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.0.push(key);
        }
        value
    }
}

/// Where fonts and their configuration lie on Debian, Ubuntu, Fedora and Alpine.
const FONT_PATHS: [(&str, &str); 6] = [
    ("/usr/share/fonts", "the host's fonts"),
    ("/usr/local/share/fonts", "fonts that the host's administrator added"),
    ("/usr/share/fontconfig", "fontconfig's rules"),
    ("/etc/fonts", "fontconfig's configuration"),
    ("/var/cache/fontconfig", "fontconfig's index, without which every start reads every font"),
    ("/var/lib/ghostscript/fonts", "the Type 1 fonts that the Ghostscript font map names"),
];

fn expand_fonts(policy: &mut Policy) {
    if !policy.files.fonts.value {
        return;
    }
    let source = policy.files.fonts.source.clone();
    for (path, why) in FONT_PATHS {
        add_optional_bind(policy, path, &format!("fonts = true: {why}"), &source);
    }
}

fn expand_locale(policy: &mut Policy) {
    let Sourced { value: locale, source } = policy.files.locale.clone();
    if !matches!(locale.as_str(), "C" | "POSIX") {
        add_optional_bind(policy, "/usr/lib/locale", &format!("locale = \"{locale}\": its data"), &source);
    }
    if !policy.environment.iter().any(|variable| variable.name == "LANG") {
        let variable = EnvVar { name: "LANG".to_owned(), value: EnvValue::Set(locale) };
        policy.environment.push(Sourced::new(variable, source));
    }
}

/// What programs that connect to hosts look at: whom to trust, and the numbers of services.
const NETWORK_PATHS: [(&str, &str); 6] = [
    ("/etc/ssl/certs", "the certificates of authorities, as on Debian, Ubuntu and Alpine"),
    ("/etc/ssl/openssl.cnf", "OpenSSL's configuration"),
    ("/etc/pki/tls", "the certificates of authorities, as on Fedora"),
    ("/etc/pki/ca-trust/extracted", "what those are links to"),
    ("/etc/services", "numbers of services"),
    ("/etc/gai.conf", "which of several addresses is preferred"),
];

fn is_of_trust(path: &str) -> bool {
    ["/etc/ssl/certs", "/etc/pki"].iter().any(|place| path.starts_with(place))
}

/// Shows the job what a network needs of the host's files.
pub(crate) fn expand_network(policy: &mut Policy) {
    let Some(source) = policy.network.allow.first().map(|host| host.source.clone()) else { return };
    // A directory has its own, or none.
    if policy.files.root.value != Root::Host {
        return;
    }
    // With rules on requests the job is shown certificates of Lazaret's making in their place.
    let of_trust = |path: &str| policy.network.has_request_rules() && is_of_trust(path);
    let paths: Vec<_> = NETWORK_PATHS.iter().filter(|(path, _)| !of_trust(path)).collect();
    for (path, why) in paths {
        add_optional_bind(policy, path, &format!("[net] allow: {why}"), &source);
    }
}

/// Adds a bind unless one of the policy's shows that host path at that place already.
fn add_optional_bind(policy: &mut Policy, path: &str, why: &str, source: &Source) {
    let path = Path::new(path);
    let shown = policy.files.read.iter().any(|bind| {
        path.starts_with(&bind.guest)
            && (bind.guest == path || path.strip_prefix(&bind.guest).is_ok_and(|rest| bind.host.join(rest) == path))
    });
    if !shown {
        let bind = Bind { host: path.to_owned(), guest: path.to_owned(), optional: true, why: why.to_owned() };
        policy.files.read.push(Sourced::new(bind, source.clone()));
    }
}
