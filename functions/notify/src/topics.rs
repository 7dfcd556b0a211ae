//! SNS topics.

use async_trait::async_trait;
use aws_config::SdkConfig;
use seatrial_domain::notice::{Notice, Receipt, receipt};
use seatrial_outbound::aws::{self, Call};
use serde_json::json;

use crate::Tried;

/// The most bytes of a topic's message, and characters of its subject.
const MOST_BYTES: usize = 250_000;
const MOST_SUBJECT: usize = 99;

/// Publishes to topics.
#[async_trait]
pub trait Topics: Send + Sync {
    /// Publishes a notice: `text` for people, `json` for machines.
    async fn publish(&self, arn: &str, notice: &Notice, subject: &str, text: &str, json: &str) -> Tried;
}

/// Amazon SNS.
#[derive(Debug, Clone)]
pub struct Sns(SdkConfig);

impl Sns {
    /// Publishes with these credentials.
    #[must_use]
    pub const fn new(aws: SdkConfig) -> Self {
        Self(aws)
    }
}

#[async_trait]
impl Topics for Sns {
    async fn publish(&self, arn: &str, notice: &Notice, subject: &str, text: &str, json: &str) -> Tried {
        let body = form(arn, notice, subject, text, json);
        if body.len() > MOST_BYTES {
            return Tried::Never { why: "the notice is larger than a topic takes".into() };
        }
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let call = Call { service: "sns", path: "/", headers: &headers, body: &body, limit: 64 << 10 };
        let answer = match aws::post(&self.0, &call).await {
            Ok(answer) => answer,
            Err(e) => return Tried::Later { after: None, why: e.to_string() },
        };
        let why = format!("SNS answered with {}: {}", answer.status, answer.beginning());
        // Some of AWS's throttles come as 400.
        let throttled = answer.body.windows(7).any(|w| w == b"Throttl");
        match receipt(answer.status.as_u16(), None) {
            Receipt::Taken => Tried::Taken,
            Receipt::Later(after) => Tried::Later { after, why },
            Receipt::Never if throttled => Tried::Later { after: None, why },
            Receipt::Never => Tried::Never { why },
        }
    }
}

/// The parameters of `Publish`. Who subscribes by mail or telephone reads text; queues, functions and servers get the JSON.
fn form(arn: &str, notice: &Notice, subject: &str, text: &str, json: &str) -> String {
    // A subject of SNS is one line of ASCII.
    let plain = |c: char| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' };
    let subject: String = subject.chars().map(plain).take(MOST_SUBJECT).collect();
    let message = json!({
        "default": text, "email": text, "sms": subject,
        "email-json": json, "sqs": json, "lambda": json, "http": json, "https": json, "firehose": json,
    });
    let attribute = |n: u8, name: &str, value: &str| {
        let entry = format!("MessageAttributes.entry.{n}");
        [
            (format!("{entry}.Name"), name.to_owned()),
            (format!("{entry}.Value.DataType"), "String".to_owned()),
            (format!("{entry}.Value.StringValue"), value.to_owned()),
        ]
    };
    let mut fields = vec![
        ("Action".to_owned(), "Publish".to_owned()),
        ("Version".to_owned(), "2010-03-31".to_owned()),
        ("TopicArn".to_owned(), arn.to_owned()),
        ("Subject".to_owned(), subject),
        ("MessageStructure".to_owned(), "json".to_owned()),
        ("Message".to_owned(), message.to_string()),
    ];
    fields.extend(attribute(1, "event", notice.kind.as_str()));
    fields.extend(attribute(2, "model", notice.model.as_str()));
    aws::form(&fields)
}
