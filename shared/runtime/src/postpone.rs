//! Putting messages off.

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;

use crate::sqs_event::SqsMessage;

/// Puts off when a message comes again.
#[async_trait]
pub trait Postpone: Send + Sync {
    /// Lets `message` come again no sooner than in `seconds`. Where that does not work it comes again after the queue's own
    /// time, so it is no failure.
    async fn postpone(&self, message: &SqsMessage, seconds: u32);
}

/// A queue of SQS.
#[derive(Debug, Clone)]
pub struct Visibility {
    client: Client,
    url: String,
}

impl Visibility {
    /// The messages of the queue at this URL.
    #[must_use]
    pub fn new(client: Client, url: &str) -> Self {
        Self { client, url: url.to_owned() }
    }
}

#[async_trait]
impl Postpone for Visibility {
    async fn postpone(&self, message: &SqsMessage, seconds: u32) {
        let Some(handle) = &message.receipt_handle else { return };
        let seconds = i32::try_from(seconds).unwrap_or(i32::MAX);
        let call = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(handle);
        if let Err(e) = call.visibility_timeout(seconds).send().await {
            tracing::warn!(error = %DisplayErrorContext(&e), "a message comes again after the queue's own time");
        }
    }
}
