//! The gates that a person may see, on one page.

use askama::Template;
use jiff::Timestamp;
use seatrial_domain::gate::{GateRecord, GateStatus};
use seatrial_domain::promotion::Stage;

use crate::evidence::{Fact, fact};
use crate::review::SignedIn;
use crate::style::STYLE;
use crate::{RenderError, times, words};

/// What whoever looks can do at a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Yours {
    /// Decide.
    Decide,
    /// Reject, and not approve: it is their own.
    Reject,
    /// Nothing more: they have decided.
    Decided,
    /// Look.
    Look,
    /// Nothing: it is closed.
    Closed,
}

/// A gate in the list.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The gate.
    pub gate: GateRecord,
    /// What whoever looks can do there.
    pub yours: Yours,
    /// Whether they can block an approval that would come by itself.
    pub may_block: bool,
    /// The stages of its promotion that were skipped in an emergency.
    pub skipped: Vec<Stage>,
    /// Its own page.
    pub page: String,
}

/// What the page is made of.
#[derive(Debug, Clone)]
pub struct ListFacts<'a> {
    /// Who looks.
    pub signed_in: &'a SignedIn,
    /// What they see, oldest first.
    pub entries: &'a [Entry],
    /// How the gates shown stand.
    pub status: GateStatus,
    /// Only those of this model, as it was typed; empty for all.
    pub model: &'a str,
    /// Where the filter goes.
    pub action: &'a str,
    /// Where later gates are shown.
    pub next: Option<String>,
    /// What is wrong with the filter.
    pub problem: Option<String>,
    /// The time.
    pub now: Timestamp,
}

/// Renders the page.
///
/// # Errors
/// When the template cannot be rendered.
pub fn render(facts: &ListFacts<'_>) -> Result<String, RenderError> {
    let rows: Vec<Row> = facts.entries.iter().map(|e| row(e, facts.now)).collect();
    let (empty, empty_why) = empty(facts);
    let status = |status: GateStatus| Status {
        value: status.as_str(),
        words: words::status_word(status).0,
        chosen: status == facts.status,
    };
    ListPage {
        style: STYLE,
        signed_in: facts.signed_in,
        heading: heading(facts, &rows),
        action: facts.action,
        statuses: GateStatus::ALL.map(status).into(),
        model: facts.model,
        problem: facts.problem.as_deref(),
        empty,
        empty_why,
        rows,
        next: facts.next.as_deref(),
    }
    .render()
}

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage<'a> {
    style: &'static str,
    signed_in: &'a SignedIn,
    heading: String,
    action: &'a str,
    statuses: Vec<Status>,
    model: &'a str,
    problem: Option<&'a str>,
    empty: String,
    empty_why: Vec<String>,
    rows: Vec<Row>,
    next: Option<&'a str>,
}

struct Status {
    value: &'static str,
    words: &'static str,
    chosen: bool,
}

struct Row {
    page: String,
    title: String,
    verdict: &'static str,
    verdict_tone: &'static str,
    state: String,
    state_tone: &'static str,
    needs_you: bool,
    emergency: Option<String>,
    yours: Option<String>,
    facts: Vec<Fact>,
}

fn heading(facts: &ListFacts<'_>, rows: &[Row]) -> String {
    let (count, more) = (rows.len(), if facts.next.is_some() { " on this page" } else { "" });
    let gates = |n: usize| if n == 1 { "1 gate".to_owned() } else { format!("{n} gates") };
    if facts.status != GateStatus::Pending || count == 0 {
        return "Gates".to_owned();
    }
    match rows.iter().filter(|r| r.needs_you).count() {
        0 => format!("{} {}, none for you{more}", gates(count), if count == 1 { "waits" } else { "wait" }),
        1 => format!("1 of {} needs you{more}", gates(count)),
        n => format!("{n} of {} need you{more}", gates(count)),
    }
}

