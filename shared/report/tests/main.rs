//! All integration tests of `seatrial-report` in one program: it links once. A new file is named here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod card;
mod charts;
mod notice;
mod page;
mod samples;
