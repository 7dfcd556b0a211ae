//! Summaries have the same bits however pairs and labels are spread, and say what a plain count says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;
use seatrial_domain::policy::{Labels, Policy, Task};
use seatrial_evidence::columnar::{LabelBook, LabelReader, Pass, ROWS_AT_ONCE, Spec, Worker, summarise};
use seatrial_evidence::observation::{Label, Queued};
use seatrial_evidence::pair::{ClassesNote, Pair, Replayed};
use seatrial_evidence::summary::cells::Segment;
use seatrial_evidence::summary::{Summary, reference};
use seatrial_evidence::{keys, shadow_rows, table};
use seatrial_stats::Merge;

const PARTS: u16 = 8;

fn policy() -> Policy {
    let mut policy = Policy {
        segments: vec!["region".into()],
        protected: vec!["sex".into()],
        decision_threshold: Some(0.5),
        labels: Labels { maturity_seconds: 100, ..Labels::default() },
        ..Policy::default()
    };
    policy.shadow.partitions = PARTS;
    policy
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The freeze is at 1,000 s, so pairs from before 900 s are old enough.
fn spec() -> Spec {
    Spec::of(&policy(), second(1_000))
}

fn note() -> ClassesNote {
    let classes = vec!["a".to_owned(), "b".to_owned()];
    ClassesNote { champion: classes.clone(), challenger: classes, positive: Some("b".into()) }
}

fn answer() -> impl Strategy<Value = Replayed> {
    let score =
        prop_oneof![9 => 0.0_f64..=1.0, 1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, 2.0, -0.1])];
    (
        prop::option::weighted(0.9, prop::sample::select(vec!["a", "b", "c"])),
        prop::option::weighted(0.9, score),
        0_u64..100_000,
        prop::option::weighted(0.2, prop::sample::select(vec!["crash", "timeout"])),
    )
        .prop_map(|(label, score, latency_us, error)| Replayed {
            label: label.filter(|_| error.is_none()).map(str::to_owned),
            score: score.filter(|_| error.is_none()),
            latency_us,
            error: error.map(str::to_owned),
            ..Replayed::default()
        })
}

fn pair() -> impl Strategy<Value = Pair> {
    let ids = (0_u32..60, prop::option::of(0_u32..20), 0_u32..30);
    let segments = (prop::sample::select(vec!["f", "m"]), prop::option::of(0_u32..4));
    (ids, prop::option::of(any::<bool>()), answer(), answer(), segments, (0_i64..1_000, 0_i64..9_000))
        .prop_map(|((id, client, unit), faithful, champion, challenger, (sex, region), (queued, at))| Pair {
            observation_id: format!("o{id}"),
            client_id: client.map(|c| format!("c{c}")),
            unit: if unit < 20 { format!("o{id}") } else { format!("u{unit}") },
            at: second(at),
            queued_at: second(queued),
            served_version: if unit % 2 == 0 { "v1" } else { "v2" }.into(),
            served_label: Some("a".into()),
            served_score: None,
            served_value: None,
            served_error: false,
            champion,
            challenger,
            faithful,
            segments: [
                Some(("sex".to_owned(), sex.to_owned())),
                region.map(|r| ("region".into(), format!("r{r}"))),
            ]
            .into_iter()
            .flatten()
            .collect(),
        })
}

fn label() -> impl Strategy<Value = Label> {
    let class = prop::option::weighted(0.95, prop::sample::select(vec!["a", "b", "d"]));
    (0_u32..70, any::<bool>(), class, 0_i64..50).prop_map(|(id, by_client, class, at)| Label {
        schema: 1,
        observation_id: (!by_client).then(|| format!("o{id}")),
        client_id: by_client.then(|| format!("c{}", id % 25)),
        model: "m".parse().unwrap(),
        label: class.map(str::to_owned),
        value: class.is_none().then_some(1.0),
        at: second(at),
    })
}

