//! Programs in C that are measured, or measure.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// `source`, compiled in `directory`. `flags` go behind it, and `needs` says what is missing where that fails.
pub(crate) fn compile(directory: &Path, source: &str, flags: &[&str], needs: &str) -> Result<PathBuf> {
    let (text, helper) = (directory.join("helper.c"), directory.join("helper"));
    std::fs::write(&text, source).context("cannot write to the temporary directory")?;
    let compiled = Command::new("cc").args(["-O2", "-Wall", "-o"]).arg(&helper).arg(&text).args(flags).output();
    let output = compiled.context("cannot start the C compiler; install gcc")?;
    if !output.status.success() {
        bail!("cannot compile the helper; install {needs}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(helper)
}
