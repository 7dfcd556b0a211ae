//! The comparison report as files to keep or to send: a page, and its pictures.

use std::path::{Path, PathBuf};

use seatrial_domain::ModelName;
use seatrial_domain::promotion::{Bypass, PromotionRecord};
use seatrial_evidence::charts::CanaryChart;
use seatrial_evidence::report::ComparisonReport;
use seatrial_report::{charts, page};
use serde::Deserialize;
use serde_json::json;

use super::Session;
use crate::failure::{Failure, NOT_FOUND};
use crate::output;

/// Where the report goes.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub struct Files {
    /// Write the page to this file. It needs nothing from elsewhere.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write each picture as SVG into this folder.
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,
}

/// Writes the report's files.
pub(crate) async fn report(
    session: &Session,
    model: &ModelName,
    promotion: Option<&str>,
    files: &Files,
) -> Result<(), Failure> {
    let promotion = promotion.unwrap_or("latest");
    let path = format!("/v1/models/{model}/promotions/{promotion}");
    let control = session.control().await?;
    let report: ComparisonReport = control.get(&format!("{path}/report")).await?;
    let canary = match control.get::<Judged>(&format!("{path}/canary")).await {
        Ok(judged) => Some(judged.chart),
        // Most reports are older than the canary's first judgement.
        Err(failure) if failure.exit == NOT_FOUND => None,
        Err(failure) => return Err(failure),
    };
    // Also what was skipped after the report was made.
    let run: PromotionRecord =
        control.get(&format!("/v1/models/{model}/promotions/{}", report.promotion)).await?;
    let written = write(&report, canary.as_ref(), &run.bypasses, files)?;
    output::print(session.format, &json!({ "written": written }), |_| written.join("\n"))
}

/// What is drawn of a judgement of the canary.
#[derive(Deserialize)]
struct Judged {
    chart: CanaryChart,
}

/// Writes what was asked for, and returns the files' names.
fn write(
    report: &ComparisonReport,
    canary: Option<&CanaryChart>,
    bypasses: &[Bypass],
    files: &Files,
) -> Result<Vec<String>, Failure> {
    let mut written = Vec::new();
    if let Some(file) = &files.html {
        let html = page::render(report, canary, bypasses)
            .map_err(|e| Failure::unexpected(format!("no page: {e}")))?;
        written.push(save(file, &html)?);
    }
    if let Some(folder) = &files.charts {
        std::fs::create_dir_all(folder)
            .map_err(|e| Failure::invalid(format!("cannot make the folder {}: {e}", folder.display())))?;
        for figure in charts::of_report(report).into_iter().chain(canary.and_then(charts::canary_figure)) {
            written.push(save(&folder.join(format!("{}.svg", figure.id)), &figure.file())?);
        }
    }
    Ok(written)
}

fn save(file: &Path, text: &str) -> Result<String, Failure> {
    std::fs::write(file, text)
        .map_err(|e| Failure::invalid(format!("cannot write {}: {e}", file.display())))?;
    Ok(file.display().to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn a_report() -> ComparisonReport {
        let digest = format!("sha256:{}", "7".repeat(64));
        serde_json::from_value(json!({
            "schema": 1, "model": "credit-risk", "promotion": format!("pr_{}", "0".repeat(24)), "epoch": 3,
            "challenger": { "version": "v2", "digest": digest }, "champion": { "version": "v1", "digest": digest },
            "created_at": "2026-11-21T10:00:00Z", "verdict": "pass", "why": "all pass", "policy": digest,
            "rows": [{
                "group": "offline", "name": "accuracy", "unit": "share", "champion": 0.8, "challenger": 0.81,
                "delta": 0.01, "interval": [0.005, 0.015], "n": 4000, "margin": 0.01,
                "direction": "higher_is_better", "class": "guardrail", "verdict": "pass", "why": "4000 rows",
            }],
        }))
        .unwrap()
    }

    fn a_canary() -> CanaryChart {
        let judged: Judged = serde_json::from_value(json!({
            "state": "healthy", "why": "not shown here",
            "chart": {
                "started_at": "2026-11-21T11:00:00Z", "steps": [{ "since": 0.0, "weight": 1.0 }], "until": 600.0,
                "evidence": [{ "name": "error_rate", "threshold": 4.4, "looks": [{ "at": 600.0, "log_e": -0.2 }] }],
            },
        }))
        .unwrap();
        judged.chart
    }

    #[test]
    fn a_page_and_its_pictures_are_written_where_they_were_asked_for() {
        let folder = std::env::temp_dir().join(format!("seatrial-report-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&folder).unwrap();
        let files = Files { html: Some(folder.join("report.html")), charts: Some(folder.join("pictures")) };
        let written = write(&a_report(), Some(&a_canary()), &[], &files).unwrap();
        assert_eq!(written.len(), 3, "{written:?}");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(read("report.html").contains("credit-risk v2 over v1"));
        assert!(read("pictures/chart-differences-1.svg").starts_with("<svg xmlns="));
        assert!(read("pictures/chart-canary-1.svg").contains("The canary over time"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let files = Files { html: Some("/nowhere/at/all/report.html".into()), charts: None };
        let failure = write(&a_report(), None, &[], &files).unwrap_err();
        assert!(failure.message.contains("/nowhere/at/all/report.html"), "{}", failure.message);
    }
}
