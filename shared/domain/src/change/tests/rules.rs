//! Single rules.

use jiff::SignedDuration;

use super::world::{World, actor, alias, draft_gate, evidence, policy};
use crate::canonical::sha256;
use crate::change::{self, Context, Request, Right};
use crate::gate::{Decision, GateKind, GateStatus};
use crate::ids::{Auth, VersionName};
use crate::line;
use crate::policy::{BusyMode, Policy};
use crate::promotion::{EvidenceKind, PromotionStatus, Stage};
use crate::refusal::Refusal;
use crate::route::Weight;
use crate::task::Emergency;
use crate::version::VersionStatus;

fn v(n: u32) -> VersionName {
    VersionName::new(n)
}

fn approve(w: &mut World, who: &str) -> Result<(), Refusal> {
    w.decide(&actor(who), true)
}

#[test]
fn a_first_version_is_crowned_without_a_canary_but_not_without_an_approval() {
    let mut w = World::new();
    w.register();
    w.start(1, 1).unwrap();
    w.record(EvidenceKind::Report, "report").unwrap();
    assert!(matches!(w.crown(), Err(Refusal::NotApproved { .. })));
    w.open_gate().unwrap();
    assert!(matches!(w.crown(), Err(Refusal::NotApproved { .. })));
    approve(&mut w, "ann@example.com").unwrap();
    assert!(matches!(w.shift(0), Err(Refusal::Invalid { .. })), "there is nobody to share traffic with");
    w.crown().unwrap();
    assert_eq!(w.head.champion().unwrap().version, v(1));
    assert_eq!((w.head.route.holdback, w.head.standby.clone()), (Weight::ZERO, None));
}

#[test]
fn a_crown_swaps_champion_and_standby_and_leaves_a_holdback() {
    let mut w = World::with_champion();
    let epoch = w.head.epoch;
    w.promote(2, 1);
    assert_eq!(w.head.champion().unwrap().version, v(2));
    assert_eq!(w.head.standby.as_ref().unwrap().version, v(1));
    assert_eq!(w.head.route.holdback, Weight::from_percent(1.0).unwrap());
    assert_eq!(w.head.epoch, epoch + 2, "the start and the crown");
    w.register();
    w.promote(3, 1);
    assert_eq!(w.versions[&v(1)].status, VersionStatus::Superseded);
    w.act(|w| change::end_holdback(&w.context())).unwrap();
    assert_eq!((w.head.route.holdback, w.head.route.standby.clone()), (Weight::ZERO, None));
    assert_eq!(w.head.standby.as_ref().unwrap().version, v(2), "it stays the rollback target");
}

#[test]
fn steps_come_in_order_and_the_crown_after_the_last() {
    let mut w = World::with_champion();
    w.advance_to(VersionStatus::Approved);
    assert!(matches!(w.shift(1), Err(Refusal::Invalid { .. })), "step 1 before step 0");
    assert!(matches!(w.crown(), Err(Refusal::Invalid { .. })), "no step yet");
    w.shift(0).unwrap();
    assert!(matches!(w.shift(0), Err(Refusal::Invalid { .. })));
    assert!(matches!(w.crown(), Err(Refusal::Invalid { .. })));
    w.shift(1).unwrap();
    assert!(matches!(w.shift(2), Err(Refusal::Invalid { .. })), "there are two steps");
    assert_eq!(w.head.route.weight, Weight::from_percent(50.0).unwrap());
    w.crown().unwrap();
}

