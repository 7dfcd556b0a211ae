//! Sorting a batch: what counts, and what is set aside with its reason. One bad entry never sinks its message.

use std::collections::BTreeMap;

use jiff::Timestamp;
use seatrial_domain::ModelName;
use seatrial_evidence::observation::{Entry, Label, Queued, Served, Signal, Tally};
use seatrial_runtime::sqs_event::SqsMessage;
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::read;
use crate::split::{Split, split};
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
    raw: &'a str,
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

/// By how much an entry may grow when it is written again: `1e15,` becomes `1000000000000000.0,`.
const GROWTH: usize = 5;

/// Parses messages into entries; what cannot be parsed is dead, each entry for itself.
#[must_use]
pub fn parse(messages: &[SqsMessage]) -> (Vec<Candidate<'_>>, Vec<DeadLetter>) {
    let (mut good, mut dead) = (Vec::new(), Vec::new());
    for message in messages {
        let Some(Split { entries, rest }) = split(&message.body) else {
            let reason = match serde_json::from_str::<IgnoredAny>(&message.body) {
                Ok(_) => "the message is not a JSON array of entries".into(),
                Err(e) => format!("the message is not JSON: {e}"),
            };
            dead.push(letter(message, None, &message.body, reason));
            continue;
        };
        let end = entries.len();
        good.reserve(end);
        for (index, raw) in entries.into_iter().enumerate() {
            match judge(raw) {
                Ok(entry) => good.push(Candidate { message, index, raw, entry }),
                Err(reason) => dead.push(letter(message, Some(index), raw, reason)),
            }
        }
        if let Some((text, why)) = rest {
            let reason = format!("from here on the message is not JSON: {why}");
            dead.push(letter(message, Some(end), text, reason));
        }
    }
    (good, dead)
}

/// An entry by its text, or why it does not count.
fn judge(raw: &str) -> Result<Entry, String> {
    let too_large = |bytes| format!("the entry has {bytes} bytes; expected at most {ENTRY_BYTES}");
    if raw.len() > ENTRY_BYTES {
        return Err(too_large(raw.len()));
    }
    let entry = read::entry(raw).map_err(|e| match serde_json::from_str::<IgnoredAny>(raw) {
        Ok(_) => format!("the entry does not have the contract's form: {e}"),
        Err(e) => format!("the entry is not JSON: {e}"),
    })?;
    if raw.len() > ENTRY_BYTES / GROWTH {
        let written = serde_json::to_string(&entry).map_err(|e| format!("the entry cannot be kept: {e}"))?;
        if written.len() > ENTRY_BYTES {
            return Err(too_large(written.len()));
        }
    }
    entry.defect().map_or(Ok(entry), Err)
}

/// Sorts entries by kind and model; what cannot be trusted is dead.
#[must_use]
pub fn sort(candidates: Vec<Candidate<'_>>, dead: Vec<DeadLetter>, trust: &Trust, now: Timestamp) -> Sorted {
    let mut sorted = Sorted { dead, ..Sorted::default() };
    for candidate in candidates {
        let Candidate { message, index, raw, entry } = candidate;
        if let Err(reason) = trust.accepts(&entry, message.sender()) {
            sorted.dead.push(letter(message, Some(index), raw, reason));
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
