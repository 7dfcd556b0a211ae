//! Promotions with all their evidence, signed: for tests, for the example, and to look at.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "each user takes what it needs"
)]

use std::collections::BTreeMap;

use seatrial_attestation::dsse::{Envelope, IN_TOTO};
use seatrial_attestation::manifest::{Manifest, Subject};
use seatrial_attestation::statement::Sha256;
use seatrial_attestation::verify::Files;
use seatrial_attestation::{LocalKey, PublicKey};
use seatrial_domain::canonical;
use seatrial_domain::history::{ChainTip, HistoryEntry};
use seatrial_domain::ids::{Digest, ModelName};
use seatrial_domain::promotion::PromotionRecord;
use seatrial_evidence::report::ComparisonReport;
use serde_json::{Value, json};

#[allow(clippy::unwrap_used, clippy::wildcard_imports, unreachable_pub, missing_docs)]
#[path = "../../../report/tests/samples/mod.rs"]
pub mod reports;

pub fn digest(of: &str) -> Digest {
    canonical::sha256(of.as_bytes())
}

/// One promotion's evidence before it is signed.
pub struct Promotion {
    pub key: LocalKey,
    pub record: Value,
    /// Everything but record, gate and history, by kind: the name ends with the content's digest.
    pub objects: BTreeMap<String, Vec<u8>>,
    pub gate: Option<Value>,
    pub events: Vec<(&'static str, Value, &'static str)>,
}

fn bytes(value: &impl serde::Serialize) -> Vec<u8> {
    canonical::to_bytes(value).unwrap()
}

fn named(kind: &str, bytes: &[u8]) -> String {
    format!("{kind}-{}.json", &canonical::sha256(bytes).hex()[..16])
}

pub const PROMOTION: &str = "pr_0123456789abcdef01234567";

impl Promotion {
    /// A crowned promotion with everything that there can be.
    pub fn crowned() -> Self {
        let policy = policy();
        let mut report = passing();
        report.policy = canonical::digest(&policy).unwrap();
        let mut made = Self {
            key: LocalKey::generate().unwrap(),
            record: record("crowned", Some("v3"), "v4"),
            objects: BTreeMap::new(),
            gate: None,
            events: vec![
                ("version_registered", json!({ "version": "v4" }), "ann@example.com"),
                ("promotion_started", json!({ "policy": 7 }), "release-bot"),
                ("shadow_opened", json!({}), "function/gate"),
                ("shadow_closed", json!({}), "function/gate"),
                ("gate_decided", json!({ "decision": "approved" }), "bob@example.com"),
                ("canary_step", json!({ "weight": 100 }), "function/shift"),
                ("canary_step", json!({ "weight": 500 }), "function/shift"),
                ("canary_step", json!({ "weight": 2500 }), "function/shift"),
                ("canary_step", json!({ "weight": 5000 }), "function/shift"),
                ("crowned", json!({}), "function/crown"),
            ],
        };
        made.add("policy", &policy);
        made.record["policy"]["digest"] = json!(report.policy);
        let explanations = made.add("explanations", &explanations());
        if let Some(facts) = &mut report.explanations {
            facts.object = serde_json::from_value(json!({ "key": folder(&explanations), "digest": canonical::sha256(&made.objects[&explanations]) })).unwrap();
        }
        made.judged(&report);
        made.add("inputs", &json!({
                "frozen_at": "2026-11-21T09:02:00Z", "shadow": { "opened_at": "2026-11-20T09:00:00Z" }, "labels": [], "observations": [],
                "pairs": [{ "key": "pairs/model=credit-risk/part=00/x.parquet", "version_id": "3f", "sha256": digest("pairs").hex(), "size": 81_920 }],
            }));
        made.objects.insert("summaries/5555aaaa/part=00.json".into(), b"{\"pairs\":48211}".to_vec());
        made.approve("approved", true);
        for (number, weight) in [100_u16, 500, 2_500, 5_000].into_iter().enumerate() {
            made.step(
                number as u32,
                weight,
                "healthy",
                "every guardrail is no worse than its margin allows, at every look",
            );
        }
        made.record["steps"] = json!([
            { "weight": 100, "at": "2026-11-21T10:00:00Z" }, { "weight": 500, "at": "2026-11-21T10:30:00Z" },
            { "weight": 2500, "at": "2026-11-21T11:00:00Z" }, { "weight": 5000, "at": "2026-11-21T11:30:00Z" },
        ]);
        made
    }

