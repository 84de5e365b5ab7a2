//! The attacks, a row for each.

use crate::probe::Under;

/// What shows outside that an attack works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// Somebody was connected to whom no rule permits.
    Connection,
    /// Somebody got a datagram.
    Datagram,
    /// A port of the outside was listened on.
    Listening,
    /// The outside joined a group.
    Group,
    /// A name server of the outside was asked.
    Name,
    /// The attack says so itself.
    Claimed,
    /// Outside there is nobody to attack, and why.
    Nothing(&'static str),
}

/// One attack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// Its name on the command line of `attack`.
    pub(crate) name: &'static str,
    /// The end of "a job cannot …".
    pub(crate) about: &'static str,
    /// How many connections to the one who is permitted it has to come to in the jail.
    pub(crate) least: u64,
    /// What is seen in the control.
    pub(crate) shows: Shows,
    /// What it is run with: the end of its name.
    pub(crate) with: &'static str,
    /// The sandbox is killed, at many moments.
    pub(crate) is_killed: bool,
    /// Words for the arena.
    pub(crate) words: &'static str,
    /// Further options of `lazaret run`.
    pub(crate) options: &'static [&'static str],
    /// The verdicts that are right.
    pub(crate) verdicts: &'static [&'static str],
    /// Whether the default policy keeps the job from even trying.
    pub(crate) only_wide: bool,
}

impl Row {
    /// Why it is not run on a network that is the host's.
    pub(crate) fn needs_own_network(&self) -> Option<&'static str> {
        match self.shows {
            Shows::Group => Some("it would tell the host's network of groups, should it work"),
            Shows::Name => Some("it would ask the host's name server"),
            _ => None,
        }
    }

    /// Whether the sandbox has few descriptors.
    pub(crate) fn has_few_descriptors(&self) -> bool {
        self.words.starts_with("descriptors=")
    }

    /// Whether it need not even be tried.
    pub(crate) fn is_excused(&self, under: Under) -> bool {
        self.only_wide && under == Under::Default
    }

    const fn new(name: &'static str, about: &'static str, shows: Shows) -> Self {
        let (words, options): (&str, &[&str]) = ("", &[]);
        Self {
            name,
            about,
            least: 50,
            shows,
            with: "",
            is_killed: false,
            words,
            options,
            verdicts: &["exit"],
            only_wide: false,
        }
    }

    const fn least(mut self, least: u64) -> Self {
        self.least = least;
        self
    }

    const fn options(mut self, options: &'static [&'static str]) -> Self {
        self.options = options;
        self
    }

    /// The same with something done to the sandbox. There is no control, as the attack has one.
    const fn with(mut self, what: &'static str, words: &'static str) -> Self {
        (self.with, self.words) = (what, words);
        self.shows = Shows::Nothing("there is no supervisor");
        self
    }

    const fn killed(mut self) -> Self {
        self.is_killed = true;
        self
    }

    const fn verdicts(mut self, verdicts: &'static [&'static str]) -> Self {
        self.verdicts = verdicts;
        self
    }

    const fn only_wide(mut self) -> Self {
        self.only_wide = true;
        self
    }
}

const MANY: &[&str] = &["--limit", "processes=4000"];

pub(crate) const ROWS: &[Row] = &[
    Row::new("net-unspec", "undo a connection and make another", Shows::Connection),
    Row::new("net-shut", "end a connection on its way and make another", Shows::Connection).least(0),
    Row::new("net-failed", "go on after a connection that failed", Shows::Connection).least(0),
    Row::new("net-listen", "listen on a port of the outside", Shows::Listening),
    Row::new("net-send-to", "send to an address", Shows::Connection),
    Row::new("net-options", "make other objects of sockets", Shows::Connection),
    Row::new("net-datagrams", "send datagrams", Shows::Datagram).least(0),
    Row::new("net-memory", "change the address while it is looked at", Shows::Connection),
    Row::new("net-number", "change what a number stands for", Shows::Connection).least(6),
    Row::new("net-local", "have the kernel go on with another socket", Shows::Connection).least(16).only_wide(),
    Row::new("net-passed", "have another process use its socket", Shows::Connection),
    Row::new("net-exec", "become another program while calls wait", Shows::Connection).least(10).options(MANY),
    Row::new("net-vfork", "connect by children that die", Shows::Connection),
    Row::new("net-rings", "connect by a ring of calls", Shows::Connection).least(16),
    Row::new("net-signals", "connect elsewhere under a storm of signals", Shows::Connection).least(20),
    Row::new("net-deaths", "use the calls of the dead", Shows::Connection).least(10).options(MANY),
    Row::new("net-threads", "race its own threads", Shows::Connection).least(10).options(MANY),
    Row::new("net-pending", "keep others from connecting by calls that wait", Shows::Nothing("there is no supervisor"))
        .least(16)
        .options(MANY),
    Row::new("net-own-limit", "have no room for what it is given", Shows::Connection).least(20),
    Row::new("net-linger", "hold up its supervisor's close", Shows::Nothing("there is no supervisor")).least(0),
    Row::new("net-blocking", "have its supervisor wait for a connection", Shows::Nothing("there is no supervisor"))
        .least(0),
    Row::new("net-lengths", "give addresses of bad lengths", Shows::Connection).least(1),
    Row::new("net-descriptors", "connect what is no socket", Shows::Nothing("nothing is no socket's")).least(0),
    Row::new("net-kinds", "connect by another kind of socket", Shows::Connection).least(0),
    Row::new("net-groups", "have the host join a group", Shows::Group),
    Row::new("net-requests", "ask for the host's interfaces", Shows::Claimed).least(1),
    Row::new("net-namespace", "come into the host's network", Shows::Claimed).least(20),
    Row::new("net-taken", "take a socket out of another process", Shows::Connection).least(0).only_wide(),
    Row::new("net-traced", "change another's registers in a call", Shows::Connection).least(0).only_wide(),
    Row::new("net-filters", "answer its own calls", Shows::Connection).least(0).options(MANY),
    Row::new("net-pipes", "move bytes where it may not send", Shows::Connection),
    Row::new("net-threads", "race its own threads", Shows::Connection)
        .least(1)
        .with("its supervisor killed", "")
        .killed(),
    Row::new("net-deaths", "use the calls of the dead", Shows::Connection)
        .least(0)
        .with("its supervisor killed", "")
        .killed()
        .options(MANY),
    Row::new("net-threads", "race its own threads", Shows::Connection)
        .least(10)
        .with("its supervisor stopped again and again", "stops"),
    Row::new("net-memory", "change the address while it is looked at", Shows::Connection)
        .least(10)
        .with("its supervisor stopped again and again", "stops")
        .verdicts(&["exit", "timeout"]),
    Row::new("net-pending", "keep others from connecting by calls that wait", Shows::Connection)
        .least(1)
        .with("few descriptors", "descriptors=64")
        .options(MANY),
    Row::new("net-threads", "race its own threads", Shows::Connection)
        .least(1)
        .with("few descriptors", "descriptors=48"),
    Row::new("net-names", "ask for names", Shows::Name).least(0),
    Row::new("net-name-streams", "ask for names by streams", Shows::Nothing("the arena's name server has none"))
        .least(0),
];
