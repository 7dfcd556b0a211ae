//! All integration tests of `fn-sweep` in one program: it links once. A new file is named here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod anchors;
mod common;
mod orphan;
mod retention;
mod time;
mod untold;
