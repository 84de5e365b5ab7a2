//! The compiled program, installed: the kernel does what the policy means.

use crate::calls::{Interest, seed};
use crate::meaning::{Fate, Layer, Made, Policy};
use crate::policies::policy;
use lazaret::plan::{FilterPlan, OWN_RULES};
use lazaret_filter::{Arch, table};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

/// Calls that do no harm whatever their arguments are, when no descriptor is open and none can be opened: they fail, or
/// tell something. Their result depends on nothing that changes.
const HARMLESS: &[&str] = &[
    "getppid",
    "getuid",
    "lseek",
    "flock",
    "dup",
    "ioctl",
    "fcntl",
    "openat",
    "socket",
    "sched_get_priority_max",
    "readahead",
    "pwrite64",
    "mknodat",
];
/// How many policies, and calls under each.
const POLICIES: usize = 48;
const CALLS: usize = 64;
/// What the supervisor of this test answers with: no errno of the kernel's.
const TOLD: i32 = 2001;
/// Stands for a SIGSYS that was caught.
const TRAPPED: i32 = 3001;
/// Stands for a call that was not made yet.
const NOT_YET: i32 = -1;

/// Memory that a test and its child share.
#[repr(C)]
struct Shared {
    /// The listener's number in the child; `NOT_YET` before there is one.
    listener: AtomicI32,
    /// The test has the listener too.
    taken: AtomicBool,
    /// The errno of each call, in order, or one of the constants above.
    outcomes: [AtomicI32; CALLS],
}

impl Shared {
    fn new() -> &'static Self {
        let (access, sharing) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping takes no memory that is in use.
        let place = unsafe { libc::mmap(std::ptr::null_mut(), size_of::<Self>(), access, sharing, -1, 0) };
        assert_ne!(place, libc::MAP_FAILED);
        // SAFETY: the mapping is page-aligned, as large as `Self`, never unmapped, and zeros are valid atomics.
        let shared = unsafe { &*place.cast::<Self>() };
        shared.listener.store(NOT_YET, Ordering::SeqCst);
        for outcome in &shared.outcomes {
            outcome.store(NOT_YET, Ordering::SeqCst);
        }
        shared
    }

    fn outcomes(&self, count: usize) -> Vec<i32> {
        self.outcomes[..count].iter().map(|outcome| outcome.load(Ordering::SeqCst)).collect()
    }
}

static CAUGHT: AtomicBool = AtomicBool::new(false);

extern "C" fn caught(_signal: libc::c_int) {
    CAUGHT.store(true, Ordering::SeqCst);
}

/// Makes the calls in a child, under `program` if there is one, with a listener if `supervised`. The child's own end.
fn child(shared: &'static Shared, program: Option<&[u8]>, supervised: bool, calls: &[Made]) -> libc::pid_t {
    // SAFETY: the child makes system calls, touches memory that is its own copy or shared for the purpose, takes no lock,
    // and leaves by `_exit`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid > 0 {
        return pid;
    }
    // SAFETY: the descriptors are the child's alone, which uses none of them.
    unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) };
    // SAFETY: the handler only stores to an atomic.
    unsafe { libc::signal(libc::SIGSYS, caught as *const () as libc::sighandler_t) };
    if let Some(program) = program {
        install(shared, program, supervised);
    }
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `none` is a valid limit.
    unsafe { libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, &raw const none, 0) };
    for (call, outcome) in calls.iter().zip(&shared.outcomes) {
        CAUGHT.store(false, Ordering::SeqCst);
        let [a, b, c, d, e, f] = call.args;
        // SAFETY: the calls are among `HARMLESS`, or have numbers of no call.
        let result = unsafe { libc::syscall(libc::c_long::from(call.nr), a, b, c, d, e, f) };
        // SAFETY: always sound.
        let errno = unsafe { *libc::__errno_location() };
        let seen = match (CAUGHT.load(Ordering::SeqCst), result) {
            (true, _) => TRAPPED,
            (false, -1) => errno,
            (false, _) => 0,
        };
        outcome.store(seen, Ordering::SeqCst);
    }
    // SAFETY: always sound.
    unsafe { libc::_exit(0) }
}

/// Installs the program in the child, which ends here if that fails. A listener is left to the test.
fn install(shared: &Shared, program: &[u8], supervised: bool) {
    const NEW_LISTENER: libc::c_ulong = 8;
    let len = u16::try_from(program.len() / 8).unwrap_or(0);
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
    let flags = if supervised { NEW_LISTENER } else { 0 };
    // SAFETY: no pointers are passed.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: `program` describes instructions that outlive the call; the kernel copies them.
    let installed =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    if installed < 0 {
        // SAFETY: always sound.
        unsafe { libc::_exit(99) }
    }
    if supervised {
        shared.listener.store(i32::try_from(installed).unwrap_or(NOT_YET), Ordering::SeqCst);
        while !shared.taken.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
        // SAFETY: the descriptor is the listener, which nothing else in the child uses.
        unsafe { libc::syscall(libc::SYS_close, installed) };
    }
}

