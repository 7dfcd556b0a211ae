//! Where each record lies in the table, and how it is written as an item and read back.

use jiff::Timestamp;
use seatrial_domain::change::PolicyRecord;
use seatrial_domain::gate::{Bound, Capability, GateRecord, GateStatus};
use seatrial_domain::head::Head;
use seatrial_domain::history::HistoryEntry;
use seatrial_domain::ids::SubmissionId;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::route::{SHADOW_ARM, SHADOW_SUM_ARM};
use seatrial_domain::submission::Announced;
use seatrial_domain::version::VersionRecord;
use seatrial_domain::{Digest, GateId, ModelName, PromotionId, VersionName};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Source, StoreError};
use crate::sessions::Session;
use crate::table::{Attr, INDEX_PK, INDEX_SK, Item, Key, TTL};

/// The attribute with a record's JSON.
pub(crate) const DOC: &str = "doc";
/// The partition that lists the models.
pub(crate) const MODELS: &str = "MODELS";

fn key(pk: impl Into<String>, sk: impl Into<String>) -> Key {
    Key { pk: pk.into(), sk: sk.into() }
}

pub(crate) fn model_pk(model: &ModelName) -> String {
    format!("MODEL#{model}")
}

pub(crate) fn head_key(model: &ModelName) -> Key {
    key(model_pk(model), "HEAD")
}

pub(crate) fn version_key(model: &ModelName, version: VersionName) -> Key {
    key(model_pk(model), format!("VERSION#{:08}", version.number()))
}

pub(crate) fn digest_key(model: &ModelName, digest: &Digest) -> Key {
    key(model_pk(model), format!("DIGEST#{}", digest.hex()))
}

pub(crate) fn promotion_key(model: &ModelName, promotion: &PromotionId) -> Key {
    key(model_pk(model), format!("PROMOTION#{promotion}"))
}

pub(crate) fn policy_key(model: &ModelName, number: u32) -> Key {
    key(model_pk(model), format!("POLICY#{number:06}"))
}

pub(crate) fn history_pk(model: &ModelName) -> String {
    format!("HISTORY#{model}")
}

pub(crate) fn history_sk(seq: u64) -> String {
    format!("{seq:012}")
}

pub(crate) fn history_key(model: &ModelName, seq: u64) -> Key {
    key(history_pk(model), history_sk(seq))
}

pub(crate) fn models_key(model: &ModelName) -> Key {
    key(MODELS, model.as_str())
}

pub(crate) fn gate_key(gate: &GateId) -> Key {
    key(format!("GATE#{gate}"), "GATE")
}

pub(crate) fn gates_pk(status: GateStatus) -> String {
    format!("GATES#{}", gate_status(status))
}

pub(crate) fn token_key(gate: &GateId) -> Key {
    key(format!("TOKEN#{gate}"), "TOKEN")
}

pub(crate) fn capability_key(hash: &Digest) -> Key {
    key(format!("CAP#{}", hash.hex()), "CAP")
}

pub(crate) fn session_key(hash: &Digest) -> Key {
    key(format!("SESSION#{}", hash.hex()), "SESSION")
}

pub(crate) fn submission_key(model: &ModelName, id: &SubmissionId) -> Key {
    key(format!("SUBMISSION#{model}"), id.as_str())
}

/// The partition of an arm's tallies. What is counted of a shadow lies apart from what servers report: each is read without
/// the other.
pub(crate) fn tally_pk(model: &ModelName, epoch: u64, arm: &str) -> String {
    match arm {
        SHADOW_ARM | SHADOW_SUM_ARM => format!("TALLY#{model}#{epoch}#{arm}"),
        _ => format!("TALLY#{model}#{epoch}"),
    }
}

/// Seconds in Unix time with a fixed number of digits, so that text sorts as time does.
pub(crate) fn tally_second(second: i64) -> String {
    format!("{:012}", second.max(0))
}

pub(crate) fn watermark_key(queue: &str) -> Key {
    key(format!("WATERMARK#{queue}"), "WATERMARK")
}

pub(crate) fn target_key(model: &ModelName) -> Key {
    key(format!("TARGET#{model}"), "TARGET")
}

pub(crate) fn attempt_key(promotion: &PromotionId, observation_id: &str) -> Key {
    key(format!("ATTEMPT#{promotion}"), observation_id)
}

/// The word of a gate's status in attributes; the same as in its JSON.
pub(crate) const fn gate_status(status: GateStatus) -> &'static str {
    match status {
        GateStatus::Pending => "pending",
        GateStatus::Approved => "approved",
        GateStatus::Rejected => "rejected",
        GateStatus::Expired => "expired",
        GateStatus::Cancelled => "cancelled",
    }
}

/// A word for any unit variant of an enum, as in its JSON.
pub(crate) fn word<T: Serialize>(value: &T) -> Result<Attr, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => Ok(Attr::S(text)),
        Ok(other) => Err(unwritable(&other.to_string(), None)),
        Err(e) => Err(unwritable(std::any::type_name::<T>(), Some(Box::new(e)))),
    }
}

pub(crate) fn text(value: &(impl ToString + ?Sized)) -> Attr {
    Attr::S(value.to_string())
}

pub(crate) fn number(value: u64) -> Attr {
    // Counters of writes never come near 2⁶³; a forged one beyond it fails the condition that it is compared in.
    Attr::N(i64::try_from(value).unwrap_or(i64::MAX))
}

