//! All integration tests of `fn-reconcile` in one program: it links once. A new file is named here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod any_order;
mod reconcile;
mod support;
