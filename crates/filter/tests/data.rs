//! The tables against sources that have nothing to do with them: another crate's numbers, the C headers of both
//! architectures, and the types that the running kernel declares for its arguments.

use lazaret_filter::argument::Width;
use lazaret_filter::{Arch, argument, constant, table};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Says visibly that a test cannot run here; under `LAZARET_TEST_STRICT=1` that is a failure.
fn skip(why: &str) {
    let strict = std::env::var_os("LAZARET_TEST_STRICT").is_some_and(|value| value == "1");
    assert!(!strict, "skipping is an error under LAZARET_TEST_STRICT=1: {why}");
    writeln!(std::io::stderr(), "SKIP: {why}").expect("standard error can be written to");
}

/// What the crate `syscalls` has for an architecture.
fn of_crate(arch: Arch) -> BTreeMap<&'static str, u32> {
    // From 403 to 423 are the calls of 32-bit architectures with 64 bits for the time.
    let all = (0..1024_usize).filter(|number| !(403..=423).contains(number));
    let named: Vec<_> = match arch {
        Arch::X86_64 => all.filter_map(|n| Some((syscalls::x86_64::Sysno::new(n)?.name(), n))).collect(),
        Arch::Aarch64 => all.filter_map(|n| Some((syscalls::aarch64::Sysno::new(n)?.name(), n))).collect(),
    };
    // The name in the headers; the kernel's own table has one for both architectures.
    let kernels = |name| if name == "fstatat" { "newfstatat" } else { name };
    named.into_iter().filter_map(|(name, number)| Some((kernels(name), u32::try_from(number).ok()?))).collect()
}

#[test]
fn every_number_of_both_architectures_is_that_of_another_crate_and_none_is_missing() {
    for arch in Arch::ALL {
        let theirs = of_crate(arch);
        let ours: BTreeMap<_, _> = table::iter(arch).map(|(number, name)| (name, number)).collect();

        let differing: Vec<_> =
            ours.iter().filter(|(name, number)| theirs.get(*name).is_some_and(|other| other != *number)).collect();
        let names = |of: &BTreeMap<&'static str, u32>| of.keys().copied().collect::<BTreeSet<_>>();
        assert_eq!(differing, Vec::<(&&str, &u32)>::new(), "{arch}");
        assert_eq!(
            names(&ours).difference(&names(&theirs)).collect::<Vec<_>>(),
            Vec::<&&str>::new(),
            "only ours on {arch}"
        );
        assert_eq!(
            names(&theirs).difference(&names(&ours)).collect::<Vec<_>>(),
            Vec::<&&str>::new(),
            "only theirs on {arch}"
        );
    }
}

/// Where the kernel's headers for programs of `arch` lie on Debian, and the package that has them.
fn headers(arch: Arch) -> (&'static str, &'static str) {
    match arch {
        Arch::X86_64 => ("/usr/include/x86_64-linux-gnu", "linux-libc-dev"),
        Arch::Aarch64 => ("/usr/aarch64-linux-gnu/include", "linux-libc-dev-arm64-cross"),
    }
}