#[test]
fn an_approval_covers_exactly_what_it_binds() {
    let mut w = World::with_champion();
    w.advance_to(VersionStatus::Approved);
    let promotion = w.running().unwrap().clone();
    let good = w.gate_of(&promotion).unwrap().clone();
    let mut wrong = Vec::new();
    let other = sha256(b"other");
    for n in 0..9 {
        let mut gate = good.clone();
        match n {
            0 => gate.bound.package = other.clone(),
            1 => gate.bound.report = other.clone(),
            2 => gate.bound.policy = other.clone(),
            3 => gate.bound.benchmark = Some(other.clone()),
            4 => gate.epoch += 1,
            5 => gate.promotion = crate::PromotionId::derive(&w.head.model, "other", 1),
            6 => gate.kind = GateKind::ShadowWindow,
            7 => gate.status = GateStatus::Rejected,
            _ => gate.status = GateStatus::Pending,
        }
        wrong.push(Some(gate));
    }
    wrong.push(None);
    let version = &w.versions[&v(2)];
    for gate in wrong {
        let answer = change::shift(&w.context(), &promotion, version, gate.as_ref(), &policy(), 0);
        assert!(matches!(answer, Err(Refusal::NotApproved { .. })), "{gate:?} {answer:?}");
    }
    assert!(change::shift(&w.context(), &promotion, version, Some(&good), &policy(), 0).is_ok());
}

#[test]
fn a_report_that_changes_after_the_approval_takes_it_away() {
    let mut w = World::with_champion();
    w.advance_to(VersionStatus::Approved);
    w.record(EvidenceKind::Report, "another report").unwrap();
    assert!(matches!(w.shift(0), Err(Refusal::NotApproved { .. })));
    let mut w = World::with_champion();
    w.advance_to(VersionStatus::InReview);
    w.open_gate().unwrap();
    w.record(EvidenceKind::Report, "another report").unwrap();
    let refusal = approve(&mut w, "ann@example.com").unwrap_err();
    assert!(
        matches!(&refusal, Refusal::Changed { what, .. } if what == "the comparison report"),
        "{refusal}"
    );
}

#[test]
fn one_promotion_holds_a_model() {
    let mut w = World::with_champion();
    w.register();
    w.start(2, 1).unwrap();
    assert!(matches!(w.start(3, 1), Err(Refusal::Busy { .. })));
    w.end("enough").unwrap();
    assert!(w.start(3, 1).is_ok());
}

/// A model with a champion, v2 being promoted and v3 to v5 registered; who comes second waits.
fn busy() -> World {
    let mut w = World::with_champion();
    (0..3).for_each(|_| w.register());
    let mut rules = policy();
    rules.when_busy.mode = BusyMode::Wait;
    w.act(|w| change::set_policy(&w.context(), rules, &Right::Owner(None))).unwrap();
    w.start(2, 1).unwrap();
    w
}

fn in_line(w: &World) -> Vec<u32> {
    w.head.waiting.iter().map(|w| w.challenger.version.number()).collect()
}

#[test]
fn whoever_waits_starts_in_the_order_of_arrival() {
    let mut w = busy();
    let (epoch, running) = (w.head.epoch, w.head.running.clone());
    w.join(4, 1).unwrap();
    w.join(3, 1).unwrap();
    assert_eq!(
        (in_line(&w), w.head.epoch, &w.head.running),
        (vec![4, 3], epoch, &running),
        "who runs goes on"
    );
    assert!(matches!(w.start(4, 1), Err(Refusal::Busy { .. })));
    w.end("worse").unwrap();
    let late = w.start(3, 1).unwrap_err();
    assert!(matches!(late, Refusal::InLine { waiting: 2, .. }), "{late}");
    assert!(matches!(w.start(5, 1), Err(Refusal::InLine { .. })), "who comes now is behind them");
    w.join(5, 1).unwrap();
    w.start(4, 1).unwrap();
    assert_eq!(in_line(&w), [3, 5]);
    w.end("worse").unwrap();
    w.leave(3, 1).unwrap();
    w.start(5, 1).unwrap();
    assert_eq!(in_line(&w), [0; 0]);
}

#[test]
fn a_version_waits_once_and_a_free_model_or_one_whose_policy_refuses_lets_nobody_wait() {
    let mut w = busy();
    w.join(3, 1).unwrap();
    for (version, attempt) in [(3, 1), (3, 2), (2, 2)] {
        assert!(matches!(w.join(version, attempt), Err(Refusal::Busy { .. })), "v{version}/{attempt}");
    }
    assert!(matches!(w.join(1, 2), Err(Refusal::IllegalTransition { .. })), "the champion");
    assert!(matches!(w.leave(4, 1), Err(Refusal::NotFound { .. })));
    w.end("worse").unwrap();
    w.leave(3, 1).unwrap();
    assert!(matches!(w.join(3, 1), Err(Refusal::Invalid { .. })), "the model is free");
    let mut w = World::with_champion();
    w.register();
    w.start(2, 1).unwrap();
    assert!(matches!(w.join(3, 1), Err(Refusal::Busy { .. })), "the policy lets nobody wait");
}

