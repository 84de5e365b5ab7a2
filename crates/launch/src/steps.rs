//! A launch as data: the system calls that build a jail, in order.
//!
//! [`Steps`] is what `lazaret plan --steps` prints and what is laid out for the launched processes, in one block or in
//! several: the shell of a jail, which is the same for every policy; the room that a policy wants; one job.

pub mod block;
pub mod job;
pub mod landlock;
pub mod words;

pub use lazaret_init::format::{List, op};

use lazaret_policy::Layer;
use std::borrow::Cow;
use std::ffi::CString;
use std::fmt;

/// A place that holds a descriptor during a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot(pub u8);

/// A system call or an operation of the walker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Its number, for the kernel or the walker.
    pub number: i64,
    /// Its name.
    pub name: &'static str,
}

/// The call whose libc constant is given: `call!(SYS_openat)`.
#[macro_export]
macro_rules! call {
    ($name:ident) => {
        $crate::steps::Call { number: ::libc::$name, name: stringify!($name) }
    };
    (op $name:ident) => {
        $crate::steps::Call { number: $crate::steps::op::$name as i64, name: stringify!($name) }
    };
}
#[doc(inline)]
pub use crate::call;

/// One argument of a step.
#[derive(Debug, Clone)]
pub enum Value {
    /// A number.
    Number(u64),
    /// A number that is known by a name.
    Named(u64, &'static str),
    /// A NUL-terminated string, passed by address.
    Text(CString),
    /// A structure, passed by address, shown by its name.
    Structure(Box<Structure>),
    /// The descriptor in a slot.
    Descriptor(Slot),
}

/// Bytes in memory, in which some words are addresses of other bytes.
#[derive(Debug, Clone)]
pub struct Structure {
    /// How to show it.
    pub shown: Cow<'static, str>,
    /// Its bytes, in the kernel's layout.
    pub bytes: Vec<u8>,
    /// Offsets in `bytes` of 64-bit words to be replaced by the address of a copy of the bytes beside.
    pub addresses: Vec<(usize, Vec<u8>)>,
}

impl Structure {
    /// A structure of 64-bit words.
    pub fn words(shown: impl Into<Cow<'static, str>>, words: &[u64]) -> Self {
        let bytes = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        Self { shown: shown.into(), bytes, addresses: Vec::new() }
    }
}

/// What a step serves: it tells a failure's meaning, and under which name its time is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Part {
    /// Enter the job's cgroups.
    Cgroup,
    /// Take the job's user id.
    Identity,
    /// Make the namespaces.
    Namespaces,
    /// Map the job's ids into its user namespace.
    IdMaps,
    /// The time namespace.
    Time,
    /// Host name, keyring, limits of nested namespaces.
    Isolation,
    /// Assemble the root.
    Root,
    /// Mount a procfs of the job's own pid namespace.
    Proc,
    /// Copy the inputs.
    Inputs,
    /// Make the new root the only one.
    Pivot,
    /// Enter the network namespace, bring its loopback interface up.
    Network,
    /// Give up every capability.
    Capabilities,
    /// Landlock.
    Landlock,
    /// Start the job's process.
    Fork,
    /// Session, limits, signals of the job's process.
    Process,
    /// The system-call filter.
    Filter,
    /// Hand descriptors to the caller.
    Handover,
    /// Wait for the caller.
    Waiting,
}

impl Part {
    /// Its name, as in the report's `setup_steps`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Identity => "identity",
            Self::Namespaces => "namespaces",
            Self::IdMaps => "id-maps",
            Self::Time => "time",
            Self::Isolation => "isolation",
            Self::Root => "root",
            Self::Proc => "proc",
            Self::Inputs => "inputs",
            Self::Pivot => "pivot",
            Self::Network => "network",
            Self::Capabilities => "capabilities",
            Self::Landlock => "landlock",
            Self::Fork => "fork",
            Self::Process => "process",
            Self::Filter => "filter",
            Self::Handover => "handover",
            Self::Waiting => "waiting",
        }
    }

    /// The layer that a failure of this part takes away.
    pub fn layer(self) -> Option<Layer> {
        match self {
            Self::Cgroup => Some(Layer::Cgroup),
            Self::Identity => Some(Layer::JobUid),
            Self::Namespaces | Self::IdMaps => Some(Layer::UserNamespace),
            Self::Time => Some(Layer::TimeNamespace),
            Self::Root | Self::Proc | Self::Pivot => Some(Layer::MountNamespace),
            Self::Network => Some(Layer::NetworkNamespace),
            Self::Landlock => Some(Layer::Landlock),
            Self::Filter => Some(Layer::Seccomp),
            Self::Isolation
            | Self::Inputs
            | Self::Capabilities
            | Self::Fork
            | Self::Process
            | Self::Handover
            | Self::Waiting => None,
        }
    }
}

