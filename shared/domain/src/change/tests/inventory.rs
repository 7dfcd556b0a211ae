//! What the inventory says of a model to which everything happened.

use jiff::{SignedDuration, Timestamp};

use super::world::{World, policy};
use crate::change::{self, Right};
use crate::compliance::ProfileName;
use crate::inventory::{Line, Records, lines};
use crate::policy::{Inventory, Policy, Risk};
use crate::promotion::PromotionStatus;
use crate::version::VersionStatus;

fn listed(w: &World, now: Timestamp) -> Vec<Line> {
    let versions: Vec<_> = w.versions.values().cloned().collect();
    let promotions: Vec<_> = w.promotions.values().cloned().collect();
    let gates: Vec<_> = w.gates.values().cloned().collect();
    let policy = w.head.policy.as_ref().map(|p| &w.policies[&p.number]);
    let records = Records {
        head: &w.head,
        policy,
        versions: &versions,
        promotions: &promotions,
        gates: &gates,
        history: &w.entries,
    };
    lines(&records, now)
}

#[test]
fn each_version_is_a_line_with_who_crowned_and_approved_it() {
    let mut w = World::with_champion();
    w.promote(2, 1);
    w.register();
    let now = w.now;
    let all = listed(&w, now);
    assert_eq!(all.iter().map(|l| l.version.to_string()).collect::<Vec<_>>(), ["v1", "v2", "v3"]);
    let [first, second, third] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((first.state, second.state), (VersionStatus::Standby, VersionStatus::Champion));
    assert_eq!(third.state, VersionStatus::Packaged);
    assert!(first.crowned_at.is_some() && first.serving_since.is_none());
    assert_eq!(second.serving_since, second.crowned_at);
    assert_eq!(second.promotion_status, Some(PromotionStatus::Crowned));
    assert!(second.approved_by.iter().any(|a| a.by.principal.ends_with("@example.com")), "{second:?}");
    assert!(third.promotion.is_none() && third.approved_by.is_empty() && third.policy.is_none());
    assert!(all.iter().all(|l| l.owner.is_none() && l.review_overdue.is_none() && l.signed.is_none()));
}

#[test]
fn whoever_reinstates_a_version_is_who_crowned_it_last() {
    let mut w = World::with_champion();
    w.promote(2, 1);
    w.roll_back().unwrap();
    let all = listed(&w, w.now);
    assert_eq!(w.head.champion().unwrap().version, all[0].version);
    let entry = w.entries.last().unwrap();
    assert_eq!((all[0].serving_since, all[0].crowned_by.as_ref()), (Some(entry.at), Some(&entry.actor)));
    assert_eq!((all[1].serving_since, all[1].state), (None, VersionStatus::RolledBack));
}

#[test]
fn an_entry_is_overdue_once_its_day_has_passed() {
    let mut w = World::with_champion();
    let entry = Inventory {
        owner: "Credit risk".into(),
        purpose: "p".into(),
        intended_use: "u".into(),
        risk: Risk::Limited,
        ..Inventory::default()
    };
    let rules = Policy { profile: ProfileName::RbiFreeAi, inventory: Some(entry), ..policy() };
    w.act(|w| change::set_policy(&w.context(), rules, &Right::Owner(None))).unwrap();
    let line = |days: i64| listed(&w, w.now + SignedDuration::from_hours(24 * days)).remove(0);
    assert_eq!(line(0).review_by, Some("2027-05-23".parse().unwrap()));
    assert_eq!((line(0).review_overdue, line(183).review_overdue), (Some(false), Some(false)));
    assert_eq!(line(184).review_overdue, Some(true));
    assert_eq!((line(0).owner.as_deref(), line(0).risk), (Some("Credit risk"), Some(Risk::Limited)));
}
