//! Which version answers a request. Pure: facts in, decision out.

use seatrial_domain::head::Head;
use seatrial_domain::ids::{ModelName, VersionName, VersionRef};
use seatrial_domain::route::{Arm, Route, Weight};
use seatrial_evidence::observation::RouteStamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A model's route as this server obeys it.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The split.
    pub route: Route,
    /// The previous champion: kept loaded where there is room, so that a rollback finds it ready.
    pub standby: Option<VersionRef>,
    /// Whether the registry could not be read for so long that only the champion may answer.
    pub stale: bool,
}

impl View {
    /// The view of a head just read.
    #[must_use]
    pub fn of(head: Head) -> Self {
        Self { route: head.route, standby: head.standby, stale: false }
    }

    /// What is left of it when the registry cannot be read: the last known champion answers everyone.
    #[must_use]
    pub fn degraded(&self) -> Self {
        let route = Route { weight: Weight::ZERO, holdback: Weight::ZERO, ..self.route.clone() };
        Self { route, standby: self.standby.clone(), stale: true }
    }

    /// The part of the route that observations carry.
    #[must_use]
    pub fn stamp(&self) -> RouteStamp {
        RouteStamp {
            promotion: self.route.promotion.clone(),
            epoch: self.route.epoch,
            weight: self.route.weight,
        }
    }

    /// The versions that a caller may be answered by right now, with their arms.
    pub fn serving(&self) -> impl Iterator<Item = (Arm, &VersionRef)> {
        let route = &self.route;
        let with_share =
            |share: Weight, version: &'_ Option<VersionRef>| version.is_some() && share > Weight::ZERO;
        [
            (Arm::Champion, route.champion.as_ref()),
            (
                Arm::Challenger,
                route.challenger.as_ref().filter(|_| with_share(route.weight, &route.challenger)),
            ),
            (Arm::Standby, route.standby.as_ref().filter(|_| with_share(route.holdback, &route.standby))),
        ]
        .into_iter()
        .filter_map(|(arm, version)| Some((arm, version?)))
    }

    /// The versions worth having loaded, the most needed first: also a challenger still in the shadow and the standby.
    pub fn wanted(&self) -> impl Iterator<Item = (Arm, &VersionRef)> {
        [
            (Arm::Champion, self.route.champion.as_ref()),
            (Arm::Challenger, self.route.challenger.as_ref()),
            (Arm::Standby, self.route.standby.as_ref().or(self.standby.as_ref())),
        ]
        .into_iter()
        .filter_map(|(arm, version)| Some((arm, version?)))
    }

    /// The version of this name, if the route or the standby is it.
    #[must_use]
    pub fn named(&self, name: VersionName) -> Option<&VersionRef> {
        self.wanted().map(|(_, version)| version).find(|version| version.version == name)
    }
}

/// The version chosen for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The side of the split.
    pub arm: Arm,
    /// The version.
    pub version: VersionRef,
    /// Whether the split had named another version, which is not loaded yet: then the champion answers, and the request
    /// is not counted for the other.
    pub diverted: bool,
}

/// Chooses the version that answers for `unit`; `None` when the model has no champion.
#[must_use]
pub fn choose(route: &Route, unit: &str, loaded: impl Fn(&VersionRef) -> bool) -> Option<Choice> {
    let (arm, version) = route.choose(unit)?;
    if arm == Arm::Champion || loaded(version) {
        return Some(Choice { arm, version: version.clone(), diverted: false });
    }
    let champion = route.champion.clone()?;
    Some(Choice { arm: Arm::Champion, version: champion, diverted: true })
}

/// What a request is counted under: one tally is everything with the same assignment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Assignment {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionName,
    /// Its digest.
    pub digest: seatrial_domain::ids::Digest,
    /// The arm.
    pub role: Arm,
    /// The route in force.
    pub route: RouteStamp,
    /// The second, as Unix time, of the choice.
    pub second: i64,
}

/// How a tally names a unit: the first 16 hexadecimal digits of SHA-256 over the salt (with its length, as the bucket
/// does it) and the unit. The same number modulo 10,000 is the unit's bucket.
#[must_use]
pub fn unit_hash(salt: &str, unit: &str) -> String {
    let mut hash = Sha256::new();
    hash.update((salt.len() as u64).to_be_bytes());
    hash.update(salt.as_bytes());
    hash.update(unit.as_bytes());
    hex::encode(&hash.finalize()[..8])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::testing::{route, version};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_challenger_that_is_not_loaded_is_not_chosen(unit in ".{0,12}", weight in 0_u16..=10_000) {
            let route = route(weight);
            let choice = choose(&route, &unit, |_| false).unwrap();
            prop_assert_eq!(choice.arm, Arm::Champion);
            prop_assert_eq!(choice.version, version(1));
            prop_assert_eq!(choice.diverted, route.choose(&unit).unwrap().0 == Arm::Challenger);
            let choice = choose(&route, &unit, |_| true).unwrap();
            prop_assert_eq!((choice.arm, &choice.version), route.choose(&unit).unwrap());
            prop_assert!(!choice.diverted);
        }

        #[test]
        fn a_unit_is_named_by_the_number_its_bucket_comes_from(salt in ".{0,8}", unit in ".{0,12}") {
            let number = u64::from_str_radix(&unit_hash(&salt, &unit), 16).unwrap();
            prop_assert_eq!(number % 10_000, u64::from(Route::bucket(&salt, &unit)));
        }

        #[test]
        fn when_the_registry_is_silent_only_the_champion_answers(unit in ".{0,12}", weight in 0_u16..=10_000) {
            let view = View { route: route(weight), standby: None, stale: false }.degraded();
            prop_assert_eq!(choose(&view.route, &unit, |_| true).unwrap().arm, Arm::Champion);
            prop_assert_eq!(view.stamp().weight, Weight::ZERO);
        }
    }

    #[test]
    fn a_challenger_in_the_shadow_is_wanted_but_serves_nobody() {
        let view = View { route: route(0), standby: Some(version(9)), stale: false };
        let arms: Vec<Arm> = view.serving().map(|(arm, _)| arm).collect();
        assert_eq!(arms, [Arm::Champion]);
        let wanted: Vec<&VersionRef> = view.wanted().map(|(_, version)| version).collect();
        assert_eq!(wanted, [&version(1), &version(2), &version(9)]);
    }

    #[test]
    fn without_a_champion_nobody_answers_even_for_a_challenger_that_is_not_loaded() {
        let nobody = Route { champion: None, ..route(10_000) };
        assert_eq!(choose(&nobody, "u", |_| false), None);
    }
}
