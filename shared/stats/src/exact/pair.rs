//! Arithmetic on unevaluated sums of two `f64`.

/// An unevaluated sum of two `f64`, about 106 bits: enough that `n·Σx² − (Σx)²` loses nothing that matters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DoubleDouble {
    hi: f64,
    lo: f64,
}

impl DoubleDouble {
    /// `hi + lo`, where `lo` is what `hi` has lost.
    pub(super) fn new(hi: f64, lo: f64) -> Self {
        Self { hi, lo }
    }

    /// The product of two pairs.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        let (hi, rest) = two_product(self.hi, other.hi);
        normalised(hi, rest + (self.hi * other.lo + self.lo * other.hi))
    }

    /// An integer times `2^-power`, to about 106 bits. `power` is at most 200.
    #[must_use]
    pub fn of_fixed(integer: i128, power: u32) -> Self {
        let unit = scale_by_power_of_two(1.0, -(power.min(200) as i32));
        let hi = integer as f64;
        // What the rounding to 53 bits left, itself exact in an integer.
        let lo = integer.saturating_sub(hi as i128) as f64;
        Self { hi: hi * unit, lo: lo * unit }
    }

    /// The difference of two pairs.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        let (hi, rest) = two_sum(self.hi, -other.hi);
        normalised(hi, rest + (self.lo - other.lo))
    }

    /// The pair divided by a number.
    #[must_use]
    pub fn over(self, divisor: f64) -> Self {
        let quotient = self.hi / divisor;
        let (product, rest) = two_product(quotient, divisor);
        normalised(quotient, (((self.hi - product) - rest) + self.lo) / divisor)
    }

    /// The pair rounded to one `f64`.
    #[must_use]
    pub fn value(self) -> f64 {
        self.hi + self.lo
    }
}

fn normalised(hi: f64, lo: f64) -> DoubleDouble {
    let sum = hi + lo;
    DoubleDouble { hi: sum, lo: lo - (sum - hi) }
}

fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// `a · b` as rounded product and exact rest (Dekker). Written out rather than with `mul_add`, which is a slow call on
/// processors that are not known to have the instruction.
pub(super) fn two_product(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    let (a_high, a_low) = split(a);
    let (b_high, b_low) = split(b);
    (product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low)
}

fn split(x: f64) -> (f64, f64) {
    let scaled = 134_217_729.0 * x; // 2^27 + 1
    let high = scaled - (scaled - x);
    (high, x - high)
}

/// `x · 2^power` in steps that stay in range; `x` is below 2¹²⁸.
pub(super) fn scale_by_power_of_two(mut x: f64, mut power: i32) -> f64 {
    while power != 0 {
        let step = power.clamp(-1000, 1000);
        x *= f64::from_bits(((1023 + step) as u64) << 52);
        power -= step;
    }
    x
}
