//! One version on the benchmark, for people.

use std::collections::BTreeMap;

use seatrial_domain::policy::Policy;
use seatrial_stats::Arm;
use seatrial_stats::confusion::Confusion;
use seatrial_stats::regression::Regression;

use super::data::{Answers, Judged, Truths};
use super::{Bench, fairness};
use crate::evaluation::{ValueErrors, VersionSummary};

/// One version on the benchmark. Counts are of rows, whatever their weight.
#[must_use]
pub fn summary(data: &Judged, answers: &Answers, policy: &Policy) -> VersionSummary {
    let mut errors = BTreeMap::new();
    for kind in answers.rows.iter().filter_map(|row| row.as_ref().err()) {
        *errors.entry(kind.clone()).or_default() += 1;
    }
    let q = |q| answers.latency.quantile_us(q);
    let common = VersionSummary {
        answered: answers.rows.iter().filter(|row| row.is_ok()).count() as u64,
        errors,
        latency_us: q(0.5).zip(q(0.95)).zip(q(0.99)).map(|((a, b), c)| [a, b, c]),
        ..VersionSummary::default()
    };
    match &data.truths {
        Truths::Classes(truths) => of_classes(data, truths, answers, policy, common),
        Truths::Numbers(targets) => of_numbers(targets, answers, common),
    }
}

fn of_classes(
    data: &Judged,
    truths: &[String],
    answers: &Answers,
    policy: &Policy,
    common: VersionSummary,
) -> VersionSummary {
    let mut confusion = Confusion::default();
    truths.iter().enumerate().for_each(|(r, truth)| confusion.observe(truth, answers.label(r)));
    let bench = Bench::new(data);
    let groups = policy.protected.iter().filter_map(|column| {
        let (values, positive) = (data.segments.get(column)?, data.positive.as_deref()?);
        let rates = fairness::cells(&bench, values, positive, Some(answers)).rates(Arm::Champion);
        Some((column.clone(), rates))
    });
    VersionSummary {
        accuracy: confusion.accuracy(),
        macro_f1: confusion.macro_f1(),
        classes: confusion.classes(),
        confusion: confusion.cells().map(|(t, p, n)| (t.to_owned(), p.to_owned(), n)).collect(),
        groups: groups.collect(),
        ..common
    }
}

fn of_numbers(targets: &[f64], answers: &Answers, common: VersionSummary) -> VersionSummary {
    let mut errors = Regression::default();
    for (r, &truth) in targets.iter().enumerate() {
        if let Some(value) = answers.value(r) {
            errors.observe(truth, value);
        }
    }
    VersionSummary {
        values: Some(ValueErrors { rmse: errors.rmse(), mae: errors.mae(), r2: errors.r2() }),
        ..common
    }
}
