//! Sums that do not depend on the order of their terms.
//!
//! Floating-point addition is not associative: the same rows in another order, or split over other workers, give other
//! last bits, and evidence named by its digest would then change its name. [`FixedSum`] is one 128-bit integer for
//! quantities of known size (a log loss, a squared probability error). [`ExactSum`] holds any sum of `f64` values
//! without rounding at all, for quantities whose size the user decides (a regression target), after the
//! superaccumulators of Kulisch and of Neal (*Fast exact summation using small and large superaccumulators*, 2015).

use crate::Merge;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Sum of values of at most [`FixedSum::LIMIT`] in size, each rounded to a multiple of 2⁻⁶⁴ (an error of at most
/// 2.8e-20 a term), kept as an integer. It serialises as a decimal string, since JSON readers lose large integers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FixedSum(i128);

impl FixedSum {
    /// The largest size of a term, 2²⁰. With it, overflow would need more than 8·10¹² terms.
    pub const LIMIT: f64 = 1_048_576.0;
    const SCALE: f64 = 18_446_744_073_709_551_616.0; // 2^64

    /// Adds a term. Returns `false`, adding nothing, if it is not finite or exceeds [`FixedSum::LIMIT`].
    pub fn add(&mut self, term: f64) -> bool {
        if !term.is_finite() || term.abs() > Self::LIMIT {
            return false;
        }
        self.0 = self.0.wrapping_add(scaled(term));
        true
    }

    /// The sum, rounded once to `f64`.
    #[must_use]
    pub fn value(self) -> f64 {
        self.0 as f64 / Self::SCALE
    }
}

/// The multiple of 2⁻⁶⁴ nearest to `term`, ties to even; by its bits, which is several times faster than `as i128`. `term` is
/// at most [`FixedSum::LIMIT`] in size.
#[inline]
fn scaled(term: f64) -> i128 {
    let bits = term.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32;
    let mantissa = (bits & ((1 << 52) - 1)) | (u64::from(exponent > 0) << 52);
    // term = mantissa · 2^(exponent − 1075), so this is the power of two that is left after scaling by 2^64.
    let shift = exponent.max(1) - 1075 + 64;
    let size = if shift >= 0 {
        u128::from(mantissa) << shift
    } else if shift < -54 {
        0 // below one half, since the mantissa has 53 bits
    } else {
        let (whole, rest, half) = (mantissa >> -shift, mantissa & ((1 << -shift) - 1), 1 << (-shift - 1));
        u128::from(whole + u64::from(rest > half || (rest == half && whole % 2 == 1)))
    };
    if term < 0.0 { -(size as i128) } else { size as i128 }
}

impl Merge for FixedSum {
    fn merge(&mut self, other: &Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

impl Serialize for FixedSum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        text::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for FixedSum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer).map(Self)
    }
}

/// 128-bit integers as decimal strings, since JSON readers lose large integers.
pub(crate) mod text {
    use super::{Deserialize, Deserializer, Error, Serializer};

    pub(crate) fn serialize<S: Serializer>(integer: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&integer.to_string())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom(format!("`{text}` is not a 128-bit integer")))
    }
}

/// Limbs of 32 bits that cover every finite `f64` (bit 0 is 2⁻¹⁰⁷⁴), with room for the carries of the sum.
const LIMBS: usize = 68;
/// Additions after which a limb of 63 bits could overflow; carries are spread long before.
const SPREAD_EVERY: u32 = 1 << 29;
const MASK: i64 = 0xffff_ffff;

/// Exact sum of finite `f64` values of any size. Two sums of the same terms are equal and serialise to the same bytes,
/// in whatever order and grouping they were added.
#[derive(Clone, Debug, Default)]
pub struct ExactSum {
    /// Empty (zero) or `LIMBS` digits; digits may be negative or too large until carries are spread.
    limbs: Vec<i64>,
    pending: u32,
}

