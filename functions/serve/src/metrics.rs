//! Counts for people who watch this server, as Prometheus text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use seatrial_domain::ids::{ModelName, VersionName};
use seatrial_domain::route::Arm;

use crate::locked;
use crate::routes::Standing;

/// Upper bounds of the latency histogram in microseconds.
const BOUNDS: [u64; 13] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000];

/// Things that are counted without labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Rows that waited too long for the queue.
    RowsDropped,
    /// Rows that fit no message.
    RowsTooLarge,
    /// Messages the queue has taken.
    MessagesSent,
    /// Messages that have to be sent again.
    SendFailures,
    /// Messages that the queue refused for good.
    MessagesRefused,
    /// Requests that the split gave to a version that was not loaded, and the champion answered.
    Diverted,
    /// Loadings of a version that failed.
    LoadFailures,
    /// Requests that ran without a marker, because it could not be written.
    Unmarked,
    /// Requests of processes that died.
    Lost,
    /// Requests refused because too many ran.
    Shed,
    /// Requests that were refused before a version was chosen.
    Malformed,
}

const COUNTERS: [(Counter, &str, &str); 11] = [
    (
        Counter::RowsDropped,
        "observation_rows_dropped",
        "Rows dropped because the queue did not take them in time.",
    ),
    (Counter::RowsTooLarge, "observation_rows_too_large", "Rows dropped because they fit no message."),
    (Counter::MessagesSent, "observation_messages_sent", "Messages the observation queue has taken."),
    (Counter::SendFailures, "observation_send_failures", "Messages that had to be sent again."),
    (
        Counter::MessagesRefused,
        "observation_messages_refused",
        "Messages lost because the queue refused them.",
    ),
    (
        Counter::Diverted,
        "requests_diverted",
        "Requests answered by the champion because the chosen version was not loaded.",
    ),
    (Counter::LoadFailures, "version_load_failures", "Loadings of a version that failed."),
    (Counter::Unmarked, "requests_unmarked", "Requests that ran without a marker."),
    (Counter::Lost, "requests_lost", "Requests of processes that died, counted by the next."),
    (Counter::Shed, "requests_shed", "Requests refused because too many ran."),
    (Counter::Malformed, "requests_malformed", "Requests refused before a version was chosen."),
];

/// How a request ended, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// With an answer.
    Answered,
    /// By the version's fault.
    Error,
    /// By the client's fault.
    ClientError,
}

impl End {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Error => "error",
            Self::ClientError => "client_error",
        }
    }
}

type Series = (ModelName, VersionName, Arm);

/// The counts of this process.
#[derive(Default)]
pub struct Metrics {
    counters: [AtomicU64; COUNTERS.len()],
    requests: Mutex<BTreeMap<Series, Requests>>,
}

#[derive(Default)]
struct Requests {
    ends: BTreeMap<End, u64>,
    buckets: [u64; BOUNDS.len()],
    sum_us: u64,
}

impl Metrics {
    /// Adds to a counter.
    pub fn add(&self, counter: Counter, n: u64) {
        self.counters[counter as usize].fetch_add(n, Ordering::Relaxed);
    }

