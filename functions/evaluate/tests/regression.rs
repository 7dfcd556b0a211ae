//! A model that answers numbers, evaluated from submission to document, beside scikit-learn's own figures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support;

use seatrial_domain::verdict::{MetricClass, Verdict};
use seatrial_evidence::evaluation::Evaluation;
use support::{World, beside, root, row};

async fn world(benchmark: &str) -> World {
    let policy = serde_json::json!({
        "task": "regression", "segments": ["site"], "named_segments": ["site=west"], "segment_min_n": 100,
    });
    World::new(policy, Some(&format!("regression/{benchmark}"))).await
}

fn expected(version: &str, path: &[&str]) -> f64 {
    let text = std::fs::read_to_string(root().join("tests/fixtures/regression/expected.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    path.iter().fold(&all[version], |at, key| &at[key]).as_f64().unwrap()
}

/// The engine adds 32-bit floats in an order that depends on the batch; all that follows is the same arithmetic.
fn near(found: Option<f64>, expected: f64) {
    assert!((found.unwrap() - expected).abs() < 1e-7 * expected.abs(), "{found:?} {expected}");
}

fn all_metrics(document: &Evaluation, part: &str, champion: &str, challenger: &str) {
    for metric in ["rmse", "mae", "r2"] {
        let row = row(document, metric, None);
        near(row.champion, expected(champion, &[part, metric]));
        near(row.challenger, expected(challenger, &[part, metric]));
        let [low, high] = row.interval.unwrap();
        assert!(low < row.delta.unwrap() && row.delta.unwrap() < high, "{}", row.why);
    }
}

#[tokio::test]
async fn a_better_regression_passes_and_every_metric_is_scikit_learns() {
    let (_world, evaluated, document, _) =
        beside(world("benchmark.parquet").await, "regression/r1", "regression/r2").await;
    assert_eq!(evaluated.verdict, Verdict::Pass, "{}", evaluated.why);
    all_metrics(&document, "metrics", "r1", "r2");
    for site in ["east", "north", "south", "west"] {
        let row = row(&document, "mae", Some(&format!("site={site}")));
        near(row.challenger, expected("r2", &["by_site", site, "mae"]));
        assert_eq!((row.class, row.verdict), (MetricClass::Guardrail, Verdict::Pass), "{}", row.why);
    }
    let values = document.challenger_summary.unwrap().values.unwrap();
    near(values.r2, expected("r2", &["metrics", "r2"]));
    let charts = document.charts.unwrap();
    assert_eq!(charts.scores[0].challenger.iter().sum::<u64>(), 2_000);
    assert!(!charts.latency.is_empty());
}

#[tokio::test]
async fn a_regression_that_is_better_on_average_fails_for_the_one_named_site_it_spoils() {
    let (_world, evaluated, document, _) =
        beside(world("benchmark.parquet").await, "regression/r1", "regression/r3").await;
    for metric in ["rmse", "mae"] {
        assert_eq!(row(&document, metric, None).verdict, Verdict::Pass);
    }
    let west = row(&document, "mae", Some("site=west"));
    assert_eq!(west.verdict, Verdict::Fail, "{}", west.why);
    assert_eq!(row(&document, "mae", Some("site=east")).verdict, Verdict::Pass);
    assert_eq!(evaluated.verdict, Verdict::Fail);
    assert!(evaluated.why.contains("site=west"), "{}", evaluated.why);
}

#[tokio::test]
async fn weights_are_scikit_learns_and_bring_the_jackknife() {
    let (_world, _, document, _) =
        beside(world("weighted.parquet").await, "regression/r1", "regression/r2").await;
    all_metrics(&document, "weighted_500", "r1", "r2");
    assert!(row(&document, "mae", None).why.contains("jackknife"));
    assert!(document.notes.iter().any(|n| n.contains("weighs its rows")), "{:?}", document.notes);
}

#[tokio::test]
async fn a_version_of_another_task_fails_and_says_so() {
    let world = world("benchmark.parquet").await;
    world.submit("submissions/v1").await;
    let (evaluated, document, _) = world.evaluate(1).await;
    assert_eq!(evaluated.verdict, Verdict::Fail);
    assert!(evaluated.why.contains("task is binary, and the policy's is regression"), "{}", evaluated.why);
    assert_eq!(document.rows.iter().filter(|r| r.challenger.is_some()).count(), 0);
}
