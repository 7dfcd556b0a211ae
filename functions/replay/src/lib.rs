//! Runs champion and challenger on the same sampled request, in one child process, in random order, and writes the pair.
//!
//! The caller was answered long ago: nothing here can touch them. A version that kills the child is evidence against the
//! challenger. If a whole invocation died (the sandbox ran out of memory or time), its messages come again; then each row is
//! marked before it is run, and a row whose marker was never finished is a crash and is not run again. So that slow versions
//! are not taken for such, no row is begun when much of the invocation's time has passed.

mod child;
mod elsewhere;
mod pairing;
pub mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use seatrial_artifacts::package::{Trust, fetch_version};
use seatrial_artifacts::store::ObjectStore;
use seatrial_domain::canonical;
use seatrial_domain::ids::{Digest, ModelName, PromotionId, VersionRef};
use seatrial_domain::policy::Policy;
use seatrial_evidence::observation::TALLY_TTL;
use seatrial_evidence::pair::{ClassesNote, Pair};
use seatrial_evidence::shadow::Sample;
use seatrial_evidence::shadow_tally::{SHADOW_ARM, ShadowTally, StoredShadowTally};
use seatrial_evidence::{keys, table};
use seatrial_inference::ModelConfig;
use seatrial_registry::{AttemptState, Attempts, Records, Tallies, TallyItem, Watermarks};
use seatrial_remote::Network;
use seatrial_runtime::Failure;
use seatrial_runtime::queue::Queue;
use seatrial_runtime::sqs_event::{BatchAnswer, SqsEvent, SqsMessage};
use tokio::sync::Mutex;

use child::{Child, Outcome};
use elsewhere::Elsewhere;

/// How long attempt markers are kept.
const ATTEMPT_TTL: SignedDuration = SignedDuration::from_hours(24 * 14);

/// How long rows are begun. The last of them, with a version that takes its whole time, must end within the function's.
const BUDGET: SignedDuration = SignedDuration::from_secs(60);

/// What `replay` works with.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// Reading the registry.
    pub records: &'a dyn Records,
    /// Counts of the pairs that are written.
    pub tallies: &'a dyn Tallies,
    /// Attempt markers.
    pub attempts: &'a dyn Attempts,
    /// The evidence clock.
    pub watermarks: &'a dyn Watermarks,
    /// The models bucket.
    pub models: &'a dyn ObjectStore,
    /// Whose signatures make a version loadable.
    pub trust: &'a Trust,
    /// What remote versions may reach.
    pub network: &'a Network,
    /// The data bucket.
    pub data: &'a dyn ObjectStore,
    /// Where the batch came from.
    pub queue: &'a dyn Queue,
}

/// The function with its warm child.
pub struct Replayer<'a> {
    ports: Ports<'a>,
    library: PathBuf,
    versions: PathBuf,
    /// Where versions lie that this process fetched and checked: once each, and not for every batch.
    fetched: Mutex<BTreeMap<(ModelName, Digest), PathBuf>>,
    warm: Mutex<Option<Warm>>,
}

impl std::fmt::Debug for Replayer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Replayer")
    }
}

/// Two versions of a model, connected where they run elsewhere, and loaded where there is a child.
struct Warm {
    model: ModelName,
    champion: Digest,
    challenger: Digest,
    /// Those of both that run elsewhere.
    elsewhere: Elsewhere,
    /// Started with the first row, and again with the one after a row that ended it.
    child: Option<Child>,
}

impl Warm {
    /// The same bytes of another model are another pair: they are called with that model's external id.
    fn is(&self, shadow: &Shadow) -> bool {
        self.model == shadow.model
            && self.champion == shadow.champion.digest
            && self.challenger == shadow.challenger.digest
    }
}

/// A sampled row.
struct Row {
    sample: Sample,
    /// The place of its message in the batch.
    message: usize,
    /// Whether the message came before.
    again: bool,
}

/// A promotion whose rows are replayed.
struct Shadow {
    model: ModelName,
    id: PromotionId,
    champion: VersionRef,
    challenger: VersionRef,
    epoch: u64,
    policy: Policy,
    /// The place of the positive class among the champion's classes, and among the challenger's.
    positive: Option<usize>,
    challenger_positive: Option<usize>,
    note: ClassesNote,
    folders: (PathBuf, PathBuf),
}

