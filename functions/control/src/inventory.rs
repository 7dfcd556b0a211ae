//! The inventory of all models, and the card of one version.

use axum::Json;
use axum::extract::{Path, Query, State};
use seatrial_domain::ModelName;
use seatrial_domain::gate::GateKind;
use seatrial_domain::history::HistoryEntry;
use seatrial_domain::ids::{GateId, VersionName};
use seatrial_domain::inventory::{Line, Records, lines};
use seatrial_runtime::Failure;
use seatrial_runtime::problem::Problem;
use serde::{Deserialize, Serialize};

use crate::{Caller, Control, model_of};

/// Models on a page: each costs a few reads and its whole history.
const MODELS: usize = 20;
/// Entries of a history that are read at once.
const ENTRIES: u32 = 500;

#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    /// The last model of the page before.
    after: Option<String>,
    limit: Option<usize>,
}

/// A page of the inventory.
#[derive(Debug, Serialize)]
pub(crate) struct InventoryPage {
    /// When it was made.
    at: jiff::Timestamp,
    lines: Vec<Line>,
    /// What `after` is to be for the next page; none after the last.
    next: Option<ModelName>,
}

/// A line for each version of each model, by model.
pub(crate) async fn inventory(
    State(control): State<Control>,
    _: Caller,
    Query(page): Query<Page>,
) -> Result<Json<InventoryPage>, Problem> {
    let after = page.after.as_deref().map(model_of).transpose()?;
    let limit = page.limit.unwrap_or(MODELS).clamp(1, 100);
    let at = (control.clock)();
    let all = control.registry.models().await.map_err(Failure::from)?;
    let mut rest = all.into_iter().filter(|m| after.as_ref().is_none_or(|a| m > a));
    let models: Vec<ModelName> = rest.by_ref().take(limit).collect();
    let next = rest.next().and_then(|_| models.last().cloned());
    let mut found = Vec::new();
    for model in &models {
        found.extend(of_model(&control, model, at).await?);
    }
    Ok(Json(InventoryPage { at, lines: found, next }))
}

async fn of_model(control: &Control, model: &ModelName, at: jiff::Timestamp) -> Result<Vec<Line>, Failure> {
    let registry = control.registry.as_ref();
    // A model is never deleted; one that is listed and not there is being made.
    let Some(head) = registry.head(model).await? else { return Ok(Vec::new()) };
    let policy = match &head.policy {
        Some(reference) => registry.policy(model, reference.number).await?,
        None => None,
    };
    let versions = registry.versions(model).await?;
    let promotions = registry.promotions(model).await?;
    let mut gates = Vec::new();
    for promotion in versions.iter().filter_map(|v| v.promotion.as_ref()) {
        gates.extend(registry.gate(&GateId::derive(promotion, GateKind::Approval.as_str(), 1)).await?);
    }
    let mut history: Vec<HistoryEntry> = Vec::new();
    loop {
        let entries = registry.history(model, history.last().map_or(0, |e| e.seq), ENTRIES).await?;
        if entries.is_empty() {
            break;
        }
        history.extend(entries);
    }
    let records = Records {
        head: &head,
        policy: policy.as_ref(),
        versions: &versions,
        promotions: &promotions,
        gates: &gates,
        history: &history,
    };
    Ok(lines(&records, at))
}

/// A version's model card.
#[derive(Debug, Serialize)]
pub(crate) struct CardAnswer {
    model: ModelName,
    version: VersionName,
    markdown: String,
}

pub(crate) async fn card(
    State(control): State<Control>,
    _: Caller,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<CardAnswer>, Problem> {
    let model = model_of(&model)?;
    let version: VersionName =
        version.parse().map_err(|e: seatrial_domain::ids::InvalidId| Problem::bad_request(e.to_string()))?;
    let record = control.registry.version(&model, version).await.map_err(Failure::from)?;
    let record = record.ok_or_else(|| Problem::not_found(&format!("version {version} of model {model}")))?;
    // A card quotes files of the package.
    record.loadable()?;
    let (models, evidence) = (control.models.as_ref(), control.evidence.as_ref());
    let markdown = fn_attest::card::of_version(control.registry.as_ref(), models, evidence, &record).await?;
    Ok(Json(CardAnswer { model, version, markdown }))
}