#[test]
fn a_line_is_no_longer_than_the_head_should_carry() {
    let mut w = busy();
    for _ in 0..line::LONGEST {
        w.register();
        let newest = w.head.next_version - 1;
        w.join(newest, 1).unwrap();
    }
    assert!(matches!(w.join(3, 1), Err(Refusal::Busy { .. })));
}

#[test]
fn an_emergency_waits_for_nobody_in_line_but_ends_no_promotion() {
    let mut w = busy();
    w.join(3, 1).unwrap();
    let start = |w: &mut World| {
        let id = crate::PromotionId::derive(&w.head.model, "urgent", 1);
        let emergency = Emergency { skip: vec![Stage::Shadow], reason: "it burns".into() };
        let olga = actor("olga@example.com");
        w.act(|w| {
            let policy = &w.policies[&w.head.policy.as_ref().unwrap().number];
            change::start_promotion(
                &w.context(),
                &id,
                &w.versions[&v(4)],
                policy,
                &w.serving(),
                &Request { emergency: Some(&emergency), ..Request::new(&olga, None) },
            )
        })
    };
    assert!(matches!(start(&mut w), Err(Refusal::Busy { .. })), "a rollback makes room");
    w.end("operator").unwrap();
    start(&mut w).unwrap();
    assert_eq!(in_line(&w), [3], "who waited still does");
}

#[test]
fn a_challenger_has_a_name_of_its_own_at_the_target_beside_champion_and_standby() {
    let mut w = World::with_champion();
    w.name(1, "7");
    let rules = Policy { target: Some(alias()), ..policy() };
    w.act(|w| change::set_policy(&w.context(), rules, &Right::Owner(None))).unwrap();
    let refused = w.start(2, 1).unwrap_err().to_string();
    assert!(refused.contains("v2") && refused.contains("serving.lambda_version"), "{refused}");
    w.name(2, "7");
    let refused = w.start(2, 1).unwrap_err().to_string();
    assert!(refused.contains("v1 and v2 are both called \"7\""), "{refused}");
    w.name(2, "8");
    w.promote(2, 1);
    w.register();
    w.name(3, "7");
    let refused = w.start(3, 1).unwrap_err().to_string();
    assert!(refused.contains("v1 and v3 are both called \"7\""), "the standby serves again: {refused}");
    w.name(3, "9");
    w.start(3, 1).unwrap();
}

#[test]
fn a_promotion_that_ends_before_its_canary_is_rejected_and_after_it_aborted() {
    let mut w = World::with_champion();
    w.advance_to(VersionStatus::InReview);
    w.open_gate().unwrap();
    w.end("worse").unwrap();
    assert_eq!(w.promotions.values().last().map(|p| p.reason.is_some()), Some(true));
    assert_eq!(w.versions[&v(2)].status, VersionStatus::Rejected);
    assert!(w.gates.values().all(|g| g.status != GateStatus::Pending), "its gate is cancelled");
    w.start(2, 2).unwrap();
    w.advance_to(VersionStatus::Canary);
    let id = w.running().unwrap().id.clone();
    w.end("errors").unwrap();
    assert_eq!(w.promotions[&id].status, PromotionStatus::Aborted);
    assert_eq!(w.versions[&v(2)].status, VersionStatus::RolledBack);
    assert_eq!(w.head.champion().unwrap().version, v(1));
}

#[test]
fn the_shadow_goes_on_through_the_canary() {
    let mut w = World::with_champion();
    w.advance_to(VersionStatus::Canary);
    assert_eq!(w.head.route.shadow, Weight::from_percent(policy().canary.shadow_percent).unwrap());
    assert!(w.head.route.shadow > Weight::ZERO);
}

