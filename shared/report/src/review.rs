//! The review page: everything an approver needs to decide, on one page.

use askama::Template;
use jiff::Timestamp;
use seatrial_domain::access::Access;
use seatrial_domain::compliance;
use seatrial_domain::gate::{GateRecord, GateStatus};
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{PromotionRecord, Stage};
use seatrial_domain::version::VersionRecord;
use seatrial_evidence::report::ComparisonReport;

use crate::banners::{self, Banner};
use crate::changes::{ChangesView, Policies};
use crate::consequences::Consequences;
use crate::evidence::{EvidenceView, Fact, fact};
use crate::rows::{self, RowView};
use crate::style::STYLE;
use crate::summary::{Answer, summary};
use crate::{RenderError, times, words};

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct ReviewFacts<'a> {
    /// The gate.
    pub gate: &'a GateRecord,
    /// The challenger.
    pub challenger: &'a VersionRecord,
    /// The champion it is compared with; none for a first version.
    pub champion: Option<&'a VersionRecord>,
    /// The promotion.
    pub promotion: &'a PromotionRecord,
    /// The report that the gate binds.
    pub report: &'a ComparisonReport,
    /// The policies that judged, and the one in force.
    pub policies: Policies<'a>,
    /// Who may decide, as it is now.
    pub live: &'a Access,
    /// The time.
    pub now: Timestamp,
}

/// Whether this reader can decide on this page.
#[derive(Debug, Clone)]
pub enum Deciding {
    /// The form is shown.
    Form(DecideForm),
    /// The form is not shown, and why, in a sentence or two; where to go, and commands that do it instead.
    Elsewhere {
        /// Why.
        why: String,
        /// Where it can be done: address and words.
        link: Option<(String, String)>,
        /// What to type instead.
        commands: Vec<String>,
    },
    /// The gate is closed.
    Closed,
}

/// The decision form.
#[derive(Clone)]
pub struct DecideForm {
    /// Where it goes.
    pub action: String,
    /// The hidden token.
    pub token: String,
    /// The fingerprint of what is shown, hidden as well: a decision about anything else is refused.
    pub shown: String,
    /// Who decides.
    pub approver: String,
    /// Whether they submitted the version themselves.
    pub own: bool,
    /// Whether the rules let them approve. Everybody who may decide may reject.
    pub may_approve: bool,
    /// The comment typed so far.
    pub comment: String,
    /// What was wrong with the last try.
    pub problem: Option<String>,
}

impl std::fmt::Debug for DecideForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecideForm").field("approver", &self.approver).finish_non_exhaustive()
    }
}

/// Whoever is logged in in the reader's browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Who.
    pub who: String,
    /// Where the form that logs them out goes.
    pub sign_out: String,
}

/// The form that blocks an approval that would come by itself.
#[derive(Clone)]
pub struct BlockForm {
    /// Where it goes.
    pub action: String,
    /// The hidden token.
    pub token: String,
    /// The fingerprint of what is shown.
    pub shown: String,
    /// The comment typed so far.
    pub comment: String,
    /// What was wrong with the last try.
    pub problem: Option<String>,
}

impl std::fmt::Debug for BlockForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlockForm")
    }
}

/// Who reads the page, and what they can do on it.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// Whether and how they decide.
    pub deciding: &'a Deciding,
    /// For whoever can still block an approval that would come by itself.
    pub block: Option<&'a BlockForm>,
    /// Whoever is logged in.
    pub signed_in: Option<&'a SignedIn>,
}

/// Renders the page for its reader.
///
/// # Errors
/// When the template cannot be rendered.
pub fn render(facts: &ReviewFacts<'_>, reader: &Reader<'_>) -> Result<String, RenderError> {
    ReviewPage::new(facts, reader).render()
}

#[derive(Template)]
#[template(path = "review.html")]
struct ReviewPage<'a> {
    style: &'static str,
    title: String,
    challenger: String,
    banners: Vec<Banner>,
    state: &'static str,
    state_tone: &'static str,
    pending: bool,
    deadline: String,
    verdict: &'static str,
    verdict_tone: &'static str,
    verdict_why: String,
    advice: Option<&'static str>,
    interim: bool,
    context: &'a str,
    answers: Vec<Answer>,
    facts: Vec<Fact>,
    bound: Vec<Fact>,
    decisions: Vec<DecisionView>,
    quorum: Option<String>,
    attention: Vec<RowView>,
    consequences: Consequences,
    changes: ChangesView<'a>,
    evidence: EvidenceView,
    deciding: &'a Deciding,
    block: Option<&'a BlockForm>,
    /// Whether the last try was refused: the browser's title says so first.
    refused: bool,
    signed_in: Option<&'a SignedIn>,
}

