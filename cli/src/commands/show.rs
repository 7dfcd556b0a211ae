//! The commands that only look.

use seatrial_domain::ModelName;
use seatrial_domain::target::Standing;
use seatrial_evidence::report::ComparisonReport;
use serde_json::Value;

use super::Session;
use crate::failure::Failure;
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
            ("traffic", traffic(v)),
            ("rollback takes", text(v, "/traffic/rollback_takes")),
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

/// Who splits the traffic and how that stands to the route. A registry of an earlier release does not say.
fn traffic(view: &Value) -> String {
    let Some(standing) = view.get("traffic").and_then(|t| serde_json::from_value::<Standing>(t.clone()).ok())
    else {
        return String::new();
    };
    let now = jiff::Timestamp::now();
    let mut said = standing.sentence(now);
    if let Some(took) = standing.took_ms {
        said.push_str(&format!("; the last change took {} s", output::short(took as f64 / 1_000.0)));
    }
    if let Some(other) = &standing.put_right {
        said.push_str(&format!("; at {} somebody else had changed it ({})", other.at, other.found));
    }
    said
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
