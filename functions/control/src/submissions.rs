//! Announcing a submission: whoever submits says so before the upload, to an API that knows who they are. And what became of it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use seatrial_domain::access::Action;
use seatrial_domain::adoption::Adoption;
use seatrial_domain::ids::{Actor, SubmissionId, VersionName};
use seatrial_domain::promotion::PromotionStatus;
use seatrial_domain::submission::Announced;
use seatrial_domain::{Digest, ModelName, PromotionId};
use seatrial_runtime::Failure;
use seatrial_runtime::problem::Problem;
use serde::{Deserialize, Serialize};

use crate::change::parse;
use crate::starter::Execution;
use crate::{Caller, Control, model_of, no_model, people};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Announce {
    /// The name of the folder that will be uploaded.
    id: SubmissionId,
    /// The SHA-256 of the `submission.json` that will complete it.
    digest: Digest,
    /// That it serves already and is to be adopted, and why; left out where it is to be promoted.
    #[serde(default)]
    adopt: Option<Adoption>,
}

/// Keeps who submits which bytes. The first announcement of an id stays; the same by the same person is no second one.
pub(crate) async fn announce(
    State(control): State<Control>,
    Caller(actor): Caller,
    Path(model): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Announced>), Problem> {
    let model = model_of(&model)?;
    let form = r#"{"id": "…", "digest": "sha256:…"}, with the digest of submission.json"#;
    let Announce { id, digest, adopt } = parse(&body, form)?;
    let access = people::access(&control, &model).await?.ok_or_else(|| no_model(&model))?;
    access.may(Action::Promote, &actor.principal)?;
    let now = (control.clock)();
    let adopt = match adopt {
        // Whether they may, and whether the model has a champion then, is asked when the bytes are there.
        Some(adoption) => Some(adoption.checked(now)?),
        None => None,
    };
    let asked = Announced::new(model, id, digest, actor, now).to_adopt(adopt);
    let kept = control.registry.announce(&asked).await.map_err(Failure::from)?;
    kept.repeated_by(&asked, &access)?;
    tracing::info!(model = %kept.model, submission = %kept.id, by = kept.by.principal, "a submission was announced");
    let status = if kept == asked { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(kept)))
}

/// What became of a submission that was announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Became {
    /// The submission.
    id: SubmissionId,
    /// Who announced it.
    by: Actor,
    /// When.
    at: Timestamp,
    /// How far it is.
    state: Progress,
    /// The promotion that its completion asked for.
    promotion: Option<PromotionId>,
    /// The version it is, once its promotion holds the model.
    version: Option<VersionName>,
    /// Why no promotion of it runs.
    refusal: Option<Refused>,
}

/// How far a submission is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Progress {
    /// Its completing file has not come.
    Announced,
    /// It is complete, and is being checked and packaged.
    Packaging,
    /// It is a version, and its promotion waits for the model.
    Waiting,
    /// It is a version, and its promotion has begun.
    Promoted,
    /// It is a version, and was adopted as champion.
    Adopted,
    /// It began no promotion.
    Refused,
}

/// Why a submission began no promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Refused {
    /// A label that stays the same, for example `Seatrial.ModelBusy`.
    code: String,
    /// What is wrong, and what can be done.
    detail: String,
}

/// Tells how far a submission is.
pub(crate) async fn became(
    State(control): State<Control>,
    Path((model, id)): Path<(String, String)>,
) -> Result<Json<Became>, Problem> {
    let model = model_of(&model)?;
    let id = SubmissionId::parse(&id).map_err(|e| Problem::bad_request(e.to_string()))?;
    let announced = control.registry.announced(&model, &id).await.map_err(Failure::from)?;
    let Some(Announced { by, at, adoption, .. }) = announced else {
        return Err(Problem::not_found(&format!(
            "submission {id} of {model}; only announced ones are known here"
        )));
    };
    let mut promotion = control.registry.taken_by(&model, &id).await.map_err(Failure::from)?;
    if let (true, Some(taken)) = (adoption.is_some(), &promotion)
        && let Some(first) = adopted_before(&control, &model, taken).await?
    {
        promotion = Some(first);
    }
    let mut became =
        Became { id, by, at, state: Progress::Announced, promotion, version: None, refusal: None };
    if let Some(promotion) = &became.promotion {
        let record = control.registry.promotion(&model, promotion).await.map_err(Failure::from)?;
        let adopted = record.as_ref().is_some_and(|record| record.status == PromotionStatus::Adopted);
        became.version = record.map(|record| record.challenger.version);
        let head = control.registry.head(&model).await.map_err(Failure::from)?;
        let line = head.map(|head| head.waiting).unwrap_or_default();
        let waiting = line.into_iter().find(|w| w.promotion == *promotion);
        became.state = match &became.version {
            Some(_) if adopted => Progress::Adopted,
            Some(_) => Progress::Promoted,
            None if waiting.is_some() => {
                became.version = waiting.map(|w| w.challenger.version);
                Progress::Waiting
            }
            None => match control.starter.execution(promotion).await? {
                Execution::Failed { cause } => {
                    became.refusal = Some(refused(&cause));
                    Progress::Refused
                }
                _ => Progress::Packaging,
            },
        };
    }
    Ok(Json(became))
}

/// The adoption that an execution found done: the same files were adopted before, and their record has the first one's name.
async fn adopted_before(
    control: &Control,
    model: &ModelName,
    taken: &PromotionId,
) -> Result<Option<PromotionId>, Problem> {
    let registry = &control.registry;
    if registry.promotion(model, taken).await.map_err(Failure::from)?.is_some()
        || control.starter.execution(taken).await? != Execution::Succeeded
    {
        return Ok(None);
    }
    let all = registry.promotions(model).await.map_err(Failure::from)?;
    Ok(all.into_iter().find(|p| p.status == PromotionStatus::Adopted).map(|p| p.id))
}

/// Reads the cause of an execution that did not start a promotion: `Seatrial.ModelBusy: promotion … is running`.
fn refused(cause: &str) -> Refused {
    match cause.split_once(": ") {
        Some((code, detail)) if !code.contains(' ') => {
            Refused { code: code.to_owned(), detail: detail.to_owned() }
        }
        _ if cause.is_empty() => Refused {
            code: "Stopped".to_owned(),
            detail: "its execution was stopped before it had packaged anything; submit it again".to_owned(),
        },
        _ => Refused { code: "Failed".to_owned(), detail: cause.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_a_label_and_a_sentence() {
        let busy = refused("Seatrial.ModelBusy: promotion pr_1 of v2 is running: wait");
        assert_eq!(
            (&*busy.code, &*busy.detail),
            ("Seatrial.ModelBusy", "promotion pr_1 of v2 is running: wait")
        );
        assert_eq!(refused("something else: happened").code, "Failed");
        assert_eq!(refused("").code, "Stopped");
    }
}
