//! What decisions rest on: observations, tallies, pairs, summaries, and the comparison report.

pub mod keys;
pub mod observation;
pub mod pair;
pub mod progress;
pub mod report;
pub mod shadow;
pub mod summary;
pub mod table;
