//! What an event asks for. Pure.
//!
//! - S3, `Object Created` of `submissions/<model>/<id>/submission.json` in the submissions bucket: the submission is
//!   complete. The cause is that very object (its version, or its ETag and sequencer), so a redelivered event names the same
//!   promotion, and the same folder submitted anew names another.
//! - `seatrial.control`, `Seatrial Promotion Requested`, with `{schema, model, version | submission, requested_by,
//!   attempt?}`: with an attempt the cause is what is promoted, so that the same request names the same promotion whoever
//!   sends it; without one the cause is the event itself. `requested_by` is what the sender says of itself and is not
//!   believed: the bus vouches for the account, and nobody approves their own submission by naming another.

use seatrial_artifacts::submission::{ANNOUNCEMENT, submission_prefix};
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::task::{PromotionInput, SCHEMA, SubmissionRef};
use seatrial_domain::{ModelName, PromotionId, VersionName};
use seatrial_runtime::Failure;
use serde::Deserialize;
use serde_json::Value;

/// The account of emulators, which check no identity.
const EMULATED: &str = "000000000000";

/// A promotion that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Of which model.
    pub model: ModelName,
    /// What started it, in words that are the same for the same event.
    pub cause: String,
    /// Counts deliberate repetitions, from 1.
    pub attempt: u32,
    /// What to package, or nothing when `version` is given.
    pub submission: Option<SubmissionRef>,
    /// A version that is packaged already.
    pub version: Option<VersionName>,
    /// The id of the submission whose completion this event is.
    pub completed: Option<String>,
    /// Who asks.
    pub requested_by: Actor,
}

