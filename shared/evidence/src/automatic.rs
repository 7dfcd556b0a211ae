//! Whether a report's evidence allows an approval that comes by itself unless somebody blocks it.
//!
//! It does when every metric that the policy tracks is surely better, and nothing is wrong or unknown. "Surely" is a lower
//! bound above 0: rows carry two-sided 95 % intervals, whose lower end is a one-sided 97.5 % bound, so this asks for a little
//! more than the one-sided 95 % bound that would do.

use seatrial_domain::policy::{ApprovalMode, Margin, Policy};
use seatrial_domain::promotion::Automatic;
use seatrial_domain::verdict::{Direction, MetricClass, Verdict};

use crate::report::{ComparisonReport, MetricGroup, MetricRow};

/// Whether `report` allows it by `policy`; none where the policy asks for people anyway.
#[must_use]
pub fn automatic(report: &ComparisonReport, policy: &Policy) -> Option<Automatic> {
    if policy.approval.mode != ApprovalMode::AutoUnlessBlocked {
        return None;
    }
    let against = against(report, policy);
    Some(if against.is_empty() {
        let tracked = policy.offline.tracked.join(", ");
        let why = format!("{tracked}: surely better, by at least the margin; every guardrail passes");
        Automatic { eligible: true, why: vec![why] }
    } else {
        Automatic { eligible: false, why: against }
    })
}

/// Everything that stands against it, a sentence each.
fn against(report: &ComparisonReport, policy: &Policy) -> Vec<String> {
    let mut found = Vec::new();
    if report.champion.is_none() {
        found.push("a first version has nothing to be better than: people decide".to_owned());
    }
    if report.interim {
        found.push("the evidence is still coming in".to_owned());
    }
    if !report.bypasses.is_empty() {
        found.push("a stage was skipped in an emergency: people decide what follows".to_owned());
    }
    if report.verdict != Verdict::Pass {
        found.push(format!("the verdict is {}", report.verdict.as_str()));
    }
    for row in report.rows.iter().filter(|r| r.class != MetricClass::Info && r.verdict != Verdict::Pass) {
        found.push(format!("{} is {}: {}", label(row), row.verdict.as_str(), row.why));
    }
    for name in &policy.offline.tracked {
        let whole =
            |r: &&MetricRow| r.group == MetricGroup::Offline && r.name == *name && r.segment.is_none();
        match report.rows.iter().find(whole) {
            None => found.push(format!("{name} is tracked, and was not measured")),
            Some(row) => found.extend(not_better(row)),
        }
    }
    found
}

/// Why a tracked metric is not surely better by its margin; none when it is.
fn not_better(row: &MetricRow) -> Option<String> {
    let (Some(delta), Some([low, high])) = (row.delta, row.interval) else {
        return Some(format!("{} is tracked, and has no interval", label(row)));
    };
    // The gain, and the least that it surely is.
    let (gain, least) = match row.direction {
        Direction::HigherIsBetter => (delta, low),
        Direction::LowerIsBetter => (-delta, -high),
    };
    let margin = match row.margin {
        Some(Margin::Absolute(margin)) => margin,
        Some(Margin::Relative(share)) => share * row.champion.unwrap_or(f64::INFINITY).abs(),
        None => f64::INFINITY,
    };
    // Said so that what is not a number is not better.
    let surely = least > 0.0;
    // A gain of exactly the margin is enough; what is left of a subtraction of floats is not held against it.
    let enough = gain >= margin - 1e-12;
    if !surely {
        return Some(format!("{} is not surely better: its gain may be as little as {least:.4}", label(row)));
    }
    if !enough {
        return Some(format!("{} is better by {gain:.4}, less than its margin of {margin:.4}", label(row)));
    }
    None
}

