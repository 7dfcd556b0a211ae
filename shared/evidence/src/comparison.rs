//! The comparison: frozen inputs in, judged rows and verdict out. Pure.

use jiff::Timestamp;
use seatrial_domain::ids::{ModelName, PromotionId};
use seatrial_domain::policy::{MetricRule, Policy, applies};
use seatrial_domain::promotion::{EvidenceRef, PromotionRecord, ShadowTimes};
use seatrial_domain::verdict::Verdict;
use seatrial_stats::agreement::FullAgreement as Cause;
use seatrial_stats::intervals::{PairedCounts, wilson};
use serde::{Deserialize, Serialize};

use crate::evaluation::Evaluation;
use crate::offline;
use crate::progress::{CONFIDENCE, missing};
use crate::report::{
    ComparisonReport, Disagreement, Fidelity, FullAgreement, MetricGroup, MetricRow, MetricUnit, SCHEMA,
    ShadowFacts,
};
use crate::rows::{self, Estimate, Name};
use crate::summary::Summary;

/// The frozen list of inputs: the objects that a report rests on, and no others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenInputs {
    /// 1.
    pub schema: u32,
    /// The model.
    pub model: ModelName,
    /// The promotion.
    pub promotion: PromotionId,
    /// Its epoch.
    pub epoch: u64,
    /// When the list was made.
    pub frozen_at: Timestamp,
    /// The shadow's times; none without a shadow.
    pub shadow: Option<ShadowTimes>,
    /// Files of pairs in the data bucket.
    pub pairs: Vec<FrozenObject>,
    /// Files of labels in the data bucket.
    pub labels: Vec<FrozenObject>,
    /// The evaluation in the evidence bucket.
    pub evaluation: Option<EvidenceRef>,
}

/// One object as it was when it was frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenObject {
    /// Its key.
    pub key: String,
    /// Its S3 version, where the bucket keeps versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The SHA-256 of its bytes, 64 hexadecimal digits.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
}

/// What a report is made of.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The promotion.
    pub promotion: &'a PromotionRecord,
    /// Its pinned policy.
    pub policy: &'a Policy,
    /// The evaluation.
    pub evaluation: Option<&'a Evaluation>,
    /// The pairs; none without a shadow.
    pub summary: Option<&'a Summary>,
    /// The shadow's times.
    pub shadow: Option<&'a ShadowTimes>,
    /// The frozen list; none for an interim report.
    pub inputs: Option<&'a EvidenceRef>,
    /// When the inputs were frozen, or the interim report was asked for.
    pub at: Timestamp,
}

/// The report over these facts. Without a frozen list it is interim and never a pass.
#[must_use]
pub fn report(facts: &Facts<'_>) -> ComparisonReport {
    let Facts { promotion, policy, .. } = *facts;
    let interim = facts.inputs.is_none();
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    match facts.evaluation {
        Some(evaluation) => {
            rows.extend(evaluation.rows.iter().cloned());
            notes.extend(evaluation.notes.iter().cloned());
        }
        None => rows.extend(offline::rows_without_benchmark(policy)),
    }
    if let Some(summary) = facts.summary {
        rows.extend(shadow_rows(policy, summary));
        notes.extend(shadow_notes(summary));
    } else if policy.shadow.enabled && promotion.champion.is_some() {
        rows.push(rows::check(
            name("pairs", MetricUnit::Number),
            0,
            Verdict::Inconclusive,
            "the policy asks for a shadow, and there was none",
        ));
    }
    let (mut verdict, mut why) = offline::verdict(&rows);
    if interim {
        verdict = verdict.max(Verdict::Inconclusive);
        why = format!("interim, the evidence is still coming in: {why}");
    }
    ComparisonReport {
        schema: SCHEMA,
        model: promotion.model.clone(),
        promotion: promotion.id.clone(),
        epoch: promotion.epoch,
        challenger: promotion.challenger.clone(),
        champion: promotion.champion.clone(),
        created_at: facts.at,
        interim,
        verdict,
        why,
        rows,
        offline: facts.evaluation.and_then(|e| e.benchmark.clone()),
        shadow: facts
            .summary
            .zip(facts.shadow)
            .map(|(summary, times)| shadow_facts(promotion, summary, times)),
        inputs: facts.inputs.cloned(),
        evaluation: promotion.evidence.get(&seatrial_domain::promotion::EvidenceKind::Evaluation).cloned(),
        policy: promotion.policy.digest.clone(),
        charts: facts.evaluation.and_then(|e| e.charts.clone()),
        notes,
    }
}

