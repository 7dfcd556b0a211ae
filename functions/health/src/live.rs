//! Reading what was said about the requests that a canary served.
//!
//! Files of the serving log, of signals and of labels never change once they are there, so a warm process reads each once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use seatrial_artifacts::store::ObjectStore;
use seatrial_domain::ids::ModelName;
use seatrial_domain::policy::{ACCURACY, Canary};
use seatrial_evidence::keys;
use seatrial_evidence::live::{self, Said, ServedRow, SignalCounts, Window};
use seatrial_evidence::table::TableError;
use seatrial_runtime::Failure;

/// The largest file that is read, in bytes.
const FILE_LIMIT: u64 = 256 << 20;

/// How many files are read at once.
const READS: usize = 16;

/// A file is filed under the hour of its oldest message, and messages come again for some minutes: so much before the canary's
/// first step files may begin that hold rows of it.
const EARLIER: SignedDuration = SignedDuration::from_hours(1);

/// What was read of one promotion's canary before.
#[derive(Debug, Default)]
pub struct LiveCache(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    /// The model and the epoch: another one begins anew.
    of: Option<(ModelName, u64)>,
    files: BTreeMap<String, Read>,
}

#[derive(Debug, Clone)]
enum Read {
    Served(Arc<[ServedRow]>),
    Said(Arc<[Said]>),
}

/// What is read, and how.
type Kind = (&'static str, fn(Bytes, u64) -> Result<Read, TableError>);

const SERVED: Kind = ("observations", |file, epoch| {
    let rows = live::read_served(file)?;
    Ok(Read::Served(rows.into_iter().filter(|row| row.epoch == epoch).collect()))
});
const SIGNALS: Kind = ("signals", |file, _| Ok(Read::Said(live::read_signals(file)?.into())));
const LABELS: Kind = ("labels", |file, _| Ok(Read::Said(live::read_labels(file)?.into())));

/// Whose canary it is, and since when.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    /// The model.
    pub model: &'a ModelName,
    /// The promotion's epoch.
    pub epoch: u64,
    /// When its first step began.
    pub since: Timestamp,
    /// Up to when the queue is drained.
    pub watermark: Timestamp,
}

/// The signals of the canary so far; empty, without reading anything, when the policy names none.
///
/// # Errors
/// When the data bucket does not answer, or a file is not what it should be.
pub async fn signals(
    data: &dyn ObjectStore,
    cache: &LiveCache,
    rules: &Canary,
    of: Of<'_>,
) -> Result<SignalCounts, Failure> {
    let mut kinds = Vec::new();
    if rules.signals().any(|name| name != ACCURACY) {
        kinds.push(SIGNALS);
    }
    if rules.signals().any(|name| name == ACCURACY) {
        kinds.push(LABELS);
    }
    if kinds.is_empty() {
        return Ok(SignalCounts::default());
    }
    kinds.push(SERVED);
    let (mut served, mut said) = (Vec::new(), Vec::new());
    for kind in kinds {
        for read in files(data, cache, of, kind).await? {
            match read {
                Read::Served(rows) => served.extend(rows.iter().cloned()),
                Read::Said(entries) => said.extend(entries.iter().cloned()),
            }
        }
    }
    let window = Window { epoch: of.epoch, watermark: of.watermark.as_second() };
    Ok(live::join(&served, &said, rules, window))
}

async fn files(
    data: &dyn ObjectStore,
    cache: &LiveCache,
    of: Of<'_>,
    (kind, parse): Kind,
) -> Result<Vec<Read>, Failure> {
    let from = of.since.checked_sub(EARLIER).unwrap_or(of.since);
    let mut keys = Vec::new();
    for folder in keys::hours(kind, of.model, from, of.watermark) {
        keys.extend(data.list(&folder).await?.into_iter().map(|object| object.key));
    }
    stream::iter(keys)
        .map(|key| async move {
            if let Some(known) = cache.get(of, &key) {
                return Ok(known);
            }
            let file = data.get(&key, FILE_LIMIT).await?.ok_or_else(|| {
                Failure::unavailable("reading what was served", format!("{key} vanished after it was listed"))
            })?;
            let read =
                parse(file, of.epoch).map_err(|e| Failure::internal(&format!("reading {key} ({e})"), e))?;
            cache.keep(of, key, read.clone());
            Ok(read)
        })
        .buffered(READS)
        .try_collect()
        .await
}

