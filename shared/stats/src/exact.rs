//! Sums that do not depend on the order of their terms.
//!
//! Floating-point addition is not associative: the same rows in another order, or split over other workers, give other
//! last bits, and evidence named by its digest would then change its name. [`FixedSum`] is one 128-bit integer for
//! quantities of known size (a log loss, a squared probability error). [`ExactSum`] holds any sum of `f64` values
//! without rounding at all, for quantities whose size the user decides (a regression target), after the
//! superaccumulators of Kulisch and of Neal (*Fast exact summation using small and large superaccumulators*, 2015).

mod fixed;
mod pair;

pub use fixed::FixedSum;
pub(crate) use fixed::text;
pub use pair::DoubleDouble;

use crate::Merge;
use pair::{scale_by_power_of_two, two_product};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

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
            return DoubleDouble::new(hi, 0.0);
        }
        let mut rest = self.clone();
        rest.add(-hi);
        DoubleDouble::new(hi, rest.value())
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
    }
}
