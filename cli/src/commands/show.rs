//! The commands that only look.

use seatrial_domain::ModelName;
use seatrial_domain::history::{ChainTip, HistoryEntry, verify};
use seatrial_evidence::report::ComparisonReport;
use serde_json::{Value, json};

use super::Session;
use crate::failure::{Failure, REFUSED};
use crate::output::{self, number, text};

/// Lists the models.
pub(crate) async fn models(session: &Session) -> Result<(), Failure> {
    let models: Vec<Value> = session.control().await?.get("/v1/models").await?;
    output::print(session.format, &models, |models| {
        if models.is_empty() {
            return "no models yet: `seatrial policy set MODEL FILE` makes one".into();
        }
        output::table(
            ["model", "champion", "standby", "challenger", "weight", "stage"],
            models.iter().map(|m| {
                [
                    text(m, "/model"),
                    text(m, "/champion"),
                    text(m, "/standby"),
                    text(m, "/challenger"),
                    format!("{} %", number(m, "/weight_percent")),
                    text(m, "/stage"),
                ]
            }),
        )
    })
}

/// Shows how a model stands.
pub(crate) async fn status(session: &Session, model: &ModelName) -> Result<(), Failure> {
    let view: Value = session.control().await?.get(&format!("/v1/models/{model}")).await?;
    output::print(session.format, &view, |v| {
        let weight = v.pointer("/head/route/weight").and_then(Value::as_f64).unwrap_or(0.0) / 100.0;
        let share = |pointer: &str, share: f64| match v.pointer(pointer) {
            Some(Value::String(version)) => format!("{version} ({} %)", output::short(share)),
            _ => String::new(),
        };
        let mut out = output::facts([
            ("model", text(v, "/head/model")),
            ("champion", share("/head/route/champion/version", 100.0 - weight)),
            ("challenger", share("/head/route/challenger/version", weight)),
            ("standby", text(v, "/head/standby/version")),
            ("profile", v.get("profile").and_then(Value::as_str).unwrap_or_default().to_owned()),
            ("epoch", text(v, "/head/epoch")),
            ("promotion", format!("{} {}", text(v, "/promotion/id"), text(v, "/promotion/status"))),
            ("why", v.pointer("/promotion/reason").and_then(Value::as_str).unwrap_or_default().to_owned()),
            (
                "verdict",
                v.pointer("/promotion/verdict").and_then(Value::as_str).unwrap_or_default().to_owned(),
            ),
            ("next", text(v, "/next")),
        ]);
        for notice in v.get("notices").and_then(Value::as_array).into_iter().flatten() {
            out.push_str(&format!("\n{}\n", notice.as_str().unwrap_or_default()));
        }
        out.push('\n');
        let versions = v.get("versions").and_then(Value::as_array).cloned().unwrap_or_default();
        out.push_str(&output::table(
            ["version", "status", "digest", "submitted by", "registered"],
            versions.iter().map(|r| {
                let digest: String = text(r, "/digest").chars().skip("sha256:".len()).take(12).collect();
                [
                    text(r, "/version"),
                    text(r, "/status"),
                    digest,
                    text(r, "/submitted_by"),
                    text(r, "/created_at"),
                ]
            }),
        ));
        out
    })
}

/// Shows the history and checks the chain.
pub(crate) async fn history(session: &Session, model: &ModelName) -> Result<(), Failure> {
    let control = session.control().await?;
    let mut entries: Vec<HistoryEntry> = Vec::new();
    let chain: ChainTip = loop {
        let after = entries.last().map_or(0, |e| e.seq);
        let page: Value = control.get(&format!("/v1/models/{model}/history?after={after}&limit=500")).await?;
        let new: Vec<HistoryEntry> = field(&page, "entries")?;
        let chain: ChainTip = field(&page, "chain")?;
        let done = new.is_empty();
        entries.extend(new);
        if done || entries.last().is_some_and(|e| e.seq >= chain.seq) {
            break chain;
        }
    };
    let verified = verify(model, &entries, Some(&chain));
    let answer = json!({ "model": model, "entries": entries, "chain": chain, "verified": verified.is_ok() });
    output::print(session.format, &answer, |_| {
        let mut out = output::table(
            ["#", "at", "event", "version", "by", "what"],
            entries.iter().map(|e| {
                [
                    e.seq.to_string(),
                    e.at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
                    e.event.clone(),
                    e.version.map(|v| v.to_string()).unwrap_or_default(),
                    e.actor.principal.clone(),
                    what(e),
                ]
            }),
        );
        match &verified {
            Ok(()) => out.push_str(&format!(
                "\nthe chain of {} entries holds; it ends with {}\n",
                entries.len(),
                chain.hash
            )),
            Err(broken) => out.push_str(&format!("\nTHE CHAIN IS BROKEN: {broken}\n")),
        }
        out
    })?;
    verified.map_err(|broken| {
        Failure::new(REFUSED, "broken_chain", format!("the history of {model} does not hold: {broken}"))
    })
}

