//! The first page, and the document as a whole.

use seatrial_attestation::verify::Standing;
use seatrial_domain::adoption::NOT_COMPARED;
use seatrial_domain::compliance::ProfileName;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{EvidenceKind, PromotionStatus, Stage};
use seatrial_evidence::report::ComparisonReport;
use seatrial_report::summary::{Answer, FAIRNESS, summary};
use seatrial_report::{times, words};
use serde::Serialize;

use crate::block::{Block, FactRow, Gallery, Piece, code, fact};
use crate::evidence::{About, Evidence};
use crate::sections::{self, SectionView};

/// The document as the template is given it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct View {
    /// The title of the file.
    title: String,
    /// What the file is, in a sentence.
    description: String,
    profile: ProfileView,
    model: String,
    from: Option<String>,
    to: String,
    promotion: String,
    verdict: Band,
    /// What the report found; none where it cannot be shown.
    report: Option<Band>,
    evidence: EvidenceBand,
    /// Stages that an operator skipped in an emergency.
    skipped: Vec<Block>,
    facts: Vec<FactRow>,
    digests: Vec<FactRow>,
    summary: Vec<Said>,
    sections: Vec<SectionView>,
    attachments: Vec<Attached>,
    /// The manifest's digest, for the foot of every page.
    foot: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ProfileView {
    name: &'static str,
    title: String,
    about: String,
}

/// A word with its tone, and a sentence.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Band {
    word: &'static str,
    tone: &'static str,
    why: String,
}

/// Whether the evidence is what was signed.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct EvidenceBand {
    holds: bool,
    title: String,
    text: String,
    doubts: Vec<Doubt>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Doubt {
    what: String,
    standing: &'static str,
    why: String,
}

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Said {
    question: &'static str,
    tone: &'static str,
    bits: Vec<Piece>,
}

/// A file that goes along.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Attached {
    name: String,
    description: &'static str,
    relationship: &'static str,
}

/// The document and its charts.
pub(crate) fn view(evidence: &Evidence, about: &About, attached: &[(&str, &[u8])]) -> (View, Vec<String>) {
    let policy = evidence.policy.read();
    let name = policy.map_or(ProfileName::Default, |p| p.profile);
    let profile = name.profile();
    let mut gallery = Gallery::default();
    let from = about.champion.as_ref().map(|c| c.version.to_string());
    let to = about.challenger.version.to_string();
    let way = match &from {
        _ if evidence.is_adoption() => format!("adoption of {to}"),
        None => format!("first version {to}"),
        Some(from) => format!("{from} to {to}"),
    };
    let report = evidence.report.read();
    let said = report.map(|r| in_short(r, policy)).unwrap_or_default();
    let view = View {
        title: format!("{}: {}, {way}", profile.title, about.model),
        description: format!(
            "Evidence of promotion {} of model {}, as it was signed.",
            about.promotion, about.model
        ),
        profile: ProfileView {
            name: name.as_str(),
            title: profile.title.clone(),
            about: profile.about.clone(),
        },
        model: about.model.to_string(),
        from,
        to,
        promotion: about.promotion.to_string(),
        verdict: verdict(about),
        report: report.map(|r| Band {
            word: words::verdict_word(r.verdict),
            tone: words::tone_of(r.verdict).class(),
            why: words::sentence(&r.why),
        }),
        evidence: band(evidence),
        skipped: [Stage::Shadow, Stage::Approval, Stage::Canary]
            .into_iter()
            .flat_map(|stage| sections::skipped(evidence, stage))
            .collect(),
        facts: facts(evidence),
        digests: digests(evidence, about),
        summary: said
            .into_iter()
            .map(|a| Said {
                question: a.question,
                tone: a.tone,
                bits: a.bits.into_iter().map(Into::into).collect(),
            })
            .collect(),
        sections: sections::all(evidence, profile, &mut gallery),
        attachments: attached.iter().map(|(name, _)| describe(name)).collect(),
        foot: evidence.manifest_digest.as_ref().map_or_else(|| "no manifest".into(), ToString::to_string),
    };
    (view, gallery.svgs)
}

/// The report in a few sentences. Those that speak of the policy are left out where it is not here.
fn in_short(report: &ComparisonReport, policy: Option<&Policy>) -> Vec<Answer> {
    let Some(policy) = policy else {
        let mut said = summary(report, &Policy::default(), &report.bypasses);
        let compared = report.rows.iter().any(|r| FAIRNESS.contains(&r.name.as_str()));
        said.retain(|a| a.question != "On live requests" && (compared || a.question != "Fairness"));
        return said;
    };
    summary(report, policy, &report.bypasses)
}

fn verdict(about: &About) -> Band {
    let (word, tone, plain) = match about.status {
        Some(PromotionStatus::Crowned) => ("Crowned", "good", "The challenger became the champion."),
        Some(PromotionStatus::Rejected) => {
            ("Rejected", "bad", "The promotion ended before any caller met the challenger.")
        }
        Some(PromotionStatus::Aborted) => {
            ("Aborted", "bad", "The promotion ended after it had begun to change what callers get.")
        }
        Some(PromotionStatus::Adopted) => ("Adopted", "unsure", NOT_COMPARED),
        Some(PromotionStatus::Running) => ("Running", "unsure", "The promotion had not ended."),
        None => {
            ("Not known", "unsure", "No manifest and no promotion's record says how the promotion ended.")
        }
    };
    let why = about.reason.as_ref().map(|r| words::sentence(r)).filter(|r| !r.is_empty());
    Band { word, tone, why: why.unwrap_or_else(|| plain.to_owned()) }
}

