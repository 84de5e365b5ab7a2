//! One attack, as a job or outside.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::ground::{Account, Ground, INSIDE};
use crate::judge::{self, Told};
use crate::launch::{Ended, Started};
use crate::probe::Under;
use crate::table::{Row, Shows};
use crate::tier::{self, Tier};

/// The job's own limit, and how long after it the sandbox may take to be gone.
const WALL: u64 = 45;
const AFTERWARDS: u64 = 10;
/// How often an attack tries.
const LOOPS: u32 = 10_000;
/// How often a sandbox is killed.
const KILLS: u32 = 12;
/// In a control a few tries are enough.
const CONTROL: u32 = 4000;

/// What an attack is told: how often, and about whom.
fn arguments(loops: u32) -> Vec<String> {
    let mut words = vec![loops.to_string()];
    words.extend(["{permitted}", "{slow}", "{closed}", "{forbidden}"].map(str::to_owned));
    words
}

/// A name that is on the command line of every process of the run.
fn tag() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("lazaret-network-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Runs `row` as a job of `account`. Gives what there is to tell.
pub(crate) fn as_a_job(ground: &Ground, account: &Account, row: &Row, kept: (Under, Tier)) -> Result<String, String> {
    if !row.is_killed {
        return once(ground, account, row, kept, row.words);
    }
    // From before the job begins to when it is in full swing.
    let all: Result<Vec<String>, String> =
        (0..KILLS).map(|turn| once(ground, account, row, kept, &format!("kill={}", 20 + turn * 41))).collect();
    Ok(all?.pop().unwrap_or_default())
}

fn once(
    ground: &Ground,
    account: &Account,
    row: &Row,
    (under, tier): (Under, Tier),
    around: &str,
) -> Result<String, String> {
    let lazaret = ground.lazaret.as_ref().map_err(Clone::clone)?;
    let tag = tag();
    let directory = tempfile::Builder::new().prefix("report-").tempdir_in(&ground.root);
    let directory = directory.map_err(|error| format!("cannot make a directory: {error}"))?;
    open_to_all(directory.path())?;
    let report = directory.path().join("report.json");
    let mut words = vec![lazaret.display().to_string(), "run".to_owned(), "--policy".to_owned()];
    let (policy, bin) = match tier {
        Tier::Jail => (ground.policy(under), INSIDE.to_owned()),
        Tier::Seccomp => {
            let file = directory.path().join("policy.toml");
            std::fs::write(&file, tier::policy_text(under, &ground.bin()))
                .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
            (file, ground.bin().display().to_string())
        }
    };
    words.push(policy.display().to_string());
    words.extend_from_slice(&account.degraded);
    words.extend(["--limit".to_owned(), format!("wall={WALL}s"), "--report".to_owned(), report.display().to_string()]);
    words.extend(["--limit", "net-connections=60000"].map(str::to_owned));
    words.extend(row.options.iter().map(|word| (*word).to_owned()));
    for rule in ["{permitted}", "{slow}", "{closed}", "permitted.test:443", "192.0.2.7:443"] {
        words.extend(["--net".to_owned(), rule.to_owned()]);
    }
    words.extend(["--".to_owned(), format!("{bin}/attack"), row.name.to_owned(), "--tag".to_owned(), tag.clone()]);
    // All of them where nothing but the walls behind the filter holds, and for an ordinary user as it is used; else a part.
    let is_root = account.name == "root";
    let is_whole = is_root == (under == Under::Wide) && row.with.is_empty();
    let loops = if is_whole { LOOPS } else { LOOPS / 5 };
    // Killed, it is in the middle.
    words.extend(arguments(if row.is_killed { LOOPS * 100 } else { loops }));
    let ended = arena(ground, around, Some(account), &words)?;
    let left = left_behind(&tag);
    let told = Told::read(&ended.stdout);
    let may_be_none = row.is_excused(under) || row.is_killed && told.ended == "signal 9";
    // What tier seccomp lacks, servers and messages among it, many of them need to come to more than one.
    let least = if tier == Tier::Seccomp { row.least.min(u64::from(!row.has_few_descriptors())) } else { row.least };
    let mut wrong = judge::of_the_outside(&told, if may_be_none { 0 } else { least });
    wrong.extend(judge::of_the_job(&told, row, (under, tier), &report));
    wrong.extend(left.iter().map(|process| format!("left behind: {process}")));
    end(&left);
    if wrong.is_empty() {
        return Ok(format!("{} ms, {} permitted; {}", told.took, told.permitted, told.said));
    }
    let report = std::fs::read_to_string(&report).unwrap_or_else(|error| error.to_string());
    Err(format!("{}\n{ended:#?}\nreport: {report}", wrong.join("\n")))
}

/// Runs `row` outside, where it has to work. `Some`: why that is not shown.
pub(crate) fn outside(ground: &Ground, row: &Row) -> Result<Option<String>, String> {
    if let Shows::Nothing(why) = row.shows {
        return Ok(Some(why.to_owned()));
    }
    let tag = tag();
    let mut words = vec![ground.attack.display().to_string(), row.name.to_owned(), "--tag".to_owned(), tag];
    words.extend(arguments(CONTROL));
    let ended = arena(ground, row.words, None, &words)?;
    let told = Told::read(&ended.stdout);
    if judge::is_shown(&told, row.shows) {
        Ok(None)
    } else {
        Err(format!("it does not work outside either: {ended:#?}"))
    }
}

/// Runs `words` in an arena of its own.
fn arena(ground: &Ground, around: &str, account: Option<&Account>, words: &[String]) -> Result<Ended, String> {
    let attack = ground.attack.display().to_string();
    let mut command = Command::new(&attack);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/nonexistent").current_dir("/");
    let own = ground.root_account.is_some();
    if own {
        // What an attack leaves outside ends with its namespace.
        let around = if account.is_some() { "net,mount" } else { "net,mount,pid,seconds=60" };
        command.args(["within", around, "--", &attack]);
    }
    let mut arena = vec![format!("seconds={}", WALL + AFTERWARDS), around.to_owned()];
    arena.extend(own.then(|| "own".to_owned()));
    if let Some(Account { uid: Some(uid), gid: Some(gid), .. }) = account {
        arena.push(format!("uid={uid},gid={gid}"));
    }
    command.args(["arena", &arena.join(","), "--"]).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Started::new(&mut command)?.end(Duration::from_secs(WALL + 3 * AFTERWARDS))
}

fn open_to_all(directory: &Path) -> Result<(), String> {
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(directory, all).map_err(|error| format!("cannot open a directory to all: {error}"))
}

/// The processes of a run that are alive: their numbers.
fn processes(tag: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(tag))
        })
        .collect()
}

/// The same, when there was time for what the kernel was told to do.
fn left_behind(tag: &str) -> Vec<String> {
    let started = Instant::now();
    loop {
        let left = processes(tag);
        if left.is_empty() || started.elapsed() > Duration::from_secs(2) {
            return left;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn end(pids: &[String]) {
    for pid in pids {
        // One that has ended is what is wanted.
        drop(Command::new("/bin/kill").args(["-9", pid]).stderr(Stdio::null()).status());
    }
}
