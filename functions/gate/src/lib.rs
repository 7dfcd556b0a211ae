//! Opens, re-opens and closes the gates of a promotion, and brings approvers to them.
//!
//! A gate has one name per promotion and kind, so opening it again finds it as it stands. The task token of whoever waits is
//! kept apart; a retry brings a new one, which takes the old one's place while the gate is undecided and is answered at once
//! when it is decided. The registry's expiry is the authority, never the state machine's timeout.

mod close;
mod invite;
mod open;
mod renew;

use fn_answer::Callbacks;
use jiff::Timestamp;
use seatrial_domain::gate::GateKind;
use seatrial_domain::ids::Actor;
use seatrial_domain::task::{GateAction, GateAnswer, GateTask, SCHEMA};
use seatrial_mail::Mailer;
use seatrial_registry::ops::Ops;
use seatrial_registry::{Attempts, Capabilities, Registry, Tokens};
use seatrial_runtime::Failure;
use serde_json::{Value, json};

pub use renew::send_owed;

/// What `gate` needs of the registry: its records, task tokens, links, and the marks that say who was written to.
pub trait GateRegistry: Registry + Tokens + Capabilities + Attempts {}
impl<R: Registry + Tokens + Capabilities + Attempts> GateRegistry for R {}

/// What `gate` works with.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The registry.
    pub registry: &'a dyn GateRegistry,
    /// Step Functions.
    pub callbacks: &'a dyn Callbacks,
    /// Who sends mail; nobody where no sender is set up.
    pub mailer: Option<&'a dyn Mailer>,
    /// What links begin with, without a slash at the end.
    pub approvals_url: &'a str,
}

impl std::fmt::Debug for Ports<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").field("approvals_url", &self.approvals_url).finish_non_exhaustive()
    }
}

/// Carries out what `gate` is called with: a state machine's task, or `{"tick": "send_links"}`, which its schedule sends.
///
/// # Errors
/// As [`handle`] and [`send_owed`]; `Invalid` for anything else.
pub async fn work<C>(ports: &Ports<'_>, clock: C, payload: Value) -> Result<Value, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    match payload.get("tick").map(Value::as_str) {
        Some(Some("send_links")) => Ok(json!({ "sent": send_owed(ports, clock).await?.len() })),
        Some(_) => Err(Failure::invalid("the tick is not one that this function knows: send_links")),
        None => {
            let task = serde_json::from_value(payload)
                .map_err(|e| Failure::invalid(format!("the payload is not what this function takes: {e}")))?;
            let answer = handle(ports, clock, task).await?;
            serde_json::to_value(answer).map_err(|e| Failure::internal("writing the answer", e))
        }
    }
}

/// Carries out one task. The answer of an `open` action is for the log: its execution waits for the token.
///
/// # Errors
/// Labelled by what the registry says. Mail that cannot be sent is no error: the gate is open without it.
pub async fn handle<C>(ports: &Ports<'_>, clock: C, task: GateTask) -> Result<GateAnswer, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    if task.held.schema != SCHEMA {
        return Err(Failure::invalid(format!(
            "the payload has schema {}; gate takes {SCHEMA}",
            task.held.schema
        )));
    }
    let ops = Ops::new(ports.registry, Actor::function("gate"), &clock);
    let at = At { ports, ops: &ops, now: clock() };
    match task.action {
        GateAction::OpenShadowWindow => open::open(&at, GateKind::ShadowWindow, task).await,
        GateAction::OpenApproval => open::open(&at, GateKind::Approval, task).await,
        GateAction::CloseShadowWindow => close::close(&at, GateKind::ShadowWindow, &task.held).await,
        GateAction::CloseApproval => close::close(&at, GateKind::Approval, &task.held).await,
    }
}

/// One invocation: its ports, its operations, its time.
struct At<'a> {
    ports: &'a Ports<'a>,
    ops: &'a Ops<'a>,
    now: Timestamp,
}
