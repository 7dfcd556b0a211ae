//! What a benchmark says: metrics, segments, weights, calibration, numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_domain::policy::{Margin, MetricRule, Policy, Task};
use seatrial_domain::verdict::{Direction, MetricClass, Verdict};
use seatrial_evidence::offline::{Answer, Answers, Judged, Truths, charts, rows, summary, verdict};
use seatrial_evidence::report::MetricRow;

/// A number from 0 to 1 that looks random and is the same on every machine.
fn noise(i: usize, salt: u64) -> f64 {
    let mut x = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xd1b5_4a32_d192_ed03);
    for _ in 0..3 {
        x ^= x >> 31;
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    (x >> 11) as f64 / (1_u64 << 53) as f64
}

fn scored(p: f64) -> Result<Answer, String> {
    let label = if p >= 0.5 { "yes" } else { "no" };
    Ok(Answer { label: Some(label.into()), scores: Some(vec![1.0 - p, p]), value: None })
}

/// Truths drawn with probability p; both versions say p, each with noise of its own.
fn binary(n: usize, shift: impl Fn(usize) -> f64) -> Judged {
    spread(n, 0.06, shift)
}

fn spread(n: usize, width: f64, shift: impl Fn(usize) -> f64) -> Judged {
    let p = |i| 0.05 + 0.9 * noise(i, 1);
    let version = |salt, shift: &dyn Fn(usize) -> f64| Answers {
        classes: vec!["no".into(), "yes".into()],
        rows: (0..n)
            .map(|i| scored((p(i) + width * (noise(i, salt) - 0.5) + shift(i)).clamp(0.001, 0.999)))
            .collect(),
        ..Answers::default()
    };
    let truth = |i| if noise(i, 2) < p(i) { "yes" } else { "no" };
    Judged {
        truths: Truths::Classes((0..n).map(|i| truth(i).to_owned()).collect()),
        positive: Some("yes".into()),
        champion: Some(version(3, &|_| 0.0)),
        challenger: version(4, &shift),
        seed: 1,
        ..Judged::default()
    }
}

fn numbers(n: usize, challenger: impl Fn(usize) -> Option<f64>) -> Judged {
    let truth = |i| 10.0 * noise(i, 1);
    let version = |of: &dyn Fn(usize) -> Option<f64>| Answers {
        rows: (0..n)
            .map(|i| of(i).map(|v| Answer { value: Some(v), ..Answer::default() }).ok_or("timeout".into()))
            .collect(),
        ..Answers::default()
    };
    Judged {
        truths: Truths::Numbers((0..n).map(truth).collect()),
        champion: Some(version(&|i| Some(truth(i) + noise(i, 2) - 0.5))),
        challenger: version(&challenger),
        seed: 1,
        ..Judged::default()
    }
}

fn rule(class: MetricClass, margin: f64, direction: Direction) -> MetricRule {
    MetricRule { class, margin: Margin::Absolute(margin), direction, limit: None }
}

fn policy(names: &[&str]) -> Policy {
    let mut policy = Policy { positive_class: Some("yes".into()), ..Policy::default() };
    let known = policy.offline.metrics.clone();
    let fallback = rule(MetricClass::Guardrail, 0.02, Direction::LowerIsBetter);
    policy.offline.metrics =
        names.iter().map(|n| ((*n).to_owned(), known.get(*n).copied().unwrap_or(fallback))).collect();
    policy
}

fn row<'a>(rows: &'a [MetricRow], name: &str, segment: Option<&str>) -> &'a MetricRow {
    rows.iter().find(|r| r.name == name && r.segment.as_deref() == segment).unwrap_or_else(|| {
        panic!("{name} {segment:?} in {:?}", rows.iter().map(|r| &r.name).collect::<Vec<_>>())
    })
}

const ALL: [&str; 10] = [
    "accuracy",
    "macro_f1",
    "weighted_f1",
    "auc",
    "log_loss",
    "brier",
    "ece",
    "calibration_slope",
    "calibration_intercept",
    "threshold_crossing",
];

