//! Everything that can happen, in any order. What must always hold is checked after each change by the world itself.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::world::{World, actor, evidence, policy};
use crate::change::{self, Right};
use crate::ids::VersionName;
use crate::promotion::{Automatic, EvidenceKind, Stage};
use crate::route::Weight;

#[derive(Debug, Clone)]
enum Act {
    Register,
    Adopt(u32, bool),
    Start(u32, u32),
    Join(u32, u32),
    Leave(u32, u32),
    Advance,
    Record(EvidenceKind, u8),
    OpenShadow,
    CloseShadow,
    OpenGate,
    Decide(bool, bool),
    CloseGate,
    Skip(Stage, bool),
    Eligible(bool),
    Block,
    Remind,
    Automatic(bool),
    Emergency,
    Orphan,
    Shift(u32),
    Crown,
    End,
    RollBack,
    Retire(u32),
    Collect(u32),
    FinishCollection,
    ResumeCollection,
    RegisterAgain(u32),
    EndHoldback,
    Policy(bool),
    Attest(usize),
    Wait(i64),
}

fn stage() -> impl Strategy<Value = Stage> {
    prop_oneof![Just(Stage::Shadow), Just(Stage::Approval), Just(Stage::Canary)]
}

fn act() -> impl Strategy<Value = Act> {
    let kind = prop_oneof![
        Just(EvidenceKind::Evaluation),
        Just(EvidenceKind::Inputs),
        Just(EvidenceKind::Report),
        Just(EvidenceKind::Canary)
    ];
    prop_oneof![
        2 => Just(Act::Register),
        1 => (1..6_u32, any::<bool>()).prop_map(|(v, ann)| Act::Adopt(v, ann)),
        6 => (1..6_u32, 1..9_u32).prop_map(|(v, a)| Act::Start(v, a)),
        3 => (1..6_u32, 1..9_u32).prop_map(|(v, a)| Act::Join(v, a)),
        1 => (1..6_u32, 1..9_u32).prop_map(|(v, a)| Act::Leave(v, a)),
        24 => Just(Act::Advance),
        2 => (kind, 0..2_u8).prop_map(|(k, n)| Act::Record(k, n)),
        1 => Just(Act::OpenShadow),
        1 => Just(Act::CloseShadow),
        1 => Just(Act::OpenGate),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(a, b)| Act::Decide(a, b)),
        1 => Just(Act::CloseGate),
        2 => (stage(), any::<bool>()).prop_map(|(s, olga)| Act::Skip(s, olga)),
        1 => any::<bool>().prop_map(Act::Eligible),
        1 => Just(Act::Block),
        2 => Just(Act::Remind),
        2 => any::<bool>().prop_map(Act::Automatic),
        1 => Just(Act::Emergency),
        1 => Just(Act::Orphan),
        2 => (0..3_u32).prop_map(Act::Shift),
        2 => Just(Act::Crown),
        1 => Just(Act::End),
        2 => Just(Act::RollBack),
        2 => (1..6_u32).prop_map(Act::Retire),
        3 => (1..6_u32).prop_map(Act::Collect),
        2 => Just(Act::FinishCollection),
        1 => Just(Act::ResumeCollection),
        2 => (1..6_u32).prop_map(Act::RegisterAgain),
        1 => Just(Act::EndHoldback),
        1 => any::<bool>().prop_map(Act::Policy),
        1 => any::<prop::sample::Index>().prop_map(|i| Act::Attest(i.index(8))),
        1 => (1..5_000_i64).prop_map(Act::Wait),
        1 => (1..100_000_i64).prop_map(Act::Wait),
    ]
}

