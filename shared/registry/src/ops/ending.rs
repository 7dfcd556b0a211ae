//! Ends: of a promotion, of a champion, of a version.

use jiff::{SignedDuration, Timestamp};
use seatrial_domain::change::{self, Running};
use seatrial_domain::gate::{GateKind, GateRecord, GateStatus};
use seatrial_domain::head::Head;
use seatrial_domain::history::HistoryEntry;
use seatrial_domain::ids::VersionRef;
use seatrial_domain::promotion::{PromotionRecord, PromotionStatus};
use seatrial_domain::version::{VersionRecord, VersionStatus};
use seatrial_domain::{GateId, ModelName, PromotionId, Refusal, VersionName};

use super::promoting::{commit_promotion, written_version};
use super::{Missing, Next, Ops, Outcome};
use crate::error::OpError;

/// What a rollback did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollback {
    /// The model's epoch after it.
    pub epoch: u64,
    /// The promotion that it ended.
    pub ended: Option<PromotionId>,
    /// The version that callers no longer see: the challenger, or the champion that was taken back.
    pub from: Option<VersionRef>,
    /// The version that serves by default now.
    pub champion: Option<VersionRef>,
    /// Whether the champion changed.
    pub champion_changed: bool,
    /// The number of its history entry.
    pub seq: u64,
}

/// How long an operator's second rollback with the same words counts as the first one sent again.
const REPEAT: SignedDuration = SignedDuration::from_secs(60);
/// The events that a rollback writes.
const ENDS: [&str; 3] = ["rolled_back", "canary_rolled_back", "promotion_ended"];

