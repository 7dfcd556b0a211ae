//! Smoke test, integration checks and held-out benchmark of a challenger, beside the champion.
//!
//! The document is evidence. Done again, the document that is there is the answer. A version that kills the engine kills
//! this process: the state machine retries and then ends the promotion.

mod bench;
pub mod checks;
mod explain;
mod facts;
mod run;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use seatrial_artifacts::evidence::{get_evidence, put_evidence};
use seatrial_artifacts::package::{Trust, fetch_blob, fetch_version};
use seatrial_artifacts::store::ObjectStore;
use seatrial_domain::canonical;
use seatrial_domain::head::BenchmarkRef;
use seatrial_domain::ids::{Actor, Digest, VersionRef};
use seatrial_domain::package::REFERENCE;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{EvidenceKind, EvidenceRef, PromotionRecord, Stage};
use seatrial_domain::refusal::Refusal;
use seatrial_domain::task::{Evaluated, Held, HeldTask};
use seatrial_domain::verdict::Verdict;
use seatrial_evidence::benchmark::Benchmark;
use seatrial_evidence::drift::{BENCHMARK, Profile};
use seatrial_evidence::evaluation::Evaluation;
use seatrial_evidence::report::{MetricGroup, MetricUnit};
use seatrial_evidence::rows::{self, Name};
use seatrial_evidence::{keys, offline};
use seatrial_inference::{Model, Runner, Runtime};
use seatrial_registry::Registry;
use seatrial_registry::ops::{self, Ops};
use seatrial_remote::{Network, RemoteError};
use seatrial_runtime::Failure;

use checks::Checks;
use explain::{File, Subject};

/// The largest evaluation document that is read back, in bytes.
const DOCUMENT_LIMIT: u64 = 64 << 20;

/// What `evaluate` works with.
#[derive(Clone)]
pub struct Ports<'a> {
    /// The registry.
    pub registry: &'a dyn Registry,
    /// The models bucket.
    pub models: &'a dyn ObjectStore,
    /// Whose signatures make a version loadable.
    pub trust: &'a Trust,
    /// The evidence bucket.
    pub evidence: &'a dyn ObjectStore,
    /// Who asks the policy's integration checks.
    pub checks: &'a dyn Checks,
    /// What the addresses of versions begin with; without it no check can be asked.
    pub serve: Option<&'a str>,
    /// What remote versions may reach.
    pub network: &'a Network,
    /// The ONNX runtime library.
    pub library: PathBuf,
    /// Where versions and benchmarks are kept while the process is warm.
    pub folder: PathBuf,
}

impl std::fmt::Debug for Ports<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ports")
    }
}

/// Evaluates the challenger of a promotion.
///
/// # Errors
/// Superseded, or unavailable; a champion that cannot be loaded is internal, and so is a version without the deployment's
/// signature. What else is wrong with the challenger is no error but the verdict `fail`.
pub async fn handle<C>(ports: &Ports<'_>, clock: C, task: HeldTask) -> Result<Evaluated, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    let Held { model, promotion, epoch, .. } = &task;
    let record = ports
        .registry
        .promotion(model, promotion)
        .await?
        .ok_or_else(|| Refusal::NotFound { what: format!("promotion {promotion} of model {model}") })?;
    let policy = ops::pinned_policy(ports.registry, &record).await?.policy;
    if let Some(reference) = record.evidence.get(&EvidenceKind::Evaluation) {
        return Ok(answer(&recorded(ports, reference).await?, &policy, &record));
    }
    let document = evaluate(ports, &record, &policy, clock()).await?;
    let bytes = canonical::to_bytes(&document).map_err(|e| Failure::internal("writing canonical JSON", e))?;
    ops::still_holds(ports.registry, &record).await?;
    let prefix = keys::evidence_prefix(model, promotion);
    let reference =
        put_evidence(ports.evidence, prefix.trim_end_matches('/'), "evaluation", Bytes::from(bytes)).await?;
    let ops = Ops::new(ports.registry, Actor::function("evaluate"), &clock);
    let kind = EvidenceKind::Evaluation;
    let verdict = Some(document.verdict);
    let after = ops.record_evidence(model, promotion, *epoch, kind, &reference, verdict).await?.value;
    // Whoever did the same meanwhile and was first is who is believed: everything else is made of that one.
    if let Some(first) = after.evidence.get(&kind).filter(|first| **first != reference) {
        return Ok(answer(&recorded(ports, first).await?, &policy, &record));
    }
    tracing::info!(
        model = model.as_str(),
        verdict = document.verdict.as_str(),
        why = document.why,
        "evaluated"
    );
    Ok(answer(&document, &policy, &record))
}