struct DecisionView {
    tone: &'static str,
    what: &'static str,
    said: String,
    comment: String,
    own: bool,
}

impl<'a> ReviewPage<'a> {
    fn new(facts: &ReviewFacts<'a>, reader: &Reader<'a>) -> Self {
        let Reader { deciding, block, signed_in } = *reader;
        let ReviewFacts { gate, report, policies, .. } = *facts;
        let policy = &policies.pinned.policy;
        let bypasses = &facts.promotion.bypasses;
        let challenger = gate.challenger.version.to_string();
        let champion = gate.champion.as_ref().map(|c| c.version.to_string());
        let (state, tone) = words::status_word(gate.status);
        let over =
            champion.as_ref().map_or_else(|| "as its first champion".to_owned(), |c| format!("over {c}"));
        let pending = gate.status == GateStatus::Pending && facts.now < gate.expires_at;
        let own = matches!(deciding, Deciding::Form(form) if form.own);
        let form_refused = matches!(deciding, Deciding::Form(form) if form.problem.is_some());
        Self {
            style: STYLE,
            title: format!("{} {challenger} {over}", gate.model),
            banners: [
                banners::of_gate(gate, report, bypasses, own, facts.now),
                banners::unverified(facts.challenger, facts.champion),
            ]
            .concat(),
            state: if gate.status == GateStatus::Pending && !pending { "expired" } else { state },
            state_tone: tone.class(),
            pending,
            deadline: deadline(gate, facts.now),
            verdict: words::verdict_word(report.verdict),
            verdict_tone: words::tone_of(report.verdict).class(),
            verdict_why: words::sentence(&report.why),
            advice: words::advice(report.verdict).filter(|_| pending),
            interim: report.interim,
            context: policy.context.trim(),
            answers: summary(report, policy, bypasses),
            facts: general(facts),
            bound: bound(gate),
            decisions: decisions(gate),
            quorum: quorum(gate, facts.live),
            attention: rows::attention(&report.rows),
            consequences: Consequences::new(gate, policy, facts.live, bypasses),
            changes: ChangesView::new(facts.challenger, facts.champion, &policies),
            evidence: EvidenceView::new(report),
            refused: form_refused || block.is_some_and(|b| b.problem.is_some()),
            challenger,
            deciding,
            signed_in,
            block,
        }
    }
}

fn deadline(gate: &GateRecord, now: Timestamp) -> String {
    let (at, distance) = (times::moment(gate.expires_at), times::distance(gate.expires_at, now));
    if let Some(window) = gate.open_window().filter(|_| now < gate.expires_at) {
        let (at, distance) = (times::moment(window.ends_at), times::distance(window.ends_at, now));
        return format!("Approved by itself on {at} ({distance}), unless blocked.");
    }
    match gate.status {
        GateStatus::Pending if now < gate.expires_at => format!("Decide by {at} ({distance})."),
        GateStatus::Pending | GateStatus::Expired => format!("It expired on {at} ({distance})."),
        _ => format!("It was open until {at} at the latest."),
    }
}

fn general(facts: &ReviewFacts<'_>) -> Vec<Fact> {
    let ReviewFacts { gate, challenger, report, .. } = *facts;
    let named = |version: &seatrial_domain::ids::VersionRef| {
        format!("{} · {}", version.version, version.digest.short())
    };
    let mut list = vec![fact("Model", gate.model.to_string()), fact("Challenger", named(&gate.challenger))];
    if let Some(title) = &challenger.package.title {
        list.push(fact("Its title", title));
    }
    list.push(fact(
        "Champion now",
        gate.champion.as_ref().map_or_else(|| "none: this is the first version".into(), named),
    ));
    list.extend(profile(facts.promotion, &facts.policies.pinned.policy, challenger));
    list.push(fact("Submitted by", &gate.submitted_by));
    if gate.requested_by != gate.submitted_by {
        list.push(fact("Promotion asked for by", &gate.requested_by));
    }
    list.push(fact("Submitted", times::moment(challenger.created_at)));
    list.push(fact("Report made", times::moment(report.created_at)));
    list
}

