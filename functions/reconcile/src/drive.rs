//! One model: what its target does, what the route wants, and the way from the one to the other.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use seatrial_domain::ModelName;
use seatrial_domain::head::Head;
use seatrial_domain::policy::Target;
use seatrial_domain::target::{
    Actual, Desired, HOLD_SECONDS, Seen, TargetRecord, TargetState, desired, difference,
};
use seatrial_runtime::{Failure, metric};
use seatrial_targets::{Hindrance, TrafficTarget};

use crate::{Outcome, Ports, ReconcileRegistry};

/// How long one call of a target may take.
const CALL: Duration = Duration::from_secs(4);

/// After this nothing is begun anew within one invocation: at its end there is time for what a round may take.
const NO_MORE_ROUNDS: SignedDuration = SignedDuration::from_secs(10);

/// The head of a model, and the target that the policy in force names.
pub(crate) async fn route_and_target(
    registry: &dyn ReconcileRegistry,
    model: &ModelName,
) -> Result<Option<(Head, Option<Target>)>, Failure> {
    let Some(head) = registry.head(model).await? else { return Ok(None) };
    let policy = match &head.policy {
        Some(reference) => registry.policy(model, reference.number).await?,
        None => None,
    };
    Ok(Some((head, policy.and_then(|record| record.policy.target))))
}

/// Drives a model's target to its route, as `driver`.
pub(crate) async fn drive<C>(
    ports: &Ports<'_>,
    clock: &C,
    model: &ModelName,
    driver: &str,
) -> Result<Outcome, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    let registry = ports.registry;
    let target = route_and_target(registry, model).await?.and_then(|(_, target)| target);
    if target.is_none() && registry.target(model).await?.is_none() {
        return Ok(Outcome::Done(None));
    }
    let now = clock();
    let hold = SignedDuration::from_secs(i64::from(HOLD_SECONDS));
    let until = now.checked_add(hold).unwrap_or(Timestamp::MAX);
    if !registry.hold_target(model, driver, now, until).await? {
        return Ok(Outcome::Busy);
    }
    let before = registry.target(model).await?;
    let Some(target) = target else {
        registry.leave_target(model, driver, None).await?;
        return Ok(Outcome::Done(None));
    };
    match rounds(ports, clock, model, &target, before.as_ref()).await {
        Ok(record) => {
            let kept = registry.leave_target(model, driver, Some(&record)).await?;
            if !kept {
                tracing::error!(%model, driver, "the target was held for longer than it may be; what was seen is not kept");
            }
            tell(&record, before.as_ref(), clock());
            Ok(Outcome::Done(Some(record.state)))
        }
        Err(failure) => {
            // Let go at once, so that the next try need not wait for the hold to end.
            registry.leave_target(model, driver, before.as_ref()).await?;
            Err(failure)
        }
    }
}

/// Looks and drives until the route that was driven to is the present one.
async fn rounds<C>(
    ports: &Ports<'_>,
    clock: &C,
    model: &ModelName,
    target: &Target,
    before: Option<&TargetRecord>,
) -> Result<TargetRecord, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    let began = clock();
    let opened = within(ports.targets.open(model, target)).await;
    let mut record = before.cloned();
    loop {
        // The target first, then the route: what is read last is what it is driven to.
        let found = match &opened {
            Ok(target) => within(target.observe()).await,
            Err(hindrance) => Err(hindrance.clone()),
        };
        let (head, wanted) = wanted(ports.registry, model, target).await?;
        let came = arrive(opened.as_deref().ok(), wanted.as_ref(), found).await;
        let seen = Seen {
            wanted: wanted.as_ref().ok().and_then(Option::as_ref),
            before: came.before.as_ref(),
            after: came.after.as_ref(),
            pending: came.pending,
            refused: came.refused,
        };
        let seen = TargetRecord::after(&head, target, record.as_ref(), &seen, clock());
        // A rollback may have been written while the target was driven. Whoever wrote it waits for nobody, so it is looked for here.
        let present = ports.registry.head(model).await?;
        let same = present.is_some_and(|present| present.route.since == head.route.since);
        if same || clock().duration_since(began) > NO_MORE_ROUNDS {
            return Ok(if same { seen } else { TargetRecord { state: TargetState::Behind, ..seen } });
        }
        record = Some(seen);
    }
}

