//! What starts a promotion, on the running stack: events of training and of a CI system about one artifact start one promotion, and
//! an event that starts none waits with its reason until it is replayed. One that is for another stack is none of this one's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_artifacts::submission::testing::{gzip, tar};
use seatrial_domain::ModelName;
use seatrial_domain::gate::GateKind;
use seatrial_registry::Records;
use seatrial_tests::repository;
use seatrial_tests::stack::{Model, Stack, unique, until};
use serde_json::{Value, json};

/// What the parameter `TrainingArtifacts` of the suite's stack names.
const BUCKET: &str = "seatrial-e2e-training";

/// The files of the first fixture.
pub(crate) const FILES: [&str; 7] = [
    "CHANGELOG.md",
    "config.yaml",
    "data_manifest.txt",
    "eval_results.json",
    "model_card.md",
    "reference.parquet",
    "weights/model.onnx",
];

/// Leaves the first fixture behind, as a training job of this model would.
pub(crate) async fn train(stack: &Stack, model: &str) -> String {
    let folder = repository("tests/fixtures/submissions/v1");
    let mut files = Vec::new();
    for file in FILES {
        files.push((file, std::fs::read(folder.join(file)).unwrap()));
    }
    let archive = gzip(&tar(files.iter().map(|(path, content)| (*path, content.as_slice()))));
    // Whichever test comes first makes it; the account is the same.
    drop(stack.s3.create_bucket().bucket(BUCKET).send().await);
    let key = format!("jobs/{model}/output/model.tar.gz");
    let put = stack.s3.put_object().bucket(BUCKET).key(&key).body(archive.into());
    put.send().await.unwrap_or_else(|e| panic!("{BUCKET}/{key} cannot be written: {e:?}"));
    format!("s3://{BUCKET}/{key}")
}

/// An event of the fixtures, about this model and its artifact.
pub(crate) fn fixture(name: &str, model: &str, artifact: &str) -> Value {
    let path = repository("tests/fixtures/events").join(format!("{name}.json"));
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.replace("s3://training-artifacts/jobs/adult-income-7/output/model.tar.gz", artifact);
    let text = text.replace("s3://training-artifacts/jobs/", &format!("s3://{BUCKET}/jobs/"));
    let text = text.replace("\"adult-income-7\"", &format!("\"{model}\""));
    serde_json::from_str(&text.replace("\"adult-income\"", &format!("\"{model}\""))).unwrap()
}

/// Puts an event of ours on the bus, as any CI does.
pub(crate) async fn put_event(stack: &Stack, event: &Value) {
    let entry = json!({
        "Source": event["source"], "DetailType": event["detail-type"], "Detail": event["detail"].to_string(),
    });
    let answer = stack.call("events", "AWSEvents.PutEvents", &json!({ "Entries": [entry] })).await;
    assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
}

#[tokio::test]
async fn a_training_job_a_model_package_and_a_ci_start_one_promotion_of_one_artifact() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "trained", &json!({})).await;
    let name = model.name.as_str();
    let artifact = train(&stack, name).await;
    // AWS lets nobody but itself send events of SageMaker, and so does the engine: the function is given them by hand.
    let job = fixture("sagemaker-training-job", name, &artifact);
    let first = stack.invoke("Intake", &job).await.unwrap();
    assert_eq!(first["started"], true, "{first}");
    put_event(&stack, &fixture("ci-request", name, &artifact)).await;
    for event in [&job, &fixture("sagemaker-model-package", name, &artifact)] {
        let again = stack.invoke("Intake", event).await.unwrap();
        assert_eq!(again["promotion"], first["promotion"]);
    }
    let promotion = until("the promotion", 60, async || model.promotions().await.pop()).await;
    assert_eq!(first["promotion"], json!(promotion.id));
    let gate = model.gate(&promotion, GateKind::Approval).await;
    assert!(gate.submitted_by.starts_with("account/"), "{}", gate.submitted_by);
    let version = promotion.challenger.version;
    let version = stack.registry.version(&model.name, version).await.unwrap().unwrap();
    let from = version.artifact.expect("where it comes from");
    assert_eq!(from.address().to_string(), artifact);
    assert!(from.lineage.training_job.unwrap().ends_with("training-job/adult-income-7"));
    assert_eq!(from.lineage.hyperparameters["max_depth"], "3");
    let card = stack.run(&["card", name, &version.version.to_string()]).await;
    assert!(card.code == 0 && card.out.contains("training-job/adult-income-7"), "{}", card.out);
    assert_eq!(model.promotions().await.len(), 1, "three kinds of event, one promotion");
    assert_eq!(model.events().await.iter().filter(|e| *e == "version_packaged").count(), 1);
}

