//! Events that started no promotion: seen, replayed and dropped by the platform team, and by nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use fn_control::{Control, DeadEvents, Letter, Retaken, app};
use jiff::Timestamp;
use seatrial_domain::PromotionId;
use seatrial_registry::MemoryRegistry;
use seatrial_runtime::Failure;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support;

const OWEN: &str = "owen@example.com";

/// A queue as SQS keeps it: what is taken is hidden until it is put back. And an `intake` that knows some models.
#[derive(Clone, Default)]
struct Queue(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    letters: BTreeMap<String, Letter>,
    hidden: BTreeSet<String>,
    known: BTreeSet<String>,
    started: BTreeSet<String>,
    down: bool,
}

#[async_trait]
impl DeadEvents for Queue {
    async fn take(&self, wanted: Option<&str>) -> Result<Vec<Letter>, Failure> {
        let mut state = self.0.lock().unwrap();
        let mut taken = Vec::new();
        for (id, letter) in &state.letters {
            if !state.hidden.contains(id) {
                taken.push(letter.clone());
                if wanted == Some(id) {
                    break;
                }
            }
        }
        state.hidden.extend(taken.iter().map(|l| l.id.clone()));
        Ok(taken)
    }

    async fn put_back(&self, letters: &[Letter]) -> Result<(), Failure> {
        let mut state = self.0.lock().unwrap();
        for letter in letters {
            assert!(state.hidden.remove(&letter.id), "only what was taken is put back");
        }
        Ok(())
    }

    async fn remove(&self, letter: &Letter) -> Result<(), Failure> {
        let mut state = self.0.lock().unwrap();
        state.letters.remove(&letter.id);
        state.hidden.remove(&letter.id);
        Ok(())
    }

    async fn replay(&self, event: &Value) -> Result<Retaken, Failure> {
        let mut state = self.0.lock().unwrap();
        if state.down {
            return Err(Failure::unavailable("intake", "down"));
        }
        let model = event["detail"]["model"].as_str().unwrap().to_owned();
        if !state.known.contains(&model) {
            return Err(Failure::invalid(format!("model {model} has no policy")));
        }
        let promotion = PromotionId::derive(&model.parse().unwrap(), "artifact", 1);
        Ok(Retaken { promotion: Some(promotion), started: state.started.insert(model) })
    }
}

impl Queue {
    fn with(letters: &[(&str, &str)]) -> Self {
        let queue = Self::default();
        for (id, model) in letters {
            let event = json!({ "source": "com.example.ci", "detail-type": "Seatrial Promotion Requested", "detail": { "model": model } });
            let record = json!({
                "requestPayload": event,
                "responsePayload": { "errorType": "Seatrial.Invalid", "errorMessage": format!("model {model} has no policy") },
            });
            queue.put(id, &record.to_string());
        }
        queue
    }

    fn put(&self, id: &str, body: &str) {
        let letter = Letter {
            id: id.to_owned(),
            receipt: format!("receipt of {id}"),
            sent_at: Timestamp::UNIX_EPOCH,
            body: body.to_owned(),
            attributes: BTreeMap::new(),
        };
        self.0.lock().unwrap().letters.insert(id.to_owned(), letter);
    }

    fn learn(&self, model: &str) {
        self.0.lock().unwrap().known.insert(model.to_owned());
    }

    /// What is there, all of it for anybody to see.
    fn visible(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        assert!(state.hidden.is_empty(), "{:?} is still held", state.hidden);
        state.letters.keys().cloned().collect()
    }

    async fn send(&self, who: &str, method: &str, path: &str) -> (StatusCode, Value) {
        let control = Control {
            events: Arc::new(self.clone()),
            local_identity: Some(who.to_owned()),
            platform_owners: vec![OWEN.into()],
            clock: || Timestamp::UNIX_EPOCH,
            ..support::control(&MemoryRegistry::default())
        };
        let request = Request::builder().method(method).uri(path).body(Body::from("{}")).unwrap();
        let answer = app(control).oneshot(request).await.unwrap();
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}

#[tokio::test]
async fn events_wait_with_their_reasons_and_looking_at_them_hides_none() {
    let queue = Queue::with(&[("a", "one"), ("b", "two")]);
    for _ in 0..2 {
        let (status, waiting) = queue.send(OWEN, "GET", "/v1/events").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!((waiting["events"].as_array().unwrap().len(), &waiting["more"]), (2, &json!(false)));
        assert_eq!(waiting["events"][1]["reason"], "model two has no policy");
        assert_eq!(waiting["events"][1]["event"]["detail"]["model"], "two");
    }
    assert_eq!(queue.visible(), ["a", "b"]);
}

#[tokio::test]
async fn a_replayed_event_is_gone_once_it_is_taken_and_stays_while_it_is_refused() {
    let queue = Queue::with(&[("a", "one"), ("b", "two")]);
    let (status, refused) = queue.send(OWEN, "POST", "/v1/events/b/replay").await;
    assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("still_refused")));
    assert!(refused["detail"].as_str().unwrap().contains("model two has no policy"), "{refused}");
    assert_eq!(queue.visible(), ["a", "b"]);
    queue.learn("two");
    let (status, done) = queue.send(OWEN, "POST", "/v1/events/b/replay").await;
    assert_eq!((status, &done["started"]), (StatusCode::OK, &json!(true)), "{done}");
    assert_eq!(queue.visible(), ["a"]);
    let (status, gone) = queue.send(OWEN, "POST", "/v1/events/b/replay").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{gone}");
    // The same event in another message: SageMaker sends an event more than once.
    queue.put("c", &json!({ "source": "s", "detail-type": "d", "detail": { "model": "two" } }).to_string());
    let (_, again) = queue.send(OWEN, "POST", "/v1/events/c/replay").await;
    assert_eq!((&again["promotion"], &again["started"]), (&done["promotion"], &json!(false)));
    assert_eq!(queue.visible(), ["a"]);
}

#[tokio::test]
async fn an_event_is_not_lost_when_intake_does_not_answer() {
    let queue = Queue::with(&[("a", "one")]);
    queue.0.lock().unwrap().down = true;
    let (status, _) = queue.send(OWEN, "POST", "/v1/events/a/replay").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(queue.visible(), ["a"]);
}

#[tokio::test]
async fn what_holds_no_event_can_be_dropped_and_not_replayed() {
    let queue = Queue::with(&[("a", "one")]);
    queue.put("odd", "no json");
    let (status, odd) = queue.send(OWEN, "POST", "/v1/events/odd/replay").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{odd}");
    assert_eq!(queue.visible(), ["a", "odd"]);
    let (status, _) = queue.send(OWEN, "POST", "/v1/events/odd/drop").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(queue.visible(), ["a"]);
    assert_eq!(queue.send(OWEN, "POST", "/v1/events/odd/drop").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn events_are_for_the_platform_team_alone() {
    let queue = Queue::with(&[("a", "one")]);
    queue.learn("one");
    for (method, path) in
        [("GET", "/v1/events"), ("POST", "/v1/events/a/replay"), ("POST", "/v1/events/a/drop")]
    {
        let (status, problem) = queue.send("eve@example.com", method, path).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        assert!(problem["detail"].as_str().unwrap().contains("PlatformOwners"), "{problem}");
    }
    assert_eq!(queue.visible(), ["a"]);
    assert!(queue.0.lock().unwrap().started.is_empty());
}
