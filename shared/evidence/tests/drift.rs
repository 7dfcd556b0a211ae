//! Live inputs beside a reference.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use seatrial_domain::policy::{Margin, MetricRule};
use seatrial_domain::verdict::{Direction, MetricClass, Verdict};
use seatrial_evidence::benchmark::Benchmark;
use seatrial_evidence::drift::{LiveCounts, Profile, compare};
use seatrial_stats::Merge;
use serde_json::{Map, Value, json};

/// Evenly spread numbers that look random and never change.
fn draw(n: u64, salt: u64) -> f64 {
    let mut x = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ salt.wrapping_mul(0xD1B5_4A32_D192_ED03);
    x = (x ^ (x >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((x ^ (x >> 29)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn inputs(n: u64, salt: u64, shift: f64) -> Map<String, Value> {
    let age = 20.0 + 40.0 * draw(n, salt) + shift;
    let job = ["clerk", "nurse", "smith"][(draw(n, salt + 1) * 3.0) as usize];
    let Value::Object(map) = json!({ "age": age, "job": job, "kids": (draw(n, salt + 2) * 4.0) as i64 })
    else {
        panic!()
    };
    map
}

fn benchmark(rows: u64) -> Benchmark {
    let all: Vec<_> = (0..rows).map(|n| inputs(n, 7, 0.0)).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("age", Arc::new(all.iter().map(|r| r["age"].as_f64()).collect::<Float64Array>())),
        ("job", Arc::new(all.iter().map(|r| r["job"].as_str()).collect::<StringArray>())),
        ("kids", Arc::new(all.iter().map(|r| r["kids"].as_i64()).collect::<Int64Array>())),
        ("label", Arc::new(all.iter().map(|_| Some("yes")).collect::<StringArray>())),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    Benchmark::read(Bytes::from(writer.into_inner().unwrap())).unwrap()
}

fn rule(limit: Option<f64>) -> MetricRule {
    MetricRule {
        class: MetricClass::Guardrail,
        margin: Margin::Absolute(0.0),
        direction: Direction::LowerIsBetter,
        limit,
    }
}

fn live(profile: &Profile, rows: u64, shift: f64) -> LiveCounts {
    let mut live = LiveCounts::default();
    (0..rows).for_each(|n| live.observe(profile, &inputs(n, 99, shift)));
    live
}

#[test]
fn the_same_shift_gets_the_same_answer_from_one_percent_of_the_data() {
    let profile = Profile::of("the benchmark", &benchmark(20_000), |name| name != "label");
    assert_eq!(profile.features.keys().collect::<Vec<_>>(), ["age", "job", "kids"]);
    let effects: Vec<f64> = [1_000, 10_000, 100_000]
        .into_iter()
        .map(|rows| {
            let row = compare(&profile, &live(&profile, rows, 15.0), 0.2).row(&rule(Some(0.2)), 200);
            assert_eq!(row.verdict, Verdict::Fail, "{rows}: {}", row.why);
            assert!(row.why.contains("1 moved beyond 0.2: age"), "{}", row.why);
            row.challenger.unwrap()
        })
        .collect();
    assert!(effects.iter().all(|e| (e - effects[2]).abs() < 0.03), "{effects:?}");
}

#[test]
fn without_a_shift_nothing_moves_and_too_little_is_not_known() {
    let profile = Profile::of("the benchmark", &benchmark(20_000), |name| name != "label");
    for rows in [1_000, 100_000] {
        let row = compare(&profile, &live(&profile, rows, 0.0), 0.2).row(&rule(Some(0.2)), 200);
        assert_eq!(row.verdict, Verdict::Pass, "{rows}: {}", row.why);
    }
    let little = compare(&profile, &live(&profile, 100, 0.0), 0.2);
    assert_eq!(little.row(&rule(Some(0.2)), 200).verdict, Verdict::Inconclusive);
    assert_eq!(little.row(&rule(Some(0.2)), 200).n_needed, Some(200));
    assert_ne!(little.row(&rule(Some(0.2)), 10).verdict, Verdict::Fail, "a hundred rows alarm nobody");
    assert_eq!(
        compare(&profile, &LiveCounts::default(), 0.2).row(&rule(Some(0.2)), 0).verdict,
        Verdict::Inconclusive
    );
    let shown = little.row(&rule(None), 10);
    assert_eq!((shown.class, shown.verdict), (MetricClass::Info, Verdict::Inconclusive));
}

#[test]
fn new_and_missing_values_are_a_shift_of_their_own() {
    let profile = Profile::of("the benchmark", &benchmark(5_000), |name| name != "label");
    let mut new_job = LiveCounts::default();
    let mut no_age = LiveCounts::default();
    for n in 0..2_000 {
        let mut row = inputs(n, 99, 0.0);
        row["job"] = json!("pilot");
        new_job.observe(&profile, &row);
        let mut row = inputs(n, 99, 0.0);
        row["age"] = Value::Null;
        no_age.observe(&profile, &row);
    }
    for (live, feature) in [(&new_job, "job"), (&no_age, "age")] {
        let moved = compare(&profile, live, 0.2);
        let bars = moved.bars(Some(0.2));
        assert_eq!((bars.bars[0].feature.as_str(), bars.bars[0].verdict), (feature, Verdict::Fail));
        assert!(bars.bars[0].effect > 0.95, "{bars:?}");
        assert!(bars.bars.iter().all(|b| b.effect.is_finite()));
    }
}

#[test]
fn counting_in_parts_is_counting_at_once_and_profiles_travel_as_json() {
    let profile = Profile::of("the benchmark", &benchmark(1_000), |name| name != "label");
    let back: Profile = serde_json::from_str(&serde_json::to_string(&profile).unwrap()).unwrap();
    assert_eq!(back, profile);
    let (mut left, mut right) = (LiveCounts::default(), LiveCounts::default());
    (0..500).for_each(|n| {
        if n % 3 == 0 {
            left.observe(&profile, &inputs(n, 99, 0.0));
        } else {
            right.observe(&profile, &inputs(n, 99, 0.0));
        }
    });
    right.merge(&left);
    right.merge(&LiveCounts::default());
    assert_eq!(right, live(&back, 500, 0.0));
}
