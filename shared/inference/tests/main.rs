//! All integration tests of `seatrial-inference` in one program: it links once. A new file is named here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod batches;
mod common;
mod engine;
mod explain;
mod explain_nodes;
mod files;
mod refused;
mod submissions;
