//! Who decided, and on what.

use seatrial_domain::adoption::{Adoption, NOT_COMPARED};
use seatrial_domain::bound::Bound;
use seatrial_domain::gate::{Decision, GateRecord};
use seatrial_domain::ids::Auth;
use seatrial_domain::promotion::{PromotionRecord, Stage};
use seatrial_report::{times, words};

use super::shadow::skipped;
use super::{nothing, withheld};
use crate::block::{Block, FactRow, code, fact};
use crate::evidence::{Evidence, Part};

pub(super) fn blocks(evidence: &Evidence) -> Vec<Block> {
    let mut blocks = skipped(evidence, Stage::Approval);
    match &evidence.approval {
        Part::Read(gate) => blocks.extend(gate_blocks(gate)),
        Part::Withheld(why) => blocks.push(withheld(why.clone())),
        Part::Absent => {
            blocks.extend(match evidence.adoption() {
                Some((record, adoption)) => adopted(record, adoption),
                None => nothing("Nobody was asked: the promotion ended before its gate opened."),
            });
        }
    }
    match &evidence.window {
        Part::Read(window) if !window.decisions.is_empty() => {
            blocks.push(Block::heading("The shadow's end"));
            blocks.extend(window.decisions.iter().map(|d| Block::facts(decision(d, &window.bound))));
        }
        Part::Withheld(why) => blocks.push(withheld(why.clone())),
        Part::Read(_) | Part::Absent => {}
    }
    blocks
}

/// Who answers for a version that nobody was asked about.
fn adopted(record: &PromotionRecord, adoption: &Adoption) -> Vec<Block> {
    let by = &record.requested_by;
    let mut rows = vec![
        fact("Adopted by", by.principal.as_str()),
        fact("Known by", known(by.auth)),
        fact("On", times::moment(record.started_at)),
        fact("Comment", adoption.comment.as_str()),
    ];
    let since = adoption.serving_since.map(times::moment);
    rows.push(fact("Said to serve since", since.unwrap_or_else(|| "not said".into())));
    rows.push(code("Package", record.challenger.digest.to_string()));
    let why = format!("{NOT_COMPARED} No gate was opened: whoever adopted it answers for it.");
    vec![Block::note("unsure", "Adopted, not approved", why), Block::facts(rows)]
}

fn gate_blocks(gate: &GateRecord) -> Vec<Block> {
    let (status, tone) = words::status_word(gate.status);
    let asked = format!(
        "Asked on {}, open until {}. Requested by {}; submitted by {}.",
        times::moment(gate.opened_at),
        times::moment(gate.expires_at),
        gate.requested_by,
        gate.submitted_by
    );
    let mut blocks = vec![Block::note(tone.class(), words::sentence(status).trim_end_matches('.'), asked)];
    if gate.decisions.is_empty() {
        blocks.push(Block::text("Nobody decided."));
    }
    for one in &gate.decisions {
        blocks.push(Block::heading(if one.approve { "Approved" } else { "Rejected" }));
        blocks.push(Block::facts(decision(one, &gate.bound)));
    }
    if let Some(blocked) = gate.window.as_ref().and_then(|w| w.blocked.as_ref()) {
        blocks.push(Block::heading("The automatic approval was blocked"));
        blocks.push(Block::facts(vec![
            fact("By", blocked.by.principal.as_str()),
            fact("Known by", known(blocked.by.auth)),
            fact("On", times::moment(blocked.at)),
            fact("Comment", blocked.comment.as_str()),
        ]));
    }
    blocks.push(Block::heading("What was decided on"));
    blocks.push(Block::facts(digests(&gate.bound)));
    blocks
}

fn digests(bound: &Bound) -> Vec<FactRow> {
    vec![
        code("Package", bound.package.to_string()),
        code("Comparison report", bound.report.to_string()),
        bound
            .benchmark
            .as_ref()
            .map_or_else(|| fact("Benchmark", "none"), |digest| code("Benchmark", digest.to_string())),
        code("Policy", bound.policy.to_string()),
    ]
}

fn decision(one: &Decision, asked: &Bound) -> Vec<FactRow> {
    let mut rows = vec![
        fact("By", one.by.principal.as_str()),
        fact("Known by", known(one.by.auth)),
        fact("On", times::moment(one.at)),
        fact("Comment", one.comment.as_str()),
    ];
    if let Some(other) = &one.on_behalf_of {
        rows.push(fact("On behalf of", other.as_str()));
    }
    for (holds, what) in [
        (one.self_approval, "Approver and submitter are the same person."),
        (
            one.emergency,
            "An operator decided in an emergency, past approvers, quorum and separation of duties.",
        ),
        (one.automatic, "It came by itself, at the end of a window in which nobody blocked it."),
    ] {
        if holds {
            rows.push(fact("Mind", what));
        }
    }
    match &one.bound {
        Some(bound) if bound == asked => {
            rows.push(fact("Saw", "the digests below, which were sent along with the decision"));
        }
        Some(bound) => {
            rows.push(fact("Saw", "other digests than the gate's"));
            rows.extend(digests(bound));
        }
        None => {}
    }
    rows
}

/// How somebody was known, in words.
pub(super) const fn known(auth: Auth) -> &'static str {
    match auth {
        Auth::Iam => "AWS IAM",
        Auth::Oidc => "a login or token of the OIDC issuer",
        Auth::Link => "a single-use link sent to that address",
        Auth::System => "one of the product's own functions",
        Auth::Local => "the fixed identity of a local emulator",
    }
}