impl<'a> Replayer<'a> {
    /// A replayer that keeps versions in the folder `versions`.
    #[must_use]
    pub fn new(ports: Ports<'a>, library: PathBuf, versions: PathBuf) -> Self {
        Self { ports, library, versions, fetched: Mutex::default(), warm: Mutex::new(None) }
    }

    /// Handles a batch. A message that is not a list of samples is dropped with a log line: only `observe` writes here. One of
    /// which a row could not be replayed now, or not in time, comes again; the rows of it that were are not run again.
    ///
    /// # Errors
    /// When a dependency does not answer, or no message at all could be worked off: the batch comes again.
    pub async fn handle<C>(&self, clock: C, event: SqsEvent) -> Result<BatchAnswer, Failure>
    where
        C: Fn() -> Timestamp + Send + Sync,
    {
        let began = clock();
        let late = || clock().duration_since(began) >= BUDGET;
        let (mut left, mut done, mut trouble) = (BTreeSet::new(), Vec::new(), None);
        let by_promotion = rows(&event);
        for ((model, promotion), rows) in &by_promotion {
            let (through, failure) = self.work(model, promotion, rows, began, &late).await;
            let (ended, open) = rows.split_at(through);
            left.extend(open.iter().map(|row| row.message));
            done.extend(ended.iter().filter(|row| !row.again).map(|row| (promotion, row)));
            if let Some(failure) = failure {
                tracing::warn!(%model, error = %failure.chain(), "a row could not be replayed; its message comes again");
                trouble = trouble.or(Some(failure));
            }
        }
        for (promotion, row) in done {
            if left.contains(&row.message) {
                let id = &row.sample.row.observation_id;
                self.ports.attempts.mark_attempt(promotion, id, expires(began)).await?;
                self.ports.attempts.finish_attempt(promotion, id).await?;
            }
        }
        if let Some(failure) = trouble.filter(|_| left.len() == event.records.len()) {
            return Err(failure);
        }
        // What comes again is not worked off, and nothing that was sent after it counts as if it were.
        if left.is_empty()
            && let Some(oldest) = event.records.iter().filter_map(SqsMessage::sent_at).min()
        {
            self.ports.watermarks.set_drained_at(self.ports.queue.name(), oldest).await?;
        }
        Ok(BatchAnswer::keep(left.into_iter().map(|message| event.records[message].message_id.clone())))
    }

    /// Replays a promotion's rows, as far as that can be done now: how many of them came to their end, and what hindered the next.
    async fn work(
        &self,
        model: &ModelName,
        promotion: &PromotionId,
        rows: &[Row],
        now: Timestamp,
        late: &(dyn Fn() -> bool + Sync),
    ) -> (usize, Option<Failure>) {
        if late() {
            return (0, None);
        }
        match self.shadow(model, promotion).await {
            Ok(Some(shadow)) => self.replay(&shadow, rows, now, late).await,
            Ok(None) => (rows.len(), None),
            Err(failure) => (0, Some(failure)),
        }
    }

    /// The promotion's two versions, fetched and verified; `None` when there is nothing to compare.
    async fn shadow(&self, model: &ModelName, promotion: &PromotionId) -> Result<Option<Shadow>, Failure> {
        let Some(record) = self.ports.records.promotion(model, promotion).await? else { return Ok(None) };
        let Some(champion) = record.champion else { return Ok(None) };
        let policy = self.ports.records.policy(model, record.policy.number).await?;
        let missing = || {
            Failure::internal("reading the policy of a shadow", format!("promotion {promotion} pinned none"))
        };
        let policy = policy.filter(|p| p.reference == record.policy).ok_or_else(missing)?.policy;
        let champion_folder = self.fetch(model, &champion).await?;
        let challenger_folder = self.fetch(model, &record.challenger).await?;
        let (one, other) = (config(&champion_folder).await?, config(&challenger_folder).await?);
        let positive = policy.positive_class.clone().or(one.positive);
        let place =
            |classes: &[String]| positive.as_ref().and_then(|class| classes.iter().position(|c| c == class));
        Ok(Some(Shadow {
            model: model.clone(),
            id: promotion.clone(),
            epoch: record.epoch,
            champion,
            challenger: record.challenger,
            policy,
            positive: place(&one.classes),
            challenger_positive: place(&other.classes),
            note: ClassesNote { champion: one.classes, challenger: other.classes, positive },
            folders: (champion_folder, challenger_folder),
        }))
    }

