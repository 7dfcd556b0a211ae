//! The data that a report rests on: it lies in another bucket, and lapses there by policy, long before the evidence does. What it was
//! stays known by its digests.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{Data, Files, Finding, Standing};
use crate::manifest::Manifest;

/// What is read of a frozen list of inputs.
#[derive(Debug, Deserialize)]
pub(super) struct Inputs {
    frozen_at: Timestamp,
    #[serde(default)]
    shadow: Option<Shadow>,
    #[serde(default)]
    pairs: Vec<Input>,
    #[serde(default)]
    labels: Vec<Input>,
    #[serde(default)]
    observations: Vec<Input>,
}

#[derive(Debug, Deserialize)]
struct Shadow {
    opened_at: Timestamp,
}

/// One file of data, as it was when the list was made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Input {
    /// Its key in the data bucket.
    pub key: String,
    /// Its S3 version.
    #[serde(default)]
    pub version_id: Option<String>,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
}

impl Inputs {
    fn files(&self) -> impl Iterator<Item = &Input> {
        self.pairs.iter().chain(&self.labels).chain(&self.observations)
    }

    /// From when on files may have lapsed, and by when all surely have, where files are kept for so many days. They were all written
    /// between the shadow's opening and the list; rules of life cycles run once a day.
    fn lapse(&self, days: u32) -> Option<(Timestamp, Timestamp)> {
        let kept = SignedDuration::from_hours(24 * i64::from(days));
        let opened = self.shadow.as_ref().map_or(self.frozen_at, |s| s.opened_at);
        let surely = self.frozen_at.checked_add(kept + SignedDuration::from_hours(48)).ok()?;
        Some((opened.checked_add(kept).ok()?, surely))
    }
}

/// The files of data that the evidence in `files` rests on: what [`Data::Found`] is to be made of.
#[must_use]
pub fn inputs(files: &Files) -> Vec<Input> {
    let lists = files.evidence.iter().filter(|(path, _)| path.starts_with("inputs-"));
    let read = lists.filter_map(|(_, bytes)| serde_json::from_slice::<Inputs>(bytes).ok());
    read.flat_map(|list| list.files().cloned().collect::<Vec<_>>()).collect()
}

pub(super) fn check(
    manifest: &Manifest,
    lists: &[(String, Inputs)],
    data: &Data,
    findings: &mut Vec<Finding>,
) {
    for (path, list) in lists {
        let lapse = manifest.predicate.data_days.and_then(|days| list.lapse(days));
        match data {
            Data::NotAsked => {}
            Data::Elsewhere { now } => findings.extend(elsewhere(path, list, lapse, *now)),
            Data::Found { now, digests } => found(path, list, lapse, *now, digests, findings),
        }
    }
}

fn elsewhere(
    path: &str,
    list: &Inputs,
    lapse: Option<(Timestamp, Timestamp)>,
    now: Timestamp,
) -> Option<Finding> {
    let count = list.files().count();
    let what = format!("data of {path}");
    let (standing, why) = match lapse {
        _ if count == 0 => return None,
        Some((_, surely)) if now >= surely => {
            let why = format!("{count} files have lapsed, as was signed; their digests stay in the list");
            (Standing::ExpiredByPolicy, why)
        }
        _ => (Standing::NotChecked, format!("{count} files lie in the data bucket and were not looked at")),
    };
    Some(Finding::new(what, standing, why))
}

fn found(
    path: &str,
    list: &Inputs,
    lapse: Option<(Timestamp, Timestamp)>,
    now: Timestamp,
    digests: &BTreeMap<String, String>,
    findings: &mut Vec<Finding>,
) {
    let (mut same, mut lapsed) = (0, 0);
    for input in list.files() {
        match digests.get(&input.key) {
            Some(digest) if *digest == input.sha256 => same += 1,
            Some(digest) => {
                let why = format!("it has sha256:{digest}; the report rests on sha256:{}", input.sha256);
                findings.push(Finding::new(&input.key, Standing::Changed, why));
            }
            None if lapse.is_some_and(|(from, _)| now >= from) => lapsed += 1,
            None => findings.push(Finding::new(
                &input.key,
                Standing::Missing,
                "the report rests on it, and it has not lapsed yet",
            )),
        }
    }
    let what = format!("data of {path}");
    if same > 0 {
        let why = format!("{same} files are what the report rests on");
        findings.push(Finding::new(&what, Standing::Holds, why));
    }
    if lapsed > 0 {
        let why = format!("{lapsed} files have lapsed, as was signed; their digests stay in the list");
        findings.push(Finding::new(&what, Standing::ExpiredByPolicy, why));
    }
}
