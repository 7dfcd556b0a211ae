//! Adoption: who may, when, and what follows.

use super::world::{World, actor, alias, evidence, policy};
use crate::change::{self, Right};
use crate::ids::{Actor, Auth, VersionName};
use crate::policy::{Person, Policy, Role};
use crate::promotion::{EvidenceKind, PromotionStatus};
use crate::refusal::Refusal;
use crate::route::Weight;
use crate::version::VersionStatus;

const OWEN: &str = "owen@example.com";
const SUE: &str = "sue@example.com";

fn v(n: u32) -> VersionName {
    VersionName::new(n)
}

fn person(email: &str, roles: &[Role]) -> Person {
    Person {
        email: email.into(),
        principals: vec![],
        roles: roles.iter().copied().collect(),
        emergency: false,
    }
}

/// A model whose owners are Owen and Sue, who also submits, with `n` versions of Sue's.
fn world(n: u32, change: impl FnOnce(&mut Policy)) -> World {
    let mut world = World::new();
    let mut rules = policy();
    rules.people.push(person(OWEN, &[Role::Owner]));
    rules.people.push(person(SUE, &[Role::Owner, Role::Submitter]));
    change(&mut rules);
    world.act(|w| change::set_policy(&w.context(), rules, &Right::Platform)).unwrap();
    for _ in 0..n {
        world.register();
    }
    world
}

#[test]
fn an_adopted_version_is_champion_at_once_and_nothing_else_changes() {
    let mut w = world(1, |_| {});
    let before = w.head.clone();
    w.adopt(1, &actor(OWEN)).unwrap();
    assert_eq!(w.head.champion().unwrap().version, v(1));
    assert_eq!(w.versions[&v(1)].status, VersionStatus::Champion);
    assert_eq!((w.head.epoch, w.head.running.clone()), (before.epoch + 1, None));
    assert_eq!((&w.head.standby, &w.head.route.challenger), (&None, &None));
    assert_eq!((w.head.route.weight, w.head.route.shadow), (Weight::ZERO, Weight::ZERO));
    assert_eq!(w.head.route.rows, policy().row_share(), "its answers are sampled like any champion's");
    let entry = w.entries.last().unwrap();
    assert_eq!((entry.event.as_str(), entry.actor.principal.as_str()), ("adopted", OWEN));
    assert_eq!(entry.details["comment"], "in use since May");
    assert_eq!(entry.details["champion"]["digest"], w.versions[&v(1)].digest.as_str());
    let record = &w.promotions[entry.promotion.as_ref().unwrap()];
    assert_eq!((record.status, record.verdict, &record.gate), (PromotionStatus::Adopted, None, &None));
    assert!(record.ended_at.is_some() && record.evidence.is_empty() && record.benchmark.is_none());
    assert!(record.reason.as_ref().unwrap().contains("no comparison was made"), "{record:?}");
    w.verify();
}

#[test]
fn an_adopted_reference_is_said_to_be_one() {
    let mut w = world(1, |_| {});
    let remote = crate::package::RemoteVersion::referring("arn:aws:lambda:…:7".into());
    w.versions.get_mut(&v(1)).unwrap().package.remote = Some(remote);
    w.adopt(1, &actor(OWEN)).unwrap();
    let said = w.promotions.values().next().unwrap().reason.clone().unwrap();
    assert!(said.contains("not byte-verified") && said.contains("arn:aws:lambda:…:7"), "{said}");
}

#[test]
fn the_next_version_is_tried_against_the_adopted_champion_and_a_rollback_brings_it_back() {
    let mut w = world(1, |_| {});
    w.adopt(1, &actor(OWEN)).unwrap();
    assert!(matches!(w.roll_back(), Err(Refusal::NoStandby { .. })), "there is nothing to go back to");
    w.register();
    w.start(2, 1).unwrap();
    assert_eq!(w.running().unwrap().champion.as_ref().unwrap().version, v(1));
    w.open_shadow().unwrap();
    w.record(EvidenceKind::Report, "report").unwrap();
    assert!(
        matches!(w.crown(), Err(Refusal::NotApproved { .. })),
        "an adoption approves nothing that follows"
    );
    while w.head.running.is_some() {
        w.advance().unwrap();
    }
    assert_eq!(w.head.standby.as_ref().unwrap().version, v(1));
    w.roll_back().unwrap();
    assert_eq!(w.head.champion().unwrap().version, v(1));
}

