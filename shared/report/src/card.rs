//! The model card of a version: what it is, what it is for, how it was measured, and who answered for it.
//!
//! Markdown, in the sections of Mitchell et al., "Model Cards for Model Reporting" (2019), with the front matter that model hubs
//! read. It is made of the registry's records and of frozen evidence alone and holds no time of its making, so the same promotion
//! has the same card.

mod lineage;
mod lines;
mod writer;

use std::fmt::Write as _;

use seatrial_domain::adoption::NOT_COMPARED;
use seatrial_domain::gate::GateRecord;
use seatrial_domain::package::{REFERENCE, label};
use seatrial_domain::policy::{Policy, fairness_metrics};
use seatrial_domain::promotion::{PromotionRecord, PromotionStatus, evidence_prefix};
use seatrial_domain::verdict::MetricClass;
use seatrial_domain::version::VersionRecord;
use seatrial_evidence::report::{ComparisonReport, MetricGroup, MetricRow, MetricUnit};
use serde_json::{Value, json};

use self::lines::{HEADING, decided, measured, named, standing};
use self::writer::Writer;
use crate::markdown::{block, code, text};
use crate::{numbers, times, words};

/// The most characters of a submitter's own file that are shown.
const OWN_WORDS: usize = 6_000;
/// The most columns of the explanations that are shown.
const COLUMNS: usize = 10;
/// The most segments that are shown.
const SEGMENTS: usize = 40;

/// What a card is made of.
#[derive(Debug, Clone, Copy)]
pub struct Card<'a> {
    /// The version.
    pub version: &'a VersionRecord,
    /// The policy that its promotion was held to; the one in force for a version that was never promoted.
    pub policy: &'a Policy,
    /// Its last promotion; none before the first.
    pub promotion: Option<&'a PromotionRecord>,
    /// That promotion's comparison report; none where it ended before there was one.
    pub report: Option<&'a ComparisonReport>,
    /// That promotion's approval gate.
    pub gate: Option<&'a GateRecord>,
    /// The submission's `data_manifest.txt`, which lists what the model was trained on.
    pub data_manifest: Option<&'a str>,
    /// The submission's own `model_card.md`, if there is one.
    pub own_card: Option<&'a str>,
}

/// Renders the card.
#[must_use]
pub fn render(card: &Card<'_>) -> String {
    let mut out = Writer(String::with_capacity(8_192));
    card.front_matter(&mut out);
    let version = card.version;
    out.line(&format!("# {} {}", version.model, version.version));
    out.line(&card.outcome());
    card.details(&mut out);
    card.intended_use(&mut out);
    card.factors(&mut out);
    card.metrics(&mut out);
    card.data(&mut out);
    card.fairness(&mut out);
    card.explanations(&mut out);
    card.caveats(&mut out);
    card.promotion(&mut out);
    card.own_words(&mut out);
    card.verify(&mut out);
    out.0
}

