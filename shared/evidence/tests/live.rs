//! Signals and labels joined to what a canary served.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;
use seatrial_domain::policy::Canary;
use seatrial_domain::route::{Arm, Weight};
use seatrial_evidence::live::{
    Key, Said, ServedRow, Side, SignalCounts, Slice, UnitMoments, What, Window, join, read_labels,
    read_served, read_signals,
};
use seatrial_evidence::observation::{Label, Output, Queued, RouteStamp, SCHEMA, Served, Signal};
use seatrial_evidence::table;

const START: i64 = 1_800_000_000;
const WEIGHT: f64 = 25.0;

fn rules() -> Canary {
    serde_json::from_value(serde_json::json!({
        "metrics": {
            "thumbs_down": { "class": "guardrail", "margin": 0.02, "bounds": [0, 1], "within_seconds": 30 },
            "rating": { "class": "signal", "margin": 0.5, "bounds": [1, 5], "direction": "higher_is_better",
                        "absent": "skip", "within_seconds": 30 },
            "accuracy": { "class": "signal", "margin": 0.02, "direction": "higher_is_better", "within_seconds": 30 },
        },
    }))
    .unwrap()
}

fn row(id: &str, unit: &str, side: Side, second: i64) -> ServedRow {
    ServedRow {
        observation: Key::of(id),
        client: Some(Key::of(&format!("client of {id}"))),
        unit: Key::of(unit),
        side,
        epoch: 3,
        weight: Weight::from_percent(WEIGHT).unwrap(),
        queued_at: START + second,
        label: Some("yes".into()),
    }
}

fn said(id: &str, what: What, second: i64) -> Said {
    Said { observation: Some(Key::of(id)), client: None, what, queued_at: START + second, at: second }
}

fn signal(name: &str, value: f64) -> What {
    What::Signal(name.into(), value)
}

fn joined(served: &[ServedRow], said: &[Said], watermark: i64) -> SignalCounts {
    join(served, said, &rules(), Window { epoch: 3, watermark: START + watermark })
}

fn slices(counts: &SignalCounts, name: &str) -> Vec<Slice> {
    counts.by_name[name].get(&Weight::from_percent(WEIGHT).unwrap()).cloned().unwrap_or_default()
}

#[test]
fn a_unit_counts_once_with_its_mean_and_silence_is_zero() {
    let served = [
        row("a", "ann", Side::Canary, 1),
        row("b", "ann", Side::Canary, 3),
        row("c", "ben", Side::Champion, 4),
        // Long after Ann's first visit: her mean is settled by then.
        row("d", "ann", Side::Canary, 60),
    ];
    let told = [said("b", signal("thumbs_down", 1.0), 9), said("d", signal("thumbs_down", 1.0), 61)];
    let counts = joined(&served, &told, 200);
    let moments = |n, sum: f64, sum_squares| UnitMoments { n, sum, sum_squares, clipped: 0 };
    let expected = Slice { from: START, champion: moments(1, 0.0, 0.0), canary: moments(1, 0.5, 0.25) };
    assert_eq!(slices(&counts, "thumbs_down"), [expected]);
    assert_eq!(slices(&counts, "rating"), [], "nobody rated, so nobody counts");
    assert_eq!((counts.unmatched, counts.late), (0, 0));
}

#[test]
fn a_unit_that_moves_to_the_canary_stays_where_it_was_first() {
    let moved = ServedRow { weight: Weight::from_percent(50.0).unwrap(), ..row("b", "ann", Side::Canary, 9) };
    let counts = joined(
        &[row("a", "ann", Side::Champion, 1), moved],
        &[said("b", signal("thumbs_down", 1.0), 10)],
        300,
    );
    assert_eq!(counts.by_name["thumbs_down"].len(), 1, "not at the second weight");
    let [slice] = slices(&counts, "thumbs_down")[..] else { panic!("{counts:?}") };
    assert_eq!((slice.champion.n, slice.champion.sum, slice.canary.n), (1, 0.0, 0));
}

#[test]
fn what_comes_late_or_names_nothing_is_counted_and_changes_no_mean() {
    let served = [row("a", "ann", Side::Canary, 1)];
    let told = [
        said("a", signal("thumbs_down", 1.0), 32),
        said("nobody", signal("thumbs_down", 1.0), 2),
        said("a", signal("thumbs_down", 7.0), 3),
    ];
    let counts = joined(&served, &told, 200);
    assert_eq!((counts.late, counts.unmatched), (1, 1));
    let [slice] = slices(&counts, "thumbs_down")[..] else { panic!("{counts:?}") };
    assert_eq!(slice.canary, UnitMoments { n: 1, sum: 1.0, sum_squares: 1.0, clipped: 1 });
    assert_eq!(joined(&served, &told, 60).by_name["thumbs_down"].len(), 0, "its time is not over");
}

#[test]
fn a_redelivery_counts_once_and_a_reused_client_name_joins_nothing() {
    let mut twin = row("b", "ben", Side::Champion, 2);
    twin.client = Some(Key::of("client of a"));
    let served = [row("a", "ann", Side::Canary, 1), row("a", "ann", Side::Canary, 1), twin];
    let by_client = Said {
        observation: None,
        client: Some(Key::of("client of a")),
        ..said("a", signal("rating", 2.0), 5)
    };
    let rated = said("a", signal("rating", 4.0), 4);
    let counts = joined(&served, &[rated.clone(), rated, by_client], 200);
    assert_eq!(counts.unmatched, 1);
    let [slice] = slices(&counts, "rating")[..] else { panic!("{counts:?}") };
    assert_eq!((slice.canary.n, slice.canary.sum, slice.champion.n), (1, 4.0, 0));
}

