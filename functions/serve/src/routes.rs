//! The routes of the models this server knows: read strongly consistent, used for at most a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use seatrial_domain::ids::ModelName;

use crate::choice::View;
use crate::clock::Moment;
use crate::ports::Heads;
use crate::{locked, read, written};

/// The longest use of a route, from the start of its reading.
pub const FRESH: Duration = Duration::from_secs(1);
/// From this age on the route's split is not trusted: the last known champion answers everyone.
pub const STALE: Duration = Duration::from_secs(5);
/// How often a server reads the routes of its models.
pub const REFRESH: Duration = Duration::from_millis(500);
/// The pause after a reading that failed, so that callers do not wait for one each.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a caller waits for a reading when an older route is at hand.
const PATIENCE: Duration = Duration::from_millis(800);
/// How long the first reading may take: a cold start pays for the connection.
const FIRST: Duration = Duration::from_secs(5);
/// A model that nobody asked for so long is no longer read in the background.
const IDLE: Duration = Duration::from_secs(600);
/// From so many on, names that never were read are dropped, so that guessed names fill no memory.
const MODELS: usize = 1_000;

/// Why there is no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoute {
    /// There is no such model.
    Unknown,
    /// The registry could not be read, and nothing is known from before.
    Unreadable,
}

/// The routes by model.
pub struct Routes {
    heads: Arc<dyn Heads>,
    /// Whether somebody reads in the background. Then no caller waits while the registry is silent.
    background: bool,
    models: Mutex<HashMap<ModelName, Arc<Entry>>>,
}

/// How a model's route stands, for metrics and alarms.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The model.
    pub model: ModelName,
    /// What is obeyed.
    pub view: Arc<View>,
    /// The age of the last good reading.
    pub age: Duration,
}

struct Entry {
    known: RwLock<Option<Known>>,
    failed: Mutex<Option<Moment>>,
    used: Mutex<Moment>,
    /// Held by the one that reads.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Known {
    view: Arc<View>,
    degraded: Arc<View>,
    began: Moment,
}

impl Known {
    fn obeyed(&self) -> Arc<View> {
        Arc::clone(if self.began.age() < STALE { &self.view } else { &self.degraded })
    }
}

impl Entry {
    fn new() -> Self {
        Self {
            known: RwLock::new(None),
            failed: Mutex::new(None),
            used: Mutex::new(Moment::now()),
            reading: tokio::sync::Mutex::new(()),
        }
    }

    fn known(&self) -> Option<Known> {
        read(&self.known).clone()
    }

    fn younger_than(&self, age: Duration) -> bool {
        read(&self.known).as_ref().is_some_and(|known| known.began.age() < age)
    }

    /// Whether a reading failed just now.
    fn pausing(&self) -> bool {
        locked(&self.failed).is_some_and(|at| at.age() < PAUSE)
    }
}

impl Routes {
    /// Routes read through `heads`; `background` says that [`Routes::refresh_all`] is called every [`REFRESH`].
    #[must_use]
    pub fn new(heads: Arc<dyn Heads>, background: bool) -> Self {
        Self { heads, background, models: Mutex::new(HashMap::new()) }
    }

    /// The route to obey for a request that arrives now.
    ///
    /// # Errors
    /// When there is no such model, or nothing is known of it and the registry cannot be read.
    pub async fn view(&self, model: &ModelName) -> Result<Arc<View>, NoRoute> {
        let entry = self.entry(model);
        *locked(&entry.used) = Moment::now();
        if !entry.younger_than(FRESH) {
            let known = read(&entry.known).is_some();
            let silent = locked(&entry.failed).is_some();
            // While the registry is silent, the background reader goes on trying; the caller is answered at once.
            if !(self.background && known && silent) {
                self.refresh(model, &entry, FRESH).await;
            }
        }
        match entry.known() {
            Some(known) => Ok(known.obeyed()),
            None if locked(&entry.failed).is_some() => Err(NoRoute::Unreadable),
            None => {
                locked(&self.models).remove(model);
                Err(NoRoute::Unknown)
            }
        }
    }

    /// Reads every model that is in use, and forgets the others.
    pub async fn refresh_all(&self) {
        let entries: Vec<(ModelName, Arc<Entry>)> = {
            let mut models = locked(&self.models);
            models.retain(|_, entry| locked(&entry.used).age() < IDLE);
            models.iter().map(|(model, entry)| (model.clone(), Arc::clone(entry))).collect()
        };
        let reads = entries.iter().map(|(model, entry)| self.refresh(model, entry, REFRESH.mul_f64(0.8)));
        futures::future::join_all(reads).await;
    }

