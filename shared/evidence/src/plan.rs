//! What the canary will be able to detect, said before it starts: rows of the group `plan`.
//!
//! Each guardrail names the harm it must detect. From the traffic that the shadow saw, the weights and the holds follow the
//! requests and the time that each step needs; a step whose longest hold is too short for them can only end in a rollback, whatever
//! the challenger is. Then the gate is tried on seeded streams, degraded and clean ([`crate::plan::self_test`]).

mod marked;
mod self_test;
mod traffic;

use seatrial_domain::policy::{Canary, ERROR_RATE, LATENCY_P99, Margin, OUTPUT_DISTRIBUTION, Policy};
use seatrial_domain::route::Weight;
use seatrial_domain::verdict::{Direction, MetricClass, Verdict};
use seatrial_stats::exceedance::MIN_REFERENCE;
use seatrial_stats::multinomial::planned_answers;
use seatrial_stats::noninferiority::planned_n;
use seatrial_stats::planner::planned_units;

pub use marked::judged as marked_stream;
pub use self_test::{SELF_TEST, Tried, try_gate};
pub use traffic::Traffic;

use crate::canary::{Watched, count, duration, percent, rate, watched};
use crate::report::{MetricGroup, MetricRow, MetricUnit};
use crate::rows::{self, Name};

/// The longest hold that is proposed, in seconds: a week.
const LONGEST_HOLD: f64 = 7.0 * 86_400.0;

/// More steps than this are not told one by one.
const MOST_TOLD: usize = 6;

/// Weights that are proposed.
const WEIGHTS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5];

/// The rows of a canary's plan. Without a champion there is no canary and no row.
#[must_use]
pub fn rows(policy: &Policy, traffic: &Traffic) -> Vec<MetricRow> {
    let rules = policy.judged_canary();
    let rules = rules.as_ref();
    let guardrails: Vec<_> =
        watched(rules).into_iter().filter(|watched| watched.rule.class == MetricClass::Guardrail).collect();
    let mut rows: Vec<MetricRow> = guardrails.iter().map(|watched| row(watched, rules, traffic)).collect();
    if rules.self_test && traffic.requests > 0 {
        rows.push(self_test::row(policy, traffic));
    }
    rows
}

/// One step's need, in requests of both arms.
pub(crate) struct Need {
    pub weight: Weight,
    /// None: no n is enough.
    pub requests: Option<u64>,
}

fn row(watched: &Watched<'_>, rules: &Canary, traffic: &Traffic) -> MetricRow {
    let name = format!("detect_{}", watched.name);
    let unit = match watched.name {
        LATENCY_P99 => MetricUnit::Microseconds,
        ERROR_RATE | OUTPUT_DISTRIBUTION => MetricUnit::Share,
        _ => MetricUnit::Number,
    };
    let named = Name { group: MetricGroup::Plan, name: &name, segment: None, unit };
    let of = |verdict, why: String| {
        let mut row = rows::check(named, traffic.requests, verdict, why);
        row.direction = Direction::LowerIsBetter;
        row
    };
    let per_second = traffic.per_second();
    if per_second <= 0.0 {
        let why = "no request of the champion was seen before the canary, so nothing can be said of what it will detect";
        return MetricRow { n_needed: Some(1), ..of(Verdict::Inconclusive, why.to_owned()) };
    }
    let harm = harm(watched);
    let needs = match needs(watched, rules, traffic) {
        Ok(needs) => needs,
        Err(unknown) => {
            let why = format!("whether {harm} can be detected is not known: {}", unknown.why);
            return MetricRow { n_needed: unknown.n_needed, ..of(Verdict::Inconclusive, why) };
        }
    };
    let longest = f64::from(rules.max_hold_seconds);
    let reached = |need: &Need| need.requests.is_some_and(|n| n as f64 <= per_second * longest);
    // Needs fall with the weight, so the first steps are the ones that decide.
    let told = if needs.len() > MOST_TOLD { 3 } else { needs.len() };
    let mut each: Vec<String> = needs.iter().take(told).map(|need| step_text(need, per_second)).collect();
    if told < needs.len() {
        each.push(format!("… {} steps more", needs.len() - told));
    }
    let base = format!(
        "to detect {harm} with {} of {}: {}",
        percent(rules.power),
        rate(per_second),
        each.join(", ")
    );
    let champion = match watched.name {
        ERROR_RATE => Some(traffic.error_rate()),
        LATENCY_P99 => traffic.latency.quantile_us(0.99),
        _ => None,
    };
    let n_needed = needs.first().and_then(|need| need.requests);
    let judged = match needs.iter().find(|need| !reached(need)) {
        None => {
            of(Verdict::Pass, format!("{base}; each within the longest hold of {}", duration(longest as u64)))
        }
        Some(short) => {
            let what = remedy(watched, rules, traffic, short);
            let why = format!(
                "{base}; at {} the longest hold of {} is too short, and the canary could only be rolled back: {what}",
                short.weight,
                duration(longest as u64)
            );
            of(Verdict::Fail, why)
        }
    };
    MetricRow { champion, n_needed, ..judged }
}

/// The harm that must be detected, in words.
fn harm(watched: &Watched<'_>) -> String {
    let detect = watched.detect();
    match (watched.name, watched.rule.margin) {
        (ERROR_RATE, _) => format!("an error rate higher by {}", percent(detect)),
        (LATENCY_P99, _) => format!("answers that all take {} longer", percent(detect)),
        (OUTPUT_DISTRIBUTION, _) => format!("answers that are the shadow's within {}", percent(detect)),
        (name, Margin::Absolute(_)) => format!("{name} worse by {detect}"),
        (name, Margin::Relative(_)) => format!("{name} worse by {}", percent(detect)),
    }
}

