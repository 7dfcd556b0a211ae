//! Which columns answers rest on: the evidence object with the Shapley values of both versions, and what reports say of it.
//!
//! Its JSON Schema is published as `docs/schemas/explanations.schema.json`.

use schemars::JsonSchema;
use seatrial_domain::ids::{Digest, ModelName, PromotionId, VersionRef};
use seatrial_domain::promotion::EvidenceRef;
use seatrial_stats::shap::importance;
use serde::{Deserialize, Serialize};

use crate::charts::{ImportanceBar, ImportancePoint, Importances};
use crate::report::form;

/// Columns that the chart shows; the smallest are left out.
const SHOWN: usize = 20;
/// The quantile of the normal distribution for 95 %.
const TWO_SIDED: f64 = 1.959_963_984_540_054;
/// The quantiles of the values that the chart shows.
const SPREAD: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// Shapley values of both versions on one sample of benchmark rows, against one background.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Seatrial explanations")]
pub struct Explanations {
    /// 1.
    pub schema: u32,
    /// The model.
    #[schemars(with = "String")]
    pub model: ModelName,
    /// The promotion.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
    /// The rows that stand for "no knowledge of this column": of the challenger's `reference.parquet`.
    pub background: Sample,
    /// The rows that are explained: of the benchmark.
    pub sample: Sample,
    /// The champion; none where there is none, or where it could not be explained.
    pub champion: Option<VersionExplanation>,
    /// The challenger; none where it could not be explained.
    pub challenger: Option<VersionExplanation>,
    /// What else a reader should know, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Rows of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// The SHA-256 of the file.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// The file's rows.
    pub of: u64,
    /// The rows that were taken, counted from 0.
    pub rows: Vec<u64>,
}

/// One version's values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersionExplanation {
    /// The version.
    #[schemars(with = "form::Version")]
    pub version: VersionRef,
    /// How the values were found.
    pub method: ExplanationMethod,
    /// What was explained.
    pub scale: ExplanationScale,
    /// The outputs' names: the positive class, all classes, or `value`.
    pub outputs: Vec<String>,
    /// The columns, in the order of all values below.
    pub columns: Vec<String>,
    /// For each output its mean over the background.
    pub expected: Vec<f64>,
    /// For each output and column the mean of the absolute values over the rows.
    pub importance: Vec<Vec<f64>>,
    /// For each output and column the standard error of that mean over the rows.
    pub importance_error: Vec<Vec<f64>>,
    /// The rows, in the sample's order.
    pub rows: Vec<RowExplanation>,
}

/// How values were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "name")]
pub enum ExplanationMethod {
    /// Exactly: interventional TreeSHAP over the trees in the graph.
    Trees,
    /// Estimated by random orders of the columns, each walked both ways.
    Permutations {
        /// Orders for each row.
        orders: u64,
        /// The seed, 16 hexadecimal digits.
        seed: String,
        /// Why the values were not found exactly.
        why: String,
    },
}

/// What the explained numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExplanationScale {
    /// The trees' sum before a sigmoid or softmax.
    Margin,
    /// A probability; of a forest the average over its trees.
    Probability,
    /// The predicted number.
    Value,
}

/// One row's values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RowExplanation {
    /// For each output what was explained.
    pub output: Vec<f64>,
    /// For each output and column the value. Together with the expected output they add up to the output.
    pub values: Vec<Vec<f64>>,
    /// Where values are estimated, the standard error of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<Vec<f64>>>,
}

/// What a report says of explanations; the values themselves are in the object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplanationFacts {
    /// The object with the values of each row.
    #[schemars(with = "form::Object")]
    pub object: EvidenceRef,
    /// The SHA-256 of the challenger's `reference.parquet`.
    #[schemars(with = "String")]
    pub reference: Digest,
    /// Rows of it that made the background.
    pub background: u64,
    /// Benchmark rows that were explained.
    pub rows: u64,
    /// How the champion was explained, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion: Option<String>,
    /// How the challenger was explained, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenger: Option<String>,
}

impl Explanations {
    /// What a report says of this document, which lies at `object`.
    #[must_use]
    pub fn facts(&self, object: EvidenceRef) -> ExplanationFacts {
        ExplanationFacts {
            object,
            reference: self.background.digest.clone(),
            background: self.background.rows.len() as u64,
            rows: self.sample.rows.len() as u64,
            champion: self.champion.as_ref().map(VersionExplanation::sentence),
            challenger: self.challenger.as_ref().map(VersionExplanation::sentence),
        }
    }