fn empty(facts: &ListFacts<'_>) -> (String, Vec<String>) {
    let of = if facts.model.is_empty() { String::new() } else { format!(" of {}", facts.model) };
    let title = match facts.status {
        GateStatus::Pending => format!("Nothing{of} waits for a decision"),
        other => format!("No gate{of} is {}", other.as_str()),
    };
    let mut why = Vec::new();
    if facts.status == GateStatus::Pending {
        why.push(
            "A gate opens when the evidence of a promotion is complete, and its approvers are told."
                .to_owned(),
        );
    }
    why.push(format!(
        "You are {}. Gates of models whose policy does not name you are not shown: the owner of a model can name you there.",
        facts.signed_in.who
    ));
    (title, why)
}

fn row(entry: &Entry, now: Timestamp) -> Row {
    let gate = &entry.gate;
    let open = gate.status == GateStatus::Pending && now < gate.expires_at;
    let (state, tone) = if gate.status == GateStatus::Pending && !open {
        ("expired", words::Tone::Unsure)
    } else {
        words::status_word(gate.status)
    };
    let title = match &gate.champion {
        Some(champion) => format!("{} {} over {}", gate.model, gate.challenger.version, champion.version),
        None => format!("{} {} as its first champion", gate.model, gate.challenger.version),
    };
    let (needs_you, yours) = if open { yours(entry) } else { (false, closed(gate)) };
    Row {
        page: entry.page.clone(),
        title,
        verdict: gate.verdict.map_or("No verdict", words::verdict_word),
        verdict_tone: gate.verdict.map_or(words::Tone::Unsure, words::tone_of).class(),
        state: state.to_owned(),
        state_tone: tone.class(),
        needs_you,
        emergency: emergency(&entry.skipped),
        yours,
        facts: row_facts(gate, open, now),
    }
}

/// What must not be overlooked before anybody opens the page.
fn emergency(skipped: &[Stage]) -> Option<String> {
    let stages: Vec<&str> = skipped.iter().map(|s| s.as_str()).collect();
    (!stages.is_empty()).then(|| format!("emergency: {} skipped", stages.join(", ")))
}

fn row_facts(gate: &GateRecord, open: bool, now: Timestamp) -> Vec<Fact> {
    let when = |at: Timestamp| format!("{} ({})", times::moment(at), times::distance(at, now));
    let mut list = vec![fact("Submitted by", gate.submitted_by.clone())];
    if gate.requested_by != gate.submitted_by {
        list.push(fact("Asked for by", gate.requested_by.clone()));
    }
    list.push(fact(if open { "Waits since" } else { "Opened" }, when(gate.opened_at)));
    if open {
        match gate.open_window() {
            Some(window) => list.push(fact("Approved by itself", when(window.ends_at))),
            None => list.push(fact("Expires", when(gate.expires_at))),
        }
    }
    list
}

fn closed(gate: &GateRecord) -> Option<String> {
    (gate.status != GateStatus::Pending).then(|| words::sentence(&gate.state_phrase()))
}

