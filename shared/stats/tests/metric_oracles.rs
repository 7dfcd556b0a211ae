//! Weighted metrics, distances, calibration, and answers that are sets, rankings, texts and numbers, against the reference
//! libraries to 1e-9; and all metrics of real answers. Values as in `oracles.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support;

use seatrial_stats::{
    Arm,
    auc::{AucHistogram, auc, delong},
    calibration::{Calibration, CalibrationLine, binned_calibration_line, calibration_line},
    confusion::Confusion,
    distance::{kolmogorov_smirnov, wasserstein, weighted_wasserstein},
    drift::{jensen_shannon, jensen_shannon_distance},
    fairness::{AbsentClass, FairnessCells, FairnessMetric},
    losses::{Brier, LogLoss},
    multilabel::Multilabel,
    numeric::{NumericAgreement, Tolerance},
    ranking::{kendall_tau_b, ndcg, rank_biased_overlap},
    text::{normalised, token_f1},
    weighted::{WeightedConfusion, WeightedLosses, WeightedRegression, weighted_auc},
};
use serde_json::Value;
use support::{close, close_interval, close_or_absent, count, flags, number, numbers, oracle, rows, texts};

#[test]
fn weighted_classification() {
    for case in rows(&oracle("weighted_classification")) {
        let name = case["name"].as_str().unwrap();
        let (truth, predicted) = (texts(&case["truth"]), texts(&case["predicted"]));
        let mut ours = WeightedConfusion::default();
        for ((truth, predicted), weight) in truth.iter().zip(&predicted).zip(numbers(&case["weights"])) {
            assert!(ours.observe(truth, predicted, weight));
        }
        let labels = texts(&case["labels"]);
        assert_eq!(ours.labels(), labels, "{name}");
        for (truth, line) in labels.iter().zip(rows(&case["confusion"])) {
            for (predicted, weight) in labels.iter().zip(rows(line)) {
                close(name, Some(ours.weight(truth, predicted)), weight);
            }
        }
        close(name, ours.accuracy(), &case["accuracy"]);
        close(name, ours.macro_f1(), &case["macro_f1"]);
        close(name, ours.weighted_f1(), &case["weighted_f1"]);
    }
}

#[test]
fn weighted_scores() {
    for case in rows(&oracle("weighted_scores")) {
        let name = case["name"].as_str().unwrap();
        let (truth, score) = (flags(&case["truth"]), numbers(&case["score"]));
        let weights = numbers(&case["weights"]);
        let mut losses = WeightedLosses::default();
        for i in 0..truth.len() {
            assert!(losses.observe(score[i], truth[i], weights[i]));
        }
        close(name, losses.log_loss.mean(), &case["log_loss"]);
        close(name, losses.brier.mean(), &case["brier"]);
        close_or_absent(name, weighted_auc(&truth, &score, &weights), &case["auc"]);
    }
}

#[test]
fn weighted_regression() {
    for case in rows(&oracle("weighted_regression")) {
        let name = case["name"].as_str().unwrap();
        let (truth, predicted) = (numbers(&case["truth"]), numbers(&case["predicted"]));
        let mut ours = WeightedRegression::default();
        for ((truth, predicted), weight) in truth.iter().zip(predicted).zip(numbers(&case["weights"])) {
            assert!(ours.observe(*truth, predicted, weight));
        }
        close(name, ours.rmse(), &case["rmse"]);
        close(name, ours.mae(), &case["mae"]);
        close(name, ours.r2(), &case["r2"]);
    }
}

#[test]
fn distances() {
    for case in rows(&oracle("distances")) {
        let name = case["name"].as_str().unwrap();
        let (one, two) = (numbers(&case["one"]), numbers(&case["two"]));
        close(name, kolmogorov_smirnov(&one, &two), &case["ks"]);
        close(name, wasserstein(&one, &two), &case["wasserstein"]);
        let (u, v) = (numbers(&case["one_weights"]), numbers(&case["two_weights"]));
        close(name, weighted_wasserstein(&one, &u, &two, &v), &case["weighted_wasserstein"]);
    }
    for case in rows(&oracle("jensen_shannon")) {
        let counts = |key: &str| rows(&case[key]).iter().map(count).collect::<Vec<u64>>();
        let divergence = jensen_shannon(&counts("one"), &counts("two"), 0.95).unwrap().value;
        for (key, base) in [("nats", std::f64::consts::E), ("2", 2.0), ("10", 10.0)] {
            close(key, jensen_shannon_distance(divergence, base), &case[key]);
        }
    }
}

