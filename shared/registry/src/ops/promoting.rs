//! From a package to frozen evidence, and the attestation of an ended promotion.

use seatrial_domain::change::{self, Request};
use seatrial_domain::ids::Actor;
use seatrial_domain::line::Waiting;
use seatrial_domain::package::PackageSummary;
use seatrial_domain::promotion::{Automatic, EvidenceKind, EvidenceRef, PromotionRecord, PromotionStatus};
use seatrial_domain::submission::Submitter;
use seatrial_domain::version::VersionRecord;
use seatrial_domain::{Digest, ModelName, PromotionId, Refusal, Verdict, VersionName};

use super::{Missing, Next, Ops, Outcome, pinned_policy};
use crate::error::{OpError, StoreError};

impl Ops<'_> {
    /// Registers a package as the model's next version. The same bytes are the same version, however often; only those of a
    /// collected one are a new version.
    ///
    /// # Errors
    /// [`Refusal::Collecting`] while bytes of the model are deleted;
    /// [`OpError`] when the table fails or others keep changing the model.
    pub async fn register_version(
        &self,
        model: &ModelName,
        digest: &Digest,
        package: &PackageSummary,
        submitted_by: impl Into<Submitter<'_>> + Send,
    ) -> Result<Outcome<VersionRecord>, OpError> {
        let submitted_by = submitted_by.into();
        self.transact(model, Missing::Create, |head| {
            Box::pin(async move {
                let before = self.registry.version_by_digest(model, digest).await?;
                if let Some(known) = before.as_ref().filter(|known| known.loadable().is_ok()) {
                    return Ok(Next::Already(known.clone()));
                }
                let context = self.context(&head);
                let (digest, package) = (digest.clone(), package.clone());
                let change =
                    change::register_version(&context, digest, package, submitted_by, before.as_ref())?;
                let written = written_version(&change)?;
                Next::commit(change, written)
            })
        })
        .await
    }

    /// Lets a promotion take the model. When this very promotion has it already, that is the outcome.
    ///
    /// # Errors
    /// [`Refusal::Busy`] while another holds the model, [`Refusal::Superseded`] when this one has ended,
    /// [`Refusal::NotFound`] without such a version, [`Refusal::Invalid`] without a policy, and for a version without a name of its own
    /// at the policy's target.
    pub async fn start_promotion(
        &self,
        model: &ModelName,
        id: &PromotionId,
        version: VersionName,
        requested_by: &Actor,
        execution: Option<&str>,
    ) -> Result<Outcome<PromotionRecord>, OpError> {
        self.start_skipping(model, id, version, &Request::new(requested_by, execution)).await
    }

    /// The same, with stages that are skipped from the start in an emergency.
    ///
    /// # Errors
    /// As [`Ops::start_promotion`]; [`Refusal::Forbidden`] when whoever asked has no right to skip; [`Refusal::Superseded`] for one that
    /// stood in line and was taken out of it.
    pub async fn start_skipping(
        &self,
        model: &ModelName,
        id: &PromotionId,
        version: VersionName,
        request: &Request<'_>,
    ) -> Result<Outcome<PromotionRecord>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                if let Some(known) = self.registry.promotion(model, id).await? {
                    head.held_by(id, known.epoch)?;
                    if known.challenger.version != version {
                        let why =
                            format!("promotion {id} promotes {}, not {version}", known.challenger.version);
                        return Err(Refusal::Invalid { why }.into());
                    }
                    return Ok(Next::Already(known));
                }
                // package:  looks, and it waits ─────────────────► takes the model
                // withdraw:                writes head 8 without it ─┘
                if request.waited {
                    head.still_waits(id)?;
                }
                if head.policy.is_none() {
                    let why = format!(
                        "model {model} has no policy; set one with `seatrial policy set {model} FILE`"
                    );
                    return Err(Refusal::Invalid { why }.into());
                }
                let challenger = self.version(model, version).await?;
                let policy = self.live_policy(&head).await?;
                let serving = self.serving(&head).await?;
                let context = self.context(&head);
                commit_promotion(change::start_promotion(
                    &context,
                    id,
                    &challenger,
                    &policy,
                    &serving,
                    request,
                )?)
            })
        })
        .await
    }

    /// Lets a promotion stand in line for its model, where the policy in force allows it. One that stands there already keeps its place;
    /// of one whose turn it is meanwhile the answer is none.
    ///
    /// # Errors
    /// [`Refusal::Busy`] or [`Refusal::InLine`] where it may not wait; [`Refusal::Superseded`] for one that stood in line and was taken out
    /// of it.
    pub async fn wait_for_model(
        &self,
        model: &ModelName,
        id: &PromotionId,
        version: VersionName,
        request: &Request<'_>,
    ) -> Result<Outcome<Option<Waiting>>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                if request.waited {
                    head.still_waits(id)?;
                }
                if let Some(place) = head.place_of(id) {
                    return Ok(Next::Already(Some(head.waiting[place].clone())));
                }
                if head.free_for(Some(id), false).is_ok() {
                    return Ok(Next::Already(None));
                }
                let challenger = self.version(model, version).await?;
                let policy = self.live_policy(&head).await?;
                let context = self.context(&head);
                let Request { by, execution, .. } = *request;
                let change = change::wait_for_model(&context, id, &challenger, &policy, by, execution)?;
                let joined = change.head.waiting.last().cloned();
                Next::commit(change, joined)
            })
        })
        .await
    }

    /// Takes a promotion out of the line. One that does not stand there leaves nothing to do.
    ///
    /// # Errors
    /// [`OpError`] when the table fails or others keep changing the model.
    pub async fn leave_line(
        &self,
        model: &ModelName,
        id: &PromotionId,
        reason: &str,
    ) -> Result<Outcome<()>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                if head.place_of(id).is_none() {
                    return Ok(Next::Already(()));
                }
                let change = change::leave_line(&self.context(&head), id, reason)?;
                Next::commit(change, ())
            })
        })
        .await
    }

    /// Records an evidence object of the running promotion. Where another one is recorded that [stays](EvidenceKind::stays), the outcome
    /// is the record with that one.
    ///
    /// # Errors
    /// [`Refusal::Superseded`] when the promotion no longer holds the model at `epoch`.
    pub async fn record_evidence(
        &self,
        model: &ModelName,
        promotion: &PromotionId,
        epoch: u64,
        kind: EvidenceKind,
        object: &EvidenceRef,
        verdict: Option<Verdict>,
    ) -> Result<Outcome<PromotionRecord>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.holding(&head, promotion, epoch).await?;
                let judged = kind != EvidenceKind::Report || record.verdict == verdict;
                let found = record.evidence.get(&kind);
                // one:   reads that none is recorded ─► records its own ─► the report is made of it
                // other: reads that none is recorded, and was given up meanwhile ──────────────────► its own comes too late
                if found.is_some_and(|found| kind.stays() || (found == object && judged)) {
                    return Ok(Next::Already(record));
                }
                let version = self.version(model, record.challenger.version).await?;
                let context = self.context(&head);
                commit_promotion(change::record_evidence(
                    &context,
                    &record,
                    &version,
                    kind,
                    object.clone(),
                    verdict,
                )?)
            })
        })
        .await
    }

    /// Records the comparison report, and whether it allows an approval that comes by itself.
    ///
    /// # Errors
    /// [`Refusal::Superseded`] when the promotion no longer holds the model at `epoch`.
    pub async fn record_report(
        &self,
        held: (&ModelName, &PromotionId, u64),
        object: &EvidenceRef,
        verdict: Verdict,
        automatic: Option<&Automatic>,
    ) -> Result<Outcome<PromotionRecord>, OpError> {
        let (model, promotion, epoch) = held;
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.holding(&head, promotion, epoch).await?;
                let same = record.evidence.get(&EvidenceKind::Report) == Some(object)
                    && record.verdict == Some(verdict)
                    && record.automatic.as_ref() == automatic;
                if same {
                    return Ok(Next::Already(record));
                }
                let version = self.version(model, record.challenger.version).await?;
                let context = self.context(&head);
                let automatic = automatic.cloned();
                commit_promotion(change::record_report(
                    &context,
                    &record,
                    &version,
                    object.clone(),
                    verdict,
                    automatic,
                )?)
            })
        })
        .await
    }

    /// Opens the shadow at the rates of the pinned policy.
    ///
    /// # Errors
    /// [`Refusal::Superseded`] when the promotion no longer holds the model at `epoch`.
    pub async fn open_shadow(
        &self,
        model: &ModelName,
        promotion: &PromotionId,
        epoch: u64,
    ) -> Result<Outcome<PromotionRecord>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.holding(&head, promotion, epoch).await?;
                if record.shadow.is_some() {
                    return Ok(Next::Already(record));
                }
                let version = self.version(model, record.challenger.version).await?;
                let policy = pinned_policy(self.registry, &record).await?.policy;
                let (rows, shadow) = (policy.row_share(), policy.shadow_share());
                commit_promotion(change::open_shadow(&self.context(&head), &record, &version, rows, shadow)?)
            })
        })
        .await
    }

    /// Ends the shadow's sampling.
    ///
    /// # Errors
    /// [`Refusal::Superseded`] when the promotion no longer holds the model at `epoch`; [`Refusal::Invalid`] when it has
    /// no shadow.
    pub async fn close_shadow(
        &self,
        model: &ModelName,
        promotion: &PromotionId,
        epoch: u64,
        stopped_early: bool,
    ) -> Result<Outcome<PromotionRecord>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.holding(&head, promotion, epoch).await?;
                if record.shadow.as_ref().is_some_and(|s| s.closed_at.is_some()) {
                    return Ok(Next::Already(record));
                }
                let version = self.version(model, record.challenger.version).await?;
                commit_promotion(change::close_shadow(
                    &self.context(&head),
                    &record,
                    &version,
                    stopped_early,
                )?)
            })
        })
        .await
    }

    /// Records the manifest of an ended promotion. The first one stays.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] while the promotion runs.
    pub async fn attested(
        &self,
        model: &ModelName,
        promotion: &PromotionId,
        manifest: &EvidenceRef,
        document: &EvidenceRef,
    ) -> Result<Outcome<PromotionRecord>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.promotion(model, promotion).await?;
                if record.attested && record.status != PromotionStatus::Running {
                    return Ok(Next::Already(record));
                }
                commit_promotion(change::attested(
                    &self.context(&head),
                    &record,
                    manifest.clone(),
                    document.clone(),
                )?)
            })
        })
        .await
    }
}

/// Commits a change whose outcome is its promotion's record.
pub(super) fn commit_promotion(change: change::Change) -> Result<Next<PromotionRecord>, OpError> {
    match change.promotion.clone() {
        Some(after) => Next::commit(change, after),
        None => Err(missing_record(&change, "a promotion")),
    }
}

/// The first version a change writes.
pub(super) fn written_version(change: &change::Change) -> Result<VersionRecord, OpError> {
    change.versions.first().cloned().ok_or_else(|| missing_record(change, "a version"))
}

/// A change without the record that its event always writes.
pub(super) fn missing_record(change: &change::Change, what: &str) -> OpError {
    let item = format!("change {} of model {}", change.entry.event, change.head.model);
    StoreError::Corrupt { item, expected: what.to_owned(), source: None }.into()
}
