//! What can happen to a model, as operations: read, let the domain decide, commit, and again on a conflict.
//!
//! Every operation may be done twice with the effect of once: when what it asks for is so already, it returns the same
//! outcome with [`Outcome::fresh`] `false` and writes nothing.

mod adopting;
mod canary;
mod emergency;
mod ending;
mod gates;
mod promoting;
mod retention;
mod settings;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use seatrial_domain::change::{Change, Context, PolicyRecord};
use seatrial_domain::gate::GateRecord;
use seatrial_domain::head::Head;
use seatrial_domain::ids::Actor;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::version::VersionRecord;
use seatrial_domain::{GateId, ModelName, PromotionId, Refusal, VersionName};

pub use canary::{Crown, Shift};
pub use ending::Rollback;
pub use gates::draft_gate;
pub use retention::{Kept, kept};
pub use settings::By;

use crate::error::{CommitError, OpError};
use crate::ports::Registry;

/// The time, for whoever writes. The domain and this crate have no clock of their own.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

impl<F: Fn() -> Timestamp + Send + Sync> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// What an operation did.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<T> {
    /// How it is now.
    pub value: T,
    /// Whether this call made it so; `false` when it was so already and nothing was written.
    pub fresh: bool,
}

impl<T> Outcome<T> {
    /// Changes the value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        Outcome { value: change(self.value), fresh: self.fresh }
    }
}

/// How often an operation reads and decides anew when others change the model meanwhile.
const TRIES: u32 = 25;

/// The operations, done by one actor.
#[derive(Clone)]
pub struct Ops<'a> {
    registry: &'a dyn Registry,
    actor: Actor,
    clock: &'a dyn Clock,
    leaves_gates: bool,
}

/// What one try comes to.
enum Next<T> {
    /// It is so already.
    Already(T),
    /// It is so once this is committed.
    Commit(Box<Change>, T),
}

impl<T> Next<T> {
    fn commit(change: Change, value: T) -> Result<Self, OpError> {
        Ok(Self::Commit(Box::new(change), value))
    }
}

type Try<'f, T> = Pin<Box<dyn Future<Output = Result<Next<T>, OpError>> + Send + 'f>>;

impl<'a> Ops<'a> {
    /// Operations on `registry` in the name of `actor`, by `clock`.
    #[must_use]
    pub fn new(registry: &'a dyn Registry, actor: Actor, clock: &'a dyn Clock) -> Self {
        Self { registry, actor, clock, leaves_gates: false }
    }

    /// The same, for an actor without rights on gates: a rollback leaves the gate of the promotion that it ends to whoever closes
    /// gates that nobody holds any more. An approval is a gate's item, so whoever may write gates could approve.
    #[must_use]
    pub fn leaving_gates(self) -> Self {
        Self { leaves_gates: true, ..self }
    }

    fn context<'h>(&'h self, head: &'h Head) -> Context<'h> {
        Context { head, actor: &self.actor, now: self.clock.now() }
    }

