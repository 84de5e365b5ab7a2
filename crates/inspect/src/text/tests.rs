use super::*;
use lazaret_filter::{argument, table};

fn decoded(name: &str, args: [u64; 6]) -> String {
    let arch = Arch::native().expect("tests run where there is a table");
    let nr = table::number(arch, name).expect("a call of this architecture");
    let texts = arguments(&Thread::own(), &Call { audit_arch: arch.audit(), nr, args }).expect("this process");
    let texts: Vec<String> = texts.iter().map(|text| format!("{}={}", text.name, text.value)).collect();
    format!("{name}({})", texts.join(", "))
}

const CWD: u64 = libc::AT_FDCWD as u32 as u64;

#[test]
fn rows_are_sorted_name_calls_and_have_kinds_that_exist() {
    assert!(rows::ROWS.is_sorted_by(|a, b| a.0 < b.0));
    let known: Vec<_> = table::names().collect();
    for (call, arguments) in rows::ROWS {
        assert!(known.contains(call), "{call}");
        assert!(arguments.split_ascii_whitespace().count() <= 6, "{call}");
        for (name, kind) in described(call).expect("it is a row") {
            assert!(Kind::parse(kind).is_some(), "{call} {name}:{kind}");
        }
    }
}

#[test]
fn every_prefix_has_constants() {
    let (mut prefixes, arch) = (Vec::new(), Arch::native().expect("tests run where there is a table"));
    for (call, _) in rows::ROWS {
        for (_, kind) in described(call).expect("it is a row") {
            if let Some(Kind::One(text) | Kind::Flags(text)) = Kind::parse(kind) {
                prefixes.extend(text.split('|').filter(|prefix| !prefix.starts_with('-')).map(|prefix| (call, prefix)));
            }
        }
    }
    for (call, prefix) in prefixes {
        let is_known =
            !constant::flags(arch, &[prefix], u64::MAX).0.is_empty() || constant::name(arch, &[prefix], 0).is_some();
        assert!(is_known, "{call}: {prefix}");
    }
}

#[test]
fn names_are_those_of_the_rule_language() {
    for (call, _) in rows::ROWS {
        let documented: Vec<_> = argument::of(call).map(|(name, _)| name).collect();
        let here: Vec<_> = described(call).expect("it is a row").map(|(name, _)| name).collect();
        assert!(documented.is_empty() || here.starts_with(&documented), "{call}: {documented:?} {here:?}");
    }
}

#[test]
fn calls_that_rules_can_speak_of_have_a_row() {
    let missing: Vec<_> = table::names().filter(|name| argument::of(name).next().is_some()).collect();
    let missing: Vec<_> = missing.into_iter().filter(|name| described(name).is_none()).collect();
    assert_eq!(missing, ["sysfs"; 1]);
}

