//! Collecting what a review page shows.

use jiff::Timestamp;
use seatrial_artifacts::get_evidence;
use seatrial_domain::access::Access;
use seatrial_domain::gate::{GateKind, GateRecord};
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{EvidenceKind, EvidenceRef};
use seatrial_domain::version::VersionRecord;
use seatrial_domain::{GateId, Refusal};
use seatrial_evidence::report::{ComparisonReport, SCHEMA};
use seatrial_registry::ops::{live_policy, pinned_policy};
use seatrial_report::review::ReviewFacts;
use seatrial_runtime::Failure;

use crate::App;

/// The largest report that is read, in bytes.
const REPORT_BYTES: u64 = 16 * 1024 * 1024;

/// Everything a review page shows.
#[derive(Debug)]
pub(crate) struct Review {
    pub(crate) gate: GateRecord,
    pub(crate) challenger: VersionRecord,
    pub(crate) report: ComparisonReport,
    pub(crate) policy: Policy,
    pub(crate) live: Access,
}

impl Review {
    pub(crate) fn facts(&self, now: Timestamp) -> ReviewFacts<'_> {
        let Self { gate, challenger, report, policy, live } = self;
        ReviewFacts { gate, challenger, report, policy, live, now }
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
    let policy = pinned_policy(registry, &promotion).await?.policy;
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
    Ok(Review { gate, challenger, report, policy, live })
}
