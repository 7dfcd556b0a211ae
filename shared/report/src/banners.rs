//! What must not be overlooked about a gate or a report: it stands above everything else, on every page about it.

use jiff::Timestamp;
use seatrial_domain::gate::{Decision, GateRecord, GateStatus};
use seatrial_domain::package::RemoteVersion;
use seatrial_domain::promotion::{Bypass, Stage};
use seatrial_domain::version::VersionRecord;
use seatrial_evidence::report::ComparisonReport;

use crate::words::Tone;
use crate::{times, words};

/// A notice above a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Banner {
    pub(crate) tone: &'static str,
    /// What it is about, in a word or two.
    pub(crate) title: String,
    pub(crate) text: String,
    /// What a person said, in their own words.
    pub(crate) quote: Option<String>,
    /// Where on the page to go on.
    pub(crate) link: Option<(&'static str, &'static str)>,
}

fn banner(tone: Tone, title: &str, text: impl Into<String>) -> Banner {
    Banner { tone: tone.class(), title: title.to_owned(), text: text.into(), quote: None, link: None }
}

impl Banner {
    fn quoting(self, quote: &str) -> Self {
        Self { quote: Some(quote.to_owned()), ..self }
    }

    fn with_link(self, to: &'static str, words: &'static str) -> Self {
        Self { link: Some((to, words)), ..self }
    }
}

/// A banner for every stage that was skipped in an emergency.
#[must_use]
pub fn emergencies(bypasses: &[Bypass]) -> Vec<Banner> {
    let without = |stage| match stage {
        Stage::Shadow => "No live request tried this version before people were asked.",
        Stage::Approval => "No approver was asked: neither quorum nor separation of duties was kept.",
        Stage::Canary => "No canary tries this version: once approved, it serves every caller at once.",
    };
    bypasses
        .iter()
        .map(|b| {
            let text = format!(
                "{} skipped the {} on {}. {}",
                b.by.principal,
                b.stage.as_str(),
                times::moment(b.at),
                without(b.stage)
            );
            banner(Tone::Bad, &format!("Emergency: {} skipped", b.stage.as_str()), text).quoting(&b.reason)
        })
        .collect()
}

/// Everything that stands above the review page. `own` says that whoever reads it decides on their own submission.
pub(crate) fn of_gate(
    gate: &GateRecord,
    report: &ComparisonReport,
    bypasses: &[Bypass],
    own: bool,
    now: Timestamp,
) -> Vec<Banner> {
    let mut list = emergencies(bypasses);
    list.extend(orphaned(gate));
    list.extend(closed(gate, now));
    let open = gate.status == GateStatus::Pending && now < gate.expires_at;
    if open {
        list.extend(window(gate, now));
        list.extend(why_not_by_itself(gate, report));
    }
    let approved_own = gate.decisions.iter().any(|d| d.approve && d.self_approval);
    if approved_own || (open && own) {
        list.push(self_approval(approved_own));
    }
    list
}

/// What stands above a page about versions whose bytes nobody here has seen.
pub(crate) fn unverified(challenger: &VersionRecord, champion: Option<&VersionRecord>) -> Vec<Banner> {
    let of = |version: &VersionRecord| {
        let remote = version.package.remote.as_ref()?;
        let text = format!("{}: {}", version.version, words::sentence(&remote.sentence()));
        let title = format!("{} is {}", version.version, RemoteVersion::NOT_BYTE_VERIFIED);
        Some(banner(Tone::Unsure, &title, text))
    };
    [Some(challenger), champion].into_iter().flatten().filter_map(of).collect()
}

/// What stands above the page of a report. `later` are the stages that are known to be skipped by now.
pub(crate) fn of_report(report: &ComparisonReport, later: &[Bypass]) -> Vec<Banner> {
    let mut list = emergencies(&report.bypasses);
    let known = |b: &&Bypass| report.bypasses.iter().any(|known| known.stage == b.stage);
    let later: Vec<Bypass> = later.iter().filter(|b| !known(b)).cloned().collect();
    list.extend(emergencies(&later));
    if report.interim {
        list.push(banner(
            Tone::Unsure,
            "Interim",
            "The evidence was still coming in when this report was made.",
        ));
    }
    if let Some(automatic) = report.automatic.as_ref().filter(|a| a.eligible) {
        let why = automatic.why.iter().map(|w| words::sentence(w)).collect::<Vec<_>>().join(" ");
        let text =
            format!("The policy lets this be approved without a person unless somebody blocks it. {why}");
        list.push(banner(Tone::Unsure, "Review window", text.trim_end()));
    }
    list
}

