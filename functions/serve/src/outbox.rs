//! Observations on their way to the queue. Nothing here ever makes a caller wait for the queue, but a Lambda's own flush.
//!
//! Tallies are small and complete, so they are kept and sent again until the queue has them. Rows are a sample: when the
//! queue is silent for long and the room is full, they are dropped and counted.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex};

use seatrial_evidence::observation::{Entry, Served, Tally};
use tokio::sync::Notify;

use crate::journal::Wreck;
use crate::locked;
use crate::metrics::{Counter, Metrics};
use crate::pack;
use crate::ports::{Queue, Sent};
use crate::tally::{Tallies, lost};

/// Rows kept while they wait, in bytes.
const ROW_BYTES: usize = 32 << 20;
/// From so many waiting bytes on, the sender is woken before its second is over.
const WAKE_BYTES: usize = 1 << 20;
/// Messages with tallies kept while the queue is silent, in bytes: hours of them.
const TALLY_BYTES: usize = 16 << 20;
/// Calls to the queue at a time.
const CALLS: usize = 4;

/// Everything that is to be sent.
pub struct Outbox {
    /// What is being counted.
    pub tallies: Tallies,
    queue: Arc<dyn Queue>,
    metrics: Arc<Metrics>,
    waiting: Mutex<Waiting>,
    /// Held by the one that sends.
    sending: tokio::sync::Mutex<()>,
    /// Wakes the sender.
    wake: Notify,
}

#[derive(Default)]
struct Waiting {
    rows: VecDeque<String>,
    row_bytes: usize,
    /// Messages that the queue did not take.
    again: Vec<Message>,
    wrecks: Vec<Wreck>,
    /// Wrecks whose tallies are on their way.
    reported: Vec<Wreck>,
}

impl Waiting {
    fn push_row(&mut self, row: String) -> bool {
        if self.row_bytes + row.len() > ROW_BYTES {
            return false;
        }
        self.row_bytes += row.len();
        self.rows.push_back(row);
        true
    }

    /// Keeps a message for the next time, if there is room.
    fn keep(&mut self, message: Message) -> bool {
        let same =
            self.again.iter().filter(|kept| kept.tallies == message.tallies).map(|kept| kept.body.len());
        let room =
            same.sum::<usize>() + message.body.len() <= if message.tallies { TALLY_BYTES } else { ROW_BYTES };
        if room {
            self.again.push(message);
        }
        room
    }
}

struct Message {
    body: String,
    /// How many entries it has.
    entries: u64,
    /// Whether tallies are among them.
    tallies: bool,
}

impl Outbox {
    /// An empty outbox. `producer` is this process's own id.
    #[must_use]
    pub fn new(producer: String, queue: Arc<dyn Queue>, metrics: Arc<Metrics>) -> Self {
        Self {
            tallies: Tallies::new(producer),
            queue,
            metrics,
            waiting: Mutex::default(),
            sending: tokio::sync::Mutex::new(()),
            wake: Notify::new(),
        }
    }

    /// Takes a row. One that fits no message is dropped and counted; its request is in the tally all the same.
    pub fn row(&self, served: Served) {
        let Some(row) = text(&Entry::Served(Box::new(served))) else { return };
        if !pack::fits(row.len()) {
            self.metrics.add(Counter::RowsTooLarge, 1);
            return;
        }
        let mut waiting = locked(&self.waiting);
        let taken = waiting.push_row(row);
        let many = waiting.row_bytes >= WAKE_BYTES;
        drop(waiting);
        if !taken {
            self.metrics.add(Counter::RowsDropped, 1);
        }
        if many {
            self.wake.notify_one();
        }
    }

    /// Takes over the reports about processes that died. Their files are removed when the queue has the reports.
    pub fn report(&self, wrecks: Vec<Wreck>) {
        locked(&self.waiting).wrecks.extend(wrecks);
    }

