//! All integration tests of `seatrial-artifacts` in one program: it links once. A new file is named here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod archive;
mod export;
mod memory;
mod package;
mod signature;