/// Does it; a refusal is as good as a change, as long as the world stays lawful.
fn run(w: &mut World, act: &Act) -> bool {
    match act {
        Act::Register if w.versions.len() < 5 && w.head.collecting.is_none() => {
            w.register();
            Ok(())
        }
        Act::Register => return false,
        Act::Start(version, attempt) => {
            let id = crate::PromotionId::derive(&w.head.model, &format!("v{version}"), *attempt);
            if !w.versions.contains_key(&VersionName::new(*version)) || w.promotions.contains_key(&id) {
                return false;
            }
            w.start(*version, *attempt)
        }
        Act::Join(version, attempt) => {
            let id = crate::PromotionId::derive(&w.head.model, &format!("v{version}"), *attempt);
            if !w.versions.contains_key(&VersionName::new(*version)) || w.promotions.contains_key(&id) {
                return false;
            }
            w.join(*version, *attempt)
        }
        Act::Leave(version, attempt) => w.leave(*version, *attempt),
        Act::Adopt(version, owner) => {
            if !w.versions.contains_key(&VersionName::new(*version)) {
                return false;
            }
            // Who set the policy owns it; as a function of the product they are nobody who could adopt.
            let by = if *owner { actor(&w.owner()) } else { w.actor.clone() };
            w.adopt(*version, &by)
        }
        Act::Advance => w.advance(),
        Act::Record(kind, n) => w.record(*kind, &format!("{kind:?} {n}")),
        Act::OpenShadow => w.open_shadow(),
        Act::CloseShadow => w.on_running(|w, p, v| change::close_shadow(&w.context(), p, v, true)),
        Act::OpenGate => w.open_gate(),
        Act::Decide(ann, approve) => {
            w.decide(&actor(if *ann { "ann@example.com" } else { "bob@example.com" }), *approve)
        }
        Act::CloseGate => {
            let Some(gate) = w.gates.values().last().cloned() else { return false };
            w.act(|w| change::close_gate(&w.context(), &gate))
        }
        Act::Skip(stage, olga) => w.skip(*stage, if *olga { "olga@example.com" } else { "bob@example.com" }),
        Act::Eligible(eligible) => w.on_running(|w, p, v| {
            let automatic = Automatic { eligible: *eligible, why: vec![] };
            let (object, verdict) = (evidence("report"), crate::verdict::Verdict::Pass);
            change::record_report(&w.context(), p, v, object, verdict, Some(automatic))
        }),
        Act::Block => w.block("bob@example.com"),
        Act::Remind => w.remind(),
        Act::Automatic(told) => w.automatic(*told),
        Act::Emergency => w.emergency(),
        Act::Orphan => {
            let Some(gate) = w.gates.values().last().cloned() else { return false };
            w.act(|w| change::orphan_gate(&w.context(), &gate, "TaskTimedOut"))
        }
        Act::Shift(step) => w.shift(*step),
        Act::Crown => w.crown(),
        Act::End => w.end("worse"),
        Act::RollBack => w.roll_back(),
        Act::Retire(version) => {
            if !w.versions.contains_key(&VersionName::new(*version)) {
                return false;
            }
            w.retire(*version)
        }
        Act::Collect(version) => w.collect(*version),
        Act::ResumeCollection => w.act(|w| change::resume_collection(&w.context())),
        Act::FinishCollection => {
            w.act(|w| change::finish_collection(&w.context(), crate::retention::Freed::default()))
        }
        Act::RegisterAgain(version) => {
            if w.versions.len() >= 5 || !w.versions.contains_key(&VersionName::new(*version)) {
                return false;
            }
            w.register_again(*version)
        }
        Act::EndHoldback => w.act(|w| change::end_holdback(&w.context())),
        Act::Policy(two) => {
            let mut rules = policy();
            rules.approval.quorum = if *two { 2 } else { 1 };
            let modes =
                [crate::policy::ApprovalMode::Required, crate::policy::ApprovalMode::AutoUnlessBlocked];
            rules.approval.mode = modes[usize::from(!*two)];
            rules.retention.collect_retired_after_days = crate::policy::After::Days(0);
            rules.canary.holdback_percent = if *two { 0.0 } else { 1.0 };
            rules.when_busy.mode = crate::policy::BusyMode::Wait;
            w.act(|w| change::set_policy(&w.context(), rules, &Right::Owner(None)))
        }
        Act::Attest(n) => {
            let Some(promotion) = w.promotions.values().nth(*n).cloned() else { return false };
            w.act(|w| change::attested(&w.context(), &promotion, evidence("manifest"), evidence("document")))
        }
        Act::Wait(seconds) => {
            w.now += SignedDuration::from_secs(*seconds);
            return false;
        }
    }
    .is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_keeps_one_champion_a_legal_standby_and_no_weight_without_approval(
        acts in prop::collection::vec(act(), 1..120),
    ) {
        let mut world = World::new();
        world.register();
        for act in &acts {
            run(&mut world, act);
        }
        world.verify();
    }

    #[test]
    fn a_rollback_at_any_moment_leaves_no_weight_and_supersedes_what_ran(
        acts in prop::collection::vec(act(), 1..60),
    ) {
        let mut world = World::with_champion();
        for act in &acts {
            run(&mut world, act);
        }
        world.verify();
        let before = world.head.epoch;
        let ran = world.running().cloned();
        // What an operator can do: end what runs, or take the champion back. One of them works whenever anything is afoot.
        let ended = if ran.is_some() { world.end("operator") } else { world.roll_back() };
        if ran.is_some() || ended.is_ok() {
            ended.unwrap();
            prop_assert_eq!(world.head.route.weight, Weight::ZERO);
            prop_assert!(world.head.epoch > before);
        }
        if let Some(promotion) = ran {
            let version = world.versions[&promotion.challenger.version].clone();
            let late = change::shift(&world.context(), &promotion, &version, None, &policy(), 0);
            let superseded = matches!(late, Err(crate::Refusal::Superseded { .. }));
            prop_assert!(superseded, "{:?}", late);
        }
    }
}

#[test]
fn random_sequences_adopt_too() {
    let mut world = World::new();
    world.register();
    assert!(!run(&mut world, &Act::Adopt(1, false)), "by a function");
    assert!(run(&mut world, &Act::Adopt(1, true)));
    assert!(!run(&mut world, &Act::Adopt(1, true)), "there is a champion");
    world.verify();
}

/// The random sequences are worth something only if they get far.
#[test]
fn the_way_that_random_sequences_take_leads_to_crowns_and_rollbacks() {
    let mut world = World::new();
    for _ in 0..3 {
        world.register();
    }
    for (version, attempt) in [(1, 1), (2, 1), (3, 1)] {
        assert!(run(&mut world, &Act::Start(version, attempt)));
        while world.head.running.is_some() {
            assert!(run(&mut world, &Act::Advance));
        }
    }
    assert!(run(&mut world, &Act::RollBack));
    assert!(run(&mut world, &Act::Policy(true)));
    assert!(
        run(&mut world, &Act::Attest(0))
            && run(&mut world, &Act::Attest(1))
            && run(&mut world, &Act::Attest(2))
    );
    assert!(run(&mut world, &Act::Retire(1)) && run(&mut world, &Act::Collect(1)));
    assert!(run(&mut world, &Act::FinishCollection) && run(&mut world, &Act::RegisterAgain(1)));
    let events: Vec<_> = world.entries.iter().map(|e| e.event.as_str()).collect();
    for event in [
        "crowned",
        "weight_shifted",
        "rolled_back",
        "gate_decided",
        "shadow_opened",
        "version_collected",
        "collection_finished",
    ] {
        assert!(events.contains(&event), "{event} in {events:?}");
    }
}
