//! The comparison: frozen inputs in, judged rows and verdict out. Pure.

use jiff::Timestamp;
use seatrial_domain::ids::{ModelName, PromotionId};
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{EvidenceRef, PromotionRecord, ShadowTimes, Stage};
use seatrial_domain::verdict::Verdict;
use serde::{Deserialize, Serialize};

use crate::automatic::automatic;
use crate::charts::ChartData;
use crate::drift::{self, BENCHMARK, LiveCounts, Moved};
use crate::evaluation::Evaluation;
use crate::offline;
use crate::plan::{self, Traffic};
use crate::report::{ComparisonReport, MetricUnit, OfflineFacts, SCHEMA};
use crate::rows;
use crate::shadow_rows::{self, name};
use crate::summary::Summary;

/// The frozen list of inputs: the objects that a report rests on, and no others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Files of the serving log in the data bucket: a sample, by which drift is judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observations: Vec<FrozenObject>,
    /// The evaluation in the evidence bucket.
    pub evaluation: Option<EvidenceRef>,
    /// The champion's traffic, from which the canary's plan is made; none without a champion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
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
    /// Its rows, by the footer of a Parquet file; none where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
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
    /// The champion's traffic before the canary; none where no canary is planned.
    pub traffic: Option<&'a Traffic>,
    /// Live rows in the bins of each of the evaluation's profiles; empty where none were read.
    pub live: &'a [LiveCounts],
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
        rows.extend(shadow_rows::rows(policy, summary));
        notes.extend(shadow_rows::notes(policy, summary));
    } else if policy.shadow.enabled && promotion.champion.is_some() {
        rows.push(rows::check(
            name("pairs", MetricUnit::Number),
            0,
            Verdict::Inconclusive,
            match promotion.bypass(Stage::Shadow) {
                Some(by) => format!("the shadow was skipped in an emergency by {}", by.by.principal),
                None => "the policy asks for a shadow, and there was none".to_owned(),
            },
        ));
    }
    let moved = moved(facts);
    if let (Some(rule), Some(_)) = (policy.shadow.metrics.get("drift"), facts.summary) {
        rows.push(match moved.first() {
            Some(first) => first.row(rule, policy.shadow.min_pairs),
            None if interim => rows::without(
                name("drift", MetricUnit::Number),
                rule,
                "how far live inputs are from the reference is looked at when the shadow is over",
            ),
            None => rows::without(
                name("drift", MetricUnit::Number),
                rule,
                "there is neither a training sample (reference.parquet) nor a benchmark to compare live inputs with",
            ),
        });
    }
    // What is skipped needs no plan.
    if let Some(traffic) = facts.traffic.filter(|_| promotion.bypass(Stage::Canary).is_none()) {
        rows.extend(plan::rows(policy, traffic));
    }
    let (mut verdict, mut why) = offline::verdict(&rows);
    if interim {
        notes.push(
            "this report is interim: its intervals hold for one look, and who looks again and again will find differences that are none"
                .to_owned(),
        );
        verdict = verdict.max(Verdict::Inconclusive);
        why = format!("interim, the evidence is still coming in: {why}");
    }
    let mut report = ComparisonReport {
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
        offline: benchmark(facts, &moved),
        shadow: facts
            .summary
            .zip(facts.shadow)
            .map(|(summary, times)| shadow_rows::facts(promotion, summary, times)),
        inputs: facts.inputs.cloned(),
        evaluation: promotion.evidence.get(&seatrial_domain::promotion::EvidenceKind::Evaluation).cloned(),
        explanations: facts.evaluation.and_then(|e| e.explanations.clone()),
        policy: promotion.policy.digest.clone(),
        charts: charts(facts, &moved),
        notes,
        bypasses: promotion.bypasses.clone(),
        automatic: None,
    };
    report.automatic = automatic(&report, policy);
    report
}

/// How far live requests are from each reference: the challenger's training sample first, where it brought one.
fn moved(facts: &Facts<'_>) -> Vec<Moved> {
    let profiles = facts.evaluation.map(|e| e.profiles.as_slice()).unwrap_or_default();
    let limit = drift_limit(facts.policy).unwrap_or(0.0);
    profiles.iter().zip(facts.live).map(|(profile, live)| drift::compare(profile, live, limit)).collect()
}

fn drift_limit(policy: &Policy) -> Option<f64> {
    policy.shadow.metrics.get("drift").and_then(|rule| rule.limit)
}

/// What is known about the benchmark, with how far live requests are from it.
fn benchmark(facts: &Facts<'_>, moved: &[Moved]) -> Option<OfflineFacts> {
    let mut known = facts.evaluation?.benchmark.clone()?;
    let of_benchmark = moved.iter().find(|moved| moved.reference() == BENCHMARK && moved.live_rows() > 0);
    if let Some(moved) = of_benchmark {
        known.live_shift = Some(moved.sentence());
    }
    Some(known)
}

/// The charts of the benchmark and of the shadow; none where there is nothing to draw.
fn charts(facts: &Facts<'_>, moved: &[Moved]) -> Option<ChartData> {
    let mut all = facts.evaluation.and_then(|e| e.charts.clone()).unwrap_or_default();
    if let Some(summary) = facts.summary {
        let shadow = shadow_rows::charts(facts.policy, summary);
        all.scores.extend(shadow.scores);
        all.latency.extend(shadow.latency);
        all.answers.extend(shadow.answers);
        all.calibration.extend(shadow.calibration);
        all.crossings.extend(shadow.crossings);
        all.coverage.extend(shadow.coverage);
    }
    let limit = drift_limit(facts.policy);
    all.drift.extend(moved.iter().filter(|m| m.live_rows() > 0).map(|moved| moved.bars(limit)));
    (!all.is_empty()).then_some(all)
}
