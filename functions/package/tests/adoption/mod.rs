//! A submission that was announced to be adopted.

use seatrial_artifacts::load_version;
use seatrial_domain::VersionName;
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::policy::{Person, Policy, Role};
use seatrial_domain::promotion::PromotionStatus;
use seatrial_domain::version::VersionStatus;
use seatrial_registry::Records;
use seatrial_runtime::label;

use crate::{World, policy};

const SUE: &str = "AROASUE";

/// Sue and Owen own the model, and duties are not separated.
fn owned() -> Policy {
    let person = |email: &str, principal: &str| Person {
        email: email.into(),
        principals: vec![principal.into()],
        roles: [Role::Owner].into(),
        emergency: false,
    };
    let mut rules = policy();
    rules.people = vec![person("sue@example.com", SUE), person("owen@example.com", "AROAOWEN")];
    rules.approval.separation_of_duties = false;
    rules
}

async fn world(rules: Policy) -> World {
    let world = World::new().await;
    world.ops().set_policy(&world.model, &rules).await.unwrap();
    world
}

#[tokio::test]
async fn a_submission_announced_to_be_adopted_is_champion_in_its_announcers_name() {
    let world = world(owned()).await;
    let task = world.anonymous("one", world.to_adopt("s1", SUE).await);
    let answer = world.packaged(&task).await.unwrap();
    assert!(answer.adopted);
    let head = world.registry.head(&world.model).await.unwrap().unwrap();
    let champion = head.champion().unwrap();
    assert_eq!((champion.version, &head.running), (VersionName::new(1), &None));
    load_version(&world.models, &world.model, &champion.digest).await.unwrap();
    let history = world.registry.history(&world.model, 0, 99).await.unwrap();
    let events: Vec<_> = history.iter().map(|e| e.event.as_str()).collect();
    assert_eq!(events, ["policy_set", "policy_set", "version_packaged", "adopted"]);
    assert_eq!(history[3].actor, Actor { principal: SUE.into(), auth: Auth::Iam });
    let record = world.registry.promotion(&world.model, &answer.held.promotion).await.unwrap().unwrap();
    assert_eq!(
        (record.status, record.execution.as_deref()),
        (PromotionStatus::Adopted, Some("arn:aws:states:r:1:execution:m:pr"))
    );

    // The task again, and the same files handed in again, are this adoption.
    let writes = world.s3.writes();
    assert_eq!(world.packaged(&task).await.unwrap(), answer);
    assert_eq!(world.s3.writes(), writes);
    let again = world.anonymous("two", world.to_adopt("s2", SUE).await);
    assert_eq!(world.packaged(&again).await.unwrap(), answer);
    assert_eq!(world.registry.history(&world.model, 0, 99).await.unwrap().len(), 4);
}

#[tokio::test]
async fn whoever_may_not_adopt_leaves_a_packaged_version_and_no_champion() {
    let mut separated = owned();
    separated.approval.separation_of_duties = true;
    let mut submitter = owned();
    submitter.people[0].roles = [Role::Submitter].into();
    for (rules, expected) in
        [(separated, "another owner adopts it"), (submitter, "its owners are owen@example.com")]
    {
        let world = world(rules).await;
        let task = world.anonymous("one", world.to_adopt("s1", SUE).await);
        let refused = world.packaged(&task).await.unwrap_err();
        assert_eq!(refused.label, label::INVALID);
        let says = |text: &str| refused.message.contains(text);
        assert!(says("v1 is packaged, but ") && says(expected), "{}", refused.message);
        let head = world.registry.head(&world.model).await.unwrap().unwrap();
        assert_eq!((head.champion(), &head.running), (None, &None));
        let version = world.registry.version(&world.model, VersionName::new(1)).await.unwrap().unwrap();
        assert_eq!(version.status, VersionStatus::Packaged);
    }
}

#[tokio::test]
async fn nothing_but_the_announcement_makes_an_adoption() {
    let world = world(owned()).await;
    // Requested in the owner's name, by whoever writes a task; announced to be promoted, or not at all.
    let mut task = world.task("one", Some(world.announce("s1", SUE).await), None);
    task.input.requested_by = Actor { principal: SUE.into(), auth: Auth::Iam };
    assert!(!world.packaged(&task).await.unwrap().adopted);
    let head = world.registry.head(&world.model).await.unwrap().unwrap();
    assert!(head.champion().is_none() && head.running.is_some());
}

#[tokio::test]
async fn what_was_replaced_after_it_was_announced_to_be_adopted_is_refused() {
    let world = world(owned()).await;
    let at = world.to_adopt("s1", SUE).await;
    let key = format!("{}CHANGELOG.md", at.prefix);
    let other = bytes::Bytes::from_static(b"# other");
    seatrial_artifacts::ObjectStore::put(&world.submissions, &key, other, "x").await.unwrap();
    let refused = world.packaged(&world.anonymous("one", at)).await.unwrap_err();
    assert_eq!(refused.label, label::INVALID_SUBMISSION);
    assert!(world.registry.versions(&world.model).await.unwrap().is_empty());
}
