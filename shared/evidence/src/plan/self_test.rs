//! The gate's self-test: seeded streams of a harmful and of a harmless challenger through the rules by which the canary is
//! judged, with the weights, holds, looks and traffic that it will have. A gate that does not fire blocks the promotion.

use seatrial_domain::policy::{Canary, ERROR_RATE, LATENCY_P99, Policy};
use seatrial_domain::task::HealthState;
use seatrial_domain::verdict::{Direction, MetricClass, Verdict};
use seatrial_stats::eprocess::ArmEProcess;
use seatrial_stats::exceedance::LatencyEProcess;
use seatrial_stats::selftest::{self, Decision, Outcome, Rates, Trial, Window};

use super::{Traffic, marked, needed, remedy_of};
use crate::canary::{
    Watched, count, duration, error_rate_rejects, latency_rejects, percent, slow_beyond_doubt, watched,
};
use crate::report::{MetricGroup, MetricRow, MetricUnit};
use crate::rows::{self, Name};

/// The name of the row.
pub const SELF_TEST: &str = "gate_self_test";

/// Streams of each kind, for each guardrail that is tried.
const DEGRADED: u32 = 200;
const CLEAN: u32 = 1_000;

/// The most looks that are tried at a step, and over all steps: real looks that are more frequent find harm a little sooner.
const MOST_LOOKS: u32 = 100;
const ALL_LOOKS: u32 = 400;

/// One seed for all promotions: the same policy and traffic have the same outcome.
const SEED: u64 = 0x5ea7_71a1;

/// A guardrail's streams.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tried {
    /// The guardrail whose harm the degraded streams have.
    pub metric: &'static str,
    /// What came of them.
    pub outcome: Outcome,
}

/// Tries the gate with the harm of each built-in guardrail for which the traffic says enough.
#[must_use]
pub fn try_gate(rules: &Canary, traffic: &Traffic) -> Vec<Tried> {
    let Some(plan) = Plan::of(rules, traffic) else { return Vec::new() };
    let mut tried = Vec::new();
    for (place, (metric, degraded)) in plan.harms(traffic).into_iter().enumerate() {
        let trial = Trial { degraded, seed: SEED + place as u64, ..plan.trial.clone() };
        if let Some(outcome) = selftest::run(&trial, || Gate::new(&plan)) {
            tried.push(Tried { metric, outcome });
        }
    }
    tried
}

/// What is the same for all streams.
struct Plan<'a> {
    rules: &'a Canary,
    trial: Trial,
    errors: Watched<'a>,
    /// The latency rule, where it is a guardrail and there are thresholds.
    latency: Option<Watched<'a>>,
    /// The n of both arms with which each step is through.
    needed: Vec<u64>,
}

impl<'a> Plan<'a> {
    fn of(rules: &'a Canary, traffic: &Traffic) -> Option<Self> {
        let guardrail = |name: &str| {
            watched(rules).into_iter().find(|w| w.name == name && w.rule.class == MetricClass::Guardrail)
        };
        let errors = guardrail(ERROR_RATE)?;
        let latency = guardrail(LATENCY_P99);
        let shares = latency.and_then(|watched| traffic.latency_shares(watched.margin(), watched.detect()));
        let latency = latency.filter(|_| shares.is_some());
        let champion = Rates {
            errors: traffic.error_rate(),
            slow: shares.map_or(0.0, |[(slow, _), _]| slow),
            far: shares.map_or(0.0, |[_, (far, _)]| far),
        };
        let max_hold_seconds = f64::from(rules.max_hold_seconds);
        let most = (ALL_LOOKS / (rules.steps.len() as u32).max(1)).clamp(4, MOST_LOOKS);
        let looks = (rules.max_hold_seconds / rules.check_seconds.max(1)).clamp(1, most);
        let steps = rules.steps.iter().map(|weight| selftest::Step {
            weight: weight / 100.0,
            max_hold_seconds,
            looks,
        });
        let need = |watched: &Watched<'_>, weight: f64| {
            needed(watched, rules, traffic, weight).ok().flatten().unwrap_or(u64::MAX)
        };
        let all = |weight: &f64| {
            let weight = weight / 100.0;
            need(&errors, weight).max(latency.as_ref().map_or(0, |latency| need(latency, weight)))
        };
        let trial = Trial {
            per_second: traffic.per_second(),
            steps: steps.collect(),
            champion,
            degraded: champion,
            degraded_streams: DEGRADED,
            clean_streams: CLEAN,
            power: rules.power,
            alpha: rules.alpha,
            seed: SEED,
        };
        Some(Self { rules, needed: rules.steps.iter().map(all).collect(), trial, errors, latency })
    }

    fn harms(&self, traffic: &Traffic) -> Vec<(&'static str, Rates)> {
        let champion = self.trial.champion;
        let mut harms = vec![(
            ERROR_RATE,
            Rates { errors: (champion.errors + self.errors.detect()).min(1.0), ..champion },
        )];
        let shares = self.latency.and_then(|w| traffic.latency_shares(w.margin(), w.detect()));
        if let Some([(_, slow), (_, far)]) = shares {
            harms.push((LATENCY_P99, Rates { slow, far: far.min(slow), ..champion }));
        }
        harms
    }
}