/// Whether an open gate needs whoever looks, and what they can do there.
fn yours(entry: &Entry) -> (bool, Option<String>) {
    let window = entry.gate.open_window().is_some();
    let words = match (entry.yours, window, entry.may_block) {
        (Yours::Decide, false, _) => return (true, None),
        (Yours::Decide, true, _) => {
            "It is approved by itself unless somebody blocks it. You can decide or block it."
        }
        (Yours::Reject, ..) => {
            "You submitted it or asked for it, so another approver decides. You may reject it."
        }
        (Yours::Decided, ..) => "You have decided. It waits for another approver.",
        (Yours::Look, true, true) => "It is approved by itself unless somebody blocks it. You can block it.",
        (Yours::Look | Yours::Closed, ..) => "You may read it. Others decide.",
    };
    (false, Some(words.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use seatrial_domain::canonical::sha256;
    use seatrial_domain::gate::{Bound, GateKind, Window};
    use seatrial_domain::ids::{VersionName, VersionRef};
    use seatrial_domain::verdict::Verdict;
    use seatrial_domain::{GateId, ModelName, PromotionId};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_255_500 + second).unwrap()
    }

    fn entry(yours: Yours) -> Entry {
        let promotion = PromotionId::parse(&format!("pr_{}", "0".repeat(24))).unwrap();
        let digest = sha256(b"v2");
        let version = |n| VersionRef { version: VersionName::new(n), digest: digest.clone() };
        let gate = GateRecord {
            id: GateId::derive(&promotion, "approval", 1),
            kind: GateKind::Approval,
            model: ModelName::parse("credit-risk").unwrap(),
            promotion,
            epoch: 3,
            challenger: version(2),
            champion: Some(version(1)),
            status: GateStatus::Pending,
            bound: Bound {
                package: digest.clone(),
                report: digest.clone(),
                benchmark: None,
                policy: digest.clone(),
            },
            verdict: Some(Verdict::Inconclusive),
            requested_by: "dana@example.com".into(),
            submitted_by: "<b>dana</b>".into(),
            opened_at: at(-7_200),
            expires_at: at(86_400),
            decisions: vec![],
            window: None,
            reminders: vec![],
            orphaned: None,
            link_orders: vec![],
        };
        Entry { gate, yours, may_block: false, skipped: vec![], page: "https://a.example/g/x".into() }
    }

    fn shown(entries: &[Entry], status: GateStatus, model: &str) -> String {
        let signed_in =
            SignedIn { who: "ann@example.com".into(), sign_out: "https://a.example/logout".into() };
        render(&ListFacts {
            signed_in: &signed_in,
            entries,
            status,
            model,
            action: "https://a.example/gates",
            next: None,
            problem: None,
            now: at(0),
        })
        .unwrap()
    }

    #[test]
    fn a_row_says_what_waits_since_when_until_when_and_whether_it_needs_you() {
        let html = shown(&[entry(Yours::Decide)], GateStatus::Pending, "");
        for part in [
            "1 of 1 gate needs you",
            "credit-risk v2 over v1",
            "https://a.example/g/x",
            "Inconclusive",
            "needs you</span>",
            "2 hours ago",
            "in 1 day",
            "dana@example.com",
            "Logged in as <strong>ann@example.com</strong>",
            "<option value=\"pending\" selected>",
        ] {
            assert!(html.contains(part), "{part} is missing");
        }
        assert!(!html.contains("<b>dana") && !html.contains("<script"), "what was submitted is markup");
    }

    #[test]
    fn what_is_not_yours_to_decide_does_not_say_that_it_needs_you() {
        let mut window = entry(Yours::Look);
        window.gate.window = Some(Window { ends_at: at(3_600), blocked: None });
        window.may_block = true;
        let mut decide_in_window = window.clone();
        decide_in_window.yours = Yours::Decide;
        for (entry, part) in [
            (entry(Yours::Reject), "You may reject it."),
            (entry(Yours::Decided), "You have decided."),
            (entry(Yours::Look), "Others decide."),
            (window, "You can block it."),
            (decide_in_window, "You can decide or block it."),
        ] {
            let html = shown(&[entry], GateStatus::Pending, "");
            assert!(html.contains(part) && !html.contains("needs you</span>"), "{part}");
            assert!(html.contains("1 gate waits, none for you"), "{part}");
        }
    }

    #[test]
    fn an_emergency_is_marked() {
        let mut skipped = entry(Yours::Decide);
        assert!(!shown(&[skipped.clone()], GateStatus::Pending, "").contains("emergency"));
        skipped.skipped = vec![Stage::Shadow, Stage::Canary];
        assert!(shown(&[skipped], GateStatus::Pending, "").contains("emergency: shadow, canary skipped"));
    }

    #[test]
    fn a_gate_whose_time_is_over_is_expired_before_anybody_wrote_it_down() {
        let mut over = entry(Yours::Closed);
        over.gate.expires_at = at(0);
        let html = shown(&[over], GateStatus::Pending, "");
        assert!(html.contains(">expired</span>") && !html.contains("needs you</span>"));
    }

    #[test]
    fn an_empty_list_says_why_and_keeps_the_filter_escaped() {
        let html = shown(&[], GateStatus::Pending, "");
        assert!(html.contains("Nothing waits for a decision") && html.contains("can name you there"));
        let html = shown(&[], GateStatus::Rejected, "\"><script>");
        assert!(html.contains("is rejected") && !html.contains("<script"), "{html}");
    }
}
