//! What charts have in common: axes, legends, and the shapes of verdicts and versions.

use seatrial_domain::verdict::Verdict;

use super::scale::Scale;
use super::svg::{Anchor, Svg};
use super::text::{SIZE, SMALL, fitted, width};

/// The rectangle that values are drawn in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
}

impl Frame {
    /// The room that an axis of values below needs: labels and title.
    pub(crate) const BELOW: f64 = 40.0;

    /// Lines and labels of the values from left to right, and what they are.
    pub(crate) fn x_axis(&self, svg: &mut Svg, scale: &Scale, ticks: &[(f64, String)], title: &str) {
        self.x_ticks(svg, scale, ticks);
        let middle = f64::midpoint(self.left, self.right);
        svg.text("soft", middle, self.bottom + 33.0, Anchor::Middle, title);
    }

    /// The same without a title. A label that would meet the one before it is left out; its line stays.
    pub(crate) fn x_ticks(&self, svg: &mut Svg, scale: &Scale, ticks: &[(f64, String)]) {
        let mut free = f64::NEG_INFINITY;
        for (value, label) in ticks.iter().filter(|(value, _)| scale.holds(*value)) {
            let x = scale.at(*value);
            svg.down("grid", x, self.top, self.bottom);
            let half = width(label, SMALL) / 2.0;
            // A label at the left end does not leave the picture.
            let middle = x.max(half);
            if middle - half > free {
                svg.text("soft", middle, self.bottom + 16.0, Anchor::Middle, label);
                free = middle + half + 4.0;
            }
        }
        svg.across("axis", self.left, self.right, self.bottom);
    }

    /// Lines and labels of the values from bottom to top, and what they are: a line of text above them.
    pub(crate) fn y_axis(&self, svg: &mut Svg, scale: &Scale, ticks: &[(f64, String)], title: &str) {
        svg.text("soft", 0.0, self.top - 10.0, Anchor::Start, title);
        for (value, label) in ticks.iter().filter(|(value, _)| scale.holds(*value)) {
            let y = scale.at(*value);
            svg.across("grid", self.left, self.right, y);
            svg.text("soft", self.left - 6.0, y + 4.0, Anchor::End, label);
        }
    }
}

/// The room that labels from bottom to top need.
pub(crate) fn label_room(labels: &[(f64, String)]) -> f64 {
    labels.iter().map(|(_, label)| width(label, SMALL)).fold(0.0, f64::max) + 8.0
}

/// One of the two versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// A thick blue line, and circles.
    Champion,
    /// A thin purple line, and diamonds.
    Challenger,
}

impl Side {
    pub(crate) const fn line(self) -> &'static str {
        match self {
            Self::Champion => "champion-line",
            Self::Challenger => "challenger-line",
        }
    }

    pub(crate) const fn area(self) -> &'static str {
        match self {
            Self::Champion => "champion-area",
            Self::Challenger => "challenger-area",
        }
    }

    pub(crate) const fn fill(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Challenger => "challenger",
        }
    }

    pub(crate) const fn whisker(self) -> &'static str {
        match self {
            Self::Champion => "champion-range",
            Self::Challenger => "challenger-range",
        }
    }

    /// Its point.
    pub(crate) fn mark(self, svg: &mut Svg, x: f64, y: f64) {
        match self {
            Self::Champion => svg.circle("champion dot", x, y, 4.5),
            Self::Challenger => diamond(svg, "challenger dot", x, y, 5.0),
        }
    }
}

fn diamond(svg: &mut Svg, class: &str, x: f64, y: f64, size: f64) {
    svg.area(class, &[(x, y - size), (x + size, y), (x, y + size), (x - size, y)]);
}

/// A verdict as a shape; none for what is only shown.
pub(crate) fn verdict_mark(svg: &mut Svg, verdict: Option<Verdict>, x: f64, y: f64) {
    match verdict {
        Some(Verdict::Pass) => svg.circle("good mark", x, y, 4.8),
        Some(Verdict::Inconclusive) => diamond(svg, "unsure mark", x, y, 6.0),
        Some(Verdict::Fail) => svg.rect("bad mark", x - 4.7, y - 4.7, 9.4, 9.4),
        None => svg.circle("plain mark", x, y, 4.2),
    }
}

/// The word beside a verdict's shape.
pub(crate) const fn verdict_word(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Pass) => "pass",
        Some(Verdict::Inconclusive) => "inconclusive",
        Some(Verdict::Fail) => "fail",
        None => "only shown",
    }
}

/// What a legend explains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Key {
    /// A version's line and point.
    Side(Side),
    /// A verdict's shape.
    Verdict(Option<Verdict>),
    /// An interval.
    Range,
    /// A shaded zone.
    Zone,
    /// A dashed line of this class.
    Dashed(&'static str),
    /// A filled square of this class.
    Square(&'static str),
}

impl Key {
    fn draw(self, svg: &mut Svg, x: f64, y: f64) {
        match self {
            Self::Side(side) => {
                svg.across(side.line(), x, x + 20.0, y);
                side.mark(svg, x + 10.0, y);
            }
            Self::Verdict(verdict) => verdict_mark(svg, verdict, x + 7.0, y),
            Self::Range => svg.across("range", x + 1.0, x + 19.0, y),
            Self::Zone => svg.rect("zone", x, y - 6.0, 18.0, 12.0),
            Self::Dashed(class) => svg.across(class, x, x + 20.0, y),
            Self::Square(class) => svg.rect(class, x + 2.0, y - 5.5, 11.0, 11.0),
        }
    }

    const fn room(self) -> f64 {
        match self {
            Self::Verdict(_) | Self::Square(_) => 18.0,
            _ => 25.0,
        }
    }
}

/// Draws a legend from the top left corner on, and returns the height it took.
pub(crate) fn legend(svg: &mut Svg, top: f64, right: f64, keys: &[(Key, String)]) -> f64 {
    const LINE: f64 = 19.0;
    let (mut x, mut y) = (0.0, top + 9.0);
    for (key, words) in keys {
        let words = fitted(words, SIZE, right - key.room());
        let room = key.room() + width(&words, SIZE);
        if x > 0.0 && x + room > right {
            x = 0.0;
            y += LINE;
        }
        key.draw(svg, x, y);
        svg.text("", x + key.room(), y + 4.3, Anchor::Start, &words);
        x += room + 14.0;
    }
    if keys.is_empty() { 0.0 } else { y + 9.0 - top }
}

/// An interval from `low` to `high` as a line; an arrow at an end that lies beyond the axis.
pub(crate) fn interval(svg: &mut Svg, scale: &Scale, [low, high]: [f64; 2], y: f64) -> bool {
    let (x1, x2) = (scale.at(low), scale.at(high));
    svg.across("range", x1, x2, y);
    let (left, right) = (!scale.holds(low), !scale.holds(high));
    if left {
        arrow(svg, x1, y, -1.0);
    }
    if right {
        arrow(svg, x2, y, 1.0);
    }
    left || right
}

/// An arrow that says "further on" to the left (−1) or right (1).
pub(crate) fn arrow(svg: &mut Svg, x: f64, y: f64, to: f64) {
    svg.area("arrow", &[(x + 7.0 * to, y), (x - 1.0 * to, y - 4.5), (x - 1.0 * to, y + 4.5)]);
}