/// The events about `model` that wait.
pub(crate) async fn waiting(stack: &Stack, model: &str) -> Vec<Value> {
    let all = stack.cli(&["events", "list"]).await.json();
    let events = all["events"].as_array().cloned().unwrap();
    events.into_iter().filter(|e| e["event"]["detail"]["model"] == model).collect()
}

#[tokio::test]
async fn an_event_about_an_unknown_model_waits_with_its_reason_and_starts_its_promotion_when_it_is_replayed()
{
    let stack = Stack::connect().await;
    let name = unique("e2e-stranger");
    let artifact = train(&stack, &name).await;
    let event = fixture("ci-request", &name, &artifact);
    put_event(&stack, &event).await;
    put_event(&stack, &event).await;
    // An event is tried three times before it is given up.
    let dead = until("the event to be given up", 60, async || waiting(&stack, &name).await.pop()).await;
    let reason = dead["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("model {name} has no policy")), "{dead}");
    let id = dead["id"].as_str().unwrap();
    let refused = stack.cli(&["events", "replay", id]).await.error(5);
    assert_eq!(refused["code"], "still_refused");
    assert!(!waiting(&stack, &name).await.is_empty(), "what is refused stays");

    let model = Model { stack: &stack, name: ModelName::parse(&name).unwrap() };
    model.set_policy(&json!({})).await;
    let done = stack.cli(&["events", "replay", id]).await.json();
    assert_eq!(done["replayed"][0]["started"], true, "{done}");
    let promotion = until("the promotion", 60, async || model.promotions().await.pop()).await;
    assert_eq!(done["replayed"][0]["promotion"], json!(promotion.id));
    // Its twin is taken too, and starts nothing more.
    let twin = until("the twin to be given up", 60, async || waiting(&stack, &name).await.pop()).await;
    let twin = twin["id"].as_str().unwrap().to_owned();
    let again = stack.cli(&["events", "replay", &twin]).await.json();
    assert_eq!(again["replayed"][0]["promotion"], json!(promotion.id));
    assert!(waiting(&stack, &name).await.is_empty());
    let gone = stack.cli(&["events", "drop", &twin]).await.error(4);
    assert_eq!(gone["code"], "not_found");
    assert_eq!(model.promotions().await.len(), 1);
}

#[tokio::test]
async fn an_event_that_names_another_stack_starts_nothing_here_and_waits_nowhere() {
    let stack = Stack::connect().await;
    let name = unique("e2e-elsewhere");
    let artifact = train(&stack, &name).await;
    let own = stack.out("Stack");
    let other = format!("{own}-2");
    let mut ours = fixture("ci-request", &name, &artifact);
    ours["detail"]["stack"] = json!(own);
    // It would be a promotion of its own, by its attempt.
    let mut theirs = ours.clone();
    theirs["detail"]["stack"] = json!(other);
    theirs["detail"]["attempt"] = json!(2);

    // Nobody has set a policy here, so whatever is taken is given up. Ours is sent last.
    put_event(&stack, &theirs).await;
    put_event(&stack, &ours).await;
    let dead = until("our event to be given up", 60, async || {
        let dead = waiting(&stack, &name).await;
        let given_up = dead.iter().any(|e| e["event"]["detail"]["stack"] == own);
        given_up.then_some(dead)
    })
    .await;
    assert_eq!(dead.len(), 1, "what is another stack's waits here: {dead:?}");

    // With a policy, whatever is taken starts a promotion, and the first that comes holds the model.
    let model = Model { stack: &stack, name: ModelName::parse(&name).unwrap() };
    model.set_policy(&json!({})).await;
    put_event(&stack, &theirs).await;
    put_event(&stack, &ours).await;
    let promotion = until("our promotion", 60, async || model.promotions().await.pop()).await;
    let again = stack.cli(&["events", "replay", dead[0]["id"].as_str().unwrap()]).await.json();
    assert_eq!(again["replayed"][0]["promotion"], json!(promotion.id), "theirs was started: {again}");

    // The function looks by itself too: nothing but it sees the tags of a training job.
    let mut job = fixture("sagemaker-training-job", &name, &artifact);
    job["detail"]["Tags"]["seatrial:stack"] = json!(other);
    for event in [&theirs, &job] {
        let taken = stack.invoke("Intake", event).await.unwrap();
        assert_eq!(taken, json!({ "started": false }), "{event}");
    }
    job["detail"]["Tags"]["seatrial:stack"] = json!(own);
    let taken = stack.invoke("Intake", &job).await.unwrap();
    assert_eq!(taken["promotion"], json!(promotion.id), "{taken}");
    model.gate(&promotion, GateKind::Approval).await;
    assert_eq!(model.promotions().await.len(), 1);
    assert!(waiting(&stack, &name).await.is_empty());
}
