//! Brings what nobody finishes to its lawful end: promotions whose execution died, gates past their time, executions that were not
//! told how their gate was decided, promotions that ended without a manifest, holdbacks past the stability window, histories whose end nobody signed; and, about once an hour, versions
//! that are out of use for as long as the policy keeps them.
//!
//! It only ever ends things; nothing here leads a challenger forward.

mod anchors;
mod answering;
mod attesting;
mod executions;
mod retention;

use jiff::{SignedDuration, Timestamp};
use seatrial_artifacts::store::{DeletingStore, ObjectStore};
use seatrial_domain::gate::{GateKind, GateStatus};
use seatrial_domain::ids::Actor;
use seatrial_domain::promotion::{PromotionRecord, PromotionStatus};
use seatrial_domain::route::Weight;
use seatrial_domain::task::{AttestAnswer, AttestTask, Held};
use seatrial_domain::{GateId, ModelName, PromotionId};
use seatrial_registry::ops::{self, Ops};
use seatrial_registry::{GateFilter, Registry};
use seatrial_runtime::Failure;
use serde_json::{Value, json};

pub use answering::{Answering, LambdaAnswering};
pub use attesting::{Attesting, LambdaAttesting};
pub use executions::{Executions, Standing, StepFunctions};

/// How long an ended promotion's own execution has to write the manifest before `sweep` does.
const ATTEST_AFTER: SignedDuration = SignedDuration::from_secs(120);

/// What `sweep` works with.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The registry.
    pub registry: &'a dyn Registry,
    /// The evidence bucket. Nothing is deleted there.
    pub evidence: &'a dyn ObjectStore,
    /// The models bucket, for what collected versions have in it.
    pub models: &'a dyn DeletingStore,
    /// Step Functions.
    pub executions: &'a dyn Executions,
    /// The function that attests.
    pub attesting: &'a dyn Attesting,
    /// The function that answers task tokens.
    pub answering: &'a dyn Answering,
}

impl std::fmt::Debug for Ports<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ports")
    }
}

/// Handles a schedule's tick, the event of an execution that failed, timed out or was stopped, or a person's `{"retention": "<model>"}`,
/// which looks at the versions of that model now. One model's trouble does
/// not keep the others from being swept; the first trouble is the failure.
///
/// # Errors
/// When something could not be brought to its end; it is tried again at the next tick.
pub async fn handle<C>(ports: &Ports<'_>, clock: C, event: Value) -> Result<Value, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    let mut sweep = Sweep { ports, clock: &clock, done: Vec::new(), first_failure: None };
    if let Some(model) = retention::asked(&event)? {
        sweep.go_on_collecting(&model).await;
        sweep.keep_to_the_plan(&model).await;
    } else if let Some((model, promotion)) = dead_execution(&event) {
        sweep.model(&model, Some(&promotion)).await;
    } else {
        sweep.gates().await;
        for model in ports.registry.models().await? {
            sweep.model(&model, None).await;
            sweep.go_on_collecting(&model).await;
            if sweep.is_minute_of(&model) {
                sweep.keep_to_the_plan(&model).await;
            }
        }
    }
    match sweep.first_failure {
        Some(failure) => Err(failure),
        None => Ok(json!({ "done": sweep.done })),
    }
}

/// The promotion of an execution event: its name is the promotion's, its input names the model.
fn dead_execution(event: &Value) -> Option<(ModelName, PromotionId)> {
    let detail = event.get("detail")?;
    let promotion = PromotionId::parse(detail.get("name")?.as_str()?).ok()?;
    let input: Value = serde_json::from_str(detail.get("input")?.as_str()?).ok()?;
    let model = ModelName::parse(input.get("model")?.as_str()?).ok()?;
    Some((model, promotion))
}

struct Sweep<'a, C> {
    ports: &'a Ports<'a>,
    clock: &'a C,
    done: Vec<String>,
    first_failure: Option<Failure>,
}

