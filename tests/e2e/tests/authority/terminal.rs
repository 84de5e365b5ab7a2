//! The terminal at which the caller sits.

use crate::probe::{Probe, kinds};
use lazaret_e2e::{Runner, as_root_and_user};

as_root_and_user![the_callers_terminal_is_not_the_jobs];

/// Goes on as a child at a new terminal; what is shown there becomes the standard output.
const PLANT: &str = "
import pty
child, terminal = pty.fork()
if child:
    try:
        while shown := os.read(terminal, 4096): os.write(1, shown)
    except OSError: pass
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
sys.argv = [os.ttyname(0) if word == 'TERMINAL' else word for word in sys.argv]
";

/// TIOCSTI needs a right since Linux 6.2, unless dev.tty.legacy_tiocsti says otherwise. So what is typed has no control as an
/// ordinary user, but TIOCSWINSZ, which asks for none, has. Standard error is the terminal too.
const LOOK: &str = "
import fcntl, io, termios
sys.stderr = io.StringIO()
def through(path): return os.open(path, os.O_RDWR | os.O_NOCTTY)
def sized(fd): fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 9, 9, 0, 0)); return True
def typed(fd): fcntl.ioctl(fd, termios.TIOCSTI, b'x'); return True
reach('controlling terminal', through, '/dev/tty')
reach('by name', through, sys.argv[1])
reach('console', lambda: os.isatty(through('/dev/console')))
reach('size', lambda: sized(through('/dev/tty')))
reach('typed', lambda: typed(through('/dev/tty')))
for fd in range(3):
    reach(f'descriptor {fd}', os.isatty, fd)
    reach(f'by link {fd}', lambda: os.isatty(through(f'/proc/self/fd/{fd}')))
    reach(f'size {fd}', sized, fd)
    reach(f'typed {fd}', typed, fd)
# A job leads a session of its own: it could make a terminal its own.
reach('stolen', lambda: fcntl.ioctl(through(sys.argv[1]), termios.TIOCSCTTY, 0) == 0 and through('/dev/tty'))
reach('foreground', lambda: os.tcgetpgrp(0))
";

fn the_callers_terminal_is_not_the_jobs(runner: &Runner) {
    let probe = Probe { plant: PLANT, ..Probe::new(runner, LOOK, &["TERMINAL"]) };
    let outside = ["controlling terminal", "by name", "size", "descriptor 0", "by link 0", "size 0", "foreground"];

    probe.reaches_outside(&outside);
    for (kind, job) in kinds(runner) {
        probe.reaches_nothing_as(kind, job.options(["--stdin"]));
    }
}