fn name(name: &str, unit: MetricUnit) -> Name<'_> {
    Name { group: MetricGroup::Shadow, name, segment: None, unit }
}

/// The rows of the shadow.
#[must_use]
pub fn shadow_rows(policy: &Policy, summary: &Summary) -> Vec<MetricRow> {
    let rules = &policy.shadow;
    let mut all = vec![evidence_row(policy, summary), fidelity_row(policy, summary)];
    for (metric, rule) in rules.metrics.iter().filter(|(metric, _)| applies(metric, policy.task)) {
        let row = match metric.as_str() {
            "agreement" => agreement(rule, summary, rules.min_pairs),
            "error_rate" => {
                let own = wilson(summary.challenger_errors(), summary.pairs, CONFIDENCE);
                let estimate = Estimate { own, ..paired(&summary.errors) };
                rows::judge(name(metric, MetricUnit::Share), rule, &estimate, rules.min_pairs, true)
            }
            "accuracy" if summary.labelled == 0 => rows::without(
                name(metric, MetricUnit::Share),
                rule,
                format!("no label has arrived for the {} pairs", summary.pairs),
            ),
            "accuracy" => {
                let right = summary.correct.both + summary.correct.challenger_only;
                let own = wilson(right, summary.labelled, CONFIDENCE);
                let estimate = Estimate { own, ..paired(&summary.correct) };
                rows::judge(name(metric, MetricUnit::Share), rule, &estimate, policy.offline.min_n, true)
            }
            other => match other.strip_prefix("latency_p").and_then(|p| p.parse::<f64>().ok()) {
                Some(q) => latency(metric, rule, summary, q / 100.0, rules.min_pairs),
                None => rows::without(
                    name(metric, MetricUnit::Number),
                    rule,
                    "this metric is not measured in a shadow",
                ),
            },
        };
        all.push(row);
    }
    all
}

fn paired(counts: &PairedCounts) -> Estimate {
    let d = counts.difference(CONFIDENCE);
    Estimate {
        how: "Newcombe, paired",
        n: counts.n(),
        champion: d.map(|d| d.champion),
        challenger: d.map(|d| d.challenger),
        delta: d.map(|d| d.delta),
        interval: d.map(|d| d.interval),
        own: None,
    }
}

fn agreement(rule: &MetricRule, summary: &Summary, min_pairs: u64) -> MetricRow {
    let agreement = &summary.agreement;
    let estimate = Estimate {
        how: "Wilson",
        n: agreement.n(),
        challenger: agreement.share(),
        own: agreement.interval(CONFIDENCE),
        ..Estimate::default()
    };
    let mut row = rows::judge(name("agreement", MetricUnit::Share), rule, &estimate, min_pairs, false);
    if rule.limit.is_none() && row.n_needed.is_none() {
        row.why = format!(
            "{} of {} answers are equal; shown only: the policy sets no limit",
            agreement.agreed(),
            agreement.n()
        );
    }
    row
}

fn latency(metric: &str, rule: &MetricRule, summary: &Summary, q: f64, min_pairs: u64) -> MetricRow {
    let estimate = rows::latency(Some(&summary.champion_latency), &summary.challenger_latency, q);
    let mut row = rows::judge(name(metric, MetricUnit::Microseconds), rule, &estimate, min_pairs, true);
    row.why = format!("replay, relative (both versions in one process): {}", row.why);
    row
}

