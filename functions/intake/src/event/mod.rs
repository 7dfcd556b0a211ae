//! What an event asks for. Pure.
//!
//! - [`s3`]: `Object Created` of `submissions/<model>/<id>/submission.json`: a submission is complete.
//! - [`sagemaker`]: a training job is `Completed`, or a model package is `Approved`: its artifact is a submission.
//! - [`request`]: `Seatrial Promotion Requested`, from anybody in the account.
//!
//! An event says what is to be promoted and never who asks: the bus vouches for the account alone. All deployments of an account
//! and region hear the same bus, so it may name the one that is meant ([`stack_of`]).

mod request;
mod s3;
mod sagemaker;

use seatrial_domain::artifact::{Address, Lineage, Readable};
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::task::SubmissionRef;
use seatrial_domain::{ModelName, VersionName};
use seatrial_runtime::Failure;
use serde::Deserialize;
use serde_json::Value;

/// The account of emulators, which check no identity.
const EMULATED: &str = "000000000000";

/// The type of the events that anybody may send.
const REQUEST: &str = "Seatrial Promotion Requested";
/// The types of the events of training.
const TRAINING_JOB: &str = "SageMaker Training Job State Change";
const MODEL_PACKAGE: &str = "SageMaker Model Package State Change";

/// A promotion that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Of which model.
    pub model: ModelName,
    /// What is to be promoted.
    pub what: What,
    /// Counts deliberate repetitions, from 1; none where the event does not count.
    pub attempt: Option<u32>,
    /// The event's own id.
    pub event: String,
    /// Who asks.
    pub requested_by: Actor,
}

/// What is to be promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A version that is packaged already.
    Version(VersionName),
    /// A folder in the submissions bucket.
    Submission {
        /// Where it lies.
        folder: SubmissionRef,
        /// Its id.
        id: String,
        /// Which state of its `submission.json` completed it; none where the event does not say.
        state: Option<String>,
    },
    /// An archive that training left behind.
    Artifact {
        /// Where it lies.
        at: Address,
        /// Where it comes from.
        lineage: Box<Lineage>,
    },
}

/// Where this deployment takes submissions from.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The submissions bucket.
    pub submissions: &'a str,
    /// Which artifacts of training may be read.
    pub readable: &'a Readable,
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

/// Reads an event. `None` is an event that asks for nothing: another object was created, a job has no tag.
///
/// # Errors
/// When it asks for something that is not taken, or not in the form that is taken.
pub fn read(event: Value, places: Places<'_>) -> Result<Option<Asked>, Failure> {
    let event: Event = serde_json::from_value(event)
        .map_err(|e| Failure::invalid(format!("this is not an EventBridge event: {e}")))?;
    match (event.source.as_str(), event.detail_type.as_str()) {
        ("aws.s3", "Object Created") => s3::created(event, places),
        ("aws.sagemaker", TRAINING_JOB) => sagemaker::training_job(event),
        ("aws.sagemaker", MODEL_PACKAGE) => sagemaker::model_package(event, places),
        (source, REQUEST) if !source.starts_with("aws.") => request::requested(event, places).map(Some),
        (source, kind) => Err(Failure::invalid(format!(
            "an event {kind:?} from {source:?} is not taken; expected \"Object Created\" from aws.s3, \"SageMaker Training Job State Change\" or \"SageMaker Model Package State Change\" from aws.sagemaker, or \"Seatrial Promotion Requested\" from any source of yours"
        ))),
    }
}

/// The stack that an event names: only that one is meant. None where it names none. A submission needs none: its bucket is one
/// stack's.
pub(crate) fn stack_of(event: &Value) -> Option<&str> {
    let detail = event.get("detail")?;
    match event.get("detail-type")?.as_str()? {
        REQUEST => detail.get("stack")?.as_str(),
        TRAINING_JOB | MODEL_PACKAGE => sagemaker::stack(detail),
        _ => None,
    }
}

/// Model and id of a key `submissions/<model>/<id>/submission.json`.
fn submission_of(key: &str) -> Option<(&str, &str)> {
    match key.split('/').collect::<Vec<_>>()[..] {
        ["submissions", model, id, seatrial_artifacts::submission::ANNOUNCEMENT] if !id.is_empty() => {
            Some((model, id))
        }
        _ => None,
    }
}

/// S3 and the event bus tell the account, and not the person. An emulator checks neither.
fn account(requester: &str) -> Actor {
    let auth = if requester == EMULATED { Auth::Local } else { Auth::Iam };
    let name = if requester.is_empty() { "unknown" } else { requester };
    Actor { principal: format!("account/{name}"), auth }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
