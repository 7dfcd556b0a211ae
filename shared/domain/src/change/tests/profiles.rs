//! What a compliance profile asks for, enforced where a promotion takes the model and where people are passed over.

use super::world::{World, actor, policy};
use crate::canonical::sha256;
use crate::change::{self, Context, PolicyRecord, Request, Right};
use crate::compliance::{self, Facts, ProfileName, Requirement};
use crate::head::BenchmarkRef;
use crate::ids::{Actor, PromotionId, VersionName};
use crate::package::{Blob, REFERENCE};
use crate::policy::{ApprovalMode, Explanations, Inventory, Policy, Risk};
use crate::promotion::Stage;
use crate::refusal::Refusal;
use crate::version::VersionStatus;

/// A policy that has everything its profile asks of a policy.
fn under(profile: ProfileName) -> Policy {
    let mut rules = Policy { profile, protected: vec!["sex".into()], ..policy() };
    rules.explanations = Some(Explanations::default());
    rules.inventory = Some(Inventory {
        owner: "Credit risk".into(),
        purpose: "p".into(),
        intended_use: "u".into(),
        risk: Risk::High,
        ..Inventory::default()
    });
    rules
}

fn set(w: &mut World, rules: Policy) {
    w.act(|w| change::set_policy(&w.context(), rules, &Right::Owner(None))).unwrap();
}

fn benchmark(w: &mut World) {
    let benchmark = BenchmarkRef {
        digest: sha256(b"benchmark"),
        key: "m/benchmarks/sha256/x".into(),
        size: 1,
        set_at: w.now,
    };
    w.act(|w| change::set_benchmark(&w.context(), benchmark, &Right::Owner(None))).unwrap();
}

/// A model with a champion whose next version brings a sample, a benchmark, and a policy under `profile`.
fn ready(profile: ProfileName) -> World {
    let mut w = World::with_champion();
    let sample = Blob { digest: sha256(b"sample"), size: 1 };
    w.versions.get_mut(&VersionName::new(2)).unwrap().package.files.insert(REFERENCE.into(), sample);
    benchmark(&mut w);
    set(&mut w, under(profile));
    w
}

