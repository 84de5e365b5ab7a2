//! Descriptors that the caller left open, without the flag that closes them on execve(2).

use crate::probe::{Probe, STDIN};
use lazaret_e2e::{Runner, as_root_and_user};

as_root_and_user![
    descriptors_that_the_caller_left_open_are_not_the_jobs,
    the_callers_standard_streams_are_not_the_jobs
];

const PLANT: &str = "
kept = [os.open('/etc/passwd', os.O_RDONLY), os.open('/', os.O_RDONLY | os.O_DIRECTORY), os.memfd_create('secret')]
pair = socket.socketpair()
listening = socket.socket(socket.AF_UNIX)
listening.bind('\\0' + f'lazaret-e2e-{os.getpid()}')
listening.listen()
kept += [pair[0].fileno(), pair[1].fileno(), listening.fileno(), *os.pipe()]
for number, fd in enumerate(kept): os.dup2(fd, 20 + number, inheritable=True)
os.dup2(kept[0], 200, inheritable=True)
";

const LOOK: &str = "
for fd in [*range(3, 100), 200]: reach(str(fd), lambda: os.fstat(fd))
reach('file', lambda: b'root' in os.pread(20, 100, 0))
reach('directory', lambda: os.open('etc/passwd', os.O_RDONLY, dir_fd=21))
reach('socket', lambda: socket.socket(fileno=os.dup(23)).send(b'x'))
reach('reopened', lambda: os.open('/proc/self/fd/20', os.O_RDONLY))
";

fn descriptors_that_the_caller_left_open_are_not_the_jobs(runner: &Runner) {
    let all = ["20", "21", "22", "23", "24", "25", "26", "27", "200", "file", "directory", "socket", "reopened"];
    let probe = Probe { plant: PLANT, ..Probe::new(runner, LOOK, &[]) };

    probe.reaches_outside_only(&all);
}

/// Whoever held the caller's own could read what is written there, seek it, and cut it off.
fn the_callers_standard_streams_are_not_the_jobs(runner: &Runner) {
    let look = "
for name, fd in (('input', 0), ('output', 1), ('error', 2)):
    reach(name, lambda: stat.S_ISREG(os.fstat(fd).st_mode))
    reach(name + ' reopened', lambda: stat.S_ISREG(os.stat(f'/proc/self/fd/{fd}').st_mode))
reach('input read', lambda: sys.argv[1].encode() in os.read(0, 100))
";
    let all = ["input", "output", "error", "input reopened", "output reopened", "error reopened", "input read"];

    Probe::new(runner, look, &[STDIN]).reaches_outside_only(&all);
}
