//! A promotion's evidence, read. What is missing, changed or unreadable is kept as a sentence, never as a guess.

use std::collections::BTreeMap;

use seatrial_attestation::dsse::Envelope;
use seatrial_attestation::key::PublicKey;
use seatrial_attestation::manifest::{Manifest, is_manifest};
use seatrial_attestation::verify::{Files, Finding, Standing, Verification, verify};
use seatrial_domain::adoption::Adoption;
use seatrial_domain::canonical;
use seatrial_domain::gate::{GateKind, GateRecord};
use seatrial_domain::history::HistoryEntry;
use seatrial_domain::ids::{Digest, ModelName, PromotionId, VersionRef};
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{EvidenceKind, PromotionRecord, PromotionStatus};
use seatrial_evidence::canary::Judgement;
use seatrial_evidence::evaluation::Evaluation;
use seatrial_evidence::explanations::Explanations;
use seatrial_evidence::report::ComparisonReport;
use serde::de::DeserializeOwned;

use crate::typeset::printable;

/// A piece of evidence.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part<T> {
    /// It is there.
    Read(T),
    /// It is not there. Whether it should be is the manifest's matter.
    Absent,
    /// It is there and cannot be shown; why, in one sentence.
    Withheld(String),
}

impl<T> Part<T> {
    pub(crate) const fn read(&self) -> Option<&T> {
        match self {
            Self::Read(value) => Some(value),
            Self::Absent | Self::Withheld(_) => None,
        }
    }
}

/// What the document is about, by the best of what is there: the manifest, the promotion's record, or the report.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct About {
    pub(crate) model: ModelName,
    pub(crate) promotion: PromotionId,
    pub(crate) challenger: VersionRef,
    pub(crate) champion: Option<VersionRef>,
    /// How it ended; none where nothing says.
    pub(crate) status: Option<PromotionStatus>,
    pub(crate) reason: Option<String>,
}

/// All evidence of one promotion.
pub(crate) struct Evidence {
    pub(crate) verification: Verification,
    /// The bytes' digest of the signed manifest, verified or not.
    pub(crate) manifest_digest: Option<Digest>,
    /// The manifest, verified or not.
    pub(crate) manifest: Option<Manifest>,
    pub(crate) record: Part<PromotionRecord>,
    pub(crate) approval: Part<GateRecord>,
    pub(crate) window: Part<GateRecord>,
    pub(crate) history: Part<Vec<HistoryEntry>>,
    pub(crate) report: Part<ComparisonReport>,
    pub(crate) evaluation: Part<Evaluation>,
    pub(crate) explanations: Part<Explanations>,
    pub(crate) policy: Part<Policy>,
    /// The judged steps of the canary, by number.
    pub(crate) steps: BTreeMap<u32, Part<Judgement>>,
}

impl Evidence {
    pub(crate) fn read(files: &Files, keys: &[PublicKey]) -> Self {
        let verification = verify(files, keys);
        let envelope = files.evidence.iter().find(|(n, _)| is_manifest(n) && n.ends_with(".dsse.json"));
        let payload = envelope.and_then(|(_, b)| Envelope::parse(b).ok()?.unverified_payload().ok());
        let unsigned = files.evidence.iter().find(|(n, _)| is_manifest(n) && !n.ends_with(".dsse.json"));
        let payload = payload.or_else(|| unsigned.map(|(_, b)| b.clone()));
        let manifest = verification
            .manifest
            .clone()
            .or_else(|| payload.as_deref().and_then(|p| serde_json::from_slice(p).ok()));
        let folder = Folder { files, findings: &verification.findings };
        let record: Part<PromotionRecord> = folder.best("promotion-", |records: Vec<PromotionRecord>| {
            let status = manifest.as_ref().map(|m| m.predicate.status);
            records.into_iter().max_by_key(|r| (Some(r.status) == status, r.evidence.len()))
        });
        let recorded = |kind| {
            let key = &record.read()?.evidence.get(&kind)?.key;
            key.rsplit('/').next().map(str::to_owned)
        };
        let gate = |prefix, kind| {
            folder.best(prefix, move |gates: Vec<GateRecord>| {
                gates.into_iter().filter(|g| g.kind == kind).max_by_key(|g| g.decisions.len())
            })
        };
        Self {
            approval: gate("gate-approval-", GateKind::Approval),
            window: gate("gate-shadow-window-", GateKind::ShadowWindow),
            history: folder
                .best("history-", |all: Vec<Vec<HistoryEntry>>| all.into_iter().max_by_key(Vec::len)),
            report: folder.named("report-", recorded(EvidenceKind::Report)),
            evaluation: folder.named("evaluation-", recorded(EvidenceKind::Evaluation)),
            explanations: folder.named("explanations-", None),
            policy: folder.named("policy-", None),
            steps: folder.steps(),
            manifest_digest: payload.as_deref().map(canonical::sha256),
            manifest,
            record,
            verification,
        }
    }

