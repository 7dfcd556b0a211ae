//! Every accumulator of the crate is a commutative monoid, bit for bit: rows in any order, split over any number of parts that
//! are merged in any order, some of them empty and some read back from what was written, give the same bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Debug;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use seatrial_stats::{
    Merge,
    agreement::Agreement,
    auc::{AucHistogram, PairedAucHistogram},
    calibration::Calibration,
    confusion::Confusion,
    crossing::Crossings,
    drift::BinCounts,
    eprocess::ArmEProcess,
    exact::{ExactSum, FixedSum},
    exceedance::{LatencyEProcess, Thresholds},
    fairness::FairnessCells,
    intervals::PairedCounts,
    jackknife::Grouped,
    joint::JointConfusion,
    losses::{Brier, LogLoss, MeanLoss},
    multilabel::Multilabel,
    numeric::{NumericAgreement, Tolerance},
    paired::{LossMoments, PairedMoments},
    ranking::RankingAgreement,
    regression::Regression,
    sketch::LatencySketch,
    srm::SampleRatio,
    strata::Strata,
    text::TextScores,
    weighted::{WeightedConfusion, WeightedLosses, WeightedMean, WeightedRegression},
};
use serde::{Serialize, de::DeserializeOwned};

/// What a row may bring; each accumulator takes what it counts. Scores and values are now and then no numbers, infinite, or
/// out of range, since what is refused has to merge as well.
#[derive(Clone, Debug)]
struct Row {
    classes: [u8; 3],
    flags: [bool; 3],
    scores: [f64; 2],
    values: [f64; 2],
    weight: f64,
    unit: u16,
    latency: u64,
}

impl Row {
    fn class(&self, i: usize) -> &'static str {
        ["a", "b", "c", "Ä", ""][usize::from(self.classes[i]) % 5]
    }

    /// A set or a ranking of up to three labels.
    fn labels(&self, i: usize) -> Vec<&'static str> {
        let start = usize::from(self.classes[i]);
        (0..usize::from(self.classes[2] % 4)).map(|k| ["a", "b", "c", "d", "a"][(start + k) % 5]).collect()
    }

    /// A canary weight.
    fn share(&self) -> f64 {
        [0.01, 0.05, 0.25, 0.5, 1.0][usize::from(self.unit) % 5]
    }
}

fn row() -> impl Strategy<Value = Row> {
    let score = prop_oneof![
        8 => 0.0f64..=1.0, 2 => prop::sample::select(vec![0.0, -0.0, 0.5, 1.0]),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, -0.1, 1.5]),
    ];
    let value = prop_oneof![
        4 => -1e6f64..1e6, 2 => prop::num::f64::NORMAL, 2 => prop::sample::select(vec![0.1, -0.1, 1e16, 1e-16, 3.0]),
        1 => prop::sample::select(vec![f64::NAN, f64::NEG_INFINITY, f64::MAX]),
    ];
    let weight = prop_oneof![4 => 0.0f64..10.0, 1 => prop::sample::select(vec![0.0, 1.0, -1.0, f64::NAN])];
    (
        any::<[u8; 3]>(),
        any::<[bool; 3]>(),
        [score.clone(), score],
        [value.clone(), value],
        weight,
        any::<u16>(),
        prop_oneof![0u64..5_000, 0u64..1 << 40],
    )
        .prop_map(|(classes, flags, scores, values, weight, unit, latency)| Row {
            classes,
            flags,
            scores,
            values,
            weight,
            unit,
            latency,
        })
}

/// Rows, the order to take them in, the part each goes to, and the order in which parts are merged.
fn plan() -> impl Strategy<Value = (Vec<Row>, Vec<usize>, Vec<usize>, Vec<usize>)> {
    prop::collection::vec(row(), 0..24).prop_flat_map(|rows| {
        let (n, order) = (rows.len(), (0..rows.len()).collect::<Vec<_>>());
        let parts = Just((0..PARTS).collect::<Vec<_>>()).prop_shuffle();
        (Just(rows), Just(order).prop_shuffle(), prop::collection::vec(0..PARTS, n), parts)
    })
}

const PARTS: usize = 5;

fn bytes<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap()
}

fn is_a_monoid<T>(cases: u32, observe: impl Fn(&mut T, &Row))
where
    T: Merge + Default + Clone + PartialEq + Debug + Serialize + DeserializeOwned,
{
    let of = |rows: &[&Row]| {
        let mut accumulator = T::default();
        rows.iter().for_each(|row| observe(&mut accumulator, row));
        accumulator
    };
    let check = |(rows, order, part_of, part_order): (Vec<Row>, Vec<usize>, Vec<usize>, Vec<usize>)| {
        let whole = of(&rows.iter().collect::<Vec<_>>());
        let expected = bytes(&whole);
        prop_assert_eq!(
            &bytes(&of(&order.iter().map(|&i| &rows[i]).collect::<Vec<_>>())),
            &expected,
            "order"
        );
        let part = |part: usize| {
            of(&order.iter().filter(|&&i| part_of[i] == part).map(|&i| &rows[i]).collect::<Vec<_>>())
        };
        // One after another, each read back from its bytes.
        let mut forward = T::default();
        for &p in &part_order {
            let read: T = serde_json::from_str(&bytes(&part(p))).unwrap();
            prop_assert_eq!(&read, &part(p), "read back");
            forward.merge(&read);
        }
        prop_assert_eq!(&bytes(&forward), &expected, "split");
        prop_assert_eq!(&forward, &whole);
        // Grouped the other way: a + (b + (c + ...)).
        let mut backward = T::default();
        for &p in part_order.iter().rev() {
            let mut next = part(p);
            next.merge(&backward);
            backward = next;
        }
        prop_assert_eq!(&bytes(&backward), &expected, "grouping");
        let mut with_nothing = whole;
        with_nothing.merge(&T::default());
        prop_assert_eq!(&bytes(&with_nothing), &expected, "identity");
        Ok(())
    };
    TestRunner::new(Config { cases, ..Config::default() }).run(&plan(), check).unwrap();
}

