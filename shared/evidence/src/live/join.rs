//! Joining what became known to what was served.

use std::collections::{BTreeMap, HashMap};

use seatrial_domain::policy::{ACCURACY, Absent, Canary, CanaryMetric};
use seatrial_domain::route::Weight;

use super::{Key, SLICE_SECONDS, Said, ServedRow, Side, SignalCounts, Slice, What};

/// What is joined: one epoch, up to a time.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// The promotion's epoch.
    pub epoch: u64,
    /// Everything that the queue took before this Unix second is there.
    pub watermark: i64,
}

/// The units of every signal of the canary's rules. Rows and signals may come in any order and more than once.
#[must_use]
pub fn join(served: &[ServedRow], said: &[Said], rules: &Canary, window: Window) -> SignalCounts {
    let rows = Rows::new(served, window);
    let mut counts = SignalCounts::default();
    for name in rules.signals() {
        let Some(rule) = rules.signal_rule(name) else { continue };
        let slices = rows.slices(said, name, &rule, window, &mut counts);
        counts.by_name.insert(name.to_owned(), slices);
    }
    counts
}

/// The distinct rows of both arms, and how to find them.
struct Rows<'a> {
    rows: Vec<&'a ServedRow>,
    by_observation: HashMap<Key, usize>,
    /// A client's name of a request; `None` where several requests have it.
    by_client: HashMap<Key, Option<usize>>,
    first: HashMap<Key, First>,
}

/// Where and when a unit was first served: that decides its arm and its weight, for the whole canary. Counted again at every
/// step, the units that moved from the champion to the canary would all weigh on one side.
#[derive(Clone, Copy)]
struct First {
    at: i64,
    side: Side,
    weight: Weight,
}

impl<'a> Rows<'a> {
    fn new(served: &'a [ServedRow], window: Window) -> Self {
        let mut rows: Vec<&ServedRow> =
            served.iter().filter(|r| r.epoch == window.epoch && r.weight > Weight::ZERO).collect();
        rows.sort_by(|a, b| order(a).cmp(&order(b)));
        rows.dedup_by(|again, first| again.observation == first.observation);
        let by_observation = rows.iter().enumerate().map(|(place, row)| (row.observation, place)).collect();
        let mut by_client: HashMap<Key, Option<usize>> = HashMap::new();
        for (place, row) in rows.iter().enumerate() {
            if let Some(client) = row.client {
                by_client.entry(client).and_modify(|known| *known = None).or_insert(Some(place));
            }
        }
        // Of rows in the same second the first by name: whoever looks takes the same.
        let mut first: HashMap<Key, First> = HashMap::new();
        for row in &rows {
            let here = First { at: row.queued_at, side: row.side, weight: row.weight };
            first
                .entry(row.unit)
                .and_modify(|known| {
                    if here.at < known.at {
                        *known = here;
                    }
                })
                .or_insert(here);
        }
        Self { rows, by_observation, by_client, first }
    }

    fn find(&self, said: &Said) -> Option<usize> {
        let by_client = || said.client.and_then(|c| self.by_client.get(&c).copied().flatten());
        match said.observation {
            Some(observation) => self.by_observation.get(&observation).copied(),
            None => by_client(),
        }
    }

    fn slices(
        &self,
        said: &[Said],
        name: &str,
        rule: &CanaryMetric,
        window: Window,
        counts: &mut SignalCounts,
    ) -> BTreeMap<Weight, Vec<Slice>> {
        let within = i64::from(rule.within_seconds);
        let values = self.values(said, name, rule, window, counts);
        let mut means: BTreeMap<Key, (First, f64, u64)> = BTreeMap::new();
        for (row, value) in self.rows.iter().zip(values) {
            let Some(&first) = self.first.get(&row.unit) else { continue };
            let settled = slice_of(first.at) + SLICE_SECONDS + 2 * within;
            let same = row.side == first.side && row.weight == first.weight;
            if !same || row.queued_at > first.at + within || settled > window.watermark {
                continue;
            }
            let value = match (value, rule.absent) {
                (Some(value), _) => value,
                (None, Absent::Zero) => 0.0,
                (None, Absent::Skip) => continue,
            };
            let mean = means.entry(row.unit).or_insert((first, 0.0, 0));
            mean.1 += value;
            mean.2 += 1;
        }
        let mut by_weight: BTreeMap<Weight, BTreeMap<i64, Slice>> = BTreeMap::new();
        for (First { at, side, weight }, sum, n) in means.into_values() {
            let from = slice_of(at);
            let slice = by_weight
                .entry(weight)
                .or_default()
                .entry(from)
                .or_insert_with(|| Slice { from, ..Slice::default() });
            let arm = match side {
                Side::Champion => &mut slice.champion,
                Side::Canary => &mut slice.canary,
            };
            arm.add(sum / n as f64, rule.bounds);
        }
        by_weight.into_iter().map(|(weight, slices)| (weight, slices.into_values().collect())).collect()
    }

    /// The value of each row: the sum of its signals where silence is zero (purchases add up), else the last one (a rating
    /// is corrected).
    fn values(
        &self,
        said: &[Said],
        name: &str,
        rule: &CanaryMetric,
        window: Window,
        counts: &mut SignalCounts,
    ) -> Vec<Option<f64>> {
        let mut found: BTreeMap<(usize, i64, u64), f64> = BTreeMap::new();
        for said in said {
            let Some(value) = said.about(name) else { continue };
            if said.queued_at >= window.watermark {
                continue;
            }
            let Some(place) = self.find(said) else {
                counts.unmatched += 1;
                continue;
            };
            let row = self.rows[place];
            if said.queued_at > row.queued_at + i64::from(rule.within_seconds) {
                counts.late += 1;
                continue;
            }
            let value = match (value, &row.label) {
                (Value::Number(value), _) => value,
                (Value::Truth(truth), Some(label)) => f64::from(u8::from(**label == *truth)),
                (Value::Truth(_), None) => continue,
            };
            // The same said again, at the same time, is a redelivery.
            found.insert((place, said.at, value.to_bits()), value);
        }
        let mut values = vec![None; self.rows.len()];
        for ((place, ..), value) in found {
            values[place] = Some(match (values[place], rule.absent) {
                (Some(sum), Absent::Zero) => sum + value,
                _ => value,
            });
        }
        values
    }
}

/// A value that a signal gives, or a truth that an answer is compared with.
enum Value<'a> {
    Number(f64),
    Truth(&'a str),
}

impl Said {
    fn about(&self, name: &str) -> Option<Value<'_>> {
        match &self.what {
            What::Signal(signal, value) => {
                (**signal == *name && name != ACCURACY).then_some(Value::Number(*value))
            }
            What::Label(truth) => (name == ACCURACY).then_some(Value::Truth(truth)),
        }
    }
}

fn slice_of(second: i64) -> i64 {
    second.div_euclid(SLICE_SECONDS) * SLICE_SECONDS
}

/// An order of rows that depends on nothing but the rows: by observation, then the earliest, then everything else.
fn order(row: &ServedRow) -> (Key, i64, Side, Weight, Key, Option<Key>, Option<&str>) {
    (row.observation, row.queued_at, row.side, row.weight, row.unit, row.client, row.label.as_deref())
}
