//! Requests to the data plane, at a steady rate.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::Server;
use crate::repository;

/// Requests a second.
const RATE: u64 = 100;

/// Traffic that goes on until this value is dropped. What it is answered is not looked at.
pub struct Load(JoinHandle<()>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    /// Sends the suite's traffic to `model`, over and over.
    #[must_use]
    pub fn load(&self, model: &str) -> Load {
        let live =
            std::fs::read_to_string(repository("tests/fixtures/live.jsonl")).expect("the suite's traffic");
        let bodies: Vec<Value> = live
            .lines()
            .map(|line| request(&serde_json::from_str(line).expect("a row of the traffic")))
            .collect();
        let url = format!("{}/v2/models/{model}/infer", self.base);
        Load(tokio::spawn(async move {
            let client = reqwest::Client::new();
            let mut tick = interval(Duration::from_millis(1_000 / RATE));
            tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
            for body in bodies.into_iter().cycle() {
                tick.tick().await;
                tokio::spawn(client.post(&url).json(&body).send());
            }
        }))
    }
}

/// A row of the suite's traffic as a request of the Open Inference Protocol.
#[must_use]
pub fn request(row: &Value) -> Value {
    let tensor = |(name, value): (&String, &Value)| {
        let datatype = if value.is_string() { "BYTES" } else { "FP32" };
        json!({ "name": name, "shape": [1, 1], "datatype": datatype, "data": [value] })
    };
    let inputs: Vec<Value> = row["features"].as_object().expect("features").iter().map(tensor).collect();
    json!({ "parameters": { "unit": row["unit"], "protected": { "sex": row["sex"], "race": row["race"] } }, "inputs": inputs })
}