    /// A version that served already and was adopted.
    pub fn adopted() -> Self {
        let mut made = Self { record: record("adopted", None, "v1"), ..Self::empty() };
        let policy = policy();
        made.add("policy", &policy);
        made.record["policy"]["digest"] = json!(canonical::digest(&policy).unwrap());
        made.record["benchmark"] = Value::Null;
        made.record["evidence"] = json!({});
        made.record["requested_by"] = json!({ "principal": "owen@example.com", "auth": "oidc" });
        let comment = "In use since May; its figures are in RISK-112.";
        made.record["adoption"] = json!({ "comment": comment, "serving_since": "2026-05-04T00:00:00Z" });
        made.record["reason"] =
            json!(format!("v1 is the champion. {}", seatrial_domain::adoption::NOT_COMPARED));
        let details = json!({ "champion": made.record["challenger"], "comment": comment });
        made.events = vec![
            ("version_packaged", json!({}), "function/package"),
            ("adopted", details, "owen@example.com"),
        ];
        made
    }

    /// The model's first version: no champion, no shadow, no canary.
    pub fn first() -> Self {
        let mut report = passing();
        report.champion = None;
        report.challenger.version = "v1".parse().unwrap();
        report.shadow = None;
        report.explanations = None;
        report.charts = None;
        report.offline.as_mut().unwrap().live_shift = None;
        report
            .rows
            .retain(|r| r.group == seatrial_evidence::report::MetricGroup::Offline && r.segment.is_none());
        for row in &mut report.rows {
            let half = row.interval.map_or(0.0, |[l, h]| (h - l) / 2.0);
            row.interval = row.challenger.map(|c| [c - half, c + half]);
            (row.champion, row.delta, row.margin) = (None, None, None);
            row.limit = row.challenger.map(|c| {
                if row.direction == seatrial_domain::verdict::Direction::HigherIsBetter {
                    c * 0.9
                } else {
                    c * 1.5
                }
            });
        }
        let mut made = Self {
            record: record("crowned", None, "v1"),
            events: vec![
                ("promotion_started", json!({}), "ann@example.com"),
                ("gate_decided", json!({}), "bob@example.com"),
                ("crowned", json!({}), "function/crown"),
            ],
            ..Self::empty()
        };
        made.judged(&report);
        made.approve("approved", true);
        made
    }

    /// Rejected before a shadow: the benchmark was enough.
    pub fn rejected() -> Self {
        let mut report = reports::report();
        report.shadow = None;
        report.explanations = None;
        let charts = report.charts.as_mut().unwrap();
        charts.drift.clear();
        charts.coverage.clear();
        charts.importances.clear();
        let offline = seatrial_evidence::report::MetricGroup::Offline;
        charts.scores.clear();
        charts.latency.clear();
        charts.crossings.clear();
        charts.answers.retain(|a| a.group == offline);
        report.rows.retain(|r| r.group == offline);
        report.offline.as_mut().unwrap().live_shift = None;
        let mut made = Self {
            record: record("rejected", Some("v3"), "v4"),
            events: vec![
                ("promotion_started", json!({}), "ann@example.com"),
                ("rejected", json!({}), "function/gate"),
            ],
            ..Self::empty()
        };
        made.record["reason"] = json!("segment accuracy in education=Doctorate is beyond its margin");
        made.judged(&report);
        made
    }

