//! A target in memory, which refuses as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use seatrial_domain::ModelName;
use seatrial_domain::policy::Target;
use seatrial_domain::route::Weight;
use seatrial_domain::target::{Actual, Desired};

use crate::contract::Trouble;
use crate::{Hindrance, Targets, TrafficTarget};

/// A target in memory. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct MemoryTarget(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    shares: BTreeMap<String, f64>,
    /// What there is to give traffic to; empty: anything.
    known: BTreeSet<String>,
    trouble: Option<Trouble>,
    revision: u64,
    /// Everything that it was moved to, in order.
    moves: Vec<BTreeMap<String, Weight>>,
}

impl MemoryTarget {
    /// What somebody else makes it do.
    pub fn set(&self, shares: BTreeMap<String, f64>) {
        self.with(|s| {
            s.shares = shares;
            s.revision += 1;
        });
    }

    /// What it knows; all else it refuses.
    pub fn knows(&self, names: impl IntoIterator<Item = String>) {
        self.with(|s| s.known = names.into_iter().collect());
    }

    /// What is wrong with it from now on.
    pub fn trouble(&self, trouble: Option<Trouble>) {
        self.with(|s| s.trouble = trouble);
    }

    /// What it does.
    #[must_use]
    pub fn does(&self) -> BTreeMap<String, f64> {
        self.with(|s| s.shares.clone())
    }

    /// Everything that it was moved to, in order.
    #[must_use]
    pub fn moves(&self) -> Vec<BTreeMap<String, Weight>> {
        self.with(|s| s.moves.clone())
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl TrafficTarget for MemoryTarget {
    async fn observe(&self) -> Result<Actual, Hindrance> {
        self.with(|s| match s.trouble {
            Some(Trouble::Dead | Trouble::Throttled) => Err(Hindrance::Pending("nobody answers".into())),
            Some(Trouble::Denied) => Err(Hindrance::Refused("no right".into())),
            trouble => Ok(Actual {
                shares: s.shares.clone(),
                busy: (trouble == Some(Trouble::Changing)).then(|| "it is Updating".to_owned()),
                fence: Some(s.revision.to_string()),
            }),
        })
    }

    async fn drive(&self, wanted: &Desired, seen: &Actual) -> Result<(), Hindrance> {
        self.with(|s| {
            match s.trouble {
                Some(Trouble::Denied) => return Err(Hindrance::Refused("no right".into())),
                Some(Trouble::Changing) => return Err(Hindrance::Pending("it is Updating".into())),
                Some(_) => return Err(Hindrance::Pending("nobody answers".into())),
                None => {}
            }
            if seen.fence != Some(s.revision.to_string()) {
                return Err(Hindrance::Pending("somebody else changed it meanwhile".into()));
            }
            let weights = wanted.weights();
            if let Some(missing) = weights.keys().find(|n| !s.known.is_empty() && !s.known.contains(*n)) {
                return Err(Hindrance::Refused(format!("it has no {missing}")));
            }
            s.shares = weights.iter().map(|(name, w)| (name.clone(), w.fraction())).collect();
            s.revision += 1;
            s.moves.push(weights);
            Ok(())
        })
    }
}

#[async_trait]
impl Targets for MemoryTarget {
    async fn open(&self, _: &ModelName, _: &Target) -> Result<Box<dyn TrafficTarget>, Hindrance> {
        Ok(Box::new(self.clone()))
    }
}