    async fn fetch(&self, model: &ModelName, version: &VersionRef) -> Result<PathBuf, Failure> {
        let mut fetched = self.fetched.lock().await;
        let name = (model.clone(), version.digest.clone());
        if let Some(folder) = fetched.get(&name) {
            return Ok(folder.clone());
        }
        let folder =
            fetch_version(self.ports.models, model, version, &self.versions, self.ports.trust).await?;
        fetched.insert(name, folder.clone());
        Ok(folder)
    }

    /// Replays rows until the time is over or one cannot be replayed now, and stores what there is.
    async fn replay(
        &self,
        shadow: &Shadow,
        rows: &[Row],
        now: Timestamp,
        late: &(dyn Fn() -> bool + Sync),
    ) -> (usize, Option<Failure>) {
        let mut pairs = Vec::new();
        let (mut through, mut trouble) = (0, None);
        for row in rows {
            // Before the row is marked: neither a service that is away nor too little time is a crash on it.
            if let Err(failure) = self.connect(shadow).await {
                trouble = Some(failure);
                break;
            }
            if late() {
                break;
            }
            let ended = if row.again {
                self.once_more(shadow, &row.sample, now).await
            } else {
                let outcome = self.run(shadow, &row.sample).await;
                outcome.map(|outcome| pairs.push(Self::pair(shadow, &row.sample, outcome)))
            };
            if let Err(failure) = ended {
                trouble = Some(failure);
                break;
            }
            through += 1;
        }
        match self.store(shadow, pairs).await {
            Ok(()) => (through, trouble),
            // What was marked is known to have ended; the others are run again.
            Err(failure) => (0, Some(failure)),
        }
    }

    /// Replays a row whose message came before: by then an invocation may have died on it, or run out of time on the rows
    /// before it. Its pair is stored before its marker is finished, so every delivery gets further than the one before, and
    /// no row that kills or hangs keeps the others of its batch from being evidence.
    async fn once_more(&self, shadow: &Shadow, sample: &Sample, now: Timestamp) -> Result<(), Failure> {
        let id = &sample.row.observation_id;
        let outcome = match self.ports.attempts.mark_attempt(&shadow.id, id, expires(now)).await? {
            AttemptState::Again { finished: true, .. } => return Ok(()),
            AttemptState::Again { finished: false, .. } => Outcome::Died("crash"),
            AttemptState::First => self.run(shadow, sample).await?,
        };
        self.store(shadow, vec![Self::pair(shadow, sample, outcome)]).await?;
        Ok(self.ports.attempts.finish_attempt(&shadow.id, id).await?)
    }

    fn pair(shadow: &Shadow, sample: &Sample, mut outcome: Outcome) -> Pair {
        // The policy may name another positive class than a version's own configuration does.
        if let Outcome::Both { champion, challenger } = &mut outcome {
            for (answer, place) in [(champion, shadow.positive), (challenger, shadow.challenger_positive)] {
                if let (Some(place), Some(scores)) = (place, &answer.scores) {
                    answer.score = scores.get(place).copied();
                }
            }
        }
        let columns = shadow.policy.segment_columns();
        pairing::pair(sample, shadow.champion.version, &columns, shadow.positive, outcome)
    }

    /// Writes the pairs, and then what a look at the running shadow needs of them.
    async fn store(&self, shadow: &Shadow, pairs: Vec<Pair>) -> Result<(), Failure> {
        let tally = (!pairs.is_empty()).then(|| tally(shadow, &pairs)).transpose()?;
        let mut parts: BTreeMap<u16, Vec<Pair>> = BTreeMap::new();
        for pair in pairs {
            let part = keys::partition(&pair.observation_id, shadow.policy.shadow.partitions);
            parts.entry(part).or_default().push(pair);
        }
        for (part, pairs) in parts {
            let file = table::write_pairs_with(&pairs, Some(&shadow.note))
                .map_err(|e| Failure::internal("writing pairs", e))?;
            let key = keys::pairs(&shadow.model, &shadow.id, part, &canonical::sha256(&file));
            self.ports.data.put_if_absent(&key, Bytes::from(file), "application/vnd.apache.parquet").await?;
        }
        if let Some(tally) = tally {
            self.ports.tallies.put_tally(&tally).await?;
        }
        Ok(())
    }

