//! Drives the traffic targets of models to their routes.
//!
//! The registry's route is what is wanted, and this function alone writes to targets. It is told where to look by a queue: at once when a
//! model's head changes, and every minute for all models that have a target. What to do is never in the message: the head is read
//! anew, so messages that come twice, late or in another order have the effect of one that comes now. Nothing waits for it:
//! a rollback is done when the registry says so, and the target follows.

mod drive;

use std::collections::BTreeMap;

use futures::future::join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use seatrial_domain::ModelName;
use seatrial_domain::target::{Nudge, SCHEMA, TargetState};
use seatrial_registry::{Records, Targets as KeptTargets};
use seatrial_runtime::Failure;
use seatrial_runtime::postpone::Postpone;
use seatrial_runtime::queue::Queue;
use seatrial_runtime::sqs_event::{BatchAnswer, SqsEvent, SqsMessage};
use seatrial_targets::Targets;
use serde_json::{Value, json};

/// What `reconcile` needs of the registry: its records, and what was seen of targets. It changes no record of a model.
pub trait ReconcileRegistry: Records + KeptTargets {}
impl<R: Records + KeptTargets> ReconcileRegistry for R {}

/// What `reconcile` works with.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The registry.
    pub registry: &'a dyn ReconcileRegistry,
    /// The targets.
    pub targets: &'a dyn Targets,
    /// The queue that messages come from, for more of them.
    pub queue: &'a dyn Queue,
    /// The same, for putting a message off.
    pub postpone: &'a dyn Postpone,
}

impl std::fmt::Debug for Ports<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ports")
    }
}

/// What became of a look at one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has no target, or none that there is anything to do about now.
    Done(Option<TargetState>),
    /// Another invocation drives it.
    Busy,
}

/// Seconds until another try while a target is behind; after the last of them the minute goes on with it.
const WAITS: [u32; 5] = [2, 4, 8, 15, 30];
/// Seconds until another try while another invocation drives the target.
const BUSY_WAIT: u32 = 2;

/// Handles a batch of the queue, or the minute's tick.
///
/// # Errors
/// When the event is neither, or the registry does not answer at a tick; the next minute's does the same.
pub async fn handle<C>(ports: &Ports<'_>, clock: C, event: Value) -> Result<Value, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    if event.get("Records").is_none() {
        return tick(ports).await;
    }
    let event: SqsEvent = serde_json::from_value(event)
        .map_err(|e| Failure::invalid(format!("reconcile takes the messages of its queue: {e}")))?;
    let mut unread = Vec::new();
    let mut by_model: BTreeMap<ModelName, Vec<&SqsMessage>> = BTreeMap::new();
    for message in &event.records {
        match serde_json::from_str::<Nudge>(&message.body) {
            Ok(Nudge { schema: SCHEMA, model }) => by_model.entry(model).or_default().push(message),
            // It comes again until the queue gives it up: another release may know it.
            read => {
                tracing::error!(
                    ?read,
                    "a message cannot be read, or its schema is not known to this release"
                );
                unread.push(message.message_id.clone());
            }
        }
    }
    let looked = by_model.iter().map(|(model, messages)| look(ports, &clock, model, messages));
    let again = join_all(looked).await.into_iter().flatten().chain(unread);
    serde_json::to_value(BatchAnswer::keep(again)).map_err(|e| Failure::internal("writing the answer", e))
}

/// Looks at one model for all messages about it; those that come again.
async fn look<C>(ports: &Ports<'_>, clock: &C, model: &ModelName, messages: &[&SqsMessage]) -> Vec<String>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    let Some(first) = messages.first() else { return Vec::new() };
    // Nobody else has this name: the same message comes again under another number.
    let driver = format!("{}#{}", first.message_id, first.attempts());
    let all = || messages.iter().map(|m| m.message_id.clone()).collect();
    let wait = match drive::drive(ports, clock, model, &driver).await {
        Ok(Outcome::Done(Some(TargetState::Behind))) => {
            let tries = messages.iter().map(|m| m.attempts()).min().unwrap_or(1) as usize;
            let Some(wait) = WAITS.get(tries - 1) else { return Vec::new() };
            *wait
        }
        Ok(Outcome::Done(_)) => return Vec::new(),
        Ok(Outcome::Busy) => BUSY_WAIT,
        Err(failure) => {
            tracing::warn!(%model, label = failure.label, error = failure.chain(), "a message comes again");
            return all();
        }
    };
    for message in messages {
        ports.postpone.postpone(message, wait).await;
    }
    all()
}

/// How many models are asked for at once at a tick.
const AT_ONCE: usize = 16;

/// Has every model looked at that has a target: what was changed by hand is found so, and what was behind is driven on.
async fn tick(ports: &Ports<'_>) -> Result<Value, Failure> {
    let asked = ports.registry.models().await?.into_iter().map(|model| async move {
        let named = drive::route_and_target(ports.registry, &model).await?.is_some_and(|(_, t)| t.is_some());
        // A target that is not named any more is forgotten.
        let looked = named || ports.registry.target(&model).await?.is_some();
        Ok::<_, Failure>(looked.then_some(model))
    });
    let models: Vec<Option<ModelName>> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    let nudges =
        models.into_iter().flatten().map(|model| serde_json::to_string(&Nudge { schema: SCHEMA, model }));
    let bodies: Result<Vec<String>, _> = nudges.collect();
    let bodies = bodies.map_err(|e| Failure::internal("writing a message", e))?;
    let looked_at = bodies.len();
    if looked_at > 0 {
        ports.queue.send(bodies).await?;
    }
    Ok(json!({ "models": looked_at }))
}
