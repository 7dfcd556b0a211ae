//! What a target should do by the route, and what it does otherwise.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::head::Head;
use crate::ids::{ModelName, PromotionId, VersionName, VersionRef};
use crate::package::{PackageSummary, label};
use crate::policy::Target;
use crate::route::{Arm, Route, Weight};
use crate::version::VersionRecord;

/// How far a share may be from what is wanted and still be it: half a basis point. Targets keep weights as floating point
/// numbers. A version that should have nothing has nothing, however little it is.
const TOLERANCE: f64 = 0.000_05;

/// What a target should do.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The model.
    pub model: ModelName,
    /// The revision of the head that says so: it only grows.
    pub revision: u64,
    /// The epoch of the route.
    pub epoch: u64,
    /// The promotion that owns the split.
    pub promotion: Option<PromotionId>,
    /// When the split was written.
    pub since: Timestamp,
    /// The shares, the champion's first. A challenger without weight is among them, so that it can be made ready. They come to 100 %.
    pub shares: Vec<Share>,
}

/// One version's share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The version's name at the target.
    pub name: String,
    /// The version.
    pub version: VersionRef,
    /// Its side of the split.
    pub role: Arm,
    /// Its share.
    pub weight: Weight,
}

impl Desired {
    /// The shares that are not nothing, by the names at the target.
    #[must_use]
    pub fn weights(&self) -> BTreeMap<String, Weight> {
        let some = self.shares.iter().filter(|s| s.weight > Weight::ZERO);
        some.map(|s| (s.name.clone(), s.weight)).collect()
    }
}

/// What a target does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Actual {
    /// Fractions of the traffic by the names at the target. What it could serve and does not may stand here with 0.
    pub shares: BTreeMap<String, f64>,
    /// Why it takes no change at this moment, if it does not.
    pub busy: Option<String>,
    /// What a change names so that it is refused where another came between: the target's own word for its present state.
    pub fence: Option<String>,
}

/// Why the route comes to nothing at a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDesire {
    /// A version does not say what it is called at the target.
    #[error(
        "{version} does not say what it is called at {target}; its config.yaml needs `serving.{field}`, so package it again with it"
    )]
    Unnamed {
        /// The version.
        version: VersionName,
        /// The target, in words.
        target: String,
        /// The missing field of `serving` in `config.yaml`.
        field: &'static str,
    },
    /// Two versions have one name at the target, which could not split between them.
    #[error(
        "{one} and {other} are both called {name:?} at {target}; each version needs a name of its own there"
    )]
    OneName {
        /// One of them.
        one: VersionName,
        /// The other.
        other: VersionName,
        /// The name.
        name: String,
        /// The target, in words.
        target: String,
    },
}

/// The field of `serving` in `config.yaml` that names a version at the target; none where the version's own name is used.
const fn field(target: &Target) -> Option<(&'static str, &'static str)> {
    match target {
        Target::LambdaAlias(_) => Some(("lambda_version", label::LAMBDA_VERSION)),
        Target::SagemakerEndpoint(_) => Some(("variant", label::VARIANT)),
        Target::Http(_) => None,
    }
}

/// What `version` is called at the target.
///
/// # Errors
/// [`NoDesire::Unnamed`] where its package does not say.
pub fn name_at(
    target: &Target,
    version: VersionName,
    package: Option<&PackageSummary>,
) -> Result<String, NoDesire> {
    let Some((field, label)) = field(target) else { return Ok(version.to_string()) };
    let unnamed = || NoDesire::Unnamed { version, target: target.phrase(), field };
    package.and_then(|p| p.labels.get(label)).cloned().ok_or_else(unnamed)
}

/// That no two of these versions have one name at the target.
///
/// # Errors
/// [`NoDesire::OneName`].
pub fn names_of_their_own<'a>(
    target: &Target,
    names: impl IntoIterator<Item = (VersionName, &'a str)>,
) -> Result<(), NoDesire> {
    let mut known: BTreeMap<&str, VersionName> = BTreeMap::new();
    for (other, name) in names {
        if let Some(one) = known.insert(name, other).filter(|one| *one != other) {
            return Err(NoDesire::OneName { one, other, name: name.to_owned(), target: target.phrase() });
        }
    }
    Ok(())
}

/// That the target can carry these versions beside each other: each has a name there, and one of its own.
///
/// # Errors
/// [`NoDesire`] where one has none.
pub fn carries<'a>(
    target: &Target,
    versions: impl IntoIterator<Item = &'a VersionRecord>,
) -> Result<(), NoDesire> {
    let names = versions.into_iter().map(|v| Ok((v.version, name_at(target, v.version, Some(&v.package))?)));
    let names: Vec<(VersionName, String)> = names.collect::<Result<_, NoDesire>>()?;
    names_of_their_own(target, names.iter().map(|(version, name)| (*version, name.as_str())))
}

