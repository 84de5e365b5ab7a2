//! `fetch HOST:PORT…`: says what each answers to a request of HTTP, with Tokio, all at once.

#![expect(clippy::print_stdout, reason = "that is what it is for")]

use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::main]
async fn main() {
    let fetched: Vec<_> = std::env::args().skip(1).map(|host| tokio::spawn(fetch(host))).collect();
    for one in fetched {
        match one.await {
            Ok(Ok(text)) => println!("{text}"),
            Ok(Err(_)) | Err(_) => println!("refused"),
        }
    }
}

async fn fetch(host: String) -> std::io::Result<String> {
    let connected = tokio::time::timeout(Duration::from_secs(5), TcpStream::connect(&host)).await;
    let mut stream = connected.map_err(std::io::Error::other)??;
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned())
}
