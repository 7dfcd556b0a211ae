//! The operator API behind the CLI.
fn main() {}