/// What the route comes to at the target; `None` while there is no champion: then the target is left as it is. `packages` are those of
/// the route's versions.
///
/// # Errors
/// [`NoDesire`] where a version has no name of its own there.
pub fn desired(
    head: &Head,
    target: &Target,
    packages: &BTreeMap<VersionName, PackageSummary>,
) -> Result<Option<Desired>, NoDesire> {
    let route = &head.route;
    let Some(champion) = &route.champion else { return Ok(None) };
    let share = |version: &VersionRef, role, weight| {
        let name = name_at(target, version.version, packages.get(&version.version))?;
        Ok::<Share, NoDesire>(Share { name, version: version.clone(), role, weight })
    };
    let (challenger, standby) = shares(route);
    let mut shares = vec![share(champion, Arm::Champion, Weight::FULL.less(challenger).less(standby))?];
    if let Some(version) = &route.challenger {
        shares.push(share(version, Arm::Challenger, challenger)?);
    }
    if let Some(version) = route.standby.as_ref().filter(|_| standby > Weight::ZERO) {
        shares.push(share(version, Arm::Standby, standby)?);
    }
    names_of_their_own(target, shares.iter().map(|s| (s.version.version, s.name.as_str())))?;
    Ok(Some(Desired {
        model: head.model.clone(),
        revision: head.revision,
        epoch: route.epoch,
        promotion: route.promotion.clone(),
        since: route.since,
        shares,
    }))
}

/// The challenger's and the standby's shares, as [`Route::choose`] gives them: where they would overlap, the challenger is first.
fn shares(route: &Route) -> (Weight, Weight) {
    let challenger = if route.challenger.is_some() { route.weight } else { Weight::ZERO };
    let left = Weight::FULL.less(challenger);
    let standby = if route.standby.is_some() { route.holdback.min(left) } else { Weight::ZERO };
    (challenger, standby)
}

/// In what the target does otherwise, in one sentence; `None` where it does what is wanted.
#[must_use]
pub fn difference(wanted: &BTreeMap<String, Weight>, actual: &BTreeMap<String, f64>) -> Option<String> {
    let is = |name: &str| actual.get(name).copied().unwrap_or(0.0);
    let foreign = actual.iter().filter(|(name, share)| !wanted.contains_key(*name) && **share > 0.0);
    let wrong = wanted.iter().filter(|(name, weight)| (is(name) - weight.fraction()).abs() >= TOLERANCE);
    let mut said: Vec<String> =
        foreign.map(|(name, share)| format!("{name} has {} instead of nothing", percent(*share))).collect();
    said.extend(wrong.map(|(name, weight)| format!("{name} has {} instead of {weight}", percent(is(name)))));
    (!said.is_empty()).then(|| said.join(", "))
}

