//! Writes the evidence manifest.
fn main() {}
