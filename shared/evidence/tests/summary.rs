//! Summaries merge in any order and any split to the same bits; shadows end by their rules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use jiff::Timestamp;
use proptest::prelude::*;
use seatrial_evidence::keys;
use seatrial_evidence::pair::{Pair, Replayed};
use seatrial_evidence::summary::{Labels, Summary, distinct};
use seatrial_evidence::table::StoredLabel;
use seatrial_stats::Merge;

fn pair() -> impl Strategy<Value = Pair> {
    let answer = || {
        (
            prop::option::of(prop::sample::select(vec!["a", "b"])),
            0_u64..100_000,
            prop::option::weighted(0.2, Just("crash")),
        )
            .prop_map(|(label, latency_us, error)| Replayed {
                label: label.filter(|_| error.is_none()).map(str::to_owned),
                latency_us,
                error: error.map(str::to_owned),
                ..Replayed::default()
            })
    };
    (0_u32..60, prop::option::of(0_u32..20), prop::option::of(any::<bool>()), answer(), answer()).prop_map(
        |(id, client, faithful, champion, challenger)| Pair {
            observation_id: format!("o{id}"),
            client_id: client.map(|c| format!("c{c}")),
            unit: "u".into(),
            at: Timestamp::UNIX_EPOCH,
            queued_at: Timestamp::UNIX_EPOCH,
            served_version: "v1".into(),
            served_label: Some("a".into()),
            served_score: None,
            served_error: false,
            champion,
            challenger,
            faithful,
            segments: Default::default(),
        },
    )
}

fn labels(pairs: &[Pair]) -> Labels {
    let label = |n: u32| StoredLabel {
        observation_id: n.is_multiple_of(2).then(|| format!("o{n}")),
        client_id: (n % 2 == 1).then(|| format!("c{n}")),
        label: Some(if n.is_multiple_of(3) { "a" } else { "b" }.into()),
        at: Timestamp::UNIX_EPOCH,
    };
    Labels::new((0..40).map(label), pairs)
}

/// The summary over `parts` partitions, merged in the order of `order`.
fn split(pairs: Vec<Pair>, parts: u16, order: u64) -> Summary {
    let mut folders: Vec<Vec<Pair>> = vec![Vec::new(); usize::from(parts)];
    for pair in pairs {
        folders[usize::from(keys::partition(&pair.observation_id, parts))].push(pair);
    }
    let distinct: Vec<(Vec<Pair>, u64)> = folders.into_iter().map(distinct).collect();
    let all: Vec<Pair> = distinct.iter().flat_map(|(pairs, _)| pairs.clone()).collect();
    let labels = labels(&all);
    let mut summaries: Vec<Summary> =
        distinct.iter().map(|(pairs, n)| Summary::of(pairs, *n, &labels)).collect();
    let turn = order as usize % summaries.len();
    summaries.rotate_left(turn);
    let mut merged = Summary::default();
    summaries.iter().for_each(|s| merged.merge(s));
    merged
}

fn bits(summary: &Summary) -> Vec<u8> {
    seatrial_domain::canonical::to_bytes(summary).unwrap()
}

proptest! {
    #[test]
    fn any_split_and_any_order_give_the_same_bits(
        pairs in prop::collection::vec(pair(), 0..120), parts in 1_u16..64, order in any::<u64>(), rotate in any::<usize>(),
    ) {
        let whole = split(pairs.clone(), 1, 0);
        let mut shuffled = pairs;
        if !shuffled.is_empty() {
            let turn = rotate % shuffled.len();
            shuffled.rotate_left(turn);
            shuffled.reverse();
        }
        prop_assert_eq!(bits(&split(shuffled, parts, order)), bits(&whole));
    }

    #[test]
    fn merging_is_associative_and_commutative_with_an_identity(
        a in prop::collection::vec(pair(), 0..30), b in prop::collection::vec(pair(), 0..30), c in prop::collection::vec(pair(), 0..30),
    ) {
        let of = |pairs: Vec<Pair>| { let (pairs, n) = distinct(pairs); let l = labels(&pairs); Summary::of(&pairs, n, &l) };
        let [a, b, c] = [of(a), of(b), of(c)];
        let plus = |x: &Summary, y: &Summary| { let mut z = x.clone(); z.merge(y); z };
        prop_assert_eq!(bits(&plus(&plus(&a, &b), &c)), bits(&plus(&a, &plus(&b, &c))));
        prop_assert_eq!(bits(&plus(&a, &b)), bits(&plus(&b, &a)));
        prop_assert_eq!(bits(&plus(&a, &Summary::default())), bits(&a));
        prop_assert_eq!(bits(&plus(&Summary::default(), &a)), bits(&a));
    }

    #[test]
    fn what_comes_twice_counts_once_and_is_counted(pairs in prop::collection::vec(pair(), 1..60)) {
        let twice: Vec<Pair> = pairs.iter().chain(&pairs).cloned().collect();
        let (once, again) = (split(pairs.clone(), 8, 0), split(twice, 8, 0));
        prop_assert_eq!(again.duplicates, once.duplicates + pairs.len() as u64);
        let same = Summary { duplicates: once.duplicates, ..again };
        prop_assert_eq!(bits(&same), bits(&once));
    }
}

#[test]
fn a_failure_is_a_disagreement_and_wrong_and_a_reused_client_id_joins_nothing() {
    let answer = |label: &str| Replayed { label: Some(label.into()), latency_us: 5, ..Replayed::default() };
    let pair = |id: &str, client: &str, challenger: Replayed| Pair {
        observation_id: id.into(),
        client_id: Some(client.into()),
        unit: "u".into(),
        at: Timestamp::UNIX_EPOCH,
        queued_at: Timestamp::UNIX_EPOCH,
        served_version: "v1".into(),
        served_label: Some("a".into()),
        served_score: None,
        served_error: false,
        champion: answer("a"),
        challenger,
        faithful: Some(true),
        segments: Default::default(),
    };
    let crash = Replayed { error: Some("crash".into()), ..Replayed::default() };
    let pairs = [
        pair("o1", "c1", answer("a")),
        pair("o2", "c2", crash),
        pair("o3", "c3", answer("b")),
        pair("o4", "c3", answer("b")),
    ];
    let label = |client: &str| StoredLabel {
        observation_id: None,
        client_id: Some(client.into()),
        label: Some("a".into()),
        at: Timestamp::UNIX_EPOCH,
    };
    let labels = Labels::new(["c1", "c2", "c3"].map(label), &pairs);
    let summary = Summary::of(&pairs, 0, &labels);
    assert_eq!((summary.agreement.n(), summary.agreement.agreed(), summary.challenger_errors()), (4, 1, 1));
    assert_eq!((summary.labelled, summary.correct.both, summary.correct.champion_only), (2, 1, 1));
    assert_eq!(summary.reused_client_ids, 2);
    assert_eq!(summary.challenger_latency.n(), 3);
}