impl ExactSum {
    /// Adds a term. Returns `false`, adding nothing, if it is not finite.
    pub fn add(&mut self, term: f64) -> bool {
        if !term.is_finite() {
            return false;
        }
        if term == 0.0 {
            return true;
        }
        let bits = term.to_bits();
        let exponent = ((bits >> 52) & 0x7ff) as u32;
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, offset) =
            if exponent == 0 { (fraction, 0) } else { (fraction | (1 << 52), exponent - 1) };
        let wide = u128::from(mantissa) << (offset % 32);
        let sign = if term < 0.0 { -1 } else { 1 };
        self.make_room(1);
        let start = (offset / 32) as usize;
        for (limb, shift) in self.limbs[start..start + 3].iter_mut().zip([0, 32, 64]) {
            *limb += sign * (((wide >> shift) as i64) & MASK);
        }
        true
    }

    /// Adds the exact product `a · b`. Returns `false`, adding nothing, if a factor is not finite or the product is so
    /// large (above 1e300) that its parts cannot be represented.
    pub fn add_product(&mut self, a: f64, b: f64) -> bool {
        let (product, rest) = two_product(a, b);
        if !product.is_finite() || !rest.is_finite() || product.abs() > 1e300 {
            return false;
        }
        self.add(product) && self.add(rest)
    }

    /// Adds the exact product `a · b · c`; refused as by [`ExactSum::add_product`].
    pub fn add_triple(&mut self, a: f64, b: f64, c: f64) -> bool {
        let (product, rest) = two_product(a, b);
        let size = (product * c).abs();
        if !size.is_finite() || !rest.is_finite() || size > 1e299 {
            return false;
        }
        self.add_product(product, c) && self.add_product(rest, c)
    }

    /// The sum rounded once to the nearest `f64` (infinite if it exceeds the range).
    #[must_use]
    pub fn value(&self) -> f64 {
        let (negative, digits) = self.canonical();
        let Some(top) = digits.iter().rposition(|&digit| digit != 0) else { return 0.0 };
        let digit = |index: Option<usize>| index.map_or(0, |i| u128::from(digits[i]));
        let mut window = digit(Some(top)) << 96;
        for (back, shift) in [(1, 64), (2, 32), (3, 0)] {
            window |= digit(top.checked_sub(back)) << shift;
        }
        if top > 3 && digits[..top - 3].iter().any(|&d| d != 0) {
            window |= 1; // a sticky bit keeps the one rounding right
        }
        let size = scale_by_power_of_two(window as f64, 32 * top as i32 - 96 - 1074);
        if negative { -size } else { size }
    }

    /// The sum as an unevaluated pair `hi + lo` of about 106 bits, for differences that cancel.
    #[must_use]
    pub fn pair(&self) -> DoubleDouble {
        let hi = self.value();
        if !hi.is_finite() {
            return DoubleDouble { hi, lo: 0.0 };
        }
        let mut rest = self.clone();
        rest.add(-hi);
        DoubleDouble { hi, lo: rest.value() }
    }

    fn make_room(&mut self, additions: u32) {
        if self.limbs.is_empty() {
            self.limbs = vec![0; LIMBS];
        }
        if self.pending + additions >= SPREAD_EVERY {
            spread(&mut self.limbs);
            self.pending = 1;
        }
        self.pending += additions;
    }

    /// Sign and digits of the size, lowest first, every digit below 2³². Unique for a value.
    fn canonical(&self) -> (bool, Vec<u32>) {
        let mut limbs = self.limbs.clone();
        spread(&mut limbs);
        let negative = limbs.last().is_some_and(|&top| top < 0);
        if negative {
            limbs.iter_mut().for_each(|limb| *limb = -*limb);
            spread(&mut limbs);
        }
        (negative, limbs.into_iter().map(|limb| limb as u32).collect())
    }
}

/// Moves what exceeds 32 bits to the next limb; the last limb keeps the sign.
fn spread(limbs: &mut [i64]) {
    let Some(last) = limbs.len().checked_sub(1) else { return };
    let mut carry = 0;
    for limb in &mut limbs[..last] {
        let total = *limb + carry;
        *limb = total & MASK;
        carry = total >> 32;
    }
    limbs[last] += carry;
}

/// `x · 2^power` in steps that stay in range; `x` is below 2¹²⁸.
fn scale_by_power_of_two(mut x: f64, mut power: i32) -> f64 {
    while power != 0 {
        let step = power.clamp(-1000, 1000);
        x *= f64::from_bits(((1023 + step) as u64) << 52);
        power -= step;
    }
    x
}

impl PartialEq for ExactSum {
    fn eq(&self, other: &Self) -> bool {
        compact(self) == compact(other)
    }
}
impl Eq for ExactSum {}

impl Merge for ExactSum {
    fn merge(&mut self, other: &Self) {
        if other.limbs.is_empty() {
            return;
        }
        let mut theirs = other.limbs.clone();
        spread(&mut theirs);
        self.make_room(1);
        self.limbs.iter_mut().zip(theirs).for_each(|(mine, limb)| *mine += limb);
    }
}

#[derive(Serialize, Deserialize, PartialEq)]
struct Compact {
    negative: bool,
    at: usize,
    digits: Vec<u32>,
}

fn compact(sum: &ExactSum) -> Compact {
    let (negative, digits) = sum.canonical();
    let Some(first) = digits.iter().position(|&d| d != 0) else {
        return Compact { negative: false, at: 0, digits: Vec::new() };
    };
    let end = digits.iter().rposition(|&d| d != 0).map_or(first, |top| top + 1);
    Compact { negative, at: first, digits: digits[first..end].to_vec() }
}

impl Serialize for ExactSum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        compact(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ExactSum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Compact { negative, at, digits } = Compact::deserialize(deserializer)?;
        if digits.is_empty() {
            return Ok(Self::default());
        }
        let end = at.checked_add(digits.len()).filter(|&end| end < LIMBS);
        let Some(end) = end else {
            return Err(D::Error::custom(format!(
                "an exact sum has at most {} digits from its start",
                LIMBS - 1
            )));
        };
        let mut limbs = vec![0; LIMBS];
        for (limb, digit) in limbs[at..end].iter_mut().zip(digits) {
            *limb = if negative { -i64::from(digit) } else { i64::from(digit) };
        }
        Ok(Self { limbs, pending: 1 })
    }
}

