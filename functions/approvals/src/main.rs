//! Review page and JSON API for decisions.
fn main() {}