fn field<T: serde::de::DeserializeOwned>(page: &Value, name: &str) -> Result<T, Failure> {
    serde_json::from_value(page.get(name).cloned().unwrap_or(Value::Null))
        .map_err(|e| Failure::unexpected(format!("the API's `{name}` is not what this command reads: {e}")))
}

/// What an entry did, in a few words.
fn what(entry: &HistoryEntry) -> String {
    let d = &entry.details;
    let percent = |p: &str| {
        d.pointer(p)
            .and_then(Value::as_f64)
            .map_or_else(String::new, |b| format!("{} %", output::short(b / 100.0)))
    };
    match entry.event.as_str() {
        "weight_shifted" => format!("{} → {}", percent("/from"), percent("/to")),
        "rolled_back" => {
            format!("{} → {}: {}", text(d, "/from/version"), text(d, "/to/version"), text(d, "/reason"))
        }
        "canary_rolled_back" | "promotion_ended" | "version_retired" => text(d, "/reason"),
        "crowned" => format!("standby {}", text(d, "/standby/version")),
        "evidence_recorded" => {
            format!("{} {}", text(d, "/kind"), d.get("verdict").and_then(Value::as_str).unwrap_or_default())
        }
        "gate_decided" => {
            format!("{} {}: {}", text(d, "/kind"), text(d, "/status"), text(d, "/decision/comment"))
        }
        "gate_opened" | "gate_closed" => {
            format!("{} {}", text(d, "/kind"), d.get("status").and_then(Value::as_str).unwrap_or_default())
        }
        "gate_blocked" => format!("automatic approval: {}", text(d, "/comment")),
        "gate_reminded" => format!("ends at {}", text(d, "/ends_at")),
        "gate_links_revoked" => {
            let whose = d.get("of").and_then(Value::as_str).unwrap_or("everybody");
            let then = if d.get("renew") == Some(&Value::Bool(true)) { ", new ones asked for" } else { "" };
            format!("of {whose}{then}")
        }
        "gate_links_sent" => d.get("to").and_then(Value::as_array).map_or_else(String::new, |to| {
            format!("to {}", to.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
        }),
        "gate_orphaned" => text(d, "/why"),
        "emergency_bypass" => format!("skips the {}: {}", text(d, "/stage"), text(d, "/reason")),
        "policy_set" => format!("number {}", text(d, "/to/number")),
        "shadow_opened" => format!("sample {}", percent("/sample")),
        _ => String::new(),
    }
}

/// Shows the comparison report.
pub(crate) async fn compare(
    session: &Session,
    model: &ModelName,
    promotion: Option<&str>,
    now: bool,
) -> Result<(), Failure> {
    let promotion = promotion.unwrap_or("latest");
    let again = if now { "?now=true" } else { "" };
    let path = format!("/v1/models/{model}/promotions/{promotion}/report{again}");
    let report: Value = session.control().await?.get(&path).await?;
    output::print(session.format, &report, report_table)
}

fn report_table(report: &Value) -> String {
    let mut out = format!(
        "{} over {}: {}{}\n{}\n\n",
        text(report, "/challenger/version"),
        text(report, "/champion/version"),
        text(report, "/verdict").to_uppercase(),
        if report.get("interim") == Some(&Value::Bool(true)) { " (interim: it decides nothing)" } else { "" },
        text(report, "/why"),
    );
    let rows = report.get("rows").and_then(Value::as_array).cloned().unwrap_or_default();
    out.push_str(&output::table(
        [
            "evidence",
            "metric",
            "champion",
            "challenger",
            "delta",
            "interval",
            "margin",
            "n",
            "class",
            "verdict",
        ],
        rows.iter().map(|r| {
            let name = match r.get("segment").and_then(Value::as_str) {
                Some(segment) => format!("{} [{segment}]", text(r, "/name")),
                None => text(r, "/name"),
            };
            let interval = match (r.pointer("/interval/0"), r.pointer("/interval/1")) {
                (Some(_), Some(_)) => format!("[{}, {}]", number(r, "/interval/0"), number(r, "/interval/1")),
                _ => "-".into(),
            };
            [
                text(r, "/group"),
                name,
                number(r, "/champion"),
                number(r, "/challenger"),
                number(r, "/delta"),
                interval,
                text(r, "/margin"),
                text(r, "/n"),
                text(r, "/class"),
                text(r, "/verdict"),
            ]
        }),
    ));
    // A report of a later release that this command cannot read in full still has its table.
    if let Ok(report) = serde_json::from_value::<ComparisonReport>(report.clone()) {
        for remarks in seatrial_report::remarks(&report) {
            out.push_str(&format!("\n{}\n", remarks.heading));
            out.extend(remarks.sentences.iter().map(|s| format!("- {s}\n")));
        }
    }
    out
}
