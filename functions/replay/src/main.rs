//! Runs both versions on a sampled request.
fn main() {}
