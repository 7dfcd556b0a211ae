//! A change as the writes of one transaction.

use seatrial_domain::Refusal;
use seatrial_domain::change::{Change, DecisionCheck, GATE_MARKS};
use seatrial_domain::gate::GateStatus;
use seatrial_domain::ids::Auth;
use seatrial_domain::promotion::PromotionStatus;
use seatrial_domain::version::VersionStatus;

use crate::error::{CommitError, StoreError};
use crate::layout::{self, number, text, word};
use crate::table::{Action, Attr, Cond, Item, Key, Write};

/// What a write of the transaction is for, and so what it means when its condition fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Head,
    Models,
    History,
    Claim,
    Version,
    Promotion,
    Gate,
    Policy,
    Approval,
    Capability,
}

/// The writes of a change, each with its part.
pub(crate) fn plan(change: &Change) -> Result<Vec<(Part, Write)>, StoreError> {
    let model = &change.head.model;
    let mut plan = Vec::new();
    let mut put = |part, key: Key, item: Item, condition| {
        plan.push((part, Write { key, action: Action::Put(item), condition }));
    };

    // Two writers read revision 7.     A: Put HEAD 8 if revision = 7  → written
    //                                  B: Put HEAD 8 if revision = 7  → refused: B reads again and decides anew
    // This is what makes everything B read (versions, gate, promotion) still true when it writes: all of them change only
    // together with the head. The very first head has nothing to compare with: it must not be there.
    let first = change.head.revision <= 1;
    let revision = Cond::Eq("revision", number(change.head.revision.saturating_sub(1)));
    let unchanged = if first { Cond::Absent } else { revision };
    put(Part::Head, layout::head_key(model), layout::head_item(&change.head)?, unchanged);
    if first {
        let named = Item::from([("model".to_owned(), text(model))]);
        put(Part::Models, layout::models_key(model), named, Cond::Always);
    }

    // The head's condition already gives each number to one writer; this one guards the log itself: an entry, once
    // written, is never replaced, not even by a head that was put back by hand.
    put(
        Part::History,
        layout::history_key(model, change.entry.seq),
        layout::history_item(&change.entry)?,
        Cond::Absent,
    );

    // Two uploads of the same bytes.   A: claim DIGEST#x if absent → v3        B: claim DIGEST#x if absent → refused
    // B is told v3 and makes no v4. A collected version hands its digest on, and only to one:
    //                                  A: claim DIGEST#x if it is v3 → v7              B: claim DIGEST#x if it is v3 → refused
    if let Some(claim) = &change.claim {
        let item = layout::claim_item(claim.version)?;
        let held = match claim.of {
            None => Cond::Absent,
            Some(of) => Cond::Eq(layout::DOC, layout::claimed_by(of)?),
        };
        put(Part::Claim, layout::digest_key(model, &claim.digest), item, held);
    }
    for version in &change.versions {
        // A version's bytes never change: a record may replace another only under the same digest. And they are given up once, of
        // what is retired.
        let new = change.claim.as_ref().is_some_and(|claim| claim.version == version.version);
        let same = Cond::Eq("digest", text(&version.digest));
        let condition = match version.status {
            _ if new => Cond::Absent,
            VersionStatus::Collected => {
                Cond::All(vec![same, Cond::Eq("status", word(&VersionStatus::Retired)?)])
            }
            // What a promotion has judged is not adopted, whoever makes the change.
            VersionStatus::Champion if change.entry.event == "adopted" => {
                Cond::All(vec![same, Cond::Eq("status", word(&VersionStatus::Packaged)?)])
            }
            _ => same,
        };
        put(
            Part::Version,
            layout::version_key(model, version.version),
            layout::version_item(version)?,
            condition,
        );
    }
    if let Some(promotion) = &change.promotion {
        // running → … → ended, and never back: an ended promotion is written again only to say that it is attested.
        //   rollback: status aborted             a late step: Put status running if running → refused
        let status = if promotion.attested { promotion.status } else { PromotionStatus::Running };
        let same = vec![
            Cond::Eq("status", word(&status)?),
            Cond::Eq("epoch", number(promotion.epoch)),
            Cond::Eq("package", text(&promotion.challenger.digest)),
        ];
        let new = matches!(change.entry.event.as_str(), "promotion_started" | "adopted");
        let condition = if new { Cond::Absent } else { Cond::All(same) };
        let key = layout::promotion_key(model, &promotion.id);
        put(Part::Promotion, key, layout::promotion_item(promotion)?, condition);
    }
    if let Some(gate) = &change.gate {
        // Two approvers press at once.     A: Put approved if pending → written    B: Put rejected if pending → refused
        // A closed gate is final. A gate begins pending and without decisions, and only where none is.
        // What marks a gate changes no status: a reminder and a block find it pending, an orphaned one stays as decided.
        let marked = GATE_MARKS.contains(&change.entry.event.as_str());
        let new = gate.status == GateStatus::Pending && gate.decisions.is_empty() && !marked;
        let before = if marked { gate.status } else { GateStatus::Pending };
        let pending = Cond::All(vec![
            Cond::Eq("status", text(layout::gate_status(before))),
            Cond::Eq("promotion", text(&gate.promotion)),
            Cond::Eq("epoch", number(gate.epoch)),
        ]);
        let condition = if new { Cond::Absent } else { pending };
        put(Part::Gate, layout::gate_key(&gate.id), layout::gate_item(gate)?, condition);
    }
    if let Some(policy) = &change.policy {
        // Promotions and approvals name policies by number and digest: a number never means two things.
        let key = layout::policy_key(model, policy.reference.number);
        put(Part::Policy, key, layout::policy_item(policy)?, Cond::Absent);
    }
    if let Some(of) = change.claim.as_ref().and_then(|claim| claim.of) {
        let collected = Cond::Eq("status", word(&VersionStatus::Collected)?);
        let key = layout::version_key(model, of);
        plan.push((Part::Claim, Write { key, action: Action::Check, condition: collected }));
    }
    if let Some(approval) = &change.approval {
        plan.push((Part::Approval, approval_check(approval)));
    }
    if let Some(hash) = &change.use_capability {
        plan.push((Part::Capability, use_capability(change, hash)));
    }
    Ok(plan)
}

