//! Delete-a-group jackknife: intervals that stay honest when units repeat (Kott 2001).
//!
//! Rows of one unit (a customer, a device) resemble each other, so an interval that treats rows as independent is too
//! short. All rows of a unit go to one of 64 groups; leaving out one group after another shows how much the statistic
//! varies between units.

use crate::{Interval, Merge, intervals::t_interval};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Default number of groups.
pub const GROUPS: usize = 64;
/// With fewer non-empty groups the variance itself is too uncertain to be used.
pub const MIN_GROUPS: usize = 10;

/// The group of a unit: the first eight bytes of its SHA-256, big-endian, modulo `groups` (0 if there are none).
#[must_use]
pub fn group_of(unit: &str, groups: usize) -> usize {
    let digest: [u8; 32] = Sha256::digest(unit.as_bytes()).into();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    (u64::from_be_bytes(first) % (groups.max(1) as u64)) as usize
}

/// An accumulator for each group of units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grouped<T> {
    groups: Vec<T>,
}

impl<T: Default + Clone> Default for Grouped<T> {
    fn default() -> Self {
        Self { groups: vec![T::default(); GROUPS] }
    }
}

/// A statistic with its jackknife interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Jackknife {
    /// The statistic on all groups.
    pub estimate: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// t interval with one degree of freedom less than non-empty groups.
    pub interval: Interval,
    /// Non-empty groups.
    pub groups: usize,
}

impl<T: Merge + Default + Clone + PartialEq> Grouped<T> {
    /// The accumulator for a unit's rows.
    pub fn of_unit(&mut self, unit: &str) -> &mut T {
        let group = group_of(unit, self.groups.len());
        &mut self.groups[group]
    }

    /// All groups merged.
    #[must_use]
    pub fn total(&self) -> T {
        self.groups.iter().fold(T::default(), merged)
    }

    /// The statistic with its interval. `None` if it is undefined on all groups or without one of them, if fewer than
    /// [`MIN_GROUPS`] groups have rows, or for a confidence outside (0, 1).
    pub fn jackknife(&self, confidence: f64, statistic: impl Fn(&T) -> Option<f64>) -> Option<Jackknife> {
        let empty = T::default();
        let groups: Vec<&T> = self.groups.iter().filter(|&group| *group != empty).collect();
        if groups.len() < MIN_GROUPS {
            return None;
        }
        // after[i] merges the groups from i on; with a running prefix each leave-one-out sum costs one merge.
        let mut after = vec![T::default(); groups.len() + 1];
        for i in (0..groups.len()).rev() {
            after[i] = merged(after[i + 1].clone(), groups[i]);
        }
        let estimate = statistic(&after[0])?;
        let (mut before, mut squares) = (T::default(), 0.0);
        for (i, group) in groups.iter().enumerate() {
            squares += (statistic(&merged(before.clone(), &after[i + 1]))? - estimate).powi(2);
            before.merge(group);
        }
        let count = groups.len() as f64;
        let standard_error = (squares * (count - 1.0) / count).sqrt();
        let interval = t_interval(estimate, standard_error, count - 1.0, confidence)?;
        Some(Jackknife { estimate, standard_error, interval, groups: groups.len() })
    }
}

fn merged<T: Merge>(mut one: T, other: &T) -> T {
    one.merge(other);
    one
}

impl<T: Merge> Merge for Grouped<T> {
    fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.groups.len(), other.groups.len(), "different numbers of groups");
        self.groups.iter_mut().zip(&other.groups).for_each(|(mine, theirs)| mine.merge(theirs));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::losses::MeanLoss;

    #[test]
    fn too_few_units_have_no_interval() {
        let mut grouped = Grouped::<MeanLoss>::default();
        grouped.of_unit("only").observe(Some(0.5));
        assert_eq!(grouped.jackknife(0.95, MeanLoss::mean), None);
        assert_eq!(grouped.total().mean(), Some(0.5));
    }

    #[test]
    fn clustered_rows_get_a_wider_interval_than_their_number_suggests() {
        let mut grouped = Grouped::<MeanLoss>::default();
        let mut rows = 0;
        for unit in 0..400_u32 {
            for _ in 0..25 {
                grouped.of_unit(&format!("u{unit}")).observe(Some(f64::from(unit % 2)));
                rows += 1;
            }
        }
        let row = grouped.jackknife(0.95, MeanLoss::mean).unwrap();
        let naive = 0.5 / f64::from(rows).sqrt();
        assert!(row.standard_error > 3.0 * naive && row.standard_error < 8.0 * naive, "{row:?}");
        assert!(row.interval.contains(0.5) && row.groups == GROUPS);
    }

    #[test]
    fn a_unit_stays_in_its_group() {
        assert_eq!(group_of("a", 64), group_of("a", 64));
        assert!((0..1000).map(|i| group_of(&i.to_string(), 64)).all(|g| g < 64));
        // Fixed for good: the groups are part of frozen evidence. SHA-256("") starts e3b0c44298fc1c14.
        assert_eq!(group_of("", 64), 0xe3b0_c442_98fc_1c14_u64 as usize % 64);
    }
}