/// The compliance profile that the promotion is held to, and everything it asks for; nothing where no regulation is named.
fn profile(promotion: &PromotionRecord, policy: &Policy, challenger: &VersionRecord) -> Vec<Fact> {
    if promotion.profile.is_default() {
        return Vec::new();
    }
    let profile = promotion.profile.profile();
    let there = compliance::Facts {
        policy,
        benchmark: promotion.benchmark.is_some(),
        reference: Some(challenger.package.has_reference()),
        skips_approval: promotion.bypass(Stage::Approval).is_some(),
    };
    let missing = compliance::missing(profile, &there);
    let items = profile.requires.iter().map(|required| {
        let mark = if missing.iter().any(|m| m.item == required.item) { "✗ missing:" } else { "✓" };
        format!("{mark} {} ({})", required.item.words(), required.rule)
    });
    vec![
        fact("Held to", format!("{}: {}", profile.name, profile.about)),
        fact("It asks for", items.collect::<Vec<_>>().join(" · ")),
    ]
}

fn bound(gate: &GateRecord) -> Vec<Fact> {
    let code = |name, value: &dyn std::fmt::Display| Fact { name, value: value.to_string(), code: true };
    let mut list = vec![code("Package", &gate.bound.package), code("Comparison report", &gate.bound.report)];
    match &gate.bound.benchmark {
        Some(benchmark) => list.push(code("Benchmark", benchmark)),
        None => list.push(fact("Benchmark", "none")),
    }
    list.push(code("Policy", &gate.bound.policy));
    list.push(code("Promotion", &gate.promotion));
    list.push(code("Gate", &gate.id));
    list
}

fn decisions(gate: &GateRecord) -> Vec<DecisionView> {
    let view = |d: &seatrial_domain::gate::Decision| DecisionView {
        tone: if d.approve { "good" } else { "bad" },
        what: if d.approve { "approved" } else { "rejected" },
        said: banners::decided(d),
        comment: d.comment.clone(),
        own: d.self_approval,
    };
    gate.decisions.iter().map(view).collect()
}

fn quorum(gate: &GateRecord, live: &Access) -> Option<String> {
    let given = seatrial_domain::gate::approvals(gate, live);
    let waits = live.quorum > 1 && gate.status == GateStatus::Pending;
    waits.then(|| format!("{given} of {} approvals are given. One rejection ends it.", live.quorum))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_profile_is_named_with_all_it_asks_for_and_nothing_is_said_of_none() {
        let digest = format!("sha256:{}", "7".repeat(64));
        let id = format!("pr_{}", "0".repeat(24));
        let record = |profile: &str| -> PromotionRecord {
            serde_json::from_value(json!({
                "id": id, "model": "m", "challenger": { "version": "v2", "digest": digest }, "champion": null,
                "status": "running", "epoch": 1, "policy": { "number": 1, "digest": digest }, "profile": profile,
                "benchmark": { "digest": digest, "key": "k", "size": 1, "set_at": "2026-11-21T10:00:00Z" },
                "requested_by": { "principal": "sue", "auth": "iam" }, "started_at": "2026-11-21T10:00:00Z", "evidence": {},
            }))
            .unwrap()
        };
        let challenger: VersionRecord = serde_json::from_value(json!({
            "model": "m", "version": "v2", "digest": digest, "status": "in_review", "submitted_by": "sue",
            "created_at": "2026-11-21T10:00:00Z", "promotion": id,
            "package": { "runtime": "onnx", "task": "binary", "size": 1, "files": {}, "labels": {}, "changelog": "" },
        }))
        .unwrap();
        let mut policy = Policy::default();
        policy
            .approval
            .approvers
            .push(seatrial_domain::policy::Approver { email: "ann@example.com".into(), principals: vec![] });
        assert!(profile(&record("default"), &policy, &challenger).is_empty());
        let shown = profile(&record("sr_26_2"), &policy, &challenger);
        assert!(shown[0].value.starts_with("sr_26_2: "), "{}", shown[0].value);
        assert_eq!(
            shown[1].value,
            "✓ held-out benchmark (Outcomes analysis) · ✓ independent review (Effective challenge) · \
             ✓ accountable approver (Governance) · ✗ missing: inventory entry (Model inventory)"
        );
    }
}
