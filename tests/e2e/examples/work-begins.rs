//! For tests: opens a file that it is given, says that its work begins, and tries it again.

use std::fs::File;
use std::io::{Error, Write as _};

fn main() -> Result<(), Error> {
    let mut out = std::io::stdout();
    let path = std::env::args().nth(1).unwrap_or_default();
    let tried = || if File::open(&path).is_ok() { "there" } else { "refused" };
    writeln!(out, "{}\n{}\n{}", tried(), lazaret::work_begins(), tried())
}