/// An unevaluated sum of two `f64`, about 106 bits: enough that `n·Σx² − (Σx)²` loses nothing that matters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DoubleDouble {
    hi: f64,
    lo: f64,
}

impl DoubleDouble {
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
fn two_product(a: f64, b: f64) -> (f64, f64) {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(terms: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        terms.iter().for_each(|&t| assert!(sum.add(t)));
        sum
    }

    #[test]
    fn nothing_is_lost_between_sizes() {
        assert_eq!(exact(&[1e300, 1.0, -1e300]).value(), 1.0);
        assert_eq!(exact(&[1e-300, 1e200, -1e200]).value(), 1e-300);
        assert_eq!(exact(&[f64::MAX, -f64::MAX]).value(), 0.0);
        assert_eq!(exact(&[5e-324, 5e-324]).value(), 1e-323);
        assert_eq!(exact(&[-0.1; 10]).value(), -1.0); // float addition gives -0.9999999999999999
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let mut sum = ExactSum::default();
        assert!(!sum.add(f64::NAN) && !sum.add(f64::INFINITY) && !sum.add_product(1e200, 1e200));
        assert_eq!(sum, ExactSum::default());
        let mut fixed = FixedSum::default();
        assert!(!fixed.add(f64::NAN) && !fixed.add(2e6));
        assert_eq!(fixed, FixedSum::default());
    }

    #[test]
    fn a_square_keeps_its_low_bits() {
        let x = 1e8 + 1.0 / 3.0;
        let mut sum = ExactSum::default();
        sum.add_product(x, x);
        let square = sum.pair();
        let mut single = ExactSum::default();
        single.add(x);
        let difference = square.minus(single.pair().times(single.pair()));
        assert!(difference.value().abs() < 1e-15);
    }

    #[test]
    fn a_triple_product_is_exact() {
        let mut sum = ExactSum::default();
        let (a, b, c) = (1.0 + f64::EPSILON, 1.0 - f64::EPSILON, 3.0);
        assert!(sum.add_triple(a, b, c) && sum.add(-3.0));
        assert_eq!(sum.value(), -3.0 * f64::EPSILON * f64::EPSILON);
        assert!(!sum.add_triple(1e200, 1e200, 1.0) && !sum.add_triple(1e150, 1e150, 1e150));
    }

    proptest! {
        #[test]
        fn any_order_and_any_split_give_the_same_bits(
            mut terms in prop::collection::vec(any::<f64>().prop_filter("finite", |x| x.is_finite()), 0..40),
            cut in 0usize..40, seed in any::<u64>(),
        ) {
            let whole = exact(&terms);
            let text = serde_json::to_string(&whole).unwrap();
            let cut = cut.min(terms.len());
            let (mut left, right) = (exact(&terms[..cut]), exact(&terms[cut..]));
            let mut other_way = right.clone();
            other_way.merge(&left);
            left.merge(&right);
            prop_assert_eq!(&serde_json::to_string(&left).unwrap(), &text);
            prop_assert_eq!(&serde_json::to_string(&other_way).unwrap(), &text);
            let n = terms.len().max(1);
            terms.rotate_left(seed as usize % n);
            terms.reverse();
            prop_assert_eq!(&serde_json::to_string(&exact(&terms)).unwrap(), &text);
            let read: ExactSum = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&read, &whole);
            prop_assert_eq!(read.value().to_bits(), whole.value().to_bits());
        }

        #[test]
        fn two_terms_round_as_the_processor_does(a in -1e15f64..1e15, b in -1e3f64..1e3) {
            prop_assert_eq!(exact(&[a, b]).value(), a + b);
        }

        #[test]
        fn scaling_by_bits_is_scaling_by_arithmetic(
            term in prop_oneof![-1_048_576.0f64..=1_048_576.0, -1e-17f64..1e-17, -1e-4f64..1e-4, prop::num::f64::SUBNORMAL],
            tie in -3_000_000i64..3_000_000,
        ) {
            for term in [term, (tie as f64 + 0.5) / FixedSum::SCALE, tie as f64, 0.0, -0.0, FixedSum::LIMIT] {
                prop_assert_eq!(scaled(term), (term * FixedSum::SCALE).round_ties_even() as i128, "{}", term);
            }
        }

        #[test]
        fn fixed_sums_form_a_monoid(terms in prop::collection::vec(-40.0f64..40.0, 0..50), cut in 0usize..50) {
            let sum = |terms: &[f64]| { let mut s = FixedSum::default(); for &t in terms { s.add(t); } s };
            let whole = sum(&terms);
            let cut = cut.min(terms.len());
            let mut right = sum(&terms[cut..]);
            right.merge(&sum(&terms[..cut]));
            right.merge(&FixedSum::default());
            prop_assert_eq!(right, whole);
            prop_assert!((whole.value() - terms.iter().sum::<f64>()).abs() < 1e-12);
            let text = serde_json::to_string(&whole).unwrap();
            prop_assert_eq!(serde_json::from_str::<FixedSum>(&text).unwrap(), whole);
        }
    }
}
