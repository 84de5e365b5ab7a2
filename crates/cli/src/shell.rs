//! `lazaret completions` and `lazaret man`, from the argument definitions.

use crate::args::Program;
use crate::message::{self, Failure};
use clap::CommandFactory;
use std::path::Path;

pub(crate) fn completions(shell: clap_complete::Shell) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Program::command(), "lazaret", &mut script);
    message::print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

pub(crate) fn man(directory: Option<&Path>) -> Result<u8, Failure> {
    let failed =
        |e: std::io::Error| Failure::message(format!("cannot write the manual: {e}"), "name another directory");
    match directory {
        Some(directory) => clap_mangen::generate_to(Program::command(), directory).map_err(failed)?,
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Program::command()).render(&mut page).map_err(failed)?;
            message::print(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(0)
}
