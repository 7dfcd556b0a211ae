//! The inventory of models: a line for each version, with who answers for it, how it stands and what it was judged by.
//!
//! Pure: records in, lines out. What the registry does not know stays empty, and is never guessed.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::change::PolicyRecord;
use crate::compliance::ProfileName;
use crate::gate::{Decision, GateRecord};
use crate::head::Head;
use crate::history::HistoryEntry;
use crate::ids::{Actor, Digest, ModelName, PromotionId, VersionName};
use crate::policy::Risk;
use crate::promotion::{PromotionRecord, PromotionStatus};
use crate::verdict::Verdict;
use crate::version::{VersionRecord, VersionStatus};

/// The records of one model.
#[derive(Debug, Clone, Copy)]
pub struct Records<'a> {
    /// The head.
    pub head: &'a Head,
    /// The policy in force.
    pub policy: Option<&'a PolicyRecord>,
    /// All versions.
    pub versions: &'a [VersionRecord],
    /// All promotions.
    pub promotions: &'a [PromotionRecord],
    /// The approval gates of each version's last promotion.
    pub gates: &'a [GateRecord],
    /// The whole history.
    pub history: &'a [HistoryEntry],
}

/// A version in the inventory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionName,
    /// The digest of its package.
    pub digest: Digest,
    /// How it stands.
    pub state: VersionStatus,
    /// What it answers.
    pub task: String,
    /// The person or unit that answers for the model; this and the next four are of the policy in force.
    pub owner: Option<String>,
    /// What the model is for.
    pub purpose: Option<String>,
    /// On whom or what it may be used.
    pub intended_use: Option<String>,
    /// How much harm a wrong answer can do.
    pub risk: Option<Risk>,
    /// The compliance profile.
    pub profile: Option<ProfileName>,
    /// The day by which the model's entry is looked through again.
    pub review_by: Option<Date>,
    /// Whether that day has passed; none where there is no such day.
    pub review_overdue: Option<bool>,
    /// Who submitted the version.
    pub submitted_by: String,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// When it last became champion; none if it never did.
    pub crowned_at: Option<Timestamp>,
    /// Who crowned it, reinstated it by a rollback, or adopted it.
    pub crowned_by: Option<Actor>,
    /// Since when it serves by default; only for the champion.
    pub serving_since: Option<Timestamp>,
    /// Its last promotion.
    pub promotion: Option<PromotionId>,
    /// How that stands.
    pub promotion_status: Option<PromotionStatus>,
    /// The verdict of that promotion's report.
    pub verdict: Option<Verdict>,
    /// Who approved it there; each as the record knows them.
    pub approved_by: Vec<Approval>,
    /// The policy that it was held to: its number.
    pub policy: Option<u32>,
    /// And its digest.
    pub policy_digest: Option<Digest>,
    /// The benchmark that judged it.
    pub benchmark_digest: Option<Digest>,
    /// When that was set.
    pub benchmark_set_at: Option<Timestamp>,
    /// How old it is now, in whole days.
    pub benchmark_age_days: Option<u32>,
    /// Whether its package is signed; none where that is not known.
    pub signed: Option<bool>,
}

/// Somebody who approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who, and how they were authenticated.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// For whom, where it was as a delegate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Whether it was an operator's, past the approvers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub emergency: bool,
    /// Whether it came by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub automatic: bool,
}

impl From<&Decision> for Approval {
    fn from(decision: &Decision) -> Self {
        Self {
            by: decision.by.clone(),
            at: decision.at,
            on_behalf_of: decision.on_behalf_of.clone(),
            emergency: decision.emergency,
            automatic: decision.automatic,
        }
    }
}

/// The lines of a model, by version.
#[must_use]
pub fn lines(records: &Records<'_>, now: Timestamp) -> Vec<Line> {
    let mut lines: Vec<Line> = records.versions.iter().map(|v| line(records, v, now)).collect();
    lines.sort_by_key(|l| l.version.number());
    lines
}

fn line(records: &Records<'_>, version: &VersionRecord, now: Timestamp) -> Line {
    let policy = records.policy;
    let entry = policy.and_then(|p| p.policy.inventory.as_ref());
    let profile = policy.map(|p| p.policy.profile);
    let review_days = profile.and_then(|p| p.profile().review_days);
    let review_by = entry.zip(policy).and_then(|(entry, p)| entry.due(p.set_at, review_days));
    let today = now.to_zoned(TimeZone::UTC).date();
    let promotion = version.promotion.as_ref().and_then(|id| records.promotions.iter().find(|p| p.id == *id));
    let gate = promotion.and_then(|p| records.gates.iter().find(|g| g.promotion == p.id));
    let benchmark = promotion.and_then(|p| p.benchmark.as_ref());
    let crowned = crowned(records.history, version.version);
    let serves = records.head.champion().is_some_and(|c| c.version == version.version);
    Line {
        model: version.model.clone(),
        version: version.version,
        digest: version.digest.clone(),
        state: version.status,
        task: version.package.task.clone(),
        owner: entry.map(|e| e.owner.clone()),
        purpose: entry.map(|e| e.purpose.clone()),
        intended_use: entry.map(|e| e.intended_use.clone()),
        risk: entry.map(|e| e.risk),
        profile,
        review_by,
        review_overdue: review_by.map(|by| by < today),
        submitted_by: version.submitted_by.clone(),
        registered_at: version.created_at,
        crowned_at: crowned.map(|e| e.at),
        crowned_by: crowned.map(|e| e.actor.clone()),
        serving_since: crowned.filter(|_| serves).map(|e| e.at),
        promotion: promotion.map(|p| p.id.clone()),
        promotion_status: promotion.map(|p| p.status),
        verdict: promotion.and_then(|p| p.verdict),
        approved_by: gate
            .map(|g| g.decisions.iter().filter(|d| d.approve).map(Approval::from).collect())
            .unwrap_or_default(),
        policy: promotion.map(|p| p.policy.number),
        policy_digest: promotion.map(|p| p.policy.digest.clone()),
        benchmark_digest: benchmark.map(|b| b.digest.clone()),
        benchmark_set_at: benchmark.map(|b| b.set_at),
        benchmark_age_days: benchmark.map(|b| days(b.set_at, now)),
        signed: None,
    }
}

/// The last entry by which a version became champion: a crown, a rollback to it, or its adoption.
fn crowned(history: &[HistoryEntry], version: VersionName) -> Option<&HistoryEntry> {
    let takes = |e: &&HistoryEntry| matches!(e.event.as_str(), "crowned" | "rolled_back" | "adopted");
    history.iter().rev().filter(takes).find(|e| e.version == Some(version))
}

/// Whole days from `since` to `now`; 0 for what lies ahead.
fn days(since: Timestamp, now: Timestamp) -> u32 {
    let seconds = now.as_second().saturating_sub(since.as_second()).max(0);
    u32::try_from(seconds / 86_400).unwrap_or(u32::MAX)
}