impl Asked {
    /// The input of its execution.
    #[must_use]
    pub fn into_input(self) -> PromotionInput {
        PromotionInput {
            schema: SCHEMA,
            promotion: PromotionId::derive(&self.model, &self.cause, self.attempt),
            model: self.model,
            submission: self.submission,
            version: self.version,
            requested_by: self.requested_by,
            // Only a person whom the API knows skips anything.
            emergency: None,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Event {
    #[serde(default)]
    id: String,
    #[serde(default)]
    account: String,
    source: String,
    #[serde(rename = "detail-type")]
    detail_type: String,
    detail: Value,
}

/// Reads an event. `submissions` is the bucket's name. `None` is an event that asks for nothing: another object was created.
///
/// # Errors
/// When it asks for something that is not taken, or not in the form that is taken.
pub fn read(event: Value, submissions: &str) -> Result<Option<Asked>, Failure> {
    let event: Event = serde_json::from_value(event)
        .map_err(|e| Failure::invalid(format!("this is not an EventBridge event: {e}")))?;
    match (event.source.as_str(), event.detail_type.as_str()) {
        ("aws.s3", "Object Created") => created(event.detail, submissions),
        ("seatrial.control", "Seatrial Promotion Requested") => requested(event, submissions).map(Some),
        ("aws.sagemaker", kind) => Err(Failure::invalid(format!(
            "SageMaker events such as {kind:?} start no promotion in this release; put the model's files into a folder and run `seatrial package`, or upload them under submissions/<model>/<id>/ with submission.json last"
        ))),
        (source, kind) => Err(Failure::invalid(format!(
            "an event {kind:?} from {source:?} is not taken; expected \"Object Created\" from aws.s3, or \"Seatrial Promotion Requested\" from seatrial.control"
        ))),
    }
}

#[derive(Debug, Deserialize)]
struct Created {
    bucket: Bucket,
    object: Object,
    #[serde(default)]
    requester: String,
}

#[derive(Debug, Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Object {
    key: String,
    #[serde(default)]
    etag: String,
    #[serde(rename = "version-id", default)]
    version: Option<String>,
    #[serde(default)]
    sequencer: String,
}

fn created(detail: Value, submissions: &str) -> Result<Option<Asked>, Failure> {
    let created: Created = serde_json::from_value(detail)
        .map_err(|e| Failure::invalid(format!("the detail is not that of an S3 event: {e}")))?;
    if created.bucket.name != submissions {
        return Ok(None);
    }
    let Some((model, id)) = submission_of(&created.object.key) else { return Ok(None) };
    let completed = Some(id.to_owned());
    let model =
        ModelName::parse(model).map_err(|e| Failure::invalid(format!("{}: {e}", created.object.key)))?;
    let prefix = submission_prefix(&model, id);
    let object = created.object;
    let state = object.version.unwrap_or_else(|| format!("{}#{}", object.etag, object.sequencer));
    Ok(Some(Asked {
        cause: format!("submission:{prefix}@{state}"),
        attempt: 1,
        submission: Some(SubmissionRef { bucket: created.bucket.name, prefix }),
        version: None,
        completed,
        requested_by: account(&created.requester),
        model,
    }))
}

/// Model and id of a key `submissions/<model>/<id>/submission.json`.
fn submission_of(key: &str) -> Option<(&str, &str)> {
    match key.split('/').collect::<Vec<_>>()[..] {
        ["submissions", model, id, ANNOUNCEMENT] if !id.is_empty() => Some((model, id)),
        _ => None,
    }
}

/// S3 and the event bus tell the account, and not the person. An emulator checks neither.
fn account(requester: &str) -> Actor {
    let auth = if requester == EMULATED { Auth::Local } else { Auth::Iam };
    let name = if requester.is_empty() { "unknown" } else { requester };
    Actor { principal: format!("account/{name}"), auth }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requested {
    schema: u32,
    model: ModelName,
    #[serde(default)]
    version: Option<VersionName>,
    #[serde(default)]
    submission: Option<SubmissionRef>,
    /// Read, so that its form is checked, and not used.
    #[serde(rename = "requested_by")]
    _requested_by: Actor,
    #[serde(default)]
    attempt: Option<u32>,
}

fn requested(event: Event, submissions: &str) -> Result<Asked, Failure> {
    let asked: Requested = serde_json::from_value(event.detail)
        .map_err(|e| Failure::invalid(format!("the detail of the request is not as it must be: {e}")))?;
    if asked.schema != SCHEMA {
        return Err(Failure::invalid(format!(
            "the request has schema {}; this release takes {SCHEMA}",
            asked.schema
        )));
    }
    let what = match (&asked.version, &asked.submission) {
        (Some(version), None) => format!("version:{version}"),
        (None, Some(submission)) if submission.bucket == submissions => {
            format!("submission:{}", submission.prefix)
        }
        (None, Some(submission)) => {
            let found = &submission.bucket;
            return Err(Failure::invalid(format!(
                "the submission lies in bucket {found}; expected {submissions}"
            )));
        }
        _ => return Err(Failure::invalid("the request must name either a version or a submission")),
    };
    let (cause, attempt) = match asked.attempt {
        Some(attempt) if attempt > 0 => (what, attempt),
        Some(_) => return Err(Failure::invalid("attempt is 0; attempts count from 1")),
        None if event.id.is_empty() => {
            return Err(Failure::invalid("the event has no id and the request no attempt"));
        }
        None => (format!("event:{}", event.id), 1),
    };
    Ok(Asked {
        model: asked.model,
        cause,
        attempt,
        submission: asked.submission,
        version: asked.version,
        // Whoever sends this event need not be who submitted.
        completed: None,
        requested_by: account(&event.account),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use serde_json::json;

    use super::*;

    fn s3(key: &str, object: Value) -> Value {
        let mut object = object;
        object["key"] = json!(key);
        json!({
            "id": "e1", "source": "aws.s3", "detail-type": "Object Created", "account": "123456789012",
            "detail": { "bucket": { "name": "subs" }, "object": object, "requester": "123456789012", "reason": "PutObject" },
        })
    }

    fn promotion(event: Value) -> PromotionInput {
        read(event, "subs").unwrap().unwrap().into_input()
    }

    const KEY: &str = "submissions/adult-income/s1/submission.json";

    #[test]
    fn a_complete_submission_asks_for_its_promotion() {
        let input = promotion(s3(KEY, json!({ "etag": "e", "version-id": "v" })));
        assert_eq!(input.submission.unwrap().prefix, "submissions/adult-income/s1/");
        assert_eq!((input.model.as_str(), input.version), ("adult-income", None));
        assert_eq!(input.requested_by, Actor { principal: "account/123456789012".into(), auth: Auth::Iam });
    }

    #[test]
    fn the_same_event_names_the_same_promotion_and_a_new_upload_another() {
        let versioned =
            |v: &str| promotion(s3(KEY, json!({ "etag": "e", "version-id": v, "sequencer": "1" }))).promotion;
        assert_eq!(versioned("a"), versioned("a"));
        assert_ne!(versioned("a"), versioned("b"));
        let plain = |s: &str| promotion(s3(KEY, json!({ "etag": "e", "sequencer": s }))).promotion;
        assert_eq!(plain("1"), plain("1"));
        assert_ne!(plain("1"), plain("2"));
        let other = promotion(s3(
            "submissions/adult-income/s2/submission.json",
            json!({ "etag": "e", "version-id": "a" }),
        ));
        assert_ne!(other.promotion, versioned("a"));
    }

    #[test]
    fn other_objects_and_other_buckets_ask_for_nothing() {
        for key in [
            "submissions/m/s1/config.yaml",
            "submissions/m/submission.json",
            "submissions/m/s1/weights/submission.json",
            "other/m/s1/submission.json",
            "submissions/m//submission.json",
        ] {
            assert_eq!(read(s3(key, json!({})), "subs").unwrap(), None, "{key}");
        }
        assert_eq!(read(s3(KEY, json!({})), "another").unwrap(), None);
        assert!(read(s3("submissions/Not A Model/s1/submission.json", json!({})), "subs").is_err());
    }

    fn request(id: &str, detail: &Value) -> Value {
        json!({ "id": id, "source": "seatrial.control", "detail-type": "Seatrial Promotion Requested", "detail": detail })
    }

    #[test]
    fn a_request_is_named_by_its_attempt_or_by_its_event() {
        let detail = json!({ "schema": 1, "model": "m", "version": "v2", "requested_by": { "principal": "AROA", "auth": "iam" } });
        assert_eq!(promotion(request("e1", &detail)).promotion, promotion(request("e1", &detail)).promotion);
        assert_ne!(promotion(request("e1", &detail)).promotion, promotion(request("e2", &detail)).promotion);
        let mut counted = detail;
        counted["attempt"] = json!(2);
        let first = promotion(request("e1", &counted));
        assert_eq!(first.promotion, promotion(request("e2", &counted)).promotion);
        assert_eq!(first.version.unwrap().to_string(), "v2");
        assert_eq!(
            first.requested_by.principal, "account/unknown",
            "nobody is who they say in an event's body"
        );
    }

    #[test]
    fn what_is_not_taken_says_what_is() {
        let actor = json!({ "principal": "p", "auth": "iam" });
        for (detail, word) in [
            (json!({ "schema": 1, "model": "m", "requested_by": actor }), "either"),
            (json!({ "schema": 2, "model": "m", "version": "v1", "requested_by": actor }), "schema 2"),
            (json!({ "schema": 1, "model": "M!", "version": "v1", "requested_by": actor }), "model name"),
            (json!({ "schema": 1, "model": "m", "version": "v1" }), "requested_by"),
            (
                json!({ "schema": 1, "model": "m", "version": "v1", "requested_by": actor, "attempt": 0 }),
                "from 1",
            ),
            (
                json!({ "schema": 1, "model": "m", "submission": { "bucket": "x", "prefix": "p/" }, "requested_by": actor }),
                "bucket x",
            ),
        ] {
            let refused = read(request("e", &detail), "subs").unwrap_err();
            assert!(refused.message.contains(word) && !refused.is_transient(), "{}", refused.message);
        }
        let sagemaker = json!({ "source": "aws.sagemaker", "detail-type": "SageMaker Training Job State Change", "detail": {} });
        assert!(read(sagemaker, "subs").unwrap_err().message.contains("seatrial package"));
        let forged = json!({ "source": "seatrial.elsewhere", "detail-type": "Seatrial Promotion Requested", "detail": {} });
        assert!(read(forged, "subs").is_err());
        assert!(read(json!("text"), "subs").is_err());
    }

    #[test]
    fn an_emulators_account_is_no_checked_identity() {
        assert_eq!(account("000000000000").auth, Auth::Local);
        assert_eq!(account("").principal, "account/unknown");
    }
}
