//! Every exact definition against scikit-learn, fairlearn, scipy and statsmodels, to 1e-9. The values are made by
//! `tests/oracles/make_stats_oracles.py` and stored with their inputs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support;

use seatrial_stats::{
    Arm,
    auc::{AucHistogram, auc, delong},
    calibration::Calibration,
    confusion::Confusion,
    drift::{jensen_shannon, psi},
    eprocess::ArmEProcess,
    fairness::{AbsentClass, FairnessCells, FairnessMetric},
    intervals::{PairedCounts, newcombe_independent, wilson},
    losses::{Brier, LogLoss},
    multiplicity::{benjamini_hochberg, holm},
    paired::PairedMoments,
    quantiles::{normal_quantile, t_quantile},
    regression::Regression,
};
use serde_json::Value;
use support::{close, close_interval, close_or_absent, count, flags, number, numbers, oracle, rows};

#[test]
fn classification() {
    for case in rows(&oracle("classification")) {
        let name = case["name"].as_str().unwrap();
        let mut confusion = Confusion::default();
        for (truth, predicted) in rows(&case["truth"]).iter().zip(rows(&case["predicted"])) {
            confusion.observe(truth.as_str().unwrap(), predicted.as_str().unwrap());
        }
        let labels: Vec<&str> = rows(&case["labels"]).iter().map(|v| v.as_str().unwrap()).collect();
        assert_eq!(confusion.labels(), labels, "{name}");
        for (truth, line) in labels.iter().zip(rows(&case["confusion"])) {
            for (predicted, n) in labels.iter().zip(rows(line)) {
                assert_eq!(confusion.count(truth, predicted), count(n), "{name}");
            }
        }
        close(name, confusion.accuracy(), &case["accuracy"]);
        close(name, confusion.macro_f1(), &case["macro_f1"]);
        close(name, confusion.weighted_f1(), &case["weighted_f1"]);
    }
}

#[test]
fn scores() {
    for case in rows(&oracle("scores")) {
        let name = case["name"].as_str().unwrap();
        let (truth, score) = (flags(&case["truth"]), numbers(&case["score"]));
        let (mut loss, mut brier) = (LogLoss::default(), Brier::default());
        let (mut calibration, mut histogram) = (Calibration::default(), AucHistogram::default());
        for (&y, &p) in truth.iter().zip(&score) {
            loss.observe(if y { p } else { 1.0 - p });
            brier.observe(p, y);
            calibration.observe(p, y);
            histogram.observe(y, p);
        }
        close(name, loss.0.mean(), &case["log_loss"]);
        close(name, brier.0.mean(), &case["brier"]);
        close(name, calibration.ece(), &case["ece"]);
        if case["auc"].is_null() {
            assert_eq!((auc(&truth, &score), histogram.auc()), (None, None), "{name}");
        } else {
            close(name, auc(&truth, &score), &case["auc"]);
            let binned = histogram.auc().unwrap();
            assert!((binned.auc - number(&case["auc"])).abs() <= binned.bound + 1e-12, "{name}: {binned:?}");
        }
    }
}

#[test]
fn multiclass_losses() {
    let mut cases = rows(&oracle("classes")).clone();
    cases.push(oracle("multiclass"));
    cases.iter().for_each(multiclass_case);
}

fn multiclass_case(case: &Value) {
    let (mut loss, mut brier) = (LogLoss::default(), Brier::default());
    for (truth, probabilities) in rows(&case["truth"]).iter().zip(rows(&case["probabilities"])) {
        let (truth, probabilities) = (count(truth) as usize, numbers(probabilities));
        assert!(loss.observe(probabilities[truth]) && brier.observe_classes(&probabilities, truth));
    }
    close("log loss", loss.0.mean(), &case["log_loss"]);
    close("brier", brier.0.mean(), &case["brier"]);
}

#[test]
fn regression() {
    for case in rows(&oracle("regression")) {
        let name = case["name"].as_str().unwrap();
        let mut ours = Regression::default();
        for (y, prediction) in numbers(&case["truth"]).into_iter().zip(numbers(&case["predicted"])) {
            ours.observe(y, prediction);
        }
        close(name, ours.rmse(), &case["rmse"]);
        close(name, ours.mae(), &case["mae"]);
        close_or_absent(name, ours.r2(), &case["r2"]);
    }
}

#[test]
fn delong_by_all_pairs() {
    for case in rows(&oracle("delong")) {
        let (champion, challenger) = (numbers(&case["champion"]), numbers(&case["challenger"]));
        let ours = delong(&flags(&case["truth"]), &champion, &challenger).unwrap();
        close("champion", Some(ours.champion), &case["auc_champion"]);
        close("challenger", Some(ours.challenger), &case["auc_challenger"]);
        close("variance", Some(ours.variance), &case["variance"]);
    }
}

