//! Announcing a submission: whoever submits says so before the upload, to an API that knows who they are.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use seatrial_domain::Digest;
use seatrial_domain::access::Action;
use seatrial_domain::ids::SubmissionId;
use seatrial_domain::submission::Announced;
use seatrial_runtime::Failure;
use seatrial_runtime::problem::Problem;
use serde::Deserialize;

use crate::change::parse;
use crate::{Caller, Control, model_of, no_model, people};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Announce {
    /// The name of the folder that will be uploaded.
    id: SubmissionId,
    /// The SHA-256 of the `submission.json` that will complete it.
    digest: Digest,
}

/// Keeps who submits which bytes. The first announcement of an id stays; the same by the same person is no second one.
pub(crate) async fn announce(
    State(control): State<Control>,
    Caller(actor): Caller,
    Path(model): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Announced>), Problem> {
    let model = model_of(&model)?;
    let form = r#"{"id": "…", "digest": "sha256:…"}, with the digest of submission.json"#;
    let Announce { id, digest } = parse(&body, form)?;
    let access = people::access(&control, &model).await?.ok_or_else(|| no_model(&model))?;
    access.may(Action::Promote, &actor.principal)?;
    let asked = Announced::new(model, id, digest, actor, (control.clock)());
    let kept = control.registry.announce(&asked).await.map_err(Failure::from)?;
    kept.repeated_by(&asked, &access)?;
    tracing::info!(model = %kept.model, submission = %kept.id, by = kept.by.principal, "a submission was announced");
    let status = if kept == asked { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(kept)))
}
