//! Makes the challenger champion.
fn main() {}
