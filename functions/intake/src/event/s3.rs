//! A submission is complete: its `submission.json` was written to the submissions bucket.
//!
//! What is to be promoted is that very object (its version, or its ETag and sequencer), so a redelivered event names the same
//! promotion, and the same folder submitted anew names another.

use seatrial_artifacts::submission::submission_prefix;
use seatrial_domain::ModelName;
use seatrial_domain::task::SubmissionRef;
use seatrial_runtime::Failure;
use serde::Deserialize;

use super::{Asked, Event, Places, What, account, submission_of};

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

pub(super) fn created(event: Event, places: Places<'_>) -> Result<Option<Asked>, Failure> {
    let created: Created = serde_json::from_value(event.detail)
        .map_err(|e| Failure::invalid(format!("the detail is not that of an S3 event: {e}")))?;
    if created.bucket.name != places.submissions {
        return Ok(None);
    }
    let Some((model, id)) = submission_of(&created.object.key) else { return Ok(None) };
    let model =
        ModelName::parse(model).map_err(|e| Failure::invalid(format!("{}: {e}", created.object.key)))?;
    let folder = SubmissionRef { bucket: created.bucket.name, prefix: submission_prefix(&model, id) };
    let id = id.to_owned();
    let object = created.object;
    let state = object.version.unwrap_or_else(|| format!("{}#{}", object.etag, object.sequencer));
    Ok(Some(Asked {
        model,
        what: What::Submission { folder, id, state: Some(state) },
        attempt: None,
        event: event.id,
        requested_by: account(&created.requester),
    }))
}
