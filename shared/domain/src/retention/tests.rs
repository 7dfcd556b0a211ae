//! What is kept and why; and that nothing in use, and no blob of anything that stays, is ever given up.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::change::{self, Context};
use crate::ids::Actor;
use crate::package::PackageSummary;
use crate::policy::Retention;
use crate::refusal::Refusal;

const STATUSES: [VersionStatus; 13] = [
    VersionStatus::Packaged,
    VersionStatus::Evaluating,
    VersionStatus::Shadowing,
    VersionStatus::InReview,
    VersionStatus::Approved,
    VersionStatus::Canary,
    VersionStatus::Champion,
    VersionStatus::Standby,
    VersionStatus::Rejected,
    VersionStatus::RolledBack,
    VersionStatus::Superseded,
    VersionStatus::Retired,
    VersionStatus::Collected,
];

fn day(n: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + n * 86_400).unwrap()
}

fn model() -> ModelName {
    ModelName::parse("m").unwrap()
}

fn v(n: u32) -> VersionName {
    VersionName::new(n)
}

/// A version with files of these names; a file's name is its content.
fn version(n: u32, status: VersionStatus, files: &[&str]) -> VersionRecord {
    let blob = |name: &str| Blob { digest: sha256(name.as_bytes()), size: name.len() as u64 };
    VersionRecord {
        model: model(),
        version: v(n),
        digest: sha256(format!("package {n}").as_bytes()),
        status,
        package: PackageSummary {
            runtime: "onnx".into(),
            task: "binary".into(),
            title: None,
            size: 1,
            files: files.iter().map(|f| ((*f).to_owned(), blob(f))).collect(),
            labels: BTreeMap::new(),
            changelog: String::new(),
            config: Default::default(),
            remote: None,
        },
        submitted_by: "sue@example.com".into(),
        submitted_auth: None,
        artifact: None,
        created_at: day(0),
        promotion: None,
        retired_at: (status == VersionStatus::Retired).then(|| day(10)),
        collected_at: (status == VersionStatus::Collected).then(|| day(20)),
    }
}

/// An ended promotion of a version that compared it with another.
fn promotion(challenger: &VersionRecord, champion: Option<&VersionRecord>) -> PromotionRecord {
    serde_json::from_value(json!({
        "id": PromotionId::derive(&model(), challenger.version.to_string().as_str(), 1), "model": "m",
        "challenger": challenger.reference(), "champion": champion.map(VersionRecord::reference),
        "status": "rejected", "epoch": 1, "policy": { "number": 1, "digest": sha256(b"policy") }, "benchmark": null,
        "requested_by": { "principal": "ann", "auth": "oidc" }, "started_at": day(5), "ended_at": day(6),
        "evidence": {}, "attested": true,
    }))
    .unwrap()
}

/// Records of a model under a policy.
#[derive(Debug)]
struct Known {
    head: Head,
    versions: Vec<VersionRecord>,
    promotions: Vec<PromotionRecord>,
    policy: Policy,
    crown: Option<Crown>,
    retirements: BTreeMap<VersionName, Timestamp>,
}

impl Known {
    fn new(versions: Vec<VersionRecord>) -> Self {
        Self {
            head: Head::new(model(), day(0)),
            versions,
            promotions: vec![],
            policy: Policy::default(),
            crown: None,
            retirements: BTreeMap::new(),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            head: &self.head,
            versions: &self.versions,
            promotions: &self.promotions,
            policy: &self.policy,
            crown: self.crown,
            retirements: &self.retirements,
        }
    }

    fn plan(&self, at: Timestamp) -> Plan {
        plan(&self.facts(), at)
    }

    fn fate(&self, n: u32, at: Timestamp) -> (Fate, Reason, Option<Timestamp>) {
        let plan = self.plan(at);
        let line = plan.line(v(n)).unwrap();
        assert!(!line.why.is_empty());
        (line.fate, line.reason, line.due)
    }

    fn collect(&self, n: u32, at: Timestamp) -> Result<change::Change, Refusal> {
        let actor = Actor::function("sweep");
        let context = Context { head: &self.head, actor: &actor, now: at };
        change::collect_version(&context, &self.facts(), v(n), Freed { objects: 3, bytes: 7 })
    }
}

fn days(days: u32) -> Retention {
    Retention { collect_retired_after_days: After::Days(days), ..Retention::default() }
}

