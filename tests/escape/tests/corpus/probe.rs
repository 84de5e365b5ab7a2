//! What the table says of a probe.

/// The user under whom everything is started that is not started by root.
pub(crate) const ACCOUNT: &str = "lazaret-test";

/// One attack, how it is run in the jail, how it is judged, and how it is shown to work outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    /// Its name on the command line of `attack`.
    pub(crate) name: &'static str,
    /// What it does: the end of "a job cannot …".
    pub(crate) about: &'static str,
    /// Its arguments in the jail, with places of the stage in braces.
    pub(crate) args: &'static [&'static str],
    /// The policies it is run under.
    pub(crate) under: &'static [Under],
    /// What it is run within, in words of `attack within`, both in the jail's caller and in the control.
    pub(crate) around: &'static str,
    /// Further options of `lazaret run`.
    pub(crate) options: &'static [&'static str],
    /// The standard descriptors.
    pub(crate) streams: Streams,
    /// How the job has to end.
    pub(crate) fate: Fate,
    /// How it has to end where nobody may make a cgroup for it.
    pub(crate) fate_without_cgroup: Option<Fate>,
    /// What shows that it worked: none of these may be seen with the jail, all of them without.
    pub(crate) shows: &'static [Effect],
    /// What else happens around it.
    pub(crate) scene: Scene,
    /// How it is run outside.
    pub(crate) control: Control,
}

/// A policy for a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Under {
    /// The built-in profile `default`.
    Default,
    /// All system calls that can be allowed, and the whole of `/proc`: what then holds is not the filter.
    Wide,
}

/// Standard descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Streams {
    /// Nothing to read, pipes for what is written.
    Pipes,
    /// To be read from the file `{target}`.
    InputFile,
    /// Written to the file `{target}`, behind what it has.
    OutputFile,
}

/// How a job has to end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// It said that it was blocked, or was killed for trying.
    Blocked,
    /// With one of these verdicts.
    Kinds(&'static [&'static str]),
    /// With a verdict `signal` for this signal.
    Signal(i64),
    /// With a verdict `exit` and this code.
    Code(i64),
    /// Anyhow. What it did is not prevented here; only that nothing is left, and that it ends in time.
    Ends,
}

/// What is seen of an attack that worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It says so.
    Claimed,
    /// It printed the secret of the stage.
    SecretShown,
    /// This file has another content than before.
    Changed(&'static str),
    /// This file does not begin with what it was.
    Cut(&'static str),
    /// This file exists.
    Made(&'static str),
    /// The process outside is dead, stopped or has other memory.
    OutsideHurt,
    /// This reached the process outside.
    Heard(&'static str),
    /// This line was printed, by the surroundings.
    Printed(&'static str),
    /// A process of it lives on.
    ProcessLeft,
    /// It does not end by itself.
    Unending,
    /// Its surroundings were killed.
    SurroundingsKilled,
    /// It ended by this signal.
    Signalled(i32),
    /// It exited with this code.
    Exited(i32),
    /// Reading the output as anyone would gives the secret.
    OutputLeaks,
    /// Reading the output as anyone would does not end.
    OutputBlocks,
    /// The host came in.
    CameIn,
}

/// What happens around a probe.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scene {
    /// Nothing.
    Job,
    /// The job has an output `out`.
    Output,
    /// Another job was there before, with these words.
    After(&'static [&'static str]),
    /// Another job is there, with these words.
    Beside(&'static [&'static str]),
    /// The supervisor is killed while the job runs.
    SupervisorKilled,
    /// The harness tries to come in while the job runs.
    HostComes,
}

/// How a probe is shown to work.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Control {
    /// By running it.
    Shown(Shown),
    /// It cannot be shown, and why.
    Impossible(&'static str),
}

/// A run outside the jail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    /// Further words of `attack within`.
    pub(crate) within: &'static str,
    /// Other arguments than in the jail.
    pub(crate) args: Option<&'static [&'static str]>,
    /// Other effects than in the jail.
    pub(crate) shows: Option<&'static [Effect]>,
    /// As the ordinary user and not as root.
    pub(crate) as_user: bool,
    /// What root itself must have here.
    pub(crate) needs: &'static [Need],
    /// The errors by which a kernel says that it has no such thing: then it cannot be shown here.
    pub(crate) absent: &'static [&'static str],
}

