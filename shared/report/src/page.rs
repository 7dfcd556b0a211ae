//! A comparison report as a page of its own: a file to keep or to send, which needs nothing from elsewhere.

use askama::Template;
use seatrial_domain::promotion::Bypass;
use seatrial_evidence::charts::CanaryChart;
use seatrial_evidence::report::ComparisonReport;

use crate::banners::{self, Banner};
use crate::charts::canary_figure;
use crate::evidence::{EvidenceView, Fact, FigureView, fact};
use crate::rows::{self, RowView};
use crate::style::STYLE;
use crate::{RenderError, times, words};

/// Renders the page: the report, the canary over time where there has been one, and the stages that were skipped in an
/// emergency, also those that were skipped after the report was made.
///
/// # Errors
/// When the template cannot be rendered.
pub fn render(
    report: &ComparisonReport,
    canary: Option<&CanaryChart>,
    bypasses: &[Bypass],
) -> Result<String, RenderError> {
    let over = report
        .champion
        .as_ref()
        .map_or_else(|| "as its first champion".to_owned(), |c| format!("over {}", c.version));
    ReportPage {
        style: STYLE,
        title: format!("{} {} {over}", report.model, report.challenger.version),
        verdict: words::verdict_word(report.verdict),
        verdict_tone: words::tone_of(report.verdict).class(),
        verdict_why: words::sentence(&report.why),
        banners: banners::of_report(report, bypasses),
        facts: facts(report),
        attention: rows::attention(&report.rows),
        canary: canary.and_then(canary_figure).as_ref().map(FigureView::new),
        evidence: EvidenceView::new(report),
    }
    .render()
}

#[derive(Template)]
#[template(path = "report.html")]
struct ReportPage {
    style: &'static str,
    title: String,
    verdict: &'static str,
    verdict_tone: &'static str,
    verdict_why: String,
    banners: Vec<Banner>,
    facts: Vec<Fact>,
    attention: Vec<RowView>,
    canary: Option<FigureView>,
    evidence: EvidenceView,
}

fn facts(report: &ComparisonReport) -> Vec<Fact> {
    let code = |name, value: &dyn std::fmt::Display| Fact { name, value: value.to_string(), code: true };
    let named = |v: &seatrial_domain::ids::VersionRef| format!("{} · {}", v.version, v.digest.short());
    let mut list =
        vec![fact("Model", report.model.to_string()), fact("Challenger", named(&report.challenger))];
    list.push(fact("Champion", report.champion.as_ref().map_or_else(|| "none".into(), named)));
    list.push(fact("Report made", times::moment(report.created_at)));
    list.push(code("Promotion", &report.promotion));
    list.push(code("Policy", &report.policy));
    list
}
