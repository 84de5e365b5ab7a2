//! For tests: connects to the addresses that it is given, says that its input is complete, and tries them again.

use std::io::{Error, Read as _, Write as _};
use std::net::TcpStream;

fn main() -> Result<(), Error> {
    let mut out = std::io::stdout();
    let addresses: Vec<String> = std::env::args().skip(1).collect();
    let mut first: Vec<TcpStream> = addresses.iter().map(TcpStream::connect).collect::<Result<_, _>>()?;
    writeln!(out, "{}", lazaret::input_complete())?;
    for stream in &mut first {
        let read = stream.write_all(b"x").and_then(|()| stream.read(&mut [0]));
        writeln!(out, "{}", if matches!(read, Ok(1)) { "there" } else { "cut" })?;
    }
    for address in &addresses {
        writeln!(out, "{}", TcpStream::connect(address).map_or("refused", |_| "there"))?;
    }
    Ok(())
}
