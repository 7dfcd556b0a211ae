//! All integration tests of `fn-control` in one program: it links once. A new file is named here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod canary;
mod compliance;
mod events;
mod retention;
mod roles;
mod submitter;
mod support;
mod traffic;
