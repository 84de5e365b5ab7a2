//! The C interface: lock down the calling process.
