//! Somebody in the account asks: a CI system, a scheduler, a person.
//!
//! `{schema, model, version | submission | artifact, attempt?, stack?}`. The same version with the same `attempt` names the same
//! promotion, whoever sends it; without one, each event is a request of its own. A submission or an artifact names its promotion
//! by itself, whichever event tells of it, and a higher `attempt` is a deliberate repetition.

use seatrial_artifacts::submission::{ANNOUNCEMENT, submission_prefix};
use seatrial_domain::artifact::{Address, Lineage};
use seatrial_domain::task::{SCHEMA, SubmissionRef};
use seatrial_domain::{ModelName, VersionName};
use seatrial_runtime::Failure;
use serde::Deserialize;
use serde_json::Value;

use super::{Asked, Event, Places, What, account, submission_of};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requested {
    schema: u32,
    model: ModelName,
    #[serde(default)]
    version: Option<VersionName>,
    #[serde(default)]
    submission: Option<SubmissionRef>,
    /// The address of an archive: `s3://<bucket>/<key>`.
    #[serde(default)]
    artifact: Option<String>,
    /// What made the artifact, for example the address of a run in a CI system.
    #[serde(default)]
    generated_by: Option<String>,
    /// What the sender says of itself. It is not believed, and so not read.
    #[serde(rename = "requested_by", default)]
    _requested_by: Option<Value>,
    #[serde(default)]
    attempt: Option<u32>,
    /// Which deployment is meant. What names another one does not come here ([`super::stack_of`]).
    #[serde(rename = "stack", default)]
    _stack: Option<String>,
}

pub(super) fn requested(event: Event, places: Places<'_>) -> Result<Asked, Failure> {
    let asked: Requested = serde_json::from_value(event.detail)
        .map_err(|e| Failure::invalid(format!("the detail of the request is not as it must be: {e}")))?;
    if asked.schema != SCHEMA {
        return Err(Failure::invalid(format!(
            "the request has schema {}; this release takes {SCHEMA}",
            asked.schema
        )));
    }
    if asked.attempt == Some(0) {
        return Err(Failure::invalid("attempt is 0; attempts count from 1"));
    }
    if asked.generated_by.is_some() && asked.artifact.is_none() {
        return Err(Failure::invalid("generated_by is given without the artifact that it made"));
    }
    let what = match (asked.version, asked.submission, asked.artifact) {
        (Some(version), None, None) => What::Version(version),
        (None, Some(folder), None) => submission(&asked.model, folder, places)?,
        (None, None, Some(address)) => artifact(&address, asked.generated_by)?,
        _ => {
            return Err(Failure::invalid(
                "the request must name either a version, a submission or an artifact",
            ));
        }
    };
    Ok(Asked {
        model: asked.model,
        what,
        attempt: asked.attempt,
        event: event.id,
        requested_by: account(&event.account),
    })
}

fn submission(model: &ModelName, folder: SubmissionRef, places: Places<'_>) -> Result<What, Failure> {
    let found = &folder.bucket;
    if found != places.submissions {
        let expected = places.submissions;
        return Err(Failure::invalid(format!("the submission lies in bucket {found}; expected {expected}")));
    }
    let key = format!("{}{ANNOUNCEMENT}", folder.prefix);
    match submission_of(&key) {
        Some((of, id)) if of == model.as_str() => {
            let id = id.to_owned();
            Ok(What::Submission { folder, id, state: None })
        }
        _ => Err(Failure::invalid(format!(
            "the submission has the prefix {}; expected {}",
            folder.prefix,
            submission_prefix(model, "<id>")
        ))),
    }
}

fn artifact(address: &str, generated_by: Option<String>) -> Result<What, Failure> {
    let at = Address::parse(address).map_err(|why| Failure::invalid(format!("artifact: {why}")))?;
    let lineage = Lineage { generated_by: generated_by.map(Lineage::cut), ..Lineage::default() };
    Ok(What::Artifact { at, lineage: Box::new(lineage) })
}
