//! What a function cannot do to anything outside of it.

use crate::{alone, called, compute, with_calls};
use serde::{Deserialize, Serialize};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;

/// What the function is to try, and on whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Target {
    pid: i32,
    spawner: i32,
    port: u16,
    descriptor: i32,
    path: String,
}

/// Each attempt, and its errno; 0: it succeeded.
type Attempts = Vec<(String, i32)>;

fn errno<T>(outcome: std::io::Result<T>) -> i32 {
    outcome.map_or_else(|error| error.raw_os_error().unwrap_or(-1), |_| 0)
}

fn raw(number: libc::c_long, arguments: [usize; 4]) -> i32 {
    let [a, b, c, d] = arguments;
    // SAFETY: numbers, and addresses that are null or of memory that lives on; what the kernel makes of them is the test.
    #[expect(unsafe_code, reason = "calls that no wrapper would make")]
    let answer = unsafe { libc::syscall(number, a, b, c, d) };
    if answer < 0 { errno(Err::<(), _>(std::io::Error::last_os_error())) } else { 0 }
}

fn attempts(target: Target) -> Attempts {
    let pid = usize::try_from(target.pid).unwrap_or(0);
    let descriptor = usize::try_from(target.descriptor).unwrap_or(0);
    let path = std::ffi::CString::new(target.path.clone()).unwrap_or_default();
    let mut byte = [0_u8; 1];
    let (into, name) = (byte.as_mut_ptr() as usize, path.as_ptr() as usize);
    let kill = libc::SIGKILL.unsigned_abs() as usize;
    let tries = [
        ("open", errno(std::fs::File::open(&target.path))),
        ("create", errno(std::fs::File::create(format!("{}-new", target.path)))),
        ("connect", errno(std::net::TcpStream::connect(("127.0.0.1", target.port)))),
        ("thread", errno(std::thread::Builder::new().spawn(|| ()))),
        ("process", errno(std::process::Command::new("/bin/true").status())),
        ("execve", raw(libc::SYS_execve, [c"/bin/true".as_ptr() as usize, 0, 0, 0])),
        ("kill", raw(libc::SYS_kill, [pid, kill, 0, 0])),
        ("tgkill", raw(libc::SYS_tgkill, [pid, pid, kill, 0])),
        ("tkill", raw(libc::SYS_tkill, [pid, kill, 0, 0])),
        ("kill everybody", raw(libc::SYS_kill, [usize::MAX, kill, 0, 0])),
        ("kill its spawner", raw(libc::SYS_kill, [usize::try_from(target.spawner).unwrap_or(0), kill, 0, 0])),
        ("ptrace", raw(libc::SYS_ptrace, [libc::PTRACE_ATTACH as usize, pid, 0, 0])),
        ("process_vm_readv", raw(libc::SYS_process_vm_readv, [pid, 0, 0, 0])),
        ("pidfd_open", raw(libc::SYS_pidfd_open, [pid, 0, 0, 0])),
        ("read the caller's descriptor", raw(libc::SYS_pread64, [descriptor, into, 1, 0])),
        ("write the caller's descriptor", raw(libc::SYS_pwrite64, [descriptor, into, 1, 0])),
        ("unlink", raw(libc::SYS_unlinkat, [libc::AT_FDCWD as usize, name, 0, 0])),
        ("seccomp", raw(libc::SYS_seccomp, [0, 0, 0, 0])),
        ("prctl", raw(libc::SYS_prctl, [libc::PR_SET_DUMPABLE as usize, 1, 0, 0])),
        ("setrlimit", raw(libc::SYS_setrlimit, [0, into, 0, 0])),
        ("raise the limit on descriptors", raw(libc::SYS_prlimit64, [0, libc::RLIMIT_NOFILE as usize, into, 0])),
        (
            "executable memory",
            raw(
                libc::SYS_mmap,
                [
                    0,
                    4096,
                    (libc::PROT_EXEC | libc::PROT_READ) as usize,
                    (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize,
                ],
            ),
        ),
        ("sendmsg", raw(libc::SYS_sendmsg, [32, into, 0, 0])),
        ("recvfrom", raw(libc::SYS_recvfrom, [32, into, 1, libc::MSG_DONTWAIT as usize])),
        ("shutdown", raw(libc::SYS_shutdown, [32, 2, 0, 0])),
        ("io_uring", raw(libc::SYS_io_uring_setup, [1, into, 0, 0])),
        ("mount", raw(libc::SYS_mount, [name, name, 0, 0])),
        ("unshare", raw(libc::SYS_unshare, [libc::CLONE_NEWUSER as usize, 0, 0, 0])),
        ("keyctl", raw(libc::SYS_keyctl, [0, 0, 0, 0])),
    ];
    tries.into_iter().map(|(name, errno)| (name.to_owned(), errno)).collect()
}

#[test]
fn nothing_outside_of_the_function_can_be_touched() {
    let _alone = alone();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let mut secret = tempfile::NamedTempFile::new().expect("a file can be made");
    secret.write_all(b"secret").expect("there is room");
    let target = Target {
        pid: i32::try_from(std::process::id()).expect("small"),
        spawner: i32::try_from(crate::spawner().id()).expect("small"),
        port: listener.local_addr().expect("it has an address").port(),
        descriptor: secret.as_raw_fd(),
        path: secret.path().to_str().expect("text").to_owned(),
    };

    for called in called(&compute(), attempts, &target) {
        let refused = called.refusals.len();
        let attempts = called.into_value().expect("it returned");

        assert!(attempts.len() > 20 && refused > 10);
        let done: Vec<_> = attempts.iter().filter(|(_, errno)| *errno == 0).collect();
        assert!(done.is_empty(), "{done:?}");
    }
    let mut content = String::new();
    secret.rewind().expect("a file has a beginning");
    secret.read_to_string(&mut content).expect("it can be read");
    assert_eq!(content, "secret");
    listener.set_nonblocking(true).expect("it can be set");
    assert!(listener.accept().is_err(), "nobody connected");
}

#[test]
fn outside_of_a_function_the_attempts_that_can_be_tried_succeed() {
    let _alone = alone();
    let secret = tempfile::NamedTempFile::new().expect("a file can be made");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");

    assert!(std::fs::File::open(secret.path()).is_ok());
    assert!(std::net::TcpStream::connect(listener.local_addr().expect("it has an address")).is_ok());
    assert_eq!(raw(libc::SYS_tgkill, [std::process::id() as usize, std::process::id() as usize, 0, 0]), 0);
    assert_eq!(raw(libc::SYS_pidfd_open, [std::process::id() as usize, 0, 0, 0]), 0);
}

#[test]
fn a_policy_that_permits_sockets_and_signals_still_protects_its_caller() {
    let _alone = alone();
    let policy = with_calls("allow = [\"socket\", \"sendmsg\", \"kill\", \"getppid\", \"ptrace\"]");
    let attack = |pid: i32| {
        let pid = usize::try_from(pid).unwrap_or(0);
        let parent = rustix::process::getppid().map_or(0, |parent| parent.as_raw_nonzero().get().unsigned_abs());
        [
            raw(libc::SYS_kill, [pid, 9, 0, 0]),
            raw(libc::SYS_kill, [parent as usize, 9, 0, 0]),
            raw(libc::SYS_ptrace, [libc::PTRACE_ATTACH as usize, pid, 0, 0]),
            raw(libc::SYS_socket, [libc::AF_VSOCK as usize, 1, 0, 0]),
        ]
    };

    for called in called(&policy, attack, &i32::try_from(std::process::id()).expect("small")) {
        let errnos = called.into_value().expect("it returned");

        assert!(errnos.iter().all(|errno| *errno != 0), "{errnos:?}");
    }
}

#[test]
fn a_policy_can_name_what_may_be_read_and_nothing_else_can_be() {
    let _alone = alone();
    let directory = tempfile::tempdir_in("/var/tmp").expect("a directory can be made");
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("own");
    let (inside, outside) = (directory.path().join("inside"), directory.path().join("outside"));
    std::fs::write(&inside, "in").expect("there is room");
    std::fs::write(&outside, "out").expect("there is room");
    let text = format!(
        "extends = \"compute\"\n[files]\nread = [{:?}]\n[system-calls]\nallow = [\"openat\", \"statx\"]\n",
        inside.to_str().expect("text")
    );
    let policy = lazaret::policy_text("reads.toml", &text).expect("a good policy");
    let read = |(inside, outside): (String, String)| {
        let text = |path: &str| std::fs::read_to_string(path).map_err(|error| error.raw_os_error().unwrap_or(0));
        (text(&inside), text(&outside), errno(std::fs::OpenOptions::new().write(true).open(&inside)))
    };
    let paths = (inside.to_str().expect("text").to_owned(), outside.to_str().expect("text").to_owned());

    for called in called(&policy, read, &paths) {
        let answer = called.into_value().expect("it returned");

        assert_eq!(answer, (Ok("in".to_owned()), Err(libc::EACCES), libc::EACCES));
    }
}

/// Whatever the policy allows: it would outlive its caller, or leave something, or have more memory than its bound, or change
/// what Landlock does not decide on.
#[test]
fn what_would_go_beyond_the_call_is_refused_whatever_the_policy_allows() {
    let _alone = alone();
    let policy = with_calls(
        "allow = [\"prctl\", \"memfd_create\", \"shmget\", \"semget\", \"msgget\", \"add_key\", \"chmod\", \"utimensat\", \
         \"setxattrat\", \"file_setattr\", \"chown\", \"fcntl\", \"ioctl\"]",
    );
    let mut secret = tempfile::NamedTempFile::new().expect("a file can be made");
    secret.write_all(b"secret").expect("there is room");
    let before = secret.as_file().metadata().expect("it is open");
    let path = secret.path().to_str().expect("text").to_owned();

    for called in called(&policy, beyond, &path) {
        let attempts = called.into_value().expect("it returned");

        let done: Vec<_> = attempts.iter().filter(|(_, errno)| *errno != libc::EPERM).collect();
        assert!(attempts.len() > 9 && done.is_empty(), "{done:?}");
    }
    let after = secret.as_file().metadata().expect("it is open");
    assert_eq!((after.ctime(), after.ctime_nsec()), (before.ctime(), before.ctime_nsec()));
}

fn beyond(path: String) -> Attempts {
    let path = std::ffi::CString::new(path).unwrap_or_default();
    let (name, text) = (path.as_ptr() as usize, c"user.x".as_ptr() as usize);
    let here = libc::AT_FDCWD as usize;
    let private = libc::IPC_PRIVATE as usize;
    let tries = [
        // FS_IOC_SETFLAGS and FS_IOC_ADD_ENCRYPTION_KEY: a descriptor that is open for reading is enough.
        ("attributes by descriptor", raw(libc::SYS_ioctl, [0, 0x4008_6602, private, 0])),
        ("key of a directory", raw(libc::SYS_ioctl, [0, 0xc050_6617, private, 0])),
        ("outlive its parent", raw(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as usize, 0, 0, 0])),
        ("memory file", raw(libc::SYS_memfd_create, [text, 0, 0, 0])),
        ("shared memory", raw(libc::SYS_shmget, [private, 4096, 0o600, 0])),
        ("semaphores", raw(libc::SYS_semget, [private, 1, 0o600, 0])),
        ("messages", raw(libc::SYS_msgget, [private, 0o600, 0, 0])),
        ("key", raw(libc::SYS_add_key, [text, text, 0, 0])),
        ("mode", raw(libc::SYS_fchmodat, [here, name, 0o777, 0])),
        ("times", raw(libc::SYS_utimensat, [here, name, 0, 0])),
        ("attribute", raw(463, [here, name, 0, text])),
        ("flags", raw(469, [here, name, text, 24])),
        ("owner", raw(libc::SYS_fchownat, [here, name, 0, 0])),
        ("signals of a descriptor", raw(libc::SYS_fcntl, [0, libc::F_SETOWN as usize, 1, 0])),
    ];
    tries.into_iter().map(|(name, errno)| (name.to_owned(), errno)).collect()
}