impl Ops<'_> {
    /// Ends the promotion if it holds the model at `epoch`. One that has ended, or was crowned first, is the outcome as it
    /// stands: a late call does nothing.
    ///
    /// # Errors
    /// [`Refusal::Superseded`] when `epoch` is not the promotion's.
    pub async fn end_promotion(
        &self,
        model: &ModelName,
        promotion: &PromotionId,
        epoch: u64,
        reason: &str,
    ) -> Result<Outcome<PromotionRecord>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.promotion(model, promotion).await?;
                if record.epoch != epoch {
                    let found = head.epoch;
                    return Err(Refusal::Superseded { promotion: promotion.clone(), epoch, found }.into());
                }
                if record.status != PromotionStatus::Running {
                    return Ok(Next::Already(record));
                }
                let challenger = self.version(model, record.challenger.version).await?;
                let gate = self.open_gate_of(&record).await?;
                let context = self.context(&head);
                commit_promotion(change::end_promotion(
                    &context,
                    &record,
                    &challenger,
                    gate.as_ref(),
                    reason,
                )?)
            })
        })
        .await
    }

    /// An operator's rollback. A running promotion is ended and the champion stays; with `champion`, or when nothing runs,
    /// the standby serves again, and a running promotion is ended with it.
    ///
    /// The same actor's rollback with the same reason within a minute, while nothing else has changed hands, is taken for
    /// the first one sent again: a retry after a lost answer ends a canary and does not go on to take the champion back.
    ///
    /// # Errors
    /// [`Refusal::NoStandby`] when there is nothing to go back to.
    pub async fn roll_back(
        &self,
        model: &ModelName,
        reason: &str,
        champion: bool,
    ) -> Result<Outcome<Rollback>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let running = match &head.running {
                    Some(running) => Some(self.running(model, &running.promotion).await?),
                    None => None,
                };
                let context = self.context(&head);
                if let (Some(running), false) = (&running, champion) {
                    let (gate, record, version) =
                        (running.gate.as_ref(), &running.promotion, &running.challenger);
                    let change = change::end_promotion(&context, record, version, gate, reason)?;
                    return commit_rollback(change, Some(record.id.clone()), Some(record.challenger.clone()));
                }
                if running.is_none()
                    && let Some(before) = self.repeated(&head, reason, champion, context.now).await?
                {
                    return Ok(Next::Already(before));
                }
                let Some(serving) = self.version_of(model, head.champion()).await? else {
                    return Err(Refusal::NoStandby { model: model.clone() }.into());
                };
                let standby = self.version_of(model, head.standby.as_ref()).await?;
                let ends = running.as_ref().map(|r| Running {
                    promotion: &r.promotion,
                    challenger: &r.challenger,
                    gate: r.gate.as_ref(),
                });
                let change = change::roll_back(&context, &serving, standby.as_ref(), ends, reason)?;
                commit_rollback(
                    change,
                    running.as_ref().map(|r| r.promotion.id.clone()),
                    head.champion().cloned(),
                )
            })
        })
        .await
    }

    /// Takes a version out of use for good. A retired one is the outcome, collected or not.
    ///
    /// # Errors
    /// [`Refusal::IllegalTransition`] for a version that serves or is being promoted; [`Refusal::Stabilising`] for a standby
    /// within the stability window of the crown that made it one.
    pub async fn retire(
        &self,
        model: &ModelName,
        version: VersionName,
        reason: &str,
    ) -> Result<Outcome<VersionRecord>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.version(model, version).await?;
                if matches!(record.status, VersionStatus::Retired | VersionStatus::Collected) {
                    return Ok(Next::Already(record));
                }
                let crown = match &head.standby {
                    Some(standby) if standby.version == version => self.crown_of_standby(&head).await?,
                    _ => None,
                };
                let change = change::retire(&self.context(&head), &record, crown.as_ref(), reason)?;
                let retired = written_version(&change)?;
                Next::commit(change, retired)
            })
        })
        .await
    }

    async fn running(&self, model: &ModelName, id: &PromotionId) -> Result<Ends, OpError> {
        let promotion = self.promotion(model, id).await?;
        let challenger = self.version(model, promotion.challenger.version).await?;
        let gate = if self.leaves_gates { None } else { self.open_gate_of(&promotion).await? };
        Ok(Ends { promotion, challenger, gate })
    }

    /// The gate at which the promotion waits: its approval, or its shadow window.
    async fn open_gate_of(&self, promotion: &PromotionRecord) -> Result<Option<GateRecord>, OpError> {
        let window = GateId::derive(&promotion.id, GateKind::ShadowWindow.as_str(), 1);
        for id in promotion.gate.iter().chain([&window]) {
            let gate = self.registry.gate(id).await?;
            if let Some(gate) = gate.filter(|g| g.status == GateStatus::Pending) {
                return Ok(Some(gate));
            }
        }
        Ok(None)
    }

    /// This rollback, if the history shows it as done a moment ago with nothing since.
    async fn repeated(
        &self,
        head: &Head,
        reason: &str,
        champion: bool,
        now: Timestamp,
    ) -> Result<Option<Rollback>, OpError> {
        let last = self.registry.history(&head.model, head.chain.seq.saturating_sub(20), 20).await?;
        let same = |e: &&HistoryEntry| {
            ENDS.contains(&e.event.as_str())
                && e.epoch == head.epoch
                && e.actor == self.actor
                && e.details.get("reason").and_then(|r| r.as_str()) == Some(reason)
                && now.duration_since(e.at) < REPEAT
                && (!champion || e.event == "rolled_back")
        };
        let Some(entry) = last.iter().rev().find(same) else {
            return Ok(None);
        };
        let champion_changed = entry.event == "rolled_back";
        let from = match &entry.promotion {
            Some(ended) if !champion_changed => Some(self.promotion(&head.model, ended).await?.challenger),
            _ => entry.details.get("from").cloned().and_then(|v| serde_json::from_value(v).ok()),
        };
        Ok(Some(Rollback {
            epoch: entry.epoch,
            ended: entry.promotion.clone(),
            from,
            champion: head.champion().cloned(),
            champion_changed,
            seq: entry.seq,
        }))
    }
}

/// A running promotion with all that ends with it.
struct Ends {
    promotion: PromotionRecord,
    challenger: VersionRecord,
    gate: Option<GateRecord>,
}

fn commit_rollback(
    change: change::Change,
    ended: Option<PromotionId>,
    from: Option<VersionRef>,
) -> Result<Next<Rollback>, OpError> {
    let done = Rollback {
        epoch: change.head.epoch,
        ended,
        from,
        champion: change.head.champion().cloned(),
        champion_changed: change.entry.event == "rolled_back",
        seq: change.entry.seq,
    };
    Next::commit(change, done)
}
