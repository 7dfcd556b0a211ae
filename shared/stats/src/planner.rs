//! What a canary's plan can find, before it starts: n needed, time needed, and what would have to change.
//!
//! For one guardrail: the traffic, the weights with their longest holds, and the harm that must be detected. Evidence
//! carries over steps as one product, so the plan is simulated as a whole (seeded; the events of a look are Poisson); the n
//! of a single step is computed ([`crate::noninferiority::planned_n`]). What would help is searched among plans in which one
//! step alone is enough, which is on the safe side.

mod units;

pub use units::{planned_event_units, planned_units};

use crate::{
    eprocess::{Mixture, log_mean_exp},
    noninferiority::planned_n_with,
    sampling::Sampler,
};
use serde::{Deserialize, Serialize};

/// The event that a guardrail watches, and the harm to detect.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The level at which its e-process rejects.
    pub alpha: f64,
    /// Share of the champion's requests with the event.
    pub baseline: f64,
    /// Share of the canary's requests with the event that must be found.
    pub detect: f64,
    /// The mixture of rate ratios of its e-process.
    pub mixture: Mixture,
}

impl Target {
    /// Errors at the guardrail's share of alpha.
    #[must_use]
    pub fn errors(alpha: f64, baseline: f64, detect: f64) -> Self {
        Self { alpha, baseline, detect, mixture: Mixture::harm() }
    }

    /// Latency: requests beyond one threshold, `baseline` and `detect` as [`crate::exceedance::Thresholds::shares`] gives
    /// them. The guardrail averages two thresholds, so one alone must reach 2/α.
    #[must_use]
    pub fn latency(alpha: f64, baseline: f64, detect: f64) -> Self {
        Self::errors(alpha / 2.0, baseline, detect)
    }

    /// Events that are worse when there are more of them, judged as a signal: the mean of two e-values must reach 1/α.
    #[must_use]
    pub fn signal_events(alpha: f64, baseline: f64, detect: f64) -> Self {
        Self::errors(alpha / 2.0, baseline, detect)
    }
}

/// One step of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The canary's share, a fraction.
    pub weight: f64,
    /// The shortest hold in seconds.
    pub hold_seconds: f64,
    /// The longest hold in seconds.
    pub max_hold_seconds: f64,
}

/// A plan to be tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Requests (or units) a second over both arms.
    pub per_second: f64,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// What must be found.
    pub target: Target,
    /// With what probability, e.g. .8.
    pub power: f64,
    /// The longest hold that may be proposed.
    pub longest_hold_seconds: f64,
    /// Seed of the simulation.
    pub seed: u64,
}

/// What a plan can find.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Each step.
    pub steps: Vec<StepForecast>,
    /// Probability that the harm is found by the end of the last step, every step held to its maximum.
    pub power: f64,
    /// Whether that is enough.
    pub detects: bool,
    /// Seconds from the start of the canary after which the harm is found with the plan's power; `None` if never.
    pub seconds: Option<f64>,
    /// What would help a plan that does not detect; `None` if it does.
    pub remedy: Option<Remedy>,
}

/// What one step contributes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepForecast {
    /// The canary's share.
    pub weight: f64,
    /// Requests of both arms by the shortest hold.
    pub at_hold: u64,
    /// Requests of both arms by the longest hold.
    pub at_max_hold: u64,
    /// Requests of both arms with which this step alone would find the harm; `None` if no n is enough.
    pub needed: Option<u64>,
    /// Seconds that takes.
    pub seconds_needed: Option<f64>,
    /// Probability that the harm is found by the end of this step, earlier steps included.
    pub found: f64,
}

/// What would make the plan detect.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Remedy {
    /// The smallest weight at which a step of the plan's longest hold would do, if any up to 50 %.
    pub weight: Option<f64>,
    /// The step, from 0, whose hold would be the shortest to do, with that hold in seconds; none if it is beyond the longest
    /// that may be proposed.
    pub hold: Option<(usize, f64)>,
}

impl Remedy {
    /// Whether nothing would work.
    #[must_use]
    pub fn none_works(&self) -> bool {
        self.weight.is_none() && self.hold.is_none()
    }
}

/// Rollouts simulated for a forecast: its standard error is at most 2.5 points.
const ROLLOUTS: u32 = 400;
/// Looks simulated at each step. Real looks are more frequent, which finds harm a little earlier.
const LOOKS: u32 = 24;
/// Weights that may be proposed.
const WEIGHTS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5];

/// Tries a plan. `None` if it is void: no step, no traffic, weights outside (0, 1), holds that are not positive or out of
/// order, rates that are not `0 ≤ baseline < detect ≤ 1`, or an alpha or power outside (0, 1).
#[must_use]
pub fn forecast(plan: &Plan) -> Option<Forecast> {
    if !valid(plan) {
        return None;
    }
    let (found, seconds) = simulate(plan);
    let steps: Vec<StepForecast> = plan
        .steps
        .iter()
        .zip(found)
        .map(|(step, found)| {
            let needed = needed(plan, step.weight);
            StepForecast {
                weight: step.weight,
                at_hold: (plan.per_second * step.hold_seconds) as u64,
                at_max_hold: (plan.per_second * step.max_hold_seconds) as u64,
                needed,
                seconds_needed: needed.map(|n| n as f64 / plan.per_second),
                found,
            }
        })
        .collect();
    let power = steps.last().map_or(0.0, |step| step.found);
    let alone = steps.iter().any(|step| step.needed.is_some_and(|n| n <= step.at_max_hold));
    let detects = power >= plan.power || alone;
    let remedy = (!detects).then(|| remedy(plan, &steps));
    Some(Forecast { power, detects, seconds: seconds.filter(|_| detects), remedy, steps })
}