/// Runs the C compiler with `options` on `source`: what it prints, or else its complaints. `None`, having said so: it, or
/// the headers of `arch`, are not there.
fn compile(arch: Arch, options: &[&str], source: &str) -> Option<Result<String, String>> {
    let (directory, package) = headers(arch);
    if !Path::new(directory).join("asm/unistd.h").exists() {
        skip(&format!("the headers of {arch} are missing: install {package}"));
        return None;
    }
    let mut command = Command::new("cc");
    command.args(options).args(["-isystem", directory, "-isystem", "/usr/include", "-x", "c", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        skip("there is no C compiler: install gcc");
        return None;
    };
    child.stdin.take().expect("it is a pipe").write_all(source.as_bytes()).expect("the compiler reads");
    let output = child.wait_with_output().expect("an own child can be waited for");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Some(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
}

#[test]
fn every_number_in_the_headers_of_both_architectures_is_the_tables() {
    for arch in Arch::ALL {
        let Some(text) = compile(arch, &["-nostdinc", "-E", "-dM"], "#include <asm/unistd.h>\n") else { continue };
        let text = text.expect("the headers can be read");
        let defined: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("#define __NR")?.split_once(' '))
            .filter_map(|(name, value)| Some((name.strip_prefix('_').or(name.strip_prefix("3264_"))?, value.trim())))
            .collect();
        let mut compared = 0;
        for (name, value) in &defined {
            // A call with another number for 32 bits is defined by way of `__NR3264_`.
            let value = value.strip_prefix("__NR3264_").and_then(|other| defined.get(other)).unwrap_or(value);
            let (Ok(number), false) = (value.parse::<u32>(), *name == "syscalls" || *name == "arch_specific_syscall")
            else {
                continue;
            };
            // The headers' names for what the kernel's table calls otherwise.
            let name = match *name {
                "fstatat" | "fstatat64" => "newfstatat",
                "umount" if arch == Arch::Aarch64 => "umount2",
                name => name,
            };
            assert_eq!(table::number(arch, name), Some(number), "{name} on {arch}");
            compared += 1;
        }
        assert!(compared > 290, "{compared} on {arch}");
    }
}

/// The values that the headers `includes` give to those of `names` that they know, macros and enumerators alike.
fn values(arch: Arch, includes: &[&str], names: &[&str], options: &[&str]) -> Option<BTreeMap<String, i64>> {
    // The assembler listing of initialised data is the simplest form in which a compiler tells values of expressions.
    let options = [options, &["-D_GNU_SOURCE", "-S", "-O0", "-fno-zero-initialized-in-bss", "-w", "-o", "-"]].concat();
    let includes: String = includes.iter().map(|header| format!("#include <{header}>\n")).collect();
    // What the headers do not mention need not be tried, each with a search for the nearest spelling.
    let mentioned =
        compile(arch, &[&options[..], &["-E", "-dD"]].concat(), &includes)?.expect("the headers can be read");
    let words: BTreeSet<_> = mentioned.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect();
    let mut names: Vec<_> = names.iter().copied().filter(|name| words.contains(name)).collect();
    loop {
        let mut source = includes.clone();
        source.extend(names.iter().map(|name| format!("long long lazaret_{name} = (long long)({name});\n")));
        match compile(arch, &options, &source)? {
            Ok(listing) => return Some(of_listing(&listing)),
            Err(complaints) => {
                // `<stdin>:LINE:…: error: …` is about the name on that line: these headers do not have it.
                let lines = complaints.lines().filter(|line| line.contains("error:"));
                let unknown: BTreeSet<usize> = lines
                    .filter_map(|line| line.strip_prefix("<stdin>:")?.split(':').next()?.parse().ok())
                    .filter_map(|line: usize| line.checked_sub(includes.lines().count() + 1))
                    .collect();
                assert!(!unknown.is_empty(), "{complaints}");
                let mut at = 0..;
                names.retain(|_| at.next().is_none_or(|at| !unknown.contains(&at)));
            }
        }
    }
}

/// Initialised data of 64 bits: its label, then `.quad VALUE`, or `.zero 8`.
fn of_listing(listing: &str) -> BTreeMap<String, i64> {
    let mut found = BTreeMap::new();
    let mut current = None;
    for line in listing.lines() {
        if let Some(name) = line.strip_prefix("lazaret_").and_then(|rest| rest.strip_suffix(':')) {
            current = Some(name.to_owned());
        } else if let Some((operation, value)) = line.trim().split_once('\t') {
            let value = match operation {
                ".quad" => value.parse().expect("the compiler writes numbers"),
                ".zero" => 0,
                _ => continue,
            };
            found.extend(current.take().map(|name| (name, value)));
        }
    }
    found
}

/// Without the C library's headers.
const BARE: &[&str] = &["-nostdinc", "-Dsize_t=unsigned long"];

/// Headers of the kernel, which both architectures have.
const KERNEL: &[&str] = &[
    "asm/fcntl.h",
    "asm/ioctls.h",
    "asm/mman.h",
    "asm/signal.h",
    "asm/socket.h",
    "linux/close_range.h",
    "linux/eventpoll.h",
    "linux/fcntl.h",
    "linux/fs.h",
    "linux/futex.h",
    "linux/if_alg.h",
    "linux/in.h",
    "linux/ioprio.h",
    "linux/ipc.h",
    "linux/kcmp.h",
    "linux/keyctl.h",
    "linux/kd.h",
    "linux/tiocl.h",
    "linux/membarrier.h",
    "linux/memfd.h",
    "linux/mempolicy.h",
    "linux/mount.h",
    "linux/net.h",
    "linux/netlink.h",
    "linux/perf_event.h",
    "linux/personality.h",
    "linux/prctl.h",
    "linux/ptrace.h",
    "linux/random.h",
    "linux/resource.h",
    "linux/sched.h",
    "linux/seccomp.h",
    "linux/sockios.h",
    "linux/stat.h",
    "linux/time.h",
    "linux/timerfd.h",
    "linux/userfaultfd.h",
    "linux/wait.h",
    "linux/bpf.h",
    "linux/fsverity.h",
    "linux/tty.h",
    "linux/pidfd.h",
    "linux/landlock.h",
    "linux/tcp.h",
    "linux/in6.h",
    "asm/prctl.h",
];

/// What the C library's headers have and the kernel's do not. These are the same on all architectures.
const LIBRARY: &[&str] = &[
    "fcntl.h",
    "sched.h",
    "signal.h",
    "sys/epoll.h",
    "sys/eventfd.h",
    "sys/file.h",
    "sys/inotify.h",
    "sys/mman.h",
    "sys/personality.h",
    "sys/signalfd.h",
    "sys/socket.h",
    "sys/stat.h",
    "sys/resource.h",
    "sys/mount.h",
    "sys/wait.h",
    "sys/timerfd.h",
    "time.h",
    "netinet/in.h",
    "netinet/tcp.h",
    "unistd.h",
];

/// Constants that are younger than the headers of Debian 12, as the manual pages and the kernel's documentation give them:
/// madvise(2), mmap(2), memfd_create(2), prctl(2), arch/x86/shstk.rst.
const NEWER: &[(&str, i64)] = &[
    ("ARCH_SHSTK_DISABLE", 0x5002),
    ("ARCH_SHSTK_ENABLE", 0x5001),
    ("ARCH_SHSTK_LOCK", 0x5003),
    ("ARCH_SHSTK_STATUS", 0x5005),
    ("ARCH_SHSTK_UNLOCK", 0x5004),
    ("MADV_GUARD_INSTALL", 102),
    ("MADV_GUARD_REMOVE", 103),
    ("MAP_DROPPABLE", 8),
    ("MFD_EXEC", 0x10),
    ("MFD_NOEXEC_SEAL", 8),
    ("PR_GET_MDWE", 66),
    ("PR_GET_MEMORY_MERGE", 68),
    ("PR_GET_SHADOW_STACK_STATUS", 74),
    ("PR_LOCK_SHADOW_STACK_STATUS", 76),
    ("PR_SET_MDWE", 65),
    ("PR_SET_MEMORY_MERGE", 67),
    ("PR_SET_SHADOW_STACK_STATUS", 75),
];

/// Whether only x86 has a constant.
fn is_x86s(name: &str) -> bool {
    const REQUESTS: &[&str] = &[
        "PTRACE_ARCH_PRCTL",
        "PTRACE_GETFPREGS",
        "PTRACE_GETFPXREGS",
        "PTRACE_GETREGS",
        "PTRACE_GET_THREAD_AREA",
        "PTRACE_OLDSETOPTIONS",
        "PTRACE_SETFPREGS",
        "PTRACE_SETFPXREGS",
        "PTRACE_SETREGS",
        "PTRACE_SET_THREAD_AREA",
        "PTRACE_SINGLEBLOCK",
    ];
    name.starts_with("ARCH_") || REQUESTS.contains(&name)
}

#[test]
fn every_constant_has_the_value_of_the_headers_on_both_architectures() {
    for arch in Arch::ALL {
        let ours: BTreeMap<_, _> = constant::iter(arch).collect();
        let names: Vec<_> = ours.keys().copied().collect();
        let mut theirs = BTreeMap::new();
        for header in LIBRARY {
            let Some(more) = values(Arch::X86_64, &[header], &names, &[]) else { return };
            theirs.extend(more);
        }
        // The kernel's own prevail: where the architectures differ, the C library's are of this one.
        for header in KERNEL.iter().filter(|header| exists(arch, header)) {
            let Some(more) = values(
                arch,
                &["linux/types.h", "linux/ioctl.h", "asm/termbits.h", "asm/ioctls.h", header],
                &names,
                BARE,
            ) else {
                return;
            };
            theirs.extend(more);
        }
        theirs.extend(NEWER.iter().map(|(name, value)| ((*name).to_owned(), *value)));
        let missing =
            names.iter().filter(|name| !theirs.contains_key(**name) && (arch == Arch::X86_64 || !is_x86s(name)));
        assert_eq!(missing.collect::<Vec<_>>(), Vec::<&&str>::new(), "no header of {arch} has these");
        for (name, value) in &theirs {
            // `1 << 31` is a negative `int` to C.
            let unsigned = i64::from(i32::try_from(*value).unwrap_or(0).cast_unsigned());
            assert!([*value, unsigned].contains(&ours[name.as_str()]), "{name} on {arch}: {value}");
        }
    }
}

fn exists(arch: Arch, header: &str) -> bool {
    [headers(arch).0, "/usr/include"].iter().any(|directory| Path::new(directory).join(header).exists())
}

/// The C types that the running kernel declares for the arguments of each call, by the formats of its trace events. `None`,
/// having said so: they cannot be read here.
fn declared() -> Option<BTreeMap<String, Vec<String>>> {
    // In a mount namespace of its own, which goes with the command.
    let script = "mount -t tracefs tracefs /mnt && cd /mnt/events/syscalls && grep -H field: sys_enter_*/format";
    let ran = Command::new("unshare").args(["--mount", "--propagation", "private", "sh", "-c", script]).output();
    let Some(output) = ran.ok().filter(|output| output.status.success()) else {
        skip("the kernel's trace events cannot be read: not root, or a kernel without CONFIG_FTRACE_SYSCALLS");
        return None;
    };
    let mut calls: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // `sys_enter_openat/format:\tfield:const char * filename;\toffset:24;…`
        let Some((call, field)) = line.strip_prefix("sys_enter_").and_then(|line| line.split_once("/format:\tfield:"))
        else {
            continue;
        };
        let declaration = field.split(';').next().unwrap_or_default();
        let arguments = calls.entry(call.to_owned()).or_default();
        if !declaration.contains(" common_") && !declaration.ends_with("__syscall_nr") {
            arguments.push(declaration.to_owned());
        }
    }
    Some(calls)
}

