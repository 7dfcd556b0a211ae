//! Servers that read the route: they obey it by themselves.

use async_trait::async_trait;
use seatrial_domain::ModelName;
use seatrial_domain::head::Head;
use seatrial_domain::policy::{HttpTarget, Target};
use seatrial_domain::target::{Actual, Desired, desired};
use seatrial_registry::Records;

use crate::{Hindrance, TrafficTarget};

/// The registry's route as a target. It does what the head says as soon as that is written, so there is nothing to drive it to.
#[derive(Clone, Copy)]
pub struct OurRoute<'a> {
    records: &'a dyn Records,
    model: &'a ModelName,
}

impl std::fmt::Debug for OurRoute<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OurRoute").field("model", self.model).finish_non_exhaustive()
    }
}

impl<'a> OurRoute<'a> {
    /// The route of a model.
    #[must_use]
    pub const fn new(records: &'a dyn Records, model: &'a ModelName) -> Self {
        Self { records, model }
    }

    async fn head(&self) -> Result<Head, Hindrance> {
        let found = self.records.head(self.model).await;
        let found = found.map_err(|e| Hindrance::Pending(format!("the registry does not answer ({e})")))?;
        found.ok_or_else(|| Hindrance::Refused(format!("model {} does not exist", self.model)))
    }
}

#[async_trait]
impl TrafficTarget for OurRoute<'_> {
    async fn observe(&self) -> Result<Actual, Hindrance> {
        // Its versions are called as in the registry, as a hook's are.
        let by_version = Target::Http(HttpTarget { url: String::new() });
        let wanted = desired(&self.head().await?, &by_version, &std::collections::BTreeMap::new());
        let wanted = wanted.map_err(|e| Hindrance::Refused(e.to_string()))?;
        let weights = wanted.map(|w| w.weights()).unwrap_or_default();
        let shares = weights.into_iter().map(|(name, weight)| (name, weight.fraction())).collect();
        Ok(Actual { shares, busy: None, fence: None })
    }

    async fn drive(&self, wanted: &Desired, _: &Actual) -> Result<(), Hindrance> {
        let found = self.head().await?.route.since;
        if found == wanted.since {
            return Ok(());
        }
        Err(Hindrance::Pending(format!(
            "the route was written anew at {found}; it is driven by changes of the registry alone"
        )))
    }
}
