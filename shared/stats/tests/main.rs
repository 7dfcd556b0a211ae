//! All integration tests of `seatrial-stats` in one program: it links once. A new file is named here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod canary;
mod coverage;
mod coverage_scores;
mod drift;
mod metric_oracles;
mod monoid;
mod oracles;
mod quantiles;
mod shap;
mod support;
