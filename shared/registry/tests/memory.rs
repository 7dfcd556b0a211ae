//! The contract of the registry, in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_registry::MemoryRegistry;

seatrial_registry::contract_tests!(async { MemoryRegistry::default() });
