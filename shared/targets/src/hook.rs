//! A hook of the owner's that moves traffic: a service mesh, a gateway, a platform of their own.

use async_trait::async_trait;
use jiff::Timestamp;
use seatrial_domain::ModelName;
use seatrial_domain::policy::HttpTarget;
use seatrial_domain::target::{Actual, Desired, HookAnswer, HookCall};
use seatrial_outbound::{Allowed, CallError, Read, SHORTEST_KEY, Secret, keys, signature};

use crate::{Hindrance, TrafficTarget};

/// The largest answer, in bytes.
const LIMIT: usize = 64 << 10;

/// A hook.
#[derive(Debug, Clone)]
pub struct Hook {
    allowed: Allowed,
    model: ModelName,
    hook: HttpTarget,
    key: Secret,
    clock: fn() -> Timestamp,
}

impl Hook {
    /// The hook; what it gets is signed with `key`.
    #[must_use]
    pub const fn new(
        allowed: Allowed,
        model: ModelName,
        hook: HttpTarget,
        key: Secret,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self { allowed, model, hook, key, clock }
    }

    async fn ask(&self, call: &HookCall) -> Result<HookAnswer, Hindrance> {
        let keys = keys(&self.key).ok_or_else(|| {
            Hindrance::Refused(format!(
                "the key of the hook is shorter than {SHORTEST_KEY} characters; make one with `openssl rand -hex 32`"
            ))
        })?;
        let body = serde_json::to_string(call)
            .map_err(|e| Hindrance::Refused(format!("the call cannot be written ({e})")))?;
        let at = (self.clock)().as_second().to_string();
        let signature = signature(&keys, &at, &body);
        let headers = [
            ("seatrial-event", call.kind.event().to_owned()),
            ("seatrial-timestamp", at),
            ("seatrial-signature", signature),
        ];
        let answer =
            seatrial_outbound::post(&self.allowed, &self.hook.url, &headers, body, Read::Whole(LIMIT)).await;
        let answer = answer.map_err(|e| match e {
            CallError::NoAnswer(why) => Hindrance::Pending(format!("the hook: {why}")),
            CallError::NotAllowed(why) => Hindrance::Refused(format!("the hook: {why}")),
        })?;
        let (status, said) = (answer.status.as_u16(), answer.beginning());
        if !answer.status.is_success() {
            let why = match answer.status.is_redirection() {
                true => format!("the hook answered with {status}; redirects are not followed"),
                false => format!("the hook answered with {status}: {said}"),
            };
            // What a receiver says about itself passes; what it says about the call does not.
            let passes = matches!(status, 408 | 409 | 423 | 425 | 429 | 500..=599);
            return Err(if passes { Hindrance::Pending(why) } else { Hindrance::Refused(why) });
        }
        serde_json::from_slice(&answer.body).map_err(|e| {
            Hindrance::Refused(format!(
                "the hook answered what cannot be read ({e}): {said}; docs/targets.md has the form"
            ))
        })
    }
}

#[async_trait]
impl TrafficTarget for Hook {
    async fn observe(&self) -> Result<Actual, Hindrance> {
        let answer = self.ask(&HookCall::observe(self.model.clone())).await?;
        let mut actual = answer.actual().map_err(|why| Hindrance::Refused(format!("the hook: {why}")))?;
        actual.busy = answer.pending.map(|why| said("the hook is not done", &why));
        Ok(actual)
    }

    async fn drive(&self, wanted: &Desired, _: &Actual) -> Result<(), Hindrance> {
        let answer = self.ask(&HookCall::drive(wanted)).await?;
        if let Some(why) = answer.refused {
            return Err(Hindrance::Refused(said("the hook refuses", &why)));
        }
        if let Some(why) = answer.pending {
            return Err(Hindrance::Pending(said("the hook is not done", &why)));
        }
        answer.actual().map(|_| ()).map_err(|why| Hindrance::Refused(format!("the hook: {why}")))
    }
}

/// What a hook says, in one line and cut short: it is somebody else's text.
fn said(who: &str, why: &str) -> String {
    let line: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    format!("{who}: {line}")
}
