//! All integration tests of `seatrial-targets` in one program: it links once. A new file is named here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fake;
mod hook;
mod lambda;
mod memory;
mod opening;
mod route;
mod sagemaker;
