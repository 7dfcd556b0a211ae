//! Judges the canary.
fn main() {}
