//! Adopting a version that already serves.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use seatrial_domain::ModelName;
use seatrial_domain::adoption::Adoption;
use seatrial_domain::ids::VersionName;
use serde_json::{Value, json};

use super::{Session, submit};
use crate::failure::{Failure, NOT_FOUND, REFUSED};
use crate::output::{self, text};

/// What is adopted, and why.
#[derive(Debug, clap::Args)]
pub struct Adopt {
    /// The model.
    model: ModelName,
    /// The folder of a submission, or a version that is packaged (`v1`; a folder of that name is `./v1`).
    what: String,
    /// Why it may go on serving without a trial, in a sentence; kept in the history and in the audit document.
    #[arg(long)]
    comment: String,
    /// Since when it has served, as you know it (for example 2026-05-04T00:00:00Z); kept as said.
    #[arg(long, value_name = "TIME")]
    serving_since: Option<Timestamp>,
}

/// Carries the command out.
pub(crate) async fn run(session: &Session, command: Adopt) -> Result<(), Failure> {
    let Adopt { model, what, comment, serving_since } = command;
    let adoption = Adoption { comment, serving_since };
    // What the service would refuse as well, before anything is uploaded.
    let adoption = adoption.checked(Timestamp::now()).map_err(|e| Failure::invalid(e.to_string()))?;
    let record = match what.parse::<VersionName>() {
        Ok(version) => packaged(session, &model, version, &adoption).await?,
        Err(_) => folder(session, &model, &PathBuf::from(what), &adoption).await?,
    };
    output::print(session.format, &record, |r| {
        let mut facts = output::facts([
            ("champion", text(r, "/challenger/version")),
            ("digest", text(r, "/challenger/digest")),
            ("adopted by", text(r, "/requested_by/principal")),
            ("comment", text(r, "/adoption/comment")),
            ("record", text(r, "/id")),
        ]);
        facts.push_str("\nIt was not compared with anything, and no traffic was moved. The next version is tried against it.\n");
        facts
    })
}

async fn packaged(
    session: &Session,
    model: &ModelName,
    version: VersionName,
    adoption: &Adoption,
) -> Result<Value, Failure> {
    let path = format!("/v1/models/{model}/versions/{version}/adopt");
    session.control().await?.post(&path, &json!(adoption)).await
}

/// Uploads a submission that is announced to be adopted, and waits until it is.
async fn folder(
    session: &Session,
    model: &ModelName,
    folder: &Path,
    adoption: &Adoption,
) -> Result<Value, Failure> {
    let control = session.control().await?;
    let view: Option<Value> = match control.get(&format!("/v1/models/{model}")).await {
        Ok(view) => Some(view),
        Err(e) if e.exit == NOT_FOUND => None,
        Err(e) => return Err(e),
    };
    let (inspected, digest) = submit::sound(session, folder, model).await?;
    let champion = view.as_ref().and_then(|v| v.pointer("/head/route/champion")).filter(|c| c.is_object());
    if let Some(champion) = champion {
        let version = text(champion, "/version");
        if let (Ok(version), true) = (version.parse(), text(champion, "/digest") == digest.as_str()) {
            return packaged(session, model, version, adoption).await;
        }
        // The service refuses it too, but only when all is uploaded.
        let said = format!(
            "model {model} has the champion {version}; only a model without one adopts. `seatrial package {} --model {model}` tries \
             this one against it",
            folder.display()
        );
        return Err(Failure::new(REFUSED, "has_champion", said));
    }
    let uploaded = submit::upload(session, folder, model, &inspected, Some(adoption)).await?;
    let path = format!("/v1/models/{model}/submissions/{}", uploaded.id);
    let started = Instant::now();
    while started.elapsed() < submit::WAIT {
        let became = submit::tolerant(control.get::<Value>(&path).await)?.unwrap_or_default();
        match became.get("state").and_then(Value::as_str) {
            Some("adopted") => {
                let promotion = text(&became, "/promotion");
                return control.get(&format!("/v1/models/{model}/promotions/{promotion}")).await;
            }
            Some("refused") => {
                let said =
                    format!("{}: {}", text(&became, "/refusal/code"), text(&became, "/refusal/detail"));
                return Err(Failure::new(REFUSED, "adoption_refused", said));
            }
            Some("promoted") => {
                let said = format!(
                    "the deployment promotes {} instead of adopting it: it is of an earlier release. `seatrial rollback {model}` ends \
                     that promotion; update the stack, and submit again",
                    text(&became, "/version")
                );
                return Err(Failure::unexpected(said));
            }
            _ => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
    Err(Failure::unavailable(format!(
        "the submission {} was uploaded, but is not adopted after {} s; `seatrial status {model}` tells when it is",
        uploaded.submission.prefix,
        submit::WAIT.as_secs()
    )))
}
