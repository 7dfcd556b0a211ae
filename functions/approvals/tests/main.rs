//! All integration tests of `fn-approvals` in one program: it links once. A new file is named here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attacks;
mod bearer;
mod browser;
mod http;
mod list;
mod login;
mod looks;
mod openapi;
mod support {
    pub mod axe;
    pub mod browser;
    #[path = "mod.rs"]
    pub mod world;
}
