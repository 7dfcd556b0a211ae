//! Tells people and machines what happened to a model: by mail, through SNS topics, through webhooks.
//!
//! The queue holds two kinds of messages. An **entry** names a new entry of a model's history; it becomes one **delivery** for
//! each receiver, and each delivery is tried by itself, again and again with growing waits, until it is taken, refused for
//! good, or given up. So a receiver that is down delays no other one, and nothing here is waited for by a promotion.

mod deliver;
mod fan_out;
mod hooks;
mod parameters;
mod topics;

use futures::future::join_all;
use jiff::Timestamp;
use seatrial_domain::notice::{Message, SCHEMA};
use seatrial_mail::Mailer;
use seatrial_outbound::Allowed;
use seatrial_registry::{Attempts, Records};
use seatrial_runtime::Failure;
use seatrial_runtime::postpone::Postpone;
use seatrial_runtime::queue::Queue;
use seatrial_runtime::sqs_event::{BatchAnswer, SqsEvent, SqsMessage};
use serde_json::{Value, json};

pub use parameters::{Parameters, Ssm};
pub use topics::{Sns, Topics};

/// What `notify` needs of the registry: its records, and the marks that say what was delivered.
pub trait NotifyRegistry: Records + Attempts {}
impl<R: Records + Attempts> NotifyRegistry for R {}

/// How one try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// The receiver has it.
    Taken,
    /// It may be taken later, not before so many seconds where the receiver said so.
    Later {
        /// Seconds.
        after: Option<u32>,
        /// Why not now.
        why: String,
    },
    /// It will not be taken: somebody has to change something.
    Never {
        /// What is wrong.
        why: String,
    },
}

/// What `notify` works with.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The registry.
    pub registry: &'a dyn NotifyRegistry,
    /// The queue that messages come from, for more of them.
    pub queue: &'a dyn Queue,
    /// The same, for putting a message off.
    pub postpone: &'a dyn Postpone,
    /// Where deliveries go that were given up.
    pub dead_letters: &'a dyn Queue,
    /// Who sends mail; nobody where no sender is set up.
    pub mailer: Option<&'a dyn Mailer>,
    /// SNS.
    pub topics: &'a dyn Topics,
    /// The secrets of webhooks.
    pub parameters: &'a dyn Parameters,
    /// What webhooks may reach.
    pub allowed: &'a Allowed,
    /// The deployment's own topic.
    pub topic: Option<&'a str>,
    /// What the addresses of gates begin with, without a slash at the end.
    pub approvals_url: &'a str,
}

impl std::fmt::Debug for Ports<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").field("approvals_url", &self.approvals_url).finish_non_exhaustive()
    }
}

/// Handles a batch of the queue, all messages at once. Those that could not be worked off come again.
///
/// # Errors
/// When the event is not one of a queue.
pub async fn handle<C>(ports: &Ports<'_>, clock: C, event: Value) -> Result<BatchAnswer, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    let event: SqsEvent = serde_json::from_value(event)
        .map_err(|e| Failure::invalid(format!("notify takes the messages of its queue: {e}")))?;
    let now = clock();
    let worked = event.records.iter().map(|message| async move {
        let done = one(ports, message, now).await;
        done.err().map(|failure| {
            tracing::warn!(label = failure.label, error = failure.chain(), "a message comes again");
            message.message_id.clone()
        })
    });
    Ok(BatchAnswer::keep(join_all(worked).await.into_iter().flatten()))
}

async fn one(ports: &Ports<'_>, message: &SqsMessage, now: Timestamp) -> Result<(), Failure> {
    match serde_json::from_str::<Message>(&message.body) {
        Ok(Message::Entry { schema: SCHEMA, model, seq }) => fan_out::fan_out(ports, &model, seq, now).await,
        Ok(Message::Delivery { schema: SCHEMA, delivery }) => {
            deliver::deliver(ports, message, &delivery, now).await
        }
        Ok(_) => set_aside(ports, &message.body, "its schema is not known to this release").await,
        Err(e) => set_aside(ports, &message.body, &format!("it cannot be read ({e})")).await,
    }
}

/// A message that nobody can work off goes to the dead letters at once, with the reason.
async fn set_aside(ports: &Ports<'_>, body: &str, why: &str) -> Result<(), Failure> {
    tracing::error!(why, "a message is set aside");
    let letter = json!({ "message": body, "failed": { "why": why } });
    ports.dead_letters.send(vec![letter.to_string()]).await
}
