//! Do the parts agree: is the promotion the one of the manifest, and was what was approved what was compared?

use std::collections::BTreeSet;

use seatrial_domain::gate::GateRecord;
use seatrial_domain::promotion::{EvidenceKind, PromotionRecord, PromotionStatus};

use super::parts::Parts;
use super::{Finding, Standing};
use crate::manifest::Manifest;

pub(super) fn check(manifest: &Manifest, parts: &Parts, partial: bool, findings: &mut Vec<Finding>) {
    let Some(first) = parts.records.first() else {
        if !partial {
            findings.push(Finding::new(
                "the promotion's record",
                Standing::Missing,
                "no readable promotion-….json is listed; whose evidence this is rests on the manifest alone",
            ));
        }
        return;
    };
    let about = &manifest.predicate;
    let same = |r: &PromotionRecord| {
        (&r.id, &r.model, &r.challenger, &r.champion)
            == (&about.promotion, &about.model, &about.challenger, &about.champion)
    };
    findings.push(agreement(
        parts.records.iter().all(same) && parts.records.iter().any(|r| r.status == about.status),
        "manifest and promotion",
        &format!("promotion {} of {}, {}", first.id, first.model, first.challenger.version),
        "the manifest speaks of another promotion, version or outcome than the promotion's own record",
    ));
    recorded(manifest, &parts.records, findings);
    for digest in &parts.policies {
        findings.push(agreement(
            digest == first.policy.digest.hex(),
            "policy",
            "it is the one that the promotion pinned",
            "it is another one than the promotion pinned",
        ));
    }
    // What was not carried out needs no approval; and a report that changed after it took the approval away lawfully.
    let carried_out = |r: &&PromotionRecord| r.status == PromotionStatus::Crowned || !r.steps.is_empty();
    for record in parts.records.iter().filter(|r| r.status == PromotionStatus::Adopted) {
        adoption(record, parts, findings);
    }
    if let Some(record) = parts.records.iter().find(carried_out) {
        for gate in &parts.gates {
            approval(record, gate, parts, findings);
        }
    }
}

/// What was adopted is what the history says a person adopted, and no gate stands beside it.
fn adoption(record: &PromotionRecord, parts: &Parts, findings: &mut Vec<Finding>) {
    let entry = parts
        .histories
        .iter()
        .flatten()
        .find(|e| e.event == "adopted" && e.promotion.as_ref() == Some(&record.id));
    let champion = serde_json::to_value(&record.challenger).ok();
    let comment = record.adoption.as_ref().map(|a| a.comment.as_str()).filter(|c| !c.trim().is_empty());
    let same = entry.is_some_and(|e| {
        e.actor == record.requested_by
            && e.actor.is_person()
            && e.details.get("champion") == champion.as_ref()
            && comment.is_some()
            && e.details["comment"].as_str() == comment
    });
    findings.push(agreement(
        same && parts.gates.is_empty() && record.evidence.keys().all(|kind| kind.is_made_of_the_rest()),
        "adoption and history",
        "the history says that this person adopted this package, and why",
        "the history does not say that this person adopted this package for this reason, or there is evidence of a promotion beside it",
    ));
}

/// The registry recorded digests when it was told of objects; the manifest must list the same ones.
fn recorded(manifest: &Manifest, records: &[PromotionRecord], findings: &mut Vec<Finding>) {
    let evidence = records.iter().flat_map(|r| &r.evidence).filter(|(kind, _)| !kind.is_made_of_the_rest());
    let digests: BTreeSet<(&str, &str)> = evidence.map(|(_, e)| (e.key.as_str(), e.digest.hex())).collect();
    let folder = manifest.folder();
    for (key, digest) in digests {
        let listed = manifest.subject.iter().find(|s| s.name == key);
        findings.push(agreement(
            listed.is_some_and(|s| s.digest.sha256 == digest),
            &format!("recorded {}", key.strip_prefix(&folder).unwrap_or(key)),
            "the registry recorded this digest when the object was written",
            "the registry recorded another digest when the object was written than the manifest lists",
        ));
    }
}

/// What was approved is what was compared, and what was crowned is what was approved.
fn approval(record: &PromotionRecord, gate: &GateRecord, parts: &Parts, findings: &mut Vec<Finding>) {
    let bound = &gate.bound;
    let report = record.evidence.get(&EvidenceKind::Report).map(|e| &e.digest);
    let apart: Vec<&str> = [
        (gate.promotion != record.id, "the gate is of another promotion"),
        (bound.package != record.challenger.digest, "the package is another"),
        (bound.policy != record.policy.digest, "the policy is another"),
        (
            bound.benchmark.as_ref() != record.benchmark.as_ref().map(|b| &b.digest),
            "the benchmark is another",
        ),
        (report != Some(&bound.report), "the report that was shown is another"),
    ]
    .into_iter()
    .filter_map(|(differs, what)| differs.then_some(what))
    .collect();
    findings.push(agreement(
        apart.is_empty(),
        "approval and evidence",
        "the decision binds this package, report, benchmark and policy",
        &apart.join("; "),
    ));
    let crowned = parts.histories.iter().flatten().find(|e| {
        e.event == "crowned" && e.promotion.as_ref() == Some(&record.id) && !e.details["bound"].is_null()
    });
    if let Some(crown) = crowned {
        findings.push(agreement(
            serde_json::to_value(bound).is_ok_and(|shown| shown == crown.details["bound"]),
            "crown and approval",
            "what was crowned is what was approved",
            "the crown's entry in the history binds other digests than the approval",
        ));
    }
}

fn agreement(holds: bool, what: &str, good: &str, bad: &str) -> Finding {
    if holds {
        Finding::new(what, Standing::Holds, good)
    } else {
        Finding::new(what, Standing::Contradicts, bad)
    }
}
