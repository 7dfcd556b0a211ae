//! From the registry's stream to answered tokens.

use std::collections::BTreeSet;

use seatrial_domain::GateId;
use seatrial_domain::gate::answer_of;
use seatrial_domain::notice::{self, Message};
use seatrial_domain::target::{self, Nudge};
use seatrial_registry::{Records, Tokens};
use seatrial_runtime::Failure;
use seatrial_runtime::queue::Queue;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::callbacks::{CallbackError, Callbacks};
use crate::notices::{entry_of, moves, pass_on, told};

/// What became of a gate's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The execution has it.
    Answered,
    /// The gate is not decided: there is nothing to say.
    Undecided,
    /// No execution waits for this gate.
    NobodyWaits,
}

/// The records of a batch that must come again (`ReportBatchItemFailures`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// By sequence number.
    pub batch_item_failures: Vec<ItemFailure>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemFailure {
    /// The record's sequence number.
    pub item_identifier: String,
}

#[derive(Deserialize)]
struct StreamRecord {
    dynamodb: StreamChange,
}

#[derive(Deserialize)]
struct StreamChange {
    #[serde(rename = "Keys")]
    keys: Value,
    #[serde(rename = "SequenceNumber")]
    sequence: String,
    #[serde(rename = "NewImage", default)]
    image: Value,
}

impl StreamChange {
    /// The event of an entry.
    fn event(&self) -> Option<&str> {
        self.image.pointer("/event/S")?.as_str()
    }
}

/// The queues that entries of histories are passed on to.
#[derive(Clone, Copy)]
pub struct Queues<'a> {
    /// What people may have to hear of.
    pub notices: &'a dyn Queue,
    /// Models whose traffic target may have to move.
    pub targets: &'a dyn Queue,
}

impl std::fmt::Debug for Queues<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queues")
    }
}

/// Handles a batch of the stream: decided gates are answered, entries of histories are passed on to the queues they are for. Every
/// record is tried, and those that could not be worked off come again.
///
/// # Errors
/// When the event is not one of a stream.
pub async fn handle<R>(
    registry: &R,
    callbacks: &dyn Callbacks,
    queues: Queues<'_>,
    event: Value,
) -> Result<BatchResponse, Failure>
where
    R: Records + Tokens + ?Sized,
{
    let Some(Value::Array(records)) = event.get("Records") else {
        return Err(Failure::invalid("the event has no Records; answer takes the registry's stream"));
    };
    let mut response = BatchResponse::default();
    let (mut entries, mut nudges) = (Passed::default(), Passed::default());
    for record in records {
        let Ok(StreamRecord { dynamodb }) = serde_json::from_value(record.clone()) else {
            tracing::error!("a stream record has no keys or sequence number; it is passed over");
            continue;
        };
        if let Some((model, seq)) = entry_of(&dynamodb.keys) {
            if moves(dynamodb.event()) {
                nudges.add(Nudge { schema: target::SCHEMA, model: model.clone() }, &dynamodb.sequence);
            }
            if told(dynamodb.event()) {
                entries.add(Message::Entry { schema: notice::SCHEMA, model, seq }, &dynamodb.sequence);
            }
            continue;
        }
        let Some(gate) = gate_of(&dynamodb.keys) else {
            tracing::error!(keys = %dynamodb.keys, "a stream record is neither a gate nor an entry; it is passed over");
            continue;
        };
        if let Err(failure) = tell(registry, callbacks, &gate).await {
            tracing::warn!(%gate, label = failure.label, error = failure.chain(), "a gate's answer comes again");
            response.batch_item_failures.push(ItemFailure { item_identifier: dynamodb.sequence });
        }
    }
    // Targets first: a rollback may be among them. What keeps one queue back keeps nothing from the other.
    let again = nudges.on(queues.targets, "targets").await.into_iter();
    let again: BTreeSet<String> = again.chain(entries.on(queues.notices, "notices").await).collect();
    let again = again.into_iter().map(|item_identifier| ItemFailure { item_identifier });
    response.batch_item_failures.extend(again);
    Ok(response)
}

/// Messages for one queue, with the records that they come from.
struct Passed<M> {
    messages: Vec<M>,
    sequences: Vec<String>,
}

impl<M> Default for Passed<M> {
    fn default() -> Self {
        Self { messages: Vec::new(), sequences: Vec::new() }
    }
}

impl<M: Serialize> Passed<M> {
    fn add(&mut self, message: M, sequence: &str) {
        self.messages.push(message);
        self.sequences.push(sequence.to_owned());
    }

    /// Passes them on; the records that come again.
    async fn on(self, queue: &dyn Queue, name: &str) -> Vec<String> {
        let Err(failure) = pass_on(queue, &self.messages).await else { return Vec::new() };
        let (entries, error) = (self.messages.len(), failure.chain());
        tracing::warn!(label = failure.label, error, entries, queue = name, "entries come again");
        self.sequences
    }
}

fn gate_of(keys: &Value) -> Option<GateId> {
    let pk = keys.pointer("/pk/S")?.as_str()?;
    GateId::parse(pk.strip_prefix("GATE#")?).ok()
}

/// Tells the execution that waits for `gate` how it stands. The registry is read anew: the stream only says where to look.
///
/// # Errors
/// When registry or Step Functions do not answer; then nothing was forgotten, and it can be tried again.
pub async fn tell<R>(registry: &R, callbacks: &dyn Callbacks, gate: &GateId) -> Result<Told, Failure>
where
    R: Records + Tokens + ?Sized,
{
    let Some(answer) = registry.gate(gate).await?.as_ref().and_then(answer_of) else {
        return Ok(Told::Undecided);
    };
    let Some(token) = registry.token(gate).await? else {
        return Ok(Told::NobodyWaits);
    };
    let told = match callbacks.succeed(&token, &answer).await {
        Ok(()) => {
            tracing::info!(%gate, outcome = ?answer.outcome, "the execution was told");
            Told::Answered
        }
        Err(CallbackError::NobodyWaits { why }) => {
            tracing::warn!(%gate, outcome = ?answer.outcome, why, "the gate is orphaned: no execution waits for it any more");
            Told::NobodyWaits
        }
        Err(CallbackError::Unavailable { source }) => {
            return Err(Failure::unavailable("telling the execution", source));
        }
    };
    // Forgotten only now: a crash before this line leaves the token, and the next try finds that nobody waits.
    registry.delete_token(gate, &token).await?;
    Ok(told)
}