#[test]
fn every_metric_of_two_classes_says_statistic_n_estimate_interval_and_margin() {
    let mut policy = policy(&ALL);
    policy.decision_threshold = Some(0.5);
    let made = rows(&binary(3_000, |_| 0.0), &policy);
    assert_eq!(made.len(), ALL.len());
    for row in &made {
        assert_eq!(row.n, 3_000, "{}", row.name);
        assert!(row.why.contains("n = 3000") && row.why.contains("95 % interval"), "{}", row.why);
        assert!(row.challenger.is_some() && row.interval.is_some(), "{}", row.why);
        if row.name != "threshold_crossing" {
            assert!(row.delta.is_some() && row.why.contains("margin"), "{}", row.why);
            let [low, high] = row.interval.unwrap();
            assert!(low <= row.delta.unwrap() && row.delta.unwrap() <= high, "{}", row.why);
        }
    }
    let how = |name: &str| row(&made, name, None).why.clone();
    assert!(how("accuracy").contains("Newcombe") && how("auc").contains("DeLong"));
    assert!(how("macro_f1").contains("bootstrap") && how("brier").contains("paired t"));
    assert!(how("ece").contains("jackknife") && how("calibration_slope").contains("jackknife"));
}

#[test]
fn a_score_that_is_too_sure_shows_in_slope_and_brier_and_not_in_auc() {
    // Twice as far from one half in logits: the same order, the same labels, scores that say too much.
    let mut data = binary(3_000, |_| 0.0);
    let Some(champion) = data.champion.clone() else { panic!("a champion") };
    data.challenger.rows = champion
        .rows
        .iter()
        .map(|row| {
            let p = row.as_ref().unwrap().scores.as_ref().unwrap()[1];
            let odds = (p / (1.0 - p)).powi(2);
            scored(odds / (1.0 + odds))
        })
        .collect();
    let made = rows(&data, &policy(&ALL[..9]));
    assert!(row(&made, "auc", None).delta.unwrap().abs() < 1e-12);
    let slope = row(&made, "calibration_slope", None);
    assert_eq!(slope.verdict, Verdict::Fail, "{}", slope.why);
    assert!((slope.challenger.unwrap() - 0.5).abs() < 0.08, "half as steep as it should be: {}", slope.why);
    assert!(
        slope.why.contains("the challenger's slope is 0.4")
            || slope.why.contains("the challenger's slope is 0.5")
    );
    let brier = row(&made, "brier", None);
    assert!(brier.interval.unwrap()[0] > 0.0, "{}", brier.why);
    assert!(row(&made, "ece", None).interval.unwrap()[0] > 0.02);
    let drawn = charts(&data, &policy(&ALL));
    assert!((drawn.calibration[0].challenger.slope.unwrap() - 0.5).abs() < 0.08);
    assert_eq!(drawn.scores[0].challenger.iter().sum::<u64>(), 3_000);
    assert_eq!(drawn.answers[0].counts[0][1] + drawn.answers[0].counts[1][0], 0, "no label differs");
}

#[test]
fn requests_that_cross_the_threshold_are_counted_both_ways_and_judged_by_a_limit() {
    let mut policy = policy(&["accuracy", "threshold_crossing"]);
    policy.decision_threshold = Some(0.5);
    policy.offline.metrics.get_mut("threshold_crossing").unwrap().limit = Some(0.05);
    let moved = binary(4_000, |_| 0.12);
    let found = rows(&moved, &policy);
    let crossing = row(&found, "threshold_crossing", None);
    assert_eq!(crossing.verdict, Verdict::Fail, "{}", crossing.why);
    assert!(crossing.why.contains("limit at most 5.00 %"), "{}", crossing.why);
    let drawn = &charts(&moved, &policy).crossings[0];
    assert!(drawn.up > 300 && drawn.down < 20 && drawn.n == 4_000, "{drawn:?}");
    let harmless = rows(&binary(4_000, |_| 0.0), &policy);
    assert_eq!(row(&harmless, "threshold_crossing", None).verdict, Verdict::Pass);
    // Without a rule it is shown; without a threshold it cannot be known.
    policy.offline.metrics.remove("threshold_crossing");
    assert_eq!(row(&rows(&moved, &policy), "threshold_crossing", None).class, MetricClass::Info);
    let mut blind = self::policy(&["threshold_crossing"]);
    blind.decision_threshold = None;
    let found = rows(&moved, &blind);
    assert_eq!(found[0].verdict, Verdict::Inconclusive);
    assert!(found[0].why.contains("decision_threshold"), "{}", found[0].why);
}

