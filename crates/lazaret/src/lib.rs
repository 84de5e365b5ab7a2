//! Run a risky command in a fresh sandbox and get a typed verdict