impl LiveCache {
    fn get(&self, of: Of<'_>, key: &str) -> Option<Read> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = held.of.as_ref().is_some_and(|(model, epoch)| model == of.model && *epoch == of.epoch);
        held.files.get(key).filter(|_| same).cloned()
    }

    fn keep(&self, of: Of<'_>, key: String, read: Read) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Some((of.model.clone(), of.epoch));
        if held.of != now {
            *held = Held { of: now, files: BTreeMap::new() };
        }
        held.files.insert(key, read);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use seatrial_artifacts::{MemoryS3, MemoryStore};
    use seatrial_domain::canonical;
    use seatrial_domain::route::{Arm, Weight};
    use seatrial_evidence::observation::{Output, Queued, RouteStamp, SCHEMA, Served, Signal};
    use seatrial_evidence::table;

    use super::*;

    const START: i64 = 1_800_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(START + second).unwrap()
    }

    fn served(n: i64, role: Arm, epoch: u64) -> Queued<Served> {
        let entry = Served {
            schema: SCHEMA,
            observation_id: format!("o{n}"),
            client_id: None,
            model: "m".parse().unwrap(),
            version: "v2".parse().unwrap(),
            digest: canonical::sha256(b"x"),
            role,
            route: RouteStamp { promotion: None, epoch, weight: Weight::from_percent(25.0).unwrap() },
            unit: None,
            at: at(n),
            inputs: serde_json::Map::new(),
            output: Output { label: Some("yes".into()), ..Output::default() },
            latency_us: 5,
            load_us: None,
            warm: None,
            error: None,
            segments: BTreeMap::new(),
            protected: BTreeMap::new(),
        };
        Queued { entry, queued_at: at(n) }
    }

    fn down(n: i64) -> Queued<Signal> {
        let entry = Signal {
            schema: SCHEMA,
            observation_id: Some(format!("o{n}")),
            client_id: None,
            model: "m".parse().unwrap(),
            name: "thumbs_down".into(),
            value: 1.0,
            at: at(n + 1),
        };
        Queued { entry, queued_at: at(n + 1) }
    }

    async fn put(store: &MemoryStore, key: impl Fn(&seatrial_domain::Digest) -> String, file: Vec<u8>) {
        let digest = canonical::sha256(&file);
        store.put_if_absent(&key(&digest), Bytes::from(file), "x").await.unwrap();
    }

    #[tokio::test]
    async fn signals_of_this_epoch_are_joined_and_without_rules_nothing_is_read() {
        let store = MemoryS3::default().bucket("data");
        let model: ModelName = "m".parse().unwrap();
        let log = [served(1, Arm::Challenger, 3), served(2, Arm::Champion, 3), served(3, Arm::Champion, 2)];
        put(&store, |d| keys::observations(&model, at(1), d), table::write_served(&log).unwrap()).await;
        put(&store, |d| keys::signals(&model, at(2), d), table::write_signals(&[down(1), down(3)]).unwrap())
            .await;
        let rules: Canary = serde_json::from_value(serde_json::json!({
            "metrics": { "thumbs_down": { "class": "guardrail", "margin": 0.1, "bounds": [0, 1], "within_seconds": 5 } },
        }))
        .unwrap();
        let cache = LiveCache::default();
        let of = Of { model: &model, epoch: 3, since: at(0), watermark: at(100) };
        for _ in 0..2 {
            let counts = signals(&store, &cache, &rules, of).await.unwrap();
            let slices = &counts.by_name["thumbs_down"][&Weight::from_percent(25.0).unwrap()];
            assert_eq!((slices[0].canary.n, slices[0].canary.sum), (1, 1.0));
            assert_eq!((slices[0].champion.n, slices[0].champion.sum), (1, 0.0));
            assert_eq!(counts.unmatched, 1, "the third was served before this epoch");
        }
        let none = signals(&store, &cache, &Canary::default(), of).await.unwrap();
        assert_eq!(none, SignalCounts::default());
    }
}
