//! One judged row of a report: an estimate, a rule, a sentence.

use seatrial_domain::policy::{Margin, MetricRule};
use seatrial_domain::verdict::{Direction, MetricClass, Verdict};
use seatrial_stats::Interval;
use seatrial_stats::intervals::{root_sum_of_squares, wilson};
use seatrial_stats::margin::{self, Judgement};
use seatrial_stats::quantiles::normal_quantile;
use seatrial_stats::sketch::LatencySketch;

use crate::progress::CONFIDENCE;
use crate::report::{MetricGroup, MetricRow, MetricUnit};

/// What was measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Estimate {
    /// How the interval was made.
    pub how: &'static str,
    /// Rows or pairs.
    pub n: u64,
    /// The champion's value.
    pub champion: Option<f64>,
    /// The challenger's value.
    pub challenger: Option<f64>,
    /// Challenger minus champion.
    pub delta: Option<f64>,
    /// The interval of `delta`.
    pub interval: Option<Interval>,
    /// The interval of the challenger's own value, for absolute limits.
    pub own: Option<Interval>,
}

/// Which row it is.
#[derive(Debug, Clone, Copy)]
pub struct Name<'a> {
    /// The evidence.
    pub group: MetricGroup,
    /// The metric.
    pub name: &'a str,
    /// `column=value`.
    pub segment: Option<&'a str>,
    /// The unit.
    pub unit: MetricUnit,
}

/// The rows that were judged together with one: looking at many, some look bad by chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Family {
    /// How many rows, this one included.
    pub size: usize,
    /// This row's one-sided p-value for "not worse than the margin", adjusted by Holm (1979) over all of them; none where there is no test.
    pub adjusted: Option<f64>,
}

/// Judges an estimate by a rule: the margin where there is a champion, and the limit where there is one.
///
/// With fewer than `min_n` rows nothing is judged: the row is inconclusive.
#[must_use]
pub fn judge(name: Name<'_>, rule: &MetricRule, e: &Estimate, min_n: u64, margin_applies: bool) -> MetricRow {
    judge_of_family(name, rule, e, min_n, margin_applies, None)
}

/// [`judge`] for one of many rows. A difference beyond the margin fails only where the adjusted p-value is at most 5 %; a
/// passing one needs no adjustment, since all of them must pass.
#[must_use]
pub fn judge_of_family(
    name: Name<'_>,
    rule: &MetricRule,
    e: &Estimate,
    min_n: u64,
    margin_applies: bool,
    family: Option<Family>,
) -> MetricRow {
    let mut row = blank(name, rule);
    row.champion = finite(e.champion);
    row.challenger = finite(e.challenger);
    row.delta = finite(e.delta);
    row.n = e.n;
    let shown = if margin_applies { e.interval } else { e.own };
    row.interval = shown.map(|i| [i.low, i.high]);
    row.confidence = row.interval.map(|_| CONFIDENCE);
    if e.n < min_n {
        row.n_needed = Some(min_n);
        row.why = format!("{}; {} needed", measured(name, e, margin_applies), plural(min_n));
        return row;
    }
    let mut parts = Vec::new();
    if margin_applies {
        let judged = margin::judge(
            row.delta,
            e.interval,
            stats_margin(rule.margin),
            stats_direction(rule.direction),
            row.champion,
        );
        let (found, chance) = of_family(verdict(judged.judgement), family);
        let margin = margin_text(name.unit, rule.margin);
        parts.push((found, format!("margin {margin}: {}{chance}", judged.reason)));
    } else {
        row.margin = None;
    }
    if let Some(limit) = rule.limit {
        parts.push(limit_part(name.unit, limit, rule.direction, e, family));
    }
    if parts.is_empty() {
        row.class = MetricClass::Info;
        row.why = format!(
            "{}{}; shown only: there is no champion, and the policy sets no limit",
            measured(name, e, margin_applies),
            e.own.map_or_else(String::new, |i| format!(
                " (95 % interval {} to {})",
                value(name.unit, i.low),
                value(name.unit, i.high)
            ))
        );
        return row;
    }
    row.verdict = Verdict::worst(parts.iter().map(|(v, _)| *v));
    let reasons: Vec<&str> = parts.iter().map(|(_, why)| why.as_str()).collect();
    row.why = format!("{}; {}", measured(name, e, margin_applies), reasons.join("; "));
    row
}

