//! What decisions rest on: observations, tallies, pairs, summaries, and the comparison report.

pub mod observation;
pub mod report;
pub mod keys;
pub mod pair;
pub mod table;
pub mod shadow;
