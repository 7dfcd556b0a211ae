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
    Approve(Said),
    /// Reject.
    Reject(Said),
    /// Take back the links to a gate: what was sent so far opens and decides nothing any more.
    #[command(
        after_help = "Example:\n  seatrial approvals revoke-links ga_0123456789abcdef01234567 --approver ann@example.com"
    )]
    RevokeLinks {
        /// The gate.
        gate: GateId,
        /// Whose, by mail address [default: everybody's].
        #[arg(long, value_name = "EMAIL")]
        approver: Option<String>,
    },
    /// Take back the links to a gate and send new ones, each to its person's own address.
    Resend {
        /// The gate.
        gate: GateId,
        /// Whose, by mail address [default: everybody's].
        #[arg(long, value_name = "EMAIL")]
        approver: Option<String>,
    },
    /// Block an approval that would come by itself; the gate then waits for people.
    Block(Said),
}

/// What is said about a gate.
#[derive(Debug, clap::Args)]
pub struct Said {
    /// The gate.
    gate: GateId,
    /// Why, in a sentence; kept with the gate.
    #[arg(long)]
    comment: String,
    /// What you looked at, as `approvals show` prints it: if anything of it has changed, nothing is recorded.
    #[arg(long)]
    shown: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, command: Approvals) -> Result<(), Failure> {
    let api = session.approvals().await?;
    match command {
        Approvals::List { model, status } => {
            let mut path = format!("/approvals?status={status}");
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
            let answer: Value = api.get(&format!("/approvals/{gate}")).await?;
            output::print(session.format, &answer, |a| {
                show(a.get("gate").filter(|g| g.is_object()).unwrap_or(a))
            })
        }
        Approvals::Approve(said) => decide(session, "approve", &said).await,
        Approvals::Reject(said) => decide(session, "reject", &said).await,
        Approvals::Block(said) => decide(session, "block", &said).await,
        Approvals::RevokeLinks { gate, approver } => {
            links(session, &gate, approver.as_deref(), "revoke").await
        }
        Approvals::Resend { gate, approver } => links(session, &gate, approver.as_deref(), "renew").await,
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
        ("shown", text(gate, "/shown")),
        ("report shown by", format!("seatrial compare {}", text(gate, "/model"))),
    ])
}

async fn links(session: &Session, gate: &GateId, approver: Option<&str>, verb: &str) -> Result<(), Failure> {
    let path = format!("/v1/gates/{gate}/links/{verb}");
    let answer: Value = session.control().await?.post(&path, &json!({ "approver": approver })).await?;
    output::print(session.format, &answer, |a| {
        let whose = approver.map_or_else(|| "all links".to_owned(), |of| format!("the links of {of}"));
        let renewed = a.get("renew") == Some(&Value::Bool(true));
        let then = if renewed {
            "; new ones are sent within two minutes, where the deployment sends mail"
        } else {
            ""
        };
        format!("{whose} to {gate} are taken back{then}")
    })
}

async fn decide(session: &Session, verb: &str, said: &Said) -> Result<(), Failure> {
    let path = format!("/approvals/{}/{verb}", said.gate);
    let mut body = json!({ "comment": said.comment });
    if let Some(shown) = &said.shown {
        body["shown"] = json!(shown);
    }
    let answer: Value = session.approvals().await?.post(&path, &body).await?;
    output::print(session.format, &answer, |a| {
        let gate = a.get("gate").filter(|g| g.is_object()).unwrap_or(a);
        format!("{}: {}", id(gate), text(gate, "/status"))
    })
}