/// The evaluation that is recorded.
async fn recorded(ports: &Ports<'_>, reference: &EvidenceRef) -> Result<Evaluation, Failure> {
    let bytes = get_evidence(ports.evidence, reference, DOCUMENT_LIMIT).await?;
    serde_json::from_slice(&bytes)
        .map_err(|e| Failure::internal(&format!("reading the evaluation {}", reference.key), e))
}

fn answer(document: &Evaluation, policy: &Policy, record: &PromotionRecord) -> Evaluated {
    Evaluated {
        verdict: document.verdict,
        shadow: policy.shadow.enabled && !document.first && record.bypass(Stage::Shadow).is_none(),
        first: document.first,
        why: document.why.clone(),
    }
}

async fn evaluate(
    ports: &Ports<'_>,
    record: &PromotionRecord,
    policy: &Policy,
    now: Timestamp,
) -> Result<Evaluation, Failure> {
    let runtime = Runtime::load(&ports.library)
        .map_err(|e| Failure::internal(&format!("loading ONNX Runtime ({e})"), e))?;
    let benchmark = match &record.benchmark {
        Some(reference) => Some((reference, read_benchmark(ports, reference).await?)),
        None => None,
    };
    let champion = match &record.champion {
        Some(version) => {
            let folder = fetch(ports, record, version).await?;
            let model = load(ports, runtime, record, &folder).await?;
            let model = model.map_err(|e| Failure::internal(&format!("loading the champion ({e})"), e))?;
            Some((version, folder, model))
        }
        None => None,
    };
    let folder = fetch(ports, record, &record.challenger).await?;
    let smoke = load(ports, runtime, record, &folder).await?.and_then(|model| {
        let rows = run::smoke(model.as_ref(), policy.task, benchmark.as_ref().map(|(_, b)| b))?;
        Ok((model, rows))
    });
    let name =
        Name { group: MetricGroup::Offline, name: "smoke_test", segment: None, unit: MetricUnit::Share };
    let mut document = Evaluation {
        schema: 1,
        model: record.model.clone(),
        promotion: record.id.clone(),
        challenger: record.challenger.clone(),
        champion: record.champion.clone(),
        policy: record.policy.digest.clone(),
        first: record.champion.is_none(),
        verdict: Verdict::Inconclusive,
        why: String::new(),
        benchmark: None,
        rows: Vec::new(),
        challenger_summary: None,
        champion_summary: None,
        charts: None,
        profiles: Vec::new(),
        explanations: None,
        notes: Vec::new(),
    };
    let challenger = match smoke {
        Ok((model, rows)) => {
            let why = match rows {
                0 => "the version loads; there is no benchmark to answer rows of".to_owned(),
                n => format!("the version loads and answers {n} rows with finite scores and its own classes"),
            };
            document.rows.push(rows::check(name, rows, Verdict::Pass, why));
            Some(model)
        }
        Err(why) => {
            document.rows.push(rows::check(name, 0, Verdict::Fail, why));
            None
        }
    };
    document.rows.extend(match &challenger {
        Some(_) => checks::run(ports.checks, ports.serve, record, policy).await,
        None => checks::not_asked(policy, "it was not asked, since the version does not pass the smoke test"),
    });
    if let Some(challenger) = &challenger {
        // What the serving log never holds cannot be compared with it: it would seem to have moved altogether.
        let dropped = &policy.observations.drop_columns;
        let names = challenger.columns().iter().map(|column| column.name.as_str());
        let features = names.filter(|name| !dropped.iter().any(|column| column == name)).collect::<Vec<_>>();
        let reference = reference(&folder).await;
        let table = reference.as_ref().ok().map(|(_, table)| table);
        document.profiles = profiles(table, benchmark.as_ref().map(|(_, b)| b), &features);
        match &benchmark {
            None => document.rows.extend(offline::rows_without_benchmark(policy)),
            Some((reference, benchmark)) => {
                let champion = champion.as_ref().map(|(.., model)| model.as_ref());
                let judged = bench::judge(record, policy, benchmark, champion, challenger.as_ref())?;
                document.rows.extend(offline::rows(&judged, policy));
                document.charts = Some(offline::charts(&judged, policy)).filter(|c| !c.is_empty());
                document.notes = bench::notes(&judged);
                document.challenger_summary = Some(offline::summary(&judged, &judged.challenger, policy));
                document.champion_summary =
                    judged.champion.as_ref().map(|c| offline::summary(&judged, c, policy));
                let promotions = ports.registry.promotions(&record.model).await?;
                let facts = facts::facts(&promotions, record, reference, benchmark.rows as u64);
                document.notes.extend(facts::notes(&facts, now));
                document.benchmark = Some(facts);
            }
        }
        if let Some(asked) = &policy.explanations {
            let champion =
                champion.as_ref().map(|(version, folder, model)| (*version, folder, model.as_ref()));
            let versions = subjects(champion, (&record.challenger, &folder, challenger.as_ref()));
            let sample = explain::sample_of(benchmark.as_ref().map(|(reference, table)| (*reference, table)));
            let outcome = match (versions, reference.as_ref(), sample) {
                (Ok(versions), Ok((digest, table)), Ok(sample)) => {
                    explain::run(runtime, asked, record, versions, (File { digest, table }, sample))
                }
                (Err(why), ..) => explain::unmet(asked, why),
                (_, Err(why), _) => explain::unmet(asked, why),
                (.., Err(why)) => explain::unmet(asked, why),
            };
            explained(ports, record, outcome, &mut document).await?;
        }
    } else if let Some(asked) = &policy.explanations {
        let why = "the version does not pass the smoke test, and nothing is explained";
        document.rows.push(explain::unmet(asked, why).row);
    }
    document.notes.extend(unverified(ports, record).await?);
    let (verdict, why) = offline::verdict(&document.rows);
    (document.verdict, document.why) = (verdict, why);
    Ok(document)
}

