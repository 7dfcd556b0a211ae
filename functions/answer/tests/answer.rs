//! From the registry's stream to the waiting execution.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Mutex;

use fn_answer::{CallbackError, Callbacks, Queues, handle};
use seatrial_domain::canonical::sha256;
use seatrial_domain::gate::GateKind;
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::package::PackageSummary;
use seatrial_domain::policy::{Approver, Policy};
use seatrial_domain::promotion::{EvidenceKind, EvidenceRef};
use seatrial_domain::task::{GateAnswer, GateOutcome};
use seatrial_domain::verdict::Verdict;
use seatrial_domain::{GateId, ModelName, PromotionId};
use seatrial_registry::ops::{Ops, draft_gate};
use seatrial_registry::{MemoryRegistry, TaskToken, Tokens};
use seatrial_runtime::Failure;
use seatrial_runtime::queue::Queue;
use serde_json::{Value, json};

/// The queue of notices.
#[derive(Default)]
struct Line {
    sent: Mutex<Vec<Value>>,
    broken: bool,
}

#[async_trait::async_trait]
impl Queue for Line {
    fn name(&self) -> &str {
        "notices"
    }
    async fn send(&self, bodies: Vec<String>) -> Result<(), Failure> {
        if self.broken {
            return Err(Failure::unavailable("sending", "throttled"));
        }
        let read = bodies.iter().map(|body| serde_json::from_str(body).unwrap());
        self.sent.lock().unwrap().extend(read);
        Ok(())
    }
    async fn is_empty(&self) -> Result<bool, Failure> {
        Ok(true)
    }
}

/// Queues that take everything and that nobody looks at.
fn quiet() -> Queues<'static> {
    static LINE: Line = Line { sent: Mutex::new(Vec::new()), broken: false };
    Queues { notices: &LINE, targets: &LINE }
}

#[derive(Default)]
struct Execution {
    answers: Mutex<Vec<(String, GateOutcome)>>,
    state: Mutex<State>,
}

#[derive(Default, Clone, Copy)]
enum State {
    #[default]
    Waits,
    Gone,
    Unreachable,
}

#[async_trait::async_trait]
impl Callbacks for Execution {
    async fn succeed(&self, token: &TaskToken, answer: &GateAnswer) -> Result<(), CallbackError> {
        let state = *self.state.lock().unwrap();
        match state {
            State::Waits => {
                self.answers.lock().unwrap().push((token.expose().to_owned(), answer.outcome));
                Ok(())
            }
            State::Gone => Err(CallbackError::NobodyWaits { why: "TaskTimedOut" }),
            State::Unreachable => Err(CallbackError::Unavailable { source: "throttled".into() }),
        }
    }
}

/// A gate whose execution waits with `token-1`.
async fn gate(registry: &MemoryRegistry, name: &str) -> GateId {
    let clock = seatrial_runtime::now;
    let dana = Actor { principal: "dana@example.com".into(), auth: Auth::Iam };
    let ops = Ops::new(registry, dana.clone(), &clock);
    let model = ModelName::parse(name).unwrap();
    let mut policy = Policy::default();
    policy.approval.separation_of_duties = false;
    policy.approval.approvers = vec![Approver { email: "dana@example.com".into(), principals: vec![] }];
    ops.set_policy(&model, &policy).await.unwrap();
    let package = PackageSummary {
        runtime: "onnx".into(),
        task: "binary".into(),
        title: None,
        size: 1,
        files: BTreeMap::new(),
        labels: BTreeMap::new(),
        changelog: String::new(),
        config: Default::default(),
    };
    let version = ops.register_version(&model, &sha256(b"v1"), &package, "carl").await.unwrap().value;
    let id = PromotionId::derive(&model, "x", 1);
    let promotion = ops.start_promotion(&model, &id, version.version, &dana, None).await.unwrap().value;
    let report = EvidenceRef { key: "r".into(), digest: sha256(b"r") };
    let promotion = ops
        .record_evidence(&model, &id, promotion.epoch, EvidenceKind::Report, &report, Some(Verdict::Pass))
        .await
        .unwrap()
        .value;
    let later = clock() + jiff::SignedDuration::from_hours(1);
    let gate = draft_gate(GateKind::Approval, 1, &promotion, &version, clock(), later).unwrap();
    ops.open_gate(&gate).await.unwrap();
    registry.put_token(&gate.id, &TaskToken::new("token-1".into()), later).await.unwrap();
    gate.id
}

