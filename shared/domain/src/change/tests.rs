//! The rules of change: each on its own, then together under random sequences of everything that can happen.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adopting;
mod inventory;
mod profiles;
mod random;
mod rules;
mod world;
