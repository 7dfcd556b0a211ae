//! The event SQS hands to a function, as far as we read it, and the answer that names the messages to keep.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A batch of messages.
#[derive(Debug, Clone, Deserialize)]
pub struct SqsEvent {
    /// The messages.
    #[serde(rename = "Records")]
    pub records: Vec<SqsMessage>,
}

/// One message.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqsMessage {
    /// Its id.
    pub message_id: String,
    /// Its text.
    pub body: String,
    /// By what it is deleted or put off.
    #[serde(default)]
    pub receipt_handle: Option<String>,
    /// What SQS knows about it.
    pub attributes: SqsAttributes,
}

/// What SQS knows about a message.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SqsAttributes {
    /// When it was sent, in milliseconds of Unix time.
    pub sent_timestamp: Option<String>,
    /// The principal that sent it: a user's id, or an assumed role's id and session.
    pub sender_id: Option<String>,
    /// How often it was handed out.
    pub approximate_receive_count: Option<String>,
}

impl SqsMessage {
    /// When the queue took the message: the evidence clock.
    #[must_use]
    pub fn sent_at(&self) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.attributes.sent_timestamp.as_deref()?.parse().ok()?).ok()
    }

    /// How often it was handed out, this time included.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        let count = self.attributes.approximate_receive_count.as_deref();
        count.and_then(|n| n.parse().ok()).unwrap_or(1).max(1)
    }

    /// The principal that sent it, without the session name that its holder chose.
    #[must_use]
    pub fn sender(&self) -> Option<&str> {
        self.attributes.sender_id.as_deref().map(|id| id.split(':').next().unwrap_or(id))
    }
}

/// The answer: messages that come again. All others are done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchAnswer {
    /// The messages that come again.
    pub batch_item_failures: Vec<ItemFailure>,
}

/// A message that comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemFailure {
    /// Its id.
    pub item_identifier: String,
}

impl BatchAnswer {
    /// The answer that keeps these messages.
    pub fn keep(ids: impl IntoIterator<Item = String>) -> Self {
        Self {
            batch_item_failures: ids
                .into_iter()
                .map(|item_identifier| ItemFailure { item_identifier })
                .collect(),
        }
    }
}