#[test]
fn a_model_with_a_champion_or_a_running_promotion_adopts_nothing() {
    let mut w = world(2, |_| {});
    w.start(1, 1).unwrap();
    assert!(matches!(w.adopt(2, &actor(OWEN)), Err(Refusal::Busy { .. })));
    while w.head.running.is_some() {
        w.advance().unwrap();
    }
    let refused = w.adopt(2, &actor(OWEN)).unwrap_err();
    assert!(matches!(&refused, Refusal::HasChampion { champion, .. } if *champion == v(1)));
    assert!(refused.to_string().contains("`seatrial promote m v2`"), "{refused}");
}

#[test]
fn what_a_promotion_has_judged_is_not_adopted() {
    let mut w = world(1, |_| {});
    w.start(1, 1).unwrap();
    w.end("worse").unwrap();
    let refused = w.adopt(1, &actor(OWEN)).unwrap_err();
    assert!(refused.to_string().contains("v1 of model m is rejected"), "{refused}");
    w.retire(1).unwrap();
    assert!(w.adopt(1, &actor(OWEN)).is_err());
}

#[test]
fn where_the_policy_names_a_target_an_adopted_version_has_a_name_there() {
    let mut w = world(1, |rules| rules.target = Some(alias()));
    let refused = w.adopt(1, &actor(OWEN)).unwrap_err().to_string();
    assert!(refused.contains("v1") && refused.contains("serving.lambda_version"), "{refused}");
    assert_eq!(w.head.champion(), None);
    w.name(1, "7");
    w.adopt(1, &actor(OWEN)).unwrap();
}

#[test]
fn an_owner_adopts_and_neither_whoever_submits_alone_nor_a_program() {
    let mut w = world(1, |rules| {
        rules.approval.separation_of_duties = false;
        rules.people.push(person("tom@example.com", &[Role::Submitter, Role::Operator, Role::Approver]));
    });
    for other in ["tom@example.com", "ann@example.com", "olga@example.com", "eve@example.com"] {
        assert!(matches!(w.adopt(1, &actor(other)), Err(Refusal::Forbidden { .. })), "{other}");
    }
    for nobody in [
        Actor { principal: OWEN.into(), auth: Auth::System },
        Actor { principal: "account/123456789012".into(), auth: Auth::Iam },
    ] {
        assert!(matches!(w.adopt(1, &nobody), Err(Refusal::Forbidden { .. })), "{nobody:?}");
    }
    w.adopt(1, &actor(SUE)).unwrap();
}

#[test]
fn where_duties_are_separated_another_owner_adopts_what_one_submitted() {
    let mut w = world(1, |rules| rules.approval.separation_of_duties = true);
    let refused = w.adopt(1, &actor(SUE)).unwrap_err();
    assert!(refused.to_string().contains("another owner adopts it"), "{refused}");
    assert!(w.adopt(1, &actor("sue+again@example.com")).is_err(), "one mailbox");
    w.versions.get_mut(&v(1)).unwrap().submitted_by = "account/1".into();
    let refused = w.adopt(1, &actor(OWEN)).unwrap_err().to_string();
    assert!(refused.contains("nobody in particular submitted it"), "it may be theirs: {refused}");
    assert!(refused.contains("change a line of CHANGELOG.md"), "the same files stay nobody's: {refused}");
    w.versions.get_mut(&v(1)).unwrap().submitted_by = SUE.into();
    w.adopt(1, &actor(OWEN)).unwrap();
}

#[test]
fn a_profile_that_asks_for_independent_review_separates_duties_in_an_adoption_too() {
    use crate::compliance::{ProfileName, Requirement};
    let asks = |p: &ProfileName| p.profile().rule(Requirement::IndependentReview).is_some();
    let profile = ProfileName::ALL.into_iter().find(asks).expect("a profile that asks for it");
    let mut w = world(1, |rules| rules.approval.separation_of_duties = true);
    let number = w.head.policy.as_ref().unwrap().number;
    let rules = &mut w.policies.get_mut(&number).unwrap().policy;
    rules.approval.separation_of_duties = false;
    rules.profile = profile;
    assert!(matches!(w.adopt(1, &actor(SUE)), Err(Refusal::Forbidden { .. })));
    w.adopt(1, &actor(OWEN)).unwrap();
}

#[test]
fn an_adoption_is_attested_like_a_promotion() {
    let mut w = world(1, |_| {});
    w.adopt(1, &actor(OWEN)).unwrap();
    let record = w.promotions.values().next().unwrap().clone();
    w.act(|w| change::attested(&w.context(), &record, evidence("manifest"), evidence("document"))).unwrap();
    let after = &w.promotions[&record.id];
    assert!(after.attested && after.status == PromotionStatus::Adopted);
}