impl Card<'_> {
    fn rows(&self) -> &[MetricRow] {
        self.report.map_or(&[], |r| r.rows.as_slice())
    }

    /// The rows that compare groups of a protected attribute.
    fn is_fairness(&self, row: &MetricRow) -> bool {
        let attribute = row.segment.as_deref().map(|s| s.split_once('=').map_or(s, |(column, _)| column));
        let compares = fairness_metrics(seatrial_domain::policy::Task::Binary).contains(&row.name.as_str());
        compares || attribute.is_some_and(|column| self.policy.protected.iter().any(|p| p == column))
    }

    /// What model hubs read: YAML, written as JSON values, which are YAML too.
    fn front_matter(&self, out: &mut Writer) {
        let pipeline = match self.version.package.task.as_str() {
            "regression" => "tabular-regression",
            _ => "tabular-classification",
        };
        let measured = self.rows().iter().filter(|r| r.group == MetricGroup::Offline && r.segment.is_none());
        let metrics: Vec<Value> = measured
            .filter_map(|r| {
                Some(json!({ "type": r.name, "name": words::metric_name(&r.name), "value": r.challenger? }))
            })
            .collect();
        let benchmark = self.report.and_then(|r| r.offline.as_ref()).filter(|_| !metrics.is_empty());
        let results = benchmark.map(|b| {
            json!([{
                "task": { "type": pipeline },
                "dataset": { "type": "held-out", "name": "held-out benchmark", "revision": b.benchmark },
                "metrics": metrics,
            }])
        });
        out.0.push_str("---\n");
        let _ = writeln!(out.0, "pipeline_tag: {pipeline}");
        let _ = writeln!(out.0, "tags: [\"seatrial\", \"model-card\"]");
        if let Some(results) = results {
            let name = format!("{} {}", self.version.model, self.version.version);
            let _ = writeln!(out.0, "model-index: {}", json!([{ "name": name, "results": results }]));
        }
        out.0.push_str("---\n\n");
    }

    fn outcome(&self) -> String {
        let Some(promotion) = self.promotion else {
            return "This version was packaged and never promoted: nothing here was measured by anybody but its makers."
                .into();
        };
        let what = match promotion.status {
            PromotionStatus::Running => "is being promoted",
            PromotionStatus::Crowned => "became champion",
            PromotionStatus::Rejected => "was rejected before any caller saw it",
            PromotionStatus::Aborted => "was taken back",
            PromotionStatus::Adopted => "was adopted as champion, without a promotion,",
        };
        let when = promotion.ended_at.map(|at| format!(" on {}", times::moment(at))).unwrap_or_default();
        let reason = promotion.reason.as_deref().map(|r| format!(": {}", text(r))).unwrap_or_default();
        words::sentence(&format!("this version {what}{when}{reason}"))
    }

    fn details(&self, out: &mut Writer) {
        let version = self.version;
        let package = &version.package;
        let entry = self.policy.inventory.as_ref();
        let profile = self.promotion.map_or(self.policy.profile, |p| p.profile);
        let dependencies: Vec<String> = package
            .labels
            .iter()
            .filter_map(|(name, value)| {
                Some(text(&format!("{} {value}", name.strip_prefix(label::DEPENDENCY)?)))
            })
            .collect();
        out.heading("Model details");
        out.facts(&[
            ("Model", Some(code(version.model.as_str()))),
            ("Version", Some(code(&version.version.to_string()))),
            ("Package", Some(code(version.digest.as_str()))),
            ("Title", package.title.as_deref().map(text)),
            ("Owner", entry.map(|e| text(&e.owner))),
            ("Risk", entry.map(|e| e.risk.as_str().to_owned())),
            ("Held to", Some(standing(profile))),
            ("Task", Some(text(&package.task))),
            ("Runtime", Some(text(&package.runtime))),
            (
                "Runs elsewhere",
                package.remote.as_ref().map(|remote| text(&words::sentence(&remote.sentence()))),
            ),
            (
                "Size",
                Some(format!("{} bytes in {} files", numbers::count(package.size), package.files.len())),
            ),
            ("Built with", Some(dependencies.join(", "))),
            (
                "Submitted",
                Some(format!("{} by {}", times::moment(version.created_at), text(&version.submitted_by))),
            ),
        ]);
        let settings = |prefix: &str| -> Vec<[String; 2]> {
            let of = package.config.iter().filter(|(path, _)| path.starts_with(prefix));
            of.map(|(path, value)| [code(named(path, prefix)), text(value)]).collect()
        };
        for (title, prefix) in [("Inputs", "inputs"), ("Outputs", "outputs")] {
            let rows = settings(prefix);
            if !rows.is_empty() {
                out.line(&format!("### {title}"));
                out.table(["Name", "Form"], &rows);
            }
        }
    }

    fn intended_use(&self, out: &mut Writer) {
        out.heading("Intended use");
        let context = Some(text(&self.policy.context));
        match &self.policy.inventory {
            None => {
                out.line("The policy has no entry for the inventory, so nobody says what this model is for.");
                out.facts(&[("What is decided", context)]);
            }
            Some(entry) => out.facts(&[
                ("Purpose", Some(text(&entry.purpose))),
                ("Intended use", Some(text(&entry.intended_use))),
                ("Out of scope", entry.out_of_scope.as_deref().map(text)),
                ("What is decided", context),
            ]),
        }
    }

    fn factors(&self, out: &mut Writer) {
        out.heading("Factors");
        let list = |columns: &[String]| {
            let all: Vec<String> = columns.iter().map(|c| code(c)).collect();
            if all.is_empty() { "none".to_owned() } else { all.join(", ") }
        };
        out.facts(&[
            ("Protected attributes", Some(list(&self.policy.protected))),
            ("Segments", Some(list(&self.policy.segments))),
            ("Fewest rows of a segment that is judged", Some(numbers::count(self.policy.segment_min_n))),
        ]);
    }

    fn metrics(&self, out: &mut Writer) {
        out.heading("Metrics and quantitative analyses");
        let Some(report) = self.report else {
            if self.promotion.is_some_and(|p| p.status == PromotionStatus::Adopted) {
                out.line(NOT_COMPARED);
                return;
            }
            out.line("There is no comparison report: the promotion ended before anything was compared, or has not come so far.");
            return;
        };
        out.line(&format!(
            "Verdict: **{}**. {}",
            words::verdict_word(report.verdict).to_lowercase(),
            words::sentence(&text(&report.why))
        ));
        for group in words::GROUPS {
            let rows: Vec<&MetricRow> = report
                .rows
                .iter()
                .filter(|r| r.group == group && r.segment.is_none() && !self.is_fairness(r))
                .collect();
            if !rows.is_empty() {
                out.line(&format!("### {}", words::group_heading(group)));
                out.table(HEADING, &rows.iter().map(|r| measured(r)).collect::<Vec<_>>());
            }
        }
        let segments: Vec<&MetricRow> =
            report.rows.iter().filter(|r| r.segment.is_some() && !self.is_fairness(r)).collect();
        if !segments.is_empty() {
            out.line("### Segments");
            let shown = segments.iter().take(SEGMENTS).map(|r| measured(r)).collect::<Vec<_>>();
            out.table(HEADING, &shown);
            if segments.len() > SEGMENTS {
                out.line(&format!("{} more are in the report.", segments.len() - SEGMENTS));
            }
        }
    }

    fn data(&self, out: &mut Writer) {
        out.heading("Evaluation data");
        match self.report.and_then(|r| r.offline.as_ref()) {
            None => out.line("The model had no held-out benchmark."),
            Some(facts) => out.facts(&[
                ("Benchmark", Some(code(facts.benchmark.as_str()))),
                ("Rows", Some(numbers::count(facts.rows))),
                ("In use since", facts.set_at.map(times::moment)),
                ("Candidates it has judged, this one included", facts.judged_candidates.map(numbers::count)),
                ("How far live traffic has moved from it", facts.live_shift.as_deref().map(text)),
            ]),
        }
        if let Some(shadow) = self.report.and_then(|r| r.shadow.as_ref()) {
            out.line(&format!(
                "Beside it {} live requests were answered by both versions from {} on.",
                numbers::count(shadow.pairs),
                times::moment(shadow.opened_at)
            ));
        }
        out.heading("Training data");
        let labels = &self.version.package.labels;
        out.facts(&[
            ("List of the training files", labels.get(label::TRAINING_DATA).map(|d| code(d))),
            ("Files in it", labels.get(label::TRAINING_DATA_FILES).map(|n| text(n))),
            (
                "Sample that the package brings",
                self.version.package.files.get(REFERENCE).map(|f| code(f.digest.as_str())),
            ),
        ]);
        if let Some(list) = self.data_manifest {
            out.line("As the submitter lists it, each file by its SHA-256:");
            out.line(block(list, OWN_WORDS).trim_end());
        }
        lineage::lineage(out, self.version.artifact.as_ref());
    }

    fn fairness(&self, out: &mut Writer) {
        out.heading("Fairness");
        if self.policy.protected.is_empty() {
            out.line("The policy names no protected attribute, so nothing was compared between groups.");
            return;
        }
        let rows: Vec<&MetricRow> = self.rows().iter().filter(|r| self.is_fairness(r)).collect();
        if rows.is_empty() {
            out.line("Nothing was measured for the protected attributes.");
            return;
        }
        for attribute in &self.policy.protected {
            let of = |r: &&&MetricRow| {
                r.segment
                    .as_deref()
                    .is_some_and(|s| s == attribute || s.starts_with(&format!("{attribute}=")))
            };
            let rows: Vec<_> = rows.iter().filter(of).map(|r| measured(r)).collect();
            out.line(&format!("### {}", code(attribute)));
            if rows.is_empty() {
                out.line("Nothing was measured for it.");
            } else {
                out.table(HEADING, &rows);
            }
        }
        let whole: Vec<_> = rows.iter().filter(|r| r.segment.is_none()).map(|r| measured(r)).collect();
        if !whole.is_empty() {
            out.line("### Over all attributes");
            out.table(HEADING, &whole);
        }
    }

    fn explanations(&self, out: &mut Writer) {
        out.heading("Explanations");
        let charts =
            self.report.and_then(|r| r.charts.as_ref()).map_or(&[][..], |c| c.importances.as_slice());
        if charts.is_empty() {
            out.line("It was not looked at which columns the answers rest on.");
            return;
        }
        for chart in charts {
            out.line(&format!(
                "Shapley values of {} over {} rows of the benchmark, against {} rows of the training sample: the share of each column.",
                text(&chart.of),
                numbers::count(chart.rows),
                numbers::count(chart.background)
            ));
            let share = |share: f64| numbers::value(MetricUnit::Share, share);
            let rows: Vec<[String; 3]> = chart
                .bars
                .iter()
                .filter_map(|bar| bar.challenger.map(|point| (bar, point)))
                .take(COLUMNS)
                .map(|(bar, point)| {
                    let [low, high] = point.interval;
                    [code(&bar.column), share(point.share), format!("{} to {}", share(low), share(high))]
                })
                .collect();
            out.table(["Column", "Share", "95 % interval"], &rows);
        }
    }

    fn caveats(&self, out: &mut Writer) {
        out.heading("Caveats and recommendations");
        let entry = self.policy.inventory.as_ref();
        let limits = entry.and_then(|e| e.limitations.as_deref());
        out.line(&limits.map_or_else(|| "The owner names no limitations.".to_owned(), text));
        let unsure = self
            .rows()
            .iter()
            .filter(|r| r.class == MetricClass::Guardrail && r.verdict != seatrial_domain::Verdict::Pass);
        let rows = unsure.map(|row| {
            let at = row.segment.as_deref().map(|s| format!(" in {}", text(s))).unwrap_or_default();
            let name = text(&words::metric_name(&row.name));
            format!("{name} {}{at}: {}", words::group_place(row.group), text(&words::sentence(&row.why)))
        });
        let notes = self.report.map_or(&[][..], |r| r.notes.as_slice());
        out.list(rows.chain(notes.iter().map(|note| text(&words::sentence(note)))));
    }

    fn promotion(&self, out: &mut Writer) {
        let Some(promotion) = self.promotion else { return };
        out.heading("Promotion");
        let champion = promotion.champion.as_ref();
        out.facts(&[
            ("Promotion", Some(code(promotion.id.as_str()))),
            ("Requested by", Some(text(&promotion.requested_by.principal))),
            ("Compared with", champion.map(|c| format!("{} {}", c.version, code(c.digest.as_str())))),
            ("Started", Some(times::moment(promotion.started_at))),
            ("Ended", promotion.ended_at.map(times::moment)),
        ]);
        let decisions = self.gate.map_or(&[][..], |g| g.decisions.as_slice()).iter().map(decided);
        let skipped = promotion.bypasses.iter().map(|b| {
            let (stage, by, at) = (b.stage.as_str(), text(&b.by.principal), times::moment(b.at));
            format!("The {stage} was skipped in an emergency by {by} on {at}: {}", text(&b.reason))
        });
        let steps = promotion.steps.iter().map(|step| {
            let share = numbers::percent(step.weight.fraction() * 100.0);
            format!("{share} of callers from {} on", times::moment(step.at))
        });
        out.list(decisions.chain(skipped).chain(steps));
    }

    fn own_words(&self, out: &mut Writer) {
        let changelog = &self.version.package.changelog;
        if self.own_card.is_none() && changelog.trim().is_empty() {
            return;
        }
        out.heading("In the submitter's words");
        if let Some(own) = self.own_card {
            out.line("`model_card.md` of the package:");
            out.line(block(own, OWN_WORDS).trim_end());
        }
        if !changelog.trim().is_empty() {
            out.line("`CHANGELOG.md`, its first section:");
            out.line(block(changelog, OWN_WORDS).trim_end());
        }
    }

    fn verify(&self, out: &mut Writer) {
        out.heading("How to verify");
        let version = self.version;
        let policy =
            self.promotion.map(|p| format!("{} {}", p.policy.number, code(p.policy.digest.as_str())));
        let benchmark = self.promotion.and_then(|p| p.benchmark.as_ref()).map(|b| code(b.digest.as_str()));
        let bound = self.gate.map(|g| code(g.bound.report.as_str()));
        out.facts(&[
            ("Package", Some(code(version.digest.as_str()))),
            ("Policy", policy),
            ("Benchmark", benchmark),
            ("Report that was decided on", bound),
            ("Evidence", self.promotion.map(|p| code(&evidence_prefix(&p.model, &p.id)))),
        ]);
        out.line(&format!(
            "The package is an OCI image: `blobs/sha256/{}` in the model's folder has this SHA-256 and lists every file by its own. \
             The evidence has a manifest over every object, `manifest-….json`, whose SHA-256 stands in the model's history; \
             `seatrial history {}` checks that chain.",
            version.digest.hex(),
            version.model
        ));
    }
}
