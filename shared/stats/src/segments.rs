//! Many segments, one decision.
//!
//! Looking at fifty segments finds one that looks worse by chance. A segment therefore fails only when Holm's adjustment
//! over all judged segments (1979) leaves it significantly worse than its margin, so that the chance of blocking a release
//! none of whose segments is worse stays below alpha, however many segments there are. Benjamini–Hochberg's values are given
//! for display alone.

use crate::{
    intervals::{PairedCounts, PairedProportions},
    margin::Judgement,
    multiplicity::{benjamini_hochberg, holm},
    quantiles::normal_cdf,
};
use serde::{Deserialize, Serialize};

/// What is known of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its name, such as `region=north`.
    pub name: String,
    /// Whether the policy names it. A named segment must be decided; any other can only fail.
    pub named: bool,
    /// Its pairs, by which version was right (or any other outcome of which more is better).
    pub counts: PairedCounts,
}

/// How segments are judged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentRule {
    /// How much lower the challenger's proportion may be, as a fraction (.01 is one point).
    pub margin: f64,
    /// Fewest pairs of a segment that is judged.
    pub min_n: u64,
    /// Chance of failing any segment when none is worse than the margin.
    pub alpha: f64,
}

/// What is said of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentVerdict {
    /// Fewer pairs than the rule's `min_n`, and the policy does not name it: nothing is said.
    NotJudged,
    /// The interval lies wholly inside the margin.
    Pass,
    /// Neither worse beyond doubt nor surely inside the margin; a named segment with too few pairs, too.
    Inconclusive,
    /// Worse than the margin, beyond the chance that so many segments bring.
    Fail,
}

/// A judged segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgedSegment {
    /// Its name.
    pub name: String,
    /// Whether the policy names it.
    pub named: bool,
    /// Pairs.
    pub n: u64,
    /// Both proportions, their delta and Newcombe's interval at `1 − alpha`, of this segment alone; `None` without pairs.
    pub difference: Option<PairedProportions>,
    /// One-sided p-value of "not worse than the margin"; `None` where nothing is judged.
    pub p_value: Option<f64>,
    /// The same by Holm over the judged segments: the segment fails where this is at most alpha.
    pub holm: Option<f64>,
    /// The same by Benjamini and Hochberg, for display: among segments marked by it, at most that share is marked wrongly.
    pub benjamini_hochberg: Option<f64>,
    /// What is said.
    pub verdict: SegmentVerdict,
}

impl JudgedSegment {
    /// What the segment adds to the verdict of a release, combined by the worst: a fail fails it; of the rest only named
    /// segments count, since with many segments some interval always reaches beyond the margin.
    #[must_use]
    pub fn contribution(&self) -> Judgement {
        match self.verdict {
            SegmentVerdict::Fail => Judgement::Fail,
            SegmentVerdict::Inconclusive if self.named => Judgement::Inconclusive,
            _ => Judgement::Pass,
        }
    }
}