#[test]
fn a_retired_version_is_kept_for_the_policys_days_and_then_due() {
    use VersionStatus as S;
    let mut known = Known::new(vec![version(1, S::Retired, &[]), version(2, S::Superseded, &[])]);
    assert_eq!(known.fate(1, day(99)), (Fate::Keep, Reason::Young, Some(day(100))));
    assert_eq!(known.fate(1, day(100)), (Fate::Collect, Reason::Due, Some(day(100))));
    assert_eq!(known.fate(2, day(9_999)), (Fate::Keep, Reason::NotRetired, None));
    known.policy.retention = days(0);
    assert_eq!(known.fate(1, day(10)), (Fate::Collect, Reason::Due, Some(day(10))));
    known.policy.retention.collect_retired_after_days = After::Never;
    assert_eq!(known.fate(1, day(9_999)), (Fate::Keep, Reason::Never, None));
    known.policy.retention = days(36_500);
    assert_eq!(known.fate(1, day(9_999)).1, Reason::Young);
}

#[test]
fn a_time_that_nobody_wrote_down_is_read_off_the_history_or_keeps_the_version() {
    let mut old = version(1, VersionStatus::Retired, &[]);
    old.retired_at = None;
    let mut known = Known::new(vec![old]);
    assert_eq!(known.fate(1, day(9_999)), (Fate::Keep, Reason::Undated, None));
    assert!(known.collect(1, day(9_999)).is_err());
    known.retirements.insert(v(1), day(30));
    assert_eq!(known.fate(1, day(119)), (Fate::Keep, Reason::Young, Some(day(120))));
    let change = known.collect(1, day(120)).unwrap();
    assert_eq!(change.versions[0].retired_at, Some(day(30)), "the record says so from now on");
    let entry = |event: &str, version: Option<u32>, at: Timestamp| {
        let mut entry = change.entry.clone();
        (entry.event, entry.version, entry.at) = (event.into(), version.map(v), at);
        entry
    };
    let history = [
        entry("version_retired", Some(1), day(1)),
        entry("crowned", Some(2), day(2)),
        entry("version_retired", None, day(3)),
    ];
    assert_eq!(retirements(&history), BTreeMap::from([(v(1), day(1))]));
}

#[test]
fn a_profile_keeps_what_it_compared_whatever_the_policy_says_later() {
    use VersionStatus as S;
    let mut known = Known::new(vec![
        version(1, S::Retired, &[]),
        version(2, S::Retired, &[]),
        version(3, S::Retired, &[]),
    ]);
    known.policy.retention = days(0);
    let mut judged = promotion(&known.versions[1], Some(&known.versions[0]));
    judged.profile = ProfileName::EuAiAct;
    known.promotions = vec![judged, promotion(&known.versions[2], None)];
    let until = day(6 + 3_653);
    for n in [1, 2] {
        assert_eq!(known.fate(n, day(3_000)), (Fate::Keep, Reason::Profile, Some(until)), "v{n}");
        assert_eq!(known.fate(n, until), (Fate::Collect, Reason::Due, Some(until)), "v{n}");
    }
    assert_eq!(known.fate(3, day(11)).0, Fate::Collect, "the profile `default` leaves it to the policy");
    // The policy may keep it longer than any profile.
    known.policy.retention = days(10_000);
    assert_eq!(known.fate(1, day(9_000)), (Fate::Keep, Reason::Young, Some(day(10_010))));
}

#[test]
fn evidence_that_is_not_signed_yet_keeps_the_version_that_it_is_about() {
    let mut known = Known::new(vec![version(1, VersionStatus::Retired, &[])]);
    let mut open = promotion(&known.versions[0], None);
    open.attested = false;
    known.promotions = vec![open];
    assert_eq!(known.fate(1, day(9_999)), (Fate::Keep, Reason::Unattested, None));
}

