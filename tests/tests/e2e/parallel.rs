//! Many models at once: none of them disturbs another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _};
use seatrial_domain::promotion::{PromotionRecord, PromotionStatus};
use seatrial_domain::route::Weight;
use seatrial_tests::stack::{Model, Stack};
use serde_json::json;

/// So many promotions run at the same time.
const MODELS: usize = 50;
/// So many command lines and requests of this suite do: what is tried is the service, not this machine's processes.
const HANDS: usize = 8;

/// Does `work` for every item, some at a time, in any order.
async fn each<T, R, F: Future<Output = R>>(
    items: impl IntoIterator<Item = T>,
    work: impl FnMut(T) -> F,
) -> Vec<R> {
    stream::iter(items).map(work).buffer_unordered(HANDS).collect().await
}

/// Every promotion waits at its gate before the first is decided, so that all of them run at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_promotions_at_once_are_all_lawful_and_none_sees_another() {
    let stack = Stack::connect().await;
    let submitted: Vec<(Model<'_>, PromotionRecord)> = each(0..MODELS, async |n| {
        let model = Model::new(&stack, &format!("many-{n:02}"), &json!({})).await;
        let promotion = model.submit("v1").await;
        (model, promotion)
    })
    .await;
    let ids: BTreeSet<_> = submitted.iter().map(|(_, promotion)| promotion.id.clone()).collect();
    assert_eq!(ids.len(), MODELS, "each has a promotion of its own");
    for (model, promotion) in &submitted {
        let held = model.head().await.running.expect("it runs");
        assert_eq!(held.promotion, promotion.id);
    }

    // Every fifth is rejected: its neighbours are crowned all the same.
    let verb = |n: usize| if n % 5 == 4 { "reject" } else { "approve" };
    each(submitted.iter().enumerate(), async |(n, (model, promotion))| {
        model.decide(promotion, verb(n)).await;
    })
    .await;
    let ended = each(submitted.iter().enumerate(), async |(n, (model, promotion))| {
        (verb(n), model, model.ended(promotion).await)
    })
    .await;
    for (verb, model, promotion) in ended {
        let crowned = verb == "approve";
        let wanted = if crowned { PromotionStatus::Crowned } else { PromotionStatus::Rejected };
        assert_eq!(promotion.status, wanted, "{}: {:?}", model.name, promotion.reason);
        let head = model.head().await;
        assert_eq!(head.running, None, "{}", model.name);
        assert_eq!(head.route.champion.is_some(), crowned, "{}", model.name);
        assert_eq!((&head.standby, head.route.weight), (&None, Weight::ZERO), "{}", model.name);
        assert_eq!(model.promotions().await.len(), 1, "{}", model.name);
        // `history` verifies the chain: it belongs to this model alone.
        let events = model.events().await;
        for (event, times) in [("version_packaged", 1), ("attested", 1), ("crowned", usize::from(crowned))] {
            assert_eq!(
                events.iter().filter(|e| *e == event).count(),
                times,
                "{}: {event} in {events:?}",
                model.name
            );
        }
    }
}