/// Judges all segments together, in the order given. A rule that cannot be applied (a margin that is negative or not a
/// number, an alpha outside (0, 1)) judges none: named segments are then inconclusive.
#[must_use]
pub fn judge_segments(segments: &[Segment], rule: SegmentRule) -> Vec<JudgedSegment> {
    let SegmentRule { margin, min_n, alpha } = rule;
    let usable = margin.is_finite() && margin >= 0.0 && alpha > 0.0 && alpha < 1.0;
    let p_value = |segment: &Segment| {
        (usable && segment.counts.n() >= min_n.max(1)).then(|| p_not_worse(&segment.counts, margin)).flatten()
    };
    let p_values: Vec<Option<f64>> = segments.iter().map(p_value).collect();
    let judged: Vec<f64> = p_values.iter().copied().flatten().collect();
    let (mut by_holm, mut by_bh) = (holm(&judged).into_iter(), benjamini_hochberg(&judged).into_iter());
    let mut row = |(segment, p_value): (&Segment, Option<f64>)| {
        let (holm, benjamini_hochberg) =
            if p_value.is_some() { (by_holm.next(), by_bh.next()) } else { (None, None) };
        let difference = usable.then(|| segment.counts.difference(1.0 - alpha)).flatten();
        let verdict = match (holm, difference) {
            (Some(adjusted), _) if adjusted <= alpha => SegmentVerdict::Fail,
            (Some(_), Some(d)) if d.interval.low >= -margin => SegmentVerdict::Pass,
            (Some(_), _) => SegmentVerdict::Inconclusive,
            (None, _) if segment.named => SegmentVerdict::Inconclusive,
            (None, _) => SegmentVerdict::NotJudged,
        };
        let (name, named, n) = (segment.name.clone(), segment.named, segment.counts.n());
        JudgedSegment { name, named, n, difference, p_value, holm, benjamini_hochberg, verdict }
    };
    segments.iter().zip(p_values).map(&mut row).collect()
}

