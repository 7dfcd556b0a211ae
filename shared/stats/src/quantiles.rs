//! Quantiles of the normal and of Student's distribution.

use statrs::distribution::{Continuous, ContinuousCDF, Normal, StudentsT};

/// The value below which a standard normal variable falls with probability `p`; `None` unless `0 < p < 1`.
#[must_use]
pub fn normal_quantile(p: f64) -> Option<f64> {
    (p > 0.0 && p < 1.0).then(|| polished(&Normal::standard(), p)).filter(|z| z.is_finite())
}

/// The same for Student's t with `freedom` degrees; `None` unless `0 < p < 1` and `freedom > 0`.
#[must_use]
pub fn t_quantile(p: f64, freedom: f64) -> Option<f64> {
    if !(p > 0.0 && p < 1.0) {
        return None;
    }
    // The incomplete beta function loses digits with many degrees of freedom, where the expansion gains them.
    if freedom >= 1_000.0 {
        return normal_quantile(p).map(|z| expanded(z, freedom)).filter(|t| t.is_finite());
    }
    let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
    Some(polished(&student, p)).filter(|t| t.is_finite())
}

/// Student's quantile from the normal one in powers of 1/freedom (Abramowitz & Stegun 26.7.5).
fn expanded(z: f64, freedom: f64) -> f64 {
    let s = z * z;
    let terms = [
        z * (s + 1.0) / 4.0,
        z * ((5.0 * s + 16.0) * s + 3.0) / 96.0,
        z * (((3.0 * s + 19.0) * s + 17.0) * s - 15.0) / 384.0,
        z * ((((79.0 * s + 776.0) * s + 1482.0) * s - 1920.0) * s - 945.0) / 92_160.0,
    ];
    terms.iter().rev().fold(0.0, |sum, term| (sum + term) / freedom) + z
}

/// The standard normal distribution function.
#[must_use]
pub fn normal_cdf(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// The library's inverse with Newton steps on its distribution function, which is the more exact of the two. The step
/// is taken in the lower tail, where the function does not round to one.
fn polished(distribution: &(impl ContinuousCDF<f64, f64> + Continuous<f64, f64>), p: f64) -> f64 {
    if p == 0.5 {
        return 0.0;
    }
    let tail = p.min(1.0 - p);
    let mut x = distribution.inverse_cdf(tail);
    for _ in 0..4 {
        let step = (distribution.cdf(x) - tail) / distribution.pdf(x);
        if step.is_finite() {
            x -= step;
        }
    }
    if p < 0.5 { x } else { -x }
}
