//! All integration tests of `seatrial-audit` in one program: it links once. A new file is named here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod document;
mod inventory;
mod samples;
mod seal;
mod visible;
