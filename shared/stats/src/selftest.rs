//! The gate's self-test: can the canary's own decision fire, and does it leave harmless canaries alone?
//!
//! Seeded streams of windows, degraded and clean, go through the very decision that will judge the canary ([`Gate`]), with
//! its weights, holds, looks and traffic. Counts are drawn per window (Poisson requests, binomial events), not per request.
//! A gate without the power it claims blocks the promotion.
//!
//! **What "passes" means.** Power and false alarms are shares of streams and so uncertain. The power is refused when even the
//! upper end of its one-sided 99 % Wilson bound is below the power claimed; false alarms are refused when the lower end of
//! theirs is above alpha. A gate that keeps its promise exactly is thus blocked in about 1 % of tests at most (one with 5
//! points of power to spare practically never), and with 400 degraded streams one of power .70 instead of .80 is blocked in
//! 99 % of tests. That the false alarms stay below alpha follows from the method and is measured in the benches over many
//! more streams; here it guards against a gate that is wired wrongly.

use crate::{Interval, intervals::wilson, sampling::Sampler};
use serde::{Deserialize, Serialize};

/// What one arm did in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmWindow {
    /// Requests.
    pub requests: u64,
    /// Of these, errors (first errors of units).
    pub errors: u64,
    /// Answers beyond the lower latency threshold.
    pub slow: u64,
    /// Of these, beyond the far threshold.
    pub far: u64,
}

/// Both arms in one window, at one look.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// The step, from 0.
    pub step: usize,
    /// The canary's share.
    pub weight: f64,
    /// Seconds since the step began, at the end of the window.
    pub held_seconds: f64,
    /// The canary.
    pub canary: ArmWindow,
    /// The champion.
    pub champion: ArmWindow,
}

/// What the gate decides at a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Hold on.
    Hold,
    /// Go to the next step.
    Advance,
    /// The canary is harmful: roll back. What the test counts.
    Degraded,
    /// The longest hold is over without enough evidence. Rolled back too, but not because harm was found.
    Exhausted,
}

/// The canary's decision, as it will be used. It gets every window of a rollout in order.
pub trait Gate {
    /// Takes one window and decides.
    fn push(&mut self, window: &Window) -> Decision;
}

impl<F: FnMut(&Window) -> Decision> Gate for F {
    fn push(&mut self, window: &Window) -> Decision {
        self(window)
    }
}

/// Shares of requests with each event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Errors.
    pub errors: f64,
    /// Answers beyond the lower latency threshold.
    pub slow: f64,
    /// Answers beyond the far threshold, at most `slow`.
    pub far: f64,
}

/// One step of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The canary's share, a fraction.
    pub weight: f64,
    /// The longest hold in seconds.
    pub max_hold_seconds: f64,
    /// Looks until then, at even times. Fewer than really are made weaken the test a little, never strengthen it.
    pub looks: u32,
}

/// What is tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Requests a second over both arms.
    pub per_second: f64,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// What the champion does, and a harmless canary.
    pub champion: Rates,
    /// What a degraded canary does, from its first request on.
    pub degraded: Rates,
    /// Degraded streams; at least 200.
    pub degraded_streams: u32,
    /// Clean streams; at least 1,000.
    pub clean_streams: u32,
    /// The power claimed, e.g. .8.
    pub power: f64,
    /// The false alarms allowed.
    pub alpha: f64,
    /// The seed of all streams.
    pub seed: u64,
}

/// A share of streams with its 98 % Wilson interval (each end at one-sided 99 %).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Streams in which the gate fired.
    pub fired: u32,
    /// Streams.
    pub streams: u32,
    /// Their share.
    pub share: f64,
    /// Where the true share may lie.
    pub interval: Interval,
}

/// The outcome.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Degraded streams in which it fired.
    pub power: Share,
    /// Clean streams in which it fired.
    pub false_alarms: Share,
    /// Clean streams that came through every step.
    pub clean_through: u32,
    /// Seconds until a degraded stream was found, the median; `None` if fewer than half were.
    pub median_seconds: Option<f64>,
    /// Whether the power is not below what is claimed.
    pub power_holds: bool,
    /// Whether false alarms are not above alpha.
    pub false_alarms_hold: bool,
}