/// A row without an estimate: inconclusive, with this reason.
#[must_use]
pub fn without(name: Name<'_>, rule: &MetricRule, why: impl Into<String>) -> MetricRow {
    MetricRow { why: why.into(), ..blank(name, rule) }
}

/// The row of a check that is met or not.
#[must_use]
pub fn check(name: Name<'_>, n: u64, verdict: Verdict, why: impl Into<String>) -> MetricRow {
    let rule = MetricRule {
        class: MetricClass::Guardrail,
        margin: Margin::Absolute(0.0),
        direction: Direction::HigherIsBetter,
        limit: None,
    };
    MetricRow { n, verdict, margin: None, why: why.into(), ..blank(name, &rule) }
}

/// What is left of a failure when the whole family is looked at, and how that is said.
fn of_family(found: Verdict, family: Option<Family>) -> (Verdict, String) {
    let (Verdict::Fail, Some(family)) = (found, family) else { return (found, String::new()) };
    let size = family.size;
    match family.adjusted {
        Some(p) if p <= 1.0 - CONFIDENCE => {
            (Verdict::Fail, format!(", and not by chance (p = {p:.2e} after Holm over {size} segments)"))
        }
        Some(p) => (
            Verdict::Inconclusive,
            format!(", which is within chance when {size} segments are looked at (p = {p:.2} after Holm)"),
        ),
        None => (Verdict::Inconclusive, ", and there is no test that it is not chance".into()),
    }
}

fn blank(name: Name<'_>, rule: &MetricRule) -> MetricRow {
    MetricRow {
        group: name.group,
        name: name.name.to_owned(),
        segment: name.segment.map(str::to_owned),
        unit: name.unit,
        champion: None,
        challenger: None,
        delta: None,
        interval: None,
        confidence: None,
        n: 0,
        n_needed: None,
        margin: Some(rule.margin),
        limit: rule.limit,
        direction: rule.direction,
        class: rule.class,
        verdict: Verdict::Inconclusive,
        why: String::new(),
    }
}

/// The limit is met when the bound of the challenger's own interval is; broken when the whole interval is beyond it.
fn limit_part(
    unit: MetricUnit,
    limit: f64,
    direction: Direction,
    e: &Estimate,
    family: Option<Family>,
) -> (Verdict, String) {
    let shown = value(unit, limit);
    let Some(own) = e.own else {
        return (Verdict::Inconclusive, format!("limit {shown}: there is no interval"));
    };
    let beyond = |i: Interval| match direction {
        Direction::HigherIsBetter => i.high < limit,
        Direction::LowerIsBetter => i.low > limit,
    };
    let (inside, word) = match direction {
        Direction::HigherIsBetter => (own.low >= limit, "at least"),
        Direction::LowerIsBetter => (own.high <= limit, "at most"),
    };
    let bounds =
        format!("the challenger's own value is {} to {}", value(unit, own.low), value(unit, own.high));
    let size = family.map_or(1, |f| f.size);
    match (inside, beyond(own)) {
        (true, _) => (Verdict::Pass, format!("limit {word} {shown}: {bounds}, all of it inside")),
        (_, true) if !beyond(widened(own, e.challenger, size)) => (
            Verdict::Inconclusive,
            format!(
                "limit {word} {shown}: {bounds}, all of it beyond, which is within chance when {size} segments are looked at"
            ),
        ),
        (_, true) => (Verdict::Fail, format!("limit {word} {shown}: {bounds}, all of it beyond")),
        _ => (Verdict::Inconclusive, format!("limit {word} {shown}: {bounds}, which crosses it")),
    }
}

/// An interval that holds for all of `size` rows at once (Bonferroni), by the ratio of the normal quantiles.
fn widened(own: Interval, estimate: Option<f64>, size: usize) -> Interval {
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let quantiles = normal_quantile(1.0 - tail / size.max(1) as f64).zip(normal_quantile(1.0 - tail));
    let (Some(at), Some((strict, plain))) = (estimate, quantiles) else { return own };
    let ratio = strict / plain;
    Interval { low: at - (at - own.low) * ratio, high: at + (own.high - at) * ratio }
}

