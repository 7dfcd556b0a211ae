//! Any sequence of what can happen to a model, its target and its messages.

use proptest::prelude::*;
use seatrial_domain::target::TargetState;
use seatrial_registry::contract::{Run, ann};
use seatrial_targets::contract::Trouble;
use serde_json::json;

use crate::support::{World, batch, shares};

/// Something that happens.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// The next thing on a promotion's way: start, approval, step, step, crown.
    Forward,
    /// The champion or the canary is taken back.
    RollBack,
    EndHoldback,
    /// The target is in trouble from now on, or out of it.
    Trouble(Option<Trouble>),
    /// Somebody else moves the target.
    ByHand(u16),
    /// So many messages come, at once or one after the other.
    Messages(u8, bool),
    Tick,
    Time(u16),
}

fn event() -> impl Strategy<Value = Event> {
    let trouble = prop_oneof![
        Just(None),
        Just(Some(Trouble::Changing)),
        Just(Some(Trouble::Throttled)),
        Just(Some(Trouble::Dead)),
        Just(Some(Trouble::Denied)),
    ];
    prop_oneof![
        6 => Just(Event::Forward),
        2 => Just(Event::RollBack),
        1 => Just(Event::EndHoldback),
        3 => trouble.prop_map(Event::Trouble),
        1 => (0_u16..=10_000).prop_map(Event::ByHand),
        6 => (1_u8..4, any::<bool>()).prop_map(|(n, together)| Event::Messages(n, together)),
        1 => Just(Event::Tick),
        1 => (1_u16..600).prop_map(Event::Time),
    ]
}

#[derive(Default)]
struct Way {
    run: Option<(Run, u32)>,
    version: u32,
}

async fn forward(w: &World, way: &mut Way) {
    let s = &w.scenario;
    match way.run.take() {
        None => {
            way.version += 1;
            let version = way.version;
            if version > 2 {
                s.register(version).await;
            }
            way.run = Some((s.start(version).await, 0));
        }
        Some((run, 0)) => {
            s.approve(&run).await;
            way.run = Some((run, 1));
        }
        Some((run, stage @ 1..=2)) => {
            s.system().shift(&s.model, &run.id, run.epoch, stage - 1).await.unwrap();
            way.run = Some((run, stage + 1));
        }
        Some((run, _)) => {
            s.system().crown(&s.model, &run.id, run.epoch).await.unwrap();
        }
    }
}

/// What `happened` moves the target to lies in what the route gives at that moment, and in nothing else.
async fn happens(w: &World, way: &mut Way, event: Event) -> Result<(), TestCaseError> {
    let s = &w.scenario;
    let before = w.target.moves().len();
    match event {
        Event::Forward => forward(w, way).await,
        Event::RollBack => {
            // Without a standby there is nothing to go back to, and nothing happens.
            if s.ops(ann()).roll_back(&s.model, "it is wrong", false).await.is_ok() {
                way.run = None;
            }
        }
        Event::EndHoldback => {
            let _ = s.system().end_holdback(&s.model).await;
        }
        Event::Trouble(trouble) => w.target.trouble(trouble),
        Event::ByHand(share) => {
            let share = f64::from(share) / 10_000.0;
            w.target.set(shares(&[("v1", 1.0 - share), ("v2", share)]));
        }
        Event::Messages(n, together) => {
            let attempts: Vec<u32> = (1..=u32::from(n)).collect();
            if together {
                w.handle_with(&w.target, batch(s.model.as_str(), &attempts)).await;
            } else {
                for attempt in attempts {
                    w.nudge(attempt).await;
                }
            }
        }
        Event::Tick => drop(w.handle_with(&w.target, json!({ "source": "aws.events" })).await),
        Event::Time(seconds) => w.forward(seconds.into()),
    }
    let wanted = w.wanted().await;
    for moved in &w.target.moves()[before..] {
        let moved: std::collections::BTreeMap<_, _> =
            moved.iter().map(|(name, weight)| (name.clone(), weight.fraction())).collect();
        prop_assert_eq!(&moved, &wanted, "{:?}", event);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_target_gets_what_the_route_gives_and_ends_there(events in prop::collection::vec(event(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let w = World::new().await;
            let mut way = Way { run: None, version: 1 };
            for event in events {
                happens(&w, &mut way, event).await?;
                // Who says that all is well has looked: the target really does what the route says.
                let said = w.standing().await;
                if matches!(event, Event::Messages(..)) && said.state == TargetState::InStep {
                    prop_assert_eq!(w.target.does(), w.wanted().await);
                }
            }
            w.target.trouble(None);
            w.nudge(1).await;
            prop_assert_eq!(w.target.does(), w.wanted().await);
            prop_assert_eq!(w.record().await.unwrap().state, TargetState::InStep);
            w.scenario.check().await;
            Ok(())
        })?;
    }
}