/// The approval that comes by itself, or who stopped it.
fn window(gate: &GateRecord, now: Timestamp) -> Option<Banner> {
    let window = gate.window.as_ref()?;
    if let Some(blocked) = &window.blocked {
        let text = format!(
            "{} blocked the automatic approval on {}. Nothing goes live by itself any more: the gate waits for people.",
            blocked.by.principal,
            times::moment(blocked.at)
        );
        return Some(banner(Tone::Plain, "Blocked", text).quoting(&blocked.comment));
    }
    let (at, distance) = (times::moment(window.ends_at), times::distance(window.ends_at, now));
    let text = if now < window.ends_at {
        format!(
            "Unless somebody blocks it, this is approved by itself on {at} ({distance}), and its canary begins."
        )
    } else {
        format!(
            "The time to block this ended on {at} ({distance}). It is approved as soon as people were surely told of it."
        )
    };
    Some(banner(Tone::Unsure, "Goes live by itself", text).with_link("#block", "Block it"))
}

/// Why a policy that lets approvals come by themselves does not do so here.
fn why_not_by_itself(gate: &GateRecord, report: &ComparisonReport) -> Option<Banner> {
    let automatic = report.automatic.as_ref().filter(|a| gate.window.is_none() && !a.eligible)?;
    let why = automatic.why.iter().map(|w| words::sentence(w)).collect::<Vec<_>>().join(" ");
    Some(banner(Tone::Plain, "Waits for people", format!("It does not go live by itself: {why}")))
}

fn self_approval(done: bool) -> Banner {
    let text = if done {
        "Whoever submitted this version or asked for its promotion has approved it. The policy allows that."
    } else {
        "You submitted this version or asked for its promotion. The policy lets you approve it; that is recorded and shown as a \
         self-approval."
    };
    banner(Tone::Unsure, "Self-approval", text)
}

fn orphaned(gate: &GateRecord) -> Option<Banner> {
    let orphaned = gate.orphaned.as_ref()?;
    let text = format!(
        "On {} no execution waited for this gate any more. The decision stays on record and nothing goes live by it; promote \
         the version again if it should.",
        times::moment(orphaned.at)
    );
    Some(banner(Tone::Bad, "Orphaned", text))
}

/// How a closed gate ended.
fn closed(gate: &GateRecord, now: Timestamp) -> Option<Banner> {
    let last = gate.decisions.last();
    let (tone, text) = match (gate.status, last) {
        (GateStatus::Pending, _) if now < gate.expires_at => return None,
        (GateStatus::Pending | GateStatus::Expired, _) => (
            Tone::Unsure,
            format!(
                "Nobody decided in time: the gate expired on {}. The promotion ends like a rejection.",
                times::moment(gate.expires_at)
            ),
        ),
        (GateStatus::Cancelled, _) => {
            (Tone::Plain, "The promotion ended before anybody decided here.".to_owned())
        }
        (GateStatus::Approved, Some(d)) => (Tone::Good, format!("{} A decision is final.", decided(d))),
        (GateStatus::Rejected, Some(d)) => (Tone::Bad, format!("{} A decision is final.", decided(d))),
        (GateStatus::Approved, None) => (Tone::Good, "It was approved. A decision is final.".to_owned()),
        (GateStatus::Rejected, None) => (Tone::Bad, "It was rejected. A decision is final.".to_owned()),
    };
    Some(banner(tone, "Already decided", text))
}

/// A decision in a sentence: what, by whom or by what, and when.
#[must_use]
pub fn decided(decision: &Decision) -> String {
    let at = times::moment(decision.at);
    let by = &decision.by.principal;
    let what = if decision.approve { "Approved" } else { "Rejected" };
    if decision.automatic {
        return format!("Approved automatically on {at}, because nobody blocked it.");
    }
    if decision.emergency {
        return format!("Approved in an emergency by {by} on {at}, past the approvers.");
    }
    match &decision.on_behalf_of {
        Some(lender) => format!("{what} by {by} for {lender} on {at}."),
        None => format!("{what} by {by} on {at}."),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn version(name: &str, remote: bool) -> VersionRecord {
        let mut record: VersionRecord = serde_json::from_value(json!({
            "model": "m", "version": name, "digest": format!("sha256:{}", "7".repeat(64)), "status": "in_review",
            "submitted_by": "sue", "created_at": "2026-11-21T10:00:00Z", "promotion": null,
            "package": { "runtime": "x", "task": "binary", "size": 1, "files": {}, "labels": {}, "changelog": "" },
        }))
        .unwrap();
        record.package.remote =
            remote.then(|| RemoteVersion::referring("https://h.example/v2/models/m".into()));
        record
    }

    #[test]
    fn whatever_nobody_here_has_seen_the_bytes_of_is_marked_above_the_page() {
        let (here, there) = (version("v1", false), version("v2", true));
        assert!(unverified(&here, None).is_empty() && unverified(&here, Some(&here)).is_empty());
        let marked = unverified(&there, Some(&here));
        let [banner] = marked.as_slice() else { unreachable!("{marked:?}") };
        assert_eq!((banner.title.as_str(), banner.tone), ("v2 is not byte-verified", Tone::Unsure.class()));
        assert!(banner.text.contains("https://h.example/v2/models/m"), "{}", banner.text);
        assert_eq!(unverified(&here, Some(&there)).len(), 1, "a champion is marked too");
    }
}
