//! Taking back the links to a gate, and asking for new ones. No link passes through here: `gate` makes them, and sends each
//! to its person's own address.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use seatrial_domain::gate::GateRecord;
use seatrial_domain::ids::{Actor, GateId};
use seatrial_runtime::problem::Problem;
use serde::{Deserialize, Serialize};

use crate::change::{operations, parse, problem};
use crate::{Caller, Control};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whose {
    /// Whose links, by mail address; everybody's where none is given.
    #[serde(default)]
    approver: Option<String>,
}

/// What was asked.
#[derive(Debug, Serialize)]
pub(crate) struct Ordered {
    gate: GateId,
    /// Whose links were taken back; everybody's where it is nobody's in particular.
    approver: Option<String>,
    /// Whether new ones are sent.
    renew: bool,
    /// How often links to this gate were taken back so far.
    orders: usize,
}

/// Takes links back: what was sent so far opens nothing and decides nothing from now on.
pub(crate) async fn revoke(
    State(control): State<Control>,
    Caller(actor): Caller,
    Path(gate): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Ordered>), Problem> {
    order(&control, actor, &gate, &body, false).await
}

/// The same, and new ones are sent to whom they belong to.
pub(crate) async fn renew(
    State(control): State<Control>,
    Caller(actor): Caller,
    Path(gate): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Ordered>), Problem> {
    order(&control, actor, &gate, &body, true).await
}

async fn order(
    control: &Control,
    actor: Actor,
    gate: &str,
    body: &Bytes,
    renew: bool,
) -> Result<(StatusCode, Json<Ordered>), Problem> {
    let gate = GateId::parse(gate).map_err(|e| Problem::bad_request(e.to_string()))?;
    let Whose { approver } = parse(body, r#"{"approver": "…"}, or {} for everybody"#)?;
    let done = operations(control, actor).order_links(&gate, approver.as_deref(), renew).await;
    let after: GateRecord = done.map_err(problem)?.value;
    // What is taken back is taken back now; the new ones come when `gate` has sent them.
    let status = if renew { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(Ordered { gate, approver, renew, orders: after.link_orders.len() })))
}