impl Outcome {
    /// Whether the gate may be used.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.power_holds && self.false_alarms_hold
    }
}

/// Fewest degraded and clean streams.
pub const LEAST_STREAMS: (u32, u32) = (200, 1_000);

/// Tries a gate: `new_gate` makes a fresh one for each stream. `None` if the trial is void: no step or look, no traffic,
/// weights or levels outside (0, 1), rates outside `[0, 1]` or `far` above `slow`, too few streams.
pub fn run<G: Gate>(trial: &Trial, mut new_gate: impl FnMut() -> G) -> Option<Outcome> {
    if !valid(trial) {
        return None;
    }
    let (mut found, mut alarms, mut through) = (Vec::new(), 0, 0);
    for stream in 0..trial.degraded_streams {
        let end = rollout(trial, &trial.degraded, u64::from(stream), &mut new_gate());
        found.extend((end.decision == Decision::Degraded).then_some(end.seconds));
    }
    for stream in 0..trial.clean_streams {
        // Their own streams: never the same draws as a degraded one.
        let end = rollout(trial, &trial.champion, u64::from(stream) | 1 << 63, &mut new_gate());
        alarms += u32::from(end.decision == Decision::Degraded);
        through += u32::from(end.decision == Decision::Advance);
    }
    found.sort_unstable_by(f64::total_cmp);
    let power = share(found.len() as u32, trial.degraded_streams)?;
    let false_alarms = share(alarms, trial.clean_streams)?;
    Some(Outcome {
        power_holds: power.interval.high >= trial.power,
        false_alarms_hold: false_alarms.interval.low <= trial.alpha,
        median_seconds: found.get(trial.degraded_streams as usize / 2).copied(),
        clean_through: through,
        power,
        false_alarms,
    })
}

fn share(fired: u32, streams: u32) -> Option<Share> {
    let interval = wilson(u64::from(fired), u64::from(streams), 0.98)?;
    Some(Share { fired, streams, share: f64::from(fired) / f64::from(streams), interval })
}

fn valid(trial: &Trial) -> bool {
    let open = |x: f64| x > 0.0 && x < 1.0;
    let rates = |r: &Rates| {
        (0.0..=1.0).contains(&r.errors) && (0.0..=1.0).contains(&r.slow) && (0.0..=r.slow).contains(&r.far)
    };
    let step = |s: &Step| {
        open(s.weight) && s.max_hold_seconds > 0.0 && s.max_hold_seconds.is_finite() && s.looks > 0
    };
    trial.per_second > 0.0
        && trial.per_second.is_finite()
        && !trial.steps.is_empty()
        && trial.steps.iter().all(step)
        && rates(&trial.champion)
        && rates(&trial.degraded)
        && open(trial.power)
        && open(trial.alpha)
        && trial.degraded_streams >= LEAST_STREAMS.0
        && trial.clean_streams >= LEAST_STREAMS.1
}

/// How a rollout ended, and when. `Advance`: it came through every step.
struct End {
    decision: Decision,
    seconds: f64,
}

fn rollout(trial: &Trial, canary: &Rates, stream: u64, gate: &mut impl Gate) -> End {
    let mut random = Sampler::of_stream(trial.seed, stream);
    let mut before = 0.0;
    for (index, step) in trial.steps.iter().enumerate() {
        let length = step.max_hold_seconds / f64::from(step.looks);
        let requests = trial.per_second * length;
        let mut decision = Decision::Hold;
        let mut held = 0.0;
        for look in 1..=step.looks {
            held = length * f64::from(look);
            let window = Window {
                step: index,
                weight: step.weight,
                held_seconds: held,
                canary: draw(&mut random, requests * step.weight, canary),
                champion: draw(&mut random, requests * (1.0 - step.weight), &trial.champion),
            };
            decision = gate.push(&window);
            if decision != Decision::Hold {
                break;
            }
        }
        before += held;
        match decision {
            Decision::Advance => {}
            Decision::Hold => return End { decision: Decision::Exhausted, seconds: before },
            Decision::Degraded | Decision::Exhausted => return End { decision, seconds: before },
        }
    }
    End { decision: Decision::Advance, seconds: before }
}

