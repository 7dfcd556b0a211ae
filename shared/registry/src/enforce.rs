//! What every committed change must keep, whoever made it.
//!
//! The operations of this crate build their changes with the domain's functions, which refuse by themselves. This check
//! does not trust that: it stands in both registries before the transaction, so that a change made in any other way
//! cannot move callers to a version that nobody approved, or bend the history. It compares with the head as stored; the
//! transaction is conditional on that very revision.

use seatrial_domain::Refusal;
use seatrial_domain::change::{Change, GATE_MARKS, bound_now};
use seatrial_domain::compliance::missing_when_skipped;
use seatrial_domain::gate::{Decision, GateKind, GateRecord, GateStatus};
use seatrial_domain::head::Head;
use seatrial_domain::history::ChainTip;
use seatrial_domain::ids::{Auth, VersionRef};
use seatrial_domain::line::{LONGEST, Waiting};
use seatrial_domain::promotion::{PromotionStatus, Stage};
use seatrial_domain::route::Weight;
use seatrial_domain::version::VersionStatus;

/// Checks `change` against the head it replaces; `None` when the model is new.
///
/// # Errors
/// [`Refusal::NotApproved`] for a share of traffic or a crown without the approval that covers it;
/// [`Refusal::Invalid`] when head, history or records contradict each other.
pub fn enforce(change: &Change, previous: Option<&Head>) -> Result<(), Refusal> {
    let made;
    let previous = match previous {
        Some(head) => head,
        None => {
            made = Head::new(change.head.model.clone(), change.entry.at);
            &made
        }
    };
    chain(change, previous)?;
    belongs(change)?;
    adopted(change)?;
    hands(change, previous)?;
    line(change, previous)?;
    champion(change, previous)?;
    traffic(change, previous)?;
    statuses(change, previous)?;
    collection(change, previous)?;
    answered_for(change)?;
    decision(change)
}

fn invalid(why: impl Into<String>) -> Refusal {
    Refusal::Invalid { why: format!("the registry refuses this change: {}", why.into()) }
}

fn unapproved(why: impl Into<String>) -> Refusal {
    Refusal::NotApproved { why: why.into() }
}

fn must(holds: bool, why: &str) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(invalid(why)) }
}

fn chain(change: &Change, previous: &Head) -> Result<(), Refusal> {
    let (head, entry) = (&change.head, &change.entry);
    must(head.revision == previous.revision + 1, "the head's revision is not the next one")?;
    must(entry.seq == previous.chain.seq + 1, "the history entry is not the next one")?;
    must(
        entry.previous == previous.chain.hash,
        "the history entry does not name the hash of the one before",
    )?;
    let hash = entry
        .expected_hash()
        .map_err(|e| invalid(format!("the history entry has no canonical form: {e}")))?;
    must(entry.hash == hash, "the history entry does not have the hash of its content")?;
    must(head.chain == ChainTip { seq: entry.seq, hash }, "the head does not end at the history entry")?;
    must(entry.epoch == head.epoch, "the history entry names another epoch than the head")
}

fn belongs(change: &Change) -> Result<(), Refusal> {
    let model = &change.head.model;
    let all = change.entry.model == *model
        && change.versions.iter().all(|v| v.model == *model)
        && change.promotion.as_ref().is_none_or(|p| p.model == *model)
        && change.gate.as_ref().is_none_or(|g| g.model == *model);
    must(all, "its records belong to several models")
}

/// Nothing but an adoption leaves a record of one, and what follows it.
fn adopted(change: &Change) -> Result<(), Refusal> {
    let record = change.promotion.as_ref().filter(|p| p.status == PromotionStatus::Adopted);
    let lawful = matches!(change.entry.event.as_str(), "adopted" | "attested");
    must(record.is_none() || lawful, "a promotion becomes an adoption")
}