async fn approve(registry: &MemoryRegistry, gate: &GateId) {
    let clock = seatrial_runtime::now;
    let dana = Actor { principal: "dana@example.com".into(), auth: Auth::Iam };
    Ops::new(registry, dana, &clock).decide_gate(gate, true, "fine", None).await.unwrap();
}

fn event(gates: &[&GateId]) -> Value {
    let record = |(n, gate): (usize, &&GateId)| {
        json!({ "eventName": "MODIFY", "dynamodb": {
            "Keys": { "pk": { "S": format!("GATE#{gate}") }, "sk": { "S": "GATE" } },
            "NewImage": { "status": { "S": "approved" } }, "SequenceNumber": format!("{n}"),
        } })
    };
    json!({ "Records": gates.iter().enumerate().map(record).collect::<Vec<_>>() })
}

#[tokio::test]
async fn a_decided_gate_is_answered_once_however_often_the_stream_tells_of_it() {
    let (registry, execution) = (MemoryRegistry::default(), Execution::default());
    let gate = gate(&registry, "m").await;
    approve(&registry, &gate).await;
    for _ in 0..3 {
        let response = handle(&registry, &execution, quiet(), event(&[&gate])).await.unwrap();
        assert_eq!(response.batch_item_failures, vec![]);
    }
    assert_eq!(*execution.answers.lock().unwrap(), [("token-1".to_owned(), GateOutcome::Approved)]);
    assert!(registry.token(&gate).await.unwrap().is_none());
}

#[tokio::test]
async fn what_the_stream_says_is_not_believed_while_the_gate_is_undecided() {
    let (registry, execution) = (MemoryRegistry::default(), Execution::default());
    let gate = gate(&registry, "m").await;
    handle(&registry, &execution, quiet(), event(&[&gate])).await.unwrap();
    assert!(execution.answers.lock().unwrap().is_empty());
    assert!(registry.token(&gate).await.unwrap().is_some(), "the execution still waits");
}

