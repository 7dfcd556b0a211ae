//! The parts of the data plane together, and the versions a route wants.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seatrial_domain::ids::{ModelName, VersionName, VersionRef};
use seatrial_domain::route::Arm;
use seatrial_domain::version::VersionStatus;
use seatrial_runtime::now;
use tokio::time::Instant;

use crate::alarm::{Alarm, Alarms};
use crate::choice::{Assignment, View, unit_hash};
use crate::clock::Moment;
use crate::journal::{Journal, Kind, Wreck};
use crate::locked;
use crate::metrics::{Counter, Metrics};
use crate::oip::Refused;
use crate::outbox::Outbox;
use crate::ports::{Heads, LoadFailure};
use crate::routes::Routes;
use crate::tally::Outcome;
use crate::versions::{Asked, Versions};

/// How long the registry's word about a pinned version is used.
const PINNED: Duration = Duration::from_secs(1);
/// How long a Lambda's caller waits for versions to load.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many pinned versions are remembered.
const PINS: usize = 256;

/// Where the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One request at a time, frozen in between.
    Lambda,
    /// Many requests at a time, and tasks in the background.
    Server,
}

/// The data plane.
pub struct App {
    /// Where it runs.
    pub mode: Mode,
    /// The routes.
    pub routes: Routes,
    /// The loaded versions.
    pub versions: Arc<Versions>,
    /// The observations on their way.
    pub outbox: Outbox,
    /// The markers of what runs; none when the folder cannot be written.
    pub journal: Option<Arc<Journal>>,
    /// The counts for people.
    pub metrics: Arc<Metrics>,
    /// The alarms.
    pub alarms: Alarms,
    /// Requests in flight.
    pub running: AtomicUsize,
    /// The models that a server loads before anybody asks for them.
    pub preload: Vec<ModelName>,
    heads: Arc<dyn Heads>,
    pins: Mutex<HashMap<(ModelName, VersionName), (Moment, VersionRef)>>,
    producer: String,
}

/// What an [`App`] is made of.
pub struct Parts {
    /// Where it runs.
    pub mode: Mode,
    /// The registry.
    pub heads: Arc<dyn Heads>,
    /// The versions.
    pub versions: Arc<Versions>,
    /// The observation queue.
    pub queue: Arc<dyn crate::ports::Queue>,
    /// The markers.
    pub journal: Option<Arc<Journal>>,
    /// What processes that died left behind.
    pub wrecks: Vec<Wreck>,
    /// The models that a server loads before anybody asks for them.
    pub preload: Vec<ModelName>,
}