#[track_caller]
fn close_line(what: &str, ours: &CalibrationLine, theirs: &Value) {
    close(what, Some(ours.intercept), &theirs["intercept"]);
    close(what, Some(ours.slope), &theirs["slope"]);
    close(what, Some(ours.intercept_standard_error), &theirs["intercept_standard_error"]);
    close(what, Some(ours.slope_standard_error), &theirs["slope_standard_error"]);
    close(what, Some(ours.in_the_large), &theirs["in_the_large"]);
    close(what, Some(ours.in_the_large_standard_error), &theirs["in_the_large_standard_error"]);
}

#[test]
fn calibration() {
    for case in rows(&oracle("calibration")) {
        let name = case["name"].as_str().unwrap();
        let (truth, score) = (flags(&case["truth"]), numbers(&case["score"]));
        close_line(name, &calibration_line(&truth, &score).unwrap(), &case["line"]);
        let mut bins = Calibration::default();
        truth.iter().zip(&score).for_each(|(&y, &p)| assert!(bins.observe(p, y)));
        close(name, bins.squared_error_debiased(), &case["debiased"]);
    }
}

#[test]
fn multilabel() {
    for case in rows(&oracle("multilabel")) {
        let name = case["name"].as_str().unwrap();
        let mut ours = Multilabel::default();
        for (truth, predicted) in rows(&case["truth"]).iter().zip(rows(&case["predicted"])) {
            ours.observe(&texts(truth), &texts(predicted));
        }
        close(name, ours.subset_accuracy(), &case["subset_accuracy"]);
        close(name, ours.micro_f1(), &case["micro_f1"]);
        close(name, ours.macro_f1(), &case["macro_f1"]);
        close(name, ours.hamming_loss(None), &case["hamming_loss"]);
        close(name, ours.jaccard(), &case["jaccard"]);
    }
}

#[test]
fn rankings() {
    for case in rows(&oracle("ndcg")) {
        let k = count(&case["k"]) as usize;
        close("ndcg", ndcg(&numbers(&case["ranked"]), &numbers(&case["all"]), k), &case["ndcg"]);
    }
    for case in rows(&oracle("kendall")) {
        close("tau", kendall_tau_b(&numbers(&case["one"]), &numbers(&case["two"])), &case["tau"]);
    }
    for case in rows(&oracle("overlap")) {
        let (one, two) = (texts(&case["one"]), texts(&case["two"]));
        close("overlap", rank_biased_overlap(&one, &two, number(&case["p"])), &case["overlap"]);
    }
}

#[test]
fn texts_as_squad_compares_them() {
    for case in rows(&oracle("text")) {
        let (truth, predicted) = (case["truth"].as_str().unwrap(), case["predicted"].as_str().unwrap());
        assert_eq!(vec![normalised(truth), normalised(predicted)], texts(&case["normalised"]));
        close(truth, Some(token_f1(truth, predicted)), &case["f1"]);
    }
}

#[test]
fn numeric_agreement() {
    let case = oracle("numeric");
    let (champion, challenger) = (numbers(&case["champion"]), numbers(&case["challenger"]));
    for row in rows(&case["within"]) {
        let tolerance = Tolerance { absolute: number(&row[0]), relative: number(&row[1]) };
        let mut ours = NumericAgreement::default();
        champion.iter().zip(&challenger).for_each(|(&x, &y)| assert!(ours.observe(tolerance, x, y)));
        assert_eq!(ours.within(), count(&row[2]));
        let limits = ours.limits(0.95).unwrap();
        close("bias", Some(limits.bias.delta), &case["bias"]);
        close_interval("bias", Some(limits.bias.interval), &case["interval"]);
        close("sd", Some(limits.standard_deviation), &case["sd"]);
        close_interval("limits", Some(limits.limits), &case["limits"]);
    }
}

/// Sex, truth, and the scores of three versions.
type AdultRow = (String, bool, [f64; 3]);

