//! A web server that takes pictures from anybody. They are decoded by C code, libwebp, each in a process of its own that can
//! compute and nothing else: a picture that crashes the decoder, fills memory or never ends is an answer of the server's.
//!
//! `POST /thumbnail` takes a WebP picture and answers with one that fits into 128 by 128 pixels; the headers
//! `picture-width` and `picture-height` tell how large it was. `POST /crash` has the C code write where nothing is, to
//! show what comes of it.

mod webp;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use lazaret::{CallError, Ending, SandboxError, Spawner, TypedFunction, Verdict};
use serde::{Deserialize, Serialize};

/// The largest upload.
const MOST: usize = 16 << 20;

/// What comes of a picture.
#[derive(Debug, Serialize, Deserialize)]
struct Thumbnail {
    width: u32,
    height: u32,
    webp: Vec<u8>,
}

type Decode = TypedFunction<Vec<u8>, Result<Thumbnail, String>>;

/// The functions that pictures are given to.
#[derive(Debug, Clone)]
struct Functions {
    thumbnail: Decode,
    crash: Decode,
}

/// The server, whose calls `spawner` forks for. Start that first thing in `main`.
///
/// # Errors
///
/// When this host cannot enforce the policy.
pub fn server(spawner: &Spawner) -> Result<Router, SandboxError> {
    // Two seconds and 128 MiB are plenty for a thumbnail.
    let text = "extends = \"compute\"\n[limits]\nwall = \"5s\"\ncpu = \"2s\"\nmemory = \"128MiB\"\noutput = \"1MiB\"\n";
    let policy =
        lazaret::policy_text("thumbnails.toml", text).map_err(|e| SandboxError::Filter { problem: e.to_string() })?;
    let functions = Functions {
        thumbnail: spawner.sandboxed_typed(&policy, |picture: Vec<u8>| webp::thumbnail(&picture))?,
        crash: spawner.sandboxed_typed(&policy, |picture: Vec<u8>| webp::crash(&picture))?,
    };
    let router = Router::new().route("/thumbnail", post(thumbnail)).route("/crash", post(crash));
    Ok(router.layer(DefaultBodyLimit::max(MOST)).with_state(functions))
}

async fn thumbnail(State(functions): State<Functions>, picture: Bytes) -> Response {
    answer(&functions.thumbnail, picture).await
}

async fn crash(State(functions): State<Functions>, picture: Bytes) -> Response {
    answer(&functions.crash, picture).await
}

async fn answer(decode: &Decode, picture: Bytes) -> Response {
    match decode.call_async(&picture.to_vec()).await {
        Err(error) => failed(&error),
        Ok(called) => match called.into_value() {
            Ok(Ok(Thumbnail { width, height, webp })) => {
                let headers = [
                    ("content-type", "image/webp".to_owned()),
                    ("picture-width", width.to_string()),
                    ("picture-height", height.to_string()),
                ];
                (headers, webp).into_response()
            }
            Ok(Err(problem)) => (StatusCode::UNPROCESSABLE_ENTITY, problem).into_response(),
            Err(ending) => (status(&ending), ending.to_string()).into_response(),
        },
    }
}

/// The server's own failure, which is nobody else's business.
fn failed(_error: &CallError) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, "cannot decode anything at the moment").into_response()
}

/// A picture that ends its decoder is not worth another try.
fn status(ending: &Ending) -> StatusCode {
    match ending.verdict() {
        Some(Verdict::Timeout { .. } | Verdict::CpuLimit { .. } | Verdict::MemoryLimit { .. }) => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

pub use webp::picture;
