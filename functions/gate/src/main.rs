//! Opens, re-opens and closes gates.
fn main() {}