    /// The chart of both versions; none where none could be explained.
    #[must_use]
    pub fn chart(&self) -> Option<Importances> {
        let sides = [self.champion.as_ref(), self.challenger.as_ref()];
        let mut columns: Vec<&String> = Vec::new();
        for column in sides.iter().flatten().flat_map(|v| &v.columns) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        let [champion, challenger] = sides.map(|side| side.map(VersionExplanation::points));
        let of = |side: &Option<Vec<(String, ImportancePoint)>>, column: &str| {
            side.as_ref()?.iter().find(|(name, _)| name == column).map(|(_, point)| *point)
        };
        let bar = |column: &&String| ImportanceBar {
            column: (*column).clone(),
            champion: of(&champion, column),
            challenger: of(&challenger, column),
        };
        let mut bars: Vec<ImportanceBar> = columns.iter().map(bar).collect();
        let size = |b: &ImportanceBar| b.challenger.or(b.champion).map_or(0.0, |p| p.share);
        bars.sort_by(|a, b| size(b).total_cmp(&size(a)).then_with(|| a.column.cmp(&b.column)));
        let left_out = bars.len().saturating_sub(SHOWN) as u64;
        bars.truncate(SHOWN);
        let outputs = &sides[1].or(sides[0])?.outputs;
        Some(Importances {
            of: match outputs.as_slice() {
                [one] if one == "value" => "the predicted value".into(),
                [one] => format!("class {one}"),
                all => format!("{} classes", all.len()),
            },
            rows: self.sample.rows.len() as u64,
            background: self.background.rows.len() as u64,
            bars,
            left_out,
        })
    }
}

impl VersionExplanation {
    /// A version's values, with the importances that follow from them.
    #[must_use]
    pub fn new(
        version: VersionRef,
        (method, scale): (ExplanationMethod, ExplanationScale),
        (outputs, columns): (Vec<String>, Vec<String>),
        expected: Vec<f64>,
        rows: Vec<RowExplanation>,
    ) -> Self {
        let all =
            |k: usize, j: usize| importance(rows.iter().filter_map(|r| Some(*r.values.get(k)?.get(j)?)));
        let table = |of: &dyn Fn(usize, usize) -> f64| -> Vec<Vec<f64>> {
            (0..outputs.len()).map(|k| (0..columns.len()).map(|j| of(k, j)).collect()).collect()
        };
        let importance = table(&|k, j| all(k, j).map_or(0.0, |i| i.mean_abs));
        let importance_error = table(&|k, j| all(k, j).and_then(|i| i.standard_error).unwrap_or(0.0));
        Self { version, method, scale, outputs, columns, expected, importance, importance_error, rows }
    }

    /// The largest standard error of an estimated value; none where values are exact.
    #[must_use]
    pub fn largest_error(&self) -> Option<f64> {
        let errors = self.rows.iter().filter_map(|r| r.errors.as_ref()).flatten().flatten();
        errors.copied().reduce(f64::max)
    }

    /// How it was explained.
    fn sentence(&self) -> String {
        let what = match self.scale {
            ExplanationScale::Margin => "the sum of its trees before it becomes a probability (log odds)",
            ExplanationScale::Probability => "the probability",
            ExplanationScale::Value => "the predicted value",
        };
        match &self.method {
            ExplanationMethod::Trees => {
                format!("exact, from the trees in its graph; what is explained is {what}")
            }
            ExplanationMethod::Permutations { orders, why, .. } => format!(
                "estimated with {orders} random orders a row, each walked both ways (largest standard error of a value {:.2e}), because {why}; what is explained is {what}",
                self.largest_error().unwrap_or(0.0)
            ),
        }
    }

    /// Each column's part of all that the version attributes, so that versions on different scales can be seen side by side.
    fn points(&self) -> Vec<(String, ImportancePoint)> {
        let sum = |table: &Vec<Vec<f64>>, j: usize| table.iter().filter_map(|row| row.get(j)).sum::<f64>();
        let total: f64 = self.importance.iter().flatten().sum();
        let part = |x: f64| if total > 0.0 { x / total } else { 0.0 };
        let point = |(j, column): (usize, &String)| {
            let mean_abs = sum(&self.importance, j);
            // Errors of several outputs are not independent: their sum is never too small.
            let half = TWO_SIDED * sum(&self.importance_error, j);
            let interval = [part((mean_abs - half).max(0.0)), part(mean_abs + half).min(1.0)];
            let spread = (self.outputs.len() == 1).then(|| self.spread(j).map(|v| v.map(part))).flatten();
            (column.clone(), ImportancePoint { share: part(mean_abs), interval, mean_abs, spread })
        };
        self.columns.iter().enumerate().map(point).collect()
    }

