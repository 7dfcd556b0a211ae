//! Takes observations from the queue into the evidence.
fn main() {}
