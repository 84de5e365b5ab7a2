//! The file tree of a jail.

use super::JOB_DIRECTORY;
use crate::error::PlanError;
use crate::probe::{PathFacts, PathKind};
use lazaret_policy::{Network, Policy, ProcView, Root, Source};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// The file tree: entries in the order in which they are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// What is made.
    pub entries: Vec<Entry>,
    /// Bytes that /job, /tmp and /dev/shm hold together.
    pub disk: u64,
    /// Files that they hold together.
    pub inodes: u64,
    /// Block devices behind the binds: major and minor numbers.
    pub devices: Vec<(u32, u32)>,
    /// Optional paths that this host does not have, and where the policy names them.
    pub left_out: Vec<(PathBuf, Source)>,
    /// Whether the loopback interface will be up.
    pub(crate) loopback: bool,
    /// Whether there are sockets on which the job can ask for addresses of names.
    pub(crate) names: bool,
    /// Which files the paths of the policy were: a room prepared with others shows something else.
    pub(crate) identities: Vec<(u64, u64)>,
}

/// One thing in the tree. Guest paths are absolute and normal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An empty directory, read-only in the end.
    Directory {
        /// Where.
        guest: PathBuf,
    },
    /// A host directory or file, read-only, without devices and set-user-id.
    Bind {
        /// The host path.
        host: PathBuf,
        /// Where it appears.
        guest: PathBuf,
        /// Whether it is a directory.
        directory: bool,
    },
    /// A symbolic link.
    Symlink {
        /// Where.
        guest: PathBuf,
        /// Its text.
        target: PathBuf,
    },
    /// A small file of ours.
    File {
        /// Where.
        guest: PathBuf,
        /// Its content.
        content: String,
    },
    /// A device of the host.
    Device {
        /// The host path.
        host: PathBuf,
        /// Where it appears.
        guest: PathBuf,
    },
    /// A procfs of the job's own pid namespace.
    Proc {
        /// What it shows.
        view: ProcView,
    },
    /// Something of procfs that is hidden under an empty directory or /dev/null.
    Mask {
        /// What.
        guest: PathBuf,
    },
    /// A directory of the job's own, sized memory.
    Scratch {
        /// Where.
        guest: PathBuf,
    },
    /// Pseudo-terminals of the job's own.
    Pts {
        /// Where.
        guest: PathBuf,
    },
    /// A writable view of a host directory; changes stay in the job's memory.
    Cow {
        /// The host directory.
        host: PathBuf,
        /// Where it appears.
        guest: PathBuf,
    },
}

/// One file for each so many bytes of the disk limit, and at least so many files.
const BYTES_PER_INODE: u64 = 16 << 10;
const LEAST_INODES: u64 = 1024;

const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
const DEVICE_LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];
/// An empty directory of the jail's own.
pub(crate) const EMPTY_DIRECTORY: &str = "/mnt";

/// What of a whole procfs tells about the host or acts on it. Those that a host lacks are passed over.
const MASKS: [&str; 31] = [
    "pressure",
    "cmdline",
    "modules",
    "diskstats",
    "partitions",
    "config.gz",
    "slabinfo",
    "vmallocinfo",
    "zoneinfo",
    "locks",
    "swaps",
    "iomem",
    "ioports",
    "sys",
    "irq",
    "bus",
    "fs",
    "acpi",
    "scsi",
    "driver",
    "tty",
    "asound",
    "kcore",
    "keys",
    "key-users",
    "kallsyms",
    "sysrq-trigger",
    "timer_list",
    "sched_debug",
    "kmsg",
    "interrupts",
];

impl Tree {
    pub(crate) fn new(policy: &Policy, facts: &PathFacts) -> Result<Self, PlanError> {
        let files = &policy.files;
        let disk = policy.limits.disk.bytes();
        let mut builder = Builder {
            facts,
            left_out: Vec::new(),
            entries: Vec::new(),
            made: BTreeSet::new(),
            devices: BTreeSet::new(),
        };
        if let Root::Directory(root) = &files.root.value {
            builder.image(root, &files.root.source)?;
        }
        for bind in &files.read {
            builder.bind(&bind.host, &bind.guest, bind.optional, &bind.source)?;
        }
        builder.own_files(&policy.network);
        if policy.network.has_request_rules() {
            // Programs that no variable tells of it find it where they look.
            let own = Path::new(JOB_DIRECTORY).join(lazaret_launch::network::CERTIFICATES);
            for place in lazaret_launch::network::BUNDLES {
                builder.symlink(Path::new(place), &own);
            }
        }
        for device in DEVICES {
            let path = Path::new("/dev").join(device);
            builder.device(&path);
        }
        for device in &files.devices {
            builder.named_device(&device.path, &device.source)?;
        }
        for (name, target) in DEVICE_LINKS {
            builder.symlink(&Path::new("/dev").join(name), Path::new(target));
        }
        builder.proc(files.proc.value);
        for scratch in ["/tmp", JOB_DIRECTORY] {
            builder.scratch(Path::new(scratch));
        }
        if files.shm.value {
            builder.scratch(Path::new("/dev/shm"));
        }
        if files.pts.value {
            builder.symlink(Path::new("/dev/ptmx"), Path::new("pts/ptmx"));
            builder.parents(Path::new("/dev/pts"));
            builder.entries.push(Entry::Pts { guest: "/dev/pts".into() });
        }
        for cow in &files.cow {
            builder.cow(&cow.host, &cow.guest, &cow.source)?;
        }
        Ok(Self {
            disk,
            inodes: (disk / BYTES_PER_INODE).max(LEAST_INODES),
            devices: builder.devices.into_iter().collect(),
            entries: builder.entries,
            left_out: builder.left_out,
            loopback: policy.network.has_loopback(),
            names: policy.network.has_rules(),
            identities: facts.identities().to_vec(),
        })
    }
}

