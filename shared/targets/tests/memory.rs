//! The target in memory keeps the contract that the others keep.

use std::collections::BTreeMap;

use async_trait::async_trait;
use seatrial_targets::TrafficTarget;
use seatrial_targets::contract::{Harness, Trouble};
use seatrial_targets::memory::MemoryTarget;

struct InMemory(MemoryTarget);

#[async_trait]
impl Harness for InMemory {
    fn target(&self) -> &dyn TrafficTarget {
        &self.0
    }
    fn name(&self, n: u32) -> String {
        format!("v{n}")
    }
    async fn set(&self, shares: &[(u32, u16)]) {
        self.0.set(shares.iter().map(|(n, bps)| (self.name(*n), f64::from(*bps) / 10_000.0)).collect());
    }
    async fn does(&self) -> BTreeMap<String, u16> {
        self.0.does().into_iter().map(|(name, share)| (name, (share * 10_000.0).round() as u16)).collect()
    }
    async fn trouble(&self, trouble: Option<Trouble>) {
        self.0.trouble(trouble);
    }
    fn fences(&self) -> bool {
        true
    }
    fn knows_its_versions(&self) -> bool {
        true
    }
}

async fn in_memory() -> InMemory {
    let target = MemoryTarget::default();
    target.knows((1..=3).map(|n| format!("v{n}")));
    InMemory(target)
}

seatrial_targets::contract_tests!(in_memory());