macro_rules! monoids {
    ($($name:ident: $type:ty, $cases:expr, $observe:expr;)*) => {
        $(#[test] fn $name() { is_a_monoid::<$type>($cases, $observe); })*
    };
}

const TOLERANCE: Tolerance = Tolerance { absolute: 0.5, relative: 0.01 };

monoids! {
    agreement: Agreement, 64, |a, r| a.observe(r.class(0), r.flags[0].then(|| r.class(1)));
    auc: AucHistogram, 12, |a, r| { a.observe(r.flags[0], r.scores[0]); };
    paired_auc: PairedAucHistogram, 4, |a, r| {
        a.observe(r.flags[0], r.scores[0], r.scores[1], r.unit.into());
    };
    bin_counts: BinCounts, 64, |a, r| a.observe(r.classes[0].into());
    brier: Brier, 64, |a, r| { a.observe(r.scores[0], r.flags[0]); };
    brier_of_classes: Brier, 64, |a, r| { a.observe_classes(&[r.scores[0], r.scores[1]], usize::from(r.classes[0] % 3)); };
    calibration: Calibration, 64, |a, r| { a.observe(r.scores[0], r.flags[0]); };
    confusion: Confusion, 64, |a, r| a.observe(r.class(0), r.class(1));
    crossings: Crossings, 64, |a, r| { a.observe(0.5, r.scores[0], r.scores[1]); };
    e_process: ArmEProcess, 32, |a, r| { a.observe_counts(u64::from(r.flags[0]), u64::from(r.flags[1]), r.share()); };
    exact_sum: ExactSum, 64, |a, r| { a.add(r.values[0]); };
    exact_sum_of_products: ExactSum, 64, |a, r| { a.add_product(r.values[0], r.values[1]); };
    exact_sum_of_triples: ExactSum, 64, |a, r| { a.add_triple(r.values[0], r.values[1], r.weight); };
    fairness: FairnessCells, 64, |a, r| a.observe(r.class(0), r.flags[0], r.flags[1], r.flags[2]);
    fixed_sum: FixedSum, 64, |a, r| { a.add(r.values[0]); };
    grouped: Grouped<MeanLoss>, 16, |a, r| { a.of_unit(&r.unit.to_string()).observe(Some(r.scores[0])); };
    joint: JointConfusion, 64, |a, r| a.observe(r.class(0), r.class(1), r.class(2));
    latency_e_process: LatencyEProcess, 24, |a, r| {
        let (mut one, mut window) = (LatencySketch::default(), LatencySketch::default());
        one.observe(r.latency);
        window.observe(u64::from(r.unit));
        a.observe_window(&one, &window, r.share(), Thresholds { p99_us: 127, far_us: 1_023 });
    };
    latencies: LatencySketch, 64, |a, r| a.observe(r.latency);
    log_loss: LogLoss, 64, |a, r| { a.observe(r.scores[0]); };
    loss_moments: LossMoments, 64, |a, r| { a.observe(Some(r.scores[0]), r.flags[0].then_some(r.values[0])); };
    multilabel: Multilabel, 64, |a, r| { a.observe(&r.labels(0), &r.labels(1)); };
    numeric: NumericAgreement, 64, |a, r| { a.observe(TOLERANCE, r.values[0], r.values[1]); };
    paired_counts: PairedCounts, 64, |a, r| a.observe(r.flags[0], r.flags[1]);
    paired_moments: PairedMoments, 64, |a, r| { a.observe(r.values[0], r.values[1]); };
    rankings: RankingAgreement, 64, |a, r| a.observe(&r.labels(0), &r.labels(1));
    regression: Regression, 64, |a, r| { a.observe(r.values[0], r.values[1]); };
    sample_ratio: SampleRatio, 64, |a, r| { a.observe_counts(u64::from(r.classes[0]), u64::from(r.classes[1]), r.share()); };
    strata: Strata, 64, |a, r| { a.add(u64::from(r.classes[0]), u64::from(r.classes[1]), r.share()); };
    texts: TextScores, 64, |a, r| a.observe(r.class(0), r.class(1));
    weighted_confusion: WeightedConfusion, 64, |a, r| { a.observe(r.class(0), r.class(1), r.weight); };
    weighted_losses: WeightedLosses, 64, |a, r| { a.observe(r.scores[0], r.flags[0], r.weight); };
    weighted_mean: WeightedMean, 64, |a, r| { a.observe(Some(r.values[0]), r.weight); };
    weighted_regression: WeightedRegression, 64, |a, r| { a.observe(r.values[0], r.values[1], r.weight); };
}

/// Every public type that merges is in the list above.
#[test]
fn nothing_that_merges_is_left_out() {
    fn sources(folder: &std::path::Path, found: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else {
                found.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut all = String::new();
    sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    let merging: Vec<&str> = all
        .split("Merge for ")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap())
        .filter(|name| all.contains(&format!("pub struct {name}")))
        .collect();
    assert!(merging.len() > 25, "{merging:?}");
    for name in merging {
        let named = include_str!("monoid.rs").split(|c: char| !c.is_alphanumeric()).any(|word| word == name);
        assert!(named, "`{name}` merges: add it to the list of this file");
    }
}
