//! What a probe has to keep its hands off: made for each run, and gone with it.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::ground::{Account, Ground};
use crate::launch;

const PATIENCE: Duration = Duration::from_secs(10);

/// A directory, a process and a secret of the host.
pub(crate) struct Stage<'g> {
    pub(crate) ground: &'g Ground,
    pub(crate) account: &'g Account,
    pub(crate) directory: PathBuf,
    /// Unlike any other on this machine. Every process of the run has it on its command line.
    pub(crate) name: String,
    pub(crate) secret: String,
    places: Vec<(&'static str, String)>,
    outside: Child,
    lines: Receiver<String>,
}

/// What is left of the process outside.
pub(crate) struct Remains {
    /// Why it is not as it was, if it is not.
    pub(crate) hurt: Option<String>,
    /// What reached it.
    pub(crate) heard: Vec<String>,
}

impl<'g> Stage<'g> {
    /// Sets the stage for a run that `account` starts.
    pub(crate) fn new(ground: &'g Ground, account: &'g Account) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lazaret-escape-{}-{number}", std::process::id());
        let secret = secret().map_err(|error| format!("no randomness: {error}"))?;
        let directory = ground.root.join(&name);
        let said = |error: std::io::Error| format!("cannot set up {}: {error}", directory.display());
        furnish(&directory, account, &name, &secret).map_err(said)?;
        if Path::new("/dev/shm").is_dir() {
            fs::write(Path::new("/dev/shm").join(&name), &secret).map_err(said)?;
        }

