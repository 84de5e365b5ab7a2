//! No ambient authority: nothing that the caller holds, or that the caller's host would do for it, is a job's for the asking.
//!
//! Each test plants the thing outside, and has one probe look for it: without the sandbox, where it is found, and as a job of
//! every kind, where it is not.

#[path = "authority/descriptors.rs"]
mod descriptors;
#[path = "authority/environment.rs"]
mod environment;
#[path = "authority/files.rs"]
mod files;
#[path = "authority/holder.rs"]
mod holder;
#[path = "verdicts/job.rs"]
mod job;
#[path = "authority/keys.rs"]
mod keys;
#[path = "authority/network.rs"]
mod network;
#[path = "authority/objects.rs"]
mod objects;
#[path = "authority/probe.rs"]
mod probe;
#[path = "authority/processes.rs"]
mod processes;
#[path = "authority/sockets.rs"]
mod sockets;
#[path = "authority/terminal.rs"]
mod terminal;