    /// Aborted in the second step of its canary.
    pub fn aborted() -> Self {
        let mut made = Self::crowned();
        made.objects.retain(|name, _| !name.starts_with("canary-step-"));
        made.step(0, 100, "healthy", "every guardrail is no worse than its margin allows");
        made.step(
            1,
            500,
            "degraded",
            "latency p99: harm is rejected as chance, e-value 116 over 12,811 requests, threshold 80",
        );
        made.record["status"] = json!("aborted");
        made.record["reason"] =
            json!("latency p99 of the challenger is worse beyond its margin: everybody was given back to v3");
        made.record["steps"] = json!([{ "weight": 100, "at": "2026-11-21T10:00:00Z" }, { "weight": 500, "at": "2026-11-21T10:30:00Z" }]);
        made.events.truncate(7);
        made.events.push(("aborted", json!({ "reason": "latency" }), "function/rollback"));
        made
    }

    /// Names and comments that try to be something else.
    pub fn hostile() -> Self {
        let mut report = reports::stress();
        // Numbers that are none have no JSON form.
        report.charts.as_mut().unwrap().importances.clear();
        report.why = "\u{202e}ssap\u{202c} #pagebreak() $x$ *bold* <script> \u{200b}\u{7}👩‍🔬 東京 ".repeat(2);
        report.notes = reports::NAMES.map(str::to_owned).to_vec();
        let mut report = serde_json::to_value(&report).unwrap();
        cap(&mut report);
        let report: ComparisonReport = serde_json::from_value(report).unwrap();
        let mut made = Self::crowned();
        let keep: Vec<String> = made.objects.keys().filter(|n| !n.starts_with("report-")).cloned().collect();
        made.objects.retain(|n, _| keep.contains(n));
        made.objects.retain(|n, _| !n.starts_with("evaluation-"));
        made.judged(&report);
        made.record["reason"] = json!(
            "#eval(\"1\") \\ ] [ @ref <label> = heading\n- list\n/ term: `raw` 'quotes' \"double\" ~ -- --- שלום اسم"
        );
        made.approve("approved", true);
        let gate = made.gate.as_mut().unwrap();
        gate["decisions"][0]["comment"] = json!(
            "\u{202e}etorw I siht sdrawkcab\u{202c} \u{0}#set text(size: 100pt)\nsecond line ".to_owned()
                + &"verylongword".repeat(40)
        );
        gate["decisions"][0]["by"]["principal"] =
            json!("arn:aws:iam::123456789012:user/".to_owned() + &"x".repeat(120));
        made
    }

    fn empty() -> Self {
        Self {
            key: LocalKey::generate().unwrap(),
            record: Value::Null,
            objects: BTreeMap::new(),
            gate: None,
            events: vec![],
        }
    }

    fn add(&mut self, kind: &str, value: &impl serde::Serialize) -> String {
        let bytes = bytes(value);
        let name = named(kind, &bytes);
        self.objects.insert(name.clone(), bytes);
        name
    }

    /// The report and the evaluation, as the registry recorded them.
    fn judged(&mut self, report: &ComparisonReport) {
        let report = ComparisonReport { promotion: PROMOTION.parse().unwrap(), ..report.clone() };
        let evaluation = evaluation(&report);
        for (kind, name) in
            [("report", self.add("report", &report)), ("evaluation", self.add("evaluation", &evaluation))]
        {
            self.record["evidence"][kind] =
                json!({ "key": folder(&name), "digest": canonical::sha256(&self.objects[&name]) });
        }
        self.record["verdict"] = json!(report.verdict);
    }

    fn approve(&mut self, status: &str, approve: bool) {
        let bound = json!({
            "package": self.record["challenger"]["digest"], "report": self.record["evidence"]["report"]["digest"],
            "benchmark": self.record["benchmark"]["digest"], "policy": self.record["policy"]["digest"],
        });
        if let Some(crown) = self.events.iter_mut().find(|(event, ..)| *event == "crowned") {
            crown.1["bound"] = bound.clone();
        }
        self.gate = Some(json!({
            "id": "ga_0123456789abcdef01234567", "kind": "approval", "model": "credit-risk", "promotion": PROMOTION, "epoch": 3,
            "challenger": self.record["challenger"], "champion": self.record["champion"], "status": status, "bound": bound, "verdict": "pass",
            "requested_by": "release-bot", "submitted_by": "ann@example.com",
            "opened_at": "2026-11-21T09:05:00Z", "expires_at": "2026-11-24T09:05:00Z",
            "decisions": [{
                "by": { "principal": "bob@example.com", "auth": "oidc" }, "at": "2026-11-21T09:48:12Z", "approve": approve, "bound": bound,
                "comment": "Accuracy and AUC are better, and surely so. The wider gap in equalised odds is within the margin; I asked the owner to watch it.",
            }],
        }));
    }

