//! The contract of the registry on the running stack's table. Each case makes a model of its own, so the suite leaves other models
//! alone and may run beside other suites.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_registry::DynamoRegistry;
use seatrial_tests::stack::Stack;

async fn registry() -> DynamoRegistry {
    Stack::connect().await.registry
}

seatrial_registry::contract_tests!(registry());
