//! Statistics over rows that count differently. With equal weights each is the unweighted one.

/// Bins of the calibration error, as `seatrial_stats::calibration` has them.
const BINS: usize = seatrial_stats::calibration::BINS;

/// Root of the squared calibration error over 15 equal bins, the sampling variance of each bin's share taken off (Kumar et
/// al. 2019). A bin's share varies as one of (Σw)²/Σw² equal rows would. Rows are (confidence, hit, weight).
pub(super) fn ece(rows: &[(f64, bool, f64)]) -> Option<f64> {
    #[derive(Clone, Copy, Default)]
    struct Bin {
        weight: f64,
        squares: f64,
        hits: f64,
        confidence: f64,
    }
    let mut bins = [Bin::default(); BINS];
    for &(confidence, hit, weight) in rows {
        let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
        bin.weight += weight;
        bin.squares += weight * weight;
        bin.hits += if hit { weight } else { 0.0 };
        bin.confidence += weight * confidence;
    }
    let total: f64 = bins.iter().map(|b| b.weight).sum();
    let of_bin = |b: &Bin| {
        let n = b.weight * b.weight / b.squares;
        let (share, confidence) = (b.hits / b.weight, b.confidence / b.weight);
        // Too thin to tell error from noise.
        if n < 2.0 { 0.0 } else { (share - confidence).powi(2) - share * (1.0 - share) / (n - 1.0) }
    };
    let squared: f64 = bins.iter().filter(|b| b.weight > 0.0).map(|b| b.weight * of_bin(b)).sum();
    (total > 0.0).then(|| (squared / total).max(0.0).sqrt())
}

/// Intercept and slope of the truth on the score's logit (Cox 1958) by Newton's method; rows are (truth, probability,
/// weight). `None` without both classes, with one score only, or where scores separate the classes.
pub(super) fn line(rows: &[(bool, f64, f64)]) -> Option<(f64, f64)> {
    const CLIP: f64 = seatrial_stats::calibration::LOGIT_CLIP;
    let points: Vec<(f64, f64, f64)> = rows
        .iter()
        .filter(|(_, p, w)| (0.0..=1.0).contains(p) && *w > 0.0)
        .map(|&(truth, p, w)| {
            let p = p.clamp(CLIP, 1.0 - CLIP);
            (f64::from(u8::from(truth)), (p / (1.0 - p)).ln(), w)
        })
        .collect();
    let (mut intercept, mut slope) = (0.0, 1.0);
    for _ in 0..50 {
        let (mut g0, mut g1, mut h00, mut h01, mut h11) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for &(y, x, w) in &points {
            let p = 1.0 / (1.0 + (-(intercept + slope * x)).exp());
            let (miss, curve) = (w * (y - p), w * p * (1.0 - p));
            g0 += miss;
            g1 += miss * x;
            h00 += curve;
            h01 += curve * x;
            h11 += curve * x * x;
        }
        let determinant = h00 * h11 - h01 * h01;
        if determinant.is_nan() || determinant <= h00 * h11 * 1e-12 {
            return None;
        }
        let (d0, d1) = ((h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant);
        intercept += d0;
        slope += d1;
        if !(intercept.abs() < 100.0 && slope.abs() < 100.0) {
            return None;
        }
        if d0.abs() < 1e-10 && d1.abs() < 1e-10 {
            return Some((intercept, slope));
        }
    }
    None
}

/// The weighted mean; `None` without weight.
pub(super) fn mean(rows: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (sum, weight) = rows.fold((0.0, 0.0), |(s, t), (x, w)| (s + w * x, t + w));
    (weight > 0.0).then(|| sum / weight)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn rows() -> Vec<(bool, f64)> {
        (0..400_u32)
            .map(|i| {
                let p = f64::from(i * 37 % 101) / 101.0;
                (f64::from(i * 53 % 97) / 97.0 < p, p)
            })
            .collect()
    }

    #[test]
    fn equal_weights_change_nothing() {
        let (truths, scores): (Vec<bool>, Vec<f64>) = rows().into_iter().unzip();
        let weighted: Vec<_> = rows().iter().map(|&(t, p)| (t, p, 2.5)).collect();
        let near =
            |a: Option<f64>, b: Option<f64>| assert!((a.unwrap() - b.unwrap()).abs() < 1e-9, "{a:?} {b:?}");
        let mut calibration = seatrial_stats::calibration::Calibration::default();
        rows().iter().for_each(|&(t, p)| assert!(calibration.observe(p, t)));
        near(ece(&rows().iter().map(|&(t, p)| (p, t, 2.5)).collect::<Vec<_>>()), calibration.ece_debiased());
        let exact = seatrial_stats::calibration::calibration_line(&truths, &scores).unwrap();
        let (intercept, slope) = line(&weighted).unwrap();
        assert!((intercept - exact.intercept).abs() < 1e-7 && (slope - exact.slope).abs() < 1e-7);
    }

    #[test]
    fn a_weight_of_two_is_a_row_that_stands_twice() {
        let weighted: Vec<_> = rows()
            .iter()
            .enumerate()
            .map(|(i, &(t, p))| (t, p, 1.0 + f64::from(u8::from(i % 3 == 0))))
            .collect();
        let twice: Vec<_> =
            weighted.iter().flat_map(|&(t, p, w)| std::iter::repeat_n((t, p, 1.0), w as usize)).collect();
        let (a, b) = (line(&weighted).unwrap(), line(&twice).unwrap());
        assert!((a.0 - b.0).abs() < 1e-8 && (a.1 - b.1).abs() < 1e-8);
    }

    #[test]
    fn what_is_not_defined_is_nothing() {
        assert_eq!((ece(&[]), line(&[(true, 0.5, 1.0)])), (None, None));
        assert_eq!(line(&[(true, 0.9, 1.0), (false, 0.1, 1.0)]), None, "the scores separate the classes");
        assert_eq!(mean([(1.0, 0.0)].into_iter()), None);
    }
}
