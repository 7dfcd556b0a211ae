//! The contract between data planes and the product: what a server sends to the observation queue.
//!
//! A message is a JSON array of entries, kept below 64 KB. Two streams share the queue: **tallies** (complete and small:
//! counts and a latency sketch per epoch, version, arm and second) and **rows** (sampled by hash at the producer). Labels
//! and signals come from whoever learns the truth. Times are the producer's and are never trusted: the queue's own
//! timestamps make the evidence clock.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use seatrial_domain::ids::{Digest, ModelName, PromotionId, VersionName};
use seatrial_domain::policy::MAX_CANARY_SECONDS;
use seatrial_domain::route::{Arm, Weight};
use seatrial_stats::sketch::LatencySketch;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The schema number of every entry.
pub const SCHEMA: u32 = 1;

/// The largest message a producer sends, in bytes: SQS bills by 64 KB.
pub const MESSAGE_BYTES: usize = 60_000;

/// The most requests one server can have had in one second; a larger count is forged or broken.
const TALLY_REQUESTS: u64 = 1_000_000_000;

/// The most classes that a tally tells apart.
pub const TALLY_CLASSES: usize = 200;

/// The longest name of a class in a tally, in bytes.
pub const CLASS_BYTES: usize = 200;

/// The last second that keys of tallies can hold and sort: twelve digits.
const TALLY_SECOND: i64 = 999_999_999_999;

/// How long tallies are kept in the table: every look of a canary counts all of its epoch again, so the longest canary that a
/// policy may ask for, and a month to look back.
pub const TALLY_TTL: SignedDuration =
    SignedDuration::from_secs(MAX_CANARY_SECONDS.cast_signed() + 30 * 86_400);

/// One entry of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// Counts of one second.
    Tally(Tally),
    /// One served request.
    Served(Box<Served>),
    /// The truth about one served request.
    Label(Label),
    /// Something people said or did about one served request.
    Signal(Signal),
}

/// An entry with the time the queue took it: the evidence clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Queued<T> {
    /// The entry.
    pub entry: T,
    /// When the queue took it.
    pub queued_at: Timestamp,
}

/// The part of the route a request was served under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RouteStamp {
    /// The promotion that owned the route, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<PromotionId>,
    /// The route's epoch.
    pub epoch: u64,
    /// The challenger's share in force.
    pub weight: Weight,
}

/// Everything one server did with one version, on one arm, in one second, under one route. Every request is in exactly
/// one `assigned` count, and in one outcome count unless the server died before it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Made by the server, unique: a redelivered tally counts once.
    pub tally_id: String,
    /// The model.
    pub model: ModelName,
    /// The version that was chosen.
    pub version: VersionName,
    /// Its digest.
    pub digest: Digest,
    /// The arm.
    pub role: Arm,
    /// The route in force.
    pub route: RouteStamp,
    /// The second, as Unix time, in which the arm was chosen.
    pub second: i64,
    /// Requests assigned to this version: counted before inference.
    pub assigned: u64,
    /// Requests answered without an error.
    pub answered: u64,
    /// Requests that failed because of the model: a crash counted by the restarted server included.
    pub errors: u64,
    /// Requests that failed because of the client; not the version's fault.
    pub client_errors: u64,
    /// Units whose request failed because of the model, as the first 16 hexadecimal digits of SHA-256(salt, unit), each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error_units: Vec<String>,
    /// Answered requests by the class of the answer (of several rows the first one's), for models that answer classes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<String, u64>,
    /// Of the champion's assigned requests, those that the split had given to the challenger while it was not loaded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub diverted: u64,
    /// The units behind the assigned requests, for the check of the split; none from a server that does not tell them: then
    /// each request counts as a unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<UnitSample>,
    /// Latencies of answered requests in microseconds, as a sketch that merges exactly (`seatrial_stats`).
    pub latency: Value,
}

/// Which units a tally's requests came from: all requests that named none, and a sample of the units that were named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitSample {
    /// Requests that named no unit: each is its own.
    pub single: u64,
    /// Of these, diverted ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub diverted: u64,
    /// Named units of the sample ([`UnitSample::holds`]), as the first 16 hexadecimal digits of SHA-256(salt, unit), each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sampled: Vec<String>,
}

impl UnitSample {
    /// One named unit in so many is in the sample.
    pub const ONE_IN: u64 = 16;

    /// Whether the unit of this hash (its 16 hexadecimal digits as a number) is in the sample. A unit's bucket is the remainder
    /// by 10,000; the sample is drawn from the quotient, so it says nothing about the bucket.
    #[must_use]
    pub const fn holds(hash: u64) -> bool {
        (hash / 10_000).is_multiple_of(Self::ONE_IN)
    }

