//! Which version served when, and who changed it: read off the history alone, so that it can be answered from evidence too.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::history::HistoryEntry;
use crate::ids::{PromotionId, VersionName};
use crate::route::Weight;

/// A time in which traffic was split in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// When it began.
    pub from: Timestamp,
    /// When it ended; none while it lasts.
    pub until: Option<Timestamp>,
    /// Who answered which share, the champion first. Together they are everything.
    pub shares: Vec<Share>,
    /// The entry that began it.
    pub seq: u64,
    /// What happened, for example `crowned`.
    pub event: String,
    /// Who changed it: the approvers of what was promoted, else whoever did it.
    pub by: Vec<String>,
    /// The promotion it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<PromotionId>,
}

/// One version's part of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The version.
    pub version: VersionName,
    /// Its share, in basis points.
    pub weight: Weight,
}

/// How traffic is split at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Split {
    champion: Option<VersionName>,
    /// The challenger of a canary, or the previous champion in a holdback.
    beside: Option<Share>,
}

impl Split {
    /// After `entry`; the same where it moves no traffic.
    fn after(self, entry: &HistoryEntry) -> Self {
        let weight = |name: &str| -> Weight {
            entry.details.get(name).and_then(|w| serde_json::from_value(w.clone()).ok()).unwrap_or_default()
        };
        let beside = |version: Option<VersionName>, weight: Weight| {
            version.filter(|_| weight > Weight::ZERO).map(|version| Share { version, weight })
        };
        match entry.event.as_str() {
            "weight_shifted" => Self { beside: beside(entry.version, weight("to")), ..self },
            "crowned" => Self { champion: entry.version, beside: beside(self.champion, weight("holdback")) },
            "rolled_back" | "adopted" => Self { champion: entry.version, beside: None },
            // A new promotion's route has no holdback.
            "canary_rolled_back" | "holdback_ended" | "shadow_opened" => Self { beside: None, ..self },
            // A standby that is retired leaves its holdback to the champion.
            "version_retired" if self.beside.is_some_and(|b| Some(b.version) == entry.version) => {
                Self { beside: None, ..self }
            }
            _ => self,
        }
    }

    fn shares(self) -> Vec<Share> {
        let rest = Weight::FULL.less(self.beside.map_or(Weight::ZERO, |b| b.weight));
        let champion = self.champion.map(|version| Share { version, weight: rest });
        champion.into_iter().chain(self.beside).collect()
    }
}

/// Every time in which traffic was split in one way, in order. `entries` is a history from its beginning.
#[must_use]
pub fn served(entries: &[HistoryEntry]) -> Vec<Served> {
    let mut approvers: BTreeMap<&PromotionId, BTreeSet<String>> = BTreeMap::new();
    let mut split = Split::default();
    let mut times: Vec<Served> = Vec::new();
    for entry in entries {
        if let (Some(promotion), Some(approver)) = (&entry.promotion, approver(entry)) {
            approvers.entry(promotion).or_default().insert(approver);
        }
        let after = split.after(entry);
        if after == split {
            continue;
        }
        split = after;
        if let Some(last) = times.last_mut() {
            last.until = Some(entry.at);
        }
        let forward = matches!(entry.event.as_str(), "weight_shifted" | "crowned");
        let by = entry.promotion.as_ref().filter(|_| forward).and_then(|p| approvers.get(p));
        times.push(Served {
            from: entry.at,
            until: None,
            shares: split.shares(),
            seq: entry.seq,
            event: entry.event.clone(),
            by: by.map_or_else(
                || vec![entry.actor.principal.clone()],
                |people| people.iter().cloned().collect(),
            ),
            promotion: entry.promotion.clone(),
        });
    }
    times
}

