//! Keys that the kernel keeps for the caller.

use crate::job::token;
use crate::probe::{Probe, WIDE_JAIL, kinds};
use lazaret_e2e::{Runner, as_root_and_user};

as_root_and_user![keys_in_the_callers_keyrings_are_not_the_jobs];

const CALLS: &str = "
ADD, REQUEST, KEYCTL = (248, 249, 250) if INTEL else (217, 218, 219)
SESSION, USER = -3, -4
def keyctl(*args): return checked(libc.syscall(KEYCTL, *args))
";

/// The user's keyring outlives the caller; the key in it does not, and goes by itself if the caller was killed.
const PLANT: &str = "
import atexit
secret = os.environb[b'PLANTED']
session = keyctl(1, None)
def add(ring): return checked(libc.syscall(ADD, b'user', secret, secret, len(secret), ring))
users = add(SESSION)
keyctl(15, users, 600)
keyctl(8, users, USER)
atexit.register(lambda: keyctl(9, users, USER))
keyctl(9, users, SESSION)
keys = {'SESSION': session, 'USER': keyctl(0, USER, 0), 'SESSION-KEY': add(SESSION), 'USER-KEY': users}
sys.argv = [str(keys.get(word, word)) for word in sys.argv]
";

const LOOK: &str = "
secret = sys.argv[1].encode()
session, user, session_key, user_key = map(int, sys.argv[2:])
def read(key):
    room = ctypes.create_string_buffer(256)
    length = keyctl(11, key, room, len(room))
    return room.raw[:length]
def described(key):
    room = ctypes.create_string_buffer(256)
    return keyctl(6, key, room, len(room)) > 0 and secret in room.raw
reach('number', lambda: read(session_key) == secret)
reach('description', described, session_key)
reach('keyring by number', read, session)
reach('own keyring', lambda: struct.pack('i', session_key) in read(SESSION))
reach('search', keyctl, 10, SESSION, b'user', secret, 0)
reach('request', lambda: checked(libc.syscall(REQUEST, b'user', secret, None, 0)) > 0)
reach('list', lambda: secret in contents('/proc/keys'))
reach('keyring of the user', lambda: struct.pack('i', user_key) in read(USER))
reach('key of the user', lambda: keyctl(8, USER, SESSION) == 0 and read(user_key) == secret)
reach('key of the user by number', lambda: keyctl(8, user, SESSION) == 0 and read(user_key) == secret)
";

const ALL: [&str; 10] = [
    "number",
    "description",
    "keyring by number",
    "own keyring",
    "search",
    "request",
    "list",
    "keyring of the user",
    "key of the user",
    "key of the user by number",
];

fn keys_in_the_callers_keyrings_are_not_the_jobs(runner: &Runner) {
    let secret = token();
    let environment = [("PLANTED", secret.as_str())];
    let arguments = [secret.as_str(), "SESSION", "USER", "SESSION-KEY", "USER-KEY"];
    let (plant, look) = ([CALLS, PLANT].concat(), [CALLS, LOOK].concat());
    let probe = Probe { environment: &environment, plant: &plant, ..Probe::new(runner, &look, &arguments) };

    probe.reaches_outside(&ALL);
    for (kind, job) in kinds(runner) {
        // Keyrings are not namespaced: who is permitted keyctl(2) and has the user's id reaches the user's keys by their
        // numbers. Nobody is but by the name of the call, the group `@keyring`, or a default of `allow`.
        if kind != WIDE_JAIL || runner.is_root() {
            probe.reaches_nothing_as(kind, job);
        }
    }
}