/// Files of pairs: each run of `cut` pairs is written by itself, as batches are.
fn files(pairs: &[Pair], cut: usize) -> Vec<(u16, Bytes)> {
    let mut files = Vec::new();
    for batch in pairs.chunks(cut.max(1)) {
        let mut parts: BTreeMap<u16, Vec<Pair>> = BTreeMap::new();
        for pair in batch {
            parts.entry(keys::partition(&pair.observation_id, PARTS)).or_default().push(pair.clone());
        }
        for (part, pairs) in parts {
            files.push((part, Bytes::from(table::write_pairs_with(&pairs, Some(&note())).unwrap())));
        }
    }
    files
}

fn label_files(labels: &[Label], cut: usize) -> Vec<Bytes> {
    let queued = |l: &Label| Queued { entry: l.clone(), queued_at: l.at };
    labels
        .chunks(cut.max(1))
        .map(|batch| Bytes::from(table::write_labels(&batch.iter().map(queued).collect::<Vec<_>>()).unwrap()))
        .collect()
}

fn count(pairs: &[Pair], labels: &[Label]) -> Summary {
    summarise(&spec(), &files(pairs, 17), &label_files(labels, 11)).unwrap()
}

fn bits(summary: &Summary) -> Vec<u8> {
    seatrial_domain::canonical::to_bytes(summary).unwrap()
}

