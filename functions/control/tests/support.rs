//! What most tests do without.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fn_control::{Control, DeadEvents, Execution, Letter, Retaken, Start, Starter};
use jiff::Timestamp;
use seatrial_artifacts::MemoryS3;
use seatrial_domain::PromotionId;
use seatrial_domain::task::PromotionInput;
use seatrial_registry::MemoryRegistry;
use seatrial_runtime::Failure;
use serde_json::Value;

/// The operator API on this registry, with empty buckets, for nobody in particular; nothing is started, and no event looked for.
pub(crate) fn control(registry: &MemoryRegistry) -> Control {
    let registry = Arc::new(registry.clone());
    let empty = || Arc::new(MemoryS3::default().bucket("empty"));
    Control {
        tallies: registry.clone(),
        registry,
        models: empty(),
        data: empty(),
        evidence: empty(),
        starter: Arc::new(NoStarter),
        events: Arc::new(NoEvents),
        local_identity: None,
        platform_owners: Vec::new(),
        clock: Timestamp::now,
    }
}

/// Step Functions that nobody may ask for anything.
struct NoStarter;

#[async_trait]
impl Starter for NoStarter {
    async fn start(&self, input: &PromotionInput) -> Result<Start, Failure> {
        panic!("{input:?} was started");
    }

    async fn execution(&self, _: &PromotionId) -> Result<Execution, Failure> {
        panic!("no execution is looked at here")
    }
}

/// Remembers what was started, and is asked for nothing else.
#[derive(Clone, Default)]
pub(crate) struct Started(pub(crate) Arc<Mutex<Vec<PromotionInput>>>);

#[async_trait]
impl Starter for Started {
    async fn start(&self, input: &PromotionInput) -> Result<Start, Failure> {
        self.0.lock().unwrap().push(input.clone());
        Ok(Start::Runs)
    }

    async fn execution(&self, _: &PromotionId) -> Result<Execution, Failure> {
        panic!("no execution is looked at here")
    }
}

/// A queue that nobody looks into.
pub(crate) struct NoEvents;

#[async_trait]
impl DeadEvents for NoEvents {
    async fn take(&self, _: Option<&str>) -> Result<Vec<Letter>, Failure> {
        panic!("nothing looks for events here")
    }

    async fn put_back(&self, _: &[Letter]) -> Result<(), Failure> {
        panic!("nothing looks for events here")
    }

    async fn remove(&self, _: &Letter) -> Result<(), Failure> {
        panic!("nothing looks for events here")
    }

    async fn replay(&self, _: &Value) -> Result<Retaken, Failure> {
        panic!("nothing looks for events here")
    }
}