    fn defect(&self, assigned: u64) -> Option<String> {
        let named = assigned.saturating_sub(self.single);
        if self.single > assigned || self.diverted > self.single || self.sampled.len() as u64 > named {
            return Some(format!(
                "{} single and {} sampled units of {assigned} assigned requests",
                self.single,
                self.sampled.len()
            ));
        }
        let hash = |unit: &String| u64::from_str_radix(unit, 16).ok().filter(|_| unit.len() == 16);
        if self.sampled.iter().any(|unit| !hash(unit).is_some_and(Self::holds)) {
            return Some("a sampled unit is not 16 hexadecimal digits, or not in the sample".into());
        }
        None
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Tally {
    /// What is wrong with the tally beyond its form. It is kept as one item of the registry's table, its id is part of the
    /// item's key, and its counts are added to others: each has a size beyond which it would sink what is around it.
    pub(crate) fn defect(&self) -> Option<String> {
        let outcomes = self.answered.saturating_add(self.errors).saturating_add(self.client_errors);
        if outcomes > self.assigned {
            return Some(format!("the tally has {outcomes} outcomes of {} assigned requests", self.assigned));
        }
        if self.assigned > TALLY_REQUESTS {
            return Some(format!(
                "the tally has {} assigned requests; expected at most {TALLY_REQUESTS}",
                self.assigned
            ));
        }
        if self.tally_id.is_empty() || self.tally_id.len() > 200 {
            return Some("tally_id must have 1 to 200 characters".into());
        }
        if !(0..=TALLY_SECOND).contains(&self.second) {
            return Some(format!("second {} is not a time in seconds since 1970", self.second));
        }
        if self.error_units.len() as u64 > self.errors || self.error_units.len() > 10_000 {
            return Some(format!(
                "{} error_units of {} errors; expected at most 10000, and one an error",
                self.error_units.len(),
                self.errors
            ));
        }
        let classes: u64 = self.classes.values().fold(0, |all, n| all.saturating_add(*n));
        if self.classes.len() > TALLY_CLASSES || classes > self.answered {
            return Some(format!(
                "{classes} answers in {} classes of {} answered requests; expected at most {TALLY_CLASSES} classes",
                self.classes.len(),
                self.answered
            ));
        }
        if self.classes.keys().any(|class| class.len() > CLASS_BYTES) {
            return Some(format!("the name of a class has more than {CLASS_BYTES} bytes"));
        }
        if self.diverted > self.assigned {
            return Some(format!("{} diverted of {} assigned requests", self.diverted, self.assigned));
        }
        if let Some(wrong) = self.units.as_ref().and_then(|units| units.defect(self.assigned)) {
            return Some(wrong);
        }
        if self.error_units.iter().any(|unit| unit.is_empty() || unit.len() > 16) {
            return Some(
                "an error unit has 1 to 16 characters: the first hexadecimal digits of a SHA-256".into(),
            );
        }
        if !self.latency.is_null() && serde_json::from_value::<LatencySketch>(self.latency.clone()).is_err() {
            return Some("latency is not a sketch of latencies".into());
        }
        None
    }
}

/// One row of one served request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Served {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Made by the server, unique; row i of a batch is `<id>#<i>`.
    pub observation_id: String,
    /// The caller's own id, for joining labels. Reuse is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The model.
    pub model: ModelName,
    /// The version that answered.
    pub version: VersionName,
    /// Its digest.
    pub digest: Digest,
    /// The arm.
    pub role: Arm,
    /// The route in force.
    pub route: RouteStamp,
    /// The entity the request named; else the request is its own unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// When, by the producer.
    pub at: Timestamp,
    /// The inputs by column.
    pub inputs: Map<String, Value>,
    /// What was answered; empty when there was an error.
    #[serde(default)]
    pub output: Output,
    /// Time to answer in microseconds.
    pub latency_us: u64,
    /// Time to load the version in microseconds, when this request waited for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_us: Option<u64>,
    /// Whether the version was warm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<bool>,
    /// The error, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ServedError>,
    /// Segments the caller named, beside those that are input columns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub segments: BTreeMap<String, String>,
    /// Protected attributes the caller named; they need not be inputs of the model.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub protected: BTreeMap<String, String>,
}

impl Served {
    /// What was randomised: the unit, else the request (the part of the id before `#`).
    #[must_use]
    pub fn unit_or_request(&self) -> &str {
        self.unit
            .as_deref()
            .unwrap_or_else(|| self.observation_id.split('#').next().unwrap_or(&self.observation_id))
    }
}

/// What a model answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// The class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The classes of a multilabel answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// Probabilities in the order of the model's classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<Vec<f64>>,
    /// A number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// An order of items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranking: Option<Vec<String>>,
    /// Text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// An error of a served request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedError {
    /// A short stable name, for example `session-failed`.
    pub kind: String,
    /// Whose fault it is.
    pub side: Side,
    /// For people; cut to 500 characters.
    pub message: String,
}

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The request was wrong; any version would have refused it.
    Client,
    /// The version failed.
    Model,
}

