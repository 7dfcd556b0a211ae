//! Makes a version of a submission, or takes one that is there, and lets its promotion take the model; or adopts it, where a person
//! announced the submission for that.
//!
//! Every step is named by what it makes: blobs by their digests, the version and its signature by its digest, the promotion
//! by its id. So a task that is repeated finds what the first one did and gives the same answer.
//!
//! A version is signed before anybody knows it: nothing is registered, and no promotion begins, that could not be loaded.

mod adoption;
mod artifact;
mod line;
mod named;
mod refusal;
mod remote;

use line::Place;
use seatrial_artifacts::{
    Buckets, Defect, InspectError, Inspected, ObjectStore, Package, Prefix, PublishError, inspect_announced,
    name_version, publish, sign_stored_version, sign_version,
};
use seatrial_attestation::Signer;
use seatrial_domain::access::Action;
use seatrial_domain::artifact::{ArtifactRef, Readable};
use seatrial_domain::compliance::{self, Facts};
use seatrial_domain::ids::{Actor, SubmissionId, VersionRef};
use seatrial_domain::package::PackageSummary;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{PromotionStatus, Stage};
use seatrial_domain::refusal::Refusal;
use seatrial_domain::submission::{Announced, Submitter};
use seatrial_domain::task::{PackageTask, Packaged, PromotionInput, SCHEMA, SubmissionRef, Taken};
use seatrial_domain::{ModelName, VersionName};
use seatrial_inference::ModelConfig;
use seatrial_registry::ops::Ops;
use seatrial_registry::{Registry, Submissions};
use seatrial_remote::Network;
use seatrial_runtime::{Failure, label};

/// What `package` needs of the registry: its records, and who announced a submission.
pub trait PackageRegistry: Registry + Submissions {}
impl<R: Registry + Submissions> PackageRegistry for R {}

/// What `package` works with.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The registry.
    pub registry: &'a dyn PackageRegistry,
    /// The submissions bucket.
    pub submissions: &'a dyn ObjectStore,
    /// Buckets in which training leaves its artifacts.
    pub buckets: &'a dyn Buckets,
    /// Which artifacts may be read.
    pub readable: &'a Readable,
    /// The models bucket.
    pub models: &'a dyn ObjectStore,
    /// The evidence bucket, for what was refused and why.
    pub evidence: &'a dyn ObjectStore,
    /// The deployment's key.
    pub signer: &'a dyn Signer,
    /// What remote versions may reach.
    pub network: &'a Network,
}

impl std::fmt::Debug for Ports<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ports")
    }
}

