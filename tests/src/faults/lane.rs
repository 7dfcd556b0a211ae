//! One model on which promotions fail one after the other: that the next one can start is part of what is shown.
//!
//! What does not hold fails the case that is looked at, so these functions panic and say what they expected.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use seatrial_domain::PromotionId;
use seatrial_domain::gate::{GateKind, GateStatus};
use seatrial_domain::ids::{GateId, VersionName};
use seatrial_domain::promotion::{PromotionRecord, PromotionStatus};
use seatrial_registry::Records;
use serde_json::{Value, json};

use super::oracle;
use super::runs::{APPROVAL, REJECTED, ROLLED_BACK, Run, Way};
use crate::stack::{Model, Stack, until};

/// How long an execution may take, whatever strikes it. Its own waits are seconds, and the engine shortens those of retries.
const PATIENCE: Duration = Duration::from_secs(200);

/// Waits between attempts are made for AWS and are this much shorter here. The definitions are the product's.
const RETRY_SCALE: f64 = 0.02;

/// How long a shadow is in seconds: it ends by itself, or a person has the time to stop it.
const SHORT: u32 = 1;
const LONG: u32 = 20;

/// The states that little data does not lead to, and what the function before them has to say.
fn answers(way: Way) -> Value {
    // Only of twenty million pairs each partition is counted by itself.
    let mut answers = json!({ "FreezeEvidence": { "parts": [0] } });
    if way == Way::TakeBack {
        answers["CheckHealth"] = json!({ "state": "degraded", "why": "the suite finds it degraded" });
    }
    answers
}

/// The shortest way through everything: a shadow that is over at once, and a canary that an operator skips, because nobody sends
/// requests. Ann plays all parts.
fn rules(shadow_seconds: u32) -> Value {
    json!({
        "shadow": { "window_seconds": shadow_seconds, "max_seconds": shadow_seconds, "min_pairs": 1 },
        "canary": { "steps": [50], "hold_seconds": 1, "max_hold_seconds": 60, "check_seconds": 1 },
        "observations": { "lateness_seconds": 1 },
        "people": [{ "email": "ann@example.com", "roles": ["submitter", "operator", "owner"], "emergency": true }],
    })
}

/// A model with a champion, and a challenger that is promoted again and again.
pub struct Lane<'a> {
    model: Model<'a>,
    challenger: VersionName,
}

impl<'a> Lane<'a> {
    /// A new one.
    pub async fn new(stack: &'a Stack, name: &str) -> Self {
        let model = Model::new(stack, name, &rules(SHORT)).await;
        model.first_champion("v1").await;
        // Packaging it starts a promotion; taken back, it leaves the version.
        let first = model.submit("v2").await;
        let why = ["--reason", "it is only packaged here"];
        drop(stack.cli(&[&["rollback", model.name.as_str()][..], &why].concat()).await.json());
        model.ended(&first).await;
        Self { model, challenger: first.challenger.version }
    }

    /// Promotes the challenger while the faults of `run` strike, and looks at everything that is left; says how it ended.
    pub async fn run(&self, run: &Run) -> String {
        let (stack, name) = (self.model.stack, self.model.name.as_str());
        if run.stops_the_shadow() {
            self.model.set_policy(&rules(LONG)).await;
        }
        let before = oracle::Before::of(&self.model).await;
        stack.faults(&json!({ "model": name, "rules": run.rules(), "answers": answers(run.way), "retry_scale": RETRY_SCALE })).await;
        let started = stack.cli(&["promote", name, &self.challenger.to_string()]).await.json();
        let id = PromotionId::parse(started["promotion"].as_str().expect("a promotion")).expect("its name");
        let (status, error, cause) = self.accompany(&id, run).await;
        if run.stops_the_shadow() {
            self.model.set_policy(&rules(SHORT)).await;
        }
        let struck = self.nothing_comes_any_more().await;
        run.check_struck(&struck, &format!("{status} {error}: {cause}"));
        let held = run.ends_as(&status, &error);
        assert!(held, "the execution ended {status} {error}, expected {:?}: {cause}", run.end());
        let record = oracle::settled(&self.model, &id).await;
        // What the machine says of the end is what the registry says.
        for (said, is) in [(REJECTED, PromotionStatus::Rejected), (ROLLED_BACK, PromotionStatus::Aborted)] {
            assert!(
                error != said || record.as_ref().is_some_and(|record| record.status == is),
                "{said}: {record:?}"
            );
        }
        let ended = oracle::check(&self.model, &before, &id, record.as_ref(), run, &struck).await;
        let told = format!("{ended}; execution {}", [status.as_str(), error.as_str()].join(" ").trim());
        self.restore(&before, record.as_ref()).await;
        told
    }

