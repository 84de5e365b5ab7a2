//! The directories that runs have to themselves.

use lazaret_sys::landlock::{self, Ruleset, RulesetAttr, access};
use rustix::fs::{Mode, OFlags};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The private places: each run's working directory is `job` in them, and its directory for temporary files `tmp`.
pub(super) struct Scene {
    pub(super) root: PathBuf,
    /// Removes it in the end.
    _directory: tempfile::TempDir,
}

impl Drop for Scene {
    fn drop(&mut self) {
        open_up(&self.root);
    }
}

impl Scene {
    pub(super) fn new(scratch: &Path) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("lazaret-learn-").tempdir_in(scratch)?;
        let root = fs::canonicalize(directory.path())?;
        Ok(Self { root, _directory: directory })
    }

    pub(super) fn job(&self) -> PathBuf {
        self.root.join("job")
    }

    pub(super) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Both directories, empty.
    pub(super) fn clear(&self) -> io::Result<()> {
        for directory in [self.job(), self.tmp()] {
            match fs::remove_dir_all(&directory) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    open_up(&directory);
                    fs::remove_dir_all(&directory)?;
                }
                _ => {}
            }
            fs::create_dir(&directory)?;
        }
        Ok(())
    }

    /// `/job` and `/tmp` of a policy, as these.
    pub(super) fn place(&self, value: &str) -> String {
        for (guest, host) in [("/job", self.job()), ("/tmp", self.tmp())] {
            if let Some(rest) = value.strip_prefix(guest).filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                return format!("{}{rest}", host.display());
            }
        }
        value.to_owned()
    }

    /// The rules that keep writes in here. `None` where the kernel has no Landlock.
    pub(super) fn ruleset(&self) -> io::Result<Option<Ruleset>> {
        const WRITABLE: [&str; 8] =
            ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/pts", "/dev/ptmx"];
        let abi = landlock::abi().unwrap_or(0);
        // Reading, listing, executing and what devices answer are free; the rest is what changes something.
        let free = access::EXECUTE | access::READ_FILE | access::READ_DIR | access::IOCTL_DEV;
        let handled = access::known(abi) & !free;
        if handled == 0 {
            return Ok(None);
        }
        let ruleset = Ruleset::new(&RulesetAttr { handled_access_fs: handled, ..RulesetAttr::default() }, abi)?;
        let open = |path: &Path| rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        ruleset.allow(open(&self.root)?.as_fd(), handled)?;
        if let Ok(shared) = open(Path::new("/dev/shm")) {
            ruleset.allow(shared.as_fd(), handled)?;
        }
        for device in WRITABLE {
            if let Ok(device) = open(Path::new(device)) {
                ruleset.allow(device.as_fd(), handled & (access::WRITE_FILE | access::TRUNCATE))?;
            }
        }
        Ok(Some(ruleset))
    }
}

/// Gives directories below back to their owner, so that they can be removed.
fn open_up(directory: &Path) {
    if fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).is_err() {
        return;
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}