/// The wait status of the child.
fn end(pid: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result, and the child is this test's own.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(waited, pid);
    status
}

/// Takes the listener of the child, answers every notification with [`TOLD`], and returns what was told, until the child
/// is gone.
fn supervise(shared: &Shared, pid: libc::pid_t) -> Vec<(u32, [u64; 6])> {
    const RECEIVE: libc::c_ulong = 0xc050_2100;
    const SEND: libc::c_ulong = 0xc018_2101;
    let patience = Instant::now() + Duration::from_secs(20);
    while shared.listener.load(Ordering::SeqCst) == NOT_YET {
        assert!(Instant::now() < patience, "the child installs no filter");
        std::thread::yield_now();
    }
    let process = owned(
        // SAFETY: no pointers are passed.
        unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) },
    );
    let number = shared.listener.load(Ordering::SeqCst);
    // SAFETY: no pointers are passed.
    let listener = owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) });
    shared.taken.store(true, Ordering::SeqCst);
    let mut told = Vec::new();
    loop {
        let mut ready = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: `ready` is one valid entry.
        let count = unsafe { libc::poll(&raw mut ready, 1, 20_000) };
        assert!(count > 0, "the child neither ends nor makes calls");
        if ready.revents & libc::POLLIN == 0 {
            return told;
        }
        // id, pid and flags, number and architecture, instruction pointer, arguments: struct seccomp_notif.
        let mut message = [0_u64; 10];
        // SAFETY: the message has the 80 bytes of struct seccomp_notif.
        let received = unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, message.as_mut_ptr()) };
        if received != 0 {
            continue;
        }
        let [id, _, call, _, args @ ..] = message;
        told.push((u32::try_from(call & 0xffff_ffff).expect("32 bits"), args));
        // id, value, error in the low and flags in the high half: struct seccomp_notif_resp.
        let answer = [id, 0, u64::from((-TOLD).cast_unsigned())];
        // SAFETY: the answer has the 24 bytes of struct seccomp_notif_resp.
        let sent = unsafe { libc::ioctl(listener.as_raw_fd(), SEND, answer.as_ptr()) };
        assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
    }
}

fn owned(number: libc::c_long) -> OwnedFd {
    assert!(number >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the kernel just made this descriptor for this process, and nothing else knows it.
    unsafe { OwnedFd::from_raw_fd(RawFd::try_from(number).expect("descriptors are small")) }
}

/// A random policy, under which a child of these tests can still end, handle signals and close its listener.
fn survivable(mut policy: Policy) -> Policy {
    let needs = ["exit_group", "rt_sigreturn", "close", "prlimit64(pid == 0, resource == 7)"];
    let rules = needs.map(|rule| ("allow", rule.to_owned())).to_vec();
    policy.layers.push(Layer { default: None, rules, removals: Vec::new() });
    policy
}

/// Calls that can be made.
fn harmless(interest: &Interest, runner: &mut TestRunner, arch: Arch) -> Vec<Made> {
    let mut calls = Vec::new();
    while calls.len() < CALLS {
        let at = calls.len();
        let drawn = (seed(), any::<u16>()).new_tree(runner).expect("seeds can be drawn").current();
        let (_, made) = interest.call(&drawn.0, arch);
        let pick = usize::from(drawn.1);
        let known = table::number(arch, HARMLESS[pick % HARMLESS.len()]).expect("these are on every architecture");
        let nr = match at % 16 {
            // x32, and numbers of no call.
            14 if arch == Arch::X86_64 => 0x4000_0000 | known,
            15 => [400, 470, 500, 0x3fff_ffff][pick % 4],
            _ => known,
        };
        let mut args = made.args;
        if table::name(arch, nr) == Some("socket") {
            // With a bit that no type of socket has, the kernel refuses it before it looks at anything else.
            args[1] |= 0x100;
        }
        calls.push(Made { foreign: false, nr, name: table::name(arch, nr), args });
    }
    calls
}

/// What a call under the policy comes to.
fn expected(fate: Fate, bare: i32, supervised: bool) -> i32 {
    match (fate, supervised) {
        (Fate::Action("allow"), _) | (Fate::Action("log"), false) => bare,
        (Fate::Action("trap"), _) => TRAPPED,
        (Fate::Action("silent"), _) | (Fate::Action("refuse"), false) => libc::EPERM,
        (Fate::Fixed { errno, recorded: false }, _) | (Fate::Fixed { errno, .. }, false) => errno,
        (Fate::Action(_) | Fate::Fixed { .. }, true) => TOLD,
        (Fate::Action(other), false) => panic!("{other} has no outcome"),
    }
}

/// Policies and calls that are the same in every run.
fn each(mut look: impl FnMut(&Policy, &FilterPlan, &[Made]), supervised: bool) {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let arch = Arch::native().expect("the tests run on an architecture with a table");
    for _ in 0..POLICIES {
        let policy = survivable(policy().new_tree(&mut runner).expect("policies can be drawn").current());
        let loaded = policy.load().unwrap_or_else(|error| panic!("{error}\n{:#?}", policy.texts()));
        let plan = FilterPlan::new(&loaded.system_calls, OWN_RULES, supervised).expect("the policy can be enforced");
        let interest = Interest::of(&policy, arch);
        look(&policy, &plan, &harmless(&interest, &mut runner, arch));
    }
}

/// The outcomes without any filter.
fn bare(calls: &[Made]) -> Vec<i32> {
    let shared = Shared::new();
    assert_eq!(end(child(shared, None, false, calls)), 0);
    shared.outcomes(calls.len())
}

#[test]
fn without_a_supervisor_the_kernel_does_what_the_policy_means() {
    let (mut made, mut killed) = (0, 0);
    each(
        |policy, plan, calls| {
            let (fatal, calls): (Vec<_>, Vec<_>) =
                calls.iter().partition(|call| policy.fate(call) == Fate::Action("kill"));
            let bare = bare(&calls);
            let shared = Shared::new();
            assert_eq!(end(child(shared, Some(&plan.program), false, &calls)), 0, "{:#?}", policy.texts());
            for ((call, bare), seen) in calls.iter().zip(bare).zip(shared.outcomes(calls.len())) {
                let fate = policy.fate(call);
                assert_eq!(seen, expected(fate, bare, false), "{call:x?} means {fate:?}\n{:#?}", policy.texts());
                made += 1;
            }
            for call in fatal.iter().take(4) {
                let status = end(child(Shared::new(), Some(&plan.program), false, &[*call]));
                let signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status));
                assert_eq!(signal, Some(libc::SIGSYS), "{call:x?}\n{:#?}", policy.texts());
                killed += 1;
            }
        },
        false,
    );
    assert!(made > 2000 && killed > 20, "{made} calls, {killed} killed");
}

