//! From the registry's stream to the queues of notices and of traffic targets.
//!
//! Only `answer` reads the stream: it carries task tokens. So it passes on where something happened, and nothing else; what
//! people are told is `notify`'s to read and to say, and what a target does `reconcile`'s. It does so through an event source of its own, so that a queue that does
//! not take a notice keeps no execution waiting.

use seatrial_domain::ModelName;
use seatrial_domain::notice::TOLD;
use seatrial_domain::target::MOVES;
use seatrial_runtime::Failure;
use seatrial_runtime::queue::Queue;
use serde::Serialize;
use serde_json::Value;

/// The entry of a history that a stream record's keys name.
pub(crate) fn entry_of(keys: &Value) -> Option<(ModelName, u64)> {
    let model = keys.pointer("/pk/S")?.as_str()?.strip_prefix("HISTORY#")?;
    let seq = keys.pointer("/sk/S")?.as_str()?.parse().ok()?;
    Some((ModelName::parse(model).ok()?, seq))
}

/// Which of the two queues an entry of this event is for. What a stream of another form does not name goes to both: they read the
/// registry themselves.
pub(crate) fn told(event: Option<&str>) -> bool {
    event.is_none_or(|event| TOLD.contains(&event))
}

/// The same for targets.
pub(crate) fn moves(event: Option<&str>) -> bool {
    event.is_none_or(|event| MOVES.contains(&event))
}

/// Passes entries on, all of them or none.
pub(crate) async fn pass_on<M: Serialize>(queue: &dyn Queue, entries: &[M]) -> Result<(), Failure> {
    let bodies: Result<Vec<String>, _> = entries.iter().map(serde_json::to_string).collect();
    let bodies = bodies.map_err(|e| Failure::internal("writing a message", e))?;
    if bodies.is_empty() {
        return Ok(());
    }
    queue.send(bodies).await
}
