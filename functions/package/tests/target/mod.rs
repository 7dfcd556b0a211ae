//! Versions of a model whose traffic somebody else splits.

use seatrial_domain::package::label::LAMBDA_VERSION;
use seatrial_domain::policy::{LambdaAlias, Target};

use super::*;

fn alias() -> Policy {
    let alias = LambdaAlias { function: "income".into(), alias: "live".into(), role: None };
    let mut policy = Policy { target: Some(Target::LambdaAlias(alias)), ..policy() };
    policy.approval.separation_of_duties = false;
    policy
}

/// The fixture, uploaded by hand with `serving` in its config.
async fn named(world: &World, id: &str, serving: &str) -> SubmissionRef {
    let prefix = format!("submissions/adult-income/{id}/");
    for file in
        ["eval_results.json", "data_manifest.txt", "weights/model.onnx", "config.yaml", "CHANGELOG.md"]
    {
        let mut bytes = std::fs::read(fixture().join(file)).unwrap();
        if file == "config.yaml" {
            bytes.extend_from_slice(serving.as_bytes());
        }
        if file == "CHANGELOG.md" {
            bytes = format!("# {id}\nOther words.\n").into_bytes();
        }
        world.submissions.put(&format!("{prefix}{file}"), Bytes::from(bytes), "x").await.unwrap();
    }
    SubmissionRef { bucket: world.submissions.bucket().to_owned(), prefix }
}

#[tokio::test]
async fn a_version_says_what_it_is_called_at_the_target_or_nothing_of_it_is_published() {
    let world = World::new().await;
    world.ops().set_policy(&world.model, &alias()).await.unwrap();
    for (id, serving, expected) in [
        ("none", "", "serving.lambda_version"),
        ("other", "serving: {variant: blue}\n", "serving.lambda_version"),
        ("latest", "serving: {lambda_version: \"$LATEST\"}\n", "the number of a published version"),
    ] {
        let task = world.task(id, Some(named(&world, id, serving).await), None);
        let refused = world.run(&task).await.unwrap_err();
        assert_eq!(refused.label, label::INVALID_SUBMISSION);
        assert!(refused.message.contains(expected), "{id}: {}", refused.message);
    }
    assert!(world.models.list("").await.unwrap().is_empty(), "no blob may be there");
    assert!(world.registry.versions(&world.model).await.unwrap().is_empty());
    let task = world.task("good", Some(named(&world, "good", "serving: {lambda_version: 7}\n").await), None);
    let held = world.run(&task).await.unwrap();
    let version = world.registry.version(&world.model, held.version).await.unwrap().unwrap();
    assert_eq!(version.package.labels[LAMBDA_VERSION], "7", "bound by the digest, as every label is");
}

#[tokio::test]
async fn a_version_without_a_name_there_cannot_be_promoted_again_after_the_target_came() {
    let world = World::new().await;
    let first = world.run(&world.task("one", Some(world.submit("s1").await), None)).await.unwrap();
    world.ops().end_promotion(&world.model, &first.promotion, first.epoch, "a test").await.unwrap();
    world.ops().set_policy(&world.model, &alias()).await.unwrap();
    let refused = world.run(&world.task("two", None, Some(first.version))).await.unwrap_err();
    assert!(refused.message.contains("serving.lambda_version"), "{}", refused.message);
    assert_eq!(world.registry.head(&world.model).await.unwrap().unwrap().running, None);
}

/// Crowns the promotion that holds the model.
async fn crown(world: &World, held: Held) {
    let scenario = Scenario { model: world.model.clone(), ..Scenario::empty(&world.registry) };
    let run = seatrial_registry::contract::Run { id: held.promotion, epoch: held.epoch };
    scenario.approve(&run).await;
    scenario.system().crown(&world.model, &run.id, run.epoch).await.unwrap();
}

#[tokio::test]
async fn a_version_that_is_called_like_the_champion_is_not_promoted_by_its_own_name_either() {
    let world = World::new().await;
    world.ops().set_policy(&world.model, &alias()).await.unwrap();
    // While nothing serves, both may be called so.
    for id in ["one", "two"] {
        let submission = named(&world, id, "serving: {lambda_version: 7}\n").await;
        let held = world.run(&world.task(id, Some(submission), None)).await.unwrap();
        world.ops().end_promotion(&world.model, &held.promotion, held.epoch, "a test").await.unwrap();
    }
    let champion = world.task("champion", None, Some(VersionName::new(1)));
    crown(&world, world.run(&champion).await.unwrap()).await;
    let late = world.task("late", None, Some(VersionName::new(2)));
    let refused = world.run(&late).await.unwrap_err();
    assert!(refused.message.contains("v1 and v2 are both called \"7\""), "{}", refused.message);
    assert_eq!(world.registry.head(&world.model).await.unwrap().unwrap().running, None);
}

#[tokio::test]
async fn no_two_versions_that_serve_share_a_name_there() {
    let world = World::new().await;
    // The champion is function version 7.
    world.ops().set_policy(&world.model, &alias()).await.unwrap();
    let task = world.task("one", Some(named(&world, "one", "serving: {lambda_version: 7}\n").await), None);
    let held = world.run(&task).await.unwrap();
    crown(&world, held).await;
    let same = world.task("two", Some(named(&world, "two", "serving: {lambda_version: 7}\n").await), None);
    let refused = world.run(&same).await.unwrap_err();
    assert_eq!(refused.label, label::INVALID_SUBMISSION);
    assert!(refused.message.contains("`7`, which is v1"), "{}", refused.message);
    let other =
        world.task("three", Some(named(&world, "three", "serving: {lambda_version: 8}\n").await), None);
    assert_eq!(world.run(&other).await.unwrap().version, VersionName::new(2));
}
