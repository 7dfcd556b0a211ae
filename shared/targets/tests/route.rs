//! Our own route as a target.

use seatrial_domain::policy::{HttpTarget, Target};
use seatrial_domain::target::desired;
use seatrial_registry::MemoryRegistry;
use seatrial_registry::contract::Scenario;
use seatrial_targets::{Hindrance, OurRoute, TrafficTarget};

#[tokio::test]
async fn it_does_what_the_head_says_as_soon_as_it_says_so() {
    let registry = MemoryRegistry::default();
    let (s, run) = Scenario::approved(&registry).await;
    let route = OurRoute::new(&registry, &s.model);
    let by_version = Target::Http(HttpTarget { url: String::new() });
    let wanted = async || desired(&s.head().await, &by_version, &Default::default()).unwrap().unwrap();
    let before = wanted().await;
    let seen = route.observe().await.unwrap();
    assert_eq!(seen.shares, [("v1".to_owned(), 1.0)].into());
    route.drive(&before, &seen).await.unwrap();
    s.system().shift(&s.model, &run.id, run.epoch, 0).await.unwrap();
    let seen = route.observe().await.unwrap();
    assert_eq!(seen.shares, [("v1".to_owned(), 0.95), ("v2".to_owned(), 0.05)].into());
    route.drive(&wanted().await, &seen).await.unwrap();
    let hindered = route.drive(&before, &seen).await.unwrap_err();
    assert!(matches!(hindered, Hindrance::Pending(_)), "an older order moves nothing: {hindered:?}");
    s.ops(seatrial_registry::contract::ann()).roll_back(&s.model, "it is wrong", false).await.unwrap();
    assert_eq!(route.observe().await.unwrap().shares, [("v1".to_owned(), 1.0)].into());
}
