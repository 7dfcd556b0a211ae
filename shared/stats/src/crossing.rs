//! Requests that cross a decision threshold between two versions.
//!
//! Where an application acts on `score >= threshold` (block a payment, grant a loan), two models of equal quality can still
//! decide differently about many requests, and a recalibrated score moves all of them one way. This counts the decisions
//! that change, in both directions, needing no truth.

use crate::{
    Interval, Merge,
    intervals::{PairedCounts, PairedProportions, wilson},
    share,
};
use serde::{Deserialize, Serialize};

/// Decisions of both versions at one threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crossings {
    /// Requests by which version's score reached the threshold.
    pub reached: PairedCounts,
    /// Requests left out because a score or the threshold was not a number.
    pub invalid: u64,
}

/// A number of requests as a share of all, with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Requests.
    pub count: u64,
    /// Their share of all, 0 to 1.
    pub share: f64,
    /// Wilson's score interval of the share.
    pub interval: Interval,
}

/// How decisions change from the champion to the challenger.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrossingShares {
    /// Requests decided by both.
    pub n: u64,
    /// The champion below the threshold, the challenger at or above it.
    pub upward: Share,
    /// The champion at or above the threshold, the challenger below it.
    pub downward: Share,
    /// Either of the two: decisions that change.
    pub either: Share,
    /// The net change: share at or above the threshold, challenger minus champion, with Newcombe's interval for paired
    /// proportions (1998, method 10) and the mid-p McNemar test.
    pub net: PairedProportions,
}

impl Crossings {
    /// Counts one request's scores against the threshold. A score equal to the threshold reaches it. Returns whether the
    /// request was counted: infinite scores are, NaN is not.
    #[inline]
    pub fn observe(&mut self, threshold: f64, champion: f64, challenger: f64) -> bool {
        let valid = !(threshold.is_nan() || champion.is_nan() || challenger.is_nan());
        if valid {
            self.reached.observe(champion >= threshold, challenger >= threshold);
        } else {
            self.invalid += 1;
        }
        valid
    }

    /// Requests counted.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.reached.n()
    }

    /// The shares with their intervals; `None` without requests or for a confidence outside (0, 1).
    #[must_use]
    pub fn shares(&self, confidence: f64) -> Option<CrossingShares> {
        let n = self.n();
        let PairedCounts { champion_only, challenger_only, .. } = self.reached;
        let of =
            |count| Some(Share { count, share: share(count, n)?, interval: wilson(count, n, confidence)? });
        Some(CrossingShares {
            n,
            upward: of(challenger_only)?,
            downward: of(champion_only)?,
            either: of(champion_only + challenger_only)?,
            net: self.reached.difference(confidence)?,
        })
    }
}

impl Merge for Crossings {
    fn merge(&mut self, other: &Self) {
        self.reached.merge(&other.reached);
        self.invalid += other.invalid;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_are_told_apart_and_the_threshold_itself_is_reached() {
        let mut crossings = Crossings::default();
        assert_eq!(crossings.shares(0.95), None);
        for (champion, challenger) in [(0.4, 0.5), (0.5, 0.49), (0.5, 0.5), (0.1, 0.2), (0.2, 0.9)] {
            assert!(crossings.observe(0.5, champion, challenger));
        }
        assert!(!crossings.observe(0.5, f64::NAN, 0.1) && !crossings.observe(f64::NAN, 0.1, 0.1));
        let shares = crossings.shares(0.95).unwrap();
        assert_eq!((shares.upward.count, shares.downward.count, shares.either.count), (2, 1, 3));
        assert_eq!((shares.n, crossings.invalid, shares.net.delta), (5, 2, 0.2));
        assert!(shares.net.interval.contains(0.2) && shares.either.interval.contains(0.6));
        assert_eq!(crossings.shares(0.0), None);
    }

    #[test]
    fn equal_numbers_both_ways_are_crossings_without_a_net_change() {
        let mut crossings = Crossings::default();
        for _ in 0..50 {
            crossings.observe(0.5, 0.4, 0.6);
            crossings.observe(0.5, 0.6, 0.4);
        }
        let shares = crossings.shares(0.95).unwrap();
        assert_eq!((shares.either.share, shares.net.delta), (1.0, 0.0));
        assert!(shares.net.interval.contains(0.0) && shares.either.interval.low > 0.9);
    }
}
