//! Sums of values of known size, as one integer.

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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_number_is_refused() {
        let mut fixed = FixedSum::default();
        assert!(!fixed.add(f64::NAN) && !fixed.add(2e6));
        assert_eq!(fixed, FixedSum::default());
    }

    proptest! {
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