struct Builder<'a> {
    facts: &'a PathFacts,
    left_out: Vec<(PathBuf, Source)>,
    entries: Vec<Entry>,
    made: BTreeSet<PathBuf>,
    devices: BTreeSet<(u32, u32)>,
}

impl Builder<'_> {
    /// The directories above `guest`, where nothing shows them yet.
    fn parents(&mut self, guest: &Path) {
        let above: Vec<PathBuf> =
            guest.ancestors().skip(1).filter(|p| p.parent().is_some()).map(Path::to_owned).collect();
        for directory in above.into_iter().rev() {
            if !self.covered(&directory) && self.made.insert(directory.clone()) {
                self.entries.push(Entry::Directory { guest: directory });
            }
        }
    }

    /// Whether `guest` lies in a bind that is there already.
    fn covered(&self, guest: &Path) -> bool {
        self.entries.iter().any(|entry| match entry {
            Entry::Bind { guest: bound, directory: true, .. } => guest.starts_with(bound),
            _ => false,
        })
    }

    fn taken(&mut self, guest: &Path) -> bool {
        self.parents(guest);
        !self.made.insert(guest.to_owned())
    }

    fn symlink(&mut self, guest: &Path, target: &Path) {
        if !self.taken(guest) {
            self.entries.push(Entry::Symlink { guest: guest.to_owned(), target: target.to_owned() });
        }
    }

    fn bind(&mut self, host: &Path, guest: &Path, optional: bool, source: &Source) -> Result<(), PlanError> {
        check_guest(host, guest, source)?;
        match self.facts.kind(host).clone() {
            PathKind::Missing | PathKind::Symlink { resolved: None, .. } if optional => {
                self.left_out.push((host.to_owned(), source.clone()));
                Ok(())
            }
            PathKind::Missing | PathKind::Symlink { resolved: None, .. } => {
                Err(PlanError::MissingPath { path: host.to_owned(), asked_by: source.clone() })
            }
            PathKind::Symlink { target, resolved: Some(resolved) } => {
                // A link into what the jail shows anyway stays a link; any other shows what it leads to.
                if host == guest && self.shows(&resolved) {
                    self.symlink(guest, &target);
                    return Ok(());
                }
                self.bind(&resolved, guest, optional, source)
            }
            PathKind::Directory { disk } => {
                self.devices.extend(disk);
                self.mount(host, guest, true);
                Ok(())
            }
            PathKind::File => {
                self.mount(host, guest, false);
                Ok(())
            }
            PathKind::CharacterDevice => Err(bad(host, source, "it is a device: name it under `devices`")),
            PathKind::Other(problem) => Err(bad(host, source, problem)),
        }
    }

    fn mount(&mut self, host: &Path, guest: &Path, directory: bool) {
        let redundant = self.entries.iter().any(|entry| match entry {
            Entry::Bind { host: above_host, guest: above, directory: true } => {
                guest.strip_prefix(above).is_ok_and(|rest| above_host.join(rest) == host)
            }
            _ => false,
        });
        if !redundant {
            self.parents(guest);
            self.made.insert(guest.to_owned());
            self.entries.push(Entry::Bind { host: host.to_owned(), guest: guest.to_owned(), directory });
        }
    }

    /// Whether the jail shows the host path `host` under its own name.
    fn shows(&self, host: &Path) -> bool {
        self.entries.iter().any(|entry| match entry {
            Entry::Bind { host: bound, guest, .. } => bound == guest && host.starts_with(bound),
            _ => false,
        })
    }

    /// The entries of a root directory; what Lazaret brings itself is left out.
    fn image(&mut self, root: &Path, source: &Source) -> Result<(), PlanError> {
        if !matches!(self.facts.kind(root), PathKind::Directory { .. }) {
            return Err(PlanError::MissingPath { path: root.to_owned(), asked_by: source.clone() });
        }
        for host in self.facts.listing(root).to_vec() {
            let Some(name) = host.file_name() else { continue };
            let guest = Path::new("/").join(name);
            if ["/proc", "/dev", "/sys", "/tmp", JOB_DIRECTORY].iter().any(|own| guest == Path::new(own)) {
                continue;
            }
            match self.facts.kind(&host).clone() {
                PathKind::Symlink { target, .. } => self.symlink(&guest, &target),
                PathKind::Directory { .. } => self.mount(&host, &guest, true),
                PathKind::File => self.mount(&host, &guest, false),
                PathKind::CharacterDevice | PathKind::Other(_) | PathKind::Missing => {}
            }
        }
        Ok(())
    }

    /// Names for the job's ids, and for itself.
    fn own_files(&mut self, network: &Network) {
        let (id, host_name) = (super::INNER_ID, &network.host_name.value);
        let services = if network.has_rules() { "files dns" } else { "files" };
        let files = [
            ("/etc/passwd", format!("job:x:{id}:{id}::{JOB_DIRECTORY}:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")),
            ("/etc/group", format!("job:x:{id}:\nnogroup:x:65534:\n")),
            ("/etc/hosts", format!("127.0.0.1 localhost {host_name}\n::1 localhost\n")),
            ("/etc/nsswitch.conf", format!("passwd: files\ngroup: files\nhosts: {services}\n")),
        ];
        // Asked without a search list: a name is what it says.
        let names = ("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n".to_owned());
        for (guest, content) in files.into_iter().chain(network.has_rules().then_some(names)) {
            let guest = Path::new(guest);
            if !self.covered(guest) && !self.taken(guest) {
                self.entries.push(Entry::File { guest: guest.to_owned(), content });
            }
        }
    }

    fn device(&mut self, path: &Path) {
        if !self.taken(path) {
            self.entries.push(Entry::Device { host: path.to_owned(), guest: path.to_owned() });
        }
    }

    fn named_device(&mut self, path: &Path, source: &Source) -> Result<(), PlanError> {
        check_path(path, path, source)?;
        match self.facts.kind(path) {
            PathKind::CharacterDevice => {
                self.device(path);
                Ok(())
            }
            PathKind::Missing => Err(PlanError::MissingPath { path: path.to_owned(), asked_by: source.clone() }),
            _ => Err(bad(path, source, "it is no character device")),
        }
    }

    fn proc(&mut self, view: ProcView) {
        if view == ProcView::None {
            return;
        }
        self.made.insert("/proc".into());
        self.entries.push(Entry::Proc { view });
        if view == ProcView::Full {
            // What directories are hidden under.
            if self.made.insert(EMPTY_DIRECTORY.into()) {
                self.entries.push(Entry::Directory { guest: EMPTY_DIRECTORY.into() });
            }
            let masks = MASKS.iter().map(|name| Entry::Mask { guest: Path::new("/proc").join(name) });
            self.entries.extend(masks);
        }
    }

    fn scratch(&mut self, guest: &Path) {
        self.parents(guest);
        self.made.insert(guest.to_owned());
        self.entries.push(Entry::Scratch { guest: guest.to_owned() });
    }

    fn cow(&mut self, host: &Path, guest: &Path, source: &Source) -> Result<(), PlanError> {
        check_guest(host, guest, source)?;
        match self.facts.kind(host) {
            PathKind::Directory { .. } => {
                self.parents(guest);
                self.made.insert(guest.to_owned());
                self.entries.push(Entry::Cow { host: host.to_owned(), guest: guest.to_owned() });
                Ok(())
            }
            PathKind::Missing => Err(PlanError::MissingPath { path: host.to_owned(), asked_by: source.clone() }),
            _ => Err(bad(host, source, "it is no directory")),
        }
    }
}

fn bad(path: &Path, source: &Source, problem: &'static str) -> PlanError {
    PlanError::BadPath { path: path.to_owned(), asked_by: source.clone(), problem }
}

fn check_path(host: &Path, guest: &Path, source: &Source) -> Result<(), PlanError> {
    let normal = |path: &Path| {
        path.is_absolute() && path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)))
    };
    if normal(host) && normal(guest) {
        Ok(())
    } else {
        Err(bad(host, source, "paths must be absolute, without `.` and `..`"))
    }
}

fn check_guest(host: &Path, guest: &Path, source: &Source) -> Result<(), PlanError> {
    check_path(host, guest, source)?;
    let own = ["/proc", "/dev", "/tmp", JOB_DIRECTORY];
    if guest == Path::new("/") || own.iter().any(|own| guest == Path::new(own)) {
        return Err(bad(host, source, "that place in the jail is Lazaret's own"));
    }
    // The kernel's own interfaces act on the host, whoever reads or writes them.
    if ["/proc", "/sys"].iter().any(|kernel| host.starts_with(kernel)) || host == Path::new("/dev") {
        return Err(bad(host, source, "the kernel's interfaces are never shown"));
    }
    Ok(())
}
