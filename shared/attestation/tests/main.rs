//! All integration tests of `seatrial-attestation` in one program: it links once. A new file is named here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod folder;
mod model_signing;
mod tampering;
