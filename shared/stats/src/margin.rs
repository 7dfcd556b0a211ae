//! The rule of a guardrail row: estimate and interval against a margin.

use crate::Interval;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a row says, ordered from best to worst, so that rows combine by `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// The whole interval is inside the margin.
    Pass,
    /// The data do not decide, or there are none.
    Inconclusive,
    /// The estimate, or the whole interval, is beyond the margin.
    Fail,
}

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Accuracy, AUC.
    HigherIsBetter,
    /// Log loss, error rate, latency.
    LowerIsBetter,
}

/// The harm that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Margin {
    /// In the metric's own unit: .01 is one point of a share.
    Absolute(f64),
    /// As a fraction of the champion's value: .05 is 5 %.
    Relative(f64),
}

/// Why a row was judged so, ready for a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The interval lies wholly inside the margin.
    IntervalInside,
    /// The estimate itself is beyond the margin.
    EstimateBeyond,
    /// The interval lies wholly beyond the margin.
    IntervalBeyond,
    /// The estimate is inside, but the interval reaches beyond the margin.
    IntervalCrosses,
    /// There is no estimate.
    NoEstimate,
    /// There is an estimate but no interval.
    NoInterval,
    /// The margin cannot be applied: it is negative or not a number, or relative to a champion value that is missing.
    NoMargin,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IntervalInside => "the whole interval is inside the margin",
            Self::EstimateBeyond => "the estimate is beyond the margin",
            Self::IntervalBeyond => "the whole interval is beyond the margin",
            Self::IntervalCrosses => "the interval reaches beyond the margin",
            Self::NoEstimate => "there is no estimate",
            Self::NoInterval => "there is no interval for the estimate",
            Self::NoMargin => "the margin cannot be applied",
        })
    }
}

/// A judged row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The judgement.
    pub judgement: Judgement,
    /// Why.
    pub reason: Reason,
    /// The worst delta allowed, in the metric's unit and with its sign (−.01 for accuracy with one point); `None` if the
    /// margin cannot be applied.
    pub limit: Option<f64>,
}

/// Judges a delta (challenger minus champion) and its interval against a margin. `champion` is the champion's value,
/// needed for relative margins only.
///
/// *Fail*: the estimate is beyond the margin, or the interval wholly beyond it. *Pass*: the interval wholly inside.
/// Else *inconclusive*, as is everything without an estimate, an interval or a usable margin: no data is never a pass.
/// Exactly at the margin is inside.
#[must_use]
pub fn judge(
    delta: Option<f64>,
    interval: Option<Interval>,
    margin: Margin,
    direction: Direction,
    champion: Option<f64>,
) -> Judged {
    let Some(allowed) = allowed_harm(margin, champion) else {
        return Judged { judgement: Judgement::Inconclusive, reason: Reason::NoMargin, limit: None };
    };
    // Harm points up for every metric; `+ 0.0` keeps a limit of zero from being printed as -0.
    let sign = if direction == Direction::HigherIsBetter { -1.0 } else { 1.0 };
    let harm = delta.filter(|d| d.is_finite()).map(|d| sign * d);
    let range = interval.and_then(|i| match direction {
        Direction::HigherIsBetter => Interval::new(-i.high, -i.low),
        Direction::LowerIsBetter => Interval::new(i.low, i.high),
    });
    let (judgement, reason) = match (harm, range) {
        (Some(harm), _) if harm > allowed => (Judgement::Fail, Reason::EstimateBeyond),
        (Some(_), Some(range)) if range.low > allowed => (Judgement::Fail, Reason::IntervalBeyond),
        (Some(_), Some(range)) if range.high <= allowed => (Judgement::Pass, Reason::IntervalInside),
        (Some(_), Some(_)) => (Judgement::Inconclusive, Reason::IntervalCrosses),
        (Some(_), None) => (Judgement::Inconclusive, Reason::NoInterval),
        (None, _) => (Judgement::Inconclusive, Reason::NoEstimate),
    };
    Judged { judgement, reason, limit: Some(sign * allowed + 0.0) }
}

fn allowed_harm(margin: Margin, champion: Option<f64>) -> Option<f64> {
    let allowed = match margin {
        Margin::Absolute(points) => points,
        Margin::Relative(fraction) => fraction * champion?.abs(),
    };
    (allowed.is_finite() && allowed >= 0.0).then_some(allowed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points(delta: f64, low: f64, high: f64, direction: Direction) -> (Judgement, Reason) {
        let judged = judge(Some(delta), Interval::new(low, high), Margin::Absolute(0.01), direction, None);
        (judged.judgement, judged.reason)
    }

    #[test]
    fn a_metric_where_higher_is_better() {
        let up = Direction::HigherIsBetter;
        assert_eq!(points(0.0, -0.005, 0.005, up), (Judgement::Pass, Reason::IntervalInside));
        assert_eq!(points(0.0, -0.010, 0.005, up), (Judgement::Pass, Reason::IntervalInside));
        assert_eq!(points(0.0, -0.011, 0.005, up), (Judgement::Inconclusive, Reason::IntervalCrosses));
        assert_eq!(points(-0.02, -0.05, 0.01, up), (Judgement::Fail, Reason::EstimateBeyond));
        assert_eq!(points(0.3, 0.2, 0.4, up), (Judgement::Pass, Reason::IntervalInside));
    }

    #[test]
    fn a_metric_where_lower_is_better() {
        let down = Direction::LowerIsBetter;
        assert_eq!(points(0.02, -0.05, 0.03, down), (Judgement::Fail, Reason::EstimateBeyond));
        assert_eq!(points(-0.3, -0.4, -0.2, down), (Judgement::Pass, Reason::IntervalInside));
        assert_eq!(points(0.01, 0.02, 0.03, down), (Judgement::Fail, Reason::IntervalBeyond));
    }

    #[test]
    fn relative_margins_need_the_champion() {
        let interval = Interval::new(0.0, 4.0);
        let row =
            |champion| judge(Some(1.0), interval, Margin::Relative(0.05), Direction::LowerIsBetter, champion);
        assert_eq!((row(Some(100.0)).judgement, row(Some(100.0)).limit), (Judgement::Pass, Some(5.0)));
        assert_eq!(row(Some(10.0)).judgement, Judgement::Fail);
        assert_eq!((row(None).judgement, row(None).reason), (Judgement::Inconclusive, Reason::NoMargin));
    }

    proptest! {
        #[test]
        fn no_data_is_never_a_pass(delta in prop::option::of(any::<f64>()), margin in any::<f64>()) {
            for direction in [Direction::HigherIsBetter, Direction::LowerIsBetter] {
                let judged = judge(delta, None, Margin::Absolute(margin), direction, None);
                prop_assert!(judged.judgement != Judgement::Pass);
            }
            let judged = judge(Some(f64::NAN), Interval::new(0.0, 0.0), Margin::Absolute(1.0), Direction::LowerIsBetter, None);
            prop_assert_eq!(judged.judgement, Judgement::Inconclusive);
        }

        #[test]
        fn directions_mirror_each_other(delta in -1.0f64..1.0, low in -1.0f64..1.0, width in 0.0f64..1.0) {
            let up = points(delta, low, low + width, Direction::HigherIsBetter);
            prop_assert_eq!(up, points(-delta, -low - width, -low, Direction::LowerIsBetter));
        }
    }
}