/// Fifty shops with 300 rows each; in `worse` the challenger says the opposite for a part of the rows.
fn shops(worse: Option<usize>) -> (Judged, Policy) {
    let n = 50 * 300;
    let mut data = spread(n, 0.4, |i| {
        let flip = worse == Some(i % 50) && noise(i, 9) < 0.6;
        if flip { if noise(i, 1) > 0.5 { -0.9 } else { 0.9 } } else { 0.0 }
    });
    let shop = (0..n).map(|i| Some(format!("s{:02}", i % 50))).collect();
    data.segments.insert("shop".into(), shop);
    let mut policy = policy(&["accuracy", "segment_accuracy"]);
    policy.segments = vec!["shop".into()];
    (data, policy)
}

#[test]
fn fifty_harmless_segments_block_nothing() {
    let (data, policy) = shops(None);
    let found = rows(&data, &policy);
    let segments: Vec<_> = found.iter().filter(|r| r.name == "segment_accuracy").collect();
    assert_eq!(segments.len(), 50);
    assert!(segments.iter().all(|r| r.verdict != Verdict::Fail));
    assert!(segments.iter().any(|r| r.verdict == Verdict::Inconclusive), "some interval crosses the margin");
    for row in segments.iter().filter(|r| r.verdict == Verdict::Inconclusive) {
        assert_eq!(row.class, MetricClass::Signal, "{}", row.why);
    }
    assert_eq!(verdict(&found).0, Verdict::Pass, "{}", verdict(&found).1);
}

#[test]
fn one_truly_worse_segment_blocks_named_or_not() {
    for named in [true, false] {
        let (data, mut policy) = shops(Some(7));
        if named {
            policy.named_segments = vec!["shop=s07".into()];
        }
        let found = rows(&data, &policy);
        let failed: Vec<_> =
            found.iter().filter(|r| r.verdict == Verdict::Fail).map(|r| r.segment.clone()).collect();
        assert_eq!(failed, [Some("shop=s07".to_owned())], "{named}");
        let why = &row(&found, "segment_accuracy", Some("shop=s07")).why;
        assert!(why.contains("after Holm over 50 segments"), "{why}");
        assert_eq!(verdict(&found).0, Verdict::Fail);
    }
}

#[test]
fn a_named_segment_that_is_too_small_is_inconclusive_and_others_are_not_judged() {
    let (data, mut policy) = shops(None);
    policy.segment_min_n = 301;
    policy.named_segments = vec!["shop=s01".into(), "shop=none".into()];
    let found = rows(&data, &policy);
    for named in ["shop=s01", "shop=none"] {
        let row = row(&found, "segment_accuracy", Some(named));
        assert_eq!((row.class, row.verdict), (MetricClass::Guardrail, Verdict::Inconclusive), "{}", row.why);
        assert_eq!(row.n_needed, Some(301));
    }
    let other = row(&found, "segment_accuracy", Some("shop=s02"));
    assert_eq!(other.class, MetricClass::Info);
    assert!(other.why.starts_with("not judged: "), "{}", other.why);
    assert_eq!(verdict(&found).0, Verdict::Inconclusive);
    // Large enough, a named one must be shown to be unharmed: 300 rows do not do that for five points.
    policy.segment_min_n = 200;
    policy.named_segments = (0..50).map(|s| format!("shop=s{s:02}")).collect();
    let found = rows(&data, &policy);
    assert_eq!(verdict(&found).0, Verdict::Inconclusive);
}

#[test]
fn a_first_version_is_judged_in_segments_by_the_limit_and_chance_alone_breaks_none() {
    // Accuracy is about .71 in every shop: a limit just below it is missed by some, and by none beyond chance.
    let (mut data, mut policy) = shops(None);
    data.champion = None;
    policy.offline.metrics.get_mut("segment_accuracy").unwrap().limit = Some(0.7);
    let found = rows(&data, &policy);
    let segments: Vec<_> = found.iter().filter(|r| r.name == "segment_accuracy").collect();
    assert!(segments.iter().all(|r| r.verdict != Verdict::Fail), "{segments:?}");
    assert!(
        segments.iter().any(|r| r.why.contains("within chance when 50 segments")),
        "none was near the limit"
    );
    let (mut data, policy) = (shops(Some(7)).0, policy);
    data.champion = None;
    let found = rows(&data, &policy);
    assert_eq!(row(&found, "segment_accuracy", Some("shop=s07")).verdict, Verdict::Fail);
}

