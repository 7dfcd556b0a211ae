//! The queues between data plane, `observe` and `replay`, and the evidence clock that is read off them.

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use jiff::Timestamp;
use seatrial_registry::Watermarks;

use crate::failure::Failure;

/// A queue.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Its name, under which watermarks are kept.
    fn name(&self) -> &str;
    /// Sends messages, each below 256 KB, in as few calls as they fit.
    ///
    /// # Errors
    /// When any of them was not taken; those before it may have been.
    async fn send(&self, bodies: Vec<String>) -> Result<(), Failure>;
    /// Whether nothing waits in it and nothing is being worked on.
    ///
    /// # Errors
    /// When the queue does not answer.
    async fn is_empty(&self) -> Result<bool, Failure>;
}

/// SQS.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: Client,
    url: String,
    name: String,
}

impl SqsQueue {
    /// The queue at this URL.
    #[must_use]
    pub fn new(client: Client, url: &str) -> Self {
        let name = url.rsplit('/').next().unwrap_or(url).to_owned();
        Self { client, url: url.to_owned(), name }
    }
}

/// The most bytes of one `SendMessageBatch`.
const BATCH_BYTES: usize = 250_000;

#[async_trait]
impl Queue for SqsQueue {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, bodies: Vec<String>) -> Result<(), Failure> {
        for batch in batches(bodies) {
            let mut call = self.client.send_message_batch().queue_url(&self.url);
            for (n, body) in batch.into_iter().enumerate() {
                let entry =
                    SendMessageBatchRequestEntry::builder().id(n.to_string()).message_body(body).build();
                call = call.entries(entry.map_err(|e| Failure::internal("building a message", e))?);
            }
            let sent = call.send().await.map_err(|e| unavailable("sending to a queue", &e))?;
            if let Some(refused) = sent.failed().first() {
                return Err(Failure::unavailable(
                    "sending to a queue",
                    refused.message().unwrap_or(refused.code()).to_owned(),
                ));
            }
        }
        Ok(())
    }

    async fn is_empty(&self) -> Result<bool, Failure> {
        let counts = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .set_attribute_names(Some(counts.to_vec()))
            .send()
            .await
            .map_err(|e| unavailable("asking a queue for its length", &e))?;
        let zero = |name| answer.attributes().and_then(|a| a.get(name)).is_some_and(|n| n == "0");
        Ok(counts.iter().all(zero))
    }
}

fn unavailable<E: std::error::Error + 'static>(doing: &str, error: &E) -> Failure {
    Failure::unavailable(doing, DisplayErrorContext(error).to_string())
}

/// Groups of at most ten bodies and [`BATCH_BYTES`].
fn batches(bodies: Vec<String>) -> Vec<Vec<String>> {
    let mut groups: Vec<Vec<String>> = Vec::new();
    let mut size = 0;
    for body in bodies {
        size += body.len();
        match groups.last_mut() {
            Some(group) if group.len() < 10 && size <= BATCH_BYTES => group.push(body),
            _ => {
                size = body.len();
                groups.push(vec![body]);
            }
        }
    }
    groups
}

/// Entries as messages: JSON arrays of at most `limit` bytes each. An entry larger than that has a message of its own.
#[must_use]
pub fn pack(entries: impl IntoIterator<Item = String>, limit: usize) -> Vec<String> {
    let mut messages = Vec::new();
    let mut open = String::new();
    for entry in entries {
        if !open.is_empty() && open.len() + entry.len() + 2 > limit {
            messages.push(format!("[{open}]"));
            open.clear();
        }
        if !open.is_empty() {
            open.push(',');
        }
        open.push_str(&entry);
    }
    if !open.is_empty() {
        messages.push(format!("[{open}]"));
    }
    messages
}

/// The time up to which everything that was sent to `queue` has been worked off.
///
/// An empty queue has drained up to now. A busy one has drained up to what its reader last recorded: the sending time of
/// the oldest message of a batch that was worked off whole (a standard queue hands messages out about in order).
///
/// # Errors
/// When queue or registry do not answer.
pub async fn drained_up_to(
    queue: &dyn Queue,
    watermarks: &dyn Watermarks,
    now: Timestamp,
) -> Result<Option<Timestamp>, Failure> {
    if queue.is_empty().await? {
        watermarks.set_drained_at(queue.name(), now).await?;
    }
    Ok(watermarks.drained_at(queue.name()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_below_the_limit_and_lose_nothing() {
        let entries: Vec<_> = (0..100).map(|n| format!("{n:010}")).collect();
        let messages = pack(entries.clone(), 64);
        assert!(messages.iter().all(|m| m.len() <= 64), "{messages:?}");
        let back: Vec<String> = messages
            .iter()
            .flat_map(|m| m.trim_matches(['[', ']']).split(',').map(str::to_owned).collect::<Vec<_>>())
            .collect();
        assert_eq!(back, entries);
    }

    #[test]
    fn batches_hold_ten_and_a_quarter_megabyte() {
        assert_eq!(batches(vec!["x".into(); 25]).iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
        let large = batches(vec!["x".repeat(100_000); 5]);
        assert_eq!(large.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    }
}