fn turned<T: Clone>(rows: &[T], by: usize) -> Vec<T> {
    let mut rows = rows.to_vec();
    if !rows.is_empty() {
        let by = by % rows.len();
        rows.rotate_left(by);
        rows.reverse();
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_files_and_any_order_give_the_same_bits(
        pairs in prop::collection::vec(pair(), 0..120), labels in prop::collection::vec(label(), 0..60),
        cut in 1_usize..50, by in any::<usize>(),
    ) {
        let whole = count(&pairs, &labels);
        let mut files = files(&turned(&pairs, by), cut);
        files.reverse();
        let other = summarise(&spec(), &files, &label_files(&turned(&labels, by), cut)).unwrap();
        prop_assert_eq!(bits(&other), bits(&whole));
        // What is written is read back the same.
        let text = serde_json::to_vec(&whole).unwrap();
        prop_assert_eq!(bits(&serde_json::from_slice(&text).unwrap()), bits(&whole));
    }

    #[test]
    fn partitions_counted_apart_merge_to_the_same_bits(
        pairs in prop::collection::vec(pair(), 0..120), labels in prop::collection::vec(label(), 0..60), by in any::<usize>(),
    ) {
        // By client id a label joins only where all partitions are known, so here labels name observations.
        let labels: Vec<Label> = labels.into_iter().filter(|l| l.observation_id.is_some()).collect();
        let whole = count(&pairs, &labels);
        let all = files(&pairs, 17);
        let labels = label_files(&labels, 11);
        let mut parts: Vec<Summary> = (0..PARTS)
            .map(|part| {
                let files: Vec<_> = all.iter().filter(|(p, _)| *p == part).cloned().collect();
                summarise(&spec(), &files, &labels).unwrap()
            })
            .collect();
        let unusable = parts[0].defects.unusable_labels;
        parts.iter_mut().skip(1).for_each(|s| s.defects.unusable_labels = 0);
        prop_assert_eq!(unusable, whole.defects.unusable_labels);
        let turn = by % parts.len();
        parts.rotate_left(turn);
        let mut merged = Summary::default();
        parts.iter().for_each(|s| merged.merge(s));
        prop_assert_eq!(bits(&merged), bits(&whole));
    }

    #[test]
    fn several_passes_over_a_partition_count_what_one_does(
        pairs in prop::collection::vec(pair(), 0..120), labels in prop::collection::vec(label(), 0..60), passes in 2_u32..5,
    ) {
        let (pairs, labels) = (files(&pairs, 17), label_files(&labels, 11));
        let count = |passes: u32| {
            let mut reader = LabelReader::new(PARTS, false, None);
            labels.iter().for_each(|file| reader.file(file.clone()).unwrap());
            let book = Arc::new(LabelBook::new(vec![reader]));
            pairs.iter().for_each(|(_, file)| book.mark(file.clone()).unwrap());
            let mut worker = Worker::new(Arc::new(spec()), book).unwrap();
            for (part, pass) in (0..PARTS).flat_map(|part| (0..passes).map(move |pass| (part, pass))) {
                worker.begin(Pass { part, pass, passes }, 10);
                for (_, file) in pairs.iter().filter(|(p, _)| *p == part) {
                    worker.file(file.clone()).unwrap();
                }
                worker.end().unwrap();
            }
            worker.finish()
        };
        prop_assert_eq!(bits(&count(passes)), bits(&count(1)));
        let rows = ROWS_AT_ONCE * u64::from(passes);
        prop_assert_eq!(Pass::over(3, rows).count(), passes as usize);
        prop_assert_eq!(Pass::over(3, rows + 1).count(), passes as usize + 1);
    }

    #[test]
    fn merging_is_associative_and_commutative_with_an_identity(
        a in prop::collection::vec(pair(), 0..30), b in prop::collection::vec(pair(), 0..30), c in prop::collection::vec(pair(), 0..30),
        labels in prop::collection::vec(label(), 0..30),
    ) {
        let [a, b, c] = [count(&a, &labels), count(&b, &labels), count(&c, &labels)];
        let plus = |x: &Summary, y: &Summary| { let mut z = x.clone(); z.merge(y); z };
        prop_assert_eq!(bits(&plus(&plus(&a, &b), &c)), bits(&plus(&a, &plus(&b, &c))));
        prop_assert_eq!(bits(&plus(&a, &b)), bits(&plus(&b, &a)));
        prop_assert_eq!(bits(&plus(&a, &Summary::default())), bits(&a));
        prop_assert_eq!(bits(&plus(&Summary::default(), &a)), bits(&a));
    }

    #[test]
    fn what_comes_twice_counts_once_and_is_counted(pairs in prop::collection::vec(pair(), 1..60)) {
        let twice: Vec<Pair> = pairs.iter().chain(&pairs).cloned().collect();
        let (once, again) = (count(&pairs, &[]), count(&twice, &[]));
        prop_assert_eq!(again.duplicates, once.duplicates + pairs.len() as u64);
        let same = Summary { duplicates: once.duplicates, ..again };
        prop_assert_eq!(bits(&same), bits(&once));
    }

    #[test]
    fn the_counts_are_those_of_a_plain_loop(pairs in prop::collection::vec(pair(), 0..80), labels in prop::collection::vec(label(), 0..40)) {
        let mut distinct: BTreeMap<String, Pair> = BTreeMap::new();
        for pair in pairs {
            distinct.entry(pair.observation_id.clone()).or_insert(pair);
        }
        let pairs: Vec<Pair> = distinct.into_values().collect();
        let summary = count(&pairs, &labels);
        let failed = pairs.iter().filter(|p| p.challenger.error.is_some()).count() as u64;
        prop_assert_eq!((summary.pairs, summary.challenger_errors()), (pairs.len() as u64, failed));
        let answered = pairs.iter().filter(|p| reference(p).is_some()).count() as u64;
        let agreed = pairs.iter().filter(|p| reference(p).is_some() && p.agrees()).count() as u64;
        prop_assert_eq!((summary.agreement().n(), summary.agreement().agreed()), (answered, agreed));
        let mut known = 0;
        let mut right = [0, 0];
        for pair in pairs.iter().filter(|p| p.queued_at.as_second() < 900) {
            let Some(truth) = truth(pair, &pairs, &labels) else { continue };
            known += 1;
            right[0] += u64::from(reference(pair) == Some(&truth));
            right[1] += u64::from(pair.challenger.error.is_none() && pair.challenger.label.as_deref() == Some(&truth));
        }
        let correct = summary.cells.correct(&Segment::whole());
        prop_assert_eq!(summary.labelled().labelled, known);
        prop_assert_eq!([correct.both + correct.champion_only, correct.both + correct.challenger_only], right);
        let timed = |p: &&Pair| p.champion.answered() && p.challenger.answered();
        prop_assert_eq!(summary.champion_latency.n(), pairs.iter().filter(timed).count() as u64);
        // No row panics, whatever was counted.
        let _ = (shadow_rows::rows(&policy(), &summary), shadow_rows::notes(&policy(), &summary), shadow_rows::charts(&policy(), &summary));
    }
}

/// The truth of a pair as a plain loop finds it.
fn truth(pair: &Pair, pairs: &[Pair], labels: &[Label]) -> Option<String> {
    let latest = |named: &dyn Fn(&Label) -> bool| {
        labels
            .iter()
            .filter(|l| named(l))
            .filter_map(|l| Some((l.at, l.label.clone()?)))
            .max()
            .map(|(_, class)| class)
    };
    let shared = pairs.iter().filter(|p| p.client_id.is_some() && p.client_id == pair.client_id).count() > 1;
    latest(&|l| l.observation_id.as_ref() == Some(&pair.observation_id)).or_else(|| {
        latest(&|l| {
            l.observation_id.is_none() && l.client_id.is_some() && l.client_id == pair.client_id && !shared
        })
    })
}

fn plain(id: &str, challenger: Replayed) -> Pair {
    Pair {
        observation_id: id.into(),
        client_id: None,
        unit: id.into(),
        at: second(0),
        queued_at: second(0),
        served_version: "v1".into(),
        served_label: Some("a".into()),
        served_score: None,
        served_value: None,
        served_error: false,
        champion: Replayed {
            label: Some("a".into()),
            score: Some(0.2),
            latency_us: 5,
            ..Replayed::default()
        },
        challenger,
        faithful: Some(true),
        segments: BTreeMap::new(),
    }
}

fn said(class: &str, score: f64) -> Replayed {
    Replayed { label: Some(class.into()), score: Some(score), latency_us: 7, ..Replayed::default() }
}

fn truth_of(id: &str, class: &str, at: i64) -> Label {
    Label {
        schema: 1,
        observation_id: Some(id.into()),
        client_id: None,
        model: "m".parse().unwrap(),
        label: Some(class.into()),
        value: None,
        at: second(at),
    }
}

#[test]
fn a_failure_is_a_disagreement_and_wrong_and_a_reused_client_id_joins_nothing() {
    let crash = Replayed { error: Some("crash".into()), ..Replayed::default() };
    let client =
        |id: &str, client: &str, challenger| Pair { client_id: Some(client.into()), ..plain(id, challenger) };
    let pairs = [
        client("o1", "c1", said("a", 0.1)),
        client("o2", "c2", crash),
        client("o3", "c3", said("b", 0.9)),
        client("o4", "c3", said("b", 0.9)),
    ];
    let label =
        |client: &str| Label { observation_id: None, client_id: Some(client.into()), ..truth_of("", "a", 1) };
    let summary = count(&pairs, &["c1", "c2", "c3"].map(label));
    let correct = summary.cells.correct(&Segment::whole());
    assert_eq!(
        (summary.agreement().n(), summary.agreement().agreed(), summary.challenger_errors()),
        (4, 1, 1)
    );
    assert_eq!((correct.n(), correct.both, correct.champion_only), (2, 1, 1));
    assert_eq!(summary.reused_client_ids, 2);
    assert_eq!(summary.challenger_latency.n(), 3);
}

#[test]
fn of_copies_the_one_that_speaks_against_the_challenger_counts() {
    let crash = Replayed { error: Some("crash".into()), ..Replayed::default() };
    for pairs in [[said("a", 0.1), crash.clone()], [crash, said("a", 0.1)]] {
        let pairs = pairs.map(|challenger| plain("o1", challenger));
        let summary = summarise(&spec(), &files(&pairs, 1), &[]).unwrap();
        assert_eq!((summary.pairs, summary.duplicates, summary.challenger_errors()), (1, 1, 1));
    }
}

#[test]
fn bad_input_is_counted_and_said() {
    let mut pairs: Vec<Pair> = (0..10).map(|n| plain(&format!("o{n}"), said("a", 0.1))).collect();
    pairs[0].challenger.score = Some(f64::NAN);
    pairs[1].champion.score = Some(f64::NEG_INFINITY);
    pairs[2].at = second(1_000);
    pairs[3].queued_at = second(8_000);
    pairs[4].challenger.label = Some("unheard of".into());
    let labels = [
        truth_of("o5", "a", 1),
        truth_of("o5", "b", 2),
        truth_of("o6", "zz", 1),
        Label { label: None, value: Some(3.0), ..truth_of("o7", "a", 1) },
    ];
    let summary = count(&pairs, &labels);
    let defects = &summary.defects;
    assert_eq!((defects.champion_scores, defects.challenger_scores), (1, 1));
    assert_eq!((defects.clock_ahead, defects.clock_behind, defects.unusable_labels), (1, 1, 1));
    assert_eq!(summary.contradicted, 1);
    assert_eq!(summary.unknown_classes()["zz"], (1, 0, 0));
    assert_eq!(summary.unknown_classes()["unheard of"], (0, 0, 1));
    let notes = shadow_rows::notes(&policy(), &summary).join("\n");
    for part in [
        "of the champion's scores",
        "of the challenger's scores",
        "clock is ahead",
        "clock is behind",
        "wrong kind",
        "contradict",
        "\"zz\"",
        "\"unheard of\"",
    ] {
        assert!(notes.contains(part), "{part} in {notes}");
    }
}

#[test]
fn a_pair_in_a_foreign_partition_is_left_out_and_nothing_passes() {
    let file = Bytes::from(table::write_pairs(&[plain("o1", said("a", 0.1))]).unwrap());
    let foreign = (keys::partition("o1", PARTS) + 1) % PARTS;
    let summary = summarise(&spec(), &[(foreign, file)], &[]).unwrap();
    assert_eq!((summary.pairs, summary.defects.misplaced), (0, 1));
    assert!(summary.defects.incomplete());
    assert!(shadow_rows::rows(&policy(), &summary).iter().any(|row| row.name == "complete"));
}

#[test]
fn numbers_are_compared_by_their_errors() {
    let mut policy = policy();
    policy.task = Task::Regression;
    let number = |x: f64| Replayed { value: Some(x), latency_us: 3, ..Replayed::default() };
    let pairs: Vec<Pair> = (0..100)
        .map(|n| Pair {
            served_label: None,
            served_value: Some(10.0),
            champion: number(10.0),
            ..plain(&format!("o{n}"), number(if n % 2 == 0 { 10.05 } else { 12.0 }))
        })
        .collect();
    let labels: Vec<Label> = (0..100)
        .map(|n| Label { label: None, value: Some(11.0), ..truth_of(&format!("o{n}"), "", 1) })
        .collect();
    let spec = Spec::of(&policy, second(1_000));
    let summary = summarise(&spec, &files(&pairs, 30), &label_files(&labels, 30)).unwrap();
    let agreement = summary.numbers.agreement.total();
    assert_eq!((agreement.both, agreement.champion_only), (50, 50), "within 1 %");
    let (champion, challenger) = summary.numbers.absolute.total().means().unwrap();
    assert!((champion - 1.0).abs() < 1e-12 && (challenger - 0.975).abs() < 1e-12);
    let rows = shadow_rows::rows(&policy, &summary);
    let rmse = rows.iter().find(|r| r.name == "rmse").unwrap();
    assert!(
        (rmse.challenger.unwrap() - ((0.95_f64.powi(2) + 1.0) / 2.0).sqrt()).abs() < 1e-12,
        "{}",
        rmse.why
    );
}

#[test]
fn several_classes_have_a_log_loss_of_the_true_class() {
    let mut policy = policy();
    policy.task = Task::Multiclass;
    let classes = ["x", "y", "z"].map(str::to_owned).to_vec();
    let mut other = classes.clone();
    other.reverse();
    let note = ClassesNote { champion: classes, challenger: other, positive: None };
    let scored = |scores: [f64; 3]| Replayed { scores: Some(scores.to_vec()), ..said("x", 0.7) };
    let pair = Pair { champion: scored([0.7, 0.2, 0.1]), ..plain("o1", scored([0.1, 0.3, 0.6])) };
    let file = Bytes::from(table::write_pairs_with(&[pair], Some(&note)).unwrap());
    let labels = label_files(&[truth_of("o1", "x", 1)], 1);
    let spec = Spec::of(&policy, second(1_000));
    let summary = summarise(&spec, &[(keys::partition("o1", PARTS), file)], &labels).unwrap();
    let (champion, challenger) = summary.log_loss.total().means().unwrap();
    assert!((champion + 0.7_f64.ln()).abs() < 1e-12 && (challenger + 0.6_f64.ln()).abs() < 1e-12);
}
