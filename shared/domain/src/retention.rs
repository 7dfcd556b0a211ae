//! What becomes of versions that are out of use: which are kept and why, which are due.
//!
//! Pure: records in, a plan out. Whoever deletes does what the plan says and nothing else; the transaction asks the plan again.

mod collecting;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::canonical::sha256;
use crate::compliance::ProfileName;
use crate::head::Head;
use crate::history::HistoryEntry;
use crate::ids::{Digest, ModelName, PromotionId, VersionName, VersionRef};
use crate::package::Blob;
use crate::policy::{After, Policy};
use crate::promotion::{PromotionRecord, PromotionStatus};
use crate::version::{VersionRecord, VersionStatus};

pub use collecting::Collecting;

/// A number of objects and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Freed {
    /// How many objects.
    pub objects: u64,
    /// Their bytes together.
    pub bytes: u64,
}

impl Freed {
    /// One more object.
    pub fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}

/// The minute of each hour at which the versions of `model` are looked at: every model has its own, so that a minute has few.
#[must_use]
pub fn minute_of(model: &ModelName) -> u8 {
    let hash = sha256(model.as_str().as_bytes());
    u8::from_str_radix(&hash.hex()[..2], 16).unwrap_or(0) % 60
}

/// The crown that made the present standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crown {
    /// When it was.
    pub at: Timestamp,
    /// When the stability window of the policy that it was held to is over.
    pub stable_at: Timestamp,
}

impl Crown {
    /// The crown of a promotion under the policy that it pinned; none where it was not crowned.
    #[must_use]
    pub fn of(promotion: &PromotionRecord, pinned: &Policy) -> Option<Self> {
        let at = promotion.ended_at.filter(|_| promotion.status == PromotionStatus::Crowned)?;
        let window = SignedDuration::from_secs(i64::from(pinned.canary.stability_seconds));
        Some(Self { at, stable_at: after(at, window)? })
    }
}

/// The promotion whose crown made the present standby: a standby is left by the crown of the champion, and by nothing else.
#[must_use]
pub fn crowned_by<'a>(
    head: &Head,
    versions: &[VersionRecord],
    promotions: &'a [PromotionRecord],
) -> Option<&'a PromotionRecord> {
    head.standby.as_ref()?;
    let champion = versions.iter().find(|v| head.champion().is_some_and(|c| c.version == v.version))?;
    promotions.iter().find(|p| Some(&p.id) == champion.promotion.as_ref())
}

/// When versions were retired, by the history: for records that do not say.
#[must_use]
pub fn retirements<'a>(
    history: impl IntoIterator<Item = &'a HistoryEntry>,
) -> BTreeMap<VersionName, Timestamp> {
    let retired = history.into_iter().filter(|e| e.event == "version_retired");
    retired.filter_map(|e| Some((e.version?, e.at))).collect()
}

/// What is known of one model.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The head.
    pub head: &'a Head,
    /// All versions.
    pub versions: &'a [VersionRecord],
    /// All promotions.
    pub promotions: &'a [PromotionRecord],
    /// The policy in force.
    pub policy: &'a Policy,
    /// The crown that made the present standby.
    pub crown: Option<Crown>,
    /// When versions were retired whose records do not say.
    pub retirements: &'a BTreeMap<VersionName, Timestamp>,
}

/// What becomes of the versions of a model, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The model.
    pub model: ModelName,
    /// When it was made.
    pub at: Timestamp,
    /// The policy's time until a retired version is collected.
    pub collect_retired_after_days: After,
    /// The policy's time until a standby is retired.
    pub retire_standby_after_days: After,
    /// A line for each version, by its number.
    pub versions: Vec<Line>,
    /// What collecting all that is due frees.
    pub due: Freed,
}

impl Plan {
    /// The line of a version.
    #[must_use]
    pub fn line(&self, version: VersionName) -> Option<&Line> {
        self.versions.iter().find(|l| l.version == version)
    }