/// One-sided p-value of "the challenger is not more than `margin` lower": the normal tail beyond the number of standard
/// errors at which Newcombe's interval reaches `−margin`, so that test and interval never contradict each other. Above ½
/// where the estimate itself is inside the margin. `None` without pairs.
fn p_not_worse(counts: &PairedCounts, margin: f64) -> Option<f64> {
    let worse = counts.delta()? < -margin;
    let reaches = |z: f64| {
        counts.newcombe_at(z).is_some_and(|i| if worse { i.high >= -margin } else { i.low <= -margin })
    };
    // The interval widens with z. Beyond 12 standard errors, p is below 1e-32 whatever it is.
    let (mut short, mut far) = (0.0, 12.0);
    for _ in 0..50 {
        let middle = (short + far) / 2.0;
        *(if reaches(middle) { &mut far } else { &mut short }) = middle;
    }
    Some(normal_cdf(if worse { -far } else { far }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use rand_chacha::{
        ChaCha8Rng,
        rand_core::{Rng, SeedableRng},
    };

    const RULE: SegmentRule = SegmentRule { margin: 0.01, min_n: 100, alpha: 0.05 };

    fn segment(name: &str, named: bool, counts: PairedCounts) -> Segment {
        Segment { name: name.to_owned(), named, counts }
    }

    fn counts(both: u64, champion_only: u64, challenger_only: u64, neither: u64) -> PairedCounts {
        PairedCounts { both, champion_only, challenger_only, neither }
    }

    /// Pairs of which each is discordant with these chances.
    fn drawn(random: &mut ChaCha8Rng, n: u32, champion_only: f64, challenger_only: f64) -> PairedCounts {
        let mut counts = PairedCounts::default();
        for _ in 0..n {
            let u = (random.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0;
            let first = u < champion_only;
            let second = !first && u < champion_only + challenger_only;
            let neither = !first && !second && u > 0.85;
            counts.observe(first || !(second || neither), second || !(first || neither));
        }
        counts
    }

    fn worst(segments: &[Segment], rule: SegmentRule) -> Judgement {
        judge_segments(segments, rule).iter().map(JudgedSegment::contribution).max().unwrap()
    }

    #[test]
    fn fifty_harmless_segments_do_not_block_a_release() {
        let mut random = ChaCha8Rng::seed_from_u64(71);
        // Harmless to the limit: with the usual margin and no difference, with none and no difference, and at the margin.
        for (margin, champion_only, challenger_only) in
            [(0.01, 0.04, 0.04), (0.0, 0.04, 0.04), (0.01, 0.045, 0.035)]
        {
            let (mut holm, mut one_by_one) = (0, 0);
            for _ in 0..1_000 {
                let segments: Vec<Segment> = (0..50)
                    .map(|i| {
                        let n = 150 + 20 * i;
                        segment(&i.to_string(), false, drawn(&mut random, n, champion_only, challenger_only))
                    })
                    .collect();
                let judged = judge_segments(&segments, SegmentRule { margin, ..RULE });
                holm += u32::from(judged.iter().any(|s| s.contribution() == Judgement::Fail));
                one_by_one += u32::from(judged.iter().any(|s| s.p_value.unwrap() <= RULE.alpha));
                assert!(judged.iter().all(|s| s.contribution() != Judgement::Inconclusive));
            }
            println!(
                "margin {margin}: {holm} of 1,000 releases blocked, {one_by_one} if each segment had its own alpha"
            );
            assert!(holm <= 64, "{holm}"); // 50, and two standard deviations
            assert!(margin > 0.0 || one_by_one > 700, "{one_by_one}");
        }
    }

    #[test]
    fn one_truly_worse_named_segment_does() {
        let mut random = ChaCha8Rng::seed_from_u64(72);
        let mut found = 0;
        for _ in 0..200 {
            let mut segments: Vec<Segment> = (0..50)
                .map(|i| segment(&i.to_string(), false, drawn(&mut random, 800, 0.04, 0.04)))
                .collect();
            segments.push(segment("sex=Female", true, drawn(&mut random, 1_000, 0.10, 0.03)));
            let judged = judge_segments(&segments, RULE);
            found += u32::from(judged[50].verdict == SegmentVerdict::Fail);
        }
        assert!(found > 190, "{found} of 200");
    }

    #[test]
    fn small_segments_are_not_judged_unless_named() {
        let small = counts(3, 40, 0, 2);
        let judged = judge_segments(&[segment("a", false, small), segment("b", true, small)], RULE);
        assert_eq!(
            judged.iter().map(|s| s.verdict).collect::<Vec<_>>(),
            [SegmentVerdict::NotJudged, SegmentVerdict::Inconclusive]
        );
        assert_eq!((judged[0].p_value, judged[0].contribution()), (None, Judgement::Pass));
        assert_eq!(judged[1].contribution(), Judgement::Inconclusive);
        assert!(judged[0].difference.unwrap().delta < -0.8, "shown all the same");
        let empty =
            judge_segments(&[segment("c", true, PairedCounts::default())], SegmentRule { min_n: 0, ..RULE });
        assert_eq!((empty[0].verdict, empty[0].difference), (SegmentVerdict::Inconclusive, None));
    }

    #[test]
    fn the_test_agrees_with_the_interval() {
        let worse = counts(700, 90, 30, 180);
        let p = p_not_worse(&worse, 0.01).unwrap();
        let at = worse.difference(1.0 - 2.0 * p).unwrap().interval;
        assert!((at.high + 0.01).abs() < 1e-9 && p < 0.001, "{p} {at:?}");
        let inside = counts(700, 60, 55, 185);
        let p = p_not_worse(&inside, 0.01).unwrap();
        let at = inside.difference(1.0 - 2.0 * (1.0 - p)).unwrap().interval;
        assert!((at.low + 0.01).abs() < 1e-9 && p > 0.5, "{p} {at:?}");
        assert_eq!(p_not_worse(&PairedCounts::default(), 0.01), None);
        // Everything lost: as small as can be told apart, and a number.
        assert!(p_not_worse(&counts(0, 5_000, 0, 0), 0.01).unwrap() <= 1e-14);
    }

    #[test]
    fn a_rule_that_cannot_be_applied_passes_nothing_named() {
        let fine = counts(900, 5, 5, 90);
        assert_eq!(worst(&[segment("a", true, fine)], SegmentRule { margin: 0.05, ..RULE }), Judgement::Pass);
        for rule in [SegmentRule { margin: f64::NAN, ..RULE }, SegmentRule { alpha: 0.0, ..RULE }] {
            assert_eq!(worst(&[segment("a", true, fine)], rule), Judgement::Inconclusive);
        }
        assert!(judge_segments(&[], RULE).is_empty());
    }
}
