//! `lazaret rollout`.

use crate::args::Rollout as Args;
use crate::message::{self, Failure};
use crate::profiles::json;
use lazaret_observe::tally::{self, Tally};

pub(crate) fn rollout(args: &Args) -> Result<u8, Failure> {
    let tally = Tally::read(&args.reports).map_err(|e| Failure::new(&e, Some(e.hint().to_owned())))?;
    let text = if args.json { json(&tally)? } else { tally::summary(&tally) };
    message::print(&text)?;
    Ok(0)
}
