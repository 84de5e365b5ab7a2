//! Measures the pictures of a BMP file: opens input and output, locks itself down, and only then reads.
//!
//! `cargo run --example lockdown -- picture.bmp report.txt`

use std::fs::File;
use std::io::{self, Read, Write};

/// More than any header, and less than anything that hurts.
const MOST: u64 = 16 << 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("usage: lockdown INPUT.bmp OUTPUT.txt".into());
    };
    // Everything that needs a path or a name comes first.
    let (input, mut output) = (File::open(input)?, File::create(output)?);
    let locked = lazaret::lockdown(&lazaret::profile("compute")?)?;
    for finding in &locked.findings {
        writeln!(io::stderr(), "{}: {}", finding.severity, finding.text)?;
    }
    // From here on a hostile file has a process that can do nothing but compute and write to what is open.
    let mut bytes = Vec::new();
    input.take(MOST).read_to_end(&mut bytes)?;
    let (width, height) = measure(&bytes)?;
    writeln!(output, "{width} x {height}")?;
    // It really cannot.
    if let Ok(file) = File::open("/etc/passwd") {
        return Err(format!("locked down, and yet opened {file:?}").into());
    }
    Ok(())
}

/// Width and height of a BMP file: BITMAPFILEHEADER, BITMAPINFOHEADER.
fn measure(bytes: &[u8]) -> Result<(u32, u32), &'static str> {
    let word = |at: usize| bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes);
    match (bytes.get(..2), word(18), word(22)) {
        (Some(b"BM"), Some(width), Some(height)) => Ok((width, height.cast_signed().unsigned_abs())),
        _ => Err("no BMP file"),
    }
}