#[test]
fn a_standby_is_retired_by_the_policy_alone_after_the_window_and_while_nothing_runs() {
    use VersionStatus as S;
    let mut known = Known::new(vec![version(1, S::Standby, &[]), version(2, S::Champion, &[])]);
    let crown = Crown { at: day(20), stable_at: day(27) };
    (known.head.standby, known.crown) = (Some(known.versions[0].reference()), Some(crown));
    known.head.route.champion = Some(known.versions[1].reference());
    assert_eq!(known.fate(1, day(9_999)), (Fate::Keep, Reason::Standby, None), "by itself never");
    known.policy.retention.retire_standby_after_days = After::Days(30);
    assert_eq!(known.fate(1, day(49)), (Fate::Keep, Reason::Standby, Some(day(50))));
    assert_eq!(known.fate(1, day(50)), (Fate::Retire, Reason::Due, Some(day(50))));
    known.policy.retention.retire_standby_after_days = After::Days(1);
    assert_eq!(known.fate(1, day(26)), (Fate::Keep, Reason::Standby, Some(day(27))), "the window is longer");
    assert_eq!(known.fate(1, day(27)).0, Fate::Retire);
    known.head.running = Some(crate::head::Running {
        promotion: PromotionId::derive(&model(), "v3", 1),
        challenger: version(3, S::Evaluating, &[]).reference(),
        epoch: 0,
    });
    assert_eq!(known.fate(1, day(9_999)).0, Fate::Keep, "a rollback may need it any moment");
    (known.head.running, known.crown) = (None, None);
    assert_eq!(known.fate(1, day(9_999)).0, Fate::Keep, "nobody knows since when");
    assert_eq!(known.fate(2, day(9_999)), (Fate::Keep, Reason::Champion, None));
}

#[test]
fn a_blob_is_counted_with_the_last_version_that_needs_it() {
    use VersionStatus as S;
    let mut known = Known::new(vec![
        version(1, S::Retired, &["a", "bb", "ccc"]),
        version(2, S::Retired, &["bb", "ccc", "dddd"]),
        version(3, S::Packaged, &["ccc"]),
    ]);
    known.versions[1].retired_at = Some(day(11));
    let freed = |plan: &Plan, n: u32| plan.line(v(n)).unwrap().frees;
    let later = known.plan(day(100));
    assert_eq!(freed(&later, 1), Some(Freed { objects: 1, bytes: 1 }));
    assert_eq!(freed(&later, 2), Some(Freed { objects: 2, bytes: 6 }), "bb goes with the last");
    assert_eq!(freed(&later, 3), None);
    assert_eq!(later.due, Freed { objects: 1, bytes: 1 }, "v2 is not due yet");
    assert_eq!(known.plan(day(101)).due, Freed { objects: 3, bytes: 7 });
    // A path that stands twice is one blob.
    let same = known.versions[0].package.files["a"].clone();
    known.versions[0].package.files.insert("copy".into(), same);
    assert_eq!(freed(&known.plan(day(101)), 1), Some(Freed { objects: 1, bytes: 1 }));
}

#[test]
fn a_collection_is_one_entry_that_says_everything_and_a_second_waits_for_its_end() {
    use VersionStatus as S;
    let mut known = Known::new(vec![version(1, S::Retired, &[]), version(2, S::Retired, &[])]);
    let early = known.collect(1, day(99)).unwrap_err().to_string();
    assert!(early.contains("v1 of model m is not to be collected") && early.contains("90 days"), "{early}");
    let change = known.collect(1, day(100)).unwrap();
    let d = &change.entry.details;
    assert_eq!((change.entry.event.as_str(), change.entry.version), ("version_collected", Some(v(1))));
    assert_eq!(
        (&d["objects"], &d["bytes"], &d["digest"]),
        (&json!(3), &json!(7), &json!(known.versions[0].digest))
    );
    assert!(d["reason"].as_str().unwrap().contains("the policy keeps it 90 days"), "{d}");
    assert_eq!(change.entry.actor, Actor::function("sweep"));
    let record = &change.versions[0];
    assert_eq!((record.status, record.collected_at), (S::Collected, Some(day(100))));
    assert_eq!(change.head.epoch, known.head.epoch, "no hands change");

    (known.head, known.versions[0]) = (change.head.clone(), record.clone());
    assert_eq!(known.fate(1, day(101)).0, Fate::Collecting);
    let waits = known.collect(2, day(101)).unwrap_err().to_string();
    assert!(waits.contains("v1 of model m are not all deleted yet"), "{waits}");
    assert!(matches!(known.collect(1, day(101)), Err(Refusal::Collected { .. })));
    let actor = Actor::function("sweep");
    let now = known.head.collecting.as_ref().unwrap().resumes_at();
    let early = Context { head: &known.head, actor: &actor, now: now - SignedDuration::from_secs(1) };
    assert!(change::resume_collection(&early).is_err(), "the first run may still delete");
    let taken_up = change::resume_collection(&Context { now, ..early }).unwrap();
    assert_eq!(
        (taken_up.entry.event.as_str(), &taken_up.entry.details["run"]),
        ("collection_resumed", &json!(2))
    );
    known.head = taken_up.head;
    let context = Context { head: &known.head, actor: &actor, now: day(101) };
    let end = change::finish_collection(&context, Freed { objects: 2, bytes: 5 }).unwrap();
    assert_eq!((end.entry.event.as_str(), end.head.collecting.as_ref()), ("collection_finished", None));
    known.head = end.head;
    assert_eq!(known.fate(1, day(101)).0, Fate::Collected);
    let context = Context { head: &known.head, actor: &actor, now: day(101) };
    assert!(change::finish_collection(&context, Freed::default()).is_err(), "there is none");
    assert!(change::resume_collection(&context).is_err(), "there is none");
    assert!(known.collect(2, day(101)).is_ok());
}