#[test]
fn a_rollback_reinstates_the_standby_once_and_ends_what_runs() {
    let mut w = World::with_champion();
    w.promote(2, 1);
    w.register();
    w.start(3, 1).unwrap();
    w.open_shadow().unwrap();
    w.roll_back().unwrap();
    assert_eq!(w.head.champion().unwrap().version, v(1));
    assert_eq!(w.versions[&v(2)].status, VersionStatus::RolledBack);
    assert_eq!(w.versions[&v(3)].status, VersionStatus::Rejected);
    assert!(w.head.standby.is_none() && w.head.running.is_none() && w.head.route.challenger.is_none());
    assert!(
        matches!(w.roll_back(), Err(Refusal::NoStandby { .. })),
        "the version taken back does not come again"
    );
    assert!(w.start(2, 2).is_ok(), "the lock is free at once");
}

#[test]
fn a_change_must_be_given_the_champion_and_standby_of_the_head() {
    let mut w = World::with_champion();
    w.advance_to(VersionStatus::Canary);
    w.shift(1).unwrap();
    let promotion = w.running().unwrap();
    let (one, two) = (&w.versions[&v(1)], &w.versions[&v(2)]);
    let gate = w.gate_of(promotion);
    // Without the champion's record it would stay champion beside the new one.
    for (champion, standby) in [(None, None), (Some(two), None), (Some(one), Some(two))] {
        let answer = change::crown(&w.context(), promotion, two, champion, standby, gate, &policy());
        assert!(matches!(answer, Err(Refusal::Invalid { .. })), "{answer:?}");
    }
    let mut w = World::with_champion();
    w.promote(2, 1);
    let (one, two) = (&w.versions[&v(1)], &w.versions[&v(2)]);
    assert!(matches!(
        change::roll_back(&w.context(), one, Some(one), None, ""),
        Err(Refusal::Invalid { .. })
    ));
    assert!(matches!(
        change::roll_back(&w.context(), two, Some(two), None, ""),
        Err(Refusal::NoStandby { .. })
    ));
    assert!(change::roll_back(&w.context(), two, Some(one), None, "").is_ok());
}

#[test]
fn a_gate_opens_pending_and_for_its_own_promotion() {
    let mut w = World::with_champion();
    w.advance_to(VersionStatus::InReview);
    let promotion = w.running().unwrap();
    let good = draft_gate(promotion, &w.versions[&v(2)], w.now);
    let decision = Decision::new(actor("ann@example.com"), w.now, true, "forged");
    for n in 0..4 {
        let mut gate = good.clone();
        match n {
            0 => gate.status = GateStatus::Approved,
            1 => gate.decisions.push(decision.clone()),
            2 => gate.epoch -= 1,
            _ => gate.challenger = w.versions[&v(1)].reference(),
        }
        assert!(
            matches!(change::open_gate(&w.context(), promotion, gate), Err(Refusal::Invalid { .. })),
            "{n}"
        );
    }
    assert!(change::open_gate(&w.context(), promotion, good).is_ok());
}

#[test]
fn one_person_with_two_names_is_one_approver() {
    let mut w = World::with_champion();
    let mut rules = policy();
    rules.approval.quorum = 2;
    w.act(|w| change::set_policy(&w.context(), rules, &Right::Owner(None))).unwrap();
    w.advance_to(VersionStatus::InReview);
    w.open_gate().unwrap();
    approve(&mut w, "ann@example.com").unwrap();
    assert_eq!(w.gates.values().filter(|g| g.status == GateStatus::Pending).count(), 1, "one of two");
    assert!(matches!(approve(&mut w, "arn:aws:iam::1:user/ann"), Err(Refusal::GateClosed { .. })));
    assert!(matches!(approve(&mut w, "Ann@Example.com"), Err(Refusal::GateClosed { .. })));
    approve(&mut w, "bob@example.com").unwrap();
    assert_eq!(w.versions[&v(2)].status, VersionStatus::Approved);
}