    /// A counter's value.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Ordering::Relaxed)
    }

    /// Counts a request and its latency.
    pub fn request(&self, model: &ModelName, version: VersionName, arm: Arm, end: End, latency_us: u64) {
        let mut requests = locked(&self.requests);
        let series = requests.entry((model.clone(), version, arm)).or_default();
        *series.ends.entry(end).or_default() += 1;
        series.sum_us = series.sum_us.saturating_add(latency_us);
        if let Some(bucket) = BOUNDS.iter().position(|bound| latency_us <= *bound) {
            series.buckets[bucket] += 1;
        }
    }

    /// Everything as Prometheus text. Names and versions hold no character that needs escaping.
    #[must_use]
    pub fn prometheus(&self, routes: &[Standing], loaded: usize) -> String {
        let mut text = String::new();
        self.write_requests(&mut text);
        family(&mut text, "route_age_seconds", "gauge", "Age of the last good reading of a model's route.");
        for standing in routes {
            let age = standing.age.as_secs_f64();
            line(&mut text, "route_age_seconds", &format!("model=\"{}\"", standing.model), age);
        }
        family(
            &mut text,
            "route_stale",
            "gauge",
            "1 when the route could not be read for 5 s and only the champion answers.",
        );
        for standing in routes {
            let stale = if standing.view.stale { 1.0 } else { 0.0 };
            line(&mut text, "route_stale", &format!("model=\"{}\"", standing.model), stale);
        }
        family(&mut text, "route_weight", "gauge", "The challenger's share that is obeyed, 0 to 1.");
        for standing in routes {
            let weight = standing.view.route.weight.fraction();
            line(&mut text, "route_weight", &format!("model=\"{}\"", standing.model), weight);
        }
        family(&mut text, "versions_loaded", "gauge", "Versions loaded in this process.");
        line(&mut text, "versions_loaded", "", loaded as f64);
        for (counter, name, help) in COUNTERS {
            let name = format!("{name}_total");
            family(&mut text, &name, "counter", help);
            line(&mut text, &name, "", self.get(counter) as f64);
        }
        text
    }

    fn write_requests(&self, text: &mut String) {
        let requests = locked(&self.requests);
        family(text, "requests_total", "counter", "Requests by model, version, role and outcome.");
        for ((model, version, arm), series) in requests.iter() {
            for (end, count) in &series.ends {
                let outcome = end.as_str();
                let labels = format!("{},outcome=\"{outcome}\"", labels(model, *version, *arm));
                line(text, "requests_total", &labels, *count as f64);
            }
        }
        let name = "request_duration_seconds";
        family(text, name, "histogram", "Time from the choice of the version to its answer.");
        for ((model, version, arm), series) in requests.iter() {
            let labels = labels(model, *version, *arm);
            let mut below = 0;
            for (bound, count) in BOUNDS.iter().zip(series.buckets) {
                below += count;
                let le = *bound as f64 / 1e6;
                line(text, &format!("{name}_bucket"), &format!("{labels},le=\"{le}\""), below as f64);
            }
            let all = series.ends.values().sum::<u64>() as f64;
            line(text, &format!("{name}_bucket"), &format!("{labels},le=\"+Inf\""), all);
            line(text, &format!("{name}_sum"), &labels, series.sum_us as f64 / 1e6);
            line(text, &format!("{name}_count"), &labels, all);
        }
    }
}

fn labels(model: &ModelName, version: VersionName, arm: Arm) -> String {
    format!("model=\"{model}\",version=\"{version}\",role=\"{}\"", arm.as_str())
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP seatrial_{name} {help}\n# TYPE seatrial_{name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: f64) {
    let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    let _ = writeln!(text, "seatrial_{name}{labels} {value}");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::model;

    #[test]
    fn counters_stand_where_their_list_says() {
        for (place, (counter, ..)) in COUNTERS.iter().enumerate() {
            assert_eq!(*counter as usize, place);
        }
    }

    #[test]
    fn a_histogram_is_cumulative_and_counts_what_is_beyond_its_last_bound() {
        let metrics = Metrics::default();
        for us in [90, 100, 3_000, 99_000_000] {
            metrics.request(&model(), VersionName::new(2), Arm::Champion, End::Answered, us);
        }
        metrics.request(&model(), VersionName::new(2), Arm::Champion, End::ClientError, 10);
        let text = metrics.prometheus(&[], 3);
        let has = |line: &str| assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        let labels = "model=\"m\",version=\"v2\",role=\"champion\"";
        has(&format!("seatrial_requests_total{{{labels},outcome=\"answered\"}} 4"));
        has(&format!("seatrial_requests_total{{{labels},outcome=\"client_error\"}} 1"));
        has(&format!("seatrial_request_duration_seconds_bucket{{{labels},le=\"0.0001\"}} 3"));
        has(&format!("seatrial_request_duration_seconds_bucket{{{labels},le=\"10\"}} 4"));
        has(&format!("seatrial_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 5"));
        has("seatrial_versions_loaded 3");
    }
}