    /// Returns when many rows wait.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Sends the tallies of the seconds before `second` (all of them for `None`) and the rows that wait. What the queue
    /// does not take is kept for the next time, as it is. Returns whether the queue has everything.
    pub async fn flush(&self, second: Option<i64>) -> bool {
        let _one = self.sending.lock().await;
        let mut failed = Vec::new();
        for group in calls(self.collect(second)).chunks_mut(CALLS) {
            let sends = group.iter_mut().map(|call| self.send(mem::take(call)));
            failed.extend(futures::future::join_all(sends).await.into_iter().flatten());
        }
        let whole = failed.is_empty();
        let mut waiting = locked(&self.waiting);
        let mut dropped = 0;
        for message in failed {
            let entries = message.entries;
            dropped += if waiting.keep(message) { 0 } else { entries };
        }
        if whole {
            mem::take(&mut waiting.reported).into_iter().for_each(Wreck::clear);
        }
        drop(waiting);
        self.metrics.add(Counter::RowsDropped, dropped);
        whole
    }

    fn collect(&self, second: Option<i64>) -> Vec<Message> {
        let mut waiting = locked(&self.waiting);
        waiting.row_bytes = 0;
        let rows = mem::take(&mut waiting.rows);
        let mut messages = mem::take(&mut waiting.again);
        let wrecks = mem::take(&mut waiting.wrecks);
        let deaths: Vec<Tally> = wrecks.iter().flat_map(|wreck| wreck.markers.iter()).map(lost).collect();
        waiting.reported.extend(wrecks);
        drop(waiting);
        let tallies = deaths.into_iter().chain(self.tallies.take(second));
        let mut left: Vec<String> = tallies.filter_map(|tally| text(&Entry::Tally(tally))).collect();
        let mut tallies_left = left.len() as u64;
        left.extend(rows);
        let (packed, too_large) = pack::messages(left);
        self.metrics.add(Counter::RowsTooLarge, too_large.len() as u64);
        messages.extend(packed.into_iter().map(|(body, entries)| {
            let tallies = tallies_left > 0;
            tallies_left = tallies_left.saturating_sub(entries);
            Message { body, entries, tallies }
        }));
        messages
    }

    /// One call; gives back the messages that are to be sent again.
    async fn send(&self, mut call: Vec<Message>) -> Vec<Message> {
        let bodies: Vec<String> = call.iter_mut().map(|message| mem::take(&mut message.body)).collect();
        let outcomes = self.queue.send(&bodies).await;
        let mut again = Vec::new();
        for ((message, body), outcome) in call.into_iter().zip(bodies).zip(outcomes) {
            match outcome {
                Sent::Done => self.metrics.add(Counter::MessagesSent, 1),
                Sent::Again(why) => {
                    self.metrics.add(Counter::SendFailures, 1);
                    tracing::warn!(
                        error = why,
                        "the observation queue did not take a message; it is sent again"
                    );
                    again.push(Message { body, ..message });
                }
                Sent::Refused(why) => {
                    self.metrics.add(Counter::MessagesRefused, 1);
                    tracing::error!(
                        error = why,
                        bytes = body.len(),
                        "the observation queue refused a message; it is lost"
                    );
                }
            }
        }
        again
    }
}

fn text(entry: &Entry) -> Option<String> {
    serde_json::to_string(entry)
        .inspect_err(
            |error| tracing::error!(error = %error, "an observation cannot be written as JSON; it is lost"),
        )
        .ok()
}

