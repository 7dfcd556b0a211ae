//! All integration tests of `fn-replay` in one program: it links once. A new file is named here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod left;
mod signature;
mod support;
