//! Taking the model, or standing in line for it.

use jiff::Timestamp;
use seatrial_domain::VersionName;
use seatrial_domain::change::Request;
use seatrial_domain::task::{Held, InLine, PromotionInput, SCHEMA};
use seatrial_registry::ops::{Ops, live_policy};
use seatrial_runtime::{Failure, label};

use crate::Ports;

/// A promotion whose version is packaged.
pub(crate) struct Place<'a> {
    pub(crate) ports: &'a Ports<'a>,
    pub(crate) ops: &'a Ops<'a>,
    pub(crate) input: &'a PromotionInput,
    pub(crate) execution: &'a str,
    pub(crate) version: VersionName,
}

impl Place<'_> {
    /// Takes the model.
    pub(crate) async fn start(&self) -> Result<Held, Failure> {
        let input = self.input;
        let started = self
            .ops
            .start_skipping(&input.model, &input.promotion, self.version, &self.request())
            .await
            .map_err(|e| keep_label(e.into(), self.version))?;
        Ok(Held {
            schema: SCHEMA,
            model: input.model.clone(),
            promotion: input.promotion.clone(),
            epoch: started.value.epoch,
            version: self.version,
        })
    }

    /// Stands in line, and says when to ask again. `busy` is why it cannot start, and what is answered where it may not wait.
    pub(crate) async fn wait(&self, now: Timestamp, busy: Failure) -> Result<InLine, Failure> {
        let (model, id) = (&self.input.model, &self.input.promotion);
        let joined = self.ops.wait_for_model(model, id, self.version, &self.request()).await;
        let waiting = match joined.map_err(Failure::from) {
            Ok(outcome) => outcome.value,
            Err(failure) if failure.label == label::MODEL_BUSY => return Err(busy),
            Err(failure) => return Err(failure),
        };
        let Some(waiting) = waiting else {
            // The model was given free between the two; it may join a line later.
            let again = PromotionInput { waited: false, ..self.again() };
            return Ok(InLine { schema: SCHEMA, wait_seconds: 1, again });
        };
        let rules = live_policy(self.ports.registry, model).await?.policy.when_busy;
        let until = waiting.until(&rules);
        if now >= until {
            let reason =
                format!("it waited {} seconds, the longest that the policy allows", rules.max_wait_seconds);
            self.ops.leave_line(model, id, &reason).await?;
            return Err(Failure { message: format!("{}; {reason}", busy.message), ..busy });
        }
        tracing::info!(%model, promotion = %id, version = %self.version, since = %waiting.since, "waits for the model");
        // It gives up when it looks, so it looks at the end of its time at the latest.
        let left = u32::try_from(until.duration_since(now).as_secs().max(1)).unwrap_or(u32::MAX);
        let wait_seconds = waiting.looks_again_in(now).min(left);
        Ok(InLine { schema: SCHEMA, wait_seconds, again: self.again() })
    }

    /// Whether somebody took a promotion that stood in line out of it. (One that holds the model by now did not lose its place.)
    pub(crate) async fn gone(&self) -> Result<bool, Failure> {
        let (model, id) = (&self.input.model, &self.input.promotion);
        let head = self.ports.registry.head(model).await?;
        let waits = head.is_some_and(|head| head.place_of(id).is_some());
        Ok(!waits && self.ports.registry.promotion(model, id).await?.is_none())
    }

    /// A failure in the words of a withdrawal, where that came between the look at the line and what followed.
    pub(crate) async fn or_withdrawn(&self, failure: Failure) -> Failure {
        let superseded = self.input.waited && failure.label == label::SUPERSEDED;
        if superseded && matches!(self.gone().await, Ok(true)) { self.withdrawn() } else { failure }
    }

    pub(crate) fn withdrawn(&self) -> Failure {
        Failure {
            label: label::SUPERSEDED,
            message: format!(
                "promotion {} waited for model {} and was taken out of the line; `seatrial history {}` says why",
                self.input.promotion, self.input.model, self.input.model
            ),
            source: None,
        }
    }

    fn request(&self) -> Request<'_> {
        let input = self.input;
        Request {
            by: &input.requested_by,
            execution: Some(self.execution),
            emergency: input.emergency.as_ref(),
            waited: input.waited,
        }
    }

    /// The same promotion, of the version that is packaged: nothing is read or hashed again while it waits.
    fn again(&self) -> PromotionInput {
        PromotionInput {
            submission: None,
            artifact: None,
            version: Some(self.version),
            waited: true,
            ..self.input.clone()
        }
    }
}

/// The version is packaged even where its promotion may not begin: whoever reads the refusal should know.
fn keep_label(failure: Failure, version: VersionName) -> Failure {
    if failure.label == label::MODEL_BUSY { but_packaged(failure, version) } else { failure }
}

pub(crate) fn but_packaged(failure: Failure, version: VersionName) -> Failure {
    Failure { message: format!("{version} is packaged, but {}", failure.message), ..failure }
}
