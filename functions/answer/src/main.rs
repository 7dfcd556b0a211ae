//! Answers the task token of a decided gate.
fn main() {}
