//! What the state machines send and read, against the types in `seatrial_domain::task`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_domain::promotion::PromotionStatus;
use seatrial_domain::route::Weight;
use seatrial_domain::task::{
    AttestTask, Attested, CompareTask, Compared, Crowned, Evaluated, Frozen, GateAnswer, GateOutcome,
    GateTask, HealthAnswer, HealthState, HealthTask, Held, HeldTask, InLine, PackageTask, Packaged,
    PromotionInput, RollbackTask, RolledBack, SCHEMA, ShadowCheck, ShadowState, ShiftTask, Shifted,
    Summarised, Taken,
};
use seatrial_domain::{PromotionId, Verdict};
use seatrial_tests::asl;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn held() -> Held {
    let model = "credit".parse().unwrap();
    let promotion = PromotionId::derive(&model, "sha256:00", 1);
    Held { schema: SCHEMA, model, promotion, epoch: 7, version: "v2".parse().unwrap() }
}

fn input() -> Value {
    let Held { model, promotion, .. } = held();
    json!({
        "schema": SCHEMA, "model": model, "promotion": promotion, "submission": { "bucket": "b", "prefix": "submissions/credit/1/" },
        "version": null, "requested_by": { "principal": "ann@example.com", "auth": "iam" },
    })
}

/// The payload of a task with every variable set to something fitting.
///
/// The machines build payloads in two ways only: `$held`, or `$merge([base, {'key': value, …}])`.
fn payload(expression: &str) -> Value {
    let held = json!(held());
    if expression == "$held" {
        return held;
    }
    let inner = expression
        .strip_prefix("$merge([")
        .and_then(|e| e.strip_suffix("])"))
        .unwrap_or_else(|| panic!("{expression}"));
    let (base, pairs) = inner.split_once(", {").unwrap();
    let mut all = if base == "$held" { held } else { input() };
    assert!(base == "$held" || base == "$states.input", "{expression}");
    for pair in pairs.trim_end_matches('}').split(", '") {
        let (key, value) = pair.split_once(':').unwrap();
        let value = match value.trim() {
            text if text.starts_with('\'') => json!(text.trim_matches('\'')),
            "$step" => json!(1),
            "$states.input" => json!(3),
            "$reason" => json!("the report fails"),
            "$states.context.Task.Token" => json!("AAAA+/="),
            "true" => json!(true),
            "$states.context.Execution.Id" => json!("arn:aws:states:eu-west-1:000000000000:execution:p:e"),
            other => panic!("{expression}: what is {other}?"),
        };
        all[key.trim_matches('\'')] = value;
    }
    all
}

/// The type takes the payload, and knows every field of it.
fn fits<T: DeserializeOwned + Serialize>(at: &str, payload: &Value) {
    let read: T = serde_json::from_value(payload.clone())
        .unwrap_or_else(|e| panic!("{at}: {payload} does not fit: {e}"));
    let again = serde_json::to_value(read).unwrap();
    for (field, value) in payload.as_object().unwrap() {
        assert_eq!(&again[field], value, "{at}: the function does not know the field {field}");
    }
}

