//! Adopting a packaged version that already serves, as the first champion.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use seatrial_domain::PromotionId;
use seatrial_domain::adoption::Adoption;
use seatrial_domain::ids::{InvalidId, VersionName};
use seatrial_domain::promotion::PromotionRecord;
use seatrial_runtime::Failure;
use seatrial_runtime::problem::Problem;

use crate::change::{operations, parse, problem};
use crate::{Caller, Control, model_of, no_model};

/// Makes a version champion of a model that has none, in the caller's name. The registry decides whether they may. `sweep` has it
/// attested within minutes: no execution is there to do so.
pub(crate) async fn adopt(
    State(control): State<Control>,
    Caller(actor): Caller,
    Path((model, version)): Path<(String, String)>,
    body: Bytes,
) -> Result<(StatusCode, Json<PromotionRecord>), Problem> {
    let model = model_of(&model)?;
    let version: VersionName = version.parse().map_err(|e: InvalidId| Problem::bad_request(e.to_string()))?;
    let adoption: Adoption = parse(&body, r#"{"comment": "…", "serving_since": "2026-01-31T00:00:00Z"}"#)?;
    control.registry.head(&model).await.map_err(Failure::from)?.ok_or_else(|| no_model(&model))?;
    let record = control.registry.version(&model, version).await.map_err(Failure::from)?;
    let record = record.ok_or_else(|| Problem::not_found(&format!("version {version} of model {model}")))?;
    let id = PromotionId::derive(&model, &format!("adopt:{}", record.digest), 1);
    let adopted = operations(&control, actor).adopt(&model, &id, version, &adoption, None).await;
    let adopted = adopted.map_err(problem)?;
    let status = if adopted.fresh { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(adopted.value)))
}