    fn step(&mut self, number: u32, weight: u16, state: &str, why: &str) {
        let judgement = judgement(number, weight, state, why);
        self.objects.insert(format!("canary-step-{number}.json"), bytes(&judgement));
    }

    /// Everything, signed.
    pub async fn files(&self) -> Files {
        let record: PromotionRecord = serde_json::from_value(self.record.clone()).unwrap();
        let mut objects = self.objects.clone();
        for (kind, value) in [
            ("promotion", Some(json!(record))),
            ("gate-approval", self.gate.clone()),
            ("history", Some(json!(self.chain()))),
        ] {
            if let Some(value) = value {
                let bytes = bytes(&value);
                objects.insert(named(kind, &bytes), bytes);
            }
        }
        let subjects = objects.iter().map(|(name, bytes)| Subject {
            name: folder(name),
            size: bytes.len() as u64,
            digest: Sha256 { sha256: canonical::sha256(bytes).hex().to_owned() },
            version_id: Some(format!("{}.v", &digest(name).hex()[..30])),
        });
        let manifest = bytes(&Manifest::of(&record, subjects.collect(), Some(400)));
        let name = format!("manifest-{}", &canonical::sha256(&manifest).hex()[..16]);
        let envelope = Envelope::sign(IN_TOTO, &manifest, &self.key).await.unwrap();
        objects.insert(format!("{name}.dsse.json"), bytes(&envelope));
        objects.insert(format!("{name}.json"), manifest);
        Files { evidence: objects, ..Files::default() }
    }

    pub fn keys(&self) -> [PublicKey; 1] {
        [self.key.public().clone()]
    }

    fn chain(&self) -> Vec<HistoryEntry> {
        let model: ModelName = "credit-risk".parse().unwrap();
        let mut tip = ChainTip::genesis(&model);
        let mut entries = Vec::new();
        for (event, details, who) in &self.events {
            let auth = if who.starts_with("function/") { "system" } else { "oidc" };
            let own = *event != "version_registered";
            let began: jiff::Timestamp = "2026-11-21T08:00:07Z".parse().unwrap();
            let at = began + jiff::SignedDuration::from_mins(16 * tip.seq as i64);
            let mut entry: HistoryEntry = serde_json::from_value(json!({
                "seq": tip.seq + 1, "model": model, "at": at,
                "actor": { "principal": who, "auth": auth }, "event": event, "promotion": own.then_some(PROMOTION),
                "version": self.record["challenger"]["version"], "epoch": 4, "details": details, "previous": tip.hash, "hash": digest("not yet"),
            }))
            .unwrap();
            entry.hash = entry.expected_hash().unwrap();
            tip = ChainTip { seq: entry.seq, hash: entry.hash.clone() };
            entries.push(entry);
        }
        entries
    }
}

/// Makes whole numbers as large as JSON is sure to carry.
fn cap(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(cap),
        Value::Object(fields) => fields.values_mut().for_each(cap),
        Value::Number(n) if n.as_u64().is_some_and(|n| n > 1 << 53) => *value = json!(1_u64 << 53),
        _ => {}
    }
}

fn folder(name: &str) -> String {
    format!("evidence/model=credit-risk/promotion={PROMOTION}/{name}")
}

fn record(status: &str, champion: Option<&str>, challenger: &str) -> Value {
    json!({
        "id": PROMOTION, "model": "credit-risk", "challenger": { "version": challenger, "digest": digest("package") },
        "champion": champion.map(|v| json!({ "version": v, "digest": digest("champion") })), "status": status, "epoch": 3,
        "policy": { "number": 7, "digest": digest("policy") },
        "benchmark": { "digest": digest("benchmark"), "key": "benchmarks/x.parquet", "size": 81_222, "set_at": "2026-09-01T08:00:00Z" },
        "requested_by": { "principal": "release-bot", "auth": "iam" }, "started_at": "2026-11-20T08:13:07Z", "ended_at": "2026-11-21T12:04:31Z",
        "evidence": {},
    })
}

