//! Do the parts agree: is the promotion the one of the manifest, and was what was approved what was compared?

use seatrial_domain::canonical;
use seatrial_domain::gate::GateRecord;
use seatrial_domain::history::HistoryEntry;
use seatrial_domain::promotion::{EvidenceKind, PromotionRecord};
use serde::de::DeserializeOwned;

use super::{Files, Finding, Standing};
use crate::manifest::{Manifest, file_name};

/// The listed object whose name begins so. Only one can be read as the promotion's: two are a doubt of their own.
pub(super) fn object<'f>(files: &'f Files, manifest: &Manifest, kind: &str) -> Option<(&'f str, &'f [u8])> {
    let listed = |name: &str| manifest.subject.iter().any(|s| file_name(&s.name) == name);
    let found = files.evidence.iter().find(|(name, _)| name.starts_with(kind) && listed(name));
    found.map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
}

/// The object of this kind, read; what is unreadable becomes a finding.
pub(super) fn read<T: DeserializeOwned>(
    files: &Files,
    manifest: &Manifest,
    kind: &str,
    findings: &mut Vec<Finding>,
) -> Option<T> {
    let (name, bytes) = object(files, manifest, kind)?;
    match serde_json::from_slice(bytes) {
        Ok(value) => Some(value),
        Err(e) => {
            findings.push(Finding::new(name, Standing::Contradicts, format!("it cannot be read: {e}")));
            None
        }
    }
}

pub(super) fn check(manifest: &Manifest, files: &Files, findings: &mut Vec<Finding>) {
    let record: Option<PromotionRecord> = read(files, manifest, "promotion-", findings);
    let Some(record) = record else {
        if !files.partial {
            findings.push(Finding::new(
                "the promotion's record",
                Standing::Missing,
                "no promotion-….json is listed; whose evidence this is rests on the manifest alone",
            ));
        }
        return;
    };
    let about = &manifest.predicate;
    let agrees = (&record.id, &record.model, &record.challenger, &record.champion, record.status)
        == (&about.promotion, &about.model, &about.challenger, &about.champion, about.status);
    findings.push(agreement(
        agrees,
        "manifest and promotion",
        format!("promotion {} of {}, {}", record.id, record.model, record.challenger.version),
        "the manifest speaks of another promotion, version or outcome than the promotion's own record",
    ));
    for (kind, evidence) in record.evidence.iter().filter(|(kind, _)| **kind != EvidenceKind::Manifest) {
        let found = manifest.subject.iter().find(|s| s.name == evidence.key);
        findings.push(agreement(
            found.is_some_and(|s| s.digest.sha256 == evidence.digest.hex()),
            &format!("recorded {}", file_name(&evidence.key)),
            format!("the registry recorded this {kind:?} when it was written").to_lowercase(),
            "the registry recorded another digest when it was written than the manifest lists",
        ));
    }
    let gate: Option<GateRecord> = read(files, manifest, "gate-approval-", findings);
    if let Some(gate) = gate {
        approval(&record, &gate, manifest, files, findings);
    }
}

/// What was approved is what was compared, and what was crowned is what was approved.
fn approval(
    record: &PromotionRecord,
    gate: &GateRecord,
    manifest: &Manifest,
    files: &Files,
    findings: &mut Vec<Finding>,
) {
    let report = object(files, manifest, "report-").map(|(_, bytes)| canonical::sha256(bytes));
    let mut apart = Vec::new();
    if gate.promotion != record.id {
        apart.push("the gate is of another promotion");
    }
    if gate.bound.package != record.challenger.digest {
        apart.push("the package is another");
    }
    if gate.bound.policy != record.policy.digest {
        apart.push("the policy is another");
    }
    if gate.bound.benchmark.as_ref() != record.benchmark.as_ref().map(|b| &b.digest) {
        apart.push("the benchmark is another");
    }
    if report.is_some_and(|digest| digest != gate.bound.report) {
        apart.push("the report that was shown is another");
    }
    findings.push(agreement(
        apart.is_empty(),
        "approval and evidence",
        "the decision binds this package, report, benchmark and policy",
        &apart.join("; "),
    ));
    let history: Vec<HistoryEntry> = read(files, manifest, "history-", findings).unwrap_or_default();
    let crown = history.iter().find(|e| e.event == "crowned" && e.promotion.as_ref() == Some(&record.id));
    if let Some(bound) = crown.and_then(|e| e.details.get("bound")).filter(|b| !b.is_null()) {
        let same = serde_json::to_value(&gate.bound).is_ok_and(|shown| shown == *bound);
        findings.push(agreement(
            same,
            "crown and approval",
            "what was crowned is what was approved",
            "the crown's entry in the history binds other digests than the approval",
        ));
    }
}

fn agreement(holds: bool, what: &str, good: impl Into<String>, bad: &str) -> Finding {
    if holds {
        Finding::new(what, Standing::Holds, good)
    } else {
        Finding::new(what, Standing::Contradicts, bad)
    }
}
