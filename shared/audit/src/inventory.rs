//! The inventory of models on paper.

use std::collections::BTreeMap;

use jiff::Timestamp;
use seatrial_domain::ModelName;
use seatrial_domain::inventory::{Approval, Line};
use seatrial_report::times::moment;
use serde::Serialize;

use crate::{Error, typeset};

/// The template, and what it imports.
const TEMPLATE: [(&str, &str); 2] = [
    ("inventory.typ", include_str!("template/inventory.typ")),
    ("blocks.typ", include_str!("template/blocks.typ")),
];

/// What the template shows.
#[derive(Debug, Serialize)]
struct View {
    at: String,
    models: Vec<Model>,
    versions: usize,
    serving: usize,
    overdue: usize,
    without_entry: usize,
}

#[derive(Debug, Serialize)]
struct Model {
    name: String,
    facts: Vec<Fact>,
    overdue: bool,
    versions: Vec<Version>,
}

#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    value: String,
    code: bool,
}

#[derive(Debug, Serialize)]
struct Version {
    version: String,
    state: String,
    digest: String,
    submitted: String,
    crowned: String,
    approved: String,
    verdict: String,
    policy: String,
    benchmark: String,
}

/// The inventory as a PDF (PDF/A-3a, PDF/UA-1): a section for each model, a line for each of its versions. `at` is when it was asked for;
/// the same lines at the same time give the same bytes.
///
/// # Errors
/// [`Error::Typeset`], [`Error::Data`].
pub fn inventory(at: Timestamp, lines: &[Line]) -> Result<Vec<u8>, Error> {
    let data = serde_json::to_value(view(at, lines)).map_err(|e| Error::Data(e.to_string()))?;
    let ident = format!("inventory {at} {}", lines.len());
    let options = typeset::Options { ident, at, creator: "Seatrial".into() };
    let job =
        typeset::Job { template: &TEMPLATE, data: &data, figures: &[], attachments: &[], options: &options };
    Ok(typeset::typeset(&job)?)
}

fn view(at: Timestamp, lines: &[Line]) -> View {
    let mut by_model: BTreeMap<&ModelName, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        by_model.entry(&line.model).or_default().push(line);
    }
    let models: Vec<Model> = by_model.values().map(|lines| model(lines)).collect();
    View {
        at: moment(at),
        versions: lines.len(),
        serving: lines.iter().filter(|l| l.serving_since.is_some()).count(),
        overdue: models.iter().filter(|m| m.overdue).count(),
        without_entry: by_model.values().filter(|l| l.iter().all(|l| l.owner.is_none())).count(),
        models,
    }
}

fn model(lines: &[&Line]) -> Model {
    let first = lines.first();
    let of = |value: fn(&Line) -> Option<String>| first.and_then(|l| value(l));
    let facts = [
        ("Owner", of(|l| l.owner.clone())),
        ("Purpose", of(|l| l.purpose.clone())),
        ("Intended use", of(|l| l.intended_use.clone())),
        ("Risk", of(|l| l.risk.map(|r| r.as_str().to_owned()))),
        ("Task", of(|l| Some(l.task.clone()))),
        ("Profile", of(|l| l.profile.map(|p| p.to_string()))),
        ("Review by", of(|l| l.review_by.map(|d| d.to_string()))),
    ];
    Model {
        name: first.map(|l| l.model.to_string()).unwrap_or_default(),
        facts: facts
            .into_iter()
            .filter_map(|(name, value)| Some(Fact { name, value: value?, code: false }))
            .collect(),
        overdue: lines.iter().any(|l| l.review_overdue == Some(true)),
        versions: lines.iter().map(|l| version(l)).collect(),
    }
}

fn version(line: &Line) -> Version {
    let dash = || "–".to_owned();
    let crowned = line.crowned_at.map(|at| {
        let by = line.crowned_by.as_ref().map(|a| format!("\n{}", a.principal)).unwrap_or_default();
        format!("{}{by}", moment(at))
    });
    let benchmark = line.benchmark_digest.as_ref().map(|digest| {
        let age = line.benchmark_age_days.map(|days| format!("\n{days} days old")).unwrap_or_default();
        format!("{}{age}", digest.short())
    });
    Version {
        version: line.version.to_string(),
        state: line.state.as_str().replace('_', " "),
        digest: line.digest.to_string(),
        submitted: format!("{}\n{}", moment(line.registered_at), line.submitted_by),
        crowned: crowned.unwrap_or_else(dash),
        approved: match line.approved_by.as_slice() {
            [] => dash(),
            all => all.iter().map(approver).collect::<Vec<_>>().join("\n"),
        },
        verdict: line.verdict.map_or_else(dash, |v| v.to_string()),
        policy: line.policy.map_or_else(dash, |n| n.to_string()),
        benchmark: benchmark.unwrap_or_else(dash),
    }
}

fn approver(approval: &Approval) -> String {
    let how = match (approval.emergency, approval.automatic) {
        (true, _) => " (emergency)",
        (_, true) => " (by itself)",
        _ => "",
    };
    format!("{}{how}", approval.by.principal)
}