/// Which failures of a step count as success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerate {
    /// None.
    Nothing,
    /// This errno.
    Errno(i32),
    /// Any: the step is one more layer behind others that hold without it.
    Anything,
}

/// One step of a launch.
#[derive(Debug, Clone)]
pub struct Step {
    /// What is called.
    pub call: Call,
    /// With what.
    pub args: Vec<Value>,
    /// Where the answer is kept.
    pub save: Option<Slot>,
    /// What may fail.
    pub tolerate: Tolerate,
    /// What it serves.
    pub part: Part,
}

/// All steps of a launch and the program at its end.
#[derive(Debug, Clone)]
pub struct Steps {
    /// The slots that every block has.
    pub carried: Carried,
    lists: [Vec<Step>; List::COUNT],
    slot_names: Vec<Cow<'static, str>>,
    marks: Vec<(List, Part)>,
    temporaries: [Option<Slot>; 2],
    /// What the last list executes.
    pub program: ProgramVectors,
    /// What the calls between filter and exec hold in their sixth register.
    pub(crate) token: u64,
    /// Whether the launch may ask, under the filter, if a file is there.
    pub(crate) may_look: bool,
}

/// What to execute, as execve(2) takes it.
#[derive(Debug, Clone, Default)]
pub struct ProgramVectors {
    /// Paths to try in turn.
    pub candidates: Vec<CString>,
    /// The argument vector.
    pub arguments: Vec<CString>,
    /// The environment.
    pub environment: Vec<CString>,
}

/// The slots that keep their descriptors from one block to the next: [`lazaret_init::format::CARRIED`].
#[derive(Debug, Clone, Copy)]
pub struct Carried {
    /// Process 1's end of the channel to the caller.
    pub channel: Slot,
    /// The job's directory, for inputs and for collecting.
    pub job_directory: Slot,
    /// The scratch file system's own directory, above /job and /tmp.
    pub scratch: Slot,
    /// The mount namespace, for taking it down later.
    pub mount_namespace: Slot,
    /// Landlock's ruleset.
    pub ruleset: Slot,
    /// The filter's listener.
    pub listener: Slot,
    /// Where the job asks for addresses of names, by datagrams.
    pub questions: Slot,
    /// The same by connections.
    pub question_streams: Slot,
    /// Where the job's connections go whose requests are looked at.
    pub requests: Slot,
}

impl Carried {
    const NAMES: [&str; 9] = [
        "channel",
        "job directory",
        "scratch",
        "mount namespace",
        "ruleset",
        "listener",
        "questions",
        "question streams",
        "requests",
    ];
    const SLOTS: Self = Self {
        channel: Slot(0),
        job_directory: Slot(1),
        scratch: Slot(2),
        mount_namespace: Slot(3),
        ruleset: Slot(4),
        listener: Slot(5),
        questions: Slot(6),
        question_streams: Slot(7),
        requests: Slot(8),
    };

    /// What the caller gets back, in this order.
    pub fn handed_over(self) -> [Slot; 7] {
        [
            self.job_directory,
            self.scratch,
            self.mount_namespace,
            self.listener,
            self.questions,
            self.question_streams,
            self.requests,
        ]
    }
}

const _: () = assert!(Carried::NAMES.len() == lazaret_init::format::CARRIED);
const _: () = assert!(Carried::SLOTS.channel.0 as usize == lazaret_init::format::CHANNEL);

impl Default for Steps {
    fn default() -> Self {
        Self {
            carried: Carried::SLOTS,
            lists: Default::default(),
            slot_names: Carried::NAMES.map(Cow::Borrowed).to_vec(),
            marks: Vec::new(),
            temporaries: [None; 2],
            program: ProgramVectors::default(),
            token: 0,
            may_look: false,
        }
    }
}