/// The difference of two latency quantiles. Each quantile's own interval comes from order statistics (any distribution),
/// and the two are combined as for independent samples, which is wide where they are paired.
#[must_use]
pub fn latency(champion: Option<&LatencySketch>, challenger: &LatencySketch, q: f64) -> Estimate {
    let theirs = quantile(challenger, q);
    let ours = champion.and_then(|c| quantile(c, q));
    let (delta, interval) = match (ours, theirs) {
        (Some((x, xi)), Some((y, yi))) => {
            let delta = y - x;
            let low = delta - root_sum_of_squares(y - yi.low, xi.high - x);
            (Some(delta), Interval::new(low, delta + root_sum_of_squares(yi.high - y, x - xi.low)))
        }
        _ => (None, None),
    };
    Estimate {
        how: "order statistics of single calls in random order",
        n: challenger.n(),
        champion: ours.map(|o| o.0),
        challenger: theirs.map(|t| t.0),
        delta,
        interval,
        own: theirs.map(|t| t.1),
    }
}

fn quantile(sketch: &LatencySketch, q: f64) -> Option<(f64, Interval)> {
    let n = sketch.n();
    let ranks = wilson((q * n as f64).round() as u64, n, CONFIDENCE)?;
    let at = sketch.quantile_us(q)?;
    let interval =
        Interval::new(sketch.quantile_us(ranks.low)?.min(at), sketch.quantile_us(ranks.high)?.max(at))?;
    Some((at, interval))
}

fn finite(x: Option<f64>) -> Option<f64> {
    x.filter(|x| x.is_finite())
}

fn verdict(judgement: Judgement) -> Verdict {
    match judgement {
        Judgement::Pass => Verdict::Pass,
        Judgement::Inconclusive => Verdict::Inconclusive,
        Judgement::Fail => Verdict::Fail,
    }
}

fn stats_margin(margin: Margin) -> margin::Margin {
    match margin {
        Margin::Absolute(m) => margin::Margin::Absolute(m),
        Margin::Relative(m) => margin::Margin::Relative(m),
    }
}

fn stats_direction(direction: Direction) -> margin::Direction {
    match direction {
        Direction::HigherIsBetter => margin::Direction::HigherIsBetter,
        Direction::LowerIsBetter => margin::Direction::LowerIsBetter,
    }
}

fn plural(n: u64) -> String {
    if n == 1 { "1 row is".into() } else { format!("{n} rows are") }
}

fn margin_text(unit: MetricUnit, margin: Margin) -> String {
    match (margin, unit) {
        (Margin::Absolute(m), MetricUnit::Share) => format!("{} points", trim(m * 100.0, 2)),
        (Margin::Absolute(m), unit) => value(unit, m),
        (Margin::Relative(m), _) => format!("{} % of the champion's", trim(m * 100.0, 2)),
    }
}

fn trim(x: f64, digits: usize) -> String {
    let text = format!("{x:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A value in words.
#[must_use]
pub fn value(unit: MetricUnit, x: f64) -> String {
    match unit {
        MetricUnit::Share => format!("{:.2} %", x * 100.0),
        MetricUnit::Number => format!("{x:.4}"),
        MetricUnit::Microseconds => format!("{x:.0} µs"),
    }
}

fn difference(unit: MetricUnit, x: f64) -> String {
    match unit {
        MetricUnit::Share => format!("{:+.2} points", x * 100.0),
        MetricUnit::Number => format!("{x:+.4}"),
        MetricUnit::Microseconds => format!("{x:+.0} µs"),
    }
}

fn measured(name: Name<'_>, e: &Estimate, margin_applies: bool) -> String {
    let shown = |x: Option<f64>| x.map_or_else(|| "unknown".into(), |x| value(name.unit, x));
    let mut text = format!("{} {} on n = {}", name.name.replace('_', " "), shown(e.challenger), e.n);
    if let Some(segment) = name.segment {
        text.push_str(&format!(" ({segment})"));
    }
    if margin_applies {
        text.push_str(&format!(", champion {}", shown(e.champion)));
        if let Some(delta) = e.delta {
            text.push_str(&format!(", difference {}", difference(name.unit, delta)));
        }
        if let Some(i) = e.interval {
            let (low, high) = (difference(name.unit, i.low), difference(name.unit, i.high));
            text.push_str(&format!(" (95 % interval {low} to {high}, {})", e.how));
        }
    }
    text
}