    /// What is here, or should be, and cannot be shown: a sentence each.
    pub(crate) fn withheld(&self) -> Vec<&str> {
        fn of<T>(part: &Part<T>) -> Option<&str> {
            match part {
                Part::Withheld(why) => Some(why),
                Part::Read(_) | Part::Absent => None,
            }
        }
        let parts = [
            of(&self.record),
            of(&self.approval),
            of(&self.window),
            of(&self.history),
            of(&self.report),
            of(&self.evaluation),
            of(&self.explanations),
            of(&self.policy),
        ];
        parts.into_iter().chain(self.steps.values().map(of)).flatten().collect()
    }

    /// The adoption that stands in the place of a promotion, with its record.
    pub(crate) fn adoption(&self) -> Option<(&PromotionRecord, &Adoption)> {
        let record = self.record.read().filter(|r| r.status == PromotionStatus::Adopted)?;
        Some((record, record.adoption.as_ref()?))
    }

    /// Whether the version was adopted, by the best of what is there.
    pub(crate) fn is_adoption(&self) -> bool {
        self.about().is_some_and(|about| about.status == Some(PromotionStatus::Adopted))
    }

    /// The gravest thing that is wrong with the evidence; none where all of it holds and can be read.
    pub(crate) fn doubt(&self) -> Option<String> {
        let doubt = self.verification.doubt();
        let said = doubt.map(|f| format!("{} {}: {}", f.what, f.standing.as_str(), f.why));
        said.or_else(|| self.withheld().first().map(|why| (*why).to_owned()))
    }

    /// What it is all about; none where nothing says.
    pub(crate) fn about(&self) -> Option<About> {
        if let Some(m) = &self.manifest {
            let p = m.predicate.clone();
            return Some(About {
                model: p.model,
                promotion: p.promotion,
                challenger: p.challenger,
                champion: p.champion,
                status: Some(p.status),
                reason: p.reason,
            });
        }
        if let Some(r) = self.record.read().cloned() {
            return Some(About {
                model: r.model,
                promotion: r.id,
                challenger: r.challenger,
                champion: r.champion,
                status: Some(r.status),
                reason: r.reason,
            });
        }
        let r = self.report.read().cloned()?;
        Some(About {
            model: r.model,
            promotion: r.promotion,
            challenger: r.challenger,
            champion: r.champion,
            status: None,
            reason: None,
        })
    }
}

/// The files beside what was found about each.
struct Folder<'a> {
    files: &'a Files,
    findings: &'a [Finding],
}

impl Folder<'_> {
    /// What an object of `prefix` says: the one called `named` where that is known, the last by name otherwise.
    fn named<T: DeserializeOwned>(&self, prefix: &str, named: Option<String>) -> Part<T> {
        let of_kind = |n: &&String| n.starts_with(prefix) && n.ends_with(".json");
        let mut here = self.files.evidence.keys().filter(of_kind);
        let name = named.or_else(|| here.next_back().cloned()).or_else(|| self.missing(prefix));
        name.map_or(Part::Absent, |name| self.part(&name))
    }

    /// The best of all objects of `prefix` that can be shown.
    fn best<T: DeserializeOwned>(&self, prefix: &str, choose: impl Fn(Vec<T>) -> Option<T>) -> Part<T> {
        let names = self.files.evidence.keys().filter(|n| n.starts_with(prefix) && n.ends_with(".json"));
        let mut withheld = None;
        let mut read = Vec::new();
        for name in names {
            match self.part(name) {
                Part::Read(value) => read.push(value),
                Part::Withheld(why) => withheld = Some(why),
                Part::Absent => {}
            }
        }
        match (choose(read), withheld) {
            (Some(best), _) => Part::Read(best),
            (None, Some(why)) => Part::Withheld(why),
            (None, None) => self.missing(prefix).map_or(Part::Absent, |name| self.part(&name)),
        }
    }

    /// An object of the kind that is listed and not here.
    fn missing(&self, prefix: &str) -> Option<String> {
        let of_kind = |f: &&Finding| f.standing == Standing::Missing && f.what.starts_with(prefix);
        self.findings.iter().find(of_kind).map(|f| f.what.clone())
    }

    fn part<T: DeserializeOwned>(&self, name: &str) -> Part<T> {
        let doubt = self.findings.iter().find(|f| f.what == name && f.standing.is_doubt());
        let Some(bytes) = self.files.evidence.get(name) else {
            let why = doubt.map_or("it is not here", |f| f.why.as_str());
            return Part::Withheld(format!("{name} is missing: {why}."));
        };
        if let Some(doubt) = doubt {
            return Part::Withheld(format!(
                "{name} is {}: {}. What it says is not shown.",
                doubt.standing.as_str(),
                doubt.why
            ));
        }
        // Made printable before anything is drawn or counted by its width.
        let read = serde_json::from_slice(bytes).and_then(|mut value| {
            printable(&mut value);
            serde_json::from_value(value)
        });
        match read {
            Ok(value) => Part::Read(value),
            Err(e) => Part::Withheld(format!("{name} cannot be read: {e}.")),
        }
    }

    fn steps(&self) -> BTreeMap<u32, Part<Judgement>> {
        let listed = self.findings.iter().map(|f| f.what.as_str());
        let names = self.files.evidence.keys().map(String::as_str).chain(listed);
        let number = |name: &str| name.strip_prefix("canary-step-")?.strip_suffix(".json")?.parse().ok();
        names.filter_map(|name| Some((number(name)?, self.part(name)))).collect()
    }
}