/// Who approved in this entry, if it is a vote for going live.
fn approver(entry: &HistoryEntry) -> Option<String> {
    let approval = entry.event == "gate_decided" && entry.details["kind"] == "approval";
    let decision = entry.details.get("decision").filter(|d| approval && d["approve"] == Value::Bool(true))?;
    decision.pointer("/by/principal").and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(seq: u64, event: &str, version: u32, details: &Value) -> HistoryEntry {
        serde_json::from_value(json!({
            "seq": seq, "model": "m", "at": format!("2026-11-01T10:00:{seq:02}Z"), "event": event,
            "actor": { "principal": format!("actor of {event}"), "auth": "system" }, "version": format!("v{version}"),
            "promotion": "pr_0123456789abcdef01234567", "epoch": 1, "details": details,
            "previous": format!("sha256:{}", "0".repeat(64)), "hash": format!("sha256:{}", "0".repeat(64)),
        }))
        .unwrap()
    }

    fn vote(seq: u64, who: &str, approve: bool) -> HistoryEntry {
        let decision = json!({ "by": { "principal": who }, "approve": approve });
        entry(seq, "gate_decided", 2, &json!({ "kind": "approval", "decision": decision }))
    }

    fn told(times: &[Served]) -> Vec<String> {
        let share = |s: &Share| format!("{}:{}", s.version, s.weight.bps());
        times
            .iter()
            .map(|t| {
                format!(
                    "{} {} {}",
                    t.event,
                    t.shares.iter().map(share).collect::<Vec<_>>().join(" "),
                    t.by.join("+")
                )
            })
            .collect()
    }

    #[test]
    fn every_change_of_traffic_is_a_time_with_who_answered_and_who_changed_it() {
        let entries = [
            entry(1, "crowned", 1, &json!({})),
            entry(2, "promotion_started", 2, &json!({})),
            vote(3, "ann", true),
            vote(4, "bob", true),
            entry(5, "weight_shifted", 2, &json!({ "to": 500 })),
            entry(6, "crowned", 2, &json!({ "holdback": 100 })),
            entry(7, "holdback_ended", 2, &json!({})),
            entry(8, "weight_shifted", 3, &json!({ "to": 2_500 })),
            entry(9, "canary_rolled_back", 3, &json!({})),
            entry(10, "rolled_back", 1, &json!({})),
        ];
        let times = served(&entries);
        assert_eq!(
            told(&times),
            [
                "crowned v1:10000 actor of crowned",
                "weight_shifted v1:9500 v2:500 ann+bob",
                "crowned v2:9900 v1:100 ann+bob",
                "holdback_ended v2:10000 actor of holdback_ended",
                "weight_shifted v2:7500 v3:2500 ann+bob",
                "canary_rolled_back v2:10000 actor of canary_rolled_back",
                "rolled_back v1:10000 actor of rolled_back",
            ]
        );
        for pair in times.windows(2) {
            assert_eq!(pair[0].until, Some(pair[1].from), "no gap and no overlap");
        }
        assert_eq!(times.last().unwrap().until, None);
    }

    #[test]
    fn a_standby_that_is_retired_leaves_its_share_and_any_other_version_changes_nothing() {
        let entries = [
            entry(1, "crowned", 1, &json!({})),
            entry(2, "crowned", 2, &json!({ "holdback": 100 })),
            entry(3, "version_retired", 3, &json!({})),
            entry(4, "version_retired", 1, &json!({})),
            entry(5, "version_collected", 1, &json!({})),
            entry(6, "collection_resumed", 1, &json!({})),
            entry(7, "collection_finished", 1, &json!({})),
        ];
        assert_eq!(
            told(&served(&entries)),
            [
                "crowned v1:10000 actor of crowned",
                "crowned v2:9900 v1:100 actor of crowned",
                "version_retired v2:10000 actor of version_retired",
            ]
        );
    }

    #[test]
    fn what_moves_no_traffic_and_who_was_against_changes_nothing() {
        let entries = [
            entry(1, "crowned", 1, &json!({})),
            vote(2, "eve", false),
            entry(3, "promotion_ended", 2, &json!({})),
            entry(4, "policy_set", 2, &json!({})),
        ];
        assert_eq!(served(&entries).len(), 1);
        assert!(served(&[]).is_empty());
    }
}