#[test]
fn a_revoked_approver_neither_decides_nor_counts() {
    let mut w = World::with_champion();
    let mut rules = policy();
    rules.approval.quorum = 2;
    rules
        .approval
        .approvers
        .push(crate::policy::Approver { email: "cat@example.com".into(), principals: vec![] });
    w.act(|w| change::set_policy(&w.context(), rules.clone(), &Right::Owner(None))).unwrap();
    w.advance_to(VersionStatus::InReview);
    w.open_gate().unwrap();
    approve(&mut w, "ann@example.com").unwrap();
    rules.approval.approvers.remove(0);
    w.act(|w| change::set_policy(&w.context(), rules, &Right::Owner(None))).unwrap();
    assert!(matches!(approve(&mut w, "arn:aws:iam::1:user/ann"), Err(Refusal::Forbidden { .. })));
    approve(&mut w, "bob@example.com").unwrap();
    assert_eq!(w.versions[&v(2)].status, VersionStatus::InReview, "ann's approval counts no more");
    approve(&mut w, "cat@example.com").unwrap();
    assert_eq!(w.versions[&v(2)].status, VersionStatus::Approved);
}

#[test]
fn separation_of_duties_holds_for_every_name_of_a_person() {
    let mut w = World::with_champion();
    w.advance_to(VersionStatus::InReview);
    w.open_gate().unwrap();
    let gate = w.gates.values_mut().find(|g| g.status == GateStatus::Pending).unwrap();
    gate.submitted_by = "arn:aws:iam::1:user/ann".into();
    assert!(matches!(approve(&mut w, "ann@example.com"), Err(Refusal::Forbidden { .. })));
    assert!(matches!(approve(&mut w, "eve@example.com"), Err(Refusal::Forbidden { .. })), "not an approver");
    w.decide(&actor("ann@example.com"), false).unwrap();
    assert_eq!(w.versions[&v(2)].status, VersionStatus::InReview);
    assert!(matches!(w.shift(0), Err(Refusal::NotApproved { .. })));
}

#[test]
fn a_solo_operator_approves_his_own_where_the_policy_lets_him_and_it_shows() {
    let mut w = World::with_champion();
    let mut rules = policy();
    rules.approval.separation_of_duties = false;
    w.act(|w| change::set_policy(&w.context(), rules, &Right::Owner(None))).unwrap();
    w.advance_to(VersionStatus::InReview);
    w.open_gate().unwrap();
    w.gates.values_mut().find(|g| g.status == GateStatus::Pending).unwrap().submitted_by =
        "ann@example.com".into();
    let by_link = crate::ids::Actor { principal: "ann@example.com".into(), auth: Auth::Link };
    w.decide(&by_link, true).unwrap();
    let gate = w.gate_of(w.running().unwrap()).unwrap();
    assert!(gate.decisions[0].self_approval);
}

#[test]
fn a_link_alone_does_not_decide_where_duties_are_separate() {
    let mut w = World::with_champion();
    w.advance_to(VersionStatus::InReview);
    w.open_gate().unwrap();
    let by_link = crate::ids::Actor { principal: "ann@example.com".into(), auth: Auth::Link };
    assert!(matches!(w.decide(&by_link, true), Err(Refusal::Forbidden { .. })));
}

#[test]
fn a_gate_closes_once_and_not_before_its_time() {
    let mut w = World::with_champion();
    w.advance_to(VersionStatus::InReview);
    w.open_gate().unwrap();
    let id = w.running().unwrap().gate.clone().unwrap();
    let close = |w: &World| change::close_gate(&w.context(), &w.gates[&id]);
    assert!(matches!(w.act(close), Err(Refusal::Invalid { .. })));
    w.now += SignedDuration::from_hours(2);
    assert!(
        matches!(approve(&mut w, "ann@example.com"), Err(Refusal::GateClosed { .. })),
        "the registry's time decides"
    );
    w.act(close).unwrap();
    assert_eq!(w.gates[&id].status, GateStatus::Expired);
    assert!(matches!(w.act(close), Err(Refusal::GateClosed { .. })));
}

