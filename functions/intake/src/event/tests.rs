use serde_json::json;

use super::*;

fn readable() -> Readable {
    Readable::parse(["arn:aws:s3:::training-artifacts/jobs/*"]).unwrap()
}

fn asked(event: Value) -> Result<Option<Asked>, Failure> {
    read(event, Places { submissions: "submissions", readable: &readable() })
}

fn refused(event: Value) -> String {
    let failure = asked(event).unwrap_err();
    assert!(!failure.is_transient(), "{failure}");
    failure.message
}

fn fixture(name: &str) -> Value {
    let path = format!("{}/../../tests/fixtures/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn artifact(asked: Asked) -> (String, Lineage) {
    match asked.what {
        What::Artifact { at, lineage } => (at.to_string(), *lineage),
        other => panic!("{other:?}"),
    }
}

const ARCHIVE: &str = "s3://training-artifacts/jobs/adult-income-7/output/model.tar.gz";

#[test]
fn a_complete_submission_asks_for_its_promotion() {
    let asked = asked(fixture("s3-submission")).unwrap().unwrap();
    assert_eq!(asked.model.as_str(), "adult-income");
    assert_eq!(asked.requested_by, Actor { principal: "account/123456789012".into(), auth: Auth::Iam });
    let What::Submission { folder, id, state } = asked.what else { panic!() };
    assert_eq!((folder.prefix.as_str(), id.as_str()), ("submissions/adult-income/s1/", "s1"));
    assert_eq!(state.as_deref(), Some("IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"));
}

#[test]
fn without_versions_the_sequencer_tells_uploads_apart() {
    let mut event = fixture("s3-submission");
    event["detail"]["object"]["version-id"].take();
    let Some(Asked { what: What::Submission { state, .. }, .. }) = asked(event).unwrap() else { panic!() };
    assert_eq!(state.as_deref(), Some("b1946ac92492d2347c6235b4d2611184#617f08299329d189"));
}

#[test]
fn other_objects_and_other_buckets_ask_for_nothing() {
    let with = |bucket: &str, key: &str| {
        let mut event = fixture("s3-submission");
        event["detail"]["bucket"]["name"] = json!(bucket);
        event["detail"]["object"]["key"] = json!(key);
        asked(event)
    };
    for key in [
        "submissions/m/s1/config.yaml",
        "submissions/m/submission.json",
        "submissions/m/s1/weights/submission.json",
        "unpacked/m/s1/submission.json",
        "submissions/m//submission.json",
    ] {
        assert_eq!(with("submissions", key).unwrap(), None, "{key}");
    }
    assert_eq!(with("another", "submissions/m/s1/submission.json").unwrap(), None);
    assert!(with("submissions", "submissions/Not A Model/s1/submission.json").is_err());
}

#[test]
fn a_completed_training_job_asks_with_what_it_left_behind_and_where_that_comes_from() {
    let asked = asked(fixture("sagemaker-training-job")).unwrap().unwrap();
    assert_eq!((asked.model.as_str(), asked.attempt), ("adult-income", None));
    assert_eq!(asked.requested_by.principal, "account/123456789012");
    let (at, lineage) = artifact(asked);
    assert_eq!(at, ARCHIVE, "where SageMaker puts it by its documentation");
    assert_eq!(
        lineage.training_job.as_deref(),
        Some("arn:aws:sagemaker:us-east-1:123456789012:training-job/adult-income-7")
    );
    assert_eq!(lineage.image.as_deref(), Some("123456789012.dkr.ecr.us-east-1.amazonaws.com/train:3"));
    assert_eq!(lineage.hyperparameters["max_depth"], "3");
    assert_eq!(lineage.inputs["train"], "s3://training-data/adult/train/");
    assert_eq!(lineage.started_at.unwrap().as_millisecond(), 1_795_175_949_050);
    assert_eq!(lineage.ended_at.unwrap().as_millisecond(), 1_795_177_573_000);
}

#[test]
fn where_the_event_names_the_artifact_that_counts() {
    let mut event = fixture("sagemaker-training-job");
    event["detail"]["ModelArtifacts"] = json!({ "S3ModelArtifacts": "s3://elsewhere/x/model.tar.gz" });
    assert_eq!(artifact(asked(event.clone()).unwrap().unwrap()).0, "s3://elsewhere/x/model.tar.gz");
    event["detail"]["ModelArtifacts"]["S3ModelArtifacts"] = json!("s3://elsewhere/x/output/model/");
    assert!(refused(event.clone()).contains("CompressionType GZIP"));
    event["detail"]["ModelArtifacts"].take();
    event["detail"]["OutputDataConfig"].take();
    assert!(refused(event).contains("neither ModelArtifacts nor OutputDataConfig"));
}

#[test]
fn a_job_that_failed_or_is_not_tagged_asks_for_nothing_and_a_wrong_tag_is_told() {
    let with = |status: &str, tags: Value| {
        let mut event = fixture("sagemaker-training-job");
        event["detail"]["TrainingJobStatus"] = json!(status);
        event["detail"]["Tags"] = tags;
        event
    };
    let tagged = json!({ "seatrial:model": "adult-income" });
    for status in ["InProgress", "Failed", "Stopping", "Stopped"] {
        assert_eq!(asked(with(status, tagged.clone())).unwrap(), None, "{status}");
    }
    for tags in [json!({}), json!({ "model": "adult-income" }), json!([]), Value::Null] {
        assert_eq!(asked(with("Completed", tags.clone())).unwrap(), None, "{tags}");
    }
    for tags in [
        json!([{ "Key": "team", "Value": "x" }, { "Key": "seatrial:model", "Value": "adult-income" }]),
        json!([{ "key": "seatrial:model", "value": "adult-income" }]),
    ] {
        assert!(asked(with("Completed", tags)).unwrap().is_some(), "the form of the API");
    }
    let wrong = refused(with("Completed", json!({ "seatrial:model": "Adult Income" })));
    assert!(wrong.contains("seatrial:model of training job adult-income-7"), "{wrong}");
}

#[test]
fn an_approved_model_package_asks_in_the_name_of_its_group_or_of_its_metadata() {
    let event = fixture("sagemaker-model-package");
    let asked_by_group = asked(event.clone()).unwrap().unwrap();
    assert_eq!(asked_by_group.model.as_str(), "adult-income");
    let (at, lineage) = artifact(asked_by_group);
    assert_eq!(at, ARCHIVE);
    assert!(lineage.model_package.unwrap().ends_with("model-package/adult-income/7"));
    assert!(lineage.generated_by.unwrap().ends_with("execution/4r83jejmhorv"));
    assert_eq!(lineage.ended_at.unwrap().to_string(), "2026-11-20T13:00:14Z");
    let mut named = event;
    named["detail"]["CustomerMetadataProperties"] = json!({ "seatrial:model": "other" });
    assert_eq!(asked(named).unwrap().unwrap().model.as_str(), "other");
}

#[test]
fn a_package_that_waits_or_is_rejected_asks_for_nothing() {
    for status in [json!("PendingManualApproval"), json!("Rejected"), Value::Null] {
        let mut event = fixture("sagemaker-model-package");
        event["detail"]["ModelApprovalStatus"] = status.clone();
        assert_eq!(asked(event).unwrap(), None, "{status}");
    }
    let mut failed = fixture("sagemaker-model-package");
    failed["detail"]["ModelPackageStatus"] = json!("Failed");
    assert_eq!(asked(failed).unwrap(), None);
}

#[test]
fn another_teams_package_asks_for_nothing_unless_it_says_otherwise() {
    let mut event = fixture("sagemaker-model-package");
    let container = json!({ "ModelDataUrl": "s3://another-team/model.tar.gz" });
    event["detail"]["InferenceSpecification"]["Containers"] = json!([container]);
    assert_eq!(asked(event.clone()).unwrap(), None);
    let mut without_archive = event.clone();
    without_archive["detail"]["InferenceSpecification"].take();
    assert_eq!(asked(without_archive.clone()).unwrap(), None);
    let meant = |mut event: Value| {
        event["detail"]["CustomerMetadataProperties"] = json!({ "seatrial:model": "adult-income" });
        event
    };
    assert!(asked(meant(event.clone())).unwrap().is_some(), "that it may not be read is told later");
    assert!(refused(meant(without_archive)).contains("ModelDataUrl"));
    event["detail"]["InferenceSpecification"]["Containers"] = json!([container, container]);
    assert!(refused(meant(event)).contains("more than one"));
    let mut odd = fixture("sagemaker-model-package");
    odd["detail"]["ModelPackageGroupName"] = json!("AdultIncome");
    assert!(refused(odd).contains("name the model by seatrial:model"));
}

#[test]
fn times_have_every_form_that_sagemaker_gives_them() {
    let mut event = fixture("sagemaker-training-job");
    for (form, read) in [
        (json!("1795177573000"), true),
        (json!(1_795_177_573_000_u64), true),
        (json!(1_795_177_573_000.0), true),
        (json!("2026-11-20T12:26:13Z"), true),
        (json!("yesterday"), false),
        (json!(1e300), false),
        (Value::Null, false),
    ] {
        event["detail"]["TrainingEndTime"] = form.clone();
        let lineage = artifact(asked(event.clone()).unwrap().unwrap()).1;
        assert_eq!(lineage.ended_at.is_some(), read, "{form}");
    }
}

#[test]
fn any_ci_may_ask() {
    let asked = asked(fixture("ci-request")).unwrap().unwrap();
    assert_eq!(asked.requested_by.principal, "account/123456789012");
    let (at, lineage) = artifact(asked);
    assert_eq!(at, ARCHIVE);
    assert_eq!(lineage.generated_by.as_deref(), Some("https://ci.example.com/runs/4711"));
}

fn request(detail: &Value) -> Value {
    let mut event = fixture("ci-request");
    event["detail"] = detail.clone();
    event
}

#[test]
fn an_event_names_a_stack_in_the_place_that_its_sender_can_write() {
    for name in ["ci-request", "sagemaker-training-job", "sagemaker-model-package", "s3-submission"] {
        assert_eq!(stack_of(&fixture(name)), None, "{name}");
    }
    let with = |name: &str, field: &str, value: Value| {
        let mut event = fixture(name);
        event["detail"][field] = value;
        event
    };
    let (tag, list) = (json!({ "seatrial:stack": "a" }), json!([{ "Key": "seatrial:stack", "Value": "a" }]));
    for event in [
        with("ci-request", "stack", json!("a")),
        with("sagemaker-training-job", "Tags", tag.clone()),
        with("sagemaker-training-job", "Tags", list),
        with("sagemaker-model-package", "CustomerMetadataProperties", tag.clone()),
        with("sagemaker-model-package", "Tags", tag.clone()),
    ] {
        assert_eq!(stack_of(&event), Some("a"), "{event}");
    }
    for event in [
        with("s3-submission", "stack", json!("a")),
        with("sagemaker-training-job", "stack", json!("a")),
        with("ci-request", "Tags", tag),
        json!("text"),
        json!({}),
    ] {
        assert_eq!(stack_of(&event), None, "{event}");
    }
}

#[test]
fn a_request_for_a_stack_asks_for_the_same_as_one_for_any() {
    let any = fixture("ci-request");
    let mut named = any.clone();
    named["detail"]["stack"] = json!("seatrial");
    assert_eq!(asked(named).unwrap(), asked(any).unwrap());
}

#[test]
fn nobody_is_who_they_say_in_an_events_body() {
    let detail = json!({ "schema": 1, "model": "m", "version": "v2", "requested_by": { "principal": "AROA", "auth": "iam" } });
    let mut event = request(&detail);
    event["account"] = json!("");
    assert_eq!(asked(event).unwrap().unwrap().requested_by.principal, "account/unknown");
}

#[test]
fn what_is_not_taken_says_what_is() {
    for (detail, word) in [
        (json!({ "schema": 1, "model": "m" }), "either"),
        (json!({ "schema": 1, "model": "m", "version": "v1", "artifact": "s3://b/k" }), "either"),
        (json!({ "schema": 2, "model": "m", "version": "v1" }), "schema 2"),
        (json!({ "schema": 1, "model": "M!", "version": "v1" }), "model name"),
        (json!({ "schema": 1, "model": "m", "version": "v1", "attempt": 0 }), "from 1"),
        (json!({ "schema": 1, "model": "m", "version": "v1", "generated_by": "x" }), "without the artifact"),
        (json!({ "schema": 1, "model": "m", "version": "v1", "emergency": {} }), "emergency"),
        (json!({ "schema": 1, "model": "m", "version": "v1", "stack": ["a", "b"] }), "expected a string"),
        (json!({ "schema": 1, "model": "m", "artifact": "s3://b" }), "s3://<bucket>/<key>"),
        (json!({ "schema": 1, "model": "m", "submission": { "bucket": "x", "prefix": "p/" } }), "bucket x"),
        (
            json!({ "schema": 1, "model": "m", "submission": { "bucket": "submissions", "prefix": "submissions/other/s1/" } }),
            "expected submissions/m/<id>/",
        ),
    ] {
        let message = refused(request(&detail));
        assert!(message.contains(word), "{message}");
    }
    for (source, kind) in [
        ("aws.sagemaker", "SageMaker Endpoint State Change"),
        ("aws.s3", "Seatrial Promotion Requested"),
        ("com.example.ci", "Something"),
    ] {
        let mut event = fixture("ci-request");
        event["source"] = json!(source);
        event["detail-type"] = json!(kind);
        assert!(refused(event).contains("Seatrial Promotion Requested"), "{source}");
    }
    let mut odd = fixture("sagemaker-training-job");
    odd["detail"] = json!({});
    assert!(refused(odd).contains("TrainingJobName"));
    assert!(asked(json!("text")).is_err());
}

#[test]
fn an_emulators_account_is_no_checked_identity() {
    assert_eq!(account("000000000000").auth, Auth::Local);
    assert_eq!(account("").principal, "account/unknown");
}
