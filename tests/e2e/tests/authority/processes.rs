//! Processes of the caller's user: signals, tracing, memory, descriptors, limits.

use crate::holder::Holder;
use crate::job::token;
use crate::probe::{Probe, kinds};
use lazaret_e2e::{Runner, as_root_and_user};

as_root_and_user![processes_of_the_caller_are_not_the_jobs_to_signal_trace_or_read];

/// Its user's processes may trace it, where Yama asks (prctl(2), PR_SET_PTRACER).
const PLANT: &str = "
count = 0
def heard(*_):
    global count
    count += 1
for number in (signal.SIGUSR1, signal.SIGUSR2): signal.signal(number, heard)
libc.prctl(0x59616d61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)
secret = ctypes.create_string_buffer(sys.argv[1].encode())
file = os.memfd_create('secret')
os.write(file, sys.argv[1].encode())
print(os.getpid(), ctypes.addressof(secret), file, flush=True)
sys.stdin.read()
print(count)
";

const LOOK: &str = "
secret = sys.argv[1].encode()
pid, address, file, caller = map(int, sys.argv[2:])
class Span(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
def read():
    room = ctypes.create_string_buffer(len(secret))
    here, there = Span(ctypes.addressof(room), len(secret)), Span(address, len(secret))
    checked(libc.process_vm_readv(pid, ctypes.byref(here), ctypes.c_ulong(1), ctypes.byref(there), ctypes.c_ulong(1), ctypes.c_ulong(0)))
    return room.raw == secret
def write():
    room = ctypes.create_string_buffer(secret)
    here, there = Span(ctypes.addressof(room), len(secret)), Span(address, len(secret))
    return checked(libc.process_vm_writev(pid, ctypes.byref(here), ctypes.c_ulong(1), ctypes.byref(there), ctypes.c_ulong(1), ctypes.c_ulong(0)))
def memory():
    with open(f'/proc/{pid}/mem', 'rb') as opened: return os.pread(opened.fileno(), len(secret), address) == secret
def taken():
    handle = checked(libc.syscall(434, pid, 0))
    return os.pread(checked(libc.syscall(438, handle, file, 0)), 100, 0) == secret
def told(): signal.pidfd_send_signal(checked(libc.syscall(434, pid, 0)), signal.SIGUSR2); return True
def limits():
    room = ctypes.create_string_buffer(16)
    return checked(libc.prlimit(pid, 7, None, room)) == 0
def lower(): return checked(libc.prlimit(pid, 7, struct.pack('QQ', 100, 100), None)) == 0
reach('signal', lambda: os.kill(pid, signal.SIGUSR1) or True)
reach('signal to the caller', lambda: os.kill(caller, 0) or True)
reach('signal by a handle', told)
reach('memory', read)
reach('memory to write', write)
reach('memory by a file', memory)
reach('descriptor', taken)
reach('descriptor by a link', lambda: contents(f'/proc/{pid}/fd/{file}') == secret)
reach('limits', limits)
reach('limits to lower', lower)
reach('priority', lambda: os.setpriority(os.PRIO_PROCESS, pid, 1) or True)
reach('processors', lambda: os.sched_setaffinity(pid, os.sched_getaffinity(0)) or True)
reach('tracing', lambda: checked(libc.ptrace(0x4206, pid, None, None)) == 0)
";

fn processes_of_the_caller_are_not_the_jobs_to_signal_trace_or_read(runner: &Runner) {
    let secret = token();
    let holder = Holder::start(runner, PLANT, &[&secret]);
    let mut arguments: Vec<&str> = std::iter::once(&secret).chain(&holder.facts).map(String::as_str).collect();
    arguments.push("CALLER");
    let all = [
        "signal",
        "signal to the caller",
        "signal by a handle",
        "memory",
        "memory to write",
        "memory by a file",
        "descriptor",
        "descriptor by a link",
        "limits",
        "limits to lower",
        "priority",
        "processors",
        "tracing",
    ];
    let probe = Probe::new(runner, LOOK, &arguments);

    probe.reaches_outside(&all);
    for (kind, job) in kinds(runner) {
        probe.reaches_nothing_as(kind, job);
    }
    // The two of the probe that no sandbox held.
    assert_eq!(holder.end(), "2\n");
}