    /// The versions of this fate.
    pub fn with(&self, fate: Fate) -> impl Iterator<Item = &Line> {
        self.versions.iter().filter(move |l| l.fate == fate)
    }
}

/// What becomes of a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The version.
    pub version: VersionName,
    /// The digest of its package.
    pub digest: Digest,
    /// Where it is in its life.
    pub status: VersionStatus,
    /// What becomes of it.
    pub fate: Fate,
    /// Why.
    pub reason: Reason,
    /// The same for people, in half a sentence.
    pub why: String,
    /// When it is due, or was; none where no time brings it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// When it was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<Timestamp>,
    /// The files that are deleted with it: those that no other version needs, but for such as are due before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frees: Option<Freed>,
}

/// What becomes of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It stays as it is until the plan is made again.
    Keep,
    /// It is a standby, and its retirement is due.
    Retire,
    /// It is retired, and its collection is due.
    Collect,
    /// It is collected, and not all of its bytes are deleted yet.
    Collecting,
    /// Its bytes are gone.
    Collected,
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It serves by default.
    Champion,
    /// It is kept ready.
    Standby,
    /// A promotion that runs works on it, or compares with it.
    InPromotion,
    /// It is not retired.
    NotRetired,
    /// When it was retired cannot be told.
    Undated,
    /// The policy collects nothing.
    Never,
    /// Its last promotion is not attested yet.
    Unattested,
    /// A compliance profile keeps what it judged.
    Profile,
    /// It was retired not long enough ago.
    Young,
    /// Its time is over.
    Due,
    /// It is collected.
    Collected,
}

/// What becomes of the versions of a model, as of `now`.
#[must_use]
pub fn plan(facts: &Facts<'_>, now: Timestamp) -> Plan {
    let mut versions: Vec<Line> = facts.versions.iter().map(|v| line(facts, v, now)).collect();
    versions.sort_by_key(|l| l.version.number());
    let mut plan = Plan {
        model: facts.head.model.clone(),
        at: now,
        collect_retired_after_days: facts.policy.retention.collect_retired_after_days,
        retire_standby_after_days: facts.policy.retention.retire_standby_after_days,
        versions,
        due: Freed::default(),
    };
    count(&mut plan, facts);
    plan
}

/// The files of `version` that no version of `staying` needs, each once.
#[must_use]
pub fn freed<'a>(version: &'a VersionRecord, staying: &[&VersionRecord]) -> BTreeMap<&'a Digest, &'a Blob> {
    let needed: BTreeSet<&Digest> =
        staying.iter().flat_map(|v| v.package.files.values().map(|b| &b.digest)).collect();
    let files = version.package.files.values().map(|b| (&b.digest, b));
    files.filter(|(digest, _)| !needed.contains(digest)).collect()
}

/// The packages whose bytes stay when those of `without` go: of every version that is not collected, and of whatever the head or a
/// running promotion names, whatever a version's own record says.
#[must_use]
pub fn staying(facts: &Facts<'_>, without: VersionName) -> BTreeSet<Digest> {
    let head = facts.head;
    let versions =
        facts.versions.iter().filter(|v| v.version != without && v.status != VersionStatus::Collected);
    let named = [
        head.champion(),
        head.standby.as_ref(),
        head.route.standby.as_ref(),
        head.route.challenger.as_ref(),
        head.running.as_ref().map(|r| &r.challenger),
    ];
    let running = facts.promotions.iter().filter(|p| p.status == PromotionStatus::Running);
    let compared = running.flat_map(|p| std::iter::once(&p.challenger).chain(&p.champion));
    let references = named.into_iter().flatten().chain(compared);
    versions.map(|v| v.digest.clone()).chain(references.map(|r| r.digest.clone())).collect()
}

