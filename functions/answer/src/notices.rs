//! From the registry's stream to the queue of notices.
//!
//! Only `answer` reads the stream: it carries task tokens. So it passes on where something happened, and nothing else; what
//! people are told is `notify`'s to read and to say. It does so through an event source of its own, so that a queue that does
//! not take a notice keeps no execution waiting.

use seatrial_domain::ModelName;
use seatrial_domain::notice::{Message, SCHEMA};
use seatrial_runtime::Failure;
use seatrial_runtime::queue::Queue;
use serde_json::Value;

/// The entry of a history that a stream record's keys name.
pub(crate) fn entry_of(keys: &Value) -> Option<Message> {
    let model = keys.pointer("/pk/S")?.as_str()?.strip_prefix("HISTORY#")?;
    let seq = keys.pointer("/sk/S")?.as_str()?.parse().ok()?;
    Some(Message::Entry { schema: SCHEMA, model: ModelName::parse(model).ok()?, seq })
}

/// Passes entries on, all of them or none.
pub(crate) async fn pass_on(queue: &dyn Queue, entries: &[Message]) -> Result<(), Failure> {
    let bodies: Result<Vec<String>, _> = entries.iter().map(serde_json::to_string).collect();
    let bodies = bodies.map_err(|e| Failure::internal("writing a message", e))?;
    if bodies.is_empty() {
        return Ok(());
    }
    queue.send(bodies).await
}
