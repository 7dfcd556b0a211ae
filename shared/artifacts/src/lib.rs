//! Submissions and packages: what people hand in, how it is checked, and how it is kept so that its bytes never change.

pub mod store;