#[test]
fn whatever_would_use_a_collected_version_is_told_what_can_be_done() {
    let gone = version(3, VersionStatus::Collected, &[]);
    for event in [
        crate::version::VersionEvent::StartPromotion,
        crate::version::VersionEvent::Reinstate,
        crate::version::VersionEvent::Retire,
        crate::version::VersionEvent::Collect,
    ] {
        let refused = gone.apply(event).unwrap_err();
        assert_eq!(refused.code(), "collected");
        let text = refused.to_string();
        assert!(
            text.contains("v3 of model m was collected at 2027") && text.contains("seatrial package DIR"),
            "{text}"
        );
        assert!(text.contains(gone.digest.short()), "{text}");
    }
}

#[test]
fn while_something_may_be_deleted_nothing_is_registered_and_a_stuck_collection_keeps_nobody_out_for_long() {
    let since = day(100);
    let at = |second: i64| Timestamp::from_second(since.as_second() + second).unwrap();
    let version = version(1, VersionStatus::Collected, &[]).reference();
    let mut collecting = Collecting::begin(version, Freed::default(), since);
    let (mut closed, mut runs) = (0, 1);
    for second in 0..3 * 3_600 {
        if at(second) >= collecting.resumes_at() {
            // The run before cannot delete any more, nor a minute ago.
            assert!(!collecting.deletes_at(at(second - 59)));
            collecting = collecting.resume(at(second));
            runs += 1;
        }
        let refused = collecting.registers_nothing_at(&model(), at(second)).err();
        // Clocks that differ by up to a minute never have one deleting and the other registering.
        let near = (second - 59..=second).any(|s| collecting.deletes_at(at(s)));
        assert!(!near || refused.is_some(), "{second}");
        closed += i64::from(refused.is_some());
        if let Some(Refusal::Collecting { until, .. }) = refused {
            assert!(until.as_second() - at(second).as_second() <= 180, "{second}: {until}");
            assert!(collecting.registers_nothing_at(&model(), until).is_ok(), "{second}");
        }
    }
    assert_eq!((collecting.run, collecting.since), (runs, since));
    assert_eq!(runs, 4, "one more at once, and then one an hour");
    assert_eq!(closed, 4 * 180, "seconds of three hours in which nothing is registered");
}

