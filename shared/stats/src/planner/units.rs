//! The n of signals: computed, not simulated.

use crate::{eprocess::Mixture, noninferiority::planned_n_with, quantiles::normal_quantile};

/// Units over both arms after which a shift of a mean by `detect` is found with at least about `power`, for values whose
/// standard deviation is `deviation` in the same unit (the canary's, where the arms differ), judged by [`crate::signal`]. From the normal limit of the bets:
/// at the best bet ln e is normal with mean m/2 and variance m, `m = n·w(1 − w)·(detect/deviation)²`; the mixture costs up to
/// `ln 24`. `None` if an argument is out of range.
#[must_use]
pub fn planned_units(deviation: f64, detect: f64, weight: f64, alpha: f64, power: f64) -> Option<u64> {
    let open = |x: f64| x > 0.0 && x < 1.0;
    let effect = detect.abs() / deviation;
    if !(deviation > 0.0 && effect > 0.0 && effect.is_finite() && open(weight) && open(alpha) && open(power))
    {
        return None;
    }
    let z = normal_quantile(power)?;
    let to_reach = (24.0 / alpha).ln();
    let root = z + (z * z + 2.0 * to_reach).sqrt();
    let n = root * root / (weight * (1.0 - weight) * effect * effect);
    (n < 1e15).then(|| n.ceil() as u64)
}

/// The same for a signal of events whose share goes from `baseline` to `detect`, up or down. The judgement averages two
/// e-values, so whichever of them needs fewer units at α/2 decides: the conditional-arm process (rare events) or the bets.
#[must_use]
pub fn planned_event_units(baseline: f64, detect: f64, weight: f64, alpha: f64, power: f64) -> Option<u64> {
    // Fewer events of the canary are more of the champion: the same test with the arms exchanged.
    let by_arm = if detect > baseline {
        planned_n_with(Mixture::harm(), baseline, detect, weight, alpha / 2.0, power)
    } else {
        planned_n_with(Mixture::harm(), detect, baseline, 1.0 - weight, alpha / 2.0, power)
    };
    // The smaller arm's variance counts most, and the canary's is the smaller arm.
    let variance = |share: f64| share * (1.0 - share);
    let mixed = (1.0 - weight) * variance(detect) + weight * variance(baseline);
    let by_bets = planned_units(mixed.sqrt(), detect - baseline, weight, alpha / 2.0, power);
    by_arm.into_iter().chain(by_bets).min()
}