    /// Plays the people of a promotion until its execution has ended; says how it did.
    async fn accompany(&self, id: &PromotionId, run: &Run) -> (String, String, String) {
        let (stack, since) = (self.model.stack, Instant::now());
        let gate = |kind: GateKind| GateId::derive(id, kind.as_str(), 1);
        let (window, approval) = (gate(GateKind::ShadowWindow), gate(GateKind::Approval));
        let (mut stopped, mut decided) = (!run.stops_the_shadow(), false);
        loop {
            let (status, error, cause) =
                stack.execution_of("Promotion", id.as_str()).await.unwrap_or_default();
            if !["", "RUNNING"].contains(&status.as_str()) {
                return (status, error, cause);
            }
            if !stopped && self.waits(&window).await {
                let why = ["--reason", "the suite stops it"];
                drop(
                    stack
                        .cli(&[&["shadow", "stop", self.model.name.as_str()][..], &why].concat())
                        .await
                        .json(),
                );
                stopped = true;
            }
            if !decided && self.waits(&approval).await && self.waits_again().await {
                self.decide(&approval, run.way).await;
                decided = true;
            }
            assert!(since.elapsed() < PATIENCE, "{id} waits for ever: its execution is {status:?}");
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    }

    /// What struck, once all calls have come that the machine did not wait for.
    async fn nothing_comes_any_more(&self) -> Value {
        until("the calls that the machine did not wait for", 180, async || {
            let told = self.model.stack.struck(self.model.name.as_str()).await;
            (told["pending"] == 0).then_some(told)
        })
        .await
    }

    async fn waits(&self, gate: &GateId) -> bool {
        let gate = self.model.stack.registry.gate(gate).await.expect("the registry");
        gate.is_some_and(|gate| gate.status == GateStatus::Pending)
    }

    /// Whether the first wait for an approval has run out and the second has begun: what is decided before has no second.
    async fn waits_again(&self) -> bool {
        let told = self.model.stack.struck(self.model.name.as_str()).await;
        told["attempts"][APPROVAL].as_u64().unwrap_or(0) > 1
    }

    /// Whoever is too late is told so: the promotion may have been stopped in this very moment.
    async fn decide(&self, gate: &GateId, way: Way) {
        let stack = self.model.stack;
        if way == Way::Crown {
            let why = ["--reason", "nobody sends requests here"];
            stack.cli(&[&["emergency", "skip", self.model.name.as_str(), "canary"][..], &why].concat()).await;
        }
        let verb = if way == Way::Reject { "reject" } else { "approve" };
        let path = format!("/iam/v1/approvals/{gate}/{verb}");
        let answer = stack.approvals("POST", &path, &json!({ "comment": "by the suite" }).to_string()).await;
        assert!([200, 409].contains(&answer.status), "{verb}: {} {}", answer.status, answer.text);
    }

    /// Takes a crown back, so that the next promotion finds what this one found.
    async fn restore(&self, before: &oracle::Before, record: Option<&PromotionRecord>) {
        let now = self.model.head().await;
        if record.is_some_and(|record| now.champion() == Some(&record.challenger)) {
            let arguments = [
                "rollback",
                self.model.name.as_str(),
                "--champion",
                "--reason",
                "the next one starts from v1",
            ];
            drop(self.model.stack.cli(&arguments).await.json());
            assert_eq!(self.model.head().await.champion(), before.champion.as_ref());
        }
    }
}
