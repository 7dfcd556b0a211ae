//! Batches over memory: what counts, what is set aside, and what the shadow gets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Mutex;

use async_trait::async_trait;
use fn_observe::{Cache, Ports, handle};
use jiff::Timestamp;
use seatrial_artifacts::{MemoryS3, MemoryStore, ObjectStore};
use seatrial_domain::PromotionId;
use seatrial_domain::policy::Policy;
use seatrial_evidence::live::{Key, read_inputs, read_served, read_signals};
use seatrial_evidence::shadow::Sample;
use seatrial_registry::MemoryRegistry;
use seatrial_registry::contract::Scenario;
use seatrial_runtime::Failure;
use seatrial_runtime::queue::Queue;
use seatrial_runtime::sqs_event::{BatchAnswer, SqsEvent};
use serde_json::{Map, Value, json};

const SENT: &str = "1700000000000";

#[derive(Default)]
struct Line(Mutex<Vec<String>>);

#[async_trait]
impl Queue for Line {
    fn name(&self) -> &str {
        "line"
    }
    async fn send(&self, bodies: Vec<String>) -> Result<(), Failure> {
        self.0.lock().unwrap().extend(bodies);
        Ok(())
    }
    async fn is_empty(&self) -> Result<bool, Failure> {
        Ok(true)
    }
}

struct World {
    scenario: Scenario<MemoryRegistry>,
    promotion: PromotionId,
    epoch: u64,
    data: MemoryStore,
    shadow: Line,
    cache: Cache,
}

impl World {
    /// A model whose champion is v1, and whose shadow replays everything on v2.
    async fn new() -> Self {
        let scenario = Scenario::empty(&MemoryRegistry::default());
        let policy: Policy = serde_json::from_value(json!({
            "approval": { "approvers": [{ "email": "ann@example.com" }] },
            "shadow": { "sample_percent": 100 }, "observations": { "drop_columns": ["secret"] },
        }))
        .unwrap();
        scenario.system().set_policy(&scenario.model, &policy).await.unwrap();
        scenario.register(1).await;
        scenario.promote(1).await;
        scenario.register(2).await;
        let run = scenario.start(2).await;
        scenario.system().open_shadow(&scenario.model, &run.id, run.epoch).await.unwrap();
        let data = MemoryS3::default().bucket("data");
        Self {
            scenario,
            promotion: run.id,
            epoch: run.epoch,
            data,
            shadow: Line::default(),
            cache: Cache::default(),
        }
    }

    fn served(&self, id: &str) -> Value {
        json!({
            "schema": 1, "kind": "served", "observation_id": id, "model": self.scenario.model, "version": "v1",
            "digest": self.scenario.digest(1), "role": "champion",
            "route": { "promotion": self.promotion, "epoch": self.epoch, "weight": 0 }, "at": "2023-11-14T22:13:19Z",
            "inputs": { "age": 39, "secret": "s" }, "output": { "label": "a", "scores": [0.9, 0.1] }, "latency_us": 800,
        })
    }

    fn signal(&self, id: &str) -> Value {
        json!({
            "schema": 1, "kind": "signal", "observation_id": id, "model": self.scenario.model, "name": "revenue",
            "value": 2.5, "at": "2023-11-14T22:13:19Z",
        })
    }

    async fn take(&self, bodies: &[String]) -> Result<BatchAnswer, Failure> {
        let records: Vec<Value> = bodies
            .iter()
            .enumerate()
            .map(|(n, body)| json!({ "messageId": format!("m{n}"), "body": body, "attributes": { "SentTimestamp": SENT } }))
            .collect();
        let event: SqsEvent = serde_json::from_value(json!({ "Records": records })).unwrap();
        let registry = &self.scenario.registry;
        let ports = Ports {
            records: registry,
            tallies: registry,
            watermarks: registry,
            data: &self.data,
            shadow: &self.shadow,
            observations: &Line::default(),
            cache: &self.cache,
        };
        handle(&ports, || "2023-11-14T22:13:30Z".parse::<Timestamp>().unwrap(), event).await
    }

    async fn files(&self, prefix: &str) -> Vec<bytes::Bytes> {
        let mut files = Vec::new();
        for object in self.data.list(prefix).await.unwrap() {
            files.push(self.data.get(&object.key, 1 << 20).await.unwrap().unwrap());
        }
        files
    }

    /// The observations of the serving log.
    async fn log(&self) -> Vec<Key> {
        let files = self.files("observations/").await;
        files.into_iter().flat_map(|f| read_served(f).unwrap()).map(|row| row.observation).collect()
    }

    async fn dead(&self) -> Vec<Value> {
        let text: Vec<String> = self
            .files("dead-letters/")
            .await
            .into_iter()
            .map(|file| String::from_utf8(file.to_vec()).unwrap())
            .collect();
        text.iter().flat_map(|t| t.lines()).map(|l| serde_json::from_str(l).unwrap()).collect()
    }
}