/// Any records at all, lawful or not.
fn any_known() -> impl Strategy<Value = (Known, i64)> {
    let files = prop::collection::vec(prop::sample::select(vec!["a", "bb", "ccc", "dddd", "eeeee"]), 0..4);
    let one = (prop::sample::select(STATUSES.to_vec()), files, prop::option::of(-50..50_i64));
    let versions = prop::collection::vec(one, 1..7);
    let named = prop::collection::vec(prop::option::of(0..7_usize), 6);
    let running =
        prop::collection::vec((0..7_usize, prop::option::of(0..7_usize), any::<bool>(), 0..4_usize), 0..4);
    let after = prop_oneof![Just(After::Never), (0..60_u32).prop_map(After::Days)];
    let policy = (after.clone(), after);
    (versions, named, running, policy, -50..5_000_i64, any::<bool>()).prop_map(
        |(versions, named, running, policy, now, crowned)| {
            let mut records: Vec<VersionRecord> = Vec::new();
            for (i, (status, files, retired)) in versions.iter().enumerate() {
                let mut record = version(i as u32 + 1, *status, files);
                record.retired_at = retired.map(day);
                records.push(record);
            }
            let pick = |i: &Option<usize>| i.and_then(|i| records.get(i)).map(VersionRecord::reference);
            let mut head = Head::new(model(), day(0));
            head.route.champion = pick(&named[0]);
            head.standby = pick(&named[1]);
            head.route.standby = pick(&named[2]);
            head.route.challenger = pick(&named[3]);
            head.running = pick(&named[4]).map(|challenger| crate::head::Running {
                promotion: PromotionId::derive(&model(), "x", 1),
                challenger,
                epoch: 0,
            });
            let promotions = running
                .iter()
                .filter(|(challenger, ..)| *challenger < records.len())
                .map(|(challenger, champion, runs, profile)| {
                    let mut p = promotion(&records[*challenger], champion.and_then(|c| records.get(c)));
                    p.profile = ProfileName::ALL[*profile];
                    if *runs {
                        (p.status, p.ended_at) = (PromotionStatus::Running, None);
                    }
                    p
                })
                .collect();
            let mut known = Known { head, promotions, ..Known::new(records) };
            known.policy.retention =
                Retention { collect_retired_after_days: policy.0, retire_standby_after_days: policy.1 };
            known.crown = crowned.then(|| Crown { at: day(0), stable_at: day(3) });
            (known, now)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_in_use_and_no_blob_of_what_stays_is_ever_given_up((known, now) in any_known()) {
        let plan = known.plan(day(now));
        let head = &known.head;
        let mut used: Vec<&VersionRef> =
            [head.champion(), head.standby.as_ref(), head.route.standby.as_ref(), head.route.challenger.as_ref()]
                .into_iter()
                .flatten()
                .collect();
        used.extend(head.running.as_ref().map(|r| &r.challenger));
        for p in known.promotions.iter().filter(|p| p.status == PromotionStatus::Running) {
            used.push(&p.challenger);
            used.extend(&p.champion);
        }
        prop_assert_eq!(plan.versions.len(), known.versions.len());
        let doomed: Vec<&Line> = plan.with(Fate::Collect).collect();
        for line in &doomed {
            prop_assert!(used.iter().all(|u| u.version != line.version), "{:?} is in use", line);
            prop_assert_eq!(line.status, VersionStatus::Retired);
            prop_assert!(line.due.unwrap() <= day(now) && line.retired_at.unwrap() <= day(now));
            prop_assert!(known.policy.retention.collect_retired_after_days != After::Never);
        }
        for line in plan.with(Fate::Retire) {
            prop_assert!(head.running.is_none() && line.due.unwrap() <= day(now));
            prop_assert!(head.champion().is_none_or(|c| c.version != line.version));
        }
        // What all collections free together, file by file, is needed by nobody who stays, and counted once.
        let gone: Vec<&VersionRecord> =
            known.versions.iter().filter(|v| doomed.iter().any(|l| l.version == v.version)).collect();
        let stays: Vec<&VersionRecord> = known
            .versions
            .iter()
            .filter(|v| v.status != VersionStatus::Collected && doomed.iter().all(|l| l.version != v.version))
            .collect();
        let mut all: BTreeMap<&Digest, u64> = BTreeMap::new();
        for version in &gone {
            for (digest, blob) in freed(version, &stays) {
                prop_assert!(stays.iter().all(|s| s.package.files.values().all(|b| b.digest != *digest)));
                all.insert(digest, blob.size);
            }
        }
        let bytes: u64 = all.values().sum();
        prop_assert_eq!(plan.due, Freed { objects: all.len() as u64, bytes });
        // The transaction says what the plan says; the packages that stay are those of all others, and of all that is in use.
        for version in &known.versions {
            let due = doomed.iter().any(|l| l.version == version.version);
            prop_assert_eq!(known.collect(version.version.number(), day(now)).is_ok(), due);
            let kept = staying(&known.facts(), version.version);
            prop_assert!(used.iter().all(|u| kept.contains(&u.digest)));
            let others = known.versions.iter().filter(|o| o.version != version.version);
            prop_assert!(others.filter(|o| o.status != VersionStatus::Collected).all(|o| kept.contains(&o.digest)));
            prop_assert!(!due || !kept.contains(&version.digest));
        }
    }
}

#[test]
fn each_model_has_a_minute_of_the_hour() {
    let minutes: BTreeSet<u8> =
        (0..500).map(|n| minute_of(&ModelName::parse(&format!("model-{n}")).unwrap())).collect();
    assert_eq!(minutes, (0..60).collect());
}
