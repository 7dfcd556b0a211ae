//! Takes the route back.
fn main() {}