fn unmet(refused: Result<(), Refusal>) -> Vec<Requirement> {
    match refused {
        Err(Refusal::ProfileUnmet { missing, .. }) => missing.into_iter().map(|m| m.item).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn with_everything_there_a_promotion_starts_under_each_profile_and_carries_its_name() {
    for profile in ProfileName::ALL {
        let mut w = ready(profile);
        w.start(2, 1).unwrap();
        assert_eq!(w.running().unwrap().profile, profile);
    }
}

#[test]
fn what_was_there_when_it_was_looked_at_is_asked_for_again_when_the_model_is_taken() {
    let mut w = ready(ProfileName::EuAiAct);
    let looked_at: PolicyRecord = w.policies[&w.head.policy.as_ref().unwrap().number].clone();
    let facts =
        Facts { policy: &looked_at.policy, benchmark: true, reference: Some(true), skips_approval: false };
    assert_eq!(compliance::missing(ProfileName::EuAiAct.profile(), &facts), vec![]);

    // Meanwhile the owner sets another policy.
    set(&mut w, Policy { explanations: None, ..under(ProfileName::EuAiAct) });
    assert_eq!(unmet(w.start(2, 1)), [Requirement::Explanations]);
    assert_eq!((w.running(), w.versions[&VersionName::new(2)].status), (None, VersionStatus::Packaged));

    // Whoever still holds the earlier record does not get past by it.
    let id = PromotionId::derive(&w.head.model, "v2", 1);
    let asker = Actor::function("intake");
    let stale = w.act(|w| {
        let version = &w.versions[&VersionName::new(2)];
        let request = Request::new(&asker, None);
        change::start_promotion(&w.context(), &id, version, &looked_at, &w.serving(), &request)
    });
    assert!(
        matches!(stale, Err(Refusal::Invalid { ref why }) if why.contains("not the one in force")),
        "{stale:?}"
    );
}

#[test]
fn without_a_benchmark_or_a_sample_nothing_starts() {
    let mut w = ready(ProfileName::EuAiAct);
    w.head.benchmark = None;
    let all = [Requirement::Benchmark, Requirement::FairnessAudit, Requirement::Explanations];
    assert_eq!(unmet(w.start(2, 1)), all);
    let mut w = ready(ProfileName::EuAiAct);
    w.versions.get_mut(&VersionName::new(2)).unwrap().package.files.clear();
    assert_eq!(unmet(w.start(2, 1)), [Requirement::Explanations]);
}

#[test]
fn an_approval_that_a_profile_asks_people_for_is_skipped_neither_at_the_start_nor_later() {
    for profile in [ProfileName::RbiFreeAi, ProfileName::Sr262, ProfileName::EuAiAct] {
        let mut w = ready(profile);
        let olga = actor("olga@example.com");
        let id = PromotionId::derive(&w.head.model, "v2", 1);
        let skipping = |w: &World, stage| {
            let emergency = crate::task::Emergency { skip: vec![stage], reason: "it burns".into() };
            let policy = &w.policies[&w.head.policy.as_ref().unwrap().number];
            let version = &w.versions[&VersionName::new(2)];
            let context = Context { actor: &olga, ..w.context() };
            let request = Request { emergency: Some(&emergency), ..Request::new(&olga, None) };
            change::start_promotion(&context, &id, version, policy, &w.serving(), &request)
        };
        let refused = w.act(|w| skipping(w, Stage::Approval));
        let rule = profile.profile().rule(Requirement::AccountableApprover).unwrap();
        assert!(refused.as_ref().unwrap_err().to_string().contains(rule), "{refused:?}");
        assert!(unmet(refused).contains(&Requirement::AccountableApprover));

        // What does not touch the deciding may be skipped.
        w.act(|w| skipping(w, Stage::Shadow)).unwrap();
        assert!(
            unmet(w.skip(Stage::Approval, "olga@example.com")).contains(&Requirement::AccountableApprover)
        );
        assert_eq!(w.running().unwrap().bypass(Stage::Approval), None);
    }
}

#[test]
fn a_rollback_asks_for_nothing_whatever_the_profile() {
    let mut w = World::with_champion();
    w.promote(2, 1);
    let mut bare = Policy { profile: ProfileName::EuAiAct, ..policy() };
    bare.approval.mode = ApprovalMode::AutoUnlessBlocked;
    set(&mut w, bare);
    assert!(!unmet(w.start(1, 2)).is_empty());
    w.roll_back().unwrap();
    assert_eq!(w.head.champion().unwrap().version, VersionName::new(1));
}

#[test]
fn a_policy_that_comes_into_force_meanwhile_takes_nothing_back_that_the_profile_asked_for() {
    let mut w = ready(ProfileName::Sr262);
    w.advance_to(VersionStatus::InReview);
    w.open_gate().unwrap();
    let mut loose = policy();
    loose.approval.separation_of_duties = false;
    loose.people[0].principals.push("sue@example.com".into());
    loose.people[0].roles.insert(crate::policy::Role::Approver);
    set(&mut w, loose);
    let own = w.decide(&actor("sue@example.com"), true);
    assert!(matches!(own, Err(Refusal::Forbidden { .. })), "{own:?}");
    assert!(unmet(w.skip(Stage::Approval, "olga@example.com")).contains(&Requirement::AccountableApprover));
    w.decide(&actor("ann@example.com"), true).unwrap();
    assert_eq!(w.versions[&VersionName::new(2)].status, VersionStatus::Approved);
}

#[test]
fn an_approval_does_not_come_by_itself_to_a_promotion_that_a_person_must_answer_for() {
    let access = Policy { approval: auto(), ..policy() }.access();
    assert!(access.automatic && access.held_to(ProfileName::Default).automatic);
    assert!(!access.held_to(ProfileName::EuAiAct).automatic);
    // And a profile never takes a rule away that the policy has.
    let strict = policy().access();
    for profile in ProfileName::ALL {
        assert!(strict.held_to(profile).separation_of_duties && !strict.held_to(profile).automatic);
    }
}

fn auto() -> crate::policy::Approval {
    crate::policy::Approval { mode: ApprovalMode::AutoUnlessBlocked, ..policy().approval }
}