    /// Connects those of both versions that run elsewhere, unless they are connected.
    async fn connect(&self, shadow: &Shadow) -> Result<(), Failure> {
        let mut warm = self.warm.lock().await;
        if warm.as_ref().is_some_and(|w| w.is(shadow)) {
            return Ok(());
        }
        *warm = None;
        let elsewhere = Elsewhere::connect(self.ports.network, &shadow.model, &shadow.folders).await?;
        *warm = Some(Warm {
            model: shadow.model.clone(),
            champion: shadow.champion.digest.clone(),
            challenger: shadow.challenger.digest.clone(),
            elsewhere,
            child: None,
        });
        Ok(())
    }

    /// Runs both versions in the warm child, or in a new one.
    async fn run(&self, shadow: &Shadow, sample: &Sample) -> Result<Outcome, Failure> {
        let mut warm = self.warm.lock().await;
        let Some(Warm { elsewhere, child, .. }) = warm.as_mut().filter(|w| w.is(shadow)) else {
            return Err(Failure::internal("replaying a row", "its versions are not connected"));
        };
        if child.is_none() {
            let program =
                std::env::current_exe().map_err(|e| Failure::internal("finding this program", e))?;
            let (champion, challenger) = elsewhere.here(&shadow.folders);
            let Some(mut started) =
                Child::start(&program, self.library.clone(), champion, challenger).await?
            else {
                return Ok(Outcome::Died("crash"));
            };
            if let Some(trouble) = &started.champion_trouble {
                return Err(Failure::internal("loading the champion for the replay", trouble.clone()));
            }
            // Once unmeasured, so that no pair's latency holds the first run's allocations.
            let warming = elsewhere.run(&mut started, sample.row.inputs.clone(), true).await;
            if let Outcome::Died(_) = warming {
                return Ok(Outcome::Died("crash"));
            }
            *child = Some(started);
        }
        let Some(running) = child.as_mut() else { return Ok(Outcome::Died("crash")) };
        let first = pairing::challenger_first(&sample.row.observation_id);
        let outcome = elsewhere.run(running, sample.row.inputs.clone(), first).await;
        if matches!(outcome, Outcome::Died(_)) {
            *child = None;
        }
        Ok(outcome)
    }
}

/// The rows of a batch by promotion, in the order of its messages.
fn rows(event: &SqsEvent) -> BTreeMap<(ModelName, PromotionId), Vec<Row>> {
    let mut by_promotion: BTreeMap<_, Vec<Row>> = BTreeMap::new();
    for (message, sent) in event.records.iter().enumerate() {
        let again = sent.attributes.approximate_receive_count.as_deref().is_some_and(|n| n != "1");
        match serde_json::from_str::<Vec<Sample>>(&sent.body) {
            Ok(samples) => {
                for sample in samples {
                    let key = (sample.row.model.clone(), sample.promotion.clone());
                    by_promotion.entry(key).or_default().push(Row { sample, message, again });
                }
            }
            Err(e) => {
                tracing::error!(message = sent.message_id, error = %e, "a message of the shadow queue is not a list of samples");
            }
        }
    }
    by_promotion
}

/// When a marker that is made now may go.
fn expires(now: Timestamp) -> Timestamp {
    now.saturating_add(ATTEMPT_TTL).unwrap_or(Timestamp::MAX)
}

/// The counts of a batch of pairs. The same batch has the same id, so that one delivered again counts once.
fn tally(shadow: &Shadow, pairs: &[Pair]) -> Result<TallyItem, Failure> {
    let second = ShadowTally::second(pairs);
    let body = StoredShadowTally { schema: 1, promotion: shadow.id.clone(), counts: ShadowTally::of(pairs) };
    let at = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(TallyItem {
        model: shadow.model.clone(),
        epoch: shadow.epoch,
        second,
        arm: SHADOW_ARM.to_owned(),
        id: ShadowTally::id(pairs),
        body: serde_json::to_string(&body)
            .map_err(|e| Failure::internal("writing a tally of the shadow", e))?,
        expires_at: at.saturating_add(TALLY_TTL).unwrap_or(Timestamp::MAX),
    })
}

/// What a version's configuration says of its classes; nothing where it says none.
struct Classes {
    classes: Vec<String>,
    positive: Option<String>,
}

async fn config(folder: &std::path::Path) -> Result<Classes, Failure> {
    let text = tokio::fs::read_to_string(folder.join("config.yaml"))
        .await
        .map_err(|e| Failure::unavailable("reading a version's config.yaml", e))?;
    let config = ModelConfig::from_yaml(&text).ok();
    Ok(config.map_or(Classes { classes: Vec::new(), positive: None }, |c| Classes {
        classes: c.classes,
        positive: c.positive_class,
    }))
}