/// Every change of hands moves the epoch, so that whoever held the model before cannot write any more.
fn hands(change: &Change, previous: &Head) -> Result<(), Refusal> {
    let head = &change.head;
    must(head.epoch >= previous.epoch, "the epoch goes back")?;
    let changed = head.running != previous.running
        || head.route.champion != previous.route.champion
        || head.standby.as_ref().is_some_and(|s| Some(s) != previous.standby.as_ref());
    must(!changed || head.epoch > previous.epoch, "a change of hands keeps the epoch")?;
    must(
        head.running.as_ref().is_none_or(|r| r.epoch == head.epoch),
        "the running promotion does not hold the head's epoch",
    )
}

/// Nobody takes the model past those who wait for it but in an emergency, and nobody loses a place but by leaving the line.
fn line(change: &Change, previous: &Head) -> Result<(), Refusal> {
    let (now, before) = (&change.head.waiting, &previous.waiting);
    match change.entry.event.as_str() {
        "promotion_waits" => {
            let joined = now.len() == before.len() + 1 && now.starts_with(before) && now.len() <= LONGEST;
            let twice = |w: &Waiting| now.iter().filter(|o| o.promotion == w.promotion).count() > 1;
            must(joined && !now.iter().any(twice), "a promotion joins a line elsewhere than at its end")
        }
        "promotion_withdrawn" => {
            let left = before.iter().filter(|w| Some(&w.promotion) != change.entry.promotion.as_ref());
            let right = now.len() + 1 == before.len() && now.iter().eq(left);
            must(right, "another promotion leaves the line than the one that is said to")
        }
        "promotion_started" => {
            let starter = change.head.running.as_ref().map(|r| &r.promotion);
            let others = before.iter().filter(|w| Some(&w.promotion) != starter);
            let first = before.first().is_none_or(|w| Some(&w.promotion) == starter);
            let emergency = change.promotion.as_ref().is_some_and(|p| !p.bypasses.is_empty());
            must(now.iter().eq(others), "a promotion starts and changes the place of others in line")?;
            must(first || emergency, "a promotion takes the model past those who wait for it")
        }
        // The end of a promotion leaves the line as it is.
        _ => must(now == before, "the line changes by another event than joining, leaving and starting"),
    }
}

/// A challenger gets a share, or more of one, only with the approval of the promotion that holds the model.
fn traffic(change: &Change, previous: &Head) -> Result<(), Refusal> {
    let (route, before) = (&change.head.route, &previous.route);
    let standby_serves = route.standby.is_none() || route.standby == change.head.standby;
    must(standby_serves, "the holdback goes to a version that is not the standby")?;
    let more_held_back =
        route.holdback > before.holdback || (route.standby.is_some() && route.standby != before.standby);
    must(!more_held_back || route.champion != before.champion, "a holdback begins without a crown")?;
    must(route.weight < Weight::FULL, "a challenger has all the traffic; that is the crown")?;
    if route.weight == Weight::ZERO {
        return Ok(());
    }
    let same_split = route.challenger == before.challenger && route.promotion == before.promotion;
    if same_split && route.weight <= before.weight {
        return Ok(());
    }
    let running = change.head.running.as_ref();
    let Some(running) = running.filter(|r| Some(&r.challenger) == route.challenger.as_ref()) else {
        return Err(unapproved("the challenger on the route is not the one that is being promoted"));
    };
    approval_covers(change, &running.promotion, running.epoch, &running.challenger)
}

/// The champion changes in three ways only: the approved challenger is crowned, the standby is reinstated, or the first one is
/// adopted.
fn champion(change: &Change, previous: &Head) -> Result<(), Refusal> {
    let (now, before) = (change.head.champion(), previous.champion());
    let adopts = change.entry.event == "adopted";
    if now == before {
        return must(!adopts, "an adoption that leaves the champion as it was");
    }
    let Some(now) = now else {
        return Err(invalid("a model that has a champion keeps one"));
    };
    must(change.head.route.weight == Weight::ZERO, "a new champion begins beside a challenger with traffic")?;
    if adopts {
        return adoption(change, previous, now);
    }
    if let Some(running) = previous.running.as_ref().filter(|r| r.challenger == *now) {
        must(change.head.standby.as_ref() == before, "the displaced champion is not the standby")?;
        return approval_covers(change, &running.promotion, running.epoch, now);
    }
    if previous.standby.as_ref() == Some(now) {
        return must(change.head.standby.is_none(), "a reinstated champion keeps a standby");
    }
    Err(unapproved(format!("{} is neither the challenger being promoted nor the standby", now.version)))
}

