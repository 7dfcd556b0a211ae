//! The contract of traffic targets, as a suite that runs against any of them.
//!
//! [`contract_tests`](crate::contract_tests) makes one test of each case. A harness arranges the target from outside: what somebody
//! else makes it do, what is wrong with it, and what its callers meet.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a suite of tests")]
#![expect(missing_docs, reason = "the names of the cases say what they are")]

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use seatrial_domain::canonical::sha256;
use seatrial_domain::ids::{VersionName, VersionRef};
use seatrial_domain::route::{Arm, Weight};
use seatrial_domain::target::{Actual, Desired, Share, difference};

use crate::{Hindrance, TrafficTarget};

/// What can be wrong with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It is changing already and takes no other change.
    Changing,
    /// It is asked too often.
    Throttled,
    /// Nobody answers.
    Dead,
    /// We have no right to it.
    Denied,
}

/// A target and what stands around it. Versions 1 to 3 are there.
#[async_trait]
pub trait Harness: Send + Sync {
    fn target(&self) -> &dyn TrafficTarget;
    /// What version `n` is called there.
    fn name(&self, n: u32) -> String;
    /// Somebody else makes it do this: basis points by version.
    async fn set(&self, shares: &[(u32, u16)]);
    /// What its callers meet: basis points by name, without those that have nothing.
    async fn does(&self) -> BTreeMap<String, u16>;
    /// What is wrong with it from now on.
    async fn trouble(&self, trouble: Option<Trouble>);
    /// Whether a change by somebody else between look and move is noticed by the target itself.
    fn fences(&self) -> bool;
    /// Whether it says of itself that it does not have a version.
    fn knows_its_versions(&self) -> bool;
}

/// One test of each case of the contract, with the harness that `$make`, a future, comes to.
#[macro_export]
macro_rules! contract_tests {
    ($make:expr) => {
        $crate::contract_tests!(@cases $make,
            what_is_there_is_seen
            it_does_what_is_wanted_and_nothing_else
            driven_twice_it_stays_where_it_is
            a_rollback_leaves_the_challenger_nothing
            what_hinders_it_moves_nothing_and_passes_or_not
            a_change_of_somebody_else_is_not_overwritten_unseen
            a_version_that_is_not_there_gets_no_traffic
        );
    };
    (@cases $make:expr, $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::contract::$case(&$make.await).await;
            }
        )*
    };
}

fn wanted(h: &dyn Harness, revision: u64, shares: &[(u32, u16)]) -> Desired {
    let share = |(n, bps): &(u32, u16)| Share {
        name: h.name(*n),
        version: VersionRef { version: VersionName::new(*n), digest: sha256(&n.to_be_bytes()) },
        role: Arm::Champion,
        weight: Weight::from_bps(*bps).unwrap(),
    };
    Desired {
        model: "m".parse().unwrap(),
        revision,
        epoch: 3,
        promotion: None,
        since: Timestamp::UNIX_EPOCH,
        shares: shares.iter().map(share).collect(),
    }
}

fn named(h: &dyn Harness, shares: &[(u32, u16)]) -> BTreeMap<String, u16> {
    shares.iter().map(|(n, bps)| (h.name(*n), *bps)).collect()
}

/// Looks until it takes a change again: some need a moment for the one before.
async fn settled(h: &dyn Harness) -> Actual {
    for _ in 0..50 {
        let actual = h.target().observe().await.unwrap();
        if actual.busy.is_none() {
            return actual;
        }
    }
    panic!("it stays busy")
}

/// Drives until it is there.
async fn arrive(h: &dyn Harness, wanted: &Desired) {
    for _ in 0..5 {
        let seen = settled(h).await;
        if difference(&wanted.weights(), &seen.shares).is_none() {
            return;
        }
        h.target().drive(wanted, &seen).await.unwrap();
    }
    panic!("it does not arrive")
}

pub async fn what_is_there_is_seen<H: Harness>(h: &H) {
    for shares in [&[(1, 10_000)][..], &[(1, 7_500), (2, 2_500)], &[(3, 1), (2, 9_999)]] {
        h.set(shares).await;
        let seen = settled(h).await;
        assert_eq!(difference(&wanted(h, 1, shares).weights(), &seen.shares), None, "{seen:?}");
    }
}