    /// Quantiles of the values of column `j` for the first output.
    fn spread(&self, j: usize) -> Option<[f64; 5]> {
        let mut values: Vec<f64> = self
            .rows
            .iter()
            .filter_map(|r| r.values.first()?.get(j).copied())
            .filter(|v| v.is_finite())
            .collect();
        values.sort_unstable_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        Some(SPREAD.map(|q| values[(q * last as f64).round() as usize]))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn version(method: ExplanationMethod, values: &[[f64; 3]], columns: [&str; 3]) -> VersionExplanation {
        let errors =
            matches!(method, ExplanationMethod::Permutations { .. }).then(|| vec![vec![0.01, 0.25, 0.0]]);
        let row = |v: &[f64; 3]| RowExplanation {
            output: vec![v.iter().sum::<f64>() + 2.0],
            values: vec![v.to_vec()],
            errors: errors.clone(),
        };
        VersionExplanation::new(
            VersionRef {
                version: seatrial_domain::VersionName::new(1),
                digest: seatrial_domain::canonical::sha256(b"v"),
            },
            (method, ExplanationScale::Margin),
            (vec!["yes".into()], columns.map(str::to_owned).to_vec()),
            vec![2.0],
            values.iter().map(row).collect(),
        )
    }

    fn document() -> Explanations {
        let sample = |n: u64| Sample {
            digest: seatrial_domain::canonical::sha256(b"f"),
            of: 100,
            rows: (0..n).collect(),
        };
        let sampled = ExplanationMethod::Permutations {
            orders: 40,
            seed: "0".repeat(16),
            why: "its graph has no trees".into(),
        };
        let model: ModelName = "m".parse().unwrap();
        Explanations {
            schema: 1,
            promotion: PromotionId::derive(&model, "x", 1),
            model,
            background: sample(30),
            sample: sample(2),
            champion: Some(version(sampled, &[[4.0, -1.0, 0.0], [-4.0, 3.0, 0.0]], ["a", "b", "old"])),
            challenger: Some(version(
                ExplanationMethod::Trees,
                &[[1.0, 0.0, -6.0], [1.0, 0.0, 2.0]],
                ["a", "b", "new"],
            )),
            notes: Vec::new(),
        }
    }

    #[test]
    fn columns_of_both_versions_stand_side_by_side_the_challengers_largest_first() {
        let chart = document().chart().unwrap();
        let shown: Vec<_> = chart
            .bars
            .iter()
            .map(|b| (b.column.as_str(), b.champion.map(|p| p.share), b.challenger.map(|p| p.share)))
            .collect();
        let expected = [
            ("new", None, Some(0.8)),
            ("a", Some(4.0 / 6.0), Some(0.2)),
            ("b", Some(2.0 / 6.0), Some(0.0)),
            ("old", Some(0.0), None),
        ];
        assert_eq!(shown.len(), expected.len());
        for found in expected {
            assert!(shown.contains(&found), "{found:?} is not in {shown:?}");
        }
        assert_eq!((shown[0].0, shown[1].0), ("new", "a"));
        let new = chart.bars[0].challenger.unwrap();
        assert_eq!((new.mean_abs, new.spread.unwrap()[0], new.spread.unwrap()[4]), (4.0, -1.2, 0.4));
        assert!(new.interval[0] <= new.share && new.share <= new.interval[1]);
        assert_eq!(chart.of, "class yes");
    }

    #[test]
    fn a_sentence_says_the_method_and_its_error() {
        let facts = document()
            .facts(EvidenceRef { key: "k".into(), digest: seatrial_domain::canonical::sha256(b"d") });
        let champion = facts.champion.unwrap();
        assert!(
            champion.contains("40 random orders")
                && champion.contains("2.50e-1")
                && champion.contains("no trees"),
            "{champion}"
        );
        assert!(facts.challenger.unwrap().starts_with("exact"));
        assert_eq!((facts.background, facts.rows), (30, 2));
    }

    #[test]
    fn nothing_explained_is_nothing_drawn() {
        let empty = Explanations { champion: None, challenger: None, ..document() };
        assert_eq!(empty.chart(), None);
        let flat = Explanations {
            champion: None,
            challenger: Some(version(ExplanationMethod::Trees, &[[0.0; 3]], ["a", "b", "c"])),
            ..document()
        };
        assert!(
            flat.chart().unwrap().bars.iter().all(|b| b.challenger.unwrap().share == 0.0),
            "no division by zero"
        );
    }
}
