//! How the library that is loaded before a dynamically linked program tells the supervisor that the program's `main` begins:
//! a call that means nothing else, of which the filter tells the supervisor whatever the policy says of it.

/// The call, which has no arguments of its own.
pub const CALL: &str = "getppid";
/// Its first argument.
pub const FIRST: u64 = 0x4c61_7a61_7265_7421;
/// Its second argument.
pub const SECOND: u64 = 0x7374_6172_7465_6421;
/// The third argument: `main` is called next.
pub const MAIN: u64 = 1;
/// The third argument: the program will never call `main` in the C library's manner, and begins next.
pub const CONSTRUCTOR: u64 = 2;
/// The errno with which a supervisor answers that understood: `ENOTUNIQ`. Whoever gets another does not begin.
pub const UNDERSTOOD: i32 = 76;
/// The third argument: the job's input is complete. A program says so by itself.
pub const INPUT_COMPLETE: u64 = 3;
/// The third argument: the job's work begins. A program says so by itself.
pub const WORK: u64 = 4;