/// The truth about one served request. One of `observation_id` and `client_id` names it; one of `label` and `value` is it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation_id: Option<String>,
    /// Or the caller's own id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The model.
    pub model: ModelName,
    /// The true class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The true number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// When it became known, by the producer.
    pub at: Timestamp,
}

/// Something people said or did about one served request, such as `thumbs_down`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation_id: Option<String>,
    /// Or the caller's own id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The model.
    pub model: ModelName,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// When, by the producer.
    pub at: Timestamp,
}

impl Entry {
    /// The model the entry is about.
    #[must_use]
    pub fn model(&self) -> &ModelName {
        match self {
            Self::Tally(t) => &t.model,
            Self::Served(s) => &s.model,
            Self::Label(l) => &l.model,
            Self::Signal(s) => &s.model,
        }
    }

    /// What is wrong with the entry beyond its form, if anything.
    #[must_use]
    pub fn defect(&self) -> Option<String> {
        let schema = match self {
            Self::Tally(t) => t.schema,
            Self::Served(s) => s.schema,
            Self::Label(l) => l.schema,
            Self::Signal(s) => s.schema,
        };
        if schema != SCHEMA {
            return Some(format!("schema {schema} is not known; expected {SCHEMA}"));
        }
        match self {
            Self::Tally(t) => t.defect(),
            Self::Served(s) if s.error.is_none() && s.output == Output::default() => {
                Some("the row has neither an output nor an error".into())
            }
            Self::Served(s) if s.observation_id.is_empty() || s.observation_id.len() > 200 => {
                Some("observation_id must have 1 to 200 characters".into())
            }
            Self::Served(s) if s.output.scores.iter().flatten().any(|x| !x.is_finite()) => {
                Some("a score is not a finite number".into())
            }
            Self::Label(l) if l.label.is_none() == l.value.is_none() => {
                Some("a label has exactly one of `label` and `value`".into())
            }
            Self::Label(Label { observation_id: None, client_id: None, .. })
            | Self::Signal(Signal { observation_id: None, client_id: None, .. }) => {
                Some("neither observation_id nor client_id names the request".into())
            }
            Self::Signal(s) if !s.value.is_finite() => {
                Some("the signal's value is not a finite number".into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tally(changes: &Value) -> Option<String> {
        let mut entry = json!({
            "kind": "tally", "schema": 1, "tally_id": "t", "model": "m", "version": "v1",
            "digest": format!("sha256:{}", "0".repeat(64)), "role": "champion", "route": { "epoch": 1, "weight": 0 },
            "second": 1_700_000_000, "assigned": 3, "answered": 1, "errors": 1, "client_errors": 1, "latency": null,
        });
        entry.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value::<Entry>(entry).unwrap().defect()
    }

    #[test]
    fn a_tally_that_could_sink_its_batch_or_the_sums_is_a_defect() {
        assert_eq!(tally(&json!({})), None);
        assert_eq!(
            tally(&json!({ "latency": LatencySketch::default(), "error_units": ["00ff00ff00ff00ff"] })),
            None
        );
        let units = json!({ "single": 2, "diverted": 1, "sampled": ["0000000000000001"] });
        assert_eq!(tally(&json!({ "diverted": 1, "units": units })), None);
        for wrong in [
            json!({ "answered": u64::MAX, "errors": 2 }),
            json!({ "answered": 3 }),
            json!({ "assigned": u64::MAX }),
            json!({ "diverted": 4 }),
            json!({ "units": { "single": 4 } }),
            json!({ "units": { "single": 1, "diverted": 2 } }),
            json!({ "units": { "single": 2, "sampled": ["0000000000000000", "0000000000000001"] } }),
            json!({ "units": { "single": 2, "sampled": ["zz"] } }),
            json!({ "units": { "single": 2, "sampled": ["0000000000002710"] } }),
            json!({ "tally_id": "" }),
            json!({ "tally_id": "x".repeat(2_000) }),
            json!({ "second": -1 }),
            json!({ "second": i64::MAX }),
            json!({ "error_units": ["a", "b"] }),
            json!({ "error_units": ["x".repeat(400_000)] }),
            json!({ "latency": { "bins": "many" } }),
        ] {
            assert!(tally(&wrong).is_some(), "{wrong}");
        }
    }
}
