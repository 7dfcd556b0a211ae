//! The versions in this process: loaded once each, a bounded number, a failing one again after a pause.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use seatrial_domain::ids::{Digest, ModelName, VersionRef};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::clock::Moment;
use crate::locked;
use crate::ports::{LoadFailure, Loader, Predictor};

/// The pause after the first failure; it doubles with each further one.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);
/// The longest loading.
const LIMIT: Duration = Duration::from_secs(300);
/// Requests that may wait at one time for a version that runs elsewhere: each holds a thread that does nothing.
const WAITING: usize = 64;
/// As how many failures the death of a process in a version's loading counts: the next try comes after half a minute.
const DEATH: u32 = 6;

/// A version ready to run.
pub struct Loaded {
    /// What runs it.
    pub predictor: Arc<dyn Predictor>,
    /// One permit a request that may run at a time. Each version has its own, so that a slow one does not hold up others.
    pub permits: Arc<Semaphore>,
    /// How long it took to load, in microseconds.
    pub load_us: u64,
}

type Loading = Shared<BoxFuture<'static, Result<Arc<Loaded>, LoadFailure>>>;

/// A version of a model. The same bytes of another model are another version: they have a signature of their own, and an owner's role
/// is taken for the model that asks.
type Key = (ModelName, Digest);

/// The versions by model and digest.
pub struct Versions {
    loader: Arc<dyn Loader>,
    capacity: usize,
    parallel: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    slots: HashMap<Key, Slot>,
    /// Counts the uses: who was used last has the highest number.
    clock: u64,
}

struct Slot {
    state: State,
    used: u64,
    failures: u32,
}

enum State {
    Loading(Loading),
    Ready(Arc<Loaded>),
    Failed { at: Moment, why: LoadFailure },
}

/// What asking for a version came to.
pub enum Asked {
    /// It is loaded.
    Ready(Arc<Loaded>),
    /// It is being loaded; `first` for the one who asked first, and who reports a failure.
    Loading {
        /// Whether this call started it.
        first: bool,
        /// Its end.
        end: Loading,
    },
    /// It failed just now, and is not tried again yet.
    Failed(LoadFailure),
}

fn pause(failures: u32) -> Duration {
    PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST)
}

impl Versions {
    /// No version yet; at most `capacity` are kept, and `parallel` requests run on one at a time.
    #[must_use]
    pub fn new(loader: Arc<dyn Loader>, capacity: usize, parallel: usize) -> Arc<Self> {
        Arc::new(Self {
            loader,
            capacity: capacity.max(1),
            parallel: parallel.max(1),
            table: Mutex::default(),
        })
    }

    /// The version if it is loaded. Counts as a use.
    #[must_use]
    pub fn ready(&self, model: &ModelName, version: &Digest) -> Option<Arc<Loaded>> {
        let mut table = locked(&self.table);
        table.clock += 1;
        let clock = table.clock;
        let slot = table.slots.get_mut(&(model.clone(), version.clone()))?;
        slot.used = clock;
        match &slot.state {
            State::Ready(loaded) => Some(Arc::clone(loaded)),
            State::Loading(_) | State::Failed { .. } => None,
        }
    }

    /// Asks for a version, and starts loading it unless that has failed just now.
    #[must_use]
    pub fn ask(self: &Arc<Self>, model: &ModelName, version: &VersionRef) -> Asked {
        let mut table = locked(&self.table);
        table.clock += 1;
        let clock = table.clock;
        let key = (model.clone(), version.digest.clone());
        let failures = match table.slots.get_mut(&key) {
            None => 0,
            Some(slot) => {
                slot.used = clock;
                match &slot.state {
                    State::Ready(loaded) => return Asked::Ready(Arc::clone(loaded)),
                    State::Loading(end) => return Asked::Loading { first: false, end: end.clone() },
                    State::Failed { at, why } if at.age() < pause(slot.failures) => {
                        return Asked::Failed(why.clone());
                    }
                    State::Failed { .. } => slot.failures,
                }
            }
        };
        // The task finds the slot in place: it ends by taking the lock that is held here.
        let end = self.start(model.clone(), version.clone());
        let state = State::Loading(end.clone());
        table.slots.insert(key, Slot { state, used: clock, failures });
        Asked::Loading { first: true, end }
    }

