//! All integration tests of `fn-serve` in one program: it links once. A new file is named here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod binary;
mod onnx;
mod signatures;
mod world;