fn step_text(need: &Need, per_second: f64) -> String {
    match need.requests {
        Some(n) => {
            let seconds = (n as f64 / per_second).ceil() as u64;
            format!("{} requests ({}) at {}", count(n), duration(seconds), need.weight)
        }
        None => format!("no number of requests at {}", need.weight),
    }
}

/// Why a plan is not known.
struct Unknown {
    why: String,
    n_needed: Option<u64>,
}

fn needs(watched: &Watched<'_>, rules: &Canary, traffic: &Traffic) -> Result<Vec<Need>, Unknown> {
    let weights = rules.steps.iter().filter_map(|percent| Weight::from_percent(*percent).ok());
    weights
        .map(|weight| {
            let requests = needed(watched, rules, traffic, weight.fraction())?;
            Ok(Need { weight, requests })
        })
        .collect()
}

/// Requests of both arms after which a step at this weight is well or its harm found; none when no number is enough.
fn needed(
    watched: &Watched<'_>,
    rules: &Canary,
    traffic: &Traffic,
    weight: f64,
) -> Result<Option<u64>, Unknown> {
    let (alpha, power, detect) = (watched.alpha, rules.power, watched.detect());
    let unknown = |why: &str, n_needed| Unknown { why: why.to_owned(), n_needed };
    let least = (rules.min_requests as f64 / weight).ceil() as u64;
    let planned = match watched.name {
        ERROR_RATE => {
            let baseline = traffic.error_rate();
            planned_n(baseline, (baseline + detect).min(1.0), weight, alpha, power)
        }
        LATENCY_P99 => {
            let Some(shares) = traffic.latency_shares(watched.margin(), detect) else {
                let why = format!(
                    "{} answers of the champion were seen of {} needed",
                    count(traffic.latency.n()),
                    count(MIN_REFERENCE)
                );
                return Err(unknown(&why, Some(MIN_REFERENCE)));
            };
            let of = |(baseline, harm)| planned_n(baseline, harm, weight, alpha / 2.0, power);
            shares.into_iter().filter_map(of).min()
        }
        OUTPUT_DISTRIBUTION => {
            if traffic.classes < 2 {
                return Err(unknown("fewer than two classes were answered", None));
            }
            let beside = rules.shadow_percent / 100.0 / weight;
            let answers = planned_answers(traffic.classes, watched.margin(), alpha, beside);
            answers.map(|answers| (answers as f64 / weight).ceil() as u64)
        }
        name => {
            let rule = rules.signal_rule(name).unwrap_or(watched.rule);
            let Some([low, high]) = rule.bounds else {
                return Err(unknown("the signal has no bounds", None));
            };
            let Margin::Absolute(_) = rule.margin else {
                return Err(unknown(
                    "the margin is a share of a mean that is not known before the canary",
                    None,
                ));
            };
            // The greatest spread that the bounds allow: on the safe side.
            planned_units((high - low) / 2.0, detect, weight, alpha, power)
        }
    };
    Ok(planned.map(|n| n.max(least)))
}

/// The first weight and the first hold that would work.
fn remedy(watched: &Watched<'_>, rules: &Canary, traffic: &Traffic, short: &Need) -> String {
    let per_second = traffic.per_second();
    let longest = f64::from(rules.max_hold_seconds);
    let hold =
        short.requests.map(|n| (n as f64 / per_second).ceil()).filter(|seconds| *seconds <= LONGEST_HOLD);
    let works = |weight: &f64| {
        needed(watched, rules, traffic, *weight)
            .ok()
            .flatten()
            .is_some_and(|n| n as f64 <= per_second * longest)
    };
    let weight = WEIGHTS.into_iter().filter(|weight| *weight > short.weight.fraction()).find(works);
    let weight = weight.map(|weight| format!("a first step of {}", percent(weight)));
    let hold = hold.map(|seconds| format!("a canary.max_hold_seconds of {seconds:.0}"));
    if watched.name == LATENCY_P99 && watched.detect() <= watched.margin() {
        return "latency harms beyond its margin only; name a detect that is larger than the margin"
            .to_owned();
    }
    match (weight, hold) {
        (Some(weight), Some(hold)) => format!("{weight} would work, or {hold}"),
        (Some(works), None) | (None, Some(works)) => format!("{works} would work"),
        (None, None) => {
            "no weight up to 50 % and no hold up to a week would work at this traffic; name a larger detect"
                .into()
        }
    }
}

/// What would let the canary find harm to a metric.
fn remedy_of(metric: &str, rules: &Canary, traffic: &Traffic) -> String {
    let longest = f64::from(rules.max_hold_seconds);
    let short = || {
        let watched = watched(rules).into_iter().find(|watched| watched.name == metric)?;
        let needs = needs(&watched, rules, traffic).ok()?;
        let reached = |need: &Need| need.requests.is_some_and(|n| n as f64 <= traffic.per_second() * longest);
        let short = needs.iter().find(|need| !reached(need))?;
        Some(remedy(&watched, rules, traffic, short))
    };
    short().unwrap_or_else(|| "a longer canary.hold_seconds or a larger detect would work".to_owned())
}
