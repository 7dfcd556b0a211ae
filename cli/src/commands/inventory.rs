//! The inventory of all models, and the card of one version.

use std::path::Path;

use clap::ValueEnum;
use seatrial_domain::ModelName;
use seatrial_domain::ids::VersionName;
use seatrial_domain::inventory::{Approval, Line};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Session;
use crate::failure::Failure;
use crate::output::{self, Format, text};

/// How the inventory is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum As {
    /// Aligned columns, the most important ones.
    Table,
    /// One JSON document with everything.
    Json,
    /// Comma-separated values with everything (RFC 4180), safe to open in a spreadsheet.
    Csv,
    /// A document (PDF/A); needs --file.
    Pdf,
}

/// A page of the API's answer.
#[derive(Debug, Deserialize)]
struct Page {
    at: jiff::Timestamp,
    lines: Vec<Line>,
    next: Option<ModelName>,
}

/// Exports the inventory.
pub(crate) async fn inventory(
    session: &Session,
    format: Option<As>,
    file: Option<&Path>,
) -> Result<(), Failure> {
    if (format, file) == (Some(As::Pdf), None) {
        return Err(Failure::invalid("a PDF is no text for a terminal: name a file with --file FILE"));
    }
    let control = session.control().await?;
    let mut all: Vec<Line> = Vec::new();
    let mut after = String::new();
    let at = loop {
        let page: Page = control.get(&format!("/v1/inventory{after}")).await?;
        all.extend(page.lines);
        match page.next {
            Some(next) => after = format!("?after={next}"),
            None => break page.at,
        }
    };
    let chosen = format.unwrap_or(match session.format {
        Format::Table => As::Table,
        Format::Json => As::Json,
    });
    let bytes = match chosen {
        As::Csv => csv(&all)?.into_bytes(),
        As::Json => serde_json::to_vec_pretty(&json!({ "at": at, "versions": all }))
            .map_err(|e| Failure::unexpected(e.to_string()))?,
        As::Table => table(&all).into_bytes(),
        As::Pdf => seatrial_audit::inventory(at, &all).map_err(|e| Failure::unexpected(e.to_string()))?,
    };
    match file {
        None => output::print(Format::Table, &(), |()| String::from_utf8_lossy(&bytes).into_owned()),
        Some(file) => {
            std::fs::write(file, &bytes)
                .map_err(|e| Failure::invalid(format!("{} cannot be written: {e}", file.display())))?;
            let answer = json!({ "file": file, "versions": all.len(), "bytes": bytes.len() });
            output::print(session.format, &answer, |_| {
                format!("wrote {}: {} versions", file.display(), all.len())
            })
        }
    }
}

/// Prints a version's card.
pub(crate) async fn card(session: &Session, model: &ModelName, version: VersionName) -> Result<(), Failure> {
    let answer: Value =
        session.control().await?.get(&format!("/v1/models/{model}/versions/{version}/card")).await?;
    output::print(session.format, &answer, |a| text(a, "/markdown"))
}

fn table(lines: &[Line]) -> String {
    if lines.is_empty() {
        return "no versions yet: `seatrial package DIR --model MODEL` makes one".into();
    }
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    output::table(
        [
            "model",
            "version",
            "digest",
            "state",
            "owner",
            "risk",
            "profile",
            "review by",
            "verdict",
            "approved by",
            "policy",
        ],
        lines.iter().map(|l| {
            let review = l.review_by.map(|by| match l.review_overdue {
                Some(true) => format!("{by} OVERDUE"),
                _ => by.to_string(),
            });
            [
                l.model.to_string(),
                l.version.to_string(),
                l.digest.short().to_owned(),
                l.state.as_str().to_owned(),
                or_none(l.owner.as_deref().map(one_line)),
                or_none(l.risk.map(|r| r.as_str().to_owned())),
                or_none(l.profile.map(|p| p.to_string())),
                or_none(review),
                or_none(l.verdict.map(word)),
                or_none(approvers(&l.approved_by)),
                or_none(l.policy.map(|p| p.to_string())),
            ]
        }),
    )
}

/// A text in one line, without anything that could act on a terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The word that a value has in JSON.
fn word<T: serde::Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

fn approvers(all: &[Approval]) -> Option<String> {
    let said = |a: &Approval| {
        let lent = a.on_behalf_of.as_ref().map(|of| format!(" for {of}")).unwrap_or_default();
        let how = match (a.emergency, a.automatic) {
            (true, _) => " (emergency)",
            (_, true) => " (by itself)",
            _ => "",
        };
        format!("{}{lent}{how}", one_line(&a.by.principal))
    };
    (!all.is_empty()).then(|| all.iter().map(said).collect::<Vec<_>>().join(", "))
}

/// Every column in order, by its name in JSON but for what is a list or an object there.
const COLUMNS: [&str; 29] = [
    "model",
    "version",
    "digest",
    "state",
    "task",
    "owner",
    "purpose",
    "intended_use",
    "risk",
    "profile",
    "review_by",
    "review_overdue",
    "submitted_by",
    "registered_at",
    "crowned_at",
    "crowned_by",
    "serving_since",
    "promotion",
    "promotion_status",
    "verdict",
    "approved_by",
    "approved_at",
    "approved_auth",
    "policy",
    "policy_digest",
    "benchmark_digest",
    "benchmark_set_at",
    "benchmark_age_days",
    "signed",
];

