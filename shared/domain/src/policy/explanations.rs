//! Whether, and how thoroughly, it is said which columns the versions' answers rest on.

use serde::{Deserialize, Serialize};

use crate::verdict::MetricClass;

/// Shapley values of both versions' answers, asked for by being there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Explanations {
    /// What it may cause when a version cannot be explained.
    pub class: MetricClass,
    /// Benchmark rows that are explained.
    pub rows: u32,
    /// Rows of the challenger's `reference.parquet` that they are explained against.
    pub background: u32,
    /// For models that are not explained exactly: the random orders of the columns for each row.
    pub orders: u32,
}

impl Default for Explanations {
    fn default() -> Self {
        Self { class: MetricClass::Guardrail, rows: 200, background: 100, orders: 100 }
    }
}

impl Explanations {
    /// The fields that are out of bounds, with what was found and expected.
    pub(super) fn defects(&self) -> Vec<(&'static str, String)> {
        let bounds = [
            ("explanations.rows", self.rows, 10, 2_000),
            ("explanations.background", self.background, 10, 1_000),
            ("explanations.orders", self.orders, 10, 2_000),
        ];
        let beyond = bounds.into_iter().filter(|(_, found, least, most)| !(least..=most).contains(&found));
        beyond
            .map(|(field, found, least, most)| (field, format!("{found} is not between {least} and {most}")))
            .collect()
    }
}
