//! Which columns answers rest on, from submission to evidence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support;

use std::path::PathBuf;

use seatrial_artifacts::evidence::get_evidence;
use seatrial_artifacts::store::ObjectStore;
use seatrial_domain::canonical;
use seatrial_domain::verdict::{MetricClass, Verdict};
use seatrial_evidence::evaluation::Evaluation;
use seatrial_evidence::explanations::{
    ExplanationMethod, ExplanationScale, Explanations, VersionExplanation,
};
use support::{World, beside, root, row};

fn policy(explanations: &serde_json::Value) -> serde_json::Value {
    serde_json::json!({ "task": "binary", "positive_class": ">50K", "explanations": explanations })
}

async fn document(world: &World, evaluation: &Evaluation) -> Explanations {
    let object = &evaluation.explanations.as_ref().expect("explanations").object;
    let bytes = get_evidence(&world.evidence, object, 1 << 26).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn additive(version: &VersionExplanation) {
    assert!(!version.rows.is_empty());
    for row in &version.rows {
        for (k, output) in row.output.iter().enumerate() {
            let sum = version.expected[k] + row.values[k].iter().sum::<f64>();
            assert!((sum - output).abs() < 1e-9 * output.abs().max(1.0), "{sum} is not {output}");
        }
    }
}

/// A fixture's folder without one file, or with another in its place.
fn altered(fixture: &str, file: &str, bytes: Option<Vec<u8>>) -> PathBuf {
    let name = fixture.replace('/', "-");
    let to = std::env::temp_dir().join(format!("seatrial-altered-{}-{name}", std::process::id()));
    drop(std::fs::remove_dir_all(&to));
    let from = root().join("tests/fixtures").join(fixture);
    std::fs::create_dir_all(to.join("weights")).unwrap();
    for part in ["", "weights"] {
        for entry in std::fs::read_dir(from.join(part)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), to.join(part).join(entry.file_name())).unwrap();
            }
        }
    }
    drop(std::fs::remove_file(to.join(file)));
    if let Some(bytes) = bytes {
        std::fs::write(to.join(file), bytes).unwrap();
    }
    to
}

#[tokio::test]
async fn champion_and_challenger_are_explained_on_the_same_rows_against_the_same_background() {
    let world = World::new(
        policy(&serde_json::json!({ "rows": 60, "background": 40, "orders": 20 })),
        Some("benchmark.parquet"),
    )
    .await;
    let (world, evaluated, evaluation, held) = beside(world, "submissions/v1", "submissions/v2").await;
    let row = row(&evaluation, "explanations", None);
    assert_eq!((row.verdict, row.class, row.n), (Verdict::Pass, MetricClass::Guardrail, 60), "{}", row.why);
    let found = document(&world, &evaluation).await;
    let file =
        |name: &str| canonical::sha256(&std::fs::read(root().join("tests/fixtures").join(name)).unwrap());
    assert_eq!(found.background.digest, file("submissions/v2/reference.parquet"));
    assert_eq!(found.sample.digest, file("benchmark.parquet"));
    assert_eq!((found.sample.rows.len(), found.sample.of, found.background.rows.len()), (60, 8_000, 40));
    let (champion, challenger) = (found.champion.as_ref().unwrap(), found.challenger.as_ref().unwrap());
    additive(champion);
    additive(challenger);
    assert_eq!((&challenger.method, challenger.scale), (&ExplanationMethod::Trees, ExplanationScale::Margin));
    assert_eq!(challenger.largest_error(), None);
    assert!(
        matches!(&champion.method, ExplanationMethod::Permutations { orders: 20, why, .. } if why.contains("no trees"))
    );
    assert_eq!(champion.scale, ExplanationScale::Probability);
    assert!(champion.largest_error().unwrap() > 0.0);
    assert_eq!(challenger.outputs, [">50K"]);
    assert_eq!(challenger.columns.len(), 10);
    // What is said in the report: how, and no more than a picture's worth of numbers.
    let facts = evaluation.explanations.as_ref().unwrap();
    assert!(facts.challenger.as_ref().unwrap().starts_with("exact"));
    assert!(facts.champion.as_ref().unwrap().contains("20 random orders"));
    let chart = &evaluation.charts.as_ref().unwrap().importances[0];
    let total: f64 = chart.bars.iter().map(|b| b.challenger.unwrap().share).sum();
    assert!((total - 1.0).abs() < 1e-9);
    assert!(
        ["marital_status", "education_num", "relationship", "age", "capital_gain"]
            .contains(&chart.bars[0].column.as_str()),
        "{chart:?}"
    );
    // Twice is once.
    let before = world.evidence.list("").await.unwrap();
    assert_eq!(world.run(&held).await, evaluated);
    assert_eq!(world.evidence.list("").await.unwrap(), before);
}

#[tokio::test]
async fn nothing_is_explained_unless_the_policy_asks() {
    let policy = serde_json::json!({ "task": "binary", "positive_class": ">50K" });
    let world = World::new(policy, Some("benchmark.parquet")).await;
    world.submit("submissions/v2").await;
    let (_, evaluation, _) = world.evaluate(1).await;
    assert!(evaluation.rows.iter().all(|r| r.name != "explanations"));
    assert_eq!(evaluation.explanations, None);
    assert!(evaluation.charts.unwrap().importances.is_empty());
    let keys = world.evidence.list("").await.unwrap();
    assert!(keys.iter().all(|o| !o.key.contains("explanations")), "{keys:?}");
}

#[tokio::test]
async fn without_a_reference_the_requirement_is_unmet_and_says_so() {
    let world = World::new(policy(&serde_json::json!({})), Some("benchmark.parquet")).await;
    let folder = altered("submissions/v2", "reference.parquet", None);
    world.submit_from(&folder).await;
    let (evaluated, evaluation, _) = world.evaluate(1).await;
    let row = row(&evaluation, "explanations", None);
    assert_eq!((row.verdict, row.class), (Verdict::Inconclusive, MetricClass::Guardrail));
    assert!(
        row.why.contains("brought no reference.parquet") && row.why.contains("add a sample"),
        "{}",
        row.why
    );
    assert_ne!(evaluated.verdict, Verdict::Pass);
    assert_eq!(evaluation.explanations, None);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_reference_without_the_models_columns_names_them_and_as_info_it_stops_nothing() {
    let asked = serde_json::json!({ "class": "info" });
    let world = World::new(policy(&asked), Some("benchmark.parquet")).await;
    let other = std::fs::read(root().join("tests/fixtures/regression/weighted.parquet")).unwrap();
    let folder = altered("submissions/v3", "reference.parquet", Some(other));
    world.submit_from(&folder).await;
    let (evaluated, evaluation, _) = world.evaluate(1).await;
    let row = row(&evaluation, "explanations", None);
    assert_eq!((row.verdict, row.class), (Verdict::Inconclusive, MetricClass::Info));
    assert!(
        row.why.contains("0 of 100 rows of its own reference.parquet") && row.why.contains("native_country"),
        "{}",
        row.why
    );
    assert!(!evaluated.why.contains("explanations"), "{}", evaluated.why);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn without_a_benchmark_there_is_nothing_to_explain() {
    let world = World::new(policy(&serde_json::json!({})), None).await;
    world.submit("submissions/v2").await;
    let (_, evaluation, _) = world.evaluate(1).await;
    let row = row(&evaluation, "explanations", None);
    assert_eq!(row.verdict, Verdict::Inconclusive);
    assert!(row.why.contains("no benchmark to explain rows of"), "{}", row.why);
}