/// Carries out one task.
///
/// # Errors
/// `InvalidSubmission` with every defect; `ModelBusy` while another promotion holds the model; `Superseded` when this one
/// has ended or was taken out of the line; `Invalid` for a model without a policy, an unknown version, a submission in a wrong place, or a version that lacks
/// what the policy's compliance profile asks for; `Internal` for a version whose signature does not hold.
pub async fn handle<C>(ports: &Ports<'_>, clock: C, task: PackageTask) -> Result<Packaged, Failure>
where
    C: Fn() -> jiff::Timestamp + Send + Sync,
{
    let PackageTask { input, execution, may_wait } = &task;
    if input.schema != SCHEMA {
        return Err(Failure::invalid(format!(
            "the task has schema {}; this function takes {SCHEMA}",
            input.schema
        )));
    }
    let ops = Ops::new(ports.registry, Actor::function("package"), &clock);
    let found = match ports.registry.promotion(&input.model, &input.promotion).await? {
        Some(known) if known.status == PromotionStatus::Adopted => {
            return Ok(Packaged::Taken(adoption::answer(&known)));
        }
        // The task is repeated: the promotion has begun, so its version is packaged.
        Some(known) => Found::to_promote(known.challenger.version),
        None => {
            let rules = needs_policy(ports.registry, &input.model).await?;
            sign_champion(ports, &input.model).await?;
            find_version(ports, &ops, input, &rules).await?
        }
    };
    let version = found.version;
    if let Some(announced) = &found.to_adopt {
        return adoption::adopt(ports, &clock, &task, version, announced).await.map(Packaged::Taken);
    }
    let place = Place { ports, ops: &ops, input, execution, version };
    if input.waited && place.gone().await? {
        return Err(place.withdrawn());
    }
    let answer = match place.start().await {
        Ok(held) => Ok(Packaged::Taken(Taken { held, adopted: false })),
        // An emergency waits for nobody: a rollback makes room at once.
        Err(failure) if failure.label == label::MODEL_BUSY && *may_wait && input.emergency.is_none() => {
            place.wait(clock(), failure).await.map(|line| Packaged::InLine(Box::new(line)))
        }
        Err(failure) => Err(failure),
    };
    match answer {
        Ok(answer) => Ok(answer),
        Err(failure) => Err(place.or_withdrawn(failure).await),
    }
}

/// A version that is there.
struct Found {
    version: VersionName,
    /// The announcement by which it is to be adopted; none where it is to be promoted.
    to_adopt: Option<Announced>,
}

impl Found {
    const fn to_promote(version: VersionName) -> Self {
        Self { version, to_adopt: None }
    }
}

/// What a promotion that starts now would be held to.
struct Rules {
    policy: Policy,
    benchmark: bool,
}

impl Rules {
    /// What the compliance profile asks for and the promotion of this package lacks.
    fn missing(&self, package: &PackageSummary, input: &PromotionInput) -> Vec<compliance::Missing> {
        let facts = Facts {
            policy: &self.policy,
            benchmark: self.benchmark,
            reference: Some(package.has_reference()),
            skips_approval: input.emergency.as_ref().is_some_and(|e| e.skip.contains(&Stage::Approval)),
        };
        compliance::missing(self.policy.profile.profile(), &facts)
    }
}

/// A missing item as a defect of the submission, so that it is written down with who submitted what and when.
fn as_defect(policy: &Policy, missing: compliance::Missing) -> Defect {
    let expected = format!("what the profile {} asks for by {}", policy.profile, missing.rule);
    Defect::new(missing.item.as_str(), missing.found, expected).fix(missing.fix)
}

/// A model that nobody made rules for takes no submission: nothing is written before that is known.
async fn needs_policy(registry: &dyn Registry, model: &ModelName) -> Result<Rules, Failure> {
    let head = registry.head(model).await?;
    let benchmark = head.as_ref().is_some_and(|head| head.benchmark.is_some());
    let policy = match head.and_then(|head| head.policy) {
        Some(reference) => registry.policy(model, reference.number).await?,
        None => None,
    };
    policy.map(|record| Rules { policy: record.policy, benchmark }).ok_or_else(|| Failure::invalid(format!(
        "model {model} has no policy, so nothing says how its versions are judged; set one with `seatrial policy set {model} FILE` and submit again"
    )))
}

/// A champion from before there were signatures is signed with the first promotion beside it: nothing could be compared
/// with it otherwise, and no data plane that starts could load it.
async fn sign_champion(ports: &Ports<'_>, model: &ModelName) -> Result<(), Failure> {
    match ports.registry.head(model).await?.and_then(|head| head.route.champion) {
        Some(champion) => sign_stored(ports, model, &champion).await,
        None => Ok(()),
    }
}

async fn sign_stored(ports: &Ports<'_>, model: &ModelName, version: &VersionRef) -> Result<(), Failure> {
    if sign_stored_version(ports.models, model, version, ports.signer).await? {
        tracing::info!(%model, version = %version.version, digest = %version.digest, "signed a version that had no signature");
    }
    Ok(())
}

/// A version answers what the policy says the model answers; with another task none of its rules could be applied.
fn other_task(config: &ModelConfig, policy: &Policy) -> Option<Defect> {
    let (found, wanted) = (config.task.as_str(), format!("{:?}", policy.task).to_lowercase());
    (found != wanted).then(|| {
        Defect::new(
            "config.yaml",
            format!("`{found}`"),
            format!("`{wanted}`, the task of the model's policy"),
        )
        .at("task")
        .fix("submit it to a model of its own, or set a policy for this task")
    })
}

async fn find_version(
    ports: &Ports<'_>,
    ops: &Ops<'_>,
    input: &PromotionInput,
    rules: &Rules,
) -> Result<Found, Failure> {
    match (&input.submission, &input.artifact, input.version) {
        (None, None, Some(version)) => {
            let found = ports.registry.version(&input.model, version).await?;
            let missing =
                || Refusal::NotFound { what: format!("version {version} of model {}", input.model) };
            let version = found.ok_or_else(missing)?;
            let missing = rules.missing(&version.package, input);
            if !missing.is_empty() {
                return Err(Refusal::ProfileUnmet { profile: rules.policy.profile, missing }.into());
            }
            version.loadable()?;
            sign_stored(ports, &input.model, &version.reference()).await?;
            Ok(Found::to_promote(version.version))
        }
        (Some(submission), None, None) => of_submission(ports, ops, input, submission, rules).await,
        (None, Some(artifact), None) => of_artifact(ports, ops, input, artifact, rules).await,
        (None, None, None) => Err(one_thing("nothing")),
        _ => Err(one_thing("more than one")),
    }
}

fn one_thing(found: &str) -> Failure {
    Failure::invalid(format!("the task must name one of submission, artifact and version; it names {found}"))
}

async fn of_submission(
    ports: &Ports<'_>,
    ops: &Ops<'_>,
    input: &PromotionInput,
    submission: &SubmissionRef,
    rules: &Rules,
) -> Result<Found, Failure> {
    let id = belongs(submission, &input.model, ports.submissions.bucket())?;
    let announced = announced(ports.registry, &input.model, id).await?;
    if let Some(defect) = announced.as_ref().and_then(|by| may_not(by, &rules.policy)) {
        return Err(refusal::refuse(ports.evidence, input, &[defect]).await?);
    }
    let source = Prefix::new(ports.submissions, submission.prefix.clone());
    let inspected = match inspect_announced(&source, &input.model, announced.as_ref(), &|_| {}).await {
        Ok(inspected) => inspected,
        Err(e) => return Err(not_inspected(ports, input, e).await),
    };
    // The announced bytes are the announcer's. What nobody announced is whose the event says: an account's.
    let submitter = announced.as_ref().map_or(&input.requested_by, |a| &a.by);
    let to_adopt = announced.clone().filter(|a| a.adoption.is_some());
    let asked = if to_adopt.is_some() { Asked::Adoption } else { Asked::Promotion };
    let version = package(ports, ops, input, &inspected, submitter.into(), rules, asked).await?;
    Ok(Found { version, to_adopt })
}

/// An archive of training is submitted by whose event told of it: an account, which is nobody in particular.
async fn of_artifact(
    ports: &Ports<'_>,
    ops: &Ops<'_>,
    input: &PromotionInput,
    artifact: &ArtifactRef,
    rules: &Rules,
) -> Result<Found, Failure> {
    let inspected = match artifact::inspect(ports, input, artifact).await? {
        Ok(inspected) => inspected,
        Err(e) => return Err(not_inspected(ports, input, e).await),
    };
    let submitter = Submitter::from(&input.requested_by).with_artifact(artifact);
    let asked = Asked::Promotion;
    Ok(Found::to_promote(package(ports, ops, input, &inspected, submitter, rules, asked).await?))
}

async fn not_inspected(ports: &Ports<'_>, input: &PromotionInput, error: InspectError) -> Failure {
    match error {
        InspectError::Refused(defects) => {
            refusal::refuse(ports.evidence, input, &defects).await.unwrap_or_else(|e| e)
        }
        InspectError::Store(e) => changed_or(e),
    }
}

/// What a submission is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Promotion,
    Adoption,
}

