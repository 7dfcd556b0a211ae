//! The review page, other pages people meet at a gate, the mail that brings them there, and notices of what happened.
//!
//! Everything is rendered on the server, works without scripts, and escapes what it is given: a submitter's text is data,
//! never markup. Views are pure: they get records and the time, and return text.

pub mod banners;
pub mod card;
mod changes;
pub mod charts;
mod consequences;
mod escape;
pub mod evidence;
pub mod interval;
pub mod list;
pub mod mail;
mod markdown;
pub mod message;
pub mod notice;
pub mod numbers;
pub mod page;
mod remarks;
pub mod review;
pub mod rows;
#[cfg(test)]
#[path = "../tests/samples/mod.rs"]
#[allow(clippy::unwrap_used, clippy::wildcard_imports, unreachable_pub, missing_docs)]
mod samples;
pub mod style;
pub mod summary;
pub mod times;
pub mod words;

pub use changes::Policies;
pub use escape::misleads;
pub use remarks::{Remarks, remarks};
pub use words::sentence;

/// A page could not be rendered. It holds no cause that a caller could act on.
pub type RenderError = askama::Error;
