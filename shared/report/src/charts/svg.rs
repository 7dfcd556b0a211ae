//! A writer of SVG that cannot write what is not well-formed: it escapes every text, and every number is finite and short.

use std::fmt::Write as _;

use crate::escape::misleads;

/// Where a text's position is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// At its left end.
    Start,
    /// In its middle.
    Middle,
    /// At its right end.
    End,
}

/// Elements of a picture, one after the other. Classes are the style sheet's (`templates/charts.css`).
#[derive(Debug, Default)]
pub(crate) struct Svg {
    out: String,
}

impl Svg {
    /// What was written.
    pub(crate) fn finish(self) -> String {
        self.out
    }

    /// A rectangle; nothing when it has no size.
    pub(crate) fn rect(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        self.shaded(class, x, y, width, height, None);
    }

    /// A rectangle with a fill of this opacity.
    pub(crate) fn heat(&mut self, class: &str, at: [f64; 4], opacity: f64) {
        self.shaded(class, at[0], at[1], at[2], at[3], Some(opacity));
    }

    fn shaded(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64, opacity: Option<f64>) {
        if !(width > 0.0 && height > 0.0) {
            return;
        }
        let (x, y, width, height) = (number(x), number(y), number(width), number(height));
        let _ =
            write!(self.out, r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}""#);
        if let Some(opacity) = opacity {
            let _ = write!(self.out, r#" fill-opacity="{:.2}""#, sane(opacity).clamp(0.0, 1.0));
        }
        self.out.push_str("/>");
    }

    /// A line.
    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let (x1, y1, x2, y2) = (number(from.0), number(from.1), number(to.0), number(to.1));
        let _ = write!(self.out, r#"<line class="{class}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>"#);
    }

    /// A line from left to right.
    pub(crate) fn across(&mut self, class: &str, x1: f64, x2: f64, y: f64) {
        self.line(class, (x1, y), (x2, y));
    }

    /// A line from top to bottom.
    pub(crate) fn down(&mut self, class: &str, x: f64, y1: f64, y2: f64) {
        self.line(class, (x, y1), (x, y2));
    }

    /// A line over several points.
    pub(crate) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        self.way(class, points, false);
    }

    /// A shape with these corners.
    pub(crate) fn area(&mut self, class: &str, points: &[(f64, f64)]) {
        self.way(class, points, true);
    }

    fn way(&mut self, class: &str, points: &[(f64, f64)], closed: bool) {
        let Some((first, rest)) = points.split_first() else { return };
        let _ = write!(self.out, r#"<path class="{class}" d="M{} {}"#, number(first.0), number(first.1));
        let mut last = (number(first.0), number(first.1));
        for point in rest {
            let at = (number(point.0), number(point.1));
            // A step of a staircase takes half the bytes this way.
            let _ = match (at.0 == last.0, at.1 == last.1) {
                (true, true) => Ok(()),
                (true, false) => write!(self.out, "V{}", at.1),
                (false, true) => write!(self.out, "H{}", at.0),
                (false, false) => write!(self.out, "L{} {}", at.0, at.1),
            };
            last = at;
        }
        self.out.push_str(if closed { "Z\"/>" } else { "\"/>" });
    }

    /// A circle.
    pub(crate) fn circle(&mut self, class: &str, x: f64, y: f64, radius: f64) {
        let (x, y, radius) = (number(x), number(y), number(radius));
        let _ = write!(self.out, r#"<circle class="{class}" cx="{x}" cy="{y}" r="{radius}"/>"#);
    }

    /// A text. An empty one is not written.
    pub(crate) fn text(&mut self, class: &str, x: f64, y: f64, anchor: Anchor, text: &str) {
        self.turned(class, (x, y), anchor, None, text);
    }

    /// A text turned by `degrees` around its position.
    pub(crate) fn turned(
        &mut self,
        class: &str,
        at: (f64, f64),
        anchor: Anchor,
        degrees: Option<f64>,
        text: &str,
    ) {
        if text.is_empty() {
            return;
        }
        let (x, y) = (number(at.0), number(at.1));
        let _ = write!(self.out, r#"<text x="{x}" y="{y}""#);
        if !class.is_empty() {
            let _ = write!(self.out, r#" class="{class}""#);
        }
        match anchor {
            Anchor::Start => {}
            Anchor::Middle => self.out.push_str(r#" text-anchor="middle""#),
            Anchor::End => self.out.push_str(r#" text-anchor="end""#),
        }
        if let Some(degrees) = degrees {
            let _ = write!(self.out, r#" transform="rotate({} {x} {y})""#, number(degrees));
        }
        let _ = write!(self.out, ">{}</text>", escaped(text));
    }

    /// A group whose `tip` is shown by a pointer that rests on it.
    pub(crate) fn group(&mut self, tip: &str, draw: impl FnOnce(&mut Self)) {
        let _ = write!(self.out, "<g><title>{}</title>", escaped(tip));
        draw(self);
        self.out.push_str("</g>");
    }
}

/// A coordinate: a tenth of a unit is finer than anybody sees. What is not finite is written as 0, so that no picture breaks.
pub(crate) fn number(x: f64) -> String {
    let rounded = (sane(x) * 10.0).round() / 10.0;
    // Zero has no sign.
    let rounded = if rounded == 0.0 { 0.0 } else { rounded };
    format!("{rounded}")
}

/// A number as it can be drawn: finite, and within what coordinates may be.
fn sane(x: f64) -> f64 {
    if x.is_finite() { x.clamp(-1e6, 1e6) } else { 0.0 }
}

/// A text as XML: with references for markup, and without characters that XML does not know.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            c if misleads(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_always_finite() {
        let cases =
            [(0.0, "0"), (-0.04, "0"), (12.345, "12.3"), (7.0, "7"), (f64::NAN, "0"), (1e300, "1000000")];
        for (x, text) in cases {
            assert_eq!(number(x), text);
        }
    }

    #[test]
    fn texts_are_data() {
        assert_eq!(escaped("<b>&\"'\u{0}\u{202e}\n"), "&lt;b&gt;&amp;&quot;&#39;\u{fffd}\u{fffd} ");
    }

    #[test]
    fn staircases_are_written_as_such() {
        let mut svg = Svg::default();
        svg.path("p", &[(0.0, 0.0), (0.0, 5.0), (3.0, 5.0), (4.0, 6.0)]);
        assert_eq!(svg.finish(), r#"<path class="p" d="M0 0V5H3L4 6"/>"#);
    }
}
