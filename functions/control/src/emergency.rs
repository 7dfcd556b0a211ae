//! Skipping stages in an emergency: whoever the policy names for it, with a reason, and marked from then on.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use seatrial_domain::gate::{GateKind, GateStatus};
use seatrial_domain::ids::GateId;
use seatrial_domain::promotion::{PromotionRecord, Stage};
use seatrial_runtime::Failure;
use seatrial_runtime::problem::Problem;
use serde::Deserialize;

use crate::change::{operations, parse, problem, reason};
use crate::{Caller, Control, model_of};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Skip {
    stage: Stage,
    reason: String,
}

/// Skips a stage of the promotion that runs. A shadow that is open ends, an approval that waits is given. Asking again for
/// the same finishes what was begun.
pub(crate) async fn skip(
    State(control): State<Control>,
    Caller(actor): Caller,
    Path(model): Path<String>,
    body: Bytes,
) -> Result<Json<PromotionRecord>, Problem> {
    let model = model_of(&model)?;
    let Skip { stage, reason: why } =
        parse(&body, r#"{"stage": "shadow" | "approval" | "canary", "reason": "…"}"#)?;
    let why = reason(&why)?;
    let operations = operations(&control, actor);
    let promotion = operations.bypass(&model, stage, why).await.map_err(problem)?.value;
    if stage == Stage::Shadow {
        let window = GateId::derive(&promotion.id, GateKind::ShadowWindow.as_str(), 1);
        let open = control.registry.gate(&window).await.map_err(Failure::from)?;
        if open.is_some_and(|g| g.status == GateStatus::Pending) {
            operations.decide_gate(&window, true, why, None).await.map_err(problem)?;
        }
    }
    Ok(Json(promotion))
}
