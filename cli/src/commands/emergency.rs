//! Skipping stages when waiting would be worse.

use clap::{Subcommand, ValueEnum};
use seatrial_domain::ModelName;
use seatrial_domain::ids::VersionName;
use serde_json::{Value, json};

use super::Session;
use super::promote::{self, Promotion};
use crate::failure::Failure;
use crate::output::{self, text};

/// What can be skipped. The offline evaluation and a failing verdict cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// The shadow: the comparison decides on what there is.
    Shadow,
    /// The approval by people.
    Approval,
    /// The steps of the canary: the challenger gets everything at once.
    Canary,
}

impl Stage {
    const fn word(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Approval => "approval",
            Self::Canary => "canary",
        }
    }
}

/// What to do in an emergency.
#[derive(Debug, Subcommand)]
pub enum Emergency {
    /// Skip a stage of the promotion that runs.
    #[command(
        after_help = "Example:\n  seatrial emergency skip credit-risk approval --reason \"v6 leaks card numbers; v7 fixes it\""
    )]
    Skip {
        /// The model.
        model: ModelName,
        /// The stage.
        stage: Stage,
        /// Why, in a sentence; kept in the history, told to everybody, shown on every page and report.
        #[arg(long)]
        reason: String,
    },
    /// Promote a packaged version without some of the stages.
    #[command(
        after_help = "Example:\n  seatrial emergency promote credit-risk v7 --skip shadow --skip approval --reason \"…\" --wait"
    )]
    Promote {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionName,
        /// A stage to skip; may be given more than once.
        #[arg(long, required = true)]
        skip: Vec<Stage>,
        /// Why, in a sentence; kept in the history, told to everybody, shown on every page and report.
        #[arg(long)]
        reason: String,
        /// Wait until it ended; exits with 8 when it was not crowned.
        #[arg(long)]
        wait: bool,
    },
}

/// Runs the command.
pub(crate) async fn run(session: &Session, command: Emergency) -> Result<(), Failure> {
    match command {
        Emergency::Skip { model, stage, reason } => {
            let body = json!({ "stage": stage.word(), "reason": reason });
            let record: Value =
                session.control().await?.post(&format!("/v1/models/{model}/emergency"), &body).await?;
            output::print(session.format, &record, |r| {
                format!(
                    "the {} of promotion {} is skipped; that is recorded, told to everybody and shown on every page",
                    stage.word(),
                    text(r, "/id")
                )
            })
        }
        Emergency::Promote { model, version, skip, reason, wait } => {
            let skip: Vec<&str> = skip.into_iter().map(Stage::word).collect();
            let emergency = json!({ "skip": skip, "reason": reason });
            promote::promote(session, &Promotion { model, version, emergency: Some(emergency), wait }).await
        }
    }
}
