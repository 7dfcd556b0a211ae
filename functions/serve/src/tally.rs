//! Counts of what was served: complete, one tally for each version, arm, route and second.
//!
//! A request is counted when it ends, assignment and outcome together, in the second of its choice. While it runs, its
//! marker stands in the journal, and should the process die, the next one counts it from there. So in every tally the
//! outcomes add up to the assignments, and a request that outlives its second comes in a later tally of that second.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use seatrial_evidence::observation::{CLASS_BYTES, SCHEMA, TALLY_CLASSES, Tally, UnitSample};
use seatrial_stats::sketch::LatencySketch;
use serde_json::Value;

use crate::choice::Assignment;
use crate::journal::Marker;
use crate::locked;

/// A tally with so many units is closed, so that it fits a message.
const UNITS: usize = 1_000;

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer, after so many microseconds.
    Answered(u64),
    /// By the version's fault, for this hashed unit.
    ModelError(String),
    /// By the client's fault.
    ClientError,
}

/// A request beside its outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The class that was answered; of several rows the first one's, since rows of one request are seldom independent.
    pub class: Option<&'a str>,
    /// The hash of the unit that it named; none when it named none.
    pub unit: Option<&'a str>,
    /// Whether the split had named the challenger, which is not loaded.
    pub diverted: bool,
}

/// The open tallies of this process.
pub struct Tallies {
    producer: String,
    next: AtomicU64,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    counts: BTreeMap<Assignment, Counts>,
    full: Vec<(Assignment, Counts)>,
}

#[derive(Default)]
struct Counts {
    answered: u64,
    errors: u64,
    client_errors: u64,
    units: BTreeSet<String>,
    classes: BTreeMap<String, u64>,
    diverted: u64,
    single: u64,
    single_diverted: u64,
    sampled: BTreeSet<u64>,
    latency: LatencySketch,
}

impl Counts {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Answered(latency_us) => {
                self.answered += 1;
                self.latency.observe(latency_us);
            }
            Outcome::ModelError(unit) => {
                self.errors += 1;
                self.units.insert(unit);
            }
            Outcome::ClientError => self.client_errors += 1,
        }
    }

    fn ask(&mut self, asked: Asked<'_>) {
        self.diverted += u64::from(asked.diverted);
        match asked.unit.map(|unit| u64::from_str_radix(unit, 16)) {
            Some(Ok(hash)) if UnitSample::holds(hash) => {
                self.sampled.insert(hash);
            }
            Some(_) => {}
            None => {
                self.single += 1;
                self.single_diverted += u64::from(asked.diverted);
            }
        }
        if let Some(class) = asked.class.filter(|c| c.len() <= CLASS_BYTES) {
            if let Some(n) = self.classes.get_mut(class) {
                *n += 1;
            } else if self.classes.len() < TALLY_CLASSES {
                self.classes.insert(class.to_owned(), 1);
            }
        }
    }

    fn tally(self, tally_id: String, of: Assignment) -> Tally {
        Tally {
            schema: SCHEMA,
            tally_id,
            model: of.model,
            version: of.version,
            digest: of.digest,
            role: of.role,
            route: of.route,
            second: of.second,
            assigned: self.answered + self.errors + self.client_errors,
            answered: self.answered,
            errors: self.errors,
            client_errors: self.client_errors,
            error_units: self.units.into_iter().collect(),
            classes: self.classes,
            diverted: self.diverted,
            units: Some(UnitSample {
                single: self.single,
                diverted: self.single_diverted,
                sampled: self.sampled.into_iter().map(|hash| format!("{hash:016x}")).collect(),
            }),
            latency: serde_json::to_value(self.latency).unwrap_or(Value::Null),
        }
    }
}

impl Tallies {
    /// No counts yet. `producer` makes this process's tallies unique.
    #[must_use]
    pub fn new(producer: String) -> Self {
        Self { producer, next: AtomicU64::new(0), open: Mutex::default() }
    }

    /// Counts something that was no request of a caller, such as a loading that failed.
    pub fn count(&self, of: &Assignment, outcome: Outcome) {
        self.add(of, outcome, None);
    }

    /// Counts one request.
    pub fn count_request(&self, of: &Assignment, outcome: Outcome, asked: Asked<'_>) {
        self.add(of, outcome, Some(asked));
    }

    fn add(&self, of: &Assignment, outcome: Outcome, asked: Option<Asked<'_>>) {
        let mut open = locked(&self.open);
        if !open.counts.contains_key(of) {
            open.counts.insert(of.clone(), Counts::default());
        }
        let Some(counts) = open.counts.get_mut(of) else { return };
        counts.add(outcome);
        if let Some(asked) = asked {
            counts.ask(asked);
        }
        if counts.units.len() >= UNITS || counts.sampled.len() >= UNITS {
            let full = mem::take(counts);
            open.full.push((of.clone(), full));
            open.counts.remove(of);
        }
    }

