//! What starts a promotion, in words that are the same for the same thing, whichever event tells of it. They give the promotion
//! its name.

use seatrial_artifacts::submission::ANNOUNCEMENT;
use seatrial_artifacts::{Buckets, ObjectMeta, StoreError};
use seatrial_domain::PromotionId;
use seatrial_domain::artifact::{Address, ArtifactRef, Lineage};
use seatrial_domain::task::{PromotionInput, SCHEMA, SubmissionRef};
use seatrial_runtime::Failure;

use crate::event::{Asked, Places, What};

/// The execution that is asked for.
pub(crate) struct Execution {
    /// Its input.
    pub(crate) input: PromotionInput,
    /// The id of the submission whose completion is what asks.
    pub(crate) completed: Option<String>,
}

/// Finds out in which state the thing is that is to be promoted: the event need not say, and another state is another promotion.
pub(crate) async fn execution(
    asked: Asked,
    buckets: &dyn Buckets,
    places: Places<'_>,
) -> Result<Execution, Failure> {
    let Asked { model, what, attempt, event, requested_by } = asked;
    let (mut submission, mut artifact, mut version, mut completed) = (None, None, None, None);
    let cause = match what {
        What::Version(wanted) => {
            version = Some(wanted);
            match attempt {
                Some(_) => format!("version:{wanted}"),
                None if event.is_empty() => {
                    return Err(Failure::invalid("the event has no id and the request no attempt"));
                }
                None => format!("event:{event}"),
            }
        }
        What::Submission { folder, id, state } => {
            let state = match state {
                Some(state) => state,
                None => completed_as(&folder, buckets).await?,
            };
            let cause = format!("submission:{}@{state}", folder.prefix);
            // A deliberate repetition is whose it is, and not the announcer's.
            completed = attempt.is_none_or(|n| n == 1).then_some(id);
            submission = Some(folder);
            cause
        }
        What::Artifact { at, lineage } => {
            let found = found(&at, *lineage, buckets, places).await?;
            let cause = format!("artifact:{}", found.name());
            artifact = Some(found);
            cause
        }
    };
    let promotion = PromotionId::derive(&model, &cause, attempt.unwrap_or(1));
    // Only a person whom the API knows skips anything.
    let emergency = None;
    let input = PromotionInput {
        schema: SCHEMA,
        model,
        promotion,
        submission,
        artifact,
        version,
        requested_by,
        emergency,
        waited: false,
    };
    Ok(Execution { input, completed })
}

/// The state of the file that completes a submission, as S3's event would tell it: our bucket keeps versions.
async fn completed_as(folder: &SubmissionRef, buckets: &dyn Buckets) -> Result<String, Failure> {
    let at = Address { bucket: folder.bucket.clone(), key: format!("{}{ANNOUNCEMENT}", folder.prefix) };
    let meta = head(&at, buckets).await?.ok_or_else(|| {
        Failure::invalid(format!("{at} does not exist, so the submission is not complete; upload it last"))
    })?;
    Ok(meta.version.unwrap_or_else(|| meta.etag.trim_matches('"').to_owned()))
}

async fn found(
    at: &Address,
    lineage: Lineage,
    buckets: &dyn Buckets,
    places: Places<'_>,
) -> Result<ArtifactRef, Failure> {
    if places.readable.is_empty() {
        return Err(Failure::invalid(format!(
            "this deployment reads no artifacts of training, and {at} is one: name its bucket in the parameter TrainingArtifacts of the stack"
        )));
    }
    if !places.readable.covers(at) {
        return Err(Failure::invalid(format!(
            "{at} is not among the artifacts that this deployment reads; name it in the parameter TrainingArtifacts of the stack"
        )));
    }
    let meta = head(at, buckets).await?.ok_or_else(|| Failure::invalid(format!("{at} does not exist")))?;
    let ObjectMeta { key, etag, version, .. } = meta;
    Ok(ArtifactRef { bucket: at.bucket.clone(), key, etag, version, lineage })
}

async fn head(at: &Address, buckets: &dyn Buckets) -> Result<Option<ObjectMeta>, Failure> {
    let failed = |e: StoreError| Failure {
        message: format!(
            "looking at {at} did not work; is the bucket there, and may this deployment read it?"
        ),
        ..e.into()
    };
    buckets.open(&at.bucket).head(&at.key).await.map_err(failed)
}