/// A report in which nothing fails.
pub fn passing() -> ComparisonReport {
    use seatrial_domain::verdict::Verdict;
    let mut report = reports::report();
    for row in &mut report.rows {
        row.verdict = Verdict::Pass;
        if row.segment.as_deref() == Some("education=Doctorate") {
            (row.challenger, row.delta, row.interval) = (Some(0.781), Some(-0.003), Some([-0.016, 0.010]));
        }
    }
    report.verdict = Verdict::Pass;
    report.why = "all 17 guardrails hold, each within its margin at 95 % confidence".into();
    for drift in &mut report.charts.as_mut().unwrap().drift {
        drift.bars.iter_mut().for_each(|b| b.verdict = Verdict::Pass);
    }
    report
}

fn policy() -> Value {
    let mut policy = serde_json::to_value(seatrial_domain::policy::Policy::default()).unwrap();
    policy["profile"] = json!("eu_ai_act");
    policy["protected"] = json!(["sex"]);
    policy["segments"] = json!(["education", "sex"]);
    policy
}

fn evaluation(report: &ComparisonReport) -> Value {
    let rates = |shift: f64| {
        json!({ "sex": [
            { "group": "Female", "n": 5_421, "positives": 590, "selection_rate": 0.082 + shift, "true_positive_rate": 0.531 + shift, "false_positive_rate": 0.021, "accuracy": 0.921 + shift },
            { "group": "Male", "n": 10_860, "positives": 3_256, "selection_rate": 0.261, "true_positive_rate": 0.622, "false_positive_rate": 0.089 - shift, "accuracy": 0.816 + shift },
        ]})
    };
    let side = |shift: f64| {
        json!({
            "answered": 16_281, "errors": {}, "accuracy": 0.8512 + shift, "macro_f1": 0.7921 + shift, "classes": [
                { "label": "<=50K", "support": 12_435, "predicted": 12_900, "precision": 0.881 + shift, "recall": 0.934, "f1": 0.907 },
                { "label": ">50K", "support": 3_846, "predicted": 3_381, "precision": 0.741 + shift, "recall": 0.612, "f1": 0.671 },
            ],
            "confusion": [["<=50K", "<=50K", 11_614]], "groups": rates(shift), "latency_us": [212.0 + shift * 900.0, 331.0, 412.0 + shift * 9_000.0],
        })
    };
    json!({
        "schema": 1, "model": report.model, "promotion": report.promotion, "challenger": report.challenger, "champion": report.champion,
        "policy": report.policy, "first": report.champion.is_none(), "verdict": report.verdict, "why": report.why, "benchmark": report.offline,
        "rows": [], "challenger_summary": side(0.0075), "champion_summary": report.champion.as_ref().map(|_| side(0.0)), "notes": [],
    })
}

fn explanations() -> Value {
    let columns = ["marital_status", "education_num", "age", "capital_gain", "occupation", "native_country"];
    let version = |name: &str, scale: f64, method: Value| {
        let row = |k: f64| json!({ "output": [scale * k - 1.1], "values": [[1.2 * k, -0.4 * k, 0.31 * scale, 0.0, -0.12, 0.02 * k]] });
        json!({
            "version": { "version": name, "digest": digest(name) }, "method": method, "scale": "margin", "outputs": [">50K"], "columns": columns,
            "expected": [-1.1], "importance": [[1.0, 0.5, 0.3, 0.1, 0.1, 0.0]], "importance_error": [[0.1, 0.1, 0.1, 0.1, 0.1, 0.0]],
            "rows": [row(1.0), row(-0.7), row(0.3), row(2.0)],
        })
    };
    json!({
        "schema": 1, "model": "credit-risk", "promotion": PROMOTION,
        "background": { "digest": digest("reference"), "of": 32_561, "rows": [1, 5, 9] },
        "sample": { "digest": digest("benchmark"), "of": 16_281, "rows": [17, 4_021, 9_377, 16_002] },
        "champion": version("v3", 0.9, json!({ "name": "permutations", "orders": 100, "seed": "0011223344556677", "why": "its graph has no trees" })),
        "challenger": version("v4", 1.2, json!({ "name": "trees" })),
    })
}