fn keys(ids: &[&str]) -> Vec<Key> {
    ids.iter().map(|id| Key::of(id)).collect()
}

#[tokio::test]
async fn a_number_that_json_lacks_refuses_its_own_entry_and_no_other() {
    let world = World::new().await;
    let nan = world.served("wrong").to_string().replace("0.9", "NaN");
    let infinite = world.signal("a").to_string().replace("2.5", "-Infinity");
    let message =
        format!("[{}, {nan},\n{infinite},{},{}]", world.served("a"), world.signal("b"), world.served("b"));
    for _ in 0..2 {
        assert_eq!(world.take(std::slice::from_ref(&message)).await.unwrap(), BatchAnswer::default());
    }
    assert_eq!(world.log().await, keys(&["a", "b"]));
    let signals: Vec<_> =
        world.files("signals/").await.into_iter().flat_map(|f| read_signals(f).unwrap()).collect();
    assert_eq!(signals.iter().map(|s| s.observation).collect::<Vec<_>>(), [Some(Key::of("b"))]);
    let dead = world.dead().await;
    let told: Vec<_> = dead.iter().map(|l| (l["index"].as_u64(), l["entry"].as_str().unwrap())).collect();
    assert_eq!(told, [(Some(1), nan.as_str()), (Some(2), infinite.as_str())]);
    assert!(dead.iter().all(|l| l["reason"].as_str().unwrap().contains("not JSON")), "{dead:?}");
    // The refused row is replayed no more than it is logged.
    assert!(world.shadow.0.lock().unwrap().iter().all(|body| !body.contains("wrong")));
}

#[tokio::test]
async fn of_a_message_cut_short_the_whole_entries_count() {
    let world = World::new().await;
    let whole = format!("[{},{}]", world.served("a"), world.served("b"));
    let unquoted = format!(r#"[{},{{"note":"said "hi""}},{}]"#, world.served("c"), world.served("d"));
    world.take(&[whole[..whole.len() - 5].to_owned(), unquoted, "[".to_owned()]).await.unwrap();
    assert_eq!(world.log().await, keys(&["a", "c"]));
    let dead = world.dead().await;
    let told: Vec<_> =
        dead.iter().map(|l| (l["message_id"].as_str().unwrap(), l["index"].as_u64())).collect();
    assert_eq!(told, [("m0", Some(1)), ("m1", Some(1)), ("m2", Some(0))]);
    assert!(
        dead[1]["entry"].as_str().unwrap().contains(r#""observation_id":"d""#),
        "nothing is lost: {dead:?}"
    );
}

#[tokio::test]
async fn an_entry_that_grows_beyond_a_message_when_it_is_written_again_is_set_aside() {
    let world = World::new().await;
    let mut large = world.served("large");
    large["inputs"]["secret"] = json!("numbers");
    let large = large.to_string().replace("\"numbers\"", &format!("[{}1]", "1e15,".repeat(20_000)));
    assert!(large.len() < 200_000);
    world.take(&[format!("[{large},{}]", world.served("a"))]).await.unwrap();
    assert_eq!(world.log().await, keys(&["a"]));
    let dead = world.dead().await;
    assert!(dead.len() == 1 && dead[0]["reason"].as_str().unwrap().contains("expected at most 200000"));
}

#[tokio::test]
async fn a_field_given_twice_is_refused() {
    let world = World::new().await;
    let twice =
        world.served("a").to_string().replace("\"latency_us\":800", "\"latency_us\":1,\"latency_us\":800");
    world.take(&[format!("[{twice},{}]", world.served("b"))]).await.unwrap();
    assert_eq!(world.log().await, keys(&["b"]));
    assert!(world.dead().await[0]["reason"].as_str().unwrap().contains("duplicate field"));
}

#[tokio::test]
async fn a_dropped_column_reaches_the_shadow_and_not_the_log() {
    let world = World::new().await;
    world.take(&[format!("[{}]", world.served("a"))]).await.unwrap();
    let mut logged: Vec<Map<String, Value>> = Vec::new();
    let times = Timestamp::UNIX_EPOCH..Timestamp::MAX;
    for file in world.files("observations/").await {
        read_inputs(file, world.epoch, times.clone(), |inputs| logged.push(inputs.clone())).unwrap();
    }
    assert_eq!(Value::from(logged.pop().unwrap()), json!({ "age": 39 }));
    let sent = world.shadow.0.lock().unwrap().clone();
    let samples: Vec<Sample> =
        sent.iter().flat_map(|b| serde_json::from_str::<Vec<Sample>>(b).unwrap()).collect();
    let sample = &samples[0];
    assert_eq!((samples.len(), &sample.promotion), (1, &world.promotion));
    assert_eq!(sample.queued_at, Timestamp::from_millisecond(SENT.parse().unwrap()).unwrap());
    assert_eq!(serde_json::to_value(&sample.row.inputs).unwrap(), world.served("a")["inputs"]);
}
