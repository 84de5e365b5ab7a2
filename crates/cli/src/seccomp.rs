//! `lazaret seccomp`.

use crate::args::{Export, Import, Language, Machine, Seccomp as Args};
use crate::message::{self, Failure};
use lazaret::Mode;
use lazaret::plan::FilterPlan;
use lazaret_filter::Arch;
use lazaret_filter::oci::Environment;
use lazaret_observe::exchange::{self, ExchangeError, Format, Loss};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

pub(crate) fn seccomp(args: &Args) -> Result<u8, Failure> {
    match args {
        Args::Export(args) => export(args),
        Args::Import(args) => import(args),
    }
}

fn export(args: &Export) -> Result<u8, Failure> {
    let policy = match (&args.profile, &args.policy) {
        (_, Some(path)) => lazaret::policy_file(path)?,
        (Some(name), None) => lazaret::profile(name)?,
        (None, None) => return Err(Failure::message("there is no policy", "give --profile or --policy")),
    };
    let written = exchange::export(&policy, format(args.format), arch(args.arch)?).map_err(failure)?;
    accept(&written.losses, args.lossy, !policy.system_calls.refuse_after_start.is_empty())?;
    match &args.out {
        Some(path) => write(path, &written.text)?,
        None => message::print(&written.text)?,
    }
    Ok(0)
}

fn import(args: &Import) -> Result<u8, Failure> {
    let text = fs::read_to_string(&args.file).map_err(|error| {
        Failure::message(format!("cannot read `{}`: {error}", args.file.display()), "name a seccomp profile or a unit")
    })?;
    let guessed = if text.trim_start().starts_with('{') { Format::Oci } else { Format::Systemd };
    let environment = Environment {
        arch: arch(args.arch)?,
        capabilities: capabilities(&args.capabilities)?,
        kernel: kernel(args.kernel.as_deref())?,
    };
    let imported = exchange::import(&exchange::Import {
        text: &text,
        name: &args.file.display().to_string(),
        format: args.format.map_or(guessed, format),
        extends: &args.extends,
        environment: &environment,
    });
    let imported = imported.map_err(failure)?;
    accept(&imported.losses, args.lossy, false)?;
    // What cannot be used is not written. An ordinary user's job has the most rules behind it.
    let policy = lazaret::policy_text(&args.out.display().to_string(), &imported.text)?;
    let own = lazaret::own_rules(policy.tier.value, Mode::Rootless, policy.system_calls.brokered);
    FilterPlan::new(&policy.system_calls, own, true).map_err(lazaret::Error::Plan)?;
    write(&args.out, &imported.text)?;
    Ok(0)
}

/// Lists what was lost; an error unless that is accepted. `wider` says that without it more is permitted.
fn accept(losses: &[Loss], lossy: bool, wider: bool) -> Result<(), Failure> {
    let listed: Vec<_> = losses.iter().map(|loss| format!("  - {loss}")).collect();
    if losses.is_empty() {
        return Ok(());
    }
    let text = format!("not everything can be said there; this would be lost:\n{}", listed.join("\n"));
    if !lossy {
        let hint = if wider {
            "--lossy accepts it: from the start of the program on more is then permitted than the policy does"
        } else {
            "--lossy accepts it: nothing of it permits more than the source does"
        };
        return Err(Failure::message(text, hint));
    }
    message::line(&format!("lazaret: lost:\n{}", listed.join("\n")));
    Ok(())
}

fn failure(error: ExchangeError) -> Failure {
    let hint = error.hint();
    Failure::new(&error, hint)
}

fn format(language: Language) -> Format {
    match language {
        Language::Oci => Format::Oci,
        Language::Systemd => Format::Systemd,
    }
}

/// The architecture that was asked for, or else this one.
pub(crate) fn arch(asked: Option<Machine>) -> Result<Arch, Failure> {
    match asked {
        Some(Machine::X86_64) => Ok(Arch::X86_64),
        Some(Machine::Aarch64) => Ok(Arch::Aarch64),
        None => Arch::native()
            .ok_or_else(|| Failure::message("there is no table of system calls for this architecture", "give --arch")),
    }
}

/// Names of capabilities: capability.h, up to Linux 6.18.
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

fn capabilities(named: &[String]) -> Result<BTreeSet<String>, Failure> {
    let known = |name: &String| {
        let upper = name.to_uppercase();
        let whole = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
        if CAPABILITIES.contains(&whole.as_str()) {
            return Ok(whole);
        }
        Err(Failure::message(
            format!("there is no capability `{name}`"),
            "capabilities(7) lists them, such as CAP_SYS_ADMIN",
        ))
    };
    named.iter().map(known).collect()
}

/// The version that was asked for, or else the running kernel's.
fn kernel(asked: Option<&str>) -> Result<(u32, u32), Failure> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let text = asked.unwrap_or(&release);
    let mut numbers = text.split(['.', '-']);
    let mut next = || numbers.next().and_then(|number| number.parse().ok());
    match (next(), next()) {
        (Some(major), Some(minor)) => Ok((major, minor)),
        _ => Err(Failure::message(format!("`{text}` is no version of a kernel"), "write --kernel 6.1")),
    }
}

/// Writes a file beside its place and moves it there, so that what was there stays until the new one is whole.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| {
        Failure::message(
            format!("cannot write `{}`: {error}", path.display()),
            "name a place that this user may write to",
        )
    };
    let mut beside = OsString::from(path);
    beside.push(format!(".{}", std::process::id()));
    let beside = Path::new(&beside);
    let written = fs::write(beside, text).and_then(|()| fs::rename(beside, path));
    if written.is_err() {
        // It may not have come to be.
        drop(fs::remove_file(beside));
    }
    written.map_err(cannot)
}