fn band(evidence: &Evidence) -> EvidenceBand {
    let found = &evidence.verification;
    let mut doubted: Vec<_> = found.findings.iter().filter(|f| f.standing.is_doubt()).collect();
    doubted.sort_by_key(|f| std::cmp::Reverse(f.standing));
    let doubts = doubted.iter().map(|f| Doubt {
        what: f.what.clone(),
        standing: f.standing.as_str(),
        why: words::sentence(&f.why),
    });
    // What cannot be read though it is as it was signed is no doubt about the signature, and keeps this document from being whole.
    let known = |why: &str| doubted.iter().any(|f| why.starts_with(&format!("{} ", f.what)));
    let unread = evidence.withheld().into_iter().filter(|why| !known(why));
    let unread =
        unread.map(|why| Doubt { what: String::new(), standing: "cannot be shown", why: why.to_owned() });
    let doubts: Vec<Doubt> = doubts.chain(unread).collect();
    let count = |n: usize, what: &str| match n {
        1 => format!("One thing {what}"),
        n => format!("{n} things {what}"),
    };
    let (title, text) = match (doubted.len(), doubts.len()) {
        (0, 0) => {
            let objects = found.manifest.as_ref().map_or(0, |m| m.subject.len());
            let unchecked = found.findings.iter().filter(|f| f.standing == Standing::NotChecked).count();
            let left = if unchecked > 0 {
                format!(" {} not be checked.", count(unchecked, "could"))
            } else {
                String::new()
            };
            (
                "The evidence holds",
                format!(
                    "The manifest is signed, all {objects} objects it lists are here as they were signed, and they agree with each \
                     other.{left}"
                ),
            )
        }
        (0, n) => (
            "Some evidence cannot be read",
            format!(
                "{} as signed, and cannot be shown. This document is not whole.",
                count(n, if n == 1 { "is" } else { "are" })
            ),
        ),
        (n, _) => (
            "The evidence does not hold",
            format!(
                "{} not as signed. What is shown here is what could be read; it proves nothing until this is cleared up.",
                count(n, if n == 1 { "is" } else { "are" })
            ),
        ),
    };
    EvidenceBand { holds: doubts.is_empty(), title: title.to_owned(), text, doubts }
}

fn facts(evidence: &Evidence) -> Vec<FactRow> {
    let mut rows = Vec::new();
    if let Some(record) = evidence.record.read() {
        if let Some((_, adoption)) = evidence.adoption() {
            rows.push(fact("Adopted by", record.requested_by.principal.as_str()));
            rows.push(fact("On", times::moment(record.started_at)));
            rows.extend(adoption.serving_since.map(|at| fact("Said to serve since", times::moment(at))));
            rows.push(fact("Comment", adoption.comment.as_str()));
            return rows;
        }
        rows.push(fact("Requested by", record.requested_by.principal.as_str()));
        rows.push(fact("Started", times::moment(record.started_at)));
        if let Some(ended) = record.ended_at {
            let seconds = (ended.as_second() - record.started_at.as_second()).max(0) as u64;
            rows.push(fact("Ended", format!("{}, after {}", times::moment(ended), times::duration(seconds))));
        }
    }
    if let Some(gate) = evidence.approval.read() {
        for decision in &gate.decisions {
            let word = if decision.approve { "Approved by" } else { "Rejected by" };
            let who = if decision.automatic { "itself, unblocked" } else { decision.by.principal.as_str() };
            let mind = match (decision.emergency, decision.self_approval) {
                (true, _) => ", in an emergency",
                (false, true) => ", who also submitted it",
                (false, false) => "",
            };
            rows.push(fact(word, format!("{who}{mind}, {}", times::moment(decision.at))));
        }
    }
    rows
}

fn digests(evidence: &Evidence, about: &About) -> Vec<FactRow> {
    let record = evidence.record.read();
    let report = record.and_then(|r| r.evidence.get(&EvidenceKind::Report)).map(|e| e.digest.to_string());
    let benchmark = record.and_then(|r| r.benchmark.as_ref()).map(|b| b.digest.to_string());
    let policy = record.map(|r| r.policy.digest.to_string());
    let champion = about.champion.as_ref().map(|c| c.digest.to_string());
    let manifest = evidence.manifest_digest.as_ref().map(ToString::to_string);
    let row =
        |name: &str, digest: Option<String>| digest.map_or_else(|| fact(name, "none"), |d| code(name, d));
    vec![
        code("Package", about.challenger.digest.to_string()),
        row("Champion", champion),
        row("Report", report),
        row("Benchmark", benchmark),
        row("Policy", policy),
        row("Manifest", manifest),
    ]
}

fn describe(name: &str) -> Attached {
    let kinds = [
        ("manifest-", "The signed manifest of all evidence: a DSSE envelope", "source"),
        ("promotion-", "The promotion as the registry recorded it", "data"),
        ("gate-", "A gate with its decisions", "data"),
        ("history-", "The model's history up to the promotion's end", "data"),
        ("report-", "The comparison report", "source"),
        ("evaluation-", "Smoke test and benchmark of both versions", "data"),
        ("inputs-", "The frozen list of the data that the report rests on", "data"),
        ("explanations-", "Shapley values of each explained row", "data"),
        ("policy-", "The policy that was pinned for the promotion", "data"),
        ("canary-step-", "The judgement of a step of the canary", "data"),
    ];
    let found = kinds.iter().find(|(prefix, ..)| name.starts_with(prefix));
    let (_, description, relationship) = found.copied().unwrap_or(("", "Evidence", "supplement"));
    Attached { name: name.to_owned(), description, relationship }
}