/// Whether there is enough to judge by.
fn evidence_row(policy: &Policy, summary: &Summary) -> MetricRow {
    let (verdict, why) = match missing(&policy.shadow, summary) {
        None => (
            Verdict::Pass,
            format!(
                "{} pairs seen of {} needed; every class has its minimum",
                summary.pairs, policy.shadow.min_pairs
            ),
        ),
        Some(what) => (Verdict::Inconclusive, what),
    };
    let mut row = rows::check(name("pairs", MetricUnit::Number), summary.pairs, verdict, why);
    row.n_needed = (verdict != Verdict::Pass).then_some(policy.shadow.min_pairs);
    row
}

fn fidelity_row(policy: &Policy, summary: &Summary) -> MetricRow {
    let needed = policy.shadow.min_fidelity;
    let (verdict, why) = match summary.fidelity() {
        None => (
            Verdict::Inconclusive,
            "no replay of the champion could be checked against what it really answered".to_owned(),
        ),
        Some(share) => {
            let seen = format!(
                "the replayed champion gave the served answer in {} of {} pairs ({:.2} %); {:.2} % needed",
                summary.faithful,
                summary.checked,
                share * 100.0,
                needed * 100.0
            );
            if share >= needed {
                (Verdict::Pass, seen)
            } else {
                (Verdict::Inconclusive, format!("{seen}: the replay does not stand for live traffic"))
            }
        }
    };
    let mut row = rows::check(name("fidelity", MetricUnit::Share), summary.checked, verdict, why);
    row.champion = summary.fidelity();
    row.limit = Some(needed);
    row
}

fn shadow_facts(promotion: &PromotionRecord, summary: &Summary, times: &ShadowTimes) -> ShadowFacts {
    let same = promotion.champion.as_ref().is_some_and(|c| c.digest == promotion.challenger.digest);
    let cause = summary.agreement.full_agreement(same).map(|cause| match cause {
        Cause::SameDigest => FullAgreement::SameDigest,
        Cause::OneSidedTraffic { .. } => FullAgreement::OneSidedTraffic,
        Cause::TrulyEqual { .. } => FullAgreement::TrulyEqual,
    });
    let mut disagreement: Vec<Disagreement> = summary
        .agreement
        .matrix()
        .filter(|(champion, challenger, _)| *challenger != Some(*champion))
        .map(|(champion, challenger, n)| Disagreement {
            champion: champion.to_owned(),
            challenger: challenger.map(str::to_owned),
            n,
        })
        .collect();
    disagreement.sort_by(|a, b| {
        b.n.cmp(&a.n).then_with(|| (&a.champion, &a.challenger).cmp(&(&b.champion, &b.challenger)))
    });
    ShadowFacts {
        opened_at: times.opened_at,
        closed_at: times.closed_at,
        stopped_early: times.stopped_early,
        pairs: summary.pairs,
        duplicates: summary.duplicates,
        fidelity: summary.fidelity().map(|share| Fidelity { n: summary.checked, share }),
        agreement: summary.agreement.share(),
        cause_of_full_agreement: cause,
        disagreement,
    }
}

fn shadow_notes(summary: &Summary) -> Vec<String> {
    let mut notes = Vec::new();
    if summary.labelled > 0 {
        notes.push(format!(
            "the truth is known for {} of {} pairs ({:.1} %)",
            summary.labelled,
            summary.pairs,
            summary.labelled as f64 / summary.pairs.max(1) as f64 * 100.0
        ));
    }
    if summary.reused_client_ids > 0 {
        notes.push(format!(
            "{} pairs share their client id with another pair; no label is joined to them by it",
            summary.reused_client_ids
        ));
    }
    for (kind, n) in &summary.error_kinds {
        notes.push(format!("the challenger failed with {kind} on {n} pairs"));
    }
    if let Some(cause) = summary.agreement.full_agreement(false) {
        notes.push(match cause {
            Cause::OneSidedTraffic { label } => format!("all answers are {label}: the traffic asked for one answer only and tells the versions apart in nothing"),
            _ => "the versions agree on every pair".into(),
        });
    }
    notes
}