fn adult() -> Vec<AdultRow> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/oracles/adult.csv");
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let score = |i: usize| fields[i].parse::<f64>().unwrap();
        (fields[0].to_owned(), fields[1] == "1", [score(2), score(3), score(4)])
    };
    std::fs::read_to_string(path).unwrap().lines().skip(1).map(row).collect()
}

#[test]
fn real_answers() {
    let (rows, oracle) = (adult(), oracle("adult"));
    let truth: Vec<bool> = rows.iter().map(|row| row.1).collect();
    let scores = [0, 1, 2].map(|v| rows.iter().map(|row| row.2[v]).collect::<Vec<f64>>());
    for (version, score) in ["v1", "v2", "v3"].into_iter().zip(&scores) {
        let theirs = &oracle["versions"][version];
        let (mut loss, mut brier, mut bins) = (LogLoss::default(), Brier::default(), Calibration::default());
        let (mut confusion, mut cells) = (Confusion::default(), FairnessCells::default());
        let mut histogram = AucHistogram::default();
        for ((sex, truth, _), &p) in rows.iter().zip(score) {
            let said = p >= 0.5;
            let name = |yes: bool| if yes { "1" } else { "0" };
            confusion.observe(name(*truth), name(said));
            cells.observe(sex, *truth, said, said);
            assert!(loss.observe(if *truth { p } else { 1.0 - p }) && brier.observe(p, *truth));
            assert!(bins.observe(p, *truth) && histogram.observe(*truth, p));
        }
        close(version, confusion.accuracy(), &theirs["accuracy"]);
        close(version, confusion.macro_f1(), &theirs["macro_f1"]);
        close(version, confusion.weighted_f1(), &theirs["weighted_f1"]);
        for (truth, predicted) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let ours = confusion.count(&truth.to_string(), &predicted.to_string());
            assert_eq!(ours, count(&theirs["confusion"][truth][predicted]), "{version}");
        }
        close(version, auc(&truth, score), &theirs["auc"]);
        close(version, loss.0.mean(), &theirs["log_loss"]);
        close(version, brier.0.mean(), &theirs["brier"]);
        close(version, bins.squared_error_debiased(), &theirs["debiased"]);
        close_line(version, &calibration_line(&truth, score).unwrap(), &theirs["line"]);
        let odds = |metric: fn(AbsentClass) -> FairnessMetric| {
            cells.metric(metric(AbsentClass::Leave), Arm::Champion)
        };
        close(version, cells.demographic_parity_difference(Arm::Champion), &theirs["demographic_parity"]);
        close(version, odds(FairnessMetric::EqualisedOdds), &theirs["equalised_odds"]);
        close(version, odds(FairnessMetric::EqualisedOddsMean), &theirs["equalised_odds_mean"]);
        for rates in cells.rates(Arm::Champion) {
            let theirs = &theirs["rates"][&rates.group];
            close(version, rates.selection_rate, &theirs["selection_rate"]);
            close(version, rates.true_positive_rate, &theirs["tpr"]);
            close(version, rates.false_positive_rate, &theirs["fpr"]);
        }
        // Streaming: within the printed bounds of the exact values.
        let binned = histogram.auc().unwrap();
        assert!((binned.auc - number(&theirs["auc"])).abs() <= binned.bound, "{version} {binned:?}");
        let line = binned_calibration_line(&histogram).unwrap();
        let bound = line.bound.unwrap_or_else(|| panic!("{version} {line:?}"));
        assert!((line.slope - number(&theirs["line"]["slope"])).abs() <= bound.slope, "{version} {line:?}");
        assert!(
            (line.intercept - number(&theirs["line"]["intercept"])).abs() <= bound.intercept,
            "{version}"
        );
        println!("{version}: auc bound {:.1e}, slope bound {:.1e}", binned.bound, bound.slope);
    }
    close("ks", kolmogorov_smirnov(&scores[0], &scores[1]), &oracle["ks"]);
    close("wasserstein", wasserstein(&scores[0], &scores[1]), &oracle["wasserstein"]);
    close("tau", kendall_tau_b(&scores[0], &scores[1]), &oracle["kendall"]);
    let paired = delong(&truth, &scores[0], &scores[1]).unwrap();
    close("paired", Some(paired.challenger), &oracle["versions"]["v2"]["auc"]);
}
