//! The launch steps of a Lazaret jail and the program that walks them.
//!
//! A jail is launched by a program of a few kilobytes that needs no library: the caller lays out all steps in a
//! [launch block](format), starts [`IMAGE`] with the block's descriptor, and is done. That program makes the namespaces,
//! becomes process 1 in them, builds the root, forks the job and reaps. Because it is a program of its own, nothing of
//! the caller (its size, threads, locks, signal handlers, memory) takes part in a launch.
//!
//! All of the crate is `unsafe` by nature: raw system calls without a standard library.

#![cfg_attr(not(test), no_std)]

pub mod format;
pub mod marker;

/// The program, an ELF file. Its arguments: the descriptor of a launch block, in decimal.
pub static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));

/// The library that tells when a dynamically linked program's `main` begins, an ELF file: see [`marker`].
pub static START: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/start"));