#[test]
fn calls_read_as_in_a_manual() {
    let path = c"/etc/sha\"dow\n";
    let address = [2_u8, 0, 1, 187, 192, 0, 2, 1];
    let (first, second) = (c"sh", c"-c");
    let argv = [first.as_ptr() as u64, second.as_ptr() as u64, 0];
    let how = [0o100_u64 | 1, 0o640, 8];
    let limit = [4_u64, u64::MAX];
    let at = |pointer: *const std::ffi::c_char| pointer as u64;
    for (name, args, text) in [
        (
            "openat",
            [CWD, at(path.as_ptr()), 0x8_0000, 0, 0, 0],
            r#"openat(dirfd=AT_FDCWD, path="/etc/sha\"dow\n", flags=O_RDONLY | O_CLOEXEC, mode=0)"#,
        ),
        (
            "openat",
            [3, at(path.as_ptr()), 0x241, 0o644, 0, 0],
            r#"openat(dirfd=3, path="/etc/sha\"dow\n", flags=O_TRUNC | O_CREAT | O_WRONLY, mode=0644)"#,
        ),
        ("connect", [5, address.as_ptr() as u64, 8, 0, 0, 0], "connect(fd=5, address=192.0.2.1:443, length=8)"),
        (
            "socket",
            [2, 0x8_0001, 6, 0, 0, 0],
            "socket(domain=AF_INET, type=SOCK_STREAM | SOCK_CLOEXEC, protocol=IPPROTO_TCP)",
        ),
        ("socket", [16, 3, 0, 0, 0, 0], "socket(domain=AF_NETLINK, type=SOCK_RAW, protocol=NETLINK_ROUTE)"),
        ("kill", [u64::from(u32::MAX), 9, 0, 0, 0, 0], "kill(pid=-1, sig=SIGKILL)"),
        ("ioctl", [0, 0xffff_ffff_0000_5401, 16, 0, 0, 0], "ioctl(fd=0, request=TCGETS, arg=0x10)"),
        ("prctl", [1, 9, 0, 0, 0, 0], "prctl(option=PR_SET_PDEATHSIG, second=9, third=0, fourth=0, fifth=0)"),
        (
            "execve",
            [at(first.as_ptr()), argv.as_ptr() as u64, 0, 0, 0, 0],
            r#"execve(path="sh", argv=["sh", "-c"], envp=0)"#,
        ),
        (
            "openat2",
            [CWD, at(first.as_ptr()), how.as_ptr() as u64, 24, 0, 0],
            r#"openat2(dirfd=AT_FDCWD, path="sh", how={flags=O_CREAT | O_WRONLY, mode=0640, resolve=8}, size=24)"#,
        ),
        (
            "prlimit64",
            [0, 7, limit.as_ptr() as u64, 0, 0, 0],
            "prlimit64(pid=0, resource=RLIMIT_NOFILE, new={4, RLIM_INFINITY}, old=0)",
        ),
        (
            "mmap",
            [0, 4096, 7, 0x22, u64::from(u32::MAX), 0],
            "mmap(addr=0, length=4096, prot=PROT_EXEC | PROT_WRITE | PROT_READ, flags=MAP_ANONYMOUS | MAP_PRIVATE, fd=-1, offset=0)",
        ),
        ("mkdirat", [CWD, 0, 0o755, 0, 0, 0], "mkdirat(dirfd=AT_FDCWD, path=NULL, mode=0755)"),
        ("unlinkat", [CWD, 8, 0x200, 0, 0, 0], "unlinkat(dirfd=AT_FDCWD, path=8, flags=AT_REMOVEDIR)"),
        ("unshare", [0x1002_0000, 0, 0, 0, 0, 0], "unshare(flags=CLONE_NEWUSER | CLONE_NEWNS)"),
        ("getpid", [1; 6], "getpid()"),
    ] {
        assert_eq!(decoded(name, args), text);
    }
}

#[test]
fn without_a_look_at_the_thread_numbers_still_have_names() {
    let arch = Arch::native().expect("tests run where there is a table");
    let nr = table::number(arch, "openat").expect("it is everywhere");

    let texts = registers(&Call { audit_arch: arch.audit(), nr, args: [CWD, 0x7fff_1234, 0x8_0000, 0, 0, 0] });

    let texts: Vec<&str> = texts.iter().map(|text| text.value.as_str()).collect();
    assert_eq!(texts, ["AT_FDCWD", "0x7fff1234", "O_RDONLY | O_CLOEXEC", "0"]);
}

#[test]
fn an_endless_text_is_cut_and_letters_stay_readable() {
    let endless = vec![b'a'; 2 * PATH_MAX];
    let decoded = decoded("chdir", [endless.as_ptr() as u64, 0, 0, 0, 0, 0]);

    assert!(decoded.len() < 300 && decoded.ends_with("\u{2026})"), "{decoded}");
    assert_eq!(quoted("/srv/\u{e4}\u{202e}x".as_bytes()), "\"/srv/\u{e4}\\u{202e}x\"");
    assert_eq!(quoted(b"/srv/\xff"), "\"/srv/\\xff\"");
}