    /// Reads the head, lets `decide` read the rest and decide, commits; all again on a conflict.
    ///
    /// The head is read first. So when the commit finds its revision unchanged, nothing that was read after it has changed
    /// either, because every write to a model's records moves it. The same is asked of a refusal before it is believed.
    async fn transact<'f, T>(
        &self,
        model: &ModelName,
        missing: Missing,
        decide: impl Fn(Head) -> Try<'f, T>,
    ) -> Result<Outcome<T>, OpError> {
        for tried in 0..TRIES {
            if tried > 0 {
                tokio::time::sleep(Duration::from_millis(u64::from(tried.min(10)) * 5)).await;
            }
            let head = match (self.registry.head(model).await?, missing) {
                (Some(head), _) => head,
                (None, Missing::Create) => Head::new(model.clone(), self.clock.now()),
                (None, Missing::Refuse) => return Err(not_found(format!("model {model}"))),
            };
            let revision = head.revision;
            let (change, value) = match decide(head).await {
                Ok(Next::Already(value)) => return Ok(Outcome { value, fresh: false }),
                Ok(Next::Commit(change, value)) => (change, value),
                // rollback: reads head 7 ──────────────► reads v2: champion → "a champion cannot be aborted"
                // crown:         reads head 7, writes head 8 ─┘
                // A refusal is final only if all it rests on belongs together; else it is decided anew.
                Err(OpError::Refused(_)) if self.moved(model, revision).await? => continue,
                Err(error) => return Err(error),
            };
            match self.registry.commit(*change).await {
                Ok(()) => return Ok(Outcome { value, fresh: true }),
                // Claimed: someone registered the same bytes since; the next try finds that version.
                Err(CommitError::Conflict { .. } | CommitError::Claimed { .. }) => {}
                Err(CommitError::Refused(refusal)) => return Err(refusal.into()),
                Err(CommitError::Store(error)) => return Err(error.into()),
            }
        }
        Err(OpError::Contended { model: model.clone(), tries: TRIES })
    }

    /// Whether the model's head is no longer at `revision`.
    async fn moved(&self, model: &ModelName, revision: u64) -> Result<bool, OpError> {
        Ok(self.registry.head(model).await?.map_or(0, |head| head.revision) != revision)
    }

    async fn promotion(&self, model: &ModelName, id: &PromotionId) -> Result<PromotionRecord, OpError> {
        let found = self.registry.promotion(model, id).await?;
        found.ok_or_else(|| not_found(format!("promotion {id} of model {model}")))
    }

    /// The promotion, which must hold the model at `epoch` by `head`.
    async fn holding(&self, head: &Head, id: &PromotionId, epoch: u64) -> Result<PromotionRecord, OpError> {
        let promotion = self.promotion(&head.model, id).await?;
        head.held_by(id, epoch)?;
        Ok(promotion)
    }

    async fn version(&self, model: &ModelName, version: VersionName) -> Result<VersionRecord, OpError> {
        let found = self.registry.version(model, version).await?;
        found.ok_or_else(|| not_found(format!("version {version} of model {model}")))
    }

    /// The policy in force by `head`: it says who may do what, whatever a promotion has pinned.
    async fn live_policy(&self, head: &Head) -> Result<PolicyRecord, OpError> {
        in_force(self.registry, head).await
    }

    async fn gate(&self, id: &GateId) -> Result<GateRecord, OpError> {
        self.registry.gate(id).await?.ok_or_else(|| not_found(format!("gate {id}")))
    }
}

/// What an operation does with a model that is not there.
#[derive(Clone, Copy)]
enum Missing {
    Create,
    Refuse,
}

fn not_found(what: String) -> OpError {
    Refusal::NotFound { what }.into()
}

/// That `promotion` still holds its model. Asked for just before evidence is stored: what comes when the promotion is over would lie
/// in its folder beside a signed manifest that does not list it, and the folder would verify no more.
///
/// # Errors
/// [`Refusal::Superseded`] when it does not, [`Refusal::NotFound`] without such a model.
pub async fn still_holds(registry: &dyn Registry, promotion: &PromotionRecord) -> Result<(), OpError> {
    let model = &promotion.model;
    let head = registry.head(model).await?.ok_or_else(|| not_found(format!("model {model}")))?;
    head.held_by(&promotion.id, promotion.epoch)?;
    Ok(())
}

/// The policy whose thresholds are pinned for `promotion`.
///
/// # Errors
/// [`Refusal::NotFound`] when it is gone, [`Refusal::Invalid`] when it is not the one that was pinned.
pub async fn pinned_policy(
    registry: &dyn Registry,
    promotion: &PromotionRecord,
) -> Result<PolicyRecord, OpError> {
    let number = promotion.policy.number;
    let found = registry.policy(&promotion.model, number).await?;
    let policy = found.ok_or_else(|| not_found(format!("policy {number} of model {}", promotion.model)))?;
    if policy.reference != promotion.policy {
        let why = format!(
            "policy {number} of model {} has the digest {}, but promotion {} pinned {}",
            promotion.model, policy.reference.digest, promotion.id, promotion.policy.digest
        );
        return Err(Refusal::Invalid { why }.into());
    }
    Ok(policy)
}

/// The policy in force now: it says who may decide, whatever a promotion has pinned.
///
/// # Errors
/// [`Refusal::NotFound`] without such a model, or when it has no policy.
pub async fn live_policy(registry: &dyn Registry, model: &ModelName) -> Result<PolicyRecord, OpError> {
    let head = registry.head(model).await?.ok_or_else(|| not_found(format!("model {model}")))?;
    in_force(registry, &head).await
}

async fn in_force(registry: &dyn Registry, head: &Head) -> Result<PolicyRecord, OpError> {
    let model = &head.model;
    let Some(reference) = &head.policy else {
        return Err(not_found(format!("a policy of model {model}")));
    };
    let found = registry.policy(model, reference.number).await?;
    found.ok_or_else(|| not_found(format!("policy {} of model {model}", reference.number)))
}