impl Steps {
    /// A new slot. Slots are few: a launch that needs more than the block has is refused when it is laid out.
    pub fn slot(&mut self, name: impl Into<Cow<'static, str>>) -> Slot {
        self.slot_names.push(name.into());
        Slot(u8::try_from(self.slot_names.len() - 1).unwrap_or(u8::MAX))
    }

    /// Adds a step to the end of `list`.
    pub fn add(&mut self, list: List, part: Part, call: Call, args: Vec<Value>) -> &mut Step {
        let steps = &mut self.lists[list as usize];
        steps.push(Step { call, args, save: None, tolerate: Tolerate::Nothing, part });
        let last = steps.len() - 1;
        &mut steps[last]
    }

    /// Notes the time before the steps of `part`.
    pub fn mark(&mut self, list: List, part: Part) {
        let mark = self.marks.len() as u64;
        self.marks.push((list, part));
        self.add(list, part, call!(op MARK), vec![Value::Named(mark, part.name())]);
    }

    /// A slot for a descriptor that lives for a few steps only. They are used in turn, because two such lives overlap
    /// at most (a file system's context and its mount).
    pub fn scratch_slot(&mut self) -> Slot {
        self.temporaries.rotate_left(1);
        if let Some(slot) = self.temporaries[0] {
            return slot;
        }
        let slot = self.slot("fd");
        self.temporaries[0] = Some(slot);
        slot
    }

    /// Which parts the marks stand before, in the order of their numbers.
    pub fn marks(&self) -> &[(List, Part)] {
        &self.marks
    }

    /// The steps of one list.
    pub fn list(&self, list: List) -> &[Step] {
        &self.lists[list as usize]
    }

    /// How many slots are in use.
    pub fn slots(&self) -> usize {
        self.slot_names.len()
    }

    fn slot_name(&self, slot: Slot) -> &str {
        self.slot_names.get(usize::from(slot.0)).map_or("?", |name| name)
    }

    /// What the step does, and how: a sentence, then the call in the manner of strace(1).
    pub fn tell(&self, list: List, step: &Step) -> String {
        format!("{}: {}", self.say(list, step), self.show(step))
    }

    /// One step as a call, in the manner of strace(1).
    pub fn show(&self, step: &Step) -> String {
        use fmt::Write;
        let mut text = String::new();
        let name = step.call.name.strip_prefix("SYS_").unwrap_or(step.call.name);
        let args: Vec<String> = step.args.iter().map(|a| self.show_value(a)).collect();
        let written = write!(text, "{name}({})", args.join(", "));
        debug_assert!(written.is_ok(), "writing to a String does not fail");
        if let Some(slot) = step.save {
            text.push_str(" → ");
            text.push_str(self.slot_name(slot));
        }
        text
    }

    fn show_value(&self, value: &Value) -> String {
        match value {
            Value::Number(n) => format!("{}", n.cast_signed()),
            Value::Named(bits, words::ATTRIBUTES) => words::attributes(*bits),
            Value::Named(bits, words::RIGHTS) => format!("{{{}}}", words::rights(*bits, "|")),
            Value::Named(_, name) => (*name).to_owned(),
            Value::Text(text) => format!("{text:?}"),
            Value::Structure(structure) => structure.shown.clone().into_owned(),
            Value::Descriptor(slot) => format!("<{}>", self.slot_name(*slot)),
        }
    }
}

impl Step {
    /// Keeps the answer in `slot`.
    pub fn save(&mut self, slot: Slot) -> &mut Self {
        self.save = Some(slot);
        self
    }

    /// Lets a failure pass.
    pub fn tolerate(&mut self, tolerate: Tolerate) -> &mut Self {
        self.tolerate = tolerate;
        self
    }

    /// What the step serves.
    pub fn part(&self) -> Part {
        self.part
    }
}

/// A string argument. Callers pass no NUL: paths and names were checked when the plan was made.
pub fn text(bytes: impl Into<Vec<u8>>) -> Value {
    let mut bytes = bytes.into();
    bytes.retain(|byte| *byte != 0);
    Value::Text(CString::new(bytes).unwrap_or_default())
}

/// A named constant.
#[macro_export]
macro_rules! named {
    ($($name:ident)|+) => {
        $crate::steps::Value::Named($(::libc::$name as u64)|+, concat!($("|", stringify!($name)),+).split_at(1).1)
    };
}
#[doc(inline)]
pub use crate::named;
