//! Brings what nobody finishes to its lawful end: promotions whose execution died, gates past their time, executions that were not
//! told how their gate was decided, promotions in line that nobody carries out, promotions that ended without a manifest, holdbacks past
//! the stability window, histories whose end nobody signed; and, about once an hour, versions
//! that are out of use for as long as the policy keeps them.
//!
//! What takes its time comes last: first whatever ends at once, of every model; then attestations and collections, as many as there is
//! time for, beginning with another model each minute.
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
use seatrial_domain::line::Waiting;
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
/// How long one call begins with anything. What it began last, a gate's answer of 30 s and an attestation of 60, or a deletion, is over
/// before the function's own limit of 300.
const BUDGET: SignedDuration = SignedDuration::from_secs(200);

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
/// not keep the others from being swept, nor does its slowness keep them from their end; the first trouble is the failure.
///
/// # Errors
/// When something could not be brought to its end; it is tried again at the next tick.
pub async fn handle<C>(ports: &Ports<'_>, clock: C, event: Value) -> Result<Value, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    let mut sweep = Sweep { ports, clock: &clock, began: clock(), done: Vec::new(), first_failure: None };
    if let Some(model) = retention::asked(&event)? {
        sweep.go_on_collecting(&model).await;
        sweep.keep_to_the_plan(&model).await;
    } else if let Some((model, promotion)) = dead_execution(&event) {
        sweep.end(&model).await;
        sweep.attest_all(&model, Some(&promotion)).await;
    } else {
        sweep.gates().await;
        sweep.models().await?;
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

/// Which of `count` models the call at `now` begins with: no name is always the last. Each minute goes on by the golden part of them all,
/// not by one: whoever stands behind slow models in one minute stands before them in one of the next.
fn first_of(count: usize, now: Timestamp) -> usize {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let turn = now.as_second().div_euclid(60).cast_unsigned().wrapping_mul(GOLDEN);
    ((u128::from(turn) * count as u128) >> 64) as usize
}

struct Sweep<'a, C> {
    ports: &'a Ports<'a>,
    clock: &'a C,
    began: Timestamp,
    done: Vec<String>,
    first_failure: Option<Failure>,
}

impl<C: Fn() -> Timestamp + Send + Sync> Sweep<'_, C> {
    fn ops(&self) -> Ops<'_> {
        Ops::new(self.ports.registry, Actor::function("sweep"), self.clock)
    }

    /// Whether this call may begin with anything more.
    fn has_time(&self) -> bool {
        (self.clock)().duration_since(self.began) < BUDGET
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

    /// All models, as far as there is time; the next call begins with another.
    async fn models(&mut self) -> Result<(), Failure> {
        let mut models = self.ports.registry.models().await?;
        let first = first_of(models.len(), self.began);
        models.rotate_left(first);
        for model in &models {
            if !self.has_time() {
                break;
            }
            self.end(model).await;
        }
        for model in &models {
            if !self.has_time() {
                tracing::warn!("the time of this call is over; the next goes on");
                break;
            }
            self.attest_all(model, None).await;
            self.go_on_collecting(model).await;
            if self.is_minute_of(model) {
                self.keep_to_the_plan(model).await;
            }
        }
        Ok(())
    }

    /// What ends at once, of one model.
    async fn end(&mut self, model: &ModelName) {
        let ended = self.end_dead(model).await;
        self.note(ended);
        let told = self.tell_waiting(model).await;
        self.note(told);
        self.thin_line(model).await;
        let holdback = self.end_holdback(model).await;
        self.note(holdback);
    }

    /// Has attested what is not, of one model: the promotion of an event at once, at a tick those whose turn it is.
    async fn attest_all(&mut self, model: &ModelName, promotion: Option<&PromotionId>) {
        let records = match promotion {
            Some(id) => self.ports.registry.promotion(model, id).await.map(|p| p.into_iter().collect()),
            None => self.ports.registry.promotions(model).await,
        };
        match records {
            Ok(records) => {
                for record in records {
                    let Some(ended_at) = unattested_since(&record) else { continue };
                    if promotion.is_none() && !attesting::is_due(ended_at, self.began) {
                        continue;
                    }
                    if !self.has_time() {
                        return;
                    }
                    let attested = self.attest(&record, ended_at).await;
                    self.note(attested);
                }
            }
            Err(e) => self.note(Err(e.into())),
        }
        if self.has_time() {
            let anchored = anchors::anchor(self.ports, model, self.began).await;
            self.note(anchored);
        }
    }

    /// The word for how the execution died of what began at `since`; none while it goes on.
    async fn death(&self, arn: &str, since: Timestamp) -> Result<Option<String>, Failure> {
        let standing = self.ports.executions.standing(arn).await?;
        Ok(standing.death(since, (self.clock)()))
    }

    /// Ends the running promotion of `model` when its execution is dead.
    async fn end_dead(&self, model: &ModelName) -> Result<Option<String>, Failure> {
        let Some(head) = self.ports.registry.head(model).await? else { return Ok(None) };
        let Some(running) = head.running else { return Ok(None) };
        let Some(record) = self.ports.registry.promotion(model, &running.promotion).await? else {
            return Ok(None);
        };
        let Some(arn) = &record.execution else { return Ok(None) };
        let Some(how) = self.death(arn, record.started_at).await? else { return Ok(None) };
        let reason = format!("its execution is {how} and left the promotion unfinished");
        // Whatever its gate was decided, nobody is there to carry it out. Marked before the end, which is what brings this
        // promotion here: a crash between the two loses neither.
        if let Some(gate) = record.gate.as_ref().filter(|_| record.steps.is_empty()) {
            self.ops().orphan_gate(gate, &format!("its execution is {how}")).await?;
        }
        let ended = self.ops().end_promotion(model, &running.promotion, running.epoch, &reason).await?;
        Ok(ended.fresh.then(|| format!("promotion {} of {model} ended: {reason}", running.promotion)))
    }

    /// Takes promotions out of the line of `model` that nobody is left to carry out: they would hold up all behind them.
    async fn thin_line(&mut self, model: &ModelName) {
        let waiting = match self.ports.registry.head(model).await {
            Ok(head) => head.map(|head| head.waiting).unwrap_or_default(),
            Err(e) => return self.note(Err(e.into())),
        };
        for one in waiting {
            let left = self.leave_dead(model, &one).await;
            self.note(left);
        }
    }

    async fn leave_dead(&self, model: &ModelName, waiting: &Waiting) -> Result<Option<String>, Failure> {
        let Some(arn) = &waiting.execution else { return Ok(None) };
        let Some(how) = self.death(arn, waiting.since).await? else { return Ok(None) };
        let (id, reason) = (&waiting.promotion, format!("its execution is {how}"));
        let left = self.ops().leave_line(model, id, &reason).await?;
        Ok(left.fresh.then(|| format!("promotion {id} waits for {model} no longer: {reason}")))
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
    async fn attest(&self, record: &PromotionRecord, ended_at: Timestamp) -> Result<Option<String>, Failure> {
        let alive = match &record.execution {
            Some(arn) => self.death(arn, record.started_at).await?.is_none(),
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
        let objects = match attesting::ask(self.ports.attesting, &AttestTask::Promotion(held)).await? {
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

/// When a promotion ended that is not attested.
fn unattested_since(record: &PromotionRecord) -> Option<Timestamp> {
    record.ended_at.filter(|_| record.status != PromotionStatus::Running && !record.attested)
}

/// The gate that an execution may be waiting for: the canary has not begun.
fn waits_for(record: &PromotionRecord) -> Option<&GateId> {
    record.gate.as_ref().filter(|_| record.steps.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

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

    #[test]
    fn no_model_is_always_the_last_nor_always_the_first_in_its_minute_of_the_hour() {
        let at = |minute: i64| Timestamp::from_second(60 * minute + 59).unwrap();
        let begin = 29_713_021_i64;
        for count in 1..=60_usize {
            // Soon each has been the first, whenever that is begun with.
            for from in begin..begin + 120 {
                let minutes = from..from + 2 * i64::try_from(count).unwrap();
                let first: BTreeSet<_> = minutes.map(|minute| first_of(count, at(minute))).collect();
                assert!(first.into_iter().eq(0..count), "{count} models from minute {from}");
            }
        }
        assert_eq!(first_of(0, at(begin)), 0);
        // A collection has its minute of the hour: sixty models are in another order each hour.
        let day = (0..24).map(|hour| first_of(60, at(begin + 60 * hour)));
        assert!(day.collect::<BTreeSet<_>>().len() > 20);
    }
}