async fn package(
    ports: &Ports<'_>,
    ops: &Ops<'_>,
    input: &PromotionInput,
    inspected: &Inspected,
    submitter: Submitter<'_>,
    rules: &Rules,
    asked: Asked,
) -> Result<VersionName, Failure> {
    let policy = &rules.policy;
    if let Some(defect) = other_task(&inspected.config, policy) {
        return Err(refusal::refuse(ports.evidence, input, &[defect]).await?);
    }
    let mut package = inspected.package().map_err(|e| Failure::internal("writing the manifest", e))?;
    match remote::identity(ports.network, &input.model, &inspected.config).await? {
        Ok(found) => remote::noted(&mut package.summary, found),
        Err(defect) => return Err(refusal::refuse(ports.evidence, input, &[defect]).await?),
    }
    if let Some(defect) = named::defect(ports.registry, &input.model, &package, policy).await? {
        return Err(refusal::refuse(ports.evidence, input, &[defect]).await?);
    }
    // What a profile asks for, it asks of a promotion. What serves already is not made better by being kept out of the registry.
    let missing = match asked {
        Asked::Promotion => rules.missing(&package.summary, input),
        Asked::Adoption => Vec::new(),
    };
    if !missing.is_empty() {
        let defects: Vec<_> = missing.into_iter().map(|m| as_defect(policy, m)).collect();
        return Err(refusal::refuse(ports.evidence, input, &defects).await?);
    }
    store(ports, inspected, &package).await?;
    let registered = ops.register_version(&input.model, &package.digest, &package.summary, submitter).await?;
    let version = registered.value.version;
    // Another version that had some of these blobs may have been collected between the two. From here on nothing of this one is given
    // up, and what went before is stored again.
    store(ports, inspected, &package).await?;
    let size = package.manifest.len() as u64;
    name_version(ports.models, &input.model, &package.digest, size, version).await.map_err(not_published)?;
    tracing::info!(
        model = %input.model, %version, digest = %package.digest, size = package.summary.size, fresh = registered.fresh,
        "packaged"
    );
    Ok(version)
}

