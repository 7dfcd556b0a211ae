//! Gates: who waits for whom, and deciding.

use clap::Subcommand;
use seatrial_domain::{GateId, ModelName};
use serde_json::{Value, json};

use super::Session;
use crate::failure::Failure;
use crate::output::{self, text};

/// What to do with gates.
#[derive(Debug, Subcommand)]
pub enum Approvals {
    /// List gates.
    List {
        /// Only those of this model.
        #[arg(long)]
        model: Option<ModelName>,
        /// pending, approved, rejected, expired or cancelled.
        #[arg(long, default_value = "pending")]
        status: String,
    },
    /// Show one gate and what a decision on it binds.
    Show {
        /// The gate.
        gate: GateId,
    },
    /// Approve.
    Approve {
        /// The gate.
        gate: GateId,
        /// Why, in a sentence; kept with the decision.
        #[arg(long)]
        comment: String,
    },
    /// Reject.
    Reject {
        /// The gate.
        gate: GateId,
        /// Why, in a sentence; kept with the decision.
        #[arg(long)]
        comment: String,
    },
    /// Block an approval that would come by itself; the gate then waits for people.
    Block {
        /// The gate.
        gate: GateId,
        /// Why, in a sentence; kept with the gate.
        #[arg(long)]
        comment: String,
    },
}

/// Runs the command.
pub(crate) async fn run(session: &Session, command: Approvals) -> Result<(), Failure> {
    let api = session.approvals().await?;
    match command {
        Approvals::List { model, status } => {
            let mut path = format!("/api/v1/approvals?status={status}");
            if let Some(model) = model {
                path.push_str(&format!("&model={model}"));
            }
            let answer: Value = api.get(&path).await?;
            output::print(session.format, &answer, |a| {
                let list =
                    a.get("approvals").or(Some(a)).and_then(Value::as_array).cloned().unwrap_or_default();
                if list.is_empty() {
                    return format!("no gate is {status}");
                }
                output::table(
                    ["gate", "model", "version", "verdict", "status", "opened", "expires"],
                    list.iter().map(|g| {
                        [
                            id(g),
                            text(g, "/model"),
                            text(g, "/challenger/version"),
                            text(g, "/verdict"),
                            text(g, "/status"),
                            text(g, "/opened_at"),
                            text(g, "/expires_at"),
                        ]
                    }),
                )
            })
        }
        Approvals::Show { gate } => {
            let answer: Value = api.get(&format!("/api/v1/approvals/{gate}")).await?;
            output::print(session.format, &answer, |a| {
                show(a.get("gate").filter(|g| g.is_object()).unwrap_or(a))
            })
        }
        Approvals::Approve { gate, comment } => decide(session, &gate, "approve", &comment).await,
        Approvals::Reject { gate, comment } => decide(session, &gate, "reject", &comment).await,
        Approvals::Block { gate, comment } => decide(session, &gate, "block", &comment).await,
    }
}

fn id(gate: &Value) -> String {
    gate.get("id").or_else(|| gate.get("gate")).and_then(Value::as_str).unwrap_or("-").to_owned()
}

fn show(gate: &Value) -> String {
    output::facts([
        ("gate", id(gate)),
        ("model", text(gate, "/model")),
        ("challenger", text(gate, "/challenger/version")),
        ("champion", text(gate, "/champion/version")),
        ("verdict", text(gate, "/verdict")),
        ("status", text(gate, "/status")),
        ("opened", text(gate, "/opened_at")),
        ("expires", text(gate, "/expires_at")),
        ("submitted by", text(gate, "/submitted_by")),
        ("package", text(gate, "/bound/package")),
        ("report", text(gate, "/bound/report")),
        ("benchmark", text(gate, "/bound/benchmark")),
        ("policy", text(gate, "/bound/policy")),
        ("report shown by", format!("seatrial compare {}", text(gate, "/model"))),
    ])
}

async fn decide(session: &Session, gate: &GateId, verb: &str, comment: &str) -> Result<(), Failure> {
    let path = format!("/api/v1/approvals/{gate}/{verb}");
    let answer: Value = session.approvals().await?.post(&path, &json!({ "comment": comment })).await?;
    output::print(session.format, &answer, |a| {
        let gate = a.get("gate").filter(|g| g.is_object()).unwrap_or(a);
        format!("{}: {}", id(gate), text(gate, "/status"))
    })
}
