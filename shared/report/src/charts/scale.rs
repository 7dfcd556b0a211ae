//! From values to positions, and the round numbers that stand at an axis.

/// How far values may be from zero: what lies beyond is drawn at the end.
const HUGE: f64 = 1e15;

/// A value as it can be drawn; none when it is not a number.
pub(crate) fn tame(x: f64) -> Option<f64> {
    x.is_finite().then(|| x.clamp(-HUGE, HUGE))
}

/// The smallest and the largest of some values that are numbers.
pub(crate) fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter_map(tame).fold(None, |found, x| match found {
        None => Some((x, x)),
        Some((low, high)) => Some((x.min(low), x.max(high))),
    })
}

/// A straight axis or a logarithmic one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    domain: (f64, f64),
    range: (f64, f64),
    log: bool,
}

impl Scale {
    /// From values between `domain` to positions between `range`. A domain without width gets one.
    pub(crate) fn linear(domain: (f64, f64), range: (f64, f64)) -> Self {
        let (low, high) = (tame(domain.0).unwrap_or(0.0), tame(domain.1).unwrap_or(1.0));
        let least = (low.abs().max(high.abs()) * 1e-9).max(1e-12);
        let domain = if high - low < least { (low - least, low + least) } else { (low, high) };
        Self { domain, range, log: false }
    }

    /// The same for positive values by their logarithm.
    pub(crate) fn log(domain: (f64, f64), range: (f64, f64)) -> Self {
        let ln = |x: f64| x.max(1e-15).ln();
        Self { log: true, ..Self::linear((ln(domain.0), ln(domain.1)), range) }
    }

    /// The position of a value; what lies beyond the axis is at its end.
    pub(crate) fn at(&self, x: f64) -> f64 {
        let x = if self.log { x.max(1e-15).ln() } else { x };
        let (low, high) = self.domain;
        let share = ((x - low) / (high - low)).clamp(0.0, 1.0);
        let share = if share.is_nan() { 0.0 } else { share };
        (self.range.1 - self.range.0).mul_add(share, self.range.0)
    }

    /// Whether a value lies on the axis.
    pub(crate) fn holds(&self, x: f64) -> bool {
        let x = if self.log { x.max(1e-15).ln() } else { x };
        let slack = (self.domain.1 - self.domain.0) * 1e-9;
        x >= self.domain.0 - slack && x <= self.domain.1 + slack
    }
}

/// Round values from `low` to `high`, about `wanted` of them: multiples of 1, 2 or 5 times a power of ten.
pub(crate) fn ticks(low: f64, high: f64, wanted: u32) -> Vec<f64> {
    let (Some(low), Some(high)) = (tame(low), tame(high)) else { return Vec::new() };
    let span = high - low;
    if span <= low.abs().max(high.abs()) * 1e-9 || span < 1e-12 {
        return vec![low];
    }
    let step = round_step(span / f64::from(wanted.max(1)));
    let first = (low / step - 1e-9).ceil();
    let last = (high / step + 1e-9).floor();
    let count = (last - first).clamp(0.0, 50.0) as u32;
    (0..=count).map(|i| (first + f64::from(i)) * step + 0.0).collect()
}

/// The smallest round number (1, 2 or 5 times a power of ten) that is not less.
pub(crate) fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.abs().max(1e-300).log10().floor());
    let lead = least / power;
    let lead = [1.0, 2.0, 5.0].into_iter().find(|l| lead <= *l + 1e-9).unwrap_or(10.0);
    lead * power
}

/// Round values of a logarithmic axis: powers of ten, with 2 and 5 between them where there are few.
pub(crate) fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let (low, high) = (low.max(1e-15), high.max(1e-15));
    if !(low.is_finite() && high.is_finite()) {
        return Vec::new();
    }
    let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let leads: &[f64] = if (high / low).log10() < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let all = powers.flat_map(|p| leads.iter().map(move |l| l * 10f64.powi(p)));
    all.filter(|x| *x >= low * (1.0 - 1e-9) && *x <= high * (1.0 + 1e-9)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.0, 1.0, 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(-3.0, 2.0, 5), [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0]);
        assert_eq!(ticks(7.0, 7.0, 5), [7.0]);
        assert_eq!(ticks(f64::NAN, 1.0, 5), Vec::<f64>::new());
        assert_eq!(log_ticks(90.0, 1100.0), [100.0, 200.0, 500.0, 1000.0]);
    }

    #[test]
    fn positions_stay_on_the_axis() {
        let scale = Scale::linear((0.0, 10.0), (100.0, 200.0));
        assert_eq!([scale.at(-5.0), scale.at(5.0), scale.at(f64::INFINITY)], [100.0, 150.0, 200.0]);
        assert!(!scale.holds(10.1) && scale.holds(10.0));
        let none = Scale::linear((3.0, 3.0), (0.0, 10.0));
        assert!((none.at(3.0) - 5.0).abs() < 1e-6);
        let log = Scale::log((1.0, 100.0), (0.0, 2.0));
        assert!((log.at(10.0) - 1.0).abs() < 1e-9);
    }
}