    /// The version, waited for; with the time this call waited for its loading, if it did.
    ///
    /// # Errors
    /// When it cannot be loaded, now or a moment ago.
    pub async fn get(
        self: &Arc<Self>,
        model: &ModelName,
        version: &VersionRef,
    ) -> Result<(Arc<Loaded>, Option<u64>), LoadFailure> {
        match self.ask(model, version) {
            Asked::Ready(loaded) => Ok((loaded, None)),
            Asked::Failed(why) => Err(why),
            Asked::Loading { end, .. } => {
                let began = Instant::now();
                let loaded = end.await?;
                Ok((loaded, Some(began.elapsed().as_micros() as u64)))
            }
        }
    }

    /// Takes note that an earlier process died while it loaded this version.
    pub fn died_loading(&self, model: &ModelName, version: &Digest) {
        let why = LoadFailure::Broken("an earlier process died while it loaded this version".into());
        let slot = Slot { state: State::Failed { at: Moment::now(), why }, used: 0, failures: DEATH };
        locked(&self.table).slots.insert((model.clone(), version.clone()), slot);
    }

    /// The digests that are loaded, once for each model.
    #[must_use]
    pub fn loaded(&self) -> Vec<Digest> {
        let table = locked(&self.table);
        let ready = table.slots.iter().filter(|(_, slot)| matches!(slot.state, State::Ready(_)));
        ready.map(|((_, digest), _)| digest.clone()).collect()
    }

    /// How many requests run on a version at one time: as many as there are processors for, or, where it runs elsewhere, as may wait.
    fn at_once(&self, predictor: &dyn Predictor) -> usize {
        if predictor.is_elsewhere() { self.parallel.max(WAITING) } else { self.parallel }
    }