/// A person makes a version champion without an approval only where the model has none and nothing runs, and never quietly: the
/// record says who, and in their words why. The transaction asks that no promotion has judged the version.
fn adoption(change: &Change, previous: &Head, now: &VersionRef) -> Result<(), Refusal> {
    must(previous.champion().is_none(), "a version is adopted by a model that has a champion")?;
    let free = previous.running.is_none() && change.head.running.is_none();
    must(free, "a version is adopted while a promotion holds the model")?;
    must(change.head.standby.is_none(), "an adopted champion begins with a standby")?;
    must(change.entry.actor.is_person(), "a version is adopted by nobody who could answer for it")?;
    let record = change.promotion.as_ref().filter(|p| {
        p.status == PromotionStatus::Adopted && p.challenger == *now && p.requested_by == change.entry.actor
    });
    let said = record.and_then(|p| p.adoption.as_ref()).is_some_and(|a| !a.comment.trim().is_empty());
    must(said, "a version is adopted without a record of who does and why")
}

/// Whether the change carries an approval that binds exactly this; the transaction checks the decision item itself.
fn approval_covers(
    change: &Change,
    promotion: &seatrial_domain::PromotionId,
    epoch: u64,
    challenger: &VersionRef,
) -> Result<(), Refusal> {
    let Some(approval) = &change.approval else {
        return Err(unapproved("the change names no decision"));
    };
    if approval.promotion != *promotion
        || approval.epoch != epoch
        || approval.bound.package != challenger.digest
    {
        return Err(unapproved("the decision belongs to another promotion, epoch or package"));
    }
    let Some(record) = change.promotion.as_ref().filter(|p| p.id == *promotion && p.epoch == epoch) else {
        return Err(unapproved("the change does not show what its promotion has as evidence"));
    };
    if bound_now(record)? != approval.bound {
        return Err(unapproved("the package, report, benchmark or policy is not the one that was approved"));
    }
    Ok(())
}

/// The statuses of the versions written say the same as the head.
fn statuses(change: &Change, previous: &Head) -> Result<(), Refusal> {
    let head = &change.head;
    for version in &change.versions {
        let reference = Some(version.reference());
        let is_champion = head.champion() == reference.as_ref();
        must(
            (version.status == VersionStatus::Champion) == is_champion,
            "a version and the head disagree on the champion",
        )?;
        let is_standby = head.standby == reference;
        must(
            (version.status == VersionStatus::Standby) == is_standby,
            "a version and the head disagree on the standby",
        )?;
    }
    let written =
        |r: Option<&VersionRef>| r.is_none_or(|r| change.versions.iter().any(|v| v.reference() == *r));
    if head.champion() != previous.champion() {
        must(
            written(head.champion()) && written(previous.champion()),
            "the champions before and after are not both written",
        )?;
    }
    if head.standby != previous.standby {
        must(
            written(head.standby.as_ref()) && written(previous.standby.as_ref()),
            "the standbys before and after are not both written",
        )?;
    }
    Ok(())
}

