//! Collecting what a review page shows, and who may see it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use seatrial_artifacts::get_evidence;
use seatrial_domain::access::Access;
use seatrial_domain::change::PolicyRecord;
use seatrial_domain::gate::{GateKind, GateRecord};
use seatrial_domain::promotion::{EvidenceKind, EvidenceRef, PromotionRecord};
use seatrial_domain::version::VersionRecord;
use seatrial_domain::{GateId, ModelName, Refusal};
use seatrial_evidence::report::{ComparisonReport, SCHEMA};
use seatrial_registry::GateFilter;
use seatrial_registry::ops::{live_policy, pinned_policy};
use seatrial_report::Policies;
use seatrial_report::banners::{Banner, emergencies};
use seatrial_report::review::ReviewFacts;
use seatrial_runtime::Failure;

use crate::App;
use crate::caller::Caller;

/// The largest report that is read, in bytes.
const REPORT_BYTES: u64 = 16 * 1024 * 1024;

/// Everything a review page shows.
#[derive(Debug)]
pub(crate) struct Review {
    pub(crate) gate: GateRecord,
    pub(crate) challenger: VersionRecord,
    pub(crate) champion: Option<VersionRecord>,
    pub(crate) promotion: PromotionRecord,
    pub(crate) report: ComparisonReport,
    /// The policy pinned for the promotion, the one that judged the champion, and the one in force.
    pub(crate) pinned: PolicyRecord,
    pub(crate) before: Option<PolicyRecord>,
    pub(crate) in_force: PolicyRecord,
    pub(crate) live: Access,
}

impl Review {
    pub(crate) fn facts(&self, now: Timestamp) -> ReviewFacts<'_> {
        let Self { gate, challenger, champion, promotion, report, pinned, before, in_force, live } = self;
        let policies = Policies { pinned, before: before.as_ref(), in_force };
        ReviewFacts { gate, challenger, champion: champion.as_ref(), promotion, report, policies, live, now }
    }
}

fn not_found(what: String) -> Failure {
    Refusal::NotFound { what }.into()
}

/// The approval gate of this name; `None` when there is none, or it is of another kind.
pub(crate) async fn approval_gate(app: &App, id: &GateId) -> Result<Option<GateRecord>, Failure> {
    Ok(app.registry.gate(id).await?.filter(|g| g.kind == GateKind::Approval))
}

/// Who may decide at the gate, now.
pub(crate) async fn live(app: &App, gate: &GateRecord) -> Result<Access, Failure> {
    Ok(live_policy(app.registry.as_ref(), &gate.model).await?.policy.access())
}

/// What must not be overlooked about the promotion of `gate`, on whatever page is shown in place of its review.
pub(crate) async fn banners(app: &App, gate: &GateRecord) -> Result<Vec<Banner>, Failure> {
    let promotion = app.registry.promotion(&gate.model, &gate.promotion).await?;
    Ok(promotion.map(|p| emergencies(&p.bypasses)).unwrap_or_default())
}

/// The policy that judged the champion; for a champion without a promotion the one before `pinned`.
async fn policy_before(
    app: &App,
    champion: Option<&VersionRecord>,
    pinned: &PolicyRecord,
) -> Result<Option<PolicyRecord>, Failure> {
    let registry = app.registry.as_ref();
    if let Some((champion, id)) = champion.and_then(|c| Some((c, c.promotion.as_ref()?)))
        && let Some(promotion) = registry.promotion(&champion.model, id).await?
    {
        return Ok(Some(pinned_policy(registry, &promotion).await?));
    }
    match (champion, pinned.reference.number) {
        (Some(champion), number @ 2..) => Ok(registry.policy(&champion.model, number - 1).await?),
        _ => Ok(None),
    }
}

/// A gate that somebody may see, and who may decide at it, now.
pub(crate) struct Seen {
    pub(crate) gate: GateRecord,
    pub(crate) live: Access,
}

/// Some of the gates that somebody may see.
pub(crate) struct Part {
    pub(crate) gates: Vec<Seen>,
    /// The last of them, where there are more after it.
    pub(crate) next: Option<GateId>,
}

/// The first `most` approval gates after the gate `after` that the filter lets through and `caller` may see, oldest first.
pub(crate) async fn visible(
    app: &App,
    filter: &GateFilter,
    caller: &Caller,
    after: Option<&GateRecord>,
    most: usize,
) -> Result<Part, Failure> {
    let place = |g: &GateRecord| (g.opened_at, g.id.clone());
    let after = after.map(place);
    let gates = app.registry.gates(filter).await?;
    let mut known: BTreeMap<ModelName, Access> = BTreeMap::new();
    let mut part = Part { gates: Vec::new(), next: None };
    for gate in gates {
        if gate.kind != GateKind::Approval || after.as_ref().is_some_and(|after| place(&gate) <= *after) {
            continue;
        }
        let live = match known.get(&gate.model) {
            Some(live) => live.clone(),
            None => {
                let live = live(app, &gate).await?;
                known.insert(gate.model.clone(), live.clone());
                live
            }
        };
        if !caller.may_see(&live) {
            continue;
        }
        if part.gates.len() == most {
            part.next = part.gates.last().map(|seen| seen.gate.id.clone());
            break;
        }
        part.gates.push(Seen { gate, live });
    }
    Ok(part)
}

/// Everything about `gate`. The report is the very one the gate binds: its bytes are checked against that digest.
pub(crate) async fn collect(app: &App, gate: GateRecord, live: Access) -> Result<Review, Failure> {
    let registry = app.registry.as_ref();
    let version = gate.challenger.version;
    let challenger = registry.version(&gate.model, version).await?;
    let challenger =
        challenger.ok_or_else(|| not_found(format!("version {version} of model {}", gate.model)))?;
    let promotion = registry.promotion(&gate.model, &gate.promotion).await?;
    let promotion = promotion
        .ok_or_else(|| not_found(format!("promotion {} of model {}", gate.promotion, gate.model)))?;
    let pinned = pinned_policy(registry, &promotion).await?;
    let champion = match &gate.champion {
        Some(champion) => registry.version(&gate.model, champion.version).await?,
        None => None,
    };
    let before = policy_before(app, champion.as_ref(), &pinned).await?;
    let report = promotion.evidence.get(&EvidenceKind::Report);
    let report =
        report.ok_or_else(|| not_found(format!("a comparison report of promotion {}", gate.promotion)))?;
    let bound = EvidenceRef { key: report.key.clone(), digest: gate.bound.report.clone() };
    let bytes = get_evidence(app.evidence.as_ref(), &bound, REPORT_BYTES).await?;
    let report: ComparisonReport =
        serde_json::from_slice(&bytes).map_err(|e| Failure::internal("reading the comparison report", e))?;
    if report.schema != SCHEMA {
        return Err(Failure::invalid(format!(
            "the comparison report has schema {}; expected {SCHEMA}",
            report.schema
        )));
    }
    let in_force = live_policy(registry, &gate.model).await?;
    Ok(Review { gate, challenger, champion, promotion, report, pinned, before, in_force, live })
}
