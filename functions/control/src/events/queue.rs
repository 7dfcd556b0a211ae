//! The dead-letter queue of events, and the function that takes them.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName};
use jiff::Timestamp;
use seatrial_domain::PromotionId;
use seatrial_outbound::Answer;
use seatrial_outbound::aws::{Call, post};
use seatrial_runtime::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::letter::Letter;

/// How long a message is held while it is looked at, in seconds. Whoever looks dies at the latest with the API's timeout.
const HELD: i32 = 30;
/// The most messages that are looked at.
pub(crate) const MOST: usize = 200;
/// The largest answer of the function, in bytes.
const ANSWER_LIMIT: usize = 64 << 10;

/// What came of an event that was sent to the function once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retaken {
    /// The promotion it names; none for an event that asks for none.
    #[serde(default)]
    pub promotion: Option<PromotionId>,
    /// Whether its execution was started, by this event once more or just before; else another event had started it.
    #[serde(default)]
    pub started: bool,
}

/// Events that started no promotion.
#[async_trait]
pub trait DeadEvents: Send + Sync {
    /// Takes the messages that wait, at most 200, up to the one that is `wanted`. Nobody else sees them for half a minute.
    ///
    /// # Errors
    /// When the queue does not answer; so for the methods below.
    async fn take(&self, wanted: Option<&str>) -> Result<Vec<Letter>, Failure>;
    /// Lets others see them again.
    async fn put_back(&self, letters: &[Letter]) -> Result<(), Failure>;
    /// Removes one for good.
    async fn remove(&self, letter: &Letter) -> Result<(), Failure>;
    /// Has `intake` take the event once more.
    ///
    /// # Errors
    /// `Invalid` with its words when it refuses the event; `Unavailable` when it does not answer.
    async fn replay(&self, event: &Value) -> Result<Retaken, Failure>;
}

/// SQS and Lambda.
#[derive(Debug, Clone)]
pub struct SqsEvents {
    client: Client,
    url: String,
    aws: SdkConfig,
    function: String,
}

impl SqsEvents {
    /// The queue at this URL, and the function of this name (with its alias).
    #[must_use]
    pub fn new(aws: SdkConfig, url: &str, function: &str) -> Self {
        Self { client: Client::new(&aws), url: url.to_owned(), aws, function: function.to_owned() }
    }
}

#[async_trait]
impl DeadEvents for SqsEvents {
    async fn take(&self, wanted: Option<&str>) -> Result<Vec<Letter>, Failure> {
        let mut letters = Vec::new();
        while letters.len() < MOST {
            let answer = self
                .client
                .receive_message()
                .queue_url(&self.url)
                .max_number_of_messages(10)
                .visibility_timeout(HELD)
                // A second's wait asks all of the queue's servers, not some.
                .wait_time_seconds(1)
                .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
                .message_attribute_names("All")
                .send()
                .await
                .map_err(|e| unavailable("looking into the dead-letter queue", &e))?;
            let found: Vec<Letter> =
                answer.messages.unwrap_or_default().into_iter().filter_map(read).collect();
            let done = found.is_empty() || wanted.is_some_and(|id| found.iter().any(|l| l.id == id));
            letters.extend(found);
            if done {
                break;
            }
        }
        letters.sort_by(|a, b| (a.sent_at, &a.id).cmp(&(b.sent_at, &b.id)));
        Ok(letters)
    }

