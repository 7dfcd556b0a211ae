//! Events that started no promotion: looked at, replayed once their reason is gone, dropped. For the platform team alone: an
//! event need not be about a model that anybody owns.

mod letter;
mod queue;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use seatrial_domain::PromotionId;
use seatrial_domain::ids::Actor;
use seatrial_runtime::Failure;
use seatrial_runtime::problem::Problem;
use serde::Serialize;

pub use letter::{DeadEvent, Letter};
pub use queue::{DeadEvents, Retaken, SqsEvents};

use crate::people::is_platform_owner;
use crate::{Caller, Control};

/// Those that wait.
#[derive(Debug, Serialize)]
pub(crate) struct Waiting {
    events: Vec<DeadEvent>,
    /// Whether there may be more than are shown.
    more: bool,
}

/// What came of one.
#[derive(Debug, Serialize)]
pub(crate) struct Handled {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    promotion: Option<PromotionId>,
    started: bool,
}

pub(crate) async fn list(
    State(control): State<Control>,
    Caller(actor): Caller,
) -> Result<Json<Waiting>, Problem> {
    platform_only(&control, &actor)?;
    let letters = control.events.take(None).await?;
    control.events.put_back(&letters).await?;
    let more = letters.len() >= queue::MOST;
    Ok(Json(Waiting { events: letters.iter().map(DeadEvent::of).collect(), more }))
}

/// Has `intake` take the event once more, and removes it when it was taken. Safe to do twice: the event names its promotion.
pub(crate) async fn replay(
    State(control): State<Control>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Json<Handled>, Problem> {
    let letter = one(&control, &actor, &id).await?;
    match again(&control, &letter).await {
        Ok(Retaken { promotion, started }) => {
            control.events.remove(&letter).await?;
            let named = promotion.as_ref().map(PromotionId::as_str);
            tracing::info!(
                event = id,
                by = actor.principal,
                promotion = named,
                started,
                "an event was replayed"
            );
            Ok(Json(Handled { id, promotion, started }))
        }
        Err(problem) => {
            control.events.put_back(std::slice::from_ref(&letter)).await?;
            Err(problem)
        }
    }
}

pub(crate) async fn drop(
    State(control): State<Control>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Json<Handled>, Problem> {
    let letter = one(&control, &actor, &id).await?;
    control.events.remove(&letter).await?;
    // The log keeps what it was: nobody else does from now on.
    tracing::warn!(event = id, by = actor.principal, body = letter.body, "an event was dropped");
    Ok(Json(Handled { id, promotion: None, started: false }))
}

async fn again(control: &Control, letter: &Letter) -> Result<Retaken, Problem> {
    let DeadEvent { event, id, .. } = DeadEvent::of(letter);
    if event.is_null() {
        return Err(Problem::bad_request(format!(
            "message {id} holds no event, so there is nothing to replay; look at it with `seatrial events list --output json`, and drop it"
        )));
    }
    control.events.replay(&event).await.map_err(|failure: Failure| {
        if failure.is_transient() {
            return failure.into();
        }
        let still = format!("the event is still refused, and stays where it is: {}", failure.message);
        Problem::new(StatusCode::CONFLICT, "still_refused", still)
    })
}

/// The one of this id, held; all others are let go again.
async fn one(control: &Control, actor: &Actor, id: &str) -> Result<Letter, Problem> {
    platform_only(control, actor)?;
    let (mut wanted, others): (Vec<_>, Vec<_>) =
        control.events.take(Some(id)).await?.into_iter().partition(|letter| letter.id == id);
    control.events.put_back(&others).await?;
    wanted.pop().ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("no event {id} waits: it was replayed or dropped, or somebody looks at it just now (try again in half a minute)"),
        )
    })
}

fn platform_only(control: &Control, actor: &Actor) -> Result<(), Problem> {
    if is_platform_owner(control, actor) {
        return Ok(());
    }
    let detail = format!(
        "{} may not do this: events that started no promotion are for the platform team, whom the parameter PlatformOwners of the stack names",
        actor.principal
    );
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
}
