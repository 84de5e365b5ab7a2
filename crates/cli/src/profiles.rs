//! `lazaret profiles`.

use crate::args::Profiles;
use crate::message::{self, Failure};

pub(crate) fn profiles(args: &Profiles) -> Result<u8, Failure> {
    let text = match (&args.name, args.json) {
        (Some(name), true) => json(&lazaret::profile(name)?)?,
        (Some(name), false) => {
            // For the error, with the nearest name, if there is none.
            lazaret::profile(name)?;
            lazaret_policy::profiles::builtin(name).unwrap_or_default().to_owned()
        }
        (None, true) => {
            let names: Vec<_> = lazaret::profiles().collect();
            json(&names)?
        }
        (None, false) => list()?,
    };
    message::print(&text)?;
    Ok(0)
}

fn list() -> Result<String, Failure> {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::TableStyle::new()).set_header(["PROFILE", "FOR"]);
    for name in lazaret::profiles() {
        table.add_row([name, &lazaret::profile(name)?.description]);
    }
    Ok(format!("{table}\n"))
}

pub(crate) fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, Failure> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|e| Failure::message(format!("cannot write JSON: {e}"), "this is a defect of Lazaret"))
}
