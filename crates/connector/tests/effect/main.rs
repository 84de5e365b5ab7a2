//! The connector and the fetcher, judged by what arrives at servers outside.

mod bounded;
mod curl;
mod failing;
mod fetching;
mod http2;
mod job;
mod outside;
mod permitted;
mod refused;
mod smuggling;
