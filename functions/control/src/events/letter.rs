//! An event that started no promotion, as it lies in the dead-letter queue. Pure.
//!
//! Two senders write there, each in its own form. Lambda, when `intake` failed: a record of the invocation with the event and the
//! error in it. EventBridge, when it could not hand the event to `intake`: the event itself, and the error as attributes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// The most characters of a reason that are shown.
const REASON: usize = 2_000;

/// A message of the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The message's id.
    pub id: String,
    /// What the queue knows it by while it is held.
    pub receipt: String,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// Its body.
    pub body: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
}

/// The event in a letter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadEvent {
    /// By which it is replayed or dropped.
    pub id: String,
    /// When it was given up.
    pub at: Timestamp,
    /// What kind of event it is.
    pub kind: String,
    /// Who sent it.
    pub source: String,
    /// What it is about: a training job, an object, a model.
    pub about: String,
    /// The error's name.
    pub error: String,
    /// Why it started no promotion.
    pub reason: String,
    /// The event; nothing where the message holds none.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub event: Value,
}

impl DeadEvent {
    /// Reads a letter. What cannot be read is shown all the same, so that it can be dropped.
    #[must_use]
    pub fn of(letter: &Letter) -> Self {
        let body: Value = serde_json::from_str(&letter.body).unwrap_or_default();
        let attribute = |name: &str| letter.attributes.get(name).map(String::as_str);
        let (event, error, reason) = match body.get("requestPayload") {
            Some(event) => {
                let said =
                    |name: &str| body.pointer(&format!("/responsePayload/{name}")).and_then(Value::as_str);
                let condition = body.pointer("/requestContext/condition").and_then(Value::as_str);
                // Without an answer the function was never reached, or did not live to give one.
                let reason = said("errorMessage").or(condition);
                (event.clone(), said("errorType"), reason)
            }
            None => (body, attribute("ERROR_CODE"), attribute("ERROR_MESSAGE")),
        };
        let is_event = event.get("detail-type").is_some_and(Value::is_string);
        let event = if is_event { event } else { Value::Null };
        let text = |pointer: &str| plain(event.pointer(pointer).and_then(Value::as_str).unwrap_or_default());
        Self {
            id: letter.id.clone(),
            at: letter.sent_at,
            kind: text("/detail-type"),
            source: text("/source"),
            about: about(&event),
            error: plain(error.unwrap_or("unknown")),
            reason: plain(reason.unwrap_or(if is_event {
                "no reason was given"
            } else {
                "the message holds no event"
            })),
            event,
        }
    }
}

/// What people know the event's subject by.
fn about(event: &Value) -> String {
    let paths = [
        "/detail/TrainingJobName",
        "/detail/ModelPackageArn",
        "/detail/object/key",
        "/detail/model",
        "/resources/0",
    ];
    plain(paths.iter().find_map(|p| event.pointer(p)?.as_str()).unwrap_or_default())
}

/// Text from outside in one line of bounded length.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn letter(body: &str, attributes: &[(&str, &str)]) -> Letter {
        Letter {
            id: "m1".into(),
            receipt: "r1".into(),
            sent_at: Timestamp::UNIX_EPOCH,
            body: body.into(),
            attributes: attributes.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        }
    }

    fn event() -> Value {
        json!({
            "id": "e1", "source": "aws.sagemaker", "detail-type": "SageMaker Training Job State Change",
            "detail": { "TrainingJobName": "job-1" },
        })
    }

    #[test]
    fn what_intake_refused_has_its_words() {
        let record = json!({
            "version": "1.0", "requestContext": { "condition": "RetriesExhausted", "approximateInvokeCount": 3 },
            "requestPayload": event(),
            "responseContext": { "statusCode": 200, "functionError": "Unhandled" },
            "responsePayload": { "errorType": "Seatrial.Invalid", "errorMessage": "model x has no policy" },
        });
        let dead = DeadEvent::of(&letter(&record.to_string(), &[]));
        assert_eq!(
            (dead.error.as_str(), dead.reason.as_str()),
            ("Seatrial.Invalid", "model x has no policy")
        );
        assert_eq!((dead.about.as_str(), dead.event), ("job-1", event()));
    }

    #[test]
    fn what_never_reached_intake_has_the_buss_words() {
        let attributes =
            [("ERROR_CODE", "NO_PERMISSIONS"), ("ERROR_MESSAGE", "not authorized"), ("RULE_ARN", "arn")];
        let dead = DeadEvent::of(&letter(&event().to_string(), &attributes));
        assert_eq!((dead.error.as_str(), dead.reason.as_str()), ("NO_PERMISSIONS", "not authorized"));
        let expired =
            json!({ "requestContext": { "condition": "EventAgeExceeded" }, "requestPayload": event() });
        assert_eq!(DeadEvent::of(&letter(&expired.to_string(), &[])).reason, "EventAgeExceeded");
    }

    #[test]
    fn what_is_no_event_is_shown_and_has_nothing_to_replay() {
        for body in ["", "no json \u{1b}[2J", "{\"requestPayload\": 3}", "[]"] {
            let dead = DeadEvent::of(&letter(body, &[]));
            assert!(dead.event.is_null() && dead.reason.contains("no event"), "{body}");
        }
        let odd = json!({ "detail-type": "x\u{7}", "source": "y\n", "detail": { "model": "a\u{1b}[2Jb" } });
        let dead = DeadEvent::of(&letter(&odd.to_string(), &[]));
        assert_eq!((&*dead.kind, &*dead.source, &*dead.about), ("x ", "y ", "a [2Jb"));
    }
}