fn valid(plan: &Plan) -> bool {
    let open = |x: f64| x > 0.0 && x < 1.0;
    let positive = |x: f64| x > 0.0 && x.is_finite();
    let Target { alpha, baseline, detect, .. } = plan.target;
    let step = |s: &Step| {
        open(s.weight) && positive(s.max_hold_seconds) && (0.0..=s.max_hold_seconds).contains(&s.hold_seconds)
    };
    positive(plan.per_second)
        && !plan.steps.is_empty()
        && plan.steps.iter().all(step)
        && open(alpha)
        && open(plan.power)
        && baseline >= 0.0
        && baseline < detect
        && detect <= 1.0
}

fn needed(plan: &Plan, weight: f64) -> Option<u64> {
    let Target { alpha, baseline, detect, mixture } = plan.target;
    planned_n_with(mixture, baseline, detect, weight, alpha, plan.power)
}

/// The probability that the harm is found by the end of each step, and the time at which the plan's power is reached.
fn simulate(plan: &Plan) -> (Vec<f64>, Option<f64>) {
    let threshold = -plan.target.alpha.ln();
    let factors: Vec<_> = plan.steps.iter().map(|s| plan.target.mixture.log_factors(s.weight)).collect();
    let mut by_step = vec![0_u32; plan.steps.len()];
    let mut times = Vec::new();
    for rollout in 0..ROLLOUTS {
        let mut random = Sampler::of_stream(plan.seed, u64::from(rollout));
        if let Some((step, time)) = found_at(plan, &factors, threshold, &mut random) {
            by_step[step] += 1;
            times.push(time);
        }
    }
    let mut sum = 0;
    let found = by_step.iter().map(|n| {
        sum += n;
        f64::from(sum) / f64::from(ROLLOUTS)
    });
    let found = found.collect();
    times.sort_unstable_by(f64::total_cmp);
    let last = (f64::from(ROLLOUTS) * plan.power).ceil() as usize;
    (found, last.checked_sub(1).and_then(|i| times.get(i)).copied())
}

/// The step and the second at which one simulated canary is found, if it is.
fn found_at(
    plan: &Plan,
    factors: &[Vec<(f64, f64)>],
    threshold: f64,
    random: &mut Sampler,
) -> Option<(usize, f64)> {
    let mut logs = vec![0.0; factors.first()?.len()];
    let mut time = 0.0;
    for (index, (step, factors)) in plan.steps.iter().zip(factors).enumerate() {
        let requests = plan.per_second * step.max_hold_seconds / f64::from(LOOKS);
        for _ in 0..LOOKS {
            time += step.max_hold_seconds / f64::from(LOOKS);
            let canary = random.poisson(requests * step.weight * plan.target.detect) as f64;
            let champion = random.poisson(requests * (1.0 - step.weight) * plan.target.baseline) as f64;
            logs.iter_mut().zip(factors).for_each(|(log, (a, b))| *log += canary * a + champion * b);
            // Only a canary event can raise the e-value.
            if canary > 0.0 && log_mean_exp(logs.iter().copied()) >= threshold {
                return Some((index, time));
            }
        }
    }
    None
}

fn remedy(plan: &Plan, steps: &[StepForecast]) -> Remedy {
    let longest = plan.steps.iter().map(|s| s.max_hold_seconds).fold(0.0, f64::max);
    let works = |weight: &f64| needed(plan, *weight).is_some_and(|n| n as f64 <= plan.per_second * longest);
    let shortest = steps
        .iter()
        .enumerate()
        .filter_map(|(index, step)| Some((index, step.seconds_needed?)))
        .min_by(|a, b| a.1.total_cmp(&b.1));
    Remedy {
        weight: WEIGHTS.into_iter().find(works),
        hold: shortest.filter(|(_, seconds)| *seconds <= plan.longest_hold_seconds),
    }
}

/// How far a collection of n has come.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// n so far.
    pub seen: u64,
    /// n needed.
    pub needed: u64,
    /// Seconds until it is reached at the present rate: 0 if it is; `None` if nothing comes in.
    pub seconds_left: Option<f64>,
}

/// How long until `needed` are reached, if `seen` came in `elapsed_seconds`. `per_second` is used instead where it is known
/// (a canary that has only just begun).
#[must_use]
pub fn progress(seen: u64, needed: u64, elapsed_seconds: f64, per_second: Option<f64>) -> Progress {
    let left = needed.saturating_sub(seen);
    let observed = seen as f64 / elapsed_seconds;
    let rate = per_second.unwrap_or(observed);
    let seconds_left = match left {
        0 => Some(0.0),
        _ => Some(left as f64 / rate).filter(|seconds| *seconds >= 0.0 && seconds.is_finite()),
    };
    Progress { seen, needed, seconds_left }
}

/// The smallest number up to `most` that satisfies a condition which, once met, stays met.
pub(crate) fn smallest(most: u64, holds: impl Fn(u64) -> bool) -> Option<u64> {
    if !holds(most) {
        return None;
    }
    let (mut too_few, mut enough) = (0, most);
    while enough - too_few > 1 {
        let middle = u64::midpoint(too_few, enough);
        *(if holds(middle) { &mut enough } else { &mut too_few }) = middle;
    }
    Some(enough)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