fn draw(random: &mut Sampler, mean: f64, rates: &Rates) -> ArmWindow {
    let requests = random.poisson(mean);
    let errors = random.binomial(requests, rates.errors);
    let slow = random.binomial(requests, rates.slow);
    let far = if rates.slow > 0.0 { random.binomial(slow, rates.far / rates.slow) } else { 0 };
    ArmWindow { requests, errors, slow, far }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::{eprocess::ArmEProcess, exceedance::LatencyEProcess};

    const ALPHA: f64 = 0.05;

    fn trial() -> Trial {
        let step = |weight| Step { weight, max_hold_seconds: 3_600.0, looks: 30 };
        let champion = Rates { errors: 0.001, slow: 0.01, far: 0.002 };
        Trial {
            per_second: 20.0,
            steps: [0.01, 0.05, 0.25, 0.5].map(step).to_vec(),
            champion,
            degraded: Rates { errors: 0.005, ..champion },
            degraded_streams: 400,
            clean_streams: 1_000,
            power: 0.8,
            alpha: ALPHA,
            seed: 17,
        }
    }

    /// Errors and latency, half of alpha each; ten minutes at each step are enough unless something is wrong.
    fn gate(sensitivity: f64) -> impl FnMut(&Window) -> Decision {
        let (mut errors, mut latency) = (ArmEProcess::default(), LatencyEProcess::default());
        move |window: &Window| {
            let Window { canary, champion, weight, .. } = *window;
            errors.observe_counts(canary.errors, champion.errors, weight);
            latency.p99.observe_counts(canary.slow, champion.slow, weight);
            latency.far.observe_counts(canary.far, champion.far, weight);
            let alpha = (sensitivity * ALPHA / 2.0).min(0.99);
            if errors.rejects(alpha) || latency.rejects(alpha) {
                Decision::Degraded
            } else if window.held_seconds >= 3_600.0 {
                Decision::Advance
            } else {
                Decision::Hold
            }
        }
    }

    #[test]
    fn a_sound_gate_passes_and_says_how_fast_it_is() {
        let outcome = run(&trial(), || gate(1.0)).unwrap();
        assert!(outcome.passes(), "{outcome:?}");
        assert!(outcome.power.share > 0.95 && outcome.false_alarms.share < ALPHA, "{outcome:?}");
        assert!(outcome.clean_through > 950 && outcome.median_seconds.unwrap() < 2.0 * 3_600.0);
        assert_eq!(run(&trial(), || gate(1.0)), Some(outcome), "the seed determines it");
    }

    #[test]
    fn slow_answers_are_found_too() {
        let trial = Trial { degraded: Rates { errors: 0.001, slow: 0.04, far: 0.01 }, ..trial() };
        assert!(run(&trial, || gate(1.0)).unwrap().passes());
    }

    #[test]
    fn a_gate_that_cannot_fire_is_refused() {
        let never = run(&trial(), || {
            |w: &Window| {
                if w.held_seconds >= 600.0 { Decision::Advance } else { Decision::Hold }
            }
        });
        let never = never.unwrap();
        assert!(!never.power_holds && never.false_alarms_hold && !never.passes());
        assert_eq!((never.power.fired, never.clean_through), (0, 1_000));
        // Running out of time is not finding harm.
        let exhausted = run(&trial(), || |_: &Window| Decision::Hold).unwrap();
        assert!(!exhausted.power_holds && exhausted.clean_through == 0);
        let starved = run(&Trial { per_second: 0.05, ..trial() }, || gate(1.0)).unwrap();
        assert!(!starved.power_holds, "{starved:?}");
    }

    #[test]
    fn a_gate_that_cries_wolf_is_refused() {
        let outcome = run(&trial(), || gate(30.0)).unwrap();
        assert!(!outcome.false_alarms_hold && !outcome.passes(), "{outcome:?}");
    }

    #[test]
    fn void_trials_are_refused() {
        for bad in [
            Trial { steps: Vec::new(), ..trial() },
            Trial { clean_streams: 999, ..trial() },
            Trial { degraded_streams: 199, ..trial() },
            Trial { per_second: f64::NAN, ..trial() },
            Trial { degraded: Rates { errors: 1.1, ..Rates::default() }, ..trial() },
            Trial { champion: Rates { far: 0.1, ..Rates::default() }, ..trial() },
        ] {
            assert_eq!(run(&bad, || gate(1.0)), None);
        }
    }
}