async fn fetch(
    ports: &Ports<'_>,
    record: &PromotionRecord,
    version: &VersionRef,
) -> Result<PathBuf, Failure> {
    let folder = ports.folder.join("versions");
    Ok(fetch_version(ports.models, &record.model, version, &folder, ports.trust).await?)
}

/// The version in `folder`, wherever it runs; or what is wrong with it. A remote one is what it was pinned as, or it is not asked.
async fn load(
    ports: &Ports<'_>,
    runtime: &'static Runtime,
    record: &PromotionRecord,
    folder: &Path,
) -> Result<Result<Box<dyn Runner>, String>, Failure> {
    let broken = |e: &dyn std::fmt::Display| Ok(Err(format!("the version cannot be loaded: {e}")));
    match ports.network.connect_folder(record.model.as_str(), folder).await {
        Ok(Some(remote)) => Ok(Ok(Box::new(remote))),
        Ok(None) => match Model::from_folder(runtime, folder) {
            Ok(model) => Ok(Ok(Box::new(model))),
            Err(e) => broken(&e),
        },
        Err(RemoteError::Unavailable(why)) => Err(Failure::unavailable("reaching a remote version", why)),
        Err(refused) => broken(&refused),
    }
}

/// What to know of those versions whose bytes nobody here has seen.
async fn unverified(ports: &Ports<'_>, record: &PromotionRecord) -> Result<Vec<String>, Failure> {
    let mut notes = Vec::new();
    for version in record.champion.iter().chain([&record.challenger]) {
        let known = ports.registry.version(&record.model, version.version).await?;
        notes.extend(
            known.and_then(|v| v.package.remote).map(|r| format!("{}: {}", version.version, r.sentence())),
        );
    }
    Ok(notes)
}

