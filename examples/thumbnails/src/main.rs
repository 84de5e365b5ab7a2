//! Serves thumbnails on the address that is given, or on 127.0.0.1:8080.

use anyhow::{Context, Result};
use lazaret::Spawner;

fn main() -> Result<()> {
    // Before there are threads, and before anything is in memory that a picture should not see.
    let spawner = Spawner::start().context("cannot start the spawner")?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let server = lazaret_example_thumbnails::server(&spawner).context("cannot sandbox the decoder")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener =
            tokio::net::TcpListener::bind(&address).await.with_context(|| format!("cannot use {address}"))?;
        axum::serve(listener, server).await.context("the server failed")
    })
}