/// A fraction in percent, with as many digits as it takes to see it.
pub(super) fn percent(fraction: f64) -> String {
    let percent = fraction * 100.0;
    if percent > 0.0 && percent < 0.01 {
        return "less than 0.01 %".into();
    }
    let text = format!("{percent:.2}");
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::canonical::sha256;
    use crate::policy::{HttpTarget, LambdaAlias, SagemakerEndpoint};

    fn version(n: u32) -> VersionRef {
        VersionRef { version: VersionName::new(n), digest: sha256(&n.to_be_bytes()) }
    }

    fn alias() -> Target {
        Target::LambdaAlias(LambdaAlias { function: "fraud".into(), alias: "live".into(), role: None })
    }

    fn endpoint() -> Target {
        Target::SagemakerEndpoint(SagemakerEndpoint { endpoint: "fraud".into(), role: None })
    }

    fn http() -> Target {
        Target::Http(HttpTarget { url: "https://mesh.example.com/".into() })
    }

    fn package(labels: &[(&str, &str)]) -> PackageSummary {
        PackageSummary {
            runtime: "onnx".into(),
            task: "binary".into(),
            title: None,
            size: 1,
            files: BTreeMap::new(),
            labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            changelog: String::new(),
            config: BTreeMap::new(),
            remote: None,
        }
    }

    /// v1 is function version 11 and variant `one`, and so on.
    fn packages() -> BTreeMap<VersionName, PackageSummary> {
        [(1, "11", "one"), (2, "12", "two"), (3, "13", "three")]
            .map(|(n, lambda, variant)| {
                (VersionName::new(n), package(&[(label::LAMBDA_VERSION, lambda), (label::VARIANT, variant)]))
            })
            .into()
    }

    fn head(champion: Option<u32>, challenger: Option<(u32, u16)>, standby: Option<(u32, u16)>) -> Head {
        let mut head = Head::new("m".parse().unwrap(), Timestamp::UNIX_EPOCH);
        head.route.champion = champion.map(version);
        head.route.challenger = challenger.map(|(n, _)| version(n));
        head.route.weight = challenger.map_or(Weight::ZERO, |(_, w)| Weight::from_bps(w).unwrap());
        head.route.standby = standby.map(|(n, _)| version(n));
        head.route.holdback = standby.map_or(Weight::ZERO, |(_, w)| Weight::from_bps(w).unwrap());
        head
    }

    fn weights(head: &Head, target: &Target) -> Vec<(String, u16)> {
        let wanted = desired(head, target, &packages()).unwrap().unwrap();
        wanted.weights().into_iter().map(|(name, weight)| (name, weight.bps())).collect()
    }

    fn named(shares: &[(&str, u16)]) -> Vec<(String, u16)> {
        shares.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect()
    }

    #[test]
    fn a_champion_has_all_a_canary_its_step_and_a_standby_the_holdback() {
        let serving = head(Some(1), None, None);
        let shadow = head(Some(1), Some((2, 0)), None);
        let canary = head(Some(1), Some((2, 2_500)), None);
        let crowned = head(Some(2), None, Some((1, 100)));
        let after = head(Some(2), None, Some((1, 0)));
        for (target, one, two) in [(alias(), "11", "12"), (endpoint(), "one", "two"), (http(), "v1", "v2")] {
            assert_eq!(weights(&serving, &target), named(&[(one, 10_000)]));
            assert_eq!(weights(&shadow, &target), named(&[(one, 10_000)]), "a shadow is seen by no caller");
            assert_eq!(weights(&canary, &target), named(&[(one, 7_500), (two, 2_500)]));
            assert_eq!(weights(&crowned, &target), named(&[(one, 100), (two, 9_900)]));
            assert_eq!(weights(&after, &target), named(&[(two, 10_000)]));
        }
        let ready = desired(&shadow, &http(), &packages()).unwrap().unwrap();
        assert_eq!(ready.shares[1].name, "v2", "a challenger without weight is told of, to be made ready");
        assert_eq!(desired(&head(None, None, None), &alias(), &packages()), Ok(None), "nothing serves yet");
    }

    #[test]
    fn a_version_without_a_name_of_its_own_moves_nothing() {
        let canary = head(Some(1), Some((2, 2_500)), None);
        let mut known = packages();
        known.insert(VersionName::new(2), package(&[(label::VARIANT, "two")]));
        let said = desired(&canary, &alias(), &known).unwrap_err().to_string();
        assert!(said.contains("v2") && said.contains("serving.lambda_version"), "{said}");
        assert!(desired(&canary, &endpoint(), &known).is_ok());
        assert!(desired(&canary, &endpoint(), &BTreeMap::new()).is_err(), "an unknown package names nothing");
        known.insert(VersionName::new(2), package(&[(label::LAMBDA_VERSION, "11")]));
        let said = desired(&canary, &alias(), &known).unwrap_err().to_string();
        assert!(said.contains("v1 and v2 are both called \"11\""), "{said}");
    }

    #[test]
    fn what_is_otherwise_is_named_with_what_it_should_be() {
        let wanted = BTreeMap::from([
            ("1".to_owned(), Weight::from_bps(9_500).unwrap()),
            ("2".to_owned(), Weight::from_bps(500).unwrap()),
        ]);
        let is = |shares: &[(&str, f64)]| {
            difference(&wanted, &shares.iter().map(|(n, s)| ((*n).to_owned(), *s)).collect())
        };
        assert_eq!(is(&[("1", 0.95), ("2", 0.05)]), None);
        assert_eq!(is(&[("1", f64::from(0.95_f32)), ("2", f64::from(0.05_f32)), ("3", 0.0)]), None);
        assert_eq!(is(&[("1", 1.0)]).unwrap(), "1 has 100 % instead of 95 %, 2 has 0 % instead of 5 %");
        let said = is(&[("1", 0.95), ("2", 0.049_99), ("3", 0.000_01)]).unwrap();
        assert_eq!(said, "3 has less than 0.01 % instead of nothing", "however little it is");
    }

    proptest! {
        /// What a target is told is what servers that read the route would do, to the basis point.
        #[test]
        fn a_target_gets_the_shares_that_the_route_gives(weight in 0_u16..=10_000, holdback in 0_u16..=10_000) {
            let head = head(Some(1), Some((2, weight)), Some((3, holdback)));
            let wanted = desired(&head, &http(), &BTreeMap::new()).unwrap().unwrap();
            let total: u32 = wanted.shares.iter().map(|s| u32::from(s.weight.bps())).sum();
            prop_assert_eq!(total, 10_000);
            let share = |role| wanted.shares.iter().find(|s| s.role == role).map_or(0, |s| s.weight.bps());
            prop_assert_eq!(share(Arm::Challenger), weight);
            // In `Route::choose` the standby has the buckets from 10,000 - holdback on that the challenger does not have.
            prop_assert_eq!(share(Arm::Standby), holdback.min(10_000 - weight));
        }
    }
}