#[test]
fn settings_refuse_defects_and_pin_what_runs() {
    let mut w = World::with_champion();
    w.start(2, 1).unwrap();
    let pinned = w.running().unwrap().policy.clone();
    let mut bad = policy();
    bad.canary.steps.clear();
    assert!(matches!(
        w.act(|w| change::set_policy(&w.context(), bad, &Right::Owner(None))),
        Err(Refusal::Invalid { .. })
    ));
    let mut other = policy();
    other.canary.steps = vec![10.0];
    w.act(|w| change::set_policy(&w.context(), other, &Right::Owner(None))).unwrap();
    assert_eq!(w.running().unwrap().policy, pinned);
    assert_ne!(w.head.policy.as_ref(), Some(&pinned));
}

#[test]
fn retiring_the_standby_ends_its_share_and_what_serves_is_never_retired() {
    let mut w = World::with_champion();
    w.promote(2, 1);
    w.now += SignedDuration::from_hours(24);
    assert!(w.retire(2).is_err());
    w.retire(1).unwrap();
    assert!(w.head.standby.is_none() && w.head.route.standby.is_none());
    assert_eq!(w.versions[&v(1)].retired_at, Some(w.now));
    assert!(matches!(w.roll_back(), Err(Refusal::NoStandby { .. })));
}

#[test]
fn a_standby_is_kept_ready_for_the_window_of_its_crown_and_a_rollback_can_use_it_all_the_time() {
    let mut w = World::with_champion();
    w.promote(2, 1);
    let crowned = w.promotions.values().filter_map(|p| p.ended_at).max().unwrap();
    // The crown's own policy counts, whatever comes into force later.
    let mut shorter = policy();
    shorter.canary.stability_seconds = 1;
    w.act(|w| change::set_policy(&w.context(), shorter, &Right::Owner(None))).unwrap();
    w.register();
    for _ in 0..2 {
        let refused = w.retire(1).unwrap_err();
        let Refusal::Stabilising { standby, champion, until, .. } = &refused else { panic!("{refused:?}") };
        assert_eq!((*standby, *champion, *until), (v(1), v(2), crowned + SignedDuration::from_hours(24)));
        let text = refused.to_string();
        assert!(
            text.contains(&until.to_string()) && text.contains("seatrial rollback m --champion"),
            "{text}"
        );
        // A promotion that began meanwhile changes nothing about it.
        if w.head.running.is_none() {
            w.start(3, 1).unwrap();
        }
    }
    assert!(w.retire(3).is_err());
    w.roll_back().unwrap();
    assert_eq!(w.head.champion().unwrap().version, v(1));
    assert!(w.retire(2).is_ok(), "what was taken back is no standby");
}

#[test]
fn the_same_bytes_come_again_as_another_version_only_after_they_were_given_up() {
    let mut w = World::with_champion();
    let mut rules = policy();
    rules.retention.collect_retired_after_days = crate::policy::After::Days(0);
    w.act(|w| change::set_policy(&w.context(), rules, &Right::Owner(None))).unwrap();
    assert!(matches!(w.register_again(2), Err(Refusal::Invalid { .. })), "v2 has them");
    w.retire(2).unwrap();
    assert!(matches!(w.register_again(2), Err(Refusal::Invalid { .. })), "retired is not collected");
    w.collect(2).unwrap();
    assert!(matches!(w.start(2, 1), Err(Refusal::Collected { .. })));
    assert!(
        matches!(w.register_again(2), Err(Refusal::Collecting { .. })),
        "they may be deleted this moment"
    );
    w.now += SignedDuration::from_mins(10);
    w.register_again(2).unwrap();
    let (gone, again) = (&w.versions[&v(2)], &w.versions[&v(3)]);
    assert_eq!((gone.status, again.status), (VersionStatus::Collected, VersionStatus::Packaged));
    assert_eq!(gone.digest, again.digest);
    assert_eq!(w.entries.last().unwrap().details["again"], "v2");
    w.start(3, 1).unwrap();
}

