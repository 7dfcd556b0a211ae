//! What the API answers about a model: the registry's records, put together for people and programs.

use jiff::Timestamp;
use seatrial_domain::compliance::ProfileName;
use seatrial_domain::gate::{GateKind, GateRecord, GateStatus};
use seatrial_domain::head::Head;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::target::{Standing, TargetState};
use seatrial_domain::version::VersionRecord;
use serde::Serialize;

/// A model at a glance.
#[derive(Debug, Serialize)]
pub struct ModelLine {
    /// Its name.
    pub model: String,
    /// The version that serves.
    pub champion: Option<String>,
    /// The version kept ready.
    pub standby: Option<String>,
    /// What is being promoted.
    pub challenger: Option<String>,
    /// The challenger's share in percent.
    pub weight_percent: f64,
    /// Where the promotion is.
    pub stage: Option<String>,
}

/// A model in full.
#[derive(Debug, Serialize)]
pub struct ModelView {
    /// The head: route, champion, standby, epoch, running promotion, chain.
    pub head: Head,
    /// The compliance profile of the policy in force; none while there is no policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileName>,
    /// How traffic stands to the route: desired beside actual.
    pub traffic: Standing,
    /// All versions.
    pub versions: Vec<VersionRecord>,
    /// The running promotion, else the last one.
    pub promotion: Option<PromotionRecord>,
    /// The gate that waits, if one does.
    pub gate: Option<GateRecord>,
    /// One line about what happens next.
    pub next: String,
    /// What must not be overlooked: skipped stages, decisions that nobody carries out, and why an approval does not come by
    /// itself where the policy would have let it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

/// What must not be overlooked about a promotion.
#[must_use]
pub fn notices(promotion: Option<&PromotionRecord>, gate: Option<&GateRecord>) -> Vec<String> {
    let skipped = promotion.into_iter().flat_map(|p| &p.bypasses).map(|b| {
        format!("EMERGENCY: {} skipped the {} at {}: {}", b.by.principal, b.stage.as_str(), b.at, b.reason)
    });
    let orphaned = gate.filter(|g| g.orphaned.is_some()).map(|g| {
        format!(
            "ORPHANED: gate {} was {}. Nothing goes live by it; promote the version again if it should",
            g.id,
            g.state_phrase()
        )
    });
    let people = gate.and_then(|g| waits_for_people(promotion, g));
    skipped.chain(orphaned).chain(people).collect()
}

/// Who waits for a model, in their order.
pub(crate) fn in_line(head: &Head) -> impl Iterator<Item = String> {
    head.waiting.iter().enumerate().map(|(place, w)| {
        let (version, id, since) = (w.challenger.version, &w.promotion, w.since);
        format!("WAITS, number {} in line: promotion {id} of {version}, since {since}", place + 1)
    })
}

/// What must not be overlooked about the traffic: callers meet another split than the registry says.
#[must_use]
pub fn traffic_notice(traffic: &Standing, now: Timestamp) -> Option<String> {
    let sentence = || traffic.sentence(now);
    match traffic.state {
        TargetState::InStep => traffic.unseen(now).map(|_| format!("NOT KNOWN: {}", sentence())),
        TargetState::Behind => Some(format!("NOT IN STEP: {}", sentence())),
        TargetState::Refused => {
            Some(format!("NOT IN STEP, AND IT STAYS SO UNTIL SOMEBODY ACTS: {}", sentence()))
        }
    }
}

/// Why an open gate waits for people although the policy grants a review window.
fn waits_for_people(promotion: Option<&PromotionRecord>, gate: &GateRecord) -> Option<String> {
    if gate.status != GateStatus::Pending || gate.kind != GateKind::Approval {
        return None;
    }
    if let Some(blocked) = gate.window.as_ref().and_then(|w| w.blocked.as_ref()) {
        let (by, at, why) = (&blocked.by.principal, blocked.at, &blocked.comment);
        return Some(format!("BLOCKED: {by} blocked the automatic approval at {at}: {why}"));
    }
    let evidence = promotion?.automatic.as_ref().filter(|a| gate.window.is_none() && !a.eligible)?;
    Some(format!("NOT APPROVED BY ITSELF: {}", evidence.why.join("; ")))
}

impl ModelLine {
    /// The line of a model.
    #[must_use]
    pub fn of(head: &Head, challenger: Option<&VersionRecord>) -> Self {
        let name = |v: &seatrial_domain::ids::VersionRef| v.version.to_string();
        Self {
            model: head.model.to_string(),
            champion: head.champion().map(name),
            standby: head.standby.as_ref().map(name),
            challenger: head.running.as_ref().map(|r| name(&r.challenger)),
            weight_percent: f64::from(head.route.weight.bps()) / 100.0,
            stage: challenger.map(|v| stage(v).to_owned()),
        }
    }
}

/// The word for where a challenger is.
fn stage(version: &VersionRecord) -> &'static str {
    use seatrial_domain::version::VersionStatus as S;
    match version.status {
        S::Packaged => "packaged",
        S::Evaluating => "evaluating",
        S::Shadowing => "shadowing",
        S::InReview => "in review",
        S::Approved => "approved",
        S::Canary => "canary",
        S::Champion => "champion",
        S::Standby => "standby",
        S::Rejected => "rejected",
        S::RolledBack => "rolled back",
        S::Superseded => "superseded",
        S::Retired => "retired",
        S::Collected => "collected",
    }
}

/// What happens next to a model, in one line.
#[must_use]
pub fn next_step(head: &Head, challenger: Option<&VersionRecord>, gate: Option<&GateRecord>) -> String {
    let model = &head.model;
    match (challenger, gate) {
        (_, Some(gate)) if gate.kind == GateKind::Approval => match gate.open_window() {
            Some(window) => format!(
                "is approved by itself at {} unless somebody blocks it: `seatrial approvals block {} --comment …`",
                window.ends_at, gate.id
            ),
            None => format!(
                "waits for a decision at {} until {}: `seatrial approvals show {}`",
                gate.id, gate.expires_at, gate.id
            ),
        },
        (Some(version), _) => match stage(version) {
            "shadowing" => format!(
                "{} answers sampled requests unseen: `seatrial shadow status {model}`",
                version.version
            ),
            "canary" => format!(
                "{} serves {}: `seatrial rollback {model}` takes it back",
                version.version, head.route.weight
            ),
            stage => format!("{} is {stage}", version.version),
        },
        (None, _) => match (head.champion(), &head.policy) {
            (_, None) => format!("has no policy: `seatrial policy set {model} FILE`"),
            (None, _) => format!(
                "has no champion yet: `seatrial package DIR --model {model}` tries a version, `seatrial adopt {model} DIR --comment …` takes one that serves"
            ),
            (Some(champion), _) => format!("{} serves everyone", champion.version),
        },
    }
}