/// Bytes are given up of nothing that is in use, one version at a time, and nothing is registered while they are deleted.
fn collection(change: &Change, previous: &Head) -> Result<(), Refusal> {
    let head = &change.head;
    let event = change.entry.event.as_str();
    if change.claim.is_some()
        && let Some(collecting) = &previous.collecting
    {
        collecting.registers_nothing_at(&head.model, change.entry.at)?;
    }
    let collected = change.versions.iter().filter(|v| v.status == VersionStatus::Collected);
    for version in collected {
        must(event == "version_collected", "a version is collected by another event")?;
        let named = head.collecting.as_ref().is_some_and(|c| c.version == version.reference());
        must(
            named && previous.collecting.is_none(),
            "a version is collected that the head does not name alone",
        )?;
        let used = [
            head.champion(),
            head.standby.as_ref(),
            head.route.standby.as_ref(),
            head.route.challenger.as_ref(),
            head.running.as_ref().map(|r| &r.challenger),
        ];
        let used =
            used.into_iter().flatten().any(|r| r.version == version.version || r.digest == version.digest);
        must(!used, "a version is collected that is in use")?;
    }
    match (&previous.collecting, &head.collecting) {
        (before, now) if before == now => Ok(()),
        (None, Some(now)) => must(
            change
                .versions
                .iter()
                .any(|v| v.status == VersionStatus::Collected && v.reference() == now.version),
            "the head names a version as being collected that is not",
        ),
        (Some(before), Some(now)) => {
            let taken_up = now.version == before.version && now.run > before.run && now.since == before.since;
            must(taken_up && event == "collection_resumed", "a collection becomes another one")?;
            must(
                change.entry.at >= before.resumes_at(),
                "a collection is taken up while the run before may still delete",
            )
        }
        (_, None) => must(event == "collection_finished", "a collection ends by another event than its end"),
    }
}

/// No promotion carries a skipped approval whose compliance profile wants a person to answer for it.
fn answered_for(change: &Change) -> Result<(), Refusal> {
    let skipped = change.promotion.as_ref().filter(|p| p.bypass(Stage::Approval).is_some());
    let asked = skipped.is_some_and(|p| !missing_when_skipped(p.profile.profile()).is_empty());
    must(!asked, "it skips an approval that the promotion's compliance profile asks a person for")
}

/// A gate is approved or rejected by a decision, never by being written so; a link decides only by being used up.
fn decision(change: &Change) -> Result<(), Refusal> {
    let Some(gate) = &change.gate else {
        return must(change.use_capability.is_none(), "a link is used up without a decision");
    };
    // These write a gate without deciding it; the transaction checks that its status stays what it is.
    if GATE_MARKS.contains(&change.entry.event.as_str()) {
        return must(change.use_capability.is_none(), "a link is used up without a decision");
    }
    let decided = match gate.status {
        GateStatus::Approved | GateStatus::Rejected => true,
        GateStatus::Pending => !gate.decisions.is_empty(),
        GateStatus::Expired | GateStatus::Cancelled => false,
    };
    if decided {
        let last = gate.decisions.last();
        let now = last.filter(|d| d.at == change.entry.at);
        let by_whom =
            now.is_some_and(|d| (d.by == change.entry.actor && itself(gate, d)) || skipped(change, d));
        must(by_whom, "a gate is decided by a decision that is not this actor's")?;
        must(
            now.is_none_or(|d| !d.automatic || window_over(gate, d)),
            "an approval comes by itself before its window is over, or although somebody blocked it",
        )?;
        must(now.is_none_or(|d| !d.emergency || skipped(change, d)), "nobody skipped this approval")?;
    }
    let by_link = gate.decisions.last().is_some_and(|d| d.by.auth == Auth::Link && d.at == change.entry.at);
    must(!by_link || change.use_capability.is_some(), "a link decides without being used up")
}

/// Whether a decision of the product's own is one that came by itself. (A shadow's window is also ended by its own rules.)
fn itself(gate: &GateRecord, decision: &Decision) -> bool {
    gate.kind != GateKind::Approval || decision.automatic == (decision.by.auth == Auth::System)
}

/// Whether the promotion's record, written in the same transaction, says that this person skipped the approval.
fn skipped(change: &Change, decision: &Decision) -> bool {
    let promotion = change.promotion.as_ref();
    let bypass = promotion.and_then(|p| p.bypass(Stage::Approval));
    decision.emergency && bypass.is_some_and(|b| b.by == decision.by && b.reason == decision.comment)
}

/// Whether the window of an automatic approval was over, with a reminder before its end and nobody against it.
fn window_over(gate: &GateRecord, decision: &Decision) -> bool {
    gate.kind == GateKind::Approval
        && decision.approve
        && gate.window.as_ref().is_some_and(|w| {
            w.blocked.is_none()
                && decision.at >= w.ends_at
                && gate.reminders.iter().any(|r| r.ends_at == w.ends_at)
        })
}
