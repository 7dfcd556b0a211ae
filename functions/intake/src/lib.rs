//! Turns an event into a started promotion, once.
//!
//! The promotion's name is made from what is to be promoted, in the state it is in, and the execution has the promotion's name.
//! An event that comes twice, or two kinds of event about the same artifact, name the same execution, and Step Functions starts
//! a name once.

mod cause;
mod event;
mod starter;

use seatrial_artifacts::Buckets;
use seatrial_domain::ids::SubmissionId;
use seatrial_domain::submission::Announced;
use seatrial_domain::task::PromotionInput;
use seatrial_domain::{ModelName, PromotionId};
use seatrial_registry::{Registry, Submissions};
use seatrial_runtime::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use cause::Execution;
use event::stack_of;

pub use event::{Asked, Places, What, read};
pub use starter::{Starter, StepFunctions, same_request};

/// What `intake` needs of the registry: its records, and who announced a submission.
pub trait IntakeRegistry: Registry + Submissions {}
impl<R: Registry + Submissions> IntakeRegistry for R {}

/// What came of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The promotion it names; nothing for an event that asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<PromotionId>,
    /// Whether its execution was started: by this call, or by the very same event while it still runs, which Step Functions
    /// answers like the first.
    pub started: bool,
}

/// Handles one event of the bus, as the deployment with the name `stack`. All deployments of the account and region hear it: one
/// that names another deployment asks for nothing here, and what it says is not looked at, for it may be in a form of a later
/// release. The rule lets no such request through; a rule may be replaced, and that for training knows no tags.
///
/// # Errors
/// As [`handle`].
pub async fn hear(
    stack: &str,
    registry: &dyn IntakeRegistry,
    starter: &dyn Starter,
    buckets: &dyn Buckets,
    places: Places<'_>,
    event: Value,
) -> Result<Taken, Failure> {
    if let Some(named) = stack_of(&event).filter(|named| *named != stack) {
        tracing::info!(named, stack, "the event names another stack and asks for nothing here");
        return Ok(Taken { promotion: None, started: false });
    }
    handle(registry, starter, buckets, places, event).await
}

/// Handles one event that is for this deployment.
///
/// # Errors
/// `Invalid` for an event that asks for what cannot be done: it goes to the dead-letter queue, and trying it again does not
/// help. `Unavailable` where it does.
pub async fn handle(
    registry: &dyn IntakeRegistry,
    starter: &dyn Starter,
    buckets: &dyn Buckets,
    places: Places<'_>,
    event: Value,
) -> Result<Taken, Failure> {
    let Some(asked) = read(event, places)? else {
        tracing::info!("the event asks for nothing");
        return Ok(Taken { promotion: None, started: false });
    };
    needs_policy(registry, &asked.model).await?;
    let Execution { mut input, completed } = cause::execution(asked, buckets, places).await?;
    if let Some(announced) = announced(registry, &input, completed.as_deref()).await? {
        input.requested_by = announced.by;
    }
    let started = start(starter, &input).await?;
    tracing::info!(model = %input.model, promotion = %input.promotion, started, "a promotion was asked for");
    Ok(Taken { promotion: Some(input.promotion), started })
}

async fn start(starter: &dyn Starter, input: &PromotionInput) -> Result<bool, Failure> {
    let text =
        serde_json::to_string(input).map_err(|e| Failure::internal("writing the execution's input", e))?;
    starter.start(input.promotion.as_str(), &text).await
}

/// Who announced the submission that is complete now: completing it is what asks for its promotion. `package` refuses the
/// submission when it is not the announced one, before anything happens in their name. Whoever writes the same file once more
/// is not the announcer, so only the first promotion of a submission is theirs.
async fn announced(
    registry: &dyn IntakeRegistry,
    input: &PromotionInput,
    completed: Option<&str>,
) -> Result<Option<Announced>, Failure> {
    match completed.map(SubmissionId::parse) {
        Some(Ok(id)) => Ok(registry.take_announced(&input.model, &id, &input.promotion).await?),
        _ => Ok(None),
    }
}

async fn needs_policy(registry: &dyn IntakeRegistry, model: &ModelName) -> Result<(), Failure> {
    let head = registry.head(model).await?;
    if head.is_some_and(|h| h.policy.is_some()) {
        return Ok(());
    }
    Err(Failure::invalid(format!(
        "model {model} has no policy, so no promotion of it starts; set one with `seatrial policy set {model} FILE`, then submit again or replay the event (`seatrial events`)"
    )))
}