    /// How the routes in use stand.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        let models = locked(&self.models);
        let standing = |(model, entry): (&ModelName, &Arc<Entry>)| {
            let known = entry.known()?;
            Some(Standing { model: model.clone(), view: known.obeyed(), age: known.began.age() })
        };
        models.iter().filter_map(standing).collect()
    }

    fn entry(&self, model: &ModelName) -> Arc<Entry> {
        let mut models = locked(&self.models);
        if let Some(entry) = models.get(model) {
            return Arc::clone(entry);
        }
        if models.len() >= MODELS {
            models.retain(|_, entry| read(&entry.known).is_some());
        }
        let entry = Arc::new(Entry::new());
        models.insert(model.clone(), Arc::clone(&entry));
        entry
    }

    /// Reads a model unless its route is younger than `age`. One reads, the others wait for it.
    async fn refresh(&self, model: &ModelName, entry: &Entry, age: Duration) {
        let _one = entry.reading.lock().await;
        if entry.younger_than(age) || entry.pausing() {
            return;
        }
        let limit = if read(&entry.known).is_some() { PATIENCE } else { FIRST };
        // The route counts as old as the start of its reading: what was written since may be missing from it.
        let began = Moment::now();
        let why = match tokio::time::timeout(limit, self.heads.head(model)).await {
            Ok(Ok(head)) => {
                *locked(&entry.failed) = None;
                *written(&entry.known) = head.map(View::of).map(|view| Known {
                    degraded: Arc::new(view.degraded()),
                    view: Arc::new(view),
                    began,
                });
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", limit.as_millis()),
        };
        let first = locked(&entry.failed).replace(Moment::now()).is_none();
        if first {
            tracing::warn!(model = %model, error = why, "the route could not be read; the last known one is obeyed");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::testing::{FakeHeads, head, model};
    use seatrial_domain::route::{Arm, Weight};
    use std::sync::atomic::Ordering;

    fn routes(heads: &Arc<FakeHeads>, background: bool) -> Routes {
        Routes::new(Arc::clone(heads) as Arc<dyn Heads>, background)
    }

    async fn pass(ms: u64) {
        tokio::time::advance(Duration::from_millis(ms)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_route_is_used_for_a_second_and_no_longer() {
        let heads = FakeHeads::with(head(2_500));
        let routes = routes(&heads, false);
        assert_eq!(routes.view(&model()).await.unwrap().route.weight.bps(), 2_500);
        heads.set(head(0));
        pass(990).await;
        assert_eq!(routes.view(&model()).await.unwrap().route.weight.bps(), 2_500);
        assert_eq!(heads.reads.load(Ordering::Relaxed), 1);
        pass(10).await;
        assert_eq!(
            routes.view(&model()).await.unwrap().route.weight,
            Weight::ZERO,
            "a rollback takes effect within a second"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_unreadable_registry_keeps_the_split_for_five_seconds_and_then_leaves_the_champion() {
        let heads = FakeHeads::with(head(10_000));
        for background in [false, true] {
            heads.down(false);
            let routes = routes(&heads, background);
            routes.view(&model()).await.unwrap();
            heads.down(true);
            pass(4_900).await;
            let view = routes.view(&model()).await.unwrap();
            assert!(!view.stale && view.route.choose("u").unwrap().0 == Arm::Challenger);
            pass(100).await;
            let view = routes.view(&model()).await.unwrap();
            assert!(view.stale && view.route.choose("u").unwrap().0 == Arm::Champion);
            assert!(routes.standings()[0].view.stale);
            heads.down(false);
            pass(600).await;
            routes.refresh_all().await;
            assert!(
                !routes.view(&model()).await.unwrap().stale,
                "a registry that answers again is obeyed at once"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_registry_delays_no_caller_of_a_server_and_few_of_a_lambda() {
        let heads = FakeHeads::with(head(0));
        let server = routes(&heads, true);
        let lambda = routes(&heads, false);
        server.view(&model()).await.unwrap();
        lambda.view(&model()).await.unwrap();
        heads.hang(true);
        pass(1_000).await;
        server.refresh_all().await;
        let began = tokio::time::Instant::now();
        for _ in 0..50 {
            server.view(&model()).await.unwrap();
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        for _ in 0..50 {
            lambda.view(&model()).await.unwrap();
        }
        assert_eq!(began.elapsed(), PATIENCE, "one waits, the others do not");
    }

    #[tokio::test(start_paused = true)]
    async fn many_callers_make_one_reading() {
        let heads = FakeHeads::with(head(0));
        heads.slow(Duration::from_millis(50));
        let routes = routes(&heads, false);
        let model = model();
        let views = futures::future::join_all((0..100).map(|_| routes.view(&model))).await;
        assert!(views.iter().all(Result::is_ok));
        assert_eq!(heads.reads.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_exist_is_unknown_and_not_kept_and_what_cannot_be_read_is_unreadable() {
        let heads = FakeHeads::with(head(0));
        let routes = routes(&heads, false);
        let other = ModelName::parse("other").unwrap();
        assert_eq!(routes.view(&other).await.unwrap_err(), NoRoute::Unknown);
        assert!(locked(&routes.models).is_empty());
        heads.down(true);
        assert_eq!(routes.view(&model()).await.unwrap_err(), NoRoute::Unreadable);
    }

    #[tokio::test(start_paused = true)]
    async fn models_nobody_asks_for_are_no_longer_read() {
        let heads = FakeHeads::with(head(0));
        let routes = routes(&heads, true);
        routes.view(&model()).await.unwrap();
        pass(IDLE.as_millis() as u64 + 1).await;
        routes.refresh_all().await;
        assert_eq!(heads.reads.load(Ordering::Relaxed), 1);
        assert!(routes.standings().is_empty());
    }
}