/// Counts what each version frees, in the order in which they are due: a blob goes with the last version that needs it.
fn count(plan: &mut Plan, facts: &Facts<'_>) {
    let mut order: Vec<(Timestamp, VersionName)> = plan
        .versions
        .iter()
        .filter(|l| l.fate == Fate::Collect || l.reason == Reason::Young)
        .filter_map(|l| Some((l.due?, l.version)))
        .collect();
    order.sort_by_key(|(due, version)| (*due, version.number()));
    let mut staying: Vec<&VersionRecord> =
        facts.versions.iter().filter(|v| v.status != VersionStatus::Collected).collect();
    for (_, name) in order {
        let Some(place) = staying.iter().position(|v| v.version == name) else { continue };
        let version = staying.remove(place);
        let mut frees = Freed::default();
        for blob in freed(version, &staying).values() {
            frees.add(blob.size);
        }
        let Some(line) = plan.versions.iter_mut().find(|l| l.version == name) else { continue };
        line.frees = Some(frees);
        if line.fate == Fate::Collect {
            plan.due.objects += frees.objects;
            plan.due.bytes += frees.bytes;
        }
    }
}

/// What is said of a version.
struct Said {
    fate: Fate,
    reason: Reason,
    why: String,
    due: Option<Timestamp>,
}

fn keep(reason: Reason, why: impl Into<String>, due: Option<Timestamp>) -> Said {
    Said { fate: Fate::Keep, reason, why: why.into(), due }
}

fn line(facts: &Facts<'_>, version: &VersionRecord, now: Timestamp) -> Line {
    let retired_at = match version.status {
        VersionStatus::Retired | VersionStatus::Collected => {
            version.retired_at.or_else(|| facts.retirements.get(&version.version).copied())
        }
        _ => None,
    };
    let said = in_use(facts, version, now).unwrap_or_else(|| retired(facts, version, retired_at, now));
    Line {
        version: version.version,
        digest: version.digest.clone(),
        status: version.status,
        fate: said.fate,
        reason: said.reason,
        why: said.why,
        due: said.due,
        retired_at,
        frees: None,
    }
}

/// What keeps a version whatever its record says of its retirement: the head and the promotions decide, and the record where they
/// differ keeps it too.
fn in_use(facts: &Facts<'_>, version: &VersionRecord, now: Timestamp) -> Option<Said> {
    use VersionStatus as S;
    let head = facts.head;
    let is = |named: Option<&VersionRef>| {
        named.is_some_and(|n| n.version == version.version || n.digest == version.digest)
    };
    if version.status == S::Collected {
        return Some(collected(head, version));
    }
    if is(head.champion()) || version.status == S::Champion {
        return Some(keep(Reason::Champion, "is the champion", None));
    }
    let running = facts.promotions.iter().find(|p| {
        p.status == PromotionStatus::Running && (is(Some(&p.challenger)) || is(p.champion.as_ref()))
    });
    let challenger = is(head.running.as_ref().map(|r| &r.challenger)) || is(head.route.challenger.as_ref());
    let stage =
        matches!(version.status, S::Evaluating | S::Shadowing | S::InReview | S::Approved | S::Canary);
    if running.is_some() || challenger || stage {
        let id = running.map(|p| &p.id).or(head.running.as_ref().map(|r| &r.promotion));
        let which = id.map(|id| format!(" {id}")).unwrap_or_default();
        return Some(keep(Reason::InPromotion, format!("is part of the running promotion{which}"), None));
    }
    if is(head.standby.as_ref()) || is(head.route.standby.as_ref()) || version.status == S::Standby {
        return Some(standby(facts, now));
    }
    if version.status != S::Retired {
        let why = format!(
            "is not retired; `seatrial retire {} {} --reason …` takes it out of use",
            head.model, version.version
        );
        return Some(keep(Reason::NotRetired, why, None));
    }
    None
}

fn collected(head: &Head, version: &VersionRecord) -> Said {
    let at = version.collected_at.map(|at| format!(" at {at}")).unwrap_or_default();
    let unfinished = head.collecting.as_ref().is_some_and(|c| c.version.version == version.version);
    let (fate, why) = if unfinished {
        (Fate::Collecting, format!("was collected{at}; its bytes are being deleted"))
    } else {
        (Fate::Collected, format!("was collected{at}"))
    };
    Said { fate, reason: Reason::Collected, why, due: None }
}

