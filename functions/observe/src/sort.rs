//! Sorting a batch: what counts, and what is set aside with its reason. One bad entry never sinks its message.

use std::collections::BTreeMap;

use jiff::Timestamp;
use seatrial_domain::ModelName;
use seatrial_evidence::observation::{Entry, Label, Queued, Served, Signal, Tally};
use seatrial_runtime::sqs_event::SqsMessage;
use serde::Serialize;
use serde_json::Value;

use crate::trust::Trust;

/// An entry that does not count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadLetter {
    /// Why.
    pub reason: String,
    /// The message it came in.
    pub message_id: String,
    /// Its place in the message's array; none when the message is not an array.
    pub index: Option<usize>,
    /// When the queue took the message.
    pub queued_at: Option<Timestamp>,
    /// Who sent it.
    pub sender: Option<String>,
    /// The entry as it came, cut to 10,000 characters.
    pub entry: String,
}

/// What a batch holds, by kind and model.
#[derive(Debug, Default)]
pub struct Sorted {
    /// Tallies.
    pub tallies: Vec<Tally>,
    /// Served rows by model.
    pub rows: BTreeMap<ModelName, Vec<Queued<Served>>>,
    /// Labels by model.
    pub labels: BTreeMap<ModelName, Vec<Queued<Label>>>,
    /// Signals by model.
    pub signals: BTreeMap<ModelName, Vec<Queued<Signal>>>,
    /// What does not count.
    pub dead: Vec<DeadLetter>,
}

/// An entry that has the right form, and where it came from.
pub struct Candidate<'a> {
    message: &'a SqsMessage,
    index: usize,
    raw: String,
    entry: Entry,
}

impl Candidate<'_> {
    /// The model it is about.
    #[must_use]
    pub const fn model(&self) -> &ModelName {
        match &self.entry {
            Entry::Tally(t) => &t.model,
            Entry::Served(s) => &s.model,
            Entry::Label(l) => &l.model,
            Entry::Signal(s) => &s.model,
        }
    }
}

/// The largest entry in bytes: it must fit a message of the shadow queue and an item of the table.
const ENTRY_BYTES: usize = 200_000;

/// Parses messages into entries; what cannot be parsed is dead.
#[must_use]
pub fn parse(messages: &[SqsMessage]) -> (Vec<Candidate<'_>>, Vec<DeadLetter>) {
    let (mut good, mut dead) = (Vec::new(), Vec::new());
    for message in messages {
        let entries = match serde_json::from_str::<Value>(&message.body) {
            Ok(Value::Array(entries)) => entries,
            Ok(_) => {
                dead.push(letter(
                    message,
                    None,
                    &message.body,
                    "the message is not a JSON array of entries".into(),
                ));
                continue;
            }
            Err(e) => {
                dead.push(letter(message, None, &message.body, format!("the message is not JSON: {e}")));
                continue;
            }
        };
        for (index, value) in entries.into_iter().enumerate() {
            let raw = value.to_string();
            if raw.len() > ENTRY_BYTES {
                let reason = format!("the entry has {} bytes; expected at most {ENTRY_BYTES}", raw.len());
                dead.push(letter(message, Some(index), &raw, reason));
                continue;
            }
            match serde_json::from_value::<Entry>(value) {
                Ok(entry) => match entry.defect() {
                    None => good.push(Candidate { message, index, raw, entry }),
                    Some(defect) => dead.push(letter(message, Some(index), &raw, defect)),
                },
                Err(e) => dead.push(letter(
                    message,
                    Some(index),
                    &raw,
                    format!("the entry does not have the contract's form: {e}"),
                )),
            }
        }
    }
    (good, dead)
}

/// Sorts entries by kind and model; what cannot be trusted is dead.
#[must_use]
pub fn sort(candidates: Vec<Candidate<'_>>, dead: Vec<DeadLetter>, trust: &Trust, now: Timestamp) -> Sorted {
    let mut sorted = Sorted { dead, ..Sorted::default() };
    for candidate in candidates {
        let Candidate { message, index, raw, entry } = candidate;
        if let Err(reason) = trust.accepts(&entry, message.sender()) {
            sorted.dead.push(letter(message, Some(index), &raw, reason));
            continue;
        }
        let queued_at = message.sent_at().unwrap_or(now);
        match entry {
            Entry::Tally(mut tally) => {
                // A producer's clock that runs ahead must not keep its counts beyond the watermark; the queue's own time does
                // not change when the message comes again.
                if let Some(at) = message.sent_at() {
                    tally.second = tally.second.min(at.as_second());
                }
                sorted.tallies.push(tally);
            }
            Entry::Served(row) => {
                sorted.rows.entry(row.model.clone()).or_default().push(Queued { entry: *row, queued_at });
            }
            Entry::Label(entry) => {
                sorted.labels.entry(entry.model.clone()).or_default().push(Queued { entry, queued_at });
            }
            Entry::Signal(entry) => {
                sorted.signals.entry(entry.model.clone()).or_default().push(Queued { entry, queued_at });
            }
        }
    }
    sorted
}

fn letter(message: &SqsMessage, index: Option<usize>, raw: &str, reason: String) -> DeadLetter {
    DeadLetter {
        reason,
        message_id: message.message_id.clone(),
        index,
        queued_at: message.sent_at(),
        sender: message.sender().map(str::to_owned),
        entry: raw.chars().take(10_000).collect(),
    }
}
