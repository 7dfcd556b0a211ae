//! What an operator should be woken for: a log line, and in a Lambda the same as a CloudWatch metric.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use seatrial_domain::ids::ModelName;

use crate::clock::Moment;
use crate::locked;

/// The shortest time between two lines about the same thing.
const QUIET: Duration = Duration::from_secs(10);

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alarm {
    /// The registry could not be read for five seconds: the last known champion answers everyone.
    RouteStale,
    /// A version cannot be loaded.
    LoadFailed,
    /// Requests ran in a process that died.
    RequestsLost,
}

impl Alarm {
    /// The metric's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RouteStale => "RouteStale",
            Self::LoadFailed => "VersionLoadFailed",
            Self::RequestsLost => "RequestsLost",
        }
    }
}

/// Raises alarms, each at most once in [`QUIET`] for a model.
pub struct Alarms {
    metric: bool,
    raised: Mutex<HashMap<(Alarm, ModelName), Moment>>,
}

impl Alarms {
    /// Alarms as log lines, and as `metric` lines too where CloudWatch reads the log.
    #[must_use]
    pub fn new(metric: bool) -> Self {
        Self { metric, raised: Mutex::default() }
    }

    /// Raises an alarm unless it was raised just now.
    pub fn raise(&self, alarm: Alarm, model: &ModelName, why: &str) {
        let mut raised = locked(&self.raised);
        if raised.get(&(alarm, model.clone())).is_some_and(|at| at.age() < QUIET) {
            return;
        }
        raised.insert((alarm, model.clone()), Moment::now());
        drop(raised);
        tracing::error!(alarm = alarm.name(), model = %model, why, "the data plane needs attention");
        if self.metric {
            seatrial_runtime::metric::count(alarm.name(), model);
        }
    }
}