pub async fn it_does_what_is_wanted_and_nothing_else<H: Harness>(h: &H) {
    // Whatever it did before, versions that the route does not name among it.
    h.set(&[(2, 4_000), (3, 6_000)]).await;
    let steps: [&[(u32, u16)]; 5] = [
        &[(1, 10_000), (2, 0)],
        &[(1, 9_900), (2, 100)],
        &[(1, 5_000), (2, 5_000)],
        &[(2, 9_900), (1, 100)],
        &[(2, 10_000)],
    ];
    for (revision, step) in steps.into_iter().enumerate() {
        arrive(h, &wanted(h, revision as u64 + 1, step)).await;
        let some: Vec<_> = step.iter().copied().filter(|(_, bps)| *bps > 0).collect();
        assert_eq!(h.does().await, named(h, &some));
    }
}

pub async fn driven_twice_it_stays_where_it_is<H: Harness>(h: &H) {
    h.set(&[(1, 10_000)]).await;
    let step = wanted(h, 1, &[(1, 9_500), (2, 500)]);
    arrive(h, &step).await;
    let seen = settled(h).await;
    h.target().drive(&step, &seen).await.unwrap();
    settled(h).await;
    assert_eq!(h.does().await, named(h, &[(1, 9_500), (2, 500)]));
}

pub async fn a_rollback_leaves_the_challenger_nothing<H: Harness>(h: &H) {
    h.set(&[(1, 7_500), (2, 2_500)]).await;
    arrive(h, &wanted(h, 5, &[(1, 10_000)])).await;
    assert_eq!(h.does().await, named(h, &[(1, 10_000)]));
}

pub async fn what_hinders_it_moves_nothing_and_passes_or_not<H: Harness>(h: &H) {
    h.set(&[(1, 10_000)]).await;
    let seen = settled(h).await;
    let step = wanted(h, 1, &[(1, 9_500), (2, 500)]);
    for trouble in [Trouble::Changing, Trouble::Throttled, Trouble::Dead, Trouble::Denied] {
        h.trouble(Some(trouble)).await;
        let hindered = h.target().drive(&step, &seen).await.unwrap_err();
        match trouble {
            Trouble::Denied => assert!(matches!(hindered, Hindrance::Refused(_)), "{hindered:?}"),
            _ => assert!(matches!(hindered, Hindrance::Pending(_)), "{trouble:?}: {hindered:?}"),
        }
        match (trouble, h.target().observe().await) {
            (Trouble::Changing, Ok(_)) => {}
            (Trouble::Denied, Err(Hindrance::Refused(_))) => {}
            (Trouble::Throttled | Trouble::Dead, Err(Hindrance::Pending(_))) => {}
            (_, seen) => panic!("{trouble:?}: {seen:?}"),
        }
        h.trouble(None).await;
        assert_eq!(h.does().await, named(h, &[(1, 10_000)]), "{trouble:?}");
    }
    arrive(h, &step).await;
    assert_eq!(h.does().await, named(h, &[(1, 9_500), (2, 500)]), "once it takes changes again");
}

pub async fn a_change_of_somebody_else_is_not_overwritten_unseen<H: Harness>(h: &H) {
    h.set(&[(1, 10_000)]).await;
    let seen = settled(h).await;
    h.set(&[(1, 5_000), (3, 5_000)]).await;
    let step = wanted(h, 1, &[(1, 9_500), (2, 500)]);
    if h.fences() {
        let hindered = h.target().drive(&step, &seen).await.unwrap_err();
        assert!(matches!(hindered, Hindrance::Pending(_)), "{hindered:?}");
        assert_eq!(h.does().await, named(h, &[(1, 5_000), (3, 5_000)]));
    }
    arrive(h, &step).await;
    assert_eq!(h.does().await, named(h, &[(1, 9_500), (2, 500)]), "and it is put right");
}

pub async fn a_version_that_is_not_there_gets_no_traffic<H: Harness>(h: &H) {
    if !h.knows_its_versions() {
        return;
    }
    h.set(&[(1, 10_000)]).await;
    let seen = settled(h).await;
    let hindered = h.target().drive(&wanted(h, 1, &[(1, 9_500), (9, 500)]), &seen).await.unwrap_err();
    assert!(matches!(&hindered, Hindrance::Refused(why) if why.contains(&h.name(9))), "{hindered:?}");
    assert_eq!(h.does().await, named(h, &[(1, 10_000)]));
}