/// The attributes that an approval's condition names. `none` stands for a benchmark that the model does not have.
pub(crate) fn bound_attributes(bound: &Bound) -> [(&'static str, Attr); 4] {
    let benchmark = bound.benchmark.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    [
        ("bound_package", text(&bound.package)),
        ("bound_report", text(&bound.report)),
        ("bound_policy", text(&bound.policy)),
        ("bound_benchmark", Attr::S(benchmark)),
    ]
}

fn item<T: Serialize>(
    doc: &T,
    attributes: impl IntoIterator<Item = (&'static str, Attr)>,
) -> Result<Item, StoreError> {
    let doc =
        serde_json::to_string(doc).map_err(|e| unwritable(std::any::type_name::<T>(), Some(Box::new(e))))?;
    let mut item: Item = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    item.insert(DOC.to_owned(), Attr::S(doc));
    Ok(item)
}

pub(crate) fn head_item(head: &Head) -> Result<Item, StoreError> {
    item(head, [("revision", number(head.revision)), ("epoch", number(head.epoch))])
}

pub(crate) fn history_item(entry: &HistoryEntry) -> Result<Item, StoreError> {
    item(entry, [("hash", text(&entry.hash)), ("event", text(&entry.event))])
}

pub(crate) fn version_item(version: &VersionRecord) -> Result<Item, StoreError> {
    item(version, [("digest", text(&version.digest)), ("status", word(&version.status)?)])
}

pub(crate) fn claim_item(version: VersionName) -> Result<Item, StoreError> {
    item(&version, [])
}

/// The content of a claim's item, for conditions.
pub(crate) fn claimed_by(version: VersionName) -> Result<Attr, StoreError> {
    let mut claim = claim_item(version)?;
    claim.remove(DOC).ok_or_else(|| unwritable("a claim", None))
}

pub(crate) fn promotion_item(promotion: &PromotionRecord) -> Result<Item, StoreError> {
    let attributes = [
        ("status", word(&promotion.status)?),
        ("epoch", number(promotion.epoch)),
        ("package", text(&promotion.challenger.digest)),
    ];
    item(promotion, attributes)
}

pub(crate) fn policy_item(policy: &PolicyRecord) -> Result<Item, StoreError> {
    item(policy, [("digest", text(&policy.reference.digest))])
}

pub(crate) fn gate_item(gate: &GateRecord) -> Result<Item, StoreError> {
    let mut gate_item = item(gate, bound_attributes(&gate.bound))?;
    let attributes = [
        ("gate", text(&gate.id)),
        ("kind", text(gate.kind.as_str())),
        ("status", text(gate_status(gate.status))),
        ("model", text(&gate.model)),
        ("promotion", text(&gate.promotion)),
        ("epoch", number(gate.epoch)),
        (INDEX_PK, Attr::S(gates_pk(gate.status))),
        // Fixed digits: timestamps of different precision would not sort as text.
        (INDEX_SK, Attr::S(format!("{:.9}#{}", gate.opened_at, gate.id))),
    ];
    gate_item.extend(attributes.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Ok(gate_item)
}

pub(crate) fn capability_item(capability: &Capability) -> Result<Item, StoreError> {
    let mut capability_item = item(
        capability,
        [
            ("gate", text(&capability.gate)),
            ("approver", text(&capability.approver)),
            ("expires_us", Attr::N(capability.expires_at.as_microsecond())),
            ("revoked", Attr::B(capability.revoked)),
            ("generation", Attr::N(capability.generation.into())),
            (TTL, Attr::N(capability.expires_at.as_second() + 30 * 86_400)),
        ],
    )?;
    if let Some(at) = capability.used_at {
        capability_item.insert("used_at".into(), text(&at));
    }
    Ok(capability_item)
}

pub(crate) fn session_item(session: &Session) -> Result<Item, StoreError> {
    item(session, [(TTL, Attr::N(session.expires_at.as_second()))])
}

pub(crate) fn submission_item(announced: &Announced) -> Result<Item, StoreError> {
    item(announced, [(TTL, Attr::N(announced.expires_at.as_second()))])
}

pub(crate) fn read_capability(at: &Key, stored: &Item) -> Result<Capability, StoreError> {
    let mut capability: Capability = read(at, stored)?;
    capability.revoked = stored.get("revoked") == Some(&Attr::B(true));
    capability.used_at = match stored.get("used_at") {
        Some(Attr::S(at_text)) => {
            Some(at_text.parse::<Timestamp>().map_err(|e| corrupt(at, "a time in used_at", e))?)
        }
        _ => None,
    };
    Ok(capability)
}

/// The record in an item's `doc`.
pub(crate) fn read<T: DeserializeOwned>(at: &Key, stored: &Item) -> Result<T, StoreError> {
    read_at(&at.to_string(), stored)
}

/// As [`read`], for items that came from a list.
pub(crate) fn read_at<T: DeserializeOwned>(at: &str, stored: &Item) -> Result<T, StoreError> {
    let expected = || format!("the JSON of a {} in {DOC}", std::any::type_name::<T>());
    match stored.get(DOC) {
        Some(Attr::S(doc)) => serde_json::from_str(doc).map_err(|e| StoreError::Corrupt {
            item: at.to_owned(),
            expected: expected(),
            source: Some(Box::new(e)),
        }),
        _ => Err(StoreError::Corrupt { item: at.to_owned(), expected: expected(), source: None }),
    }
}

pub(crate) fn corrupt(at: &Key, expected: &str, source: impl Into<Source>) -> StoreError {
    StoreError::Corrupt { item: at.to_string(), expected: expected.to_owned(), source: Some(source.into()) }
}

fn unwritable(what: &str, source: Option<Source>) -> StoreError {
    StoreError::Corrupt { item: what.to_owned(), expected: "a record with a JSON form".into(), source }
}