fn label(row: &MetricRow) -> String {
    match &row.segment {
        Some(segment) => format!("{} of {segment}", row.name),
        None => row.name.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use seatrial_domain::canonical::sha256;
    use seatrial_domain::ids::VersionRef;
    use seatrial_domain::{ModelName, PromotionId, VersionName};

    use super::*;
    use crate::report::{MetricUnit, SCHEMA};

    fn row(name: &str, class: MetricClass, delta: f64, half: f64) -> MetricRow {
        MetricRow {
            group: MetricGroup::Offline,
            name: name.into(),
            segment: None,
            unit: MetricUnit::Share,
            champion: Some(0.8),
            challenger: Some(0.8 + delta),
            delta: Some(delta),
            interval: Some([delta - half, delta + half]),
            confidence: Some(0.95),
            n: 1_000,
            n_needed: None,
            margin: Some(Margin::Absolute(0.01)),
            limit: None,
            direction: Direction::HigherIsBetter,
            class,
            verdict: Verdict::Pass,
            why: "because".into(),
        }
    }

    fn report(rows: Vec<MetricRow>) -> ComparisonReport {
        let version = |n| VersionRef { version: VersionName::new(n), digest: sha256(&[n as u8]) };
        let model = ModelName::parse("m").unwrap();
        ComparisonReport {
            schema: SCHEMA,
            promotion: PromotionId::derive(&model, "x", 1),
            model,
            epoch: 1,
            challenger: version(2),
            champion: Some(version(1)),
            created_at: "2026-11-27T00:00:00Z".parse().unwrap(),
            interim: false,
            verdict: Verdict::Pass,
            why: String::new(),
            rows,
            offline: None,
            shadow: None,
            inputs: None,
            evaluation: None,
            explanations: None,
            policy: sha256(b"policy"),
            charts: None,
            notes: vec![],
            bypasses: vec![],
            automatic: None,
        }
    }

    fn policy() -> Policy {
        let mut policy = Policy::default();
        policy.approval.mode = ApprovalMode::AutoUnlessBlocked;
        policy.offline.tracked = vec!["accuracy".into()];
        policy
    }

    fn why(report: &ComparisonReport) -> Vec<String> {
        let answer = automatic(report, &policy()).unwrap();
        assert_eq!(answer.eligible, against(report, &policy()).is_empty());
        if answer.eligible { vec![] } else { answer.why }
    }

    #[test]
    fn surely_better_by_the_margin_and_nothing_against_it() {
        let good = report(vec![row("accuracy", MetricClass::Guardrail, 0.02, 0.01)]);
        assert_eq!(why(&good), Vec::<String>::new());
        assert_eq!(automatic(&good, &Policy::default()), None, "people decide anyway");
    }

    #[test]
    fn each_thing_that_stands_against_it_is_named() {
        let tracked = || row("accuracy", MetricClass::Guardrail, 0.02, 0.01);
        let base = report(vec![tracked()]);
        let cases = [
            (ComparisonReport { champion: None, ..base.clone() }, "first version"),
            (ComparisonReport { interim: true, ..base.clone() }, "still coming in"),
            (ComparisonReport { verdict: Verdict::Inconclusive, ..base }, "verdict is inconclusive"),
            (report(vec![]), "accuracy is tracked, and was not measured"),
            (report(vec![row("accuracy", MetricClass::Guardrail, 0.02, 0.02)]), "not surely better"),
            (report(vec![row("accuracy", MetricClass::Guardrail, 0.009, 0.001)]), "less than its margin"),
            (report(vec![MetricRow { interval: None, ..tracked() }]), "has no interval"),
            (report(vec![MetricRow { segment: Some("sex=F".into()), ..tracked() }]), "was not measured"),
            (report(vec![MetricRow { group: MetricGroup::Shadow, ..tracked() }]), "was not measured"),
            (
                report(vec![
                    tracked(),
                    MetricRow { verdict: Verdict::Inconclusive, ..row("auc", MetricClass::Signal, 0.0, 0.1) },
                ]),
                "auc is inconclusive",
            ),
        ];
        for (report, expected) in cases {
            let found = why(&report);
            assert!(found.iter().any(|w| w.contains(expected)), "{expected}: {found:?}");
        }
        let shown_only =
            MetricRow { verdict: Verdict::Inconclusive, ..row("ece", MetricClass::Info, 0.0, 0.1) };
        assert!(why(&report(vec![tracked(), shown_only])).is_empty());
    }

    #[test]
    fn lower_is_better_and_shares_of_the_champion_read_the_right_way_round() {
        let mut lower = row("accuracy", MetricClass::Guardrail, -0.05, 0.01);
        lower.direction = Direction::LowerIsBetter;
        lower.margin = Some(Margin::Relative(0.05));
        assert!(why(&report(vec![lower.clone()])).is_empty(), "0.05 is more than 5 % of 0.8");
        lower.margin = Some(Margin::Relative(0.1));
        assert!(!why(&report(vec![lower])).is_empty());
    }

    proptest! {
        #[test]
        fn no_number_that_is_none_ever_counts_as_better(
            delta in prop_oneof![Just(f64::NAN), Just(f64::INFINITY), -1.0..1.0_f64],
            low in prop_oneof![Just(f64::NAN), -1.0..1.0_f64],
            margin in prop_oneof![Just(f64::NAN), 0.0..1.0_f64],
        ) {
            let mut tracked = row("accuracy", MetricClass::Guardrail, delta, 0.0);
            tracked.interval = Some([low, low + 0.1]);
            tracked.margin = Some(Margin::Absolute(margin));
            let eligible = automatic(&report(vec![tracked]), &policy()).unwrap().eligible;
            prop_assert_eq!(eligible, low > 0.0 && delta >= margin - 1e-12);
        }
    }
}
