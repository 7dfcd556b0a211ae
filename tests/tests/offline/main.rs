//! Everything that can be said of templates, state machines and payloads without an engine. One program: it links once. A new file is named here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod asl;
mod docs;
mod events;
mod faults;
mod left_out;
mod listed;
mod payloads;
mod rights;
mod template;
