//! The comparison in Markdown.

use super::{Timings, WHAT};
use crate::host;
use crate::output::Table;
use crate::stats::{Summary, median, microseconds};

/// Slower is a median that is above the other by more than this share and by more than so many nanoseconds, when three of
/// four rounds were lost as well.
const SHARE: f64 = 0.03;
const LEAST_NS: f64 = 2.0;
/// Installing takes a hundred microseconds and more.
const LEAST_INSTALL_NS: f64 = 2000.0;

pub(super) fn markdown(timings: &[Timings], rounds: u32, load_before: &str) -> String {
    let mut table = Table::new(&["filter", "instructions", "build, µs", "install, µs", "getppid", "read", "openat"]);
    for contender in timings {
        let mut cells = vec![
            contender.name.clone(),
            contender.instructions.to_string(),
            median(&contender.build_ns).map_or_else(|| "–".to_owned(), microseconds),
        ];
        cells.extend((0..WHAT.len()).map(|what| match contender.summary(what) {
            Some(_) if what == 0 && contender.instructions == 0 => "–".to_owned(),
            Some(summary) if what == 0 => format!("{:.1}", summary.median / 1e5),
            Some(summary) => format!("{:.1}", summary.median / 100.0),
            None => "–".to_owned(),
        }));
        table.row(cells);
    }
    let slower = slower(timings);
    let verdict = if slower.is_empty() { "met".to_owned() } else { format!("MISSED: {}", slower.join("; ")) };
    format!(
        "# What a system-call filter costs\n\n{}- {rounds} rounds, everybody once in each\n\n{}\n\
         Calls in nanoseconds, medians over the rounds of the quietest of five blocks: `getppid`; `read` of one byte of an empty pipe that does not block; `openat` of a file that \
         is not there. `default` is the profile, in which all three are always allowed; in `conditional` `read` and `openat` look at \
         an argument. Everybody has the same rules. `build` makes the program in the process, `install` is seccomp(2).\n\n\
         Promise: no slower than the better of libseccomp's two, in any column but `build`. Slower is what differs by more than \
         {:.0} % and {LEAST_NS} ns (install: 2 µs) in the median, and in three of four rounds: {verdict}\n\nPromise: a call that is always allowed costs the same however long the \
         filter is (`default` and `made long`), by the same measure: {}\n",
        host::markdown(load_before),
        table.to_markdown(),
        SHARE * 100.0,
        constant(timings),
    )
}

/// What we are slower at than the better of libseccomp's two.
pub(super) fn slower(timings: &[Timings]) -> Vec<String> {
    let mut slower = Vec::new();
    for own in timings.iter().filter(|own| own.name.ends_with(": lazaret")) {
        let source = own.name.split(':').next().unwrap_or_default();
        for (what, name) in WHAT.iter().enumerate() {
            let theirs = timings.iter().filter(|other| other.name.starts_with(&format!("{source}: libseccomp")));
            let best = theirs
                .filter_map(|other| Some((other.middle(what)?, other)))
                .min_by(|one, other| one.0.total_cmp(&other.0));
            if let (Some(mine), Some((middle, best))) = (own.middle(what), best)
                && is_slower(own, best, what)
            {
                slower.push(format!("{name} of {source}: {mine:.1} against {middle:.1} ns"));
            }
        }
    }
    slower
}

/// Whether `own` is slower than `other`: by its median, and in most rounds, so that a few bad moments do not decide.
fn is_slower(own: &Timings, other: &Timings, what: usize) -> bool {
    let (Some(mine), Some(best)) = (own.middle(what), other.middle(what)) else {
        return false;
    };
    let least = if what == 0 { LEAST_INSTALL_NS } else { LEAST_NS };
    let pairs = || own.hundredths_ns[what].iter().zip(&other.hundredths_ns[what]);
    let lost = pairs().filter(|(own, other)| own > other).count();
    mine - best > least && mine > best * (1.0 + SHARE) && lost * 4 >= pairs().count() * 3
}

/// Whether what is always allowed costs the same in a long filter.
fn constant(timings: &[Timings]) -> String {
    let of = |name: &str| timings.iter().find(|contender| contender.name == name);
    let (Some(short), Some(long)) = (of("default: lazaret"), of("default, made long: lazaret")) else {
        return "not measured".to_owned();
    };
    let differing: Vec<_> =
        (1..WHAT.len()).filter(|what| is_slower(long, short, *what)).map(|what| WHAT[what]).collect();
    if differing.is_empty() { "met".to_owned() } else { format!("MISSED: {}", differing.join(", ")) }
}

impl Timings {
    fn summary(&self, what: usize) -> Option<Summary> {
        Summary::of(&self.hundredths_ns[what])
    }

    /// The median in nanoseconds.
    fn middle(&self, what: usize) -> Option<f64> {
        self.summary(what).map(|summary| summary.median / 100.0)
    }
}
