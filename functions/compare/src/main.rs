//! Freezes evidence and writes the comparison report.
fn main() {}