    /// Loads in a task of its own, so that a caller who goes away does not stop it.
    fn start(self: &Arc<Self>, model: ModelName, version: VersionRef) -> Loading {
        let this = Arc::clone(self);
        let task = tokio::spawn(async move {
            let began = Instant::now();
            let loading = AssertUnwindSafe(this.loader.load(&model, &version)).catch_unwind();
            let result = match tokio::time::timeout(LIMIT, loading).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(LoadFailure::Broken("loading it panicked".into())),
                Err(_) => {
                    Err(LoadFailure::Unavailable(format!("loading it took more than {} s", LIMIT.as_secs())))
                }
            };
            if let Err(why) = &result {
                tracing::error!(model = %model, version = %version.version, error = %why, "a version could not be loaded");
            }
            let result = result.map(|predictor| {
                let permits = Arc::new(Semaphore::new(this.at_once(predictor.as_ref())));
                Arc::new(Loaded { predictor, permits, load_us: began.elapsed().as_micros() as u64 })
            });
            this.settle(&(model, version.digest), &result);
            result
        });
        let end = async move {
            task.await.unwrap_or_else(|_| Err(LoadFailure::Unavailable("loading it was stopped".into())))
        };
        end.boxed().shared()
    }

    fn settle(&self, version: &Key, result: &Result<Arc<Loaded>, LoadFailure>) {
        let mut table = locked(&self.table);
        let Some(slot) = table.slots.get_mut(version) else { return };
        slot.state = match result {
            Ok(loaded) => State::Ready(Arc::clone(loaded)),
            Err(why) => {
                slot.failures += 1;
                State::Failed { at: Moment::now(), why: why.clone() }
            }
        };
        self.evict(&mut table);
    }

    /// Drops the versions that were not used for longest, until the rest fits. Requests that run on one keep it.
    fn evict(&self, table: &mut Table) {
        while table.slots.len() > self.capacity {
            let settled = table.slots.iter().filter(|(_, slot)| !matches!(slot.state, State::Loading(_)));
            let Some(oldest) = settled.min_by_key(|(_, slot)| slot.used).map(|(key, _)| key.clone()) else {
                return;
            };
            table.slots.remove(&oldest);
            // Files lie by their digest: another model's version of the same bytes may need them.
            let (_, digest) = &oldest;
            if !table.slots.keys().any(|(_, other)| other == digest) {
                self.loader.forget(digest);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::testing::{FakeLoader, model, version};

    fn versions(loader: &Arc<FakeLoader>, capacity: usize) -> Arc<Versions> {
        Versions::new(Arc::clone(loader) as Arc<dyn Loader>, capacity, 2)
    }

    #[tokio::test(start_paused = true)]
    async fn many_ask_and_one_loads() {
        let loader = FakeLoader::slow(Duration::from_millis(100));
        let versions = versions(&loader, 4);
        let (model, one) = (model(), version(1));
        assert!(versions.ready(&model, &one.digest).is_none());
        let all = futures::future::join_all((0..20).map(|_| versions.get(&model, &one))).await;
        assert!(
            all.iter()
                .all(|got| got.as_ref().is_ok_and(|(_, waited)| waited.is_some_and(|us| us >= 100_000)))
        );
        assert_eq!(loader.loads(1), 1);
        assert!(versions.get(&model, &one).await.unwrap().1.is_none(), "who finds it loaded did not wait");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_version_is_tried_again_after_pauses_that_grow() {
        let loader = FakeLoader::slow(Duration::ZERO);
        loader.fail(2, LoadFailure::Broken("no graph".into()));
        let versions = versions(&loader, 4);
        let (model, two) = (model(), version(2));
        for _ in 0..3_000 {
            assert!(versions.get(&model, &two).await.is_err());
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert_eq!(loader.loads(2), 5, "at 0, 1, 3, 7 and 15 seconds");
        loader.mend(2);
        tokio::time::advance(LONGEST).await;
        assert!(versions.get(&model, &two).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_version_that_killed_a_process_in_loading_is_left_alone_for_a_while() {
        let loader = FakeLoader::slow(Duration::ZERO);
        let versions = versions(&loader, 4);
        let two = version(2);
        versions.died_loading(&model(), &two.digest);
        assert!(matches!(versions.ask(&model(), &two), Asked::Failed(_)));
        tokio::time::advance(Duration::from_secs(33)).await;
        assert!(versions.get(&model(), &two).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_version_that_was_not_used_for_longest_goes() {
        let loader = FakeLoader::slow(Duration::ZERO);
        let versions = versions(&loader, 2);
        for n in [1, 2] {
            versions.get(&model(), &version(n)).await.unwrap();
        }
        assert!(versions.ready(&model(), &version(1).digest).is_some());
        versions.get(&model(), &version(3)).await.unwrap();
        let left: Vec<bool> =
            [1, 2, 3].map(|n| versions.ready(&model(), &version(n).digest).is_some()).into();
        assert_eq!(left, [true, false, true]);
        assert_eq!(*loader.forgotten.lock().unwrap(), [version(2).digest]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_bytes_of_another_model_are_a_version_of_their_own() {
        let loader = FakeLoader::slow(Duration::ZERO);
        let versions = versions(&loader, 2);
        let (one, other) = (model(), ModelName::parse("other").unwrap());
        versions.get(&one, &version(1)).await.unwrap();
        assert!(versions.ready(&other, &version(1).digest).is_none());
        versions.get(&other, &version(1)).await.unwrap();
        assert_eq!(loader.loads(1), 2, "its signature and its external id are its own");
        // The files of both lie in one place: they stay as long as one of them is loaded.
        versions.get(&other, &version(2)).await.unwrap();
        assert!(versions.ready(&one, &version(1).digest).is_none());
        assert!(loader.forgotten.lock().unwrap().is_empty());
        versions.get(&other, &version(3)).await.unwrap();
        assert_eq!(*loader.forgotten.lock().unwrap(), [version(1).digest]);
    }

    #[tokio::test]
    async fn a_panic_in_loading_is_a_failure_of_the_version() {
        let loader = FakeLoader::slow(Duration::ZERO);
        loader.panic(2);
        let versions = versions(&loader, 2);
        assert!(matches!(versions.get(&model(), &version(2)).await, Err(LoadFailure::Broken(_))));
    }
}
