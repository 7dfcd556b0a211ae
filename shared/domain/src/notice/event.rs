//! From a history entry to a notice.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Notice, NoticeKind, Outcome, Setting};
use crate::gate::{Decision, GateKind, GateStatus};
use crate::history::HistoryEntry;
use crate::ids::{Actor, VersionName};
use crate::promotion::{Bypass, Stage};
use crate::route::Weight;

/// The events of the history that people may be told of; whether they are, [`of`] says. The table's stream is filtered by
/// these.
pub const TOLD: [&str; 15] = [
    "gate_opened",
    "gate_reminded",
    "gate_blocked",
    "gate_decided",
    "gate_closed",
    "weight_shifted",
    "canary_rolled_back",
    "rolled_back",
    "crowned",
    "adopted",
    "promotion_ended",
    "promotion_started",
    "emergency_bypass",
    "policy_set",
    "benchmark_set",
];

/// The events that nobody is told of: steps of a pipeline on its way, the end of a holdback, what becomes of versions that are out of
/// use (the policy says so beforehand, and `seatrial retention` when), links that were taken back or sent
/// anew (whose they are has the mail), who waits for a model (whoever asked sees it, and the end of its wait), and what another notice says already (a gate that no execution waits for ends its
/// promotion).
pub const SILENT: [&str; 15] = [
    "version_packaged",
    "version_retired",
    "version_collected",
    "collection_resumed",
    "collection_finished",
    "evidence_recorded",
    "shadow_opened",
    "shadow_closed",
    "gate_orphaned",
    "gate_links_revoked",
    "gate_links_sent",
    "holdback_ended",
    "attested",
    "promotion_waits",
    "promotion_withdrawn",
];

/// What is told of `entry`; nothing of most of them.
#[must_use]
pub fn of(entry: &HistoryEntry) -> Option<Notice> {
    let d = &entry.details;
    let approval = || get::<GateKind>(d, "/kind") == Some(GateKind::Approval);
    let notice = |kind| plain(entry, kind);
    let reason = || get(d, "/reason");
    Some(match entry.event.as_str() {
        "gate_opened" if approval() => Notice {
            automatic: d.pointer("/window/ends_at").is_some(),
            ends_at: get(d, "/window/ends_at").or_else(|| get(d, "/expires_at")),
            ..notice(NoticeKind::GateOpened)
        },
        "gate_reminded" if approval() => Notice {
            automatic: get(d, "/automatic").unwrap_or(false),
            ends_at: get(d, "/ends_at"),
            ..notice(NoticeKind::Reminder)
        },
        "gate_blocked" => Notice { comment: get(d, "/comment"), ..notice(NoticeKind::Blocked) },
        "gate_decided" if approval() => return decided(entry),
        "gate_closed" if approval() && get(d, "/status") == Some(GateStatus::Expired) => {
            notice(NoticeKind::Expired)
        }
        "weight_shifted" => Notice { weight: get::<Weight>(d, "/to"), ..notice(NoticeKind::CanaryStep) },
        "canary_rolled_back" => {
            Notice { weight: get(d, "/from"), comment: reason(), ..notice(NoticeKind::RolledBack) }
        }
        "rolled_back" => Notice {
            from: version(d, "/from/version"),
            to: version(d, "/to/version"),
            comment: reason(),
            ..notice(NoticeKind::RolledBack)
        },
        "crowned" => {
            let bypasses: Vec<Bypass> = get(d, "/bypasses").unwrap_or_default();
            Notice {
                emergency: !bypasses.is_empty(),
                skipped: bypasses.into_iter().map(|b| b.stage).collect(),
                from: version(d, "/standby/version"),
                to: version(d, "/champion/version"),
                ..notice(NoticeKind::Crowned)
            }
        }
        "adopted" => Notice {
            to: version(d, "/champion/version"),
            comment: get(d, "/comment"),
            ..notice(NoticeKind::Adopted)
        },
        "promotion_ended" => Notice { comment: reason(), ..notice(NoticeKind::Failed) },
        "promotion_started" => return started_in_emergency(entry),
        "emergency_bypass" => Notice {
            emergency: true,
            skipped: get::<Stage>(d, "/stage").into_iter().collect(),
            comment: reason(),
            ..notice(NoticeKind::Emergency)
        },
        "policy_set" => Notice {
            setting: Some(Setting::Policy),
            policy: get(d, "/to/number"),
            ..notice(NoticeKind::SettingsChanged)
        },
        "benchmark_set" => {
            Notice { setting: Some(Setting::Benchmark), ..notice(NoticeKind::SettingsChanged) }
        }
        _ => return None,
    })
}

