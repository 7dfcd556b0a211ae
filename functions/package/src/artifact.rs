//! A submission that came as an artifact of training: read where it lies, unpacked into the submissions bucket, inspected there.

use seatrial_artifacts::{
    InspectError, Inspected, ObjectMeta, StoreError, inspect as inspect_source, unpack,
};
use seatrial_domain::artifact::ArtifactRef;
use seatrial_domain::task::PromotionInput;
use seatrial_runtime::Failure;

use crate::Ports;

/// Where the files of an artifact lie. No rule listens here, so what an artifact holds starts no promotion of its own.
fn prefix(input: &PromotionInput) -> String {
    format!("unpacked/{}/{}/", input.model, input.promotion)
}

/// Reads and checks the artifact, in the very state that the event told of.
pub(crate) async fn inspect(
    ports: &Ports<'_>,
    input: &PromotionInput,
    artifact: &ArtifactRef,
) -> Result<Result<Inspected, InspectError>, Failure> {
    let address = artifact.address();
    // The rights say the same; a task says whatever it likes.
    if !ports.readable.covers(&address) {
        return Err(Failure::invalid(format!(
            "{address} is not among the artifacts that this deployment reads; name it in the parameter TrainingArtifacts of the stack"
        )));
    }
    let bucket = ports.buckets.open(&artifact.bucket);
    let Some(at) = bucket.head(&artifact.key).await?.filter(|at| same(at, artifact)) else {
        let (bucket, key) = (artifact.bucket.clone(), artifact.key.clone());
        return Ok(Err(InspectError::Store(StoreError::Changed { bucket, key })));
    };
    let unpacked = match unpack(bucket.as_ref(), &at, ports.submissions, &prefix(input)).await {
        Ok(unpacked) => unpacked,
        Err(e) => return Ok(Err(e)),
    };
    Ok(inspect_source(&unpacked, &input.model, &|_| {}).await)
}

fn same(at: &ObjectMeta, artifact: &ArtifactRef) -> bool {
    at.etag == artifact.etag
}