/// What a machine may lack, so that a control cannot be shown on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A capability, by number and name.
    Capability(u32, &'static str),
    /// `core_pattern` names a file, not a program.
    CoreFiles,
    /// `/usr` is on a disk of this machine.
    Disk,
    /// The stage and `/usr` are on one file system.
    OneFileSystem,
    /// A hierarchy of cgroup version 2.
    Cgroup2,
}

const OUTSIDE: Shown = Shown { within: "", args: None, shows: None, as_user: false, needs: &[], absent: &[] };

impl Probe {
    /// A probe without arguments that has to be blocked under both policies and works outside as it is.
    pub(crate) const fn new(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            args: &[],
            under: &[Under::Default, Under::Wide],
            around: "",
            options: &[],
            streams: Streams::Pipes,
            fate: Fate::Blocked,
            fate_without_cgroup: None,
            shows: &[Effect::Claimed],
            scene: Scene::Job,
            control: Control::Shown(OUTSIDE),
        }
    }

    pub(crate) const fn args(mut self, args: &'static [&'static str]) -> Self {
        self.args = args;
        self
    }

    /// Under the default policy alone: another policy may well allow it.
    pub(crate) const fn strict_only(mut self) -> Self {
        self.under = &[Under::Default];
        self
    }

    /// Under the wide policy alone.
    pub(crate) const fn only_wide(mut self) -> Self {
        self.under = &[Under::Wide];
        self
    }

    pub(crate) const fn around(mut self, words: &'static str) -> Self {
        self.around = words;
        self
    }

    pub(crate) const fn options(mut self, options: &'static [&'static str]) -> Self {
        self.options = options;
        self
    }

    pub(crate) const fn streams(mut self, streams: Streams) -> Self {
        self.streams = streams;
        self
    }

    pub(crate) const fn fate(mut self, fate: Fate) -> Self {
        self.fate = fate;
        self
    }

    /// Ends with one of these verdicts.
    pub(crate) const fn verdict(self, kinds: &'static [&'static str]) -> Self {
        self.fate(Fate::Kinds(kinds))
    }

    pub(crate) const fn without_cgroup(mut self, fate: Fate) -> Self {
        self.fate_without_cgroup = Some(fate);
        self
    }

    pub(crate) const fn shows(mut self, effects: &'static [Effect]) -> Self {
        self.shows = effects;
        self
    }

    pub(crate) const fn scene(mut self, scene: Scene) -> Self {
        self.scene = scene;
        self
    }

    pub(crate) const fn cannot_be_shown(mut self, why: &'static str) -> Self {
        self.control = Control::Impossible(why);
        self
    }

    const fn shown(self) -> Shown {
        match self.control {
            Control::Shown(shown) => shown,
            Control::Impossible(_) => OUTSIDE,
        }
    }

    const fn control(mut self, shown: Shown) -> Self {
        self.control = Control::Shown(shown);
        self
    }

    /// The control runs within surroundings made for it.
    pub(crate) const fn control_within(self, within: &'static str) -> Self {
        self.control(Shown { within, ..self.shown() })
    }

    /// The control has these arguments.
    pub(crate) const fn control_args(self, args: &'static [&'static str]) -> Self {
        self.control(Shown { args: Some(args), ..self.shown() })
    }

    /// The control shows other effects than the jail has to prevent.
    pub(crate) const fn control_shows(self, effects: &'static [Effect]) -> Self {
        self.control(Shown { shows: Some(effects), ..self.shown() })
    }

    /// The control runs as the ordinary user.
    pub(crate) const fn control_as_user(self) -> Self {
        self.control(Shown { as_user: true, ..self.shown() })
    }

    pub(crate) const fn control_needs(self, needs: &'static [Need]) -> Self {
        self.control(Shown { needs, ..self.shown() })
    }

    pub(crate) const fn absent_by(self, absent: &'static [&'static str]) -> Self {
        self.control(Shown { absent, ..self.shown() })
    }
}
