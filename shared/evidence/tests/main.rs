//! All integration tests of `seatrial-evidence` in one program: it links once. A new file is named here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod canary;
mod drift;
mod live;
mod offline;
mod plan;
mod report_schema;
mod summary;