/// The head as it is now, and what its route comes to at the target; in words why it comes to nothing.
async fn wanted(
    registry: &dyn ReconcileRegistry,
    model: &ModelName,
    target: &Target,
) -> Result<(Head, Result<Option<Desired>, String>), Failure> {
    let Some((head, named)) = route_and_target(registry, model).await? else {
        return Err(Failure::internal("reading the head", format!("model {model} is gone")));
    };
    if named.as_ref() != Some(target) {
        return Err(Failure::unavailable("driving a target", "the policy names another one since"));
    }
    let mut packages = BTreeMap::new();
    for version in head.route.versions() {
        if let Some(record) = registry.version(model, version.version).await? {
            packages.insert(version.version, record.package);
        }
    }
    let wanted = desired(&head, target, &packages).map_err(|e| e.to_string());
    Ok((head, wanted))
}

/// How far a target came.
#[derive(Default)]
struct Came {
    before: Option<BTreeMap<String, f64>>,
    after: Option<BTreeMap<String, f64>>,
    pending: Option<String>,
    refused: Option<String>,
}

impl Came {
    fn hindered(mut self, hindrance: Hindrance) -> Self {
        match hindrance {
            Hindrance::Pending(why) => self.pending = Some(why),
            Hindrance::Refused(why) => self.refused = Some(why),
        }
        self
    }
}

async fn arrive(
    target: Option<&dyn TrafficTarget>,
    wanted: Result<&Option<Desired>, &String>,
    found: Result<Actual, Hindrance>,
) -> Came {
    let (target, found) = match (target, found) {
        (Some(target), Ok(found)) => (target, found),
        (_, Err(hindrance)) => return Came::default().hindered(hindrance),
        (None, Ok(_)) => return Came::default(),
    };
    let shares = Some(found.shares.clone());
    let came = Came { before: shares.clone(), after: shares, ..Came::default() };
    let wanted = match wanted {
        Ok(Some(wanted)) => wanted,
        Ok(None) => return came,
        Err(why) => return came.hindered(Hindrance::Refused(why.clone())),
    };
    let weights = wanted.weights();
    if difference(&weights, &found.shares).is_none() {
        return came;
    }
    if let Err(hindrance) = within(target.drive(wanted, &found)).await {
        return came.hindered(hindrance);
    }
    match within(target.observe()).await {
        Ok(after) => {
            let behind = difference(&weights, &after.shares).and(after.busy);
            Came { after: Some(after.shares), pending: behind, ..came }
        }
        Err(hindrance) => came.hindered(hindrance),
    }
}

/// What a target answers in its time; else that it did not.
async fn within<T>(call: impl Future<Output = Result<T, Hindrance>>) -> Result<T, Hindrance> {
    let late = |_| Hindrance::Pending(format!("no answer within {} seconds", CALL.as_secs()));
    tokio::time::timeout(CALL, call).await.map_err(late)?
}

/// Says what people should hear of.
fn tell(record: &TargetRecord, before: Option<&TargetRecord>, now: Timestamp) {
    let model = &record.model;
    if let Some(put_right) = &record.put_right
        && before.and_then(|b| b.put_right.as_ref()) != Some(put_right)
    {
        let found = &put_right.found;
        tracing::warn!(%model, target = record.target.phrase(), found, "somebody else had changed the target");
        metric::count(metric::TARGET_CHANGED, model);
    }
    let (state, why) = (record.state, record.why.as_deref().unwrap_or_default());
    match state {
        TargetState::InStep => {
            let changed = before.is_none_or(|b| b.state != state || b.route_since != record.route_since);
            if changed {
                tracing::info!(%model, target = record.target.phrase(), took_ms = record.took_ms, "the target is in step");
            }
        }
        TargetState::Behind => {
            tracing::info!(%model, target = record.target.phrase(), why, "the target is behind");
        }
        TargetState::Refused => {
            tracing::error!(%model, target = record.target.phrase(), why, "the target refuses");
        }
    }
    if record.is_late(now) {
        metric::count(metric::TARGET_LATE, model);
    }
}