        let mut command = account.command(&ground.attack);
        command.args(["outside", &directory.display().to_string(), &name]).env("ESCAPE_SECRET", &secret);
        let (outside, lines) = start(&mut command)?;
        let mut stage = Self { ground, account, directory, name, secret, places: Vec::new(), outside, lines };
        stage.find_places()?;
        Ok(stage)
    }

    fn find_places(&mut self) -> Result<(), String> {
        let patience = Instant::now() + PATIENCE;
        let names = ["port", "port6", "udp", "segment", "pid", "descriptor", "word", "memory"];
        loop {
            let left = patience.saturating_duration_since(Instant::now());
            let line = self
                .lines
                .recv_timeout(left)
                .map_err(|error| format!("the process outside does not start: {error}"))?;
            if line == "ready" {
                break;
            }
            if let Some((key, value)) = line.split_once('=')
                && let Some(known) = names.iter().find(|known| **known == key)
            {
                self.places.push((known, value.to_owned()));
            }
        }
        let directory = self.directory.display().to_string();
        let handle = Command::new(&self.ground.attack).args(["handle", &format!("{directory}/secret")]).output();
        let handle = handle.map_err(|error| format!("no handle: {error}"))?;
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let host_name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let free_port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        self.places.extend([
            ("handle", String::from_utf8_lossy(&handle.stdout).trim().to_owned()),
            ("uptime", uptime.split(' ').next().unwrap_or_default().to_owned()),
            ("host-name", host_name.trim().to_owned()),
            ("free-port", free_port.map(|address| address.port()).unwrap_or_default().to_string()),
            ("disk", fs::metadata("/usr").map(|usr| usr.dev()).unwrap_or_default().to_string()),
            ("cgroup2", self.ground.cgroup2.clone().unwrap_or_default()),
            ("secret-file", format!("{directory}/secret")),
            ("private-file", format!("{directory}/private")),
            ("target", format!("{directory}/target")),
            ("copy", format!("{directory}/bin/attack")),
            ("bin", self.ground.bin().display().to_string()),
            ("dir", directory),
            ("name", self.name.clone()),
            ("secret", self.secret.clone()),
        ]);
        Ok(())
    }

    /// `text` with the places of this stage for the names in braces.
    pub(crate) fn fill(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, value) in &self.places {
            filled = filled.replace(&format!("{{{name}}}"), value);
        }
        filled
    }

    pub(crate) fn fill_all(&self, words: &[&str]) -> Vec<String> {
        words.iter().map(|word| self.fill(word)).collect()
    }

    /// The directory in which everything starts, and which everybody may write.
    pub(crate) fn work(&self) -> PathBuf {
        self.directory.join("work")
    }

    /// Makes a copy of the program, and gives the directory that holds it.
    pub(crate) fn own_copy(&self) -> Result<PathBuf, String> {
        let directory = self.directory.join("bin");
        let copied = fs::create_dir_all(&directory)
            .and_then(|()| fs::copy(&self.ground.attack, directory.join("attack")))
            .and_then(|_| chown(directory.join("attack"), self.account.uid, None));
        copied.map_err(|error| format!("cannot copy the program: {error}"))?;
        Ok(directory)
    }

    /// Asks the process outside whether it is as it was.
    pub(crate) fn remains(&mut self) -> Remains {
        let mut heard = Vec::new();
        let before = self.state(&mut heard);
        let hurt = match before.as_deref() {
            Ok("state 6c617a6172657421") => None,
            Ok(other) => Some(format!("its memory was changed: {other}")),
            Err(why) => Some(why.to_owned()),
        };
        Remains { hurt, heard }
    }

    fn state(&mut self, heard: &mut Vec<String>) -> Result<String, String> {
        if let Ok(Some(status)) = self.outside.try_wait() {
            heard.extend(self.lines.try_iter());
            return Err(format!("the process outside has ended: {status}"));
        }
        // What was sent over a socket may still be on its way to the thread that tells of it.
        std::thread::sleep(Duration::from_millis(20));
        let asked = self.outside.stdin.as_mut().map(|input| input.write_all(b"state\n").and_then(|()| input.flush()));
        if !matches!(asked, Some(Ok(()))) {
            return Err("the process outside does not listen".to_owned());
        }
        let patience = Instant::now() + Duration::from_secs(3);
        loop {
            let left = patience.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.starts_with("heard ") => heard.push(line),
                Ok(line) => return Ok(line),
                Err(_) => return Err("the process outside does not answer".to_owned()),
            }
        }
    }

    /// The processes of this run that are alive, as [`Stage::processes`], looked for several times: one that always
    /// forks may have another number between two looks.
    pub(crate) fn processes_left(&self) -> Vec<String> {
        (0..8).map(|_| self.processes()).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// The processes of this run that are alive, but for the one outside.
    pub(crate) fn processes(&self) -> Vec<String> {
        let own = self.outside.id().to_string();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
        pids.filter(|pid| *pid != own && pid.bytes().all(|byte| byte.is_ascii_digit()))
            .filter_map(|pid| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                line.contains(&self.name).then(|| format!("{pid} ({})", line.trim()))
            })
            .collect()
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        // A stopped process ends by SIGKILL too, and one that has ended is what is wanted. So with the rest.
        drop(self.outside.kill());
        drop(self.outside.wait());
        for _ in 0..100 {
            if self.processes_left().is_empty() {
                break;
            }
            drop(launch::run(Command::new(&self.ground.attack).args(["end", &self.name]), PATIENCE));
        }
        drop(fs::remove_file(Path::new("/dev/shm").join(&self.name)));
        // A jail that failed does not cost the machine what its job made, nor does a control.
        for place in ["/", "/usr", "/usr/local", "/usr/bin", "/etc", "/opt"] {
            drop(fs::remove_file(Path::new(place).join(&self.name)));
        }
        for place in ["/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"] {
            drop(fs::remove_dir(Path::new(place).join(&self.name)));
        }
        drop(fs::remove_dir_all(&self.directory));
    }
}

fn secret() -> std::io::Result<String> {
    let mut bytes = [0_u8; 16];
    std::io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(format!("secret-{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

fn furnish(directory: &Path, account: &Account, name: &str, secret: &str) -> std::io::Result<()> {
    let open = |path: &Path| fs::set_permissions(path, Permissions::from_mode(0o777));
    for directory in [directory.to_path_buf(), directory.join("work")] {
        fs::create_dir(&directory)?;
        open(&directory)?;
    }
    fs::write(directory.join("secret"), secret)?;
    fs::write(directory.join("private"), secret)?;
    fs::set_permissions(directory.join("private"), Permissions::from_mode(0o600))?;
    chown(directory.join("private"), account.uid, None)?;
    fs::write(directory.join(name), "a file with this name")?;
    fs::write(directory.join("target"), "as it was\n")?;
    open(&directory.join("target"))
}

fn start(command: &mut Command) -> Result<(Child, Receiver<String>), String> {
    let spawned =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).process_group(0).spawn();
    let mut outside = spawned.map_err(|error| format!("cannot start the process outside: {error}"))?;
    let output = outside.stdout.take().ok_or_else(|| "no output".to_owned())?;
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    Ok((outside, lines))
}
