//! A difference, its interval and its margin as a small picture. The numbers beside it say the same in words.

use seatrial_domain::policy::Margin;
use seatrial_domain::verdict::Direction;
use seatrial_evidence::report::MetricRow;

/// The picture's width in its own units.
const WIDTH: f64 = 160.0;

/// Coordinates of the picture, from 0 to 160 from left to right.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// Where the difference is zero.
    pub zero: String,
    /// The estimate.
    pub delta: String,
    /// The interval's lower end.
    pub low: String,
    /// The interval's upper end.
    pub high: String,
    /// Where the unacceptable zone begins and how wide it is; none without a margin.
    pub zone: Option<(String, String)>,
}

/// The picture of a row that has a difference and an interval.
pub(crate) fn plot(row: &MetricRow) -> Option<Plot> {
    let (delta, [low, high]) = (row.delta?, row.interval?);
    // Without a champion the interval is of the value itself: there is no difference to draw.
    let champion = row.champion?;
    let margin = row.margin.map(|m| match m {
        Margin::Absolute(size) => size,
        Margin::Relative(share) => share * champion.abs(),
    });
    let reach =
        [delta.abs(), low.abs(), high.abs(), margin.unwrap_or(0.0)].into_iter().fold(0.0_f64, f64::max) * 1.2;
    if !reach.is_finite() || reach <= 0.0 {
        return None;
    }
    let at = |x: f64| (x / reach).clamp(-1.0, 1.0).mul_add(WIDTH / 2.0, WIDTH / 2.0);
    let text = |x: f64| format!("{x:.1}");
    let zone = margin.map(|m| match row.direction {
        Direction::HigherIsBetter => (text(0.0), text(at(-m))),
        Direction::LowerIsBetter => (text(at(m)), text(WIDTH - at(m))),
    });
    Some(Plot { zero: text(at(0.0)), delta: text(at(delta)), low: text(at(low)), high: text(at(high)), zone })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use seatrial_domain::verdict::{MetricClass, Verdict};
    use seatrial_evidence::report::{MetricGroup, MetricUnit};

    fn row(direction: Direction) -> MetricRow {
        MetricRow {
            group: MetricGroup::Offline,
            name: "accuracy".into(),
            segment: None,
            unit: MetricUnit::Share,
            champion: Some(0.8),
            challenger: Some(0.79),
            delta: Some(-0.01),
            interval: Some([-0.02, 0.0]),
            confidence: Some(0.95),
            n: 100,
            n_needed: None,
            margin: Some(Margin::Absolute(0.01)),
            limit: None,
            direction,
            class: MetricClass::Guardrail,
            verdict: Verdict::Inconclusive,
            why: String::new(),
        }
    }

    #[test]
    fn the_unacceptable_zone_lies_on_the_worse_side() {
        let worse_is_less = plot(&row(Direction::HigherIsBetter)).unwrap();
        assert_eq!(
            (worse_is_less.zero.as_str(), worse_is_less.zone),
            ("80.0", Some(("0.0".into(), "46.7".into())))
        );
        let worse_is_more = plot(&row(Direction::LowerIsBetter)).unwrap();
        assert_eq!(worse_is_more.zone, Some(("113.3".into(), "46.7".into())));
    }

    #[test]
    fn there_is_no_picture_without_a_difference() {
        assert_eq!(plot(&MetricRow { interval: None, ..row(Direction::HigherIsBetter) }), None);
        assert_eq!(plot(&MetricRow { champion: None, ..row(Direction::HigherIsBetter) }), None);
        let nothing = MetricRow {
            delta: Some(0.0),
            interval: Some([0.0, 0.0]),
            margin: None,
            ..row(Direction::HigherIsBetter)
        };
        assert_eq!(plot(&nothing), None);
    }
}
