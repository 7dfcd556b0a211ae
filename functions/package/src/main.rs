//! Validates a submission and registers the version.
fn main() {}