/// The decision item as it must be in the moment of the write, each clause for one way in which it could differ:
/// `status` (rejected, expired, cancelled), `kind` (a shadow window ended early is no approval), `promotion` and `epoch`
/// (an approval of an earlier run), `bound_*` (other bytes, another report, another policy, another benchmark).
///
/// ```text
/// crown: reads gate approved ───────────────► transaction checks the item itself → crowned
/// anyone: calls crown with a gate never decided ─► the item says pending → refused, nothing written
/// ```
fn approval_check(approval: &DecisionCheck) -> Write {
    let mut clauses = vec![
        Cond::Eq("status", text(layout::gate_status(GateStatus::Approved))),
        Cond::Eq("kind", text("approval")),
        Cond::Eq("promotion", text(&approval.promotion)),
        Cond::Eq("epoch", number(approval.epoch)),
    ];
    clauses.extend(layout::bound_attributes(&approval.bound).map(|(name, value)| Cond::Eq(name, value)));
    Write { key: layout::gate_key(&approval.gate), action: Action::Check, condition: Cond::All(clauses) }
}

/// Uses up a link in the transaction that decides.
///
/// ```text
/// the link opened in two windows:  A: set used_at if absent → decided     B: set used_at if absent → refused
/// revoked while the page is open:  set used_at if not revoked → refused
/// ```
/// `gate` and `approver`: a link decides at its own gate, as its own person. `generation`: that person's links were not taken
/// back since it was made.
fn use_capability(change: &Change, hash: &seatrial_domain::Digest) -> Write {
    let mut clauses = vec![
        Cond::Missing("used_at"),
        Cond::Eq("revoked", Attr::B(false)),
        Cond::Greater("expires_us", Attr::N(change.entry.at.as_microsecond())),
    ];
    clauses.extend(change.gate.as_ref().map(|gate| Cond::Eq("gate", text(&gate.id))));
    if change.entry.actor.auth == Auth::Link {
        let approver = &change.entry.actor.principal;
        clauses.push(Cond::Eq("approver", text(approver)));
        // olga: takes ann's links back ─► generation 1      ann: decides by a link of generation 0 → refused
        // Links that an earlier release made say no generation: they are of the first one.
        let generation = change.gate.as_ref().map_or(0, |gate| gate.link_generation(approver));
        if generation > 0 {
            clauses.push(Cond::Eq("generation", Attr::N(generation.into())));
        }
    }
    let used = Item::from([("used_at".to_owned(), text(&change.entry.at))]);
    Write { key: layout::capability_key(hash), action: Action::Set(used), condition: Cond::All(clauses) }
}

/// What it means that the conditions of `failed` do not hold. The head's decides before all others: when the model has
/// changed, the reasons of the others are out of date, and the domain says them better on the next try.
pub(crate) fn meaning(change: &Change, failed: &[Part]) -> CommitError {
    let has = |part| failed.contains(&part);
    let model = change.head.model.clone();
    if has(Part::Head) {
        return CommitError::Conflict { model };
    }
    if let (true, Some(claim)) = (has(Part::Claim), &change.claim) {
        // The caller of this function puts the version that really has the digest in the place of this one.
        return CommitError::Claimed { model, version: claim.version };
    }
    let refusal = if has(Part::Approval) {
        let why = change.approval.as_ref().map_or_else(String::new, |a| {
            format!(
                "gate {} is not approved for promotion {} at epoch {} with exactly these digests",
                a.gate, a.promotion, a.epoch
            )
        });
        Refusal::NotApproved { why }
    } else if let (true, Some(gate)) = (has(Part::Capability) || has(Part::Gate), &change.gate) {
        let state = if has(Part::Capability) {
            "closed to this link: it was used, revoked, expired or is another's"
        } else {
            "open or closed"
        };
        Refusal::GateClosed { gate: gate.id.clone(), state: state.into() }
    } else if let (true, Some(promotion)) = (has(Part::Promotion), &change.promotion) {
        Refusal::Superseded {
            promotion: promotion.id.clone(),
            epoch: promotion.epoch,
            found: change.head.epoch,
        }
    } else {
        Refusal::Invalid {
            why: format!(
                "the registry holds records of model {model} that contradict this change: {failed:?}"
            ),
        }
    };
    CommitError::Refused(refusal)
}
