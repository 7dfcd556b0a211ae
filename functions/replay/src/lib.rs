//! Runs champion and challenger on the same sampled request, in one child process, in random order, and writes the pair.
//!
//! The caller was answered long ago: nothing here can touch them. A version that kills the child is evidence against the
//! challenger. If a whole invocation died (the sandbox ran out of memory or time), its messages come again; then each row is
//! marked before it is run, and a row whose marker was never finished is a crash and is not run again.

mod child;
mod elsewhere;
mod pairing;
pub mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use seatrial_artifacts::package::{Trust, fetch_version};
use seatrial_artifacts::store::ObjectStore;
use seatrial_domain::canonical;
use seatrial_domain::ids::{Digest, ModelName, PromotionId, VersionRef};
use seatrial_domain::policy::Policy;
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

/// How long the counts of a batch are kept.
const TALLY_TTL: SignedDuration = SignedDuration::from_hours(24 * 60);

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

/// A child that has these two versions of a model loaded.
struct Warm {
    model: ModelName,
    champion: Digest,
    challenger: Digest,
    child: Child,
    /// Those of both that run elsewhere.
    elsewhere: Elsewhere,
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

    /// Handles a batch. A message that is not a list of samples is dropped with a log line: only `observe` writes here.
    ///
    /// # Errors
    /// When a dependency does not answer: the batch comes again.
    pub async fn handle<C>(&self, clock: C, event: SqsEvent) -> Result<BatchAnswer, Failure>
    where
        C: Fn() -> Timestamp + Send + Sync,
    {
        let mut by_promotion: BTreeMap<(ModelName, PromotionId), Vec<(Sample, bool)>> = BTreeMap::new();
        for message in &event.records {
            let again = message.attributes.approximate_receive_count.as_deref().is_some_and(|n| n != "1");
            match serde_json::from_str::<Vec<Sample>>(&message.body) {
                Ok(samples) => {
                    for sample in samples {
                        let key = (sample.row.model.clone(), sample.promotion.clone());
                        by_promotion.entry(key).or_default().push((sample, again));
                    }
                }
                Err(e) => {
                    tracing::error!(message = message.message_id, error = %e, "a message of the shadow queue is not a list of samples");
                }
            }
        }
        for ((model, promotion), samples) in by_promotion {
            if let Some(shadow) = self.shadow(&model, &promotion).await? {
                self.replay(&shadow, samples, clock()).await?;
            }
        }
        if let Some(oldest) = event.records.iter().filter_map(SqsMessage::sent_at).min() {
            self.ports.watermarks.set_drained_at(self.ports.queue.name(), oldest).await?;
        }
        Ok(BatchAnswer::default())
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

    async fn replay(
        &self,
        shadow: &Shadow,
        samples: Vec<(Sample, bool)>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let mut pairs = Vec::new();
        for (sample, again) in samples {
            if again {
                self.once_more(shadow, &sample, now).await?;
            } else {
                pairs.push(Self::pair(shadow, &sample, self.run(shadow, &sample).await?));
            }
        }
        self.store(shadow, pairs).await
    }

    /// Replays a row whose message came before: by then an invocation may have died on it, or run out of time on the rows
    /// before it. Its pair is stored before its marker is finished, so every delivery gets further than the one before, and
    /// no row that kills or hangs keeps the others of its batch from being evidence.
    async fn once_more(&self, shadow: &Shadow, sample: &Sample, now: Timestamp) -> Result<(), Failure> {
        let id = &sample.row.observation_id;
        let expires = now.saturating_add(ATTEMPT_TTL).unwrap_or(Timestamp::MAX);
        let outcome = match self.ports.attempts.mark_attempt(&shadow.id, id, expires).await? {
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

    /// Runs both versions in the warm child, or in a new one.
    async fn run(&self, shadow: &Shadow, sample: &Sample) -> Result<Outcome, Failure> {
        let mut warm = self.warm.lock().await;
        let fits = warm.as_ref().is_some_and(|w| {
            // The same bytes of another model are called with that model's external id.
            w.model == shadow.model
                && w.champion == shadow.champion.digest
                && w.challenger == shadow.challenger.digest
        });
        if !fits {
            *warm = None;
            let program =
                std::env::current_exe().map_err(|e| Failure::internal("finding this program", e))?;
            let elsewhere = Elsewhere::connect(self.ports.network, &shadow.model, &shadow.folders).await?;
            let (champion, challenger) = elsewhere.here(&shadow.folders);
            let Some(mut child) = Child::start(&program, self.library.clone(), champion, challenger).await?
            else {
                return Ok(Outcome::Died("crash"));
            };
            if let Some(trouble) = &child.champion_trouble {
                return Err(Failure::internal("loading the champion for the replay", trouble.clone()));
            }
            // Once unmeasured, so that no pair's latency holds the first run's allocations.
            let warming = elsewhere.run(&mut child, sample.row.inputs.clone(), true).await;
            if let Outcome::Died(_) = warming {
                return Ok(Outcome::Died("crash"));
            }
            *warm = Some(Warm {
                model: shadow.model.clone(),
                champion: shadow.champion.digest.clone(),
                challenger: shadow.challenger.digest.clone(),
                child,
                elsewhere,
            });
        }
        let Some(ready) = warm.as_mut() else { return Ok(Outcome::Died("crash")) };
        let first = pairing::challenger_first(&sample.row.observation_id);
        let Warm { child, elsewhere, .. } = ready;
        let outcome = elsewhere.run(child, sample.row.inputs.clone(), first).await;
        if matches!(outcome, Outcome::Died(_)) {
            *warm = None;
        }
        Ok(outcome)
    }
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
