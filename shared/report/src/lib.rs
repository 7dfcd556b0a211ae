//! The review page, other pages people meet at a gate, and the mail that brings them there.
//!
//! Everything is rendered on the server, works without scripts, and escapes what it is given: a submitter's text is data,
//! never markup. Views are pure: they get records and the time, and return text.

pub mod charts;
mod evidence;
mod interval;
pub mod mail;
pub mod message;
mod numbers;
pub mod page;
mod remarks;
pub mod review;
mod rows;
pub mod style;
mod times;
mod words;

pub use remarks::{Remarks, remarks};
pub use words::sentence;

/// A page could not be rendered. It holds no cause that a caller could act on.
pub type RenderError = askama::Error;
