//! Moves the route.
fn main() {}