/// The notice of an approval gate that is decided. One of several approvals decides nothing yet, and is not told of.
fn decided(entry: &HistoryEntry) -> Option<Notice> {
    let outcome = match get::<GateStatus>(&entry.details, "/status")? {
        GateStatus::Approved => Outcome::Approved,
        GateStatus::Rejected => Outcome::Rejected,
        _ => return None,
    };
    let decision: Option<Decision> = get(&entry.details, "/decision");
    let notice = plain(entry, NoticeKind::Decided);
    Some(match decision {
        // A function carries an emergency's decision out; who decided is the operator.
        Some(d) => Notice {
            outcome: Some(outcome),
            by: d.by,
            emergency: d.emergency,
            automatic: d.automatic,
            comment: Some(d.comment),
            ..notice
        },
        None => Notice { outcome: Some(outcome), ..notice },
    })
}

/// A start is told of only where stages are skipped by it: the one who asked for it answers for that.
fn started_in_emergency(entry: &HistoryEntry) -> Option<Notice> {
    let bypasses: Vec<Bypass> = get(&entry.details, "/bypasses").unwrap_or_default();
    let first = bypasses.first()?.clone();
    Some(Notice {
        emergency: true,
        by: get::<Actor>(&entry.details, "/requested_by").unwrap_or(first.by),
        skipped: bypasses.into_iter().map(|b| b.stage).collect(),
        comment: Some(first.reason),
        ..plain(entry, NoticeKind::Emergency)
    })
}

fn plain(entry: &HistoryEntry, kind: NoticeKind) -> Notice {
    Notice {
        id: format!("no_{}", &entry.hash.hex()[..24]),
        kind,
        model: entry.model.clone(),
        sequence: entry.seq,
        at: entry.at,
        by: entry.actor.clone(),
        emergency: false,
        promotion: entry.promotion.clone(),
        version: entry.version,
        gate: get(&entry.details, "/gate"),
        outcome: None,
        automatic: false,
        ends_at: None,
        weight: None,
        from: None,
        to: None,
        skipped: Vec::new(),
        setting: None,
        policy: None,
        comment: None,
    }
}

/// A detail of an entry. One that is missing, or has a form that this release does not know, is not told.
fn get<T: DeserializeOwned>(details: &Value, pointer: &str) -> Option<T> {
    details.pointer(pointer).and_then(|value| serde_json::from_value(value.clone()).ok())
}

