//! Turns an event into a started promotion, once.
fn main() {}
