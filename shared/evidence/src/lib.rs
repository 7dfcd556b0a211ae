//! What decisions rest on: observations, tallies, pairs, summaries, and the comparison report.

pub mod automatic;
pub mod benchmark;
pub mod canary;
pub mod charts;
pub mod columnar;
pub mod comparison;
pub mod drift;
pub mod evaluation;
pub mod explanations;
pub mod keys;
pub mod live;
pub mod observation;
pub mod offline;
pub mod pair;
pub mod plan;
pub mod progress;
pub mod report;
pub mod rows;
pub mod shadow;
pub mod shadow_rows;
pub mod shadow_tally;
pub mod summary;
pub mod table;