#[test]
fn a_weight_of_two_is_worth_a_row_that_stands_twice_in_the_estimate() {
    let mut weighted = binary(2_000, |i| if i % 4 == 0 { 0.2 } else { 0.0 });
    weighted.weights = Some((0..2_000).map(|i| if i % 4 == 0 { 2.0 } else { 1.0 }).collect());
    let twice = repeated(&weighted);
    let names = &ALL[..9];
    let (a, b) = (rows(&weighted, &policy(names)), rows(&twice, &policy(names)));
    for name in names.iter().filter(|n| **n != "ece") {
        let (a, b) = (row(&a, name, None), row(&b, name, None));
        assert!((a.challenger.unwrap() - b.challenger.unwrap()).abs() < 1e-6, "{} {}", a.why, b.why);
        assert!(a.why.contains("jackknife"), "{}", a.why);
        assert_eq!(a.n, 2_000);
    }
    assert!(weighted.effective_rows() < 2_000.0 && weighted.effective_rows() > 1_700.0);
}

/// The rows of weight two twice, without weights. The copies share a unit.
fn repeated(data: &Judged) -> Judged {
    let weights = data.weights.clone().unwrap();
    let index: Vec<usize> =
        (0..weights.len()).flat_map(|i| std::iter::repeat_n(i, weights[i] as usize)).collect();
    let Truths::Classes(truths) = &data.truths else { panic!("classes") };
    let pick =
        |a: &Answers| Answers { rows: index.iter().map(|&i| a.rows[i].clone()).collect(), ..a.clone() };
    Judged {
        truths: Truths::Classes(index.iter().map(|&i| truths[i].clone()).collect()),
        units: Some(index.iter().map(ToString::to_string).collect()),
        champion: data.champion.as_ref().map(pick),
        challenger: pick(&data.challenger),
        weights: None,
        ..data.clone()
    }
}

#[test]
fn units_that_repeat_widen_every_interval() {
    // The challenger fails all requests of some units, and none of the others.
    let mut alone = binary(3_000, |_| 0.0);
    for (i, row) in alone.challenger.rows.iter_mut().enumerate().filter(|(i, _)| noise(i / 50, 5) < 0.1) {
        *row = Err(format!("crash {i}"));
    }
    let mut together = alone.clone();
    together.units = Some((0..3_000).map(|i| (i / 50).to_string()).collect());
    let names = ["log_loss", "brier"];
    for name in names {
        let width = |data: &Judged| {
            let made = rows(data, &policy(&names));
            let [low, high] = row(&made, name, None).interval.unwrap();
            high - low
        };
        assert!(width(&together) > 2.0 * width(&alone), "{name}: {} {}", width(&together), width(&alone));
    }
}

#[test]
fn fairness_of_repeated_units_has_the_same_values_and_the_jackknifes_interval() {
    let mut alone = binary(3_000, |i| if i % 3 == 0 { -0.1 } else { 0.0 });
    let group = |i| Some(if i % 3 == 0 { "a" } else { "b" }.to_owned());
    alone.segments.insert("group".into(), (0..3_000).map(group).collect());
    let mut together = alone.clone();
    together.units = Some((0..3_000).map(|i| (i / 2).to_string()).collect());
    let mut policy = policy(&["demographic_parity", "equalised_odds"]);
    policy.protected = vec!["group".into()];
    let (a, b) = (rows(&alone, &policy), rows(&together, &policy));
    for name in ["demographic_parity", "equalised_odds"] {
        let (a, b) = (row(&a, name, Some("group")), row(&b, name, Some("group")));
        for (x, y) in [(a.champion, b.champion), (a.challenger, b.challenger), (a.delta, b.delta)] {
            assert!((x.unwrap() - y.unwrap()).abs() < 1e-12, "{} {}", a.why, b.why);
        }
        assert!(a.why.contains("bootstrap") && b.why.contains("jackknife"), "{} {}", a.why, b.why);
        let ([low, high], delta) = (b.interval.unwrap(), b.delta.unwrap());
        assert!(low < delta && delta < high && delta > 0.03, "{}", b.why);
    }
}

