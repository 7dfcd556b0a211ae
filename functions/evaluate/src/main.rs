//! Smoke test and held-out benchmark.
fn main() {}