#[test]
fn accuracy_is_the_answer_that_was_served_against_the_last_label() {
    let served = [row("a", "ann", Side::Canary, 1), row("b", "ben", Side::Champion, 2)];
    let told = [
        said("a", What::Label("yes".into()), 3),
        said("a", What::Label("no".into()), 4),
        said("b", What::Label("yes".into()), 5),
    ];
    let counts = joined(&served, &told, 200);
    let [slice] = slices(&counts, "accuracy")[..] else { panic!("{counts:?}") };
    assert_eq!((slice.canary.n, slice.canary.sum), (1, 0.0));
    assert_eq!((slice.champion.n, slice.champion.sum), (1, 1.0));
}

#[test]
fn files_of_the_serving_log_and_of_signals_are_read_back() {
    let at = |second: i64| Timestamp::from_second(START + second).unwrap();
    let served = |id: &str, role: Arm| Queued {
        queued_at: at(2),
        entry: Served {
            schema: SCHEMA,
            observation_id: id.into(),
            client_id: None,
            model: "m".parse().unwrap(),
            version: "v2".parse().unwrap(),
            digest: seatrial_domain::canonical::sha256(b"x"),
            role,
            route: RouteStamp { promotion: None, epoch: 3, weight: Weight::from_percent(WEIGHT).unwrap() },
            unit: Some("ann".into()),
            at: at(-500),
            inputs: serde_json::Map::new(),
            output: Output { label: Some("yes".into()), ..Output::default() },
            latency_us: 5,
            load_us: None,
            warm: None,
            error: None,
            segments: Default::default(),
            protected: Default::default(),
        },
    };
    let file = table::write_served(&[served("a#0", Arm::Challenger), served("b", Arm::Pinned)]).unwrap();
    let rows = read_served(Bytes::from(file.clone())).unwrap();
    assert_eq!(rows.len(), 1, "a pinned request belongs to no arm");
    assert_eq!(rows[0], ServedRow { client: None, ..row("a#0", "ann", Side::Canary, 2) });
    let told = Queued {
        queued_at: at(4),
        entry: Signal {
            schema: SCHEMA,
            observation_id: Some("a#0".into()),
            client_id: None,
            model: "m".parse().unwrap(),
            name: "thumbs_down".into(),
            value: 1.0,
            at: at(3),
        },
    };
    let signals = read_signals(Bytes::from(table::write_signals(&[told]).unwrap())).unwrap();
    assert_eq!(signals[0].what, signal("thumbs_down", 1.0));
    let label = Queued {
        queued_at: at(4),
        entry: Label {
            schema: SCHEMA,
            observation_id: Some("a#0".into()),
            client_id: None,
            model: "m".parse().unwrap(),
            label: Some("yes".into()),
            value: None,
            at: at(3),
        },
    };
    let labels = read_labels(Bytes::from(table::write_labels(&[label]).unwrap())).unwrap();
    let counts = joined(&rows, &[signals, labels].concat(), 300);
    assert_eq!(slices(&counts, "accuracy")[0].canary.sum, 1.0);
    assert_eq!(slices(&counts, "thumbs_down")[0].canary.sum, 1.0);
    assert!(read_served(Bytes::from(file[..file.len() / 2].to_vec())).is_err(), "a file cut short");
}

proptest! {
    #[test]
    fn order_and_redelivery_change_nothing_and_later_looks_only_add(
        visits in prop::collection::vec((0..12_u32, 0..90_i64, any::<bool>()), 1..40),
        marks in prop::collection::vec((0..40_usize, 0..50_i64, 0..3_u8), 0..40),
        seed in any::<u64>(),
    ) {
        let side = |unit: u32| if unit.is_multiple_of(3) { Side::Canary } else { Side::Champion };
        let served: Vec<ServedRow> = visits.iter().enumerate()
            .map(|(n, (unit, second, _))| row(&format!("o{n}"), &format!("u{unit}"), side(*unit), *second)).collect();
        let told: Vec<Said> = marks.iter().map(|(of, after, value)| {
            let of = of % served.len();
            said(&format!("o{of}"), signal("thumbs_down", f64::from(*value)), served[of].queued_at - START + after)
        }).collect();
        let whole = joined(&served, &told, 400);
        let mut mixed = [served.clone(), served.clone()].concat();
        mixed.sort_by_key(|r| r.observation.0 ^ u128::from(seed));
        let mut again = [told.clone(), told.clone()].concat();
        again.reverse();
        let other = joined(&mixed, &again, 400);
        prop_assert_eq!(&other.by_name, &whole.by_name);
        let early = slices(&joined(&served, &told, 120), "thumbs_down");
        prop_assert_eq!(&early[..], &slices(&whole, "thumbs_down")[..early.len()], "a slice never changes once it is seen");
        let units = slices(&whole, "thumbs_down").iter().map(|s| s.champion.n + s.canary.n).sum::<u64>();
        let distinct = visits.iter().map(|v| v.0).collect::<std::collections::BTreeSet<_>>().len();
        prop_assert_eq!(units, distinct as u64);
    }
}

#[test]
fn a_key_is_the_beginning_of_the_sha_256_of_its_name() {
    for name in ["", "abc", &"x".repeat(55), &"x".repeat(56), &"é".repeat(90)] {
        let digest = seatrial_domain::canonical::sha256(name.as_bytes());
        assert_eq!(Key::of(name).0, u128::from_str_radix(&digest.hex()[..32], 16).unwrap(), "{name}");
    }
}