fn regression(names: &[&str]) -> Policy {
    Policy { task: Task::Regression, ..policy(names) }
}

#[test]
fn numbers_are_judged_by_their_errors() {
    let data = numbers(2_000, |i| Some(10.0 * noise(i, 1) + 1.4 * (noise(i, 3) - 0.5)));
    let policy = regression(&["rmse", "mae", "r2", "accuracy", "auc"]);
    let found = rows(&data, &policy);
    assert_eq!(found.len(), 3, "metrics of classes are passed over");
    for (name, how) in [("mae", "paired t"), ("rmse", "delta method"), ("r2", "jackknife")] {
        let row = row(&found, name, None);
        assert!(row.why.contains(how) && row.interval.is_some(), "{}", row.why);
    }
    // Uniform errors of width 1.4 beside 1: the mean absolute error is a quarter of the width.
    let mae = row(&found, "mae", None);
    assert!((mae.challenger.unwrap() - 0.35).abs() < 0.02 && (mae.champion.unwrap() - 0.25).abs() < 0.02);
    assert_eq!(mae.verdict, Verdict::Fail, "{}", mae.why);
    let drawn = charts(&data, &policy);
    assert_eq!(drawn.scores[0].of, "predicted value");
    assert!(drawn.calibration.is_empty() && drawn.answers.is_empty());
    let values = summary(&data, &data.challenger, &policy).values.unwrap();
    assert!((values.mae.unwrap() - mae.challenger.unwrap()).abs() < 1e-12);
}

#[test]
fn a_failed_number_is_as_wrong_as_the_range_allows() {
    let perfect = |i| 10.0 * noise(i, 1);
    let data = numbers(1_000, |i| (i > 0).then(|| perfect(i)));
    let Truths::Numbers(truths) = data.truths.clone() else { panic!("numbers") };
    let low = truths.iter().copied().fold(f64::INFINITY, f64::min);
    let high = truths.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let found = rows(&data, &regression(&["mae"]));
    let expected = (truths[0] - low).max(high - truths[0]) / 1_000.0;
    assert!((found[0].challenger.unwrap() - expected).abs() < 1e-12);
    assert_eq!(summary(&data, &data.challenger, &regression(&["mae"])).errors["timeout"], 1);
}

#[test]
fn segments_of_numbers_are_judged_by_the_rule_of_the_mean_absolute_error() {
    let worse = |i: usize| i % 10 == 3;
    let mut data =
        numbers(5_000, |i| Some(10.0 * noise(i, 1) + (noise(i, 3) - 0.5) * if worse(i) { 1.6 } else { 1.0 }));
    data.segments.insert("site".into(), (0..5_000).map(|i| Some(format!("{}", i % 10))).collect());
    let mut policy = regression(&["mae"]);
    policy.segments = vec!["site".into()];
    let found = rows(&data, &policy);
    let failed: Vec<_> = found.iter().filter(|r| r.verdict == Verdict::Fail).collect();
    assert!(failed.iter().any(|r| r.segment.as_deref() == Some("site=3")), "{failed:?}");
    assert!(failed.iter().all(|r| r.segment.is_none() || r.segment.as_deref() == Some("site=3")));
}

#[test]
fn several_classes_have_no_metric_that_needs_two() {
    let mut data = binary(1_000, |_| 0.0);
    data.positive = None;
    let mut policy = policy(&["accuracy", "macro_f1", "log_loss", "ece"]);
    policy.task = Task::Multiclass;
    let found = rows(&data, &policy);
    assert!(found.iter().all(|r| r.challenger.is_some() && r.interval.is_some()), "{found:?}");
    policy.task = Task::Binary;
    policy.offline.metrics = Policy::default().offline.metrics;
    let found = rows(&data, &policy);
    let auc = row(&found, "auc", None);
    assert_eq!((auc.class, auc.verdict), (MetricClass::Info, Verdict::Inconclusive), "{}", auc.why);
}
