//! One model of one test.

use seatrial_domain::gate::{GateKind, GateRecord, GateStatus};
use seatrial_domain::head::Head;
use seatrial_domain::history::{HistoryEntry, verify};
use seatrial_domain::ids::GateId;
use seatrial_domain::promotion::{PromotionRecord, PromotionStatus};
use seatrial_domain::{ModelName, PromotionId};
use seatrial_registry::Records;
use serde_json::{Value, json};

use super::{Stack, unique, until};
use crate::repository;

/// A model that only its test knows.
pub struct Model<'a> {
    /// The stack.
    pub stack: &'a Stack,
    /// Its name.
    pub name: ModelName,
}

/// `base` with `change` merged in: objects field by field, all else replaced.
fn merge(base: &mut Value, change: &Value) {
    match (base, change) {
        (Value::Object(base), Value::Object(change)) => {
            for (name, value) in change {
                merge(base.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (base, change) => *base = change.clone(),
    }
}

impl<'a> Model<'a> {
    /// A new model with the suite's policy, changed where the test needs it.
    pub async fn new(stack: &'a Stack, what: &str, change: &Value) -> Self {
        let name = unique(&format!("e2e-{what}"));
        let model = Self { stack, name: ModelName::parse(&name).unwrap_or_else(|e| panic!("{name}: {e}")) };
        model.set_policy(change).await;
        model
    }

    /// Sets the suite's policy, changed where the test needs it.
    pub async fn set_policy(&self, change: &Value) {
        let text =
            std::fs::read_to_string(repository("tests/fixtures/policy.yaml")).expect("the suite's policy");
        let mut policy: Value = serde_yaml_ng::from_str(&text).expect("a policy");
        merge(&mut policy, change);
        // Whoever runs the suite decides in it.
        let policy = policy.to_string().replace("arn:aws:iam::000000000000:root", &self.stack.principal());
        let file = self.folder().join("policy.yaml");
        std::fs::write(&file, policy).expect("the policy is written");
        let _ =
            self.stack.cli(&["policy", "set", self.name.as_str(), &file.display().to_string()]).await.json();
    }

    /// A folder of this test alone.
    #[must_use]
    pub fn folder(&self) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join("seatrial-e2e").join(self.name.as_str());
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        folder
    }

    /// Sets the suite's benchmark.
    pub async fn with_benchmark(self) -> Self {
        let file = repository("tests/fixtures/benchmark.parquet").display().to_string();
        let _ = self.stack.cli(&["benchmark", "set", self.name.as_str(), &file]).await.json();
        self
    }

    /// Submits one of the fixtures and waits until its promotion holds the model.
    pub async fn submit(&self, fixture: &str) -> PromotionRecord {
        let folder = repository("tests/fixtures/submissions").join(fixture).display().to_string();
        let packaged =
            self.stack.cli(&["package", &folder, "--model", self.name.as_str(), "--wait"]).await.json();
        let version = packaged["version"].as_str().expect("a version").to_owned();
        self.running(&version).await
    }

    /// Starts the promotion of a packaged version, and waits until it holds the model.
    pub async fn promote(&self, version: &str) -> PromotionRecord {
        let started = self.stack.cli(&["promote", self.name.as_str(), version]).await.json();
        let id = PromotionId::parse(started["promotion"].as_str().expect("a promotion")).expect("its name");
        until("the promotion's start", 30, async || {
            self.stack.registry.promotion(&self.name, &id).await.expect("the registry")
        })
        .await
    }

    async fn running(&self, version: &str) -> PromotionRecord {
        until(&format!("the promotion of {version}"), 60, async || {
            let last = self.promotions().await.pop()?;
            (last.challenger.version.to_string() == version).then_some(last)
        })
        .await
    }

    /// The head.
    pub async fn head(&self) -> Head {
        self.stack.registry.head(&self.name).await.expect("the registry").expect("the model")
    }

    /// All promotions, oldest first.
    pub async fn promotions(&self) -> Vec<PromotionRecord> {
        self.stack.registry.promotions(&self.name).await.expect("the registry")
    }

    /// The promotion as it is now.
    pub async fn now(&self, promotion: &PromotionRecord) -> PromotionRecord {
        self.stack
            .registry
            .promotion(&self.name, &promotion.id)
            .await
            .expect("the registry")
            .expect("the promotion")
    }

    /// The whole history; the test fails when its chain does not hold.
    pub async fn history(&self) -> Vec<HistoryEntry> {
        let entries = self.stack.registry.history(&self.name, 0, 1_000).await.expect("the registry");
        verify(&self.name, &entries, None).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        entries
    }

    /// The events of the history, in order.
    pub async fn events(&self) -> Vec<String> {
        self.history().await.into_iter().map(|e| e.event).collect()
    }

    /// A gate of a promotion, once it is open.
    pub async fn gate(&self, promotion: &PromotionRecord, kind: GateKind) -> GateRecord {
        let id = GateId::derive(&promotion.id, kind.as_str(), 1);
        until(&format!("the {} gate of {}", kind.as_str(), promotion.challenger.version), 90, async || {
            let gate = self.stack.registry.gate(&id).await.expect("the registry");
            if gate.is_none() {
                let now = self.now(promotion).await;
                assert_eq!(
                    now.status,
                    PromotionStatus::Running,
                    "it ended before its gate: {:?}",
                    now.reason
                );
            }
            gate
        })
        .await
    }

    /// A gate as it stands.
    pub async fn gate_now(&self, gate: &GateRecord) -> GateRecord {
        self.stack.registry.gate(&gate.id).await.expect("the registry").expect("the gate")
    }

    /// Waits for the approval gate and decides it through the JSON API.
    pub async fn decide(&self, promotion: &PromotionRecord, verb: &str) -> GateRecord {
        let gate = self.gate(promotion, GateKind::Approval).await;
        let path = format!("/iam/v1/approvals/{}/{verb}", gate.id);
        let answer = self
            .stack
            .approvals("POST", &path, &json!({ "comment": format!("the suite says {verb}") }).to_string())
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let decided = self.gate_now(&gate).await;
        assert_ne!(decided.status, GateStatus::Pending);
        decided
    }

    /// Waits until the promotion has ended and is attested.
    pub async fn ended(&self, promotion: &PromotionRecord) -> PromotionRecord {
        until(&format!("the end of {}", promotion.id), 240, async || {
            let now = self.now(promotion).await;
            (now.status != PromotionStatus::Running && now.attested).then_some(now)
        })
        .await
    }

    /// Submits a fixture as the first version, approves it, and waits for the crown.
    pub async fn first_champion(&self, fixture: &str) -> PromotionRecord {
        let promotion = self.submit(fixture).await;
        self.decide(&promotion, "approve").await;
        let ended = self.ended(&promotion).await;
        assert_eq!(ended.status, PromotionStatus::Crowned, "{:?}", ended.reason);
        ended
    }

    /// Waits until the challenger has a share of the traffic.
    pub async fn canary(&self) -> Head {
        until("a canary", 60, async || {
            let head = self.head().await;
            (head.route.weight.bps() > 0).then_some(head)
        })
        .await
    }

    /// What the state machine carries for a promotion.
    #[must_use]
    pub fn held(promotion: &PromotionRecord) -> Value {
        json!({
            "schema": 1, "model": promotion.model, "promotion": promotion.id, "epoch": promotion.epoch,
            "version": promotion.challenger.version,
        })
    }

    /// How the execution of a promotion ended: its status, error and cause.
    pub async fn execution(&self, promotion: &PromotionRecord) -> (String, String, String) {
        self.execution_of(promotion.execution.as_deref().expect("an execution")).await
    }

    /// How an execution ended: its status, error and cause.
    pub async fn execution_of(&self, arn: &str) -> (String, String, String) {
        until("the execution's end", 60, async || {
            let found =
                self.stack.sfn.describe_execution().execution_arn(arn).send().await.expect("Step Functions");
            let status = found.status().as_str().to_owned();
            let text = |t: Option<&str>| t.unwrap_or_default().to_owned();
            (status != "RUNNING").then(|| (status, text(found.error()), text(found.cause())))
        })
        .await
    }
}
