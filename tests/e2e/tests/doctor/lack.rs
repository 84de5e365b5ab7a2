//! Hosts that lack something, made around one program: by a filter, or in namespaces that end with it.

use lazaret_e2e::Runner;
use std::process::Command;

/// What the program shall not find.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lack {
    /// landlock_create_ruleset(2) does not exist.
    Landlock,
    /// seccomp(2) does not say that there are user notifications.
    Notifier,
    /// fsopen(2) is not permitted, as in a container.
    MountCalls,
    /// No user namespace can be made. For an ordinary user.
    UserNamespaces,
    /// Root of a user namespace that maps no other id. For an ordinary user.
    Ids,
    /// Part of /proc is covered, as in a container. For root.
    CoveredProc,
    /// Nothing is mounted at /sys/fs/cgroup. For root.
    Cgroups,
}

/// Executes argv[3..] under a filter that answers system call argv[1] with the error argv[2]: a number, or a name and the
/// value of the first argument.
const FILTER: &str = r#"
import ctypes, os, struct, sys
error = int(sys.argv[2])
if sys.argv[1] == "seccomp:2":
    number, first = {"x86_64": 317, "aarch64": 277}[os.uname().machine], 2
else:
    number, first = int(sys.argv[1]), None
libc = ctypes.CDLL(None, use_errno=True)
# ld [nr]; jeq number, 0, 1; ret errno; ret allow: linux/filter.h, linux/seccomp.h
code = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x50000 | error), (0x06, 0, 0, 0x7fff0000)]
if first is not None:
    # ld [args[0]]; jeq first, 0, 1
    code[1:2] = [(0x15, 0, 3, number), (0x20, 0, 0, 16), (0x15, 0, 1, first)]
length = len(code)
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in code))
class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
program = Program(length, ctypes.addressof(code))
zero = ctypes.c_ulong(0)
# PR_SET_NO_NEW_PRIVS; PR_SET_SECCOMP, SECCOMP_MODE_FILTER
assert libc.prctl(38, ctypes.c_ulong(1), zero, zero, zero) == 0
assert libc.prctl(22, ctypes.c_ulong(2), ctypes.byref(program), zero, zero) == 0
os.execv(sys.argv[3], sys.argv[3:])
"#;

impl Lack {
    /// `lazaret` with `args`, as the runner's user, on such a host.
    pub(crate) fn around(self, runner: &Runner, args: &[&str]) -> Command {
        let filter = |number: &str, error: &str| {
            let mut command = runner.command("python3");
            command.args(["-c", FILTER, number, error]);
            command
        };
        let shell = |options: &[&str], script: &str| {
            let mut command = runner.command("unshare");
            command.args(options).args(["sh", "-euc", &format!("{script}\nexec \"$@\""), "sh"]);
            command
        };
        // landlock_create_ruleset and fsopen have these numbers on every architecture.
        let mut command = match self {
            Self::Landlock => filter("444", "38"),
            // SECCOMP_GET_ACTION_AVAIL; EOPNOTSUPP.
            Self::Notifier => filter("seccomp:2", "95"),
            Self::MountCalls => filter("430", "1"),
            // Of the user namespace that was just made, and what is made in it.
            Self::UserNamespaces => {
                shell(&["--user", "--map-current-user", "--keep-caps"], "echo 0 > /proc/sys/user/max_user_namespaces")
            }
            Self::Ids => shell(&["--user", "--map-root-user"], ""),
            Self::CoveredProc => shell(&["--mount", "--propagation", "private"], "mount -t tmpfs none /proc/irq"),
            Self::Cgroups => shell(&["--mount", "--propagation", "private"], "mount -t tmpfs none /sys/fs/cgroup"),
        };
        command.arg(runner.program()).args(args);
        command
    }
}
