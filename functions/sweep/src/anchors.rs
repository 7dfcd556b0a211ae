//! Histories whose end nobody signed: what happened outside of a promotion (a rollback, a new policy) is anchored too.

use jiff::{SignedDuration, Timestamp};
use seatrial_attestation::checkpoint;
use seatrial_domain::ModelName;
use seatrial_domain::task::{AnchorTask, AttestAnswer, AttestTask, SCHEMA};
use seatrial_runtime::Failure;

use crate::{Ports, attesting};

/// How old the end of a history is when it is anchored: what a promotion writes in quick succession needs one signature, not twenty.
const ANCHOR_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// Has the end of the history of `model` signed, where it is old enough and nobody did.
pub(crate) async fn anchor(
    ports: &Ports<'_>,
    model: &ModelName,
    now: Timestamp,
) -> Result<Option<String>, Failure> {
    let Some(head) = ports.registry.head(model).await? else { return Ok(None) };
    let quiet = now.duration_since(head.updated_at) >= ANCHOR_AFTER;
    if head.chain.seq == 0 || !quiet || !attesting::is_due(head.updated_at, now) {
        return Ok(None);
    }
    if ports.evidence.head(&checkpoint::key(model, head.chain.seq)).await?.is_some() {
        return Ok(None);
    }
    let task = AttestTask::Anchor(AnchorTask { schema: SCHEMA, anchor: model.clone() });
    match attesting::ask(ports.attesting, &task).await? {
        AttestAnswer::Anchor(anchored) => {
            Ok(anchored.checkpoint.map(|key| format!("the history of {model} is anchored by {key}")))
        }
        AttestAnswer::Promotion(_) => Ok(None),
    }
}
