//! Shadows: a promotion's first stage with live requests. No caller sees its answers.

use clap::Subcommand;
use seatrial_domain::ModelName;
use seatrial_domain::ids::VersionName;
use serde_json::{Value, json};

use super::{Session, promote};
use crate::failure::Failure;
use crate::output::{self, number, text};

/// What to do with a shadow.
#[derive(Debug, Subcommand)]
pub enum Shadow {
    /// Start the promotion of a packaged version: its shadow opens after the benchmark, and nothing goes further without
    /// an approval.
    Start {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionName,
    },
    /// Show what the shadow has seen, and what it still needs.
    Status {
        /// The model.
        model: ModelName,
    },
    /// End the shadow early; what it has seen goes to the comparison.
    Stop {
        /// The model.
        model: ModelName,
        /// Why, in a sentence; kept in the record.
        #[arg(long)]
        reason: String,
    },
}

/// Runs the command.
pub(crate) async fn run(session: &Session, command: Shadow) -> Result<(), Failure> {
    match command {
        Shadow::Start { model, version } => {
            let promotion = promote::Promotion { model, version, emergency: None, wait: false };
            promote::promote(session, &promotion).await
        }
        Shadow::Status { model } => {
            let progress: Value = session.control().await?.get(&format!("/v1/models/{model}/shadow")).await?;
            output::print(session.format, &progress, |p| {
                output::facts([
                    ("promotion", text(p, "/promotion")),
                    ("challenger", text(p, "/challenger")),
                    ("opened", text(p, "/opened_at")),
                    ("closed", p.get("closed_at").and_then(Value::as_str).unwrap_or_default().to_owned()),
                    ("pairs", format!("{} of {} needed", text(p, "/pairs"), text(p, "/needed_pairs"))),
                    ("agreement", number(p, "/agreement")),
                    ("challenger errors", text(p, "/challenger_errors")),
                    ("state", text(p, "/state")),
                    ("why", text(p, "/why")),
                ])
            })
        }
        Shadow::Stop { model, reason } => {
            let path = format!("/v1/models/{model}/shadow/stop");
            let gate: Value = session.control().await?.post(&path, &json!({ "reason": reason })).await?;
            output::print(session.format, &gate, |_| {
                "the shadow ends; its evidence goes to the comparison".into()
            })
        }
    }
}