fn judgement(number: u32, weight: u16, state: &str, why: &str) -> Value {
    use seatrial_evidence::canary::{ArmTally, Split};
    let mut chart = reports::canary();
    chart.steps.truncate(number as usize + 1);
    let until = 1_800.0 * f64::from(number + 1);
    chart.until = until;
    for sequence in &mut chart.evidence {
        sequence.looks.retain(|l| l.at <= until);
        let last = sequence.looks.len().max(1) as f64;
        for (place, look) in sequence.looks.iter_mut().enumerate() {
            look.log_e = match (state, sequence.name.as_str()) {
                ("degraded", "latency") => 4.75 * ((place + 1) as f64 / last).powi(4),
                _ => look.log_e.min(1.2),
            };
        }
    }
    chart.differences.iter_mut().for_each(|d| d.looks.retain(|l| l.at <= until));
    let arm =
        |requests: u64, errors: u64| ArmTally { requests, errors, events: errors, ..ArmTally::default() };
    let steps: Vec<Value> = [100_u16, 500, 2_500, 5_000][..=number as usize]
        .iter()
        .map(|w| {
            let canary = 120_000 * u64::from(*w) / 10_000;
            json!({ "weight": w, "champion": arm(120_000 - canary, 31), "canary": arm(canary, canary / 4_000), "split": Split::default() })
        })
        .collect();
    let bad = state != "healthy";
    let canary = 120_000 * u64::from(weight) / 10_000;
    json!({
        "schema": 1, "model": "credit-risk", "promotion": PROMOTION, "epoch": 3,
        "state": state, "why": why, "step": number, "weight": weight, "since": format!("2026-11-21T1{}:{:02}:00Z", number / 2, number % 2 * 30),
        "judged_at": format!("2026-11-21T1{}:{:02}:41Z", number / 2, number % 2 * 30 + 28), "watermark": null,
        "traffic": { "state": "flowing", "champion_per_second": 66.1, "challenger_per_second": 0.67, "seconds": 1_700, "why": "both versions get requests" },
        "metrics": [
            { "name": "error_rate", "class": "guardrail", "state": "non_inferior", "alpha": 0.025, "log_e": -1.31, "threshold": 3.689, "unit": "share",
              "direction": "lower_is_better", "champion": 0.00026, "challenger": 0.00025, "estimate": -0.00001, "upper": 0.0009, "margin": 0.001, "n": canary, "why": "x" },
            { "name": "latency_p99", "class": "guardrail", "state": if bad { "rejected" } else { "non_inferior" }, "alpha": 0.0125, "log_e": if bad { 4.75 } else { 0.21 },
              "threshold": 4.382, "unit": "microseconds", "direction": "lower_is_better", "champion": 2_140.0, "challenger": if bad { 4_020.0 } else { 2_290.0 },
              "estimate": if bad { 1_880.0 } else { 150.0 }, "lower": if bad { json!(902.0) } else { Value::Null }, "upper": 2_700.0, "margin": "50%rel", "n": canary, "n_needed": 900, "why": "x" },
            { "name": "sample_ratio", "class": "guardrail", "state": "shown", "direction": "lower_is_better", "n": 120_000, "why": "x" },
            { "name": "thumbs_down", "class": "signal", "state": "not_yet_known", "alpha": 0.025, "log_e": 0.02, "threshold": 3.689, "unit": "share",
              "direction": "lower_is_better", "champion": 0.0121, "challenger": 0.0119, "estimate": -0.0002, "lower": -0.004, "upper": 0.0041, "margin": 0.005, "n": 811, "n_needed": 2_000, "why": "x" },
        ],
        "steps": steps, "chart": chart,
    })
}