/// The judge of one stream: the tests and rules of [`crate::canary::judge`], with the n of each step decided beforehand, since
/// deciding it at every look of every stream takes too long.
struct Gate<'a> {
    plan: &'a Plan<'a>,
    errors: ArmEProcess,
    latency: LatencyEProcess,
    step: usize,
    /// Requests, errors and slow answers of this step: champion and canary.
    seen: [[u64; 3]; 2],
}

impl<'a> Gate<'a> {
    fn new(plan: &'a Plan<'a>) -> Self {
        Self {
            plan,
            errors: ArmEProcess::default(),
            latency: LatencyEProcess::default(),
            step: 0,
            seen: [[0; 3]; 2],
        }
    }
}

impl selftest::Gate for Gate<'_> {
    fn push(&mut self, window: &Window) -> Decision {
        let Window { canary, champion, weight, .. } = *window;
        if window.step != self.step {
            (self.step, self.seen) = (window.step, [[0; 3]; 2]);
        }
        for (seen, arm) in self.seen.iter_mut().zip([champion, canary]) {
            seen[0] += arm.requests;
            seen[1] += arm.errors;
            seen[2] += arm.slow;
        }
        self.errors.observe_counts(canary.errors, champion.errors, weight);
        if error_rate_rejects(&self.errors, self.plan.errors.alpha) {
            return Decision::Degraded;
        }
        let [[champion_n, champion_errors, _], [canary_n, canary_errors, slow]] = self.seen;
        if let Some(latency) = &self.plan.latency {
            self.latency.p99.observe_counts(canary.slow, champion.slow, weight);
            self.latency.far.observe_counts(canary.far, champion.far, weight);
            if latency_rejects(&self.latency, latency.alpha, slow, canary_n) {
                return Decision::Degraded;
            }
        }
        let rules = self.plan.rules;
        let enough = champion_n + canary_n >= self.plan.needed[self.step] && canary_n >= rules.min_requests;
        if window.held_seconds < f64::from(rules.hold_seconds) || !enough || canary_n == 0 || champion_n == 0
        {
            return Decision::Hold;
        }
        let excess = canary_errors as f64 / canary_n as f64 - champion_errors as f64 / champion_n as f64;
        if excess > self.plan.errors.margin() || slow_beyond_doubt(slow, canary_n, rules.alpha) {
            return Decision::Hold;
        }
        Decision::Advance
    }
}

/// The row of the self-test.
pub(super) fn row(policy: &Policy, traffic: &Traffic) -> MetricRow {
    let rules = policy.judged_canary();
    let rules = rules.as_ref();
    let name = Name { group: MetricGroup::Plan, name: SELF_TEST, segment: None, unit: MetricUnit::Share };
    let tried = try_gate(rules, traffic);
    let Some(weakest) = tried.iter().min_by(|a, b| a.outcome.power.share.total_cmp(&b.outcome.power.share))
    else {
        let why = "the gate could not be tried: there is no step, no traffic, or a share outside 0 to 1";
        return rows::check(name, 0, Verdict::Inconclusive, why);
    };
    let powers: Vec<String> = tried.iter().map(told).collect();
    let (alarms, clean) = tried
        .iter()
        .fold((0, 0), |(a, n), t| (a + t.outcome.false_alarms.fired, n + t.outcome.false_alarms.streams));
    let through: u32 = tried.iter().map(|t| t.outcome.clean_through).sum();
    let said = format!(
        "tried on seeded streams: {}; of {} harmless ones {} were rolled back as harmful and {} came through",
        powers.join(", "),
        count(u64::from(clean)),
        count(u64::from(alarms)),
        count(u64::from(through))
    );
    let passes = tried.iter().all(|t| t.outcome.passes());
    let marked = marked::judged(rules);
    let (verdict, why) = if marked.is_none_or(|[failing, unasked]| {
        failing != HealthState::Degraded
            || unasked == HealthState::Healthy
            || unasked == HealthState::Degraded
    }) {
        let why = format!(
            "a challenger that fails on every request, and one that nobody asked, are judged {marked:?}; expected degraded and not \
             yet known: the judge is broken; {said}"
        );
        (Verdict::Fail, why)
    } else if passes {
        let why = format!(
            "{said}; the policy claims a power of {} at an alpha of {}",
            percent(rules.power),
            rules.alpha
        );
        (Verdict::Pass, why)
    } else if tried.iter().all(|t| t.outcome.power_holds) {
        (Verdict::Fail, format!("{said}; more false alarms than the alpha of {} allows", rules.alpha))
    } else {
        let what = remedy_of(weakest.metric, rules, traffic);
        (Verdict::Fail, format!("{said}; the policy claims a power of {}: {what}", percent(rules.power)))
    };
    let n = u64::from(clean) + tried.iter().map(|t| u64::from(t.outcome.power.streams)).sum::<u64>();
    let power = weakest.outcome.power;
    MetricRow {
        challenger: Some(power.share),
        interval: Some([power.interval.low, power.interval.high]),
        confidence: Some(0.98),
        limit: Some(rules.power),
        direction: Direction::HigherIsBetter,
        ..rows::check(name, n, verdict, why)
    }
}

fn told(tried: &Tried) -> String {
    let Outcome { power, median_seconds, .. } = tried.outcome;
    let time = median_seconds
        .map_or_else(String::new, |s| format!(", half of them within {}", duration(s.ceil() as u64)));
    format!(
        "harm to {} was found in {} of {} ({}{time})",
        tried.metric,
        count(u64::from(power.fired)),
        count(u64::from(power.streams)),
        percent(power.share)
    )
}
