//! Side-by-side timings of Lazaret, other sandboxes and no sandbox.
fn main() {}