fn standby(facts: &Facts<'_>, now: Timestamp) -> Said {
    let ready = "is the standby, which a rollback brings back";
    let (After::Days(days), Some(crown)) = (facts.policy.retention.retire_standby_after_days, facts.crown)
    else {
        return keep(Reason::Standby, ready, None);
    };
    let Some(due) = after_days(crown.at, days).map(|due| due.max(crown.stable_at)) else {
        return keep(Reason::Standby, ready, None);
    };
    let rule = format!("{ready}; the policy retires it {} after the crown", After::Days(days));
    if facts.head.running.is_some() {
        return keep(Reason::Standby, format!("{rule}, and not while a promotion runs"), Some(due));
    }
    if now < due {
        return keep(Reason::Standby, rule, Some(due));
    }
    Said { fate: Fate::Retire, reason: Reason::Due, why: rule, due: Some(due) }
}

/// What becomes of a version that is retired and that nothing uses.
fn retired(
    facts: &Facts<'_>,
    version: &VersionRecord,
    retired_at: Option<Timestamp>,
    now: Timestamp,
) -> Said {
    let Some(retired_at) = retired_at else {
        let why =
            "was retired, and neither its record nor the history says when: nothing is deleted on a guess";
        return keep(Reason::Undated, why, None);
    };
    let After::Days(days) = facts.policy.retention.collect_retired_after_days else {
        return keep(Reason::Never, "is retired; the policy collects nothing", None);
    };
    let Some(by_policy) = after_days(retired_at, days) else {
        return keep(Reason::Never, "is retired; the policy's time does not end", None);
    };
    let ours = |p: &&PromotionRecord| p.challenger.version == version.version;
    if let Some(open) = facts.promotions.iter().filter(ours).find(|p| !p.attested) {
        let why = format!("is retired; its promotion {} is not attested yet", open.id);
        return keep(Reason::Unattested, why, None);
    }
    match by_profile(facts, version) {
        Some((until, profile, promotion)) if until > by_policy && until > now => {
            let why = format!(
                "is retired; the profile {profile} keeps the packages that promotion {promotion} compared"
            );
            keep(Reason::Profile, why, Some(until))
        }
        kept => {
            let due = by_policy.max(kept.map_or(by_policy, |(until, ..)| until));
            let rule = format!("was retired at {retired_at}; the policy keeps it {}", After::Days(days));
            if now < due {
                keep(Reason::Young, rule, Some(due))
            } else {
                Said { fate: Fate::Collect, reason: Reason::Due, why: rule, due: Some(due) }
            }
        }
    }
}

/// Until when a compliance profile keeps the package, by the promotions that judged it or compared with it. The profile is the one
/// that was pinned: a policy that comes later takes nothing back.
fn by_profile<'a>(
    facts: &Facts<'a>,
    version: &VersionRecord,
) -> Option<(Timestamp, ProfileName, &'a PromotionId)> {
    let compared = |p: &&PromotionRecord| {
        p.challenger.version == version.version
            || p.champion.as_ref().is_some_and(|c| c.version == version.version)
    };
    let kept = facts.promotions.iter().filter(compared).filter_map(|p| {
        let days = p.profile.profile().package_days?;
        let until = after_days(p.ended_at?, days).unwrap_or(Timestamp::MAX);
        Some((until, p.profile, &p.id))
    });
    kept.max_by_key(|(until, ..)| *until)
}

fn after_days(at: Timestamp, days: u32) -> Option<Timestamp> {
    after(at, SignedDuration::from_hours(24 * i64::from(days)))
}

/// A time later; none beyond the end of the calendar.
fn after(at: Timestamp, by: SignedDuration) -> Option<Timestamp> {
    at.checked_add(by).ok()
}

#[cfg(test)]
mod tests;
