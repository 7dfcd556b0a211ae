//! All integration tests of `fn-evaluate` in one program: it links once. A new file is named here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checks;
mod explanations;
mod fixtures;
mod regression;
mod remote;
mod signature;
mod support;