fn calls(messages: Vec<Message>) -> Vec<Vec<Message>> {
    let mut calls = Vec::new();
    let mut rest = messages;
    while !rest.is_empty() {
        let count = pack::batch(rest.iter().map(|message| message.body.len())).max(1);
        let later = rest.split_off(count);
        calls.push(mem::replace(&mut rest, later));
    }
    calls
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::journal::{Journal, Kind, Marker, wrecks};
    use crate::tally::Outcome;
    use crate::testing::{FakeQueue, assignment, folder, served};
    use seatrial_domain::route::Arm;
    use seatrial_evidence::observation::MESSAGE_BYTES;

    fn outbox(queue: &Arc<FakeQueue>) -> (Outbox, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::default());
        (Outbox::new("p".into(), Arc::clone(queue) as Arc<dyn Queue>, Arc::clone(&metrics)), metrics)
    }

    fn rows(entries: &[Entry]) -> Vec<&str> {
        fn id(entry: &Entry) -> Option<&str> {
            if let Entry::Served(row) = entry { Some(&row.observation_id) } else { None }
        }
        entries.iter().filter_map(id).collect()
    }

    #[tokio::test]
    async fn a_second_that_is_not_over_waits_and_rows_do_not() {
        let queue = FakeQueue::new();
        let (outbox, _) = outbox(&queue);
        let now = assignment(Arm::Champion);
        outbox.tallies.count(&now, Outcome::Answered(5));
        outbox.row(served("a#0", 10));
        assert!(outbox.flush(Some(now.second)).await);
        assert_eq!(rows(&queue.entries()), ["a#0"]);
        assert_eq!(queue.tallies().len(), 0);
        assert!(outbox.flush(Some(now.second + 1)).await);
        assert_eq!(queue.tallies().len(), 1);
        assert!(outbox.flush(None).await);
        assert_eq!(queue.entries().len(), 2, "nothing is sent twice");
    }

    #[tokio::test]
    async fn what_the_queue_does_not_take_is_sent_again_with_the_same_ids() {
        let queue = FakeQueue::new();
        let (outbox, _) = outbox(&queue);
        outbox.tallies.count(&assignment(Arm::Champion), Outcome::Answered(5));
        for n in 0..200 {
            outbox.row(served(&format!("{n}#0"), 1_000));
        }
        queue.down(true);
        assert!(!outbox.flush(None).await);
        assert!(queue.entries().is_empty());
        queue.down(false);
        assert!(outbox.flush(None).await);
        let entries = queue.entries();
        assert_eq!((queue.tallies().len(), rows(&entries).len()), (1, 200));
        assert_eq!(queue.tallies()[0].tally_id, "p-0");
        assert!(queue.bodies().iter().all(|body| body.len() < MESSAGE_BYTES));
    }

    #[tokio::test]
    async fn a_row_that_fits_no_message_is_counted_and_the_others_go() {
        let queue = FakeQueue::new();
        let (outbox, metrics) = outbox(&queue);
        outbox.row(served("large#0", MESSAGE_BYTES));
        outbox.row(served("small#0", 10));
        assert!(outbox.flush(None).await);
        assert_eq!(rows(&queue.entries()), ["small#0"]);
        assert_eq!(metrics.get(Counter::RowsTooLarge), 1);
    }

    #[tokio::test]
    async fn when_the_room_is_full_rows_are_dropped_and_tallies_are_not() {
        let queue = FakeQueue::new();
        let (outbox, metrics) = outbox(&queue);
        queue.down(true);
        let many = ROW_BYTES / 50_000 + 10;
        for n in 0..many {
            outbox.tallies.count(&assignment(Arm::Champion), Outcome::Answered(1));
            outbox.row(served(&format!("{n}#0"), 50_000));
        }
        assert!(metrics.get(Counter::RowsDropped) > 0);
        assert!(!outbox.flush(None).await);
        queue.down(false);
        assert!(outbox.flush(None).await);
        assert_eq!(queue.tallies()[0].assigned, many as u64);
        let sent = rows(&queue.entries()).len() as u64;
        assert_eq!(sent + metrics.get(Counter::RowsDropped), many as u64);
    }

    #[tokio::test]
    async fn the_death_of_a_process_is_reported_until_the_queue_has_it_and_then_forgotten() {
        let dir = folder();
        let journal = Journal::open(&dir).unwrap();
        let marker = Marker {
            kind: Kind::Serve,
            id: "r".into(),
            assignment: assignment(Arm::Challenger),
            unit: "0".repeat(16),
        };
        // A killed process: its marker and its file stay, its lock goes.
        let mark = journal.mark(&marker).unwrap();
        let file = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
        std::fs::copy(&file, dir.join("inflight-dead")).unwrap();
        let queue = FakeQueue::new();
        let (outbox, _) = outbox(&queue);
        outbox.report(wrecks(&dir).unwrap());
        queue.down(true);
        assert!(!outbox.flush(None).await);
        assert!(dir.join("inflight-dead").exists());
        queue.down(false);
        assert!(outbox.flush(None).await);
        assert!(!dir.join("inflight-dead").exists());
        let tallies = queue.tallies();
        assert_eq!(tallies.len(), 1);
        assert_eq!(
            (tallies[0].tally_id.as_str(), tallies[0].errors, tallies[0].role),
            ("lost-r", 1, Arm::Challenger)
        );
        drop(mark);
    }
}
