//! Shared memory, queues and semaphores of System V and of POSIX, which have numbers and names of their own.

use crate::holder::Holder;
use crate::job::token;
use crate::probe::Probe;
use lazaret_e2e::{Runner, as_root_and_user};

as_root_and_user![shared_memory_and_queues_of_the_caller_are_not_the_jobs];

/// Everybody may use all of it.
const PLANT: &str = "
import random
secret = sys.argv[1].encode()
os.umask(0)
CREATE = 0o1000 | 0o2000 | 0o666
key = random.randrange(1, 2**31)
shm = msg = sem = -1
name = f'/{sys.argv[1]}'.encode()
try:
    shm = checked(libc.shmget(key, 4096, CREATE))
    ctypes.memmove(checked(libc.shmat(shm, None, 0)), secret, len(secret))
    msg = checked(libc.msgget(key, CREATE))
    for _ in range(64): checked(libc.msgsnd(msg, struct.pack('l', 1) + secret, len(secret), 0))
    sem = checked(libc.semget(key, 1, CREATE))
    checked(libc.semctl(sem, 0, 16, 7))
    queue = checked(libc.mq_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666, None))
    for _ in range(8): checked(libc.mq_send(queue, secret, len(secret), 0))
    print(key, shm, msg, sem, flush=True)
    sys.stdin.read()
finally:
    if shm != -1: libc.shmctl(shm, 0, None)
    if msg != -1: libc.msgctl(msg, 0, None)
    if sem != -1: libc.semctl(sem, 0, 0)
    libc.mq_unlink(name)
";

const LOOK: &str = "
secret = sys.argv[1].encode()
key, shm, msg, sem = map(int, sys.argv[2:])
def memory(segment): return ctypes.string_at(checked(libc.shmat(segment, None, 0o10000)), len(secret)) == secret
def message(queue):
    room = ctypes.create_string_buffer(200)
    got = checked(libc.msgrcv(queue, room, 100, 0, 0o4000))
    return room.raw[8:8 + got] == secret
def posix():
    queue = checked(libc.mq_open(b'/' + secret, os.O_RDONLY | os.O_NONBLOCK))
    room = ctypes.create_string_buffer(1 << 16)
    length = checked(libc.mq_receive(queue, room, len(room), None))
    return room.raw[:length] == secret
reach('memory', memory, shm)
reach('memory by key', lambda: memory(checked(libc.shmget(key, 0, 0))))
reach('queue', message, msg)
reach('queue by key', lambda: message(checked(libc.msgget(key, 0))))
reach('semaphore', lambda: checked(libc.semctl(sem, 0, 12)) == 7)
reach('semaphore by key', lambda: checked(libc.semctl(checked(libc.semget(key, 0, 0)), 0, 12)) == 7)
reach('POSIX queue', posix)
for kind in ('shm', 'msg', 'sem'): reach(f'list of {kind}', lambda: str(key).encode() in contents(f'/proc/sysvipc/{kind}'))
";

fn shared_memory_and_queues_of_the_caller_are_not_the_jobs(runner: &Runner) {
    let secret = token();
    let holder = Holder::start(runner, PLANT, &[&secret]);
    let arguments: Vec<&str> = std::iter::once(&secret).chain(&holder.facts).map(String::as_str).collect();
    let all = [
        "memory",
        "memory by key",
        "queue",
        "queue by key",
        "semaphore",
        "semaphore by key",
        "POSIX queue",
        "list of shm",
        "list of msg",
        "list of sem",
    ];

    Probe::new(runner, LOOK, &arguments).reaches_outside_only(&all);
}