#[tokio::test]
async fn an_answer_that_does_not_get_through_comes_again_and_the_others_are_not_kept_from_theirs() {
    let (registry, execution) = (MemoryRegistry::default(), Execution::default());
    let (one, two) = (gate(&registry, "one").await, gate(&registry, "two").await);
    approve(&registry, &one).await;
    approve(&registry, &two).await;
    *execution.state.lock().unwrap() = State::Unreachable;
    let response = handle(&registry, &execution, quiet(), event(&[&one, &two])).await.unwrap();
    let again = serde_json::to_value(response).unwrap();
    assert_eq!(again, json!({ "batchItemFailures": [{ "itemIdentifier": "0" }, { "itemIdentifier": "1" }] }));
    assert!(registry.token(&one).await.unwrap().is_some(), "nothing is forgotten before it is told");
    *execution.state.lock().unwrap() = State::Waits;
    handle(&registry, &execution, quiet(), event(&[&one, &two])).await.unwrap();
    assert_eq!(execution.answers.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_gate_that_nobody_waits_at_is_let_go() {
    let (registry, execution) = (MemoryRegistry::default(), Execution::default());
    let gate = gate(&registry, "m").await;
    approve(&registry, &gate).await;
    *execution.state.lock().unwrap() = State::Gone;
    let response = handle(&registry, &execution, quiet(), event(&[&gate])).await.unwrap();
    assert_eq!(response.batch_item_failures, vec![]);
    assert!(registry.token(&gate).await.unwrap().is_none());
}

#[tokio::test]
async fn records_that_are_no_gates_are_passed_over_and_what_is_no_stream_is_refused() {
    let (registry, execution) = (MemoryRegistry::default(), Execution::default());
    let odd = json!({ "Records": [
        { "dynamodb": { "Keys": { "pk": { "S": "MODEL#m" }, "sk": { "S": "HEAD" } }, "SequenceNumber": "1" } },
        { "dynamodb": { "Keys": { "pk": { "S": "GATE#../x" }, "sk": { "S": "GATE" } }, "SequenceNumber": "2" } },
        { "nonsense": true }, null,
    ] });
    assert_eq!(handle(&registry, &execution, quiet(), odd).await.unwrap().batch_item_failures, vec![]);
    assert!(handle(&registry, &execution, quiet(), json!({})).await.is_err());
    assert!(execution.answers.lock().unwrap().is_empty());
}

fn entries(records: &[(&str, &str)]) -> Value {
    let record = |(n, (pk, sk)): (usize, &(&str, &str))| {
        json!({ "eventName": "INSERT", "dynamodb": {
            "Keys": { "pk": { "S": pk }, "sk": { "S": sk } }, "SequenceNumber": format!("{n}"),
        } })
    };
    json!({ "Records": records.iter().enumerate().map(record).collect::<Vec<_>>() })
}

#[tokio::test]
async fn entries_of_histories_are_passed_on_by_name_and_nothing_else_of_them() {
    let (registry, execution) = (MemoryRegistry::default(), Execution::default());
    let (notices, targets) = (Line::default(), Line::default());
    let event = entries(&[
        ("HISTORY#m", "000000000007"),
        ("HISTORY#../x", "000000000001"),
        ("HISTORY#m", "x"),
        ("TOKEN#ga", "TOKEN"),
    ]);
    let queues = Queues { notices: &notices, targets: &targets };
    let response = handle(&registry, &execution, queues, event).await.unwrap();
    assert_eq!(response.batch_item_failures, vec![]);
    let expected = json!({ "kind": "entry", "schema": 1, "model": "m", "seq": 7 });
    assert_eq!(*notices.sent.lock().unwrap(), [expected]);
    assert_eq!(*targets.sent.lock().unwrap(), [json!({ "schema": 1, "model": "m" })]);
    assert!(execution.answers.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_entry_goes_to_whom_its_event_is_for() {
    let (registry, execution) = (MemoryRegistry::default(), Execution::default());
    for (happened, tells, moves) in [
        ("rolled_back", 1, 1),
        ("weight_shifted", 1, 1),
        ("holdback_ended", 0, 1),
        ("gate_opened", 1, 0),
        ("attested", 0, 0),
    ] {
        let (notices, targets) = (Line::default(), Line::default());
        let mut event = entries(&[("HISTORY#m", "000000000007")]);
        event["Records"][0]["dynamodb"]["NewImage"] = json!({ "event": { "S": happened } });
        handle(&registry, &execution, Queues { notices: &notices, targets: &targets }, event).await.unwrap();
        let sent = |line: &Line| line.sent.lock().unwrap().len();
        assert_eq!((sent(&notices), sent(&targets)), (tells, moves), "{happened}");
    }
}

#[tokio::test]
async fn a_queue_that_takes_nothing_keeps_no_execution_waiting_and_nothing_from_the_other_queue() {
    for broken_notices in [true, false] {
        let (registry, execution) = (MemoryRegistry::default(), Execution::default());
        let gate = gate(&registry, "m").await;
        approve(&registry, &gate).await;
        let (broken, whole) = (Line { broken: true, ..Line::default() }, Line::default());
        let queues = match broken_notices {
            true => Queues { notices: &broken, targets: &whole },
            false => Queues { notices: &whole, targets: &broken },
        };
        let gate_key = format!("GATE#{gate}");
        let event =
            entries(&[("HISTORY#m", "000000000007"), (&gate_key, "GATE"), ("HISTORY#m", "000000000008")]);
        let response = handle(&registry, &execution, queues, event).await.unwrap();
        let again: Vec<_> = response.batch_item_failures.into_iter().map(|f| f.item_identifier).collect();
        assert_eq!(again, ["0", "2"]);
        assert_eq!(whole.sent.lock().unwrap().len(), 2);
        assert_eq!(execution.answers.lock().unwrap().len(), 1, "the gate was answered all the same");
    }
}