#[test]
fn only_an_ended_promotion_is_attested() {
    let mut w = World::with_champion();
    w.start(2, 1).unwrap();
    let id = w.running().unwrap().id.clone();
    let attest = |w: &World| {
        change::attested(&w.context(), &w.promotions[&id], evidence("manifest"), evidence("document"))
    };
    assert!(matches!(w.act(attest), Err(Refusal::Invalid { .. })));
    w.end("enough").unwrap();
    w.act(attest).unwrap();
    assert!(w.promotions[&id].attested);
}

#[test]
fn a_changed_history_does_not_verify() {
    let mut w = World::with_champion();
    let (model, tip) = (w.head.model.clone(), w.head.chain.clone());
    let good = w.entries.clone();
    let verify = |entries: &[_]| crate::history::verify(&model, entries, Some(&tip));
    assert_eq!(verify(&good), Ok(()));
    w.entries[1].actor.principal = "someone else".into();
    assert!(verify(&w.entries).is_err(), "an entry changed");
    assert!(verify(&good[..good.len() - 1]).is_err(), "the last one is missing");
    assert!(verify(&good[1..]).is_err(), "the first one is missing");
    let mut swapped = good;
    swapped.swap(1, 2);
    assert!(verify(&swapped).is_err());
}

/// An open gate of v2 whose approval comes by itself; the promotion runs under a policy that says so.
fn with_window() -> World {
    let mut w = World::with_champion();
    let mut rules = policy();
    rules.approval.mode = crate::policy::ApprovalMode::AutoUnlessBlocked;
    w.act(|w| change::set_policy(&w.context(), rules, &Right::Owner(None))).unwrap();
    w.advance_to(VersionStatus::Shadowing);
    w.on_running(|w, p, v| {
        let automatic = crate::promotion::Automatic { eligible: true, why: vec![] };
        let (object, verdict) = (evidence("report"), crate::verdict::Verdict::Pass);
        change::record_report(&w.context(), p, v, object, verdict, Some(automatic))
    })
    .unwrap();
    w.open_gate().unwrap();
    w
}

#[test]
fn an_approval_comes_by_itself_only_after_its_window_and_when_people_were_told_twice() {
    let mut w = with_window();
    let missing = |answer: Result<(), Refusal>| assert!(matches!(answer, Err(Refusal::NotApproved { .. })));
    missing(w.automatic(true));
    assert!(matches!(w.remind(), Err(Refusal::Invalid { .. })), "it is not due yet");
    w.now += SignedDuration::from_secs(500);
    w.remind().unwrap();
    assert!(matches!(w.remind(), Err(Refusal::Invalid { .. })), "it was given");
    missing(w.automatic(true));
    w.now += SignedDuration::from_secs(600);
    missing(w.automatic(false));
    w.automatic(true).unwrap();
    let decision = w.gate_of(w.running().unwrap()).unwrap().decisions[0].clone();
    assert!(decision.automatic && decision.approve && decision.bound.is_some());
    assert_eq!(decision.by.auth, Auth::System, "nobody's name stands under it");
    w.shift(0).unwrap();
}

#[test]
fn without_a_reminder_an_approval_never_comes_by_itself() {
    let mut w = with_window();
    w.now += SignedDuration::from_secs(1_100);
    assert!(matches!(w.automatic(true), Err(Refusal::NotApproved { .. })));
    approve(&mut w, "ann@example.com").unwrap();
}

#[test]
fn a_block_leaves_the_gate_to_people() {
    let mut w = with_window();
    assert!(matches!(w.block("eve@example.com"), Err(Refusal::Forbidden { .. })));
    w.block("olga@example.com").unwrap();
    assert!(matches!(w.block("bob@example.com"), Err(Refusal::GateClosed { .. })), "it is blocked");
    w.now += SignedDuration::from_secs(500);
    let _ = w.remind();
    w.now += SignedDuration::from_secs(600);
    assert!(matches!(w.automatic(true), Err(Refusal::NotApproved { .. })));
    approve(&mut w, "ann@example.com").unwrap();
    assert!(!w.gate_of(w.running().unwrap()).unwrap().decisions[0].automatic);
}