impl<C: Fn() -> Timestamp + Send + Sync> Sweep<'_, C> {
    fn ops(&self) -> Ops<'_> {
        Ops::new(self.ports.registry, Actor::function("sweep"), self.clock)
    }

    fn note(&mut self, result: Result<Option<String>, Failure>) {
        match result {
            Ok(Some(done)) => {
                tracing::info!(done, "swept");
                self.done.push(done);
            }
            Ok(None) => {}
            Err(failure) => {
                tracing::error!(error = failure.chain(), "something could not be swept");
                self.first_failure.get_or_insert(failure);
            }
        }
    }

    /// Closes gates whose time is over or whose promotion no longer holds its model.
    async fn gates(&mut self) {
        let pending = match self.ports.registry.gates(&GateFilter::pending()).await {
            Ok(gates) => gates,
            Err(e) => return self.note(Err(e.into())),
        };
        for gate in pending {
            if gate.kind == GateKind::Approval {
                let reminded = self.ops().remind_gate(&gate.id).await;
                self.note(
                    reminded
                        .map_err(Failure::from)
                        .map(|g| g.fresh.then(|| format!("people are reminded of gate {}", gate.id))),
                );
            }
            let closed = self.ops().close_gate(&gate.id).await;
            self.note(closed.map_err(Failure::from).map(|g| {
                (g.value.status != GateStatus::Pending)
                    .then(|| format!("gate {} {}", gate.id, g.value.state_phrase()))
            }));
        }
    }

    async fn model(&mut self, model: &ModelName, promotion: Option<&PromotionId>) {
        let ended = self.end_dead(model).await;
        self.note(ended);
        let told = self.tell_waiting(model).await;
        self.note(told);
        let records = match promotion {
            Some(id) => self.ports.registry.promotion(model, id).await.map(|p| p.into_iter().collect()),
            None => self.ports.registry.promotions(model).await,
        };
        match records {
            Ok(records) => {
                for record in records {
                    let attested = self.attest(&record).await;
                    self.note(attested);
                }
            }
            Err(e) => self.note(Err(e.into())),
        }
        let holdback = self.end_holdback(model).await;
        self.note(holdback);
        let anchored = anchors::anchor(self.ports, model, (self.clock)()).await;
        self.note(anchored);
    }

    /// Ends the running promotion of `model` when its execution is dead.
    async fn end_dead(&self, model: &ModelName) -> Result<Option<String>, Failure> {
        let Some(head) = self.ports.registry.head(model).await? else { return Ok(None) };
        let Some(running) = head.running else { return Ok(None) };
        let Some(record) = self.ports.registry.promotion(model, &running.promotion).await? else {
            return Ok(None);
        };
        let Some(arn) = &record.execution else { return Ok(None) };
        let Standing::Dead(how) = self.ports.executions.standing(arn).await? else { return Ok(None) };
        let reason = format!("its execution is {how} and left the promotion unfinished");
        // Whatever its gate was decided, nobody is there to carry it out. Marked before the end, which is what brings this
        // promotion here: a crash between the two loses neither.
        if let Some(gate) = record.gate.as_ref().filter(|_| record.steps.is_empty()) {
            self.ops().orphan_gate(gate, &format!("its execution is {how}")).await?;
        }
        let ended = self.ops().end_promotion(model, &running.promotion, running.epoch, &reason).await?;
        Ok(ended.fresh.then(|| format!("promotion {} of {model} ended: {reason}", running.promotion)))
    }

    /// Has the execution of the running promotion told how its gate was decided. That is `answer`'s to do as soon as it is
    /// decided; but what the stream tried in vain too often it gives up, and the wait ends only after months.
    async fn tell_waiting(&self, model: &ModelName) -> Result<Option<String>, Failure> {
        let Some(head) = self.ports.registry.head(model).await? else { return Ok(None) };
        let Some(running) = head.running else { return Ok(None) };
        let record = self.ports.registry.promotion(model, &running.promotion).await?;
        match record.and_then(|record| waits_for(&record).cloned()) {
            Some(gate) => self.tell(&gate).await,
            None => Ok(None),
        }
    }

    async fn tell(&self, gate: &GateId) -> Result<Option<String>, Failure> {
        let decided = self.ports.registry.gate(gate).await?.is_some_and(|g| g.status != GateStatus::Pending);
        if !decided {
            return Ok(None);
        }
        self.ports.answering.answer(gate).await?;
        Ok(Some(format!("gate {gate} is decided; whoever waits for it was told")))
    }

    /// Has a promotion attested that ended without.
    async fn attest(&self, record: &PromotionRecord) -> Result<Option<String>, Failure> {
        let ended = record.ended_at.filter(|_| record.status != PromotionStatus::Running && !record.attested);
        let Some(ended_at) = ended else { return Ok(None) };
        let alive = match &record.execution {
            Some(arn) => self.ports.executions.standing(arn).await? == Standing::Alive,
            None => false,
        };
        if alive && (self.clock)().duration_since(ended_at) < ATTEST_AFTER {
            return Ok(None);
        }
        if alive && let Some(gate) = waits_for(record) {
            // It may wait for a gate that closed when the promotion was taken back, and nobody else asks about it again.
            self.tell(gate).await?;
        }
        let held = Held {
            schema: seatrial_domain::task::SCHEMA,
            model: record.model.clone(),
            promotion: record.id.clone(),
            epoch: record.epoch,
            version: record.challenger.version,
        };
        let objects = match self.ports.attesting.attest(&AttestTask::Promotion(held)).await? {
            AttestAnswer::Promotion(attested) => attested.objects,
            AttestAnswer::Anchor(_) => 0,
        };
        Ok(Some(format!("promotion {} attested: {objects} objects", record.id)))
    }

    /// Ends the holdback once the stability window of the crown is over.
    async fn end_holdback(&self, model: &ModelName) -> Result<Option<String>, Failure> {
        let Some(head) = self.ports.registry.head(model).await? else { return Ok(None) };
        if head.route.holdback == Weight::ZERO || head.running.is_some() {
            return Ok(None);
        }
        let Some(promotion) = &head.route.promotion else { return Ok(None) };
        let Some(record) = self.ports.registry.promotion(model, promotion).await? else { return Ok(None) };
        let stability =
            ops::pinned_policy(self.ports.registry, &record).await?.policy.canary.stability_seconds;
        if (self.clock)().duration_since(head.route.since) < SignedDuration::from_secs(i64::from(stability)) {
            return Ok(None);
        }
        self.ops().end_holdback(model).await?;
        Ok(Some(format!("the holdback of {model} ended")))
    }
}

/// The gate that an execution may be waiting for: the canary has not begun.
fn waits_for(record: &PromotionRecord) -> Option<&GateId> {
    record.gate.as_ref().filter(|_| record.steps.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_an_execution_named_as_a_promotion_is_one() {
        let event = json!({ "detail": { "name": "pr_0123456789abcdef01234567", "input": "{\"model\":\"m\"}", "status": "FAILED" } });
        assert_eq!(dead_execution(&event).unwrap().0.as_str(), "m");
        assert!(
            dead_execution(
                &json!({ "detail": { "name": "pr_0123456789abcdef01234567-canary", "input": "{}" } })
            )
            .is_none()
        );
        assert!(dead_execution(&json!({ "source": "aws.events" })).is_none());
    }
}