/// Champion and challenger as graphs that can be looked into; or why they cannot.
fn subjects<'a>(
    champion: Option<(&'a VersionRef, &'a PathBuf, &'a dyn Runner)>,
    challenger: (&'a VersionRef, &'a PathBuf, &'a dyn Runner),
) -> Result<(Option<Subject<'a>>, Subject<'a>), String> {
    let subject = |(version, folder, runner): (&'a VersionRef, &'a PathBuf, &'a dyn Runner)| {
        let model = runner.in_process().ok_or_else(|| {
            format!(
                "the policy asks for explanations, and {} runs elsewhere: its answers cannot be taken apart here; leave `explanations` out of the policy of a model with remote versions",
                version.version
            )
        })?;
        Ok::<_, String>(Subject { version, folder, model })
    };
    Ok((champion.map(subject).transpose()?, subject(challenger)?))
}

async fn read_benchmark(ports: &Ports<'_>, reference: &BenchmarkRef) -> Result<Benchmark, Failure> {
    let path = ports.folder.join("benchmarks").join(reference.digest.hex());
    fetch_blob(ports.models, &reference.key, &reference.digest, &path).await?;
    let bytes =
        tokio::fs::read(&path).await.map_err(|e| Failure::unavailable("reading the benchmark's file", e))?;
    Benchmark::read(Bytes::from(bytes)).map_err(|e| {
        Failure::invalid(format!(
            "the benchmark {} cannot be read ({e}); expected a Parquet file with a `label` column",
            reference.key
        ))
    })
}

/// The training sample that a version carries, with its digest; or what is wrong with it.
async fn reference(version: &Path) -> Result<(Digest, Benchmark), String> {
    let path = version.join(REFERENCE);
    let bytes = match tokio::fs::read(&path).await {
        Ok(bytes) => Bytes::from(bytes),
        Err(_) => {
            return Err(format!(
                "the policy asks for explanations, and the challenger brought no {REFERENCE}: there is nothing to explain its answers against; add a sample of its training data to the submission"
            ));
        }
    };
    let digest = canonical::sha256(&bytes);
    let table = Benchmark::read(bytes).map_err(|e| {
        format!("the policy asks for explanations, and the challenger's {REFERENCE} cannot be read ({e})")
    })?;
    Ok((digest, table))
}

/// The distributions that live inputs are compared with: the training sample the submission carries, and the benchmark. A
/// sample that cannot be read is passed over: it decides nothing.
fn profiles(sample: Option<&Benchmark>, benchmark: Option<&Benchmark>, features: &[&str]) -> Vec<Profile> {
    let of = |what: &str, table: &Benchmark| Profile::of(what, table, |column| features.contains(&column));
    sample
        .map(|table| of(&format!("the training sample ({REFERENCE})"), table))
        .into_iter()
        .chain(benchmark.map(|table| of(BENCHMARK, table)))
        .collect()
}

/// Keeps what came of explaining: its row, its picture, and the values as evidence of their own.
async fn explained(
    ports: &Ports<'_>,
    record: &PromotionRecord,
    outcome: explain::Outcome,
    document: &mut Evaluation,
) -> Result<(), Failure> {
    document.rows.push(outcome.row);
    let Some(found) = outcome.document else { return Ok(()) };
    let bytes = canonical::to_bytes(&found).map_err(|e| Failure::internal("writing canonical JSON", e))?;
    ops::still_holds(ports.registry, record).await?;
    let prefix = keys::evidence_prefix(&record.model, &record.id);
    let object =
        put_evidence(ports.evidence, prefix.trim_end_matches('/'), "explanations", Bytes::from(bytes))
            .await?;
    let charts = document.charts.get_or_insert_default();
    charts.importances.extend(found.chart());
    document.notes.extend(found.notes.iter().cloned());
    document.explanations = Some(found.facts(object));
    Ok(())
}