#[test]
fn fairness() {
    for case in rows(&oracle("fairness")) {
        let name = case["name"].as_str().unwrap();
        let mut cells = FairnessCells::default();
        let (truth, champion, challenger) =
            (flags(&case["truth"]), flags(&case["champion"]), flags(&case["challenger"]));
        for (i, group) in rows(&case["group"]).iter().enumerate() {
            cells.observe(group.as_str().unwrap(), truth[i], champion[i], challenger[i]);
        }
        for rates in cells.rates(Arm::Champion) {
            let theirs = &case["rates"][&rates.group];
            close(name, rates.selection_rate, &theirs["selection_rate"]);
            // fairlearn gives an absent class the rate zero.
            close(name, rates.true_positive_rate.or(Some(0.0)), &theirs["tpr"]);
            close(name, rates.false_positive_rate.or(Some(0.0)), &theirs["fpr"]);
        }
        let odds = FairnessMetric::EqualisedOdds(AbsentClass::Zero);
        for (arm, theirs) in
            [(Arm::Champion, &case["of_champion"]), (Arm::Challenger, &case["of_challenger"])]
        {
            close(name, cells.demographic_parity_difference(arm), &theirs["demographic_parity"]);
            close(name, cells.metric(odds, arm), &theirs["equalised_odds"]);
            let mean = FairnessMetric::EqualisedOddsMean(AbsentClass::Zero);
            close(name, cells.metric(mean, arm), &theirs["equalised_odds_mean"]);
            if !["a group without positives", "one row in each group"].contains(&name) {
                close(name, cells.equalised_odds_difference(arm), &theirs["equalised_odds"]);
            }
        }
    }
}

#[test]
fn proportions() {
    let all = oracle("intervals");
    for case in rows(&all["wilson"]) {
        let ours = wilson(count(&case["x"]), count(&case["n"]), number(&case["confidence"]));
        close_interval("wilson", ours, &case["interval"]);
    }
    for case in rows(&all["independent"]) {
        let [x1, n1, x2, n2] = ["x1", "n1", "x2", "n2"].map(|key| count(&case[key]));
        close_interval("independent", newcombe_independent(x1, n1, x2, n2, 0.95), &case["interval"]);
    }
    for case in rows(&all["paired"]) {
        let counts = PairedCounts {
            both: count(&case["both"]),
            champion_only: count(&case["champion_only"]),
            challenger_only: count(&case["challenger_only"]),
            neither: count(&case["neither"]),
        };
        close_interval("paired", counts.difference(0.95).map(|d| d.interval), &case["interval"]);
        close("exact", Some(counts.mcnemar_exact()), &case["exact"]);
        close("mid-p", Some(counts.mcnemar_mid_p()), &case["mid_p"]);
    }
}

#[test]
fn paired_means_and_quantiles() {
    let all = oracle("intervals");
    let case = &all["paired_t"];
    let mut moments = PairedMoments::default();
    for (x, y) in numbers(&case["champion"]).into_iter().zip(numbers(&case["challenger"])) {
        moments.observe(x, y);
    }
    let ours = moments.mean_difference(0.95).unwrap();
    close("delta", Some(ours.delta), &case["delta"]);
    close("standard error", Some(ours.standard_error), &case["standard_error"]);
    close_interval("interval", Some(ours.interval), &case["interval"]);
    for case in rows(&all["quantiles"]["normal"]) {
        close("normal", normal_quantile(number(&case[0])), &case[1]);
    }
    for case in rows(&all["quantiles"]["t"]) {
        close(&format!("t {case}"), t_quantile(number(&case[0]), number(&case[1])), &case[2]);
    }
}

#[test]
fn adjusted_p_values() {
    let case = oracle("multiplicity");
    let p = numbers(&case["p"]);
    for (ours, theirs) in [(holm(&p), &case["holm"]), (benjamini_hochberg(&p), &case["bh"])] {
        for (ours, theirs) in ours.into_iter().zip(rows(theirs)) {
            close("adjusted", Some(ours), theirs);
        }
    }
}

#[test]
fn drift() {
    for case in rows(&oracle("drift")) {
        let counts = |key: &str| -> Vec<u64> { rows(&case[key]).iter().map(count).collect() };
        let (reference, current) = (counts("reference"), counts("current"));
        close("psi", psi(&reference, &current, 0.95).map(|d| d.value), &case["psi"]);
        close("js", jensen_shannon(&reference, &current, 0.95).map(|d| d.value), &case["jensen_shannon"]);
    }
}

#[test]
fn e_process() {
    for case in rows(&oracle("e_process")) {
        let mut process = ArmEProcess::default();
        for step in rows(&case["events"]) {
            assert!(process.observe_counts(count(&step[0]), count(&step[1]), number(&step[2])));
        }
        close("log e", Some(process.log_e()), &case["log_e"]);
    }
}