/// Whether a C type has 64 bits on 64-bit architectures.
fn is_long(declaration: &str) -> bool {
    const LONG: &[&str] = &["long", "size_t", "loff_t", "off_t", "u64", "__u64", "aio_context_t"];
    declaration.contains('*') || declaration.split_whitespace().any(|word| LONG.contains(&word))
}

#[test]
fn every_argument_has_the_width_that_the_running_kernel_declares_or_reads() {
    let Some(declared) = declared().filter(|_| Arch::native() == Some(Arch::X86_64)) else { return };
    let mut wrong = Vec::new();
    let mut compared = 0;
    for call in table::names() {
        // The function has the old name.
        let Some(types) = declared.get(if call == "umount2" { "umount" } else { call }) else { continue };
        for ((name, width), declaration) in argument::of(call).zip(types) {
            compared += 1;
            let agrees = match width {
                Width::Int => !is_long(declaration) || TRUNCATED.contains(&(call, name)),
                Width::Long | Width::Either => is_long(declaration),
            };
            if !agrees {
                wrong.push(format!("{call}.{name}: {width:?}, `{declaration}`"));
            }
        }
        if argument::of(call).count() > types.len() {
            wrong.push(format!("{call} has {} arguments", types.len()));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(compared > 400, "{compared}");
}

/// Arguments that are declared with 64 bits, and whose high half either nothing reads (`clone` takes the low 32 bits, a
/// descriptor is an `unsigned int` to what looks it up, `mmap` tests single low bits) or fails with EINVAL unless it is
/// zero (`mprotect`, `unshare`), so that no call goes by what a filter of the low half does not see.
const TRUNCATED: &[(&str, &str)] = &[
    ("clone", "flags"),
    ("mmap", "fd"),
    ("mmap", "flags"),
    ("mmap", "prot"),
    ("mprotect", "prot"),
    ("pkey_mprotect", "prot"),
    ("preadv2", "fd"),
    ("pwritev2", "fd"),
    ("unshare", "flags"),
];
