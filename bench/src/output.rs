//! What is printed, and where results are kept.

use anyhow::{Context, Result};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A line for whoever waits, on standard error.
pub(crate) fn progress(line: &str) {
    // Who closed standard error does not want to know.
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// Where the results of this run go.
#[derive(Debug)]
pub(crate) struct Results {
    directory: PathBuf,
    stem: String,
}

impl Results {
    /// Makes sure before the long part that the results can be kept.
    pub(crate) fn prepare(directory: &Path, what: &str) -> Result<Self> {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make `{}`; name another with --results", directory.display()))?;
        tempfile::tempfile_in(directory)
            .with_context(|| format!("cannot write to `{}`; name another with --results", directory.display()))?;
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace(':', "");
        Ok(Self { directory: directory.to_owned(), stem: format!("{what}-{now}") })
    }

    /// Prints `markdown` and keeps it, and `data` beside it.
    pub(crate) fn publish(&self, markdown: &str, data: &serde_json::Value) -> Result<()> {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{markdown}").context("cannot print")?;
        let path = |extension| self.directory.join(format!("{}.{extension}", self.stem));
        fs::write(path("md"), markdown).context("cannot keep the results")?;
        fs::write(path("json"), data.to_string()).context("cannot keep the timings")?;
        progress(&format!("kept in {}", path("md").display()));
        Ok(())
    }
}

/// A table in Markdown, its columns aligned so that it reads without being rendered.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with this head; the first column is text, the others are numbers.
    pub(crate) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.rows[0].len(), "a row has a cell for each column");
        self.rows.push(cells);
    }

    /// The table as Markdown.
    pub(crate) fn to_markdown(&self) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(2);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
                0 => format!("| {cell:<width$} "),
                _ => format!("| {cell:>width$} "),
            });
            text.extend(cells);
            text.push_str("|\n");
            if number == 0 {
                let rules = widths.iter().enumerate().map(|(column, width)| match column {
                    0 => format!("| {} ", "-".repeat(*width)),
                    _ => format!("| {}: ", "-".repeat(width.saturating_sub(1))),
                });
                text.extend(rules);
                text.push_str("|\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_markdown() {
        let mut table = Table::new(&["what", "ms"]);
        table.row(vec!["bwrap".to_owned(), "3.500".to_owned()]);

        assert_eq!(table.to_markdown(), "| what  |    ms |\n| ----- | ----: |\n| bwrap | 3.500 |\n");
    }
}