/// Stores and signs a package. Done again, it only looks whether everything is there.
async fn store(ports: &Ports<'_>, inspected: &Inspected, package: &Package) -> Result<(), Failure> {
    publish(inspected, package, ports.submissions, ports.models).await.map_err(not_published)?;
    let (model, files) = (&inspected.model, &package.summary.files);
    sign_version(ports.models, model, &package.digest, files, ports.signer).await?;
    Ok(())
}

/// Who announced the submission, if anybody did. A folder whose name could not be announced was not.
async fn announced(
    registry: &dyn PackageRegistry,
    model: &ModelName,
    id: &str,
) -> Result<Option<Announced>, Failure> {
    match SubmissionId::parse(id) {
        Ok(id) => Ok(registry.announced(model, &id).await?),
        Err(_) => Ok(None),
    }
}

/// Who may submit is evaluated live: whoever lost the role since the announcement submits nothing by it.
fn may_not(announced: &Announced, policy: &Policy) -> Option<Defect> {
    let refused = policy.access().may(Action::Promote, &announced.by.principal).err()?;
    let expected = "a submission announced by a submitter or an owner of the policy in force";
    Some(Defect::new("the submission", refused.to_string(), expected))
}

/// A submission lies in our own bucket, under its own model. The function's rights reach further than a task should. The
/// answer is its id.
fn belongs<'s>(submission: &'s SubmissionRef, model: &ModelName, bucket: &str) -> Result<&'s str, Failure> {
    let id = submission
        .prefix
        .strip_prefix(&format!("submissions/{model}/"))
        .and_then(|rest| rest.strip_suffix('/'))
        .filter(|id| !id.is_empty() && !id.contains('/') && submission.bucket == bucket);
    id.ok_or_else(|| Failure::invalid(format!(
        "the submission s3://{}/{} is not where submissions of {model} lie: expected s3://{bucket}/submissions/{model}/<id>/",
        submission.bucket, submission.prefix
    )))
}

fn changed_or(error: seatrial_artifacts::StoreError) -> Failure {
    match &error {
        seatrial_artifacts::StoreError::Changed { .. } => {
            Failure { label: label::INVALID_SUBMISSION, message: error.to_string(), source: None }
        }
        _ => error.into(),
    }
}

fn not_published(error: PublishError) -> Failure {
    match error {
        PublishError::Store(e) => changed_or(e),
        PublishError::Layout { .. } => Failure::internal(&format!("naming the version ({error})"), error),
    }
}