#[test]
fn every_payload_fits_the_function_that_gets_it() {
    let mut checked = 0;
    for machine in asl::machines().unwrap() {
        for (name, task) in machine.tasks() {
            let at = format!("{}: {name}", machine.name);
            let Some(function) = task["Arguments"]["FunctionName"].as_str() else { continue };
            let sent = payload(asl::expression(task["Arguments"]["Payload"].as_str().unwrap()).unwrap());
            match function {
                "${PackageFunction}" => fits::<PackageTask>(&at, &sent),
                "${EvaluateFunction}" | "${CrownFunction}" | "${AttestFunction}" => {
                    fits::<HeldTask>(&at, &sent);
                }
                "${ShiftFunction}" => fits::<ShiftTask>(&at, &sent),
                "${CompareFunction}" => fits::<CompareTask>(&at, &sent),
                "${GateFunction}" => {
                    fits::<GateTask>(&at, &sent);
                    let waits = task["Resource"].as_str().unwrap().ends_with(".waitForTaskToken");
                    assert_eq!(
                        waits,
                        sent["task_token"].is_string(),
                        "{at}: a token is sent where one is waited for"
                    );
                }
                "${HealthFunction}" => fits::<HealthTask>(&at, &sent),
                "${RollbackFunction}" => fits::<RollbackTask>(&at, &sent),
                other => panic!("{at}: what does {other} take?"),
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 16, "tasks of both machines that call a function");
    fits::<PromotionInput>("the input of a promotion", &input());
    let machine = asl::machine("promotion").unwrap();
    let map = machine.states()["CountPartitions"];
    assert!(map["ItemSelector"].is_null(), "the input of an iteration is a number of a partition");
    let task = &map["ItemProcessor"]["States"]["CountPartition"];
    assert_eq!(task["Arguments"]["FunctionName"], "${CompareFunction}");
    let one = payload(asl::expression(task["Arguments"]["Payload"].as_str().unwrap()).unwrap());
    fits::<CompareTask>("one partition", &one);
}

/// An answer as the function of a task gives it, every field there.
fn answer(task: &Value) -> Value {
    let why = || "because".to_owned();
    let sent = payload(asl::expression(task["Arguments"]["Payload"].as_str().unwrap()).unwrap());
    let value = match (
        task["Arguments"]["FunctionName"].as_str().unwrap(),
        sent["action"].as_str().unwrap_or_default(),
    ) {
        ("${PackageFunction}", _) => {
            serde_json::to_value(Packaged::Taken(Taken { held: held(), adopted: false }))
        }
        ("${EvaluateFunction}", _) => {
            serde_json::to_value(Evaluated { verdict: Verdict::Pass, shadow: true, first: false, why: why() })
        }
        ("${ShiftFunction}", _) => {
            serde_json::to_value(Shifted { weight: Weight::ZERO, steps: 4, wait_seconds: 5 })
        }
        ("${CompareFunction}", "check_shadow") => {
            serde_json::to_value(ShadowCheck { state: ShadowState::More, wait_seconds: 5, why: why() })
        }
        ("${CompareFunction}", "freeze") => {
            serde_json::to_value(Frozen { frozen: true, wait_seconds: 0, parts: vec![0] })
        }
        ("${CompareFunction}", "summarise") => serde_json::to_value(Summarised { part: 0, pairs: 1 }),
        ("${CompareFunction}", _) => serde_json::to_value(Compared {
            verdict: Verdict::Pass,
            why: why(),
            approval_wait_seconds: seatrial_domain::task::LONGEST_WAIT_SECONDS,
        }),
        ("${GateFunction}", _) => {
            serde_json::to_value(GateAnswer { outcome: GateOutcome::Approved, why: why(), wait_seconds: 0 })
        }
        ("${HealthFunction}", _) => {
            serde_json::to_value(HealthAnswer { state: HealthState::Healthy, wait_seconds: 5, why: why() })
        }
        ("${CrownFunction}", _) => serde_json::to_value(Crowned { champion: held().version, standby: None }),
        ("${RollbackFunction}", _) => serde_json::to_value(RolledBack {
            status: PromotionStatus::Aborted,
            ended_now: true,
            reason: why(),
        }),
        ("${AttestFunction}", _) => serde_json::to_value(Attested {
            manifest: "m".into(),
            objects: 1,
            status: PromotionStatus::Crowned,
        }),
        (other, _) => panic!("what does {other} answer?"),
    };
    value.unwrap()
}

#[test]
fn inputs_of_before_there_were_artifacts_are_still_read_and_newer_ones_come_through_whole() {
    let before = input();
    let read: PromotionInput = serde_json::from_value(before.clone()).unwrap();
    assert_eq!(read.artifact, None);
    assert_eq!(serde_json::to_value(&read).unwrap(), before, "no field is added to what names none");
    let mut newer = before;
    newer["submission"] = Value::Null;
    newer["artifact"] = json!({
        "bucket": "training-artifacts", "key": "jobs/7/output/model.tar.gz", "etag": "\"e\"", "version": "v",
        "lineage": { "training_job": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/7" },
    });
    fits::<PromotionInput>("a promotion of an artifact", &newer);
    newer["execution"] = json!("arn:aws:states:eu-west-1:000000000000:execution:p:e");
    fits::<PackageTask>("its task", &newer);
}

#[test]
fn who_waits_asks_again_with_what_the_answer_says() {
    let again: PromotionInput = serde_json::from_value(input()).unwrap();
    let line = Packaged::InLine(Box::new(InLine { schema: SCHEMA, wait_seconds: 30, again }));
    let sent = serde_json::to_value(&line).unwrap();
    assert_eq!(serde_json::from_value::<Packaged>(sent.clone()).unwrap(), line);
    let held = Packaged::Taken(Taken { held: held(), adopted: false });
    assert_eq!(serde_json::from_value::<Packaged>(json!(held)).unwrap(), held, "and no word for the other");
    let promotion = asl::machine("promotion").unwrap();
    let states = promotion.states();
    let (judge, wait) = (&states["JudgePackage"], &states["AwaitModel"]);
    assert_eq!(judge["Choices"][0]["Condition"], "{% $exists($held.again) %}");
    assert!(sent["again"].is_object() && json!(held)["again"].is_null());
    assert_eq!(
        (&judge["Choices"][0]["Next"], &judge["Default"]),
        (&json!("AwaitModel"), &json!("EvaluateChallenger"))
    );
    assert_eq!((&wait["Output"], &wait["Next"]), (&json!("{% $held.again %}"), &json!("PackageSubmission")));
}

#[test]
fn an_adoption_is_told_only_where_there_is_one_and_is_carried_to_attest() {
    let promoted = serde_json::to_value(Taken { held: held(), adopted: false }).unwrap();
    assert_eq!(promoted, json!(held()), "what a promotion carries is as it was before there were adoptions");
    let adopted = serde_json::to_value(Taken { held: held(), adopted: true }).unwrap();
    assert_eq!(adopted["adopted"], true);
    let task: AttestTask = serde_json::from_value(adopted).unwrap();
    assert_eq!(task, AttestTask::Promotion(held()));
    let machine = asl::machine("promotion").unwrap();
    let judge = machine.states()["JudgePackage"];
    assert_eq!(
        (&judge["Default"], judge["Choices"].as_array().map(Vec::len)),
        (&json!("EvaluateChallenger"), Some(2))
    );
    assert_eq!(judge["Choices"][1]["Next"], "AttestPromotion");
}

#[test]
fn every_field_that_is_read_is_in_the_answer() {
    let mut read = 0;
    for machine in asl::machines().unwrap() {
        for (name, task) in machine.tasks() {
            if !task["Arguments"]["FunctionName"].is_string() {
                continue;
            }
            let waits = task["Resource"].as_str().unwrap().ends_with(".waitForTaskToken");
            let path = if waits { "$states.result" } else { "$states.result.Payload" };
            let answer = answer(task);
            for field in asl::expressions(&task["Assign"]).into_iter().flat_map(|e| asl::fields_of(e, path)) {
                assert!(
                    answer.get(&field).is_some(),
                    "{}: {name} reads {field}, the answer is {answer}",
                    machine.name
                );
                read += 1;
            }
        }
    }
    assert!(read > 25, "only {read} fields were found");
}

#[test]
fn choices_compare_with_words_that_can_occur() {
    fn can<T: DeserializeOwned>(word: &str) -> bool {
        serde_json::from_value::<T>(json!(word)).is_ok()
    }
    for machine in asl::machines().unwrap() {
        for (name, state) in machine.states() {
            for rule in state["Choices"].as_array().into_iter().flatten() {
                let expression = asl::expression(rule["Condition"].as_str().unwrap()).unwrap();
                let (_, words) = asl::unquoted(expression);
                let variables = asl::names(expression);
                for word in words {
                    let fits = match variables
                        .iter()
                        .find(|v| v.as_str() != "first" && v.as_str() != "step" && v.as_str() != "steps")
                    {
                        Some(v) if v == "verdict" => can::<Verdict>(&word),
                        Some(v) if v == "outcome" => can::<GateOutcome>(&word),
                        Some(v) if v == "shadow_state" => can::<ShadowState>(&word),
                        Some(v) if v == "health" || v == "canary" => can::<HealthState>(&word),
                        Some(v) if v == "status" => can::<PromotionStatus>(&word),
                        other => panic!("{}: {name}: {expression}: what is {other:?}?", machine.name),
                    };
                    assert!(fits, "{}: {name} compares with '{word}', which never occurs", machine.name);
                }
            }
        }
    }
}

#[test]
fn only_good_news_leads_on() {
    // What an unknown or new word would do: nothing that leads forward is a default.
    let promotion = asl::machine("promotion").unwrap();
    let states = promotion.states();
    for (name, default) in [
        ("JudgeWindow", "AbortPromotion"),
        ("JudgeShadow", "AbortPromotion"),
        ("JudgeApproval", "AbortPromotion"),
        ("JudgeCanary", "AbortPromotion"),
        ("JudgeEnd", "Unattested"),
        ("JudgeFreeze", "AwaitWatermark"),
    ] {
        assert_eq!(states[name]["Default"], default, "{name}");
    }
    assert_eq!(asl::machine("canary").unwrap().states()["JudgeHealth"]["Default"], "EndCanary");
}
