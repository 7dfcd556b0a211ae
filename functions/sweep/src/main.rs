//! Brings dead promotions to a lawful end.
fn main() {}