    async fn put_back(&self, letters: &[Letter]) -> Result<(), Failure> {
        for batch in letters.chunks(10) {
            let mut call = self.client.change_message_visibility_batch().queue_url(&self.url);
            for (n, letter) in batch.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(n.to_string())
                    .receipt_handle(&letter.receipt)
                    .visibility_timeout(0)
                    .build();
                call = call.entries(entry.map_err(|e| Failure::internal("putting a message back", e))?);
            }
            call.send().await.map_err(|e| unavailable("putting messages back", &e))?;
        }
        Ok(())
    }

    async fn remove(&self, letter: &Letter) -> Result<(), Failure> {
        let call = self.client.delete_message().queue_url(&self.url).receipt_handle(&letter.receipt);
        call.send().await.map(drop).map_err(|e| unavailable("removing a message", &e))
    }

    async fn replay(&self, event: &Value) -> Result<Retaken, Failure> {
        let path = format!("/2015-03-31/functions/{}/invocations", self.function);
        let (headers, body) = ([("content-type", "application/json")], event.to_string());
        let call =
            Call { service: "lambda", path: &path, headers: &headers, body: &body, limit: ANSWER_LIMIT };
        let answer = post(&self.aws, &call).await.map_err(|e| Failure::unavailable("calling intake", e))?;
        retaken(answer)
    }
}

fn unavailable<E: std::error::Error + 'static>(doing: &str, error: &E) -> Failure {
    Failure::unavailable(doing, DisplayErrorContext(error).to_string())
}

fn read(message: Message) -> Option<Letter> {
    let sent = message.attributes.as_ref().and_then(|a| a.get(&MessageSystemAttributeName::SentTimestamp));
    let sent_at = sent.and_then(|ms| Timestamp::from_millisecond(ms.parse().ok()?).ok());
    let attributes = message.message_attributes.unwrap_or_default();
    Some(Letter {
        id: message.message_id?,
        receipt: message.receipt_handle?,
        sent_at: sent_at.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        attributes: attributes.into_iter().filter_map(|(name, v)| Some((name, v.string_value?))).collect(),
    })
}

/// What the function answered. Its refusals are for whoever replays; its troubles may pass.
fn retaken(answer: Answer) -> Result<Retaken, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Failed {
        error_type: String,
        error_message: String,
    }
    if answer.status.is_success() && answer.headers.contains_key("x-amz-function-error") {
        return Err(match serde_json::from_slice::<Failed>(&answer.body) {
            Ok(failed) if failed.error_type == seatrial_runtime::label::INVALID => {
                Failure::invalid(failed.error_message)
            }
            Ok(failed) => Failure::unavailable("intake", failed.error_message),
            Err(_) => Failure::unavailable("intake", answer.beginning()),
        });
    }
    let body = answer.succeeded().map_err(|why| Failure::unavailable("calling intake", why))?;
    serde_json::from_slice(&body).map_err(|e| Failure::unavailable("reading what intake answered", e))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;

    fn answer(failed: bool, status: StatusCode, body: &str) -> Result<Retaken, Failure> {
        let mut headers = HeaderMap::new();
        if failed {
            headers.insert("x-amz-function-error", HeaderValue::from_static("Unhandled"));
        }
        retaken(Answer { status, headers, body: body.as_bytes().to_vec().into() })
    }

    #[test]
    fn what_intake_answers_is_told_from_how_it_fails() {
        let taken =
            answer(false, StatusCode::OK, r#"{"promotion":"pr_0123456789abcdef01234567","started":true}"#)
                .unwrap();
        assert!(taken.started && taken.promotion.is_some());
        let none = answer(false, StatusCode::OK, r#"{"started":false}"#).unwrap();
        assert_eq!(none, Retaken { promotion: None, started: false });
        let refused = r#"{"errorType":"Seatrial.Invalid","errorMessage":"no policy"}"#;
        let refused = answer(true, StatusCode::OK, refused).unwrap_err();
        assert_eq!((refused.message.as_str(), refused.is_transient()), ("no policy", false));
        for (failed, status, body) in [
            (true, StatusCode::OK, r#"{"errorType":"Seatrial.Unavailable","errorMessage":"x"}"#),
            (true, StatusCode::OK, "Task timed out"),
            (false, StatusCode::TOO_MANY_REQUESTS, ""),
            (false, StatusCode::OK, "?"),
        ] {
            assert!(answer(failed, status, body).unwrap_err().is_transient(), "{body}");
        }
    }
}