fn version(details: &Value, pointer: &str) -> Option<VersionName> {
    get(details, pointer)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::canonical::sha256;
    use crate::ids::{Auth, GateId, ModelName, PromotionId};

    fn entry(event: &str, details: Value) -> HistoryEntry {
        let model = ModelName::parse("credit-risk").unwrap();
        HistoryEntry {
            seq: 7,
            promotion: Some(PromotionId::derive(&model, "x", 1)),
            model,
            at: jiff::Timestamp::from_second(1_800_000_000).unwrap(),
            actor: Actor::function("gate"),
            event: event.into(),
            version: Some(VersionName::new(4)),
            epoch: 3,
            details,
            previous: sha256(b"before"),
            hash: sha256(event.as_bytes()),
        }
    }

    fn gate() -> GateId {
        GateId::derive(&PromotionId::derive(&ModelName::parse("m").unwrap(), "x", 1), "approval", 1)
    }

    /// The events that the sources of `change/` write.
    fn written() -> BTreeSet<String> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/change");
        let mut found = BTreeSet::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            for call in text.split("Draft::new(").skip(1) {
                let name = call.split(',').nth(1).unwrap().trim();
                match name.strip_prefix('"') {
                    Some(name) => drop(found.insert(name.trim_end_matches('"').to_owned())),
                    None if name == "event" => {
                        for name in ["canary_rolled_back", "promotion_ended"] {
                            assert!(text.contains(&format!("\"{name}\"")), "{name}");
                            found.insert(name.to_owned());
                        }
                    }
                    None => {
                        assert!(name.contains("event: &'static str") || name.contains("Context"), "{name}");
                    }
                }
            }
        }
        found
    }

    #[test]
    fn of_every_event_it_is_decided_whether_people_hear_of_it() {
        let decided: BTreeSet<String> = TOLD.iter().chain(&SILENT).map(|e| (*e).to_owned()).collect();
        assert_eq!(decided.len(), TOLD.len() + SILENT.len(), "an event is in one list");
        assert_eq!(written(), decided, "written (left), and told of or passed over in silence (right)");
        for event in SILENT {
            assert_eq!(of(&entry(event, json!({ "gate": gate(), "kind": "approval" }))), None, "{event}");
        }
    }

    #[test]
    fn each_event_is_told_as_what_it_is() {
        use NoticeKind as K;
        let ends = "2027-01-15T08:00:00Z";
        let by = json!({ "principal": "ann@example.com", "auth": "oidc" });
        let decision = |more: Value| {
            let mut decision = json!({ "by": by, "at": ends, "comment": "fine", "approve": true });
            for (key, value) in more.as_object().unwrap() {
                decision[key] = value.clone();
            }
            json!({ "gate": gate(), "kind": "approval", "status": "approved", "decision": decision })
        };
        let bypass = json!([{ "stage": "canary", "by": by, "at": ends, "reason": "it burns" }]);
        let v = |n: u32| json!({ "version": format!("v{n}"), "digest": sha256(b"x") });
        let cases = [
            (
                "gate_opened",
                json!({ "gate": gate(), "kind": "approval", "expires_at": ends, "window": null }),
                K::GateOpened,
            ),
            (
                "gate_reminded",
                json!({ "gate": gate(), "kind": "approval", "ends_at": ends, "automatic": true }),
                K::Reminder,
            ),
            ("gate_blocked", json!({ "gate": gate(), "comment": "wait" }), K::Blocked),
            ("gate_decided", decision(json!({})), K::Decided),
            ("gate_closed", json!({ "gate": gate(), "kind": "approval", "status": "expired" }), K::Expired),
            ("weight_shifted", json!({ "from": 0, "to": 500, "step": 0, "gate": gate() }), K::CanaryStep),
            ("canary_rolled_back", json!({ "reason": "errors", "from": 500 }), K::RolledBack),
            ("rolled_back", json!({ "from": v(4), "to": v(3), "reason": "errors" }), K::RolledBack),
            ("crowned", json!({ "champion": v(4), "standby": v(3), "bypasses": [] }), K::Crowned),
            ("adopted", json!({ "champion": v(4), "comment": "in use since May" }), K::Adopted),
            ("promotion_ended", json!({ "status": "rejected", "reason": "worse" }), K::Failed),
            ("promotion_started", json!({ "requested_by": by, "bypasses": bypass }), K::Emergency),
            ("emergency_bypass", json!({ "stage": "shadow", "reason": "it burns" }), K::Emergency),
            (
                "policy_set",
                json!({ "from": null, "to": { "number": 3, "digest": sha256(b"p") } }),
                K::SettingsChanged,
            ),
            ("benchmark_set", json!({ "from": null, "to": {} }), K::SettingsChanged),
        ];
        assert_eq!(cases.iter().map(|c| c.0).collect::<Vec<_>>(), TOLD);
        for (event, details, kind) in &cases {
            let notice = of(&entry(event, details.clone())).unwrap_or_else(|| panic!("{event}"));
            assert_eq!((notice.kind, notice.sequence), (*kind, 7), "{event}");
            assert!(notice.id.starts_with("no_") && notice.id.len() == 27, "{event}: {}", notice.id);
            assert_eq!(serde_json::from_value::<Notice>(json!(notice)).unwrap(), notice, "{event}");
        }
        let told = |n: usize| of(&entry(cases[n].0, cases[n].1.clone())).unwrap();
        assert_eq!(told(0).ends_at, Some(ends.parse().unwrap()));
        assert!(!told(0).automatic && told(1).automatic);
        assert_eq!(told(3).by.principal, "ann@example.com", "who decided, not who wrote it down");
        assert_eq!(told(5).weight, Some(Weight::from_bps(500).unwrap()));
        assert_eq!((told(7).from, told(7).to), (Some(VersionName::new(4)), Some(VersionName::new(3))));
        assert_eq!((told(11).by.auth, told(11).skipped), (Auth::Oidc, vec![Stage::Canary]));
        assert!(told(11).emergency && told(12).emergency && !told(8).emergency);
        let skipped = json!({ "champion": v(4), "standby": v(3), "bypasses": bypass });
        assert!(of(&entry("crowned", skipped)).unwrap().emergency, "a crown past people says so");
        assert!(of(&entry("gate_decided", decision(json!({ "emergency": true })))).unwrap().emergency);
        assert_eq!(told(13).policy, Some(3));
    }

    #[test]
    fn what_asks_or_tells_nobody_anything_new_stays_silent() {
        let window = json!({ "gate": gate(), "kind": "shadow_window", "status": "approved", "expires_at": "2027-01-15T08:00:00Z" });
        for event in ["gate_opened", "gate_reminded", "gate_decided", "gate_closed"] {
            assert_eq!(of(&entry(event, window.clone())), None, "{event} of a shadow's window");
        }
        let half = json!({ "gate": gate(), "kind": "approval", "status": "pending" });
        assert_eq!(of(&entry("gate_decided", half)), None, "one of several approvals");
        let cancelled = json!({ "gate": gate(), "kind": "approval", "status": "cancelled" });
        assert_eq!(of(&entry("gate_closed", cancelled)), None, "its promotion's end is told");
        assert_eq!(of(&entry("promotion_started", json!({ "bypasses": [] }))), None);
        assert_eq!(of(&entry("an_event_of_tomorrow", json!({}))), None);
    }
}
