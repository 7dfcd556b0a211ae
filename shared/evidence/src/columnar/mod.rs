//! Pairs and labels as columns: many millions of them are counted in memory that stays the same.
//!
//! A [`LabelReader`] on each thread reads the label files; together they make a [`LabelBook`]. A [`Worker`] on each thread
//! then reads partitions one after another: of each pair some 60 bytes are kept until its partition is read, so that copies
//! are found exactly; then its labels are joined, everything is counted, and the partition is forgotten. The workers'
//! summaries merge to the same bits, however partitions and files are spread over threads, functions and time.

mod accumulate;
mod counter;
pub(crate) mod ids;
mod labels;
mod names;
mod reading;
mod row;
mod spec;
mod worker;

pub use labels::{LabelBook, LabelReader};
pub use reading::rows;
pub use spec::Spec;
pub use worker::{Pass, ROWS_AT_ONCE, Worker, summarise};
