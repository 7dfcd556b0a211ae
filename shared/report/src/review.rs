//! The review page: everything an approver needs to decide, on one page.

use askama::Template;
use jiff::Timestamp;
use seatrial_domain::access::Access;
use seatrial_domain::gate::{GateRecord, GateStatus};
use seatrial_domain::policy::Policy;
use seatrial_domain::version::VersionRecord;
use seatrial_evidence::report::ComparisonReport;

use crate::evidence::{EvidenceView, Fact, fact};
use crate::rows::{self, RowView};
use crate::style::STYLE;
use crate::{RenderError, numbers, times, words};

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct ReviewFacts<'a> {
    /// The gate.
    pub gate: &'a GateRecord,
    /// The challenger.
    pub challenger: &'a VersionRecord,
    /// The report that the gate binds.
    pub report: &'a ComparisonReport,
    /// The policy pinned for the promotion.
    pub policy: &'a Policy,
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
    /// The form is not shown, and why, in a sentence or two; commands that do it instead.
    Elsewhere {
        /// Why.
        why: String,
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
    /// Who decides.
    pub approver: String,
    /// Whether they submitted the version themselves.
    pub own: bool,
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

/// Renders the page.
///
/// # Errors
/// When the template cannot be rendered.
pub fn render(facts: &ReviewFacts<'_>, deciding: &Deciding) -> Result<String, RenderError> {
    ReviewPage::new(facts, deciding).render()
}

#[derive(Template)]
#[template(path = "review.html")]
struct ReviewPage<'a> {
    style: &'static str,
    title: String,
    challenger: String,
    state: &'static str,
    state_tone: &'static str,
    pending: bool,
    deadline: String,
    verdict: &'static str,
    verdict_tone: &'static str,
    verdict_why: String,
    interim: bool,
    facts: Vec<Fact>,
    bound: Vec<Fact>,
    decisions: Vec<DecisionView>,
    quorum: Option<String>,
    attention: Vec<RowView>,
    consequences: Consequences,
    evidence: EvidenceView,
    changelog: &'a str,
    deciding: &'a Deciding,
}

struct DecisionView {
    what: &'static str,
    tone: &'static str,
    by: String,
    at: String,
    comment: String,
    own: bool,
}

struct Consequences {
    approve: String,
    reject: String,
    nothing: String,
}

impl<'a> ReviewPage<'a> {
    fn new(facts: &ReviewFacts<'a>, deciding: &'a Deciding) -> Self {
        let ReviewFacts { gate, report, .. } = *facts;
        let challenger = gate.challenger.version.to_string();
        let champion = gate.champion.as_ref().map(|c| c.version.to_string());
        let (state, tone) = words::status_word(gate.status);
        let over =
            champion.as_ref().map_or_else(|| "as its first champion".to_owned(), |c| format!("over {c}"));
        let pending = gate.status == GateStatus::Pending && facts.now < gate.expires_at;
        Self {
            style: STYLE,
            title: format!("{} {challenger} {over}", gate.model),
            state: if gate.status == GateStatus::Pending && !pending { "expired" } else { state },
            state_tone: tone.class(),
            pending,
            deadline: deadline(gate, facts.now),
            verdict: words::verdict_word(report.verdict),
            verdict_tone: words::tone_of(report.verdict).class(),
            verdict_why: words::sentence(&report.why),
            interim: report.interim,
            facts: general(facts),
            bound: bound(gate),
            decisions: decisions(gate),
            quorum: quorum(gate, facts.live),
            attention: rows::attention(&report.rows),
            consequences: consequences(facts, &challenger, champion.as_deref()),
            evidence: EvidenceView::new(report),
            changelog: facts.challenger.package.changelog.trim(),
            challenger,
            deciding,
        }
    }
}

fn deadline(gate: &GateRecord, now: Timestamp) -> String {
    let (at, distance) = (times::moment(gate.expires_at), times::distance(gate.expires_at, now));
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
    list.push(fact("Submitted by", &gate.submitted_by));
    if gate.requested_by != gate.submitted_by {
        list.push(fact("Promotion asked for by", &gate.requested_by));
    }
    list.push(fact("Submitted", times::moment(challenger.created_at)));
    list.push(fact("Report made", times::moment(report.created_at)));
    list
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
        what: if d.approve { "approved" } else { "rejected" },
        tone: if d.approve { "good" } else { "bad" },
        by: d.by.principal.clone(),
        at: times::moment(d.at),
        comment: d.comment.clone(),
        own: d.self_approval,
    };
    gate.decisions.iter().map(view).collect()
}

fn quorum(gate: &GateRecord, live: &Access) -> Option<String> {
    let given = gate.decisions.iter().filter(|d| d.approve).count();
    let waits = live.quorum > 1 && gate.status == GateStatus::Pending;
    waits.then(|| format!("{given} of {} approvals are given. One rejection ends it.", live.quorum))
}

fn consequences(facts: &ReviewFacts<'_>, challenger: &str, champion: Option<&str>) -> Consequences {
    let canary = &facts.policy.canary;
    let stays = champion.map_or_else(
        || format!("The promotion ends. {challenger} serves nobody, and the model has no champion."),
        |c| format!("The promotion ends. {c} goes on serving everybody; no caller ever sees {challenger}."),
    );
    let approve = match champion {
        None => format!(
            "{challenger} becomes the champion and serves every caller at once. There is no earlier version to share traffic \
             with or to roll back to."
        ),
        Some(champion) => {
            let steps: Vec<_> = canary.steps.iter().map(|s| numbers::percent(*s)).collect();
            let hold = times::duration(canary.hold_seconds.into());
            format!(
                "{challenger} answers {} of the callers, each step for at least {hold}. A guardrail that fails gives every \
                 caller back to {champion} by itself. After the last step {challenger} is the champion and {champion} is kept \
                 ready for a rollback.",
                steps.join(", then ")
            )
        }
    };
    let nothing = format!("Undecided on {}, it ends like a rejection.", times::moment(facts.gate.expires_at));
    Consequences { approve, reject: stays, nothing }
}
