//! The tools that make an allowlist bearable: learn, check, diff.