impl App {
    /// Puts the parts together, and takes up what processes that died left behind.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { mode, heads, versions, queue, journal, wrecks, preload } = parts;
        let producer = uuid::Uuid::now_v7().simple().to_string();
        let metrics = Arc::new(Metrics::default());
        let app = Self {
            routes: Routes::new(Arc::clone(&heads), mode == Mode::Server),
            outbox: Outbox::new(producer.clone(), queue, Arc::clone(&metrics)),
            alarms: Alarms::new(mode == Mode::Lambda),
            running: AtomicUsize::new(0),
            pins: Mutex::default(),
            preload,
            mode,
            versions,
            journal,
            metrics,
            heads,
            producer,
        };
        app.take_up(wrecks);
        Arc::new(app)
    }

    fn take_up(&self, wrecks: Vec<Wreck>) {
        for marker in wrecks.iter().flat_map(|wreck| &wreck.markers) {
            let of = &marker.assignment;
            self.metrics.add(Counter::Lost, 1);
            self.alarms.raise(
                Alarm::RequestsLost,
                &of.model,
                &format!("a process died while {} ran", of.version),
            );
            // A champion is tried again at once: without it nobody is answered.
            if marker.kind == Kind::Load && of.role != Arm::Champion {
                self.versions.died_loading(&of.model, &of.digest);
            }
        }
        self.outbox.report(wrecks);
    }

    /// The route of a model, with its versions asked for: in a Lambda, those that get traffic are loaded on return. With
    /// it the time in microseconds that this call waited for versions to load, if it did.
    ///
    /// # Errors
    /// When there is no such model, or no route is known.
    pub async fn view(self: &Arc<Self>, model: &ModelName) -> Result<(Arc<View>, Option<u64>), Refused> {
        let view = self.routes.view(model).await.map_err(|why| Refused::no_route(model.as_str(), why))?;
        if view.stale {
            self.stale(model);
        }
        let waited = match self.mode {
            Mode::Server => {
                self.want(model, &view);
                None
            }
            Mode::Lambda => self.load_serving(model, &view).await,
        };
        Ok((view, waited))
    }

    /// Says that a model's route could not be read for too long.
    pub fn stale(&self, model: &ModelName) {
        let why = "the registry could not be read for 5 s; the last known champion answers everyone";
        self.alarms.raise(Alarm::RouteStale, model, why);
    }

    /// Asks for the versions of a route, and waits for none.
    pub fn want(self: &Arc<Self>, model: &ModelName, view: &Arc<View>) {
        for (arm, version) in view.wanted() {
            self.load(model, view, arm, version);
        }
    }

    /// Loads the versions that get traffic; the time this took, if any had to be loaded.
    async fn load_serving(self: &Arc<Self>, model: &ModelName, view: &Arc<View>) -> Option<u64> {
        let began = Instant::now();
        let loads: Vec<_> =
            view.serving().filter_map(|(arm, version)| self.load(model, view, arm, version)).collect();
        if loads.is_empty() {
            return None;
        }
        // One that takes longer is not chosen yet, and goes on loading in later requests.
        drop(tokio::time::timeout(PATIENCE, futures::future::join_all(loads)).await);
        Some(began.elapsed().as_micros() as u64)
    }

    /// Asks for a version; the task that reports how it went, if that has not been asked before.
    fn load(
        self: &Arc<Self>,
        model: &ModelName,
        view: &Arc<View>,
        arm: Arm,
        version: &VersionRef,
    ) -> Option<tokio::task::JoinHandle<()>> {
        let Asked::Loading { first, end } = self.versions.ask(model, version) else { return None };
        if !first {
            // In a Lambda the one who asked first may have been cut short by a timeout: whoever comes next waits as well.
            return (self.mode == Mode::Lambda).then(|| tokio::spawn(async move { drop(end.await) }));
        }
        let (app, view, model, version) =
            (Arc::clone(self), Arc::clone(view), model.clone(), version.clone());
        Some(tokio::spawn(async move {
            let assignment = app.assignment(&model, &view, arm, &version);
            let mark =
                app.mark(Kind::Load, &uuid::Uuid::now_v7().to_string(), &assignment, app.load_unit(&view));
            let result = end.await;
            drop(mark);
            if let Err(why) = result {
                app.load_failed(&view, &assignment, &why);
            }
        }))
    }

    /// A version that cannot be run is evidence against it where it should get traffic; a store that is silent is not.
    fn load_failed(&self, view: &View, of: &Assignment, why: &LoadFailure) {
        self.metrics.add(Counter::LoadFailures, 1);
        self.alarms.raise(
            Alarm::LoadFailed,
            &of.model,
            &format!("{} ({}): {why}", of.version, of.role.as_str()),
        );
        let gets_traffic = view.serving().any(|(arm, _)| arm == of.role);
        if gets_traffic && of.role == Arm::Challenger && matches!(why, LoadFailure::Broken(_)) {
            self.outbox.tallies.count(of, Outcome::ModelError(self.load_unit(view)));
        }
    }

    /// The unit that a failed loading counts for: this process.
    fn load_unit(&self, view: &View) -> String {
        unit_hash(&view.route.salt, &format!("load/{}", self.producer))
    }

    /// What a request chosen now is counted under.
    #[must_use]
    pub fn assignment(&self, model: &ModelName, view: &View, arm: Arm, version: &VersionRef) -> Assignment {
        Assignment {
            model: model.clone(),
            version: version.version,
            digest: version.digest.clone(),
            role: arm,
            route: view.stamp(),
            second: now().as_second(),
        }
    }

    /// Writes a marker. Without one the work goes on, and is counted as unmarked.
    pub fn mark(
        &self,
        kind: Kind,
        id: &str,
        assignment: &Assignment,
        unit: String,
    ) -> Option<crate::journal::Mark> {
        let marker = crate::journal::Marker { kind, id: id.to_owned(), assignment: assignment.clone(), unit };
        let mark = self.journal.as_ref().map(|journal| journal.mark(&marker));
        match mark {
            Some(Ok(mark)) => Some(mark),
            _ => {
                self.metrics.add(Counter::Unmarked, 1);
                None
            }
        }
    }

    /// The version that a caller named.
    ///
    /// # Errors
    /// When the model has no such version, it is retired or collected, or the registry cannot be read.
    pub async fn pinned(
        &self,
        model: &ModelName,
        view: &View,
        name: VersionName,
    ) -> Result<VersionRef, Refused> {
        if let Some(version) = view.named(name) {
            return Ok(version.clone());
        }
        let key = (model.clone(), name);
        if let Some((at, version)) = locked(&self.pins).get(&key)
            && at.age() < PINNED
        {
            return Ok(version.clone());
        }
        let began = Moment::now();
        let unknown = || Refused::unknown("unknown-version", format!("model {model} has no version {name}"));
        let record = self.heads.version(model, name).await.map_err(|error| {
            tracing::warn!(model = %model, version = %name, error = %error, "a version could not be read");
            Refused::unavailable(
                "registry-unreadable",
                format!("the registry cannot be read for version {name}; try again"),
            )
        })?;
        let record = record.ok_or_else(unknown)?;
        if let Err(gone) = record.loadable() {
            return Err(Refused::unknown("collected-version", gone.to_string()));
        }
        if record.status == VersionStatus::Retired {
            return Err(Refused::unknown(
                "retired-version",
                format!("version {name} of model {model} is retired"),
            ));
        }
        let version = record.reference();
        let mut pins = locked(&self.pins);
        if pins.len() >= PINS {
            pins.retain(|_, (at, _)| at.age() < PINNED);
        }
        if pins.len() < PINS {
            pins.insert(key, (began, version.clone()));
        }
        Ok(version)
    }

    /// Sends what is to be sent: in a Lambda everything, now; a server's own task does it otherwise.
    pub async fn send_before_answer(&self) {
        if self.mode == Mode::Lambda {
            self.outbox.flush(None).await;
        }
    }
}