#[test]
fn who_made_the_approval_automatic_can_unmake_it_while_the_window_runs() {
    let mut w = with_window();
    w.now += SignedDuration::from_secs(500);
    w.remind().unwrap();
    w.act(|w| change::set_policy(&w.context(), policy(), &Right::Owner(None))).unwrap();
    w.now += SignedDuration::from_secs(600);
    assert!(matches!(w.automatic(true), Err(Refusal::NotApproved { .. })));
}

#[test]
fn an_emergency_needs_its_right_and_is_marked_on_the_gate_and_the_promotion() {
    let mut w = World::with_champion();
    w.advance_to(VersionStatus::InReview);
    w.open_gate().unwrap();
    for nobody in ["ann@example.com", "eve@example.com"] {
        assert!(matches!(w.skip(Stage::Approval, nobody), Err(Refusal::Forbidden { .. })), "{nobody}");
    }
    assert!(matches!(w.emergency(), Err(Refusal::NotApproved { .. })), "nobody skipped it");
    w.skip(Stage::Approval, "olga@example.com").unwrap();
    let promotion = w.running().unwrap().clone();
    assert_eq!(promotion.bypasses[0].reason, "it burns");
    let gate = w.gate_of(&promotion).unwrap();
    assert!(gate.status == GateStatus::Approved && gate.decisions[0].emergency);
    assert!(w.skip(Stage::Approval, "olga@example.com").is_err(), "once");
    w.shift(0).unwrap();
    assert!(
        matches!(w.crown(), Err(Refusal::Invalid { .. } | Refusal::NotApproved { .. })),
        "steps are left"
    );
    w.skip(Stage::Canary, "olga@example.com").unwrap();
    w.crown().unwrap();
    assert_eq!(w.versions[&v(2)].status, VersionStatus::Champion);
}

#[test]
fn an_approval_skipped_before_its_gate_opens_is_given_when_it_does() {
    let mut w = World::with_champion();
    w.start(2, 1).unwrap();
    w.skip(Stage::Approval, "olga@example.com").unwrap();
    w.advance_to(VersionStatus::InReview);
    w.open_gate().unwrap();
    w.emergency().unwrap();
    assert_eq!(w.versions[&v(2)].status, VersionStatus::Approved);
}

#[test]
fn a_decided_gate_is_orphaned_once_and_its_decision_stays() {
    let mut w = World::with_champion();
    w.advance_to(VersionStatus::InReview);
    w.open_gate().unwrap();
    let id = w.running().unwrap().gate.clone().unwrap();
    let orphan = |w: &World| change::orphan_gate(&w.context(), &w.gates[&id], "TaskTimedOut");
    assert!(matches!(w.act(orphan), Err(Refusal::Invalid { .. })), "it waits");
    approve(&mut w, "ann@example.com").unwrap();
    let decisions = w.gates[&id].decisions.clone();
    w.act(orphan).unwrap();
    assert_eq!(w.gates[&id].decisions, decisions);
    assert!(w.gates[&id].state_phrase().contains("orphaned"));
    assert!(matches!(w.act(orphan), Err(Refusal::Invalid { .. })), "once");
}

#[test]
fn settings_belong_to_the_owner_or_to_whoever_set_them() {
    let mut w = World::with_champion();
    let set = |w: &mut World, by: &str, rules: &Policy, platform: bool| {
        let by = actor(by);
        let rules = rules.clone();
        w.act(|w| {
            let in_force = &w.policies[&w.head.policy.as_ref().unwrap().number];
            let right = if platform { Right::Platform } else { Right::Owner(Some(in_force)) };
            change::set_policy(&Context { actor: &by, ..w.context() }, rules, &right)
        })
    };
    let mut owned = policy();
    owned.people[0].roles.insert(crate::policy::Role::Owner);
    let refused = set(&mut w, "eve@example.com", &owned, false);
    assert!(matches!(refused, Err(Refusal::Forbidden { .. })), "a function set it, so nobody else may");
    set(&mut w, "team@example.com", &owned, true).unwrap();
    assert!(matches!(set(&mut w, "team@example.com", &policy(), false), Err(Refusal::Forbidden { .. })));
    set(&mut w, "olga@example.com", &policy(), false).unwrap();
    set(&mut w, "OLGA@example.com", &owned, false).unwrap();
}