    /// Takes the tallies of the seconds before `second`; all of them for `None`.
    pub fn take(&self, second: Option<i64>) -> Vec<Tally> {
        let taken = {
            let mut open = locked(&self.open);
            let all = mem::take(&mut open.counts);
            let (ready, rest) =
                all.into_iter().partition(|(of, _)| second.is_none_or(|second| of.second < second));
            open.counts = rest;
            let ready: BTreeMap<Assignment, Counts> = ready;
            let mut taken = mem::take(&mut open.full);
            taken.extend(ready);
            taken
        };
        taken.into_iter().map(|(of, counts)| counts.tally(self.id(), of)).collect()
    }

    fn id(&self) -> String {
        format!("{}-{}", self.producer, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// The tally of a request whose process died. Its id comes from the request's, so that reporting it again counts once.
#[must_use]
pub fn lost(marker: &Marker) -> Tally {
    let mut counts = Counts::default();
    counts.add(Outcome::ModelError(marker.unit.clone()));
    counts.tally(format!("lost-{}", marker.id), marker.assignment.clone())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::journal::Kind;
    use crate::testing::assignment;
    use proptest::prelude::*;
    use seatrial_domain::route::Arm;
    use seatrial_evidence::observation::{Entry, MESSAGE_BYTES};

    fn at(second: i64, role: Arm) -> Assignment {
        Assignment { second, ..assignment(role) }
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            (0_u64..10_000_000).prop_map(Outcome::Answered),
            (0_u32..3_000).prop_map(|n| Outcome::ModelError(format!("{n:016x}"))),
            Just(Outcome::ClientError),
        ]
    }

    proptest! {
        #[test]
        fn every_request_is_in_one_tally_and_every_tally_is_lawful(
            requests in prop::collection::vec((0_i64..4, outcome(), 0_u64..200_000, any::<bool>(), any::<bool>()), 0..300),
            cut in 0_i64..5,
        ) {
            let tallies = Tallies::new("p".into());
            for (second, outcome, unit, named, diverted) in &requests {
                let unit = format!("{unit:016x}");
                let asked = Asked { class: None, unit: named.then_some(unit.as_str()), diverted: *diverted };
                tallies.count_request(&at(*second, Arm::Champion), outcome.clone(), asked);
            }
            let early = tallies.take(Some(cut));
            prop_assert!(early.iter().all(|tally| tally.second < cut || tally.error_units.len() >= UNITS));
            let all: Vec<Tally> = early.into_iter().chain(tallies.take(None)).collect();
            let total = |f: fn(&Tally) -> u64| all.iter().map(f).sum::<u64>();
            prop_assert_eq!(total(|t| t.assigned), requests.len() as u64);
            prop_assert_eq!(total(|t| t.answered + t.errors + t.client_errors), requests.len() as u64);
            prop_assert_eq!(total(|t| t.diverted), requests.iter().filter(|r| r.4).count() as u64);
            let single = total(|t| t.units.as_ref().map_or(0, |units| units.single));
            prop_assert_eq!(single, requests.iter().filter(|r| !r.3).count() as u64);
            let ids: BTreeSet<&str> = all.iter().map(|t| t.tally_id.as_str()).collect();
            prop_assert_eq!(ids.len(), all.len());
            for tally in all {
                prop_assert_eq!(Entry::Tally(tally).defect(), None);
            }
            prop_assert!(tallies.take(None).is_empty());
        }
    }

    #[test]
    fn a_second_of_nothing_but_errors_still_fits_its_messages() {
        let tallies = Tallies::new("p".into());
        for n in 0..2_500 {
            tallies.count(&at(7, Arm::Challenger), Outcome::ModelError(format!("{n:016x}")));
        }
        let taken = tallies.take(None);
        assert_eq!(taken.iter().map(|t| t.error_units.len()).collect::<Vec<_>>(), [1_000, 1_000, 500]);
        assert_eq!(taken.iter().map(|t| t.errors).sum::<u64>(), 2_500);
        assert!(taken.iter().all(|t| serde_json::to_vec(t).unwrap().len() < MESSAGE_BYTES));
    }

    #[test]
    fn a_death_is_one_error_of_the_version_that_ran_however_often_it_is_reported() {
        let marker = Marker {
            kind: Kind::Serve,
            id: "r1".into(),
            assignment: at(3, Arm::Challenger),
            unit: "00ff00ff00ff00ff".into(),
        };
        let tally = lost(&marker);
        assert_eq!((tally.assigned, tally.errors, tally.answered, tally.role), (1, 1, 0, Arm::Challenger));
        assert_eq!(tally.error_units, ["00ff00ff00ff00ff"]);
        assert_eq!(tally, lost(&marker));
    }
}