#[test]
fn with_a_supervisor_it_is_told_of_exactly_what_the_policy_records() {
    let (mut made, mut all_told) = (0, 0);
    each(
        |policy, plan, calls| {
            let bare = bare(calls);
            let shared = Shared::new();
            let pid = child(shared, Some(&plan.program), true, calls);
            let told = supervise(shared, pid);
            assert_eq!(end(pid), 0, "{:#?}", policy.texts());
            let mut to_tell = Vec::new();
            for ((call, bare), seen) in calls.iter().zip(bare).zip(shared.outcomes(calls.len())) {
                let fate = policy.fate(call);
                let meant = expected(fate, bare, true);
                assert_eq!(seen, meant, "{call:x?} means {fate:?}\n{:#?}", policy.texts());
                to_tell.extend((meant == TOLD).then_some((call.nr, call.args)));
                made += 1;
            }
            assert_eq!(told, to_tell, "{:#?}", policy.texts());
            all_told += told.len();
        },
        true,
    );
    assert!(made > 3000 && all_told > 500, "{made} calls, {all_told} told");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_call_in_the_manner_of_32_bits_is_refused_by_every_policy() {
    /// getpid in the numbering of i386, where it is 20; of x86-64 that is writev.
    fn by_interrupt() -> i64 {
        let result: i64;
        // SAFETY: getpid takes no arguments and touches no memory. What the entry may change is named.
        unsafe {
            std::arch::asm!("int 0x80", inlateout("rax") 20_i64 => result, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
        }
        result
    }
    let in_child = |program: Option<Vec<u8>>| {
        let shared = Shared::new();
        // SAFETY: as in `child`.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            if let Some(program) = program {
                install(shared, &program, false);
            }
            let result = by_interrupt();
            shared.outcomes[0].store(i32::try_from(result).unwrap_or(0), Ordering::SeqCst);
            // SAFETY: always sound.
            unsafe { libc::_exit(0) }
        }
        (end(pid), shared.outcomes[0].load(Ordering::SeqCst))
    };
    let (status, pid) = in_child(None);
    if status != 0 || pid <= 0 {
        // A kernel without calls of 32 bits ends the child: nothing can be made in that manner.
        return;
    }
    let mut tried = 0;
    each(
        |policy, plan, _| {
            if tried < 8 {
                let (status, result) = in_child(Some(plan.program.clone()));
                assert_eq!((status, result), (0, -libc::ENOSYS), "{:#?}", policy.texts());
            }
            tried += 1;
        },
        false,
    );
}
