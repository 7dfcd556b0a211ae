//! One contract for every way in which a version runs: the same rows give the same predictions, bit by bit, and whatever goes wrong is
//! told as what it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod contract;
mod fakes;
mod identity;
