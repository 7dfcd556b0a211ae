//! Starting a promotion, and waiting for its end.

use std::time::Duration;

use seatrial_domain::ModelName;
use seatrial_domain::ids::VersionName;
use serde_json::{Value, json};

use super::Session;
use crate::failure::{Failure, NOT_PROMOTED, UNAVAILABLE};
use crate::output::{self, Format, text};

/// What is promoted, and how.
pub(crate) struct Promotion {
    pub(crate) model: ModelName,
    pub(crate) version: VersionName,
    /// The stages to skip, and why.
    pub(crate) emergency: Option<Value>,
    /// Whether to wait until it ended.
    pub(crate) wait: bool,
}

/// Starts a promotion of a packaged version.
pub(crate) async fn promote(session: &Session, promotion: &Promotion) -> Result<(), Failure> {
    let Promotion { model, version, wait, .. } = promotion;
    let mut body = json!({ "version": version });
    if let Some(emergency) = &promotion.emergency {
        body["emergency"] = emergency.clone();
    }
    let control = session.control().await?;
    let started: Value = control.post(&format!("/v1/models/{model}/promotions"), &body).await?;
    let promotion = text(&started, "/promotion");
    if !*wait {
        return output::print(session.format, &started, |_| {
            format!("promotion {promotion} of {version} started: `seatrial status {model}`")
        });
    }
    let mut last = String::new();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let record: Value = match control.get(&format!("/v1/models/{model}/promotions/{promotion}")).await {
            Ok(record) => record,
            // The execution has not taken the model yet.
            Err(e) if e.exit == crate::failure::NOT_FOUND || e.exit == UNAVAILABLE => continue,
            Err(e) => return Err(e),
        };
        let status = text(&record, "/status");
        if status != "running" {
            output::print(session.format, &record, |r| format!("{status}: {}", text(r, "/reason")))?;
            return if status == "crowned" {
                Ok(())
            } else {
                Err(Failure::new(
                    NOT_PROMOTED,
                    &status,
                    format!("promotion {promotion} was {status}: {}", text(&record, "/reason")),
                ))
            };
        }
        let view: Value = control.get(&format!("/v1/models/{model}")).await?;
        let next = text(&view, "/next");
        if next != last && session.format == Format::Table {
            eprintln!("{next}");
            last = next;
        }
    }
}