/// The inventory as RFC 4180 has it.
fn csv(lines: &[Line]) -> Result<String, Failure> {
    let failed =
        |e: &dyn std::fmt::Display| Failure::unexpected(format!("the inventory has no CSV form: {e}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(|e| failed(&e))?;
    for line in lines {
        writer.write_record(cells(line).map(|cell| harmless(&cell))).map_err(|e| failed(&e))?;
    }
    let bytes = writer.into_inner().map_err(|e| failed(&e))?;
    String::from_utf8(bytes).map_err(|e| failed(&e))
}

fn cells(l: &Line) -> [String; COLUMNS.len()] {
    fn maybe<T: ToString>(value: Option<T>) -> String {
        value.map(|v| v.to_string()).unwrap_or_default()
    }
    let last = l.approved_by.last();
    [
        l.model.to_string(),
        l.version.to_string(),
        l.digest.to_string(),
        l.state.as_str().to_owned(),
        l.task.clone(),
        maybe(l.owner.as_ref()),
        maybe(l.purpose.as_ref()),
        maybe(l.intended_use.as_ref()),
        maybe(l.risk.map(|r| r.as_str())),
        maybe(l.profile),
        maybe(l.review_by),
        maybe(l.review_overdue),
        l.submitted_by.clone(),
        l.registered_at.to_string(),
        maybe(l.crowned_at),
        maybe(l.crowned_by.as_ref().map(|a| &a.principal)),
        maybe(l.serving_since),
        maybe(l.promotion.as_ref()),
        maybe(l.promotion_status.map(word)),
        maybe(l.verdict.map(word)),
        approvers(&l.approved_by).unwrap_or_default(),
        maybe(last.map(|a| a.at)),
        maybe(last.map(|a| a.by.auth.as_str())),
        maybe(l.policy),
        maybe(l.policy_digest.as_ref()),
        maybe(l.benchmark_digest.as_ref()),
        maybe(l.benchmark_set_at),
        maybe(l.benchmark_age_days),
        maybe(l.signed),
    ]
}

/// A cell that no spreadsheet takes for a formula: a quote stands before what would begin one.
fn harmless(cell: &str) -> String {
    let begins =
        |c: char| matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠');
    if cell.trim_start_matches(' ').starts_with(begins) { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn line(owner: &str) -> Line {
        serde_json::from_value(json!({
            "model": "credit-risk", "version": "v2", "digest": format!("sha256:{}", "7".repeat(64)), "state": "champion",
            "task": "binary", "owner": owner, "purpose": "Estimates default.", "intended_use": "Private customers, \"retail\".",
            "risk": "high", "profile": "rbi_free_ai", "review_by": "2026-11-01", "review_overdue": true,
            "submitted_by": "sue@example.com", "registered_at": "2026-11-20T08:00:00Z",
            "crowned_at": "2026-11-22T09:30:00Z", "crowned_by": { "principal": "function/crown", "auth": "system" },
            "serving_since": "2026-11-22T09:30:00Z", "promotion": format!("pr_{}", "0".repeat(24)),
            "promotion_status": "crowned", "verdict": "pass",
            "approved_by": [{ "by": { "principal": "ann@example.com", "auth": "oidc" }, "at": "2026-11-21T11:00:00Z", "on_behalf_of": "bob@example.com" }],
            "policy": 3, "policy_digest": format!("sha256:{}", "5".repeat(64)),
            "benchmark_digest": format!("sha256:{}", "b".repeat(64)), "benchmark_set_at": "2026-09-01T08:00:00Z",
            "benchmark_age_days": 88, "signed": null,
        }))
        .unwrap()
    }

    #[test]
    fn the_inventory_in_csv_is_read_back_cell_by_cell() {
        let made = csv(&[line("Credit risk"), line("two\nlines, one owner")]).unwrap();
        insta::assert_snapshot!(made);
        let mut reader = csv::Reader::from_reader(made.as_bytes());
        assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), COLUMNS);
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1].get(5), Some("two\nlines, one owner"));
        assert_eq!(rows[0].get(28), Some(""), "whether it is signed is not known");
    }

    #[test]
    fn the_inventory_as_a_table_marks_what_is_overdue() {
        let table = table(&[line("Credit risk")]);
        assert!(
            table.contains("2026-11-01 OVERDUE") && table.contains("ann@example.com for bob@example.com"),
            "{table}"
        );
        assert!(super::table(&[]).contains("no versions yet"));
    }

    #[test]
    fn no_cell_is_a_formula() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1", "\n=1"] {
            let made = harmless(formula);
            assert!(made.starts_with('\''), "{formula:?}: {made:?}");
            let whole = csv(&[line(formula)]).unwrap();
            let mut reader = csv::Reader::from_reader(whole.as_bytes());
            let row = reader.records().next().unwrap().unwrap();
            assert_eq!(row.get(5), Some(made.as_str()));
        }
        for fine in ["ann@example.com", "a = b", "2026-11-01", "sha256:x", "", "é"] {
            assert_eq!(harmless(fine), fine);
        }
    }
}
