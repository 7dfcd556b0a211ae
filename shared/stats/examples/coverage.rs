//! Coverage of the intervals by simulation: in how many samples the 95 % interval of the delta contains the true delta.
//!
//! `cargo run --release -p seatrial-stats --example coverage -- [--runs 2000] [--output json]`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_stats::{
    Interval,
    auc::delong,
    bootstrap::Bootstrap,
    fairness::{FairnessCells, FairnessMetric},
    intervals::{PairedCounts, wilson},
    jackknife::Grouped,
    joint::JointConfusion,
    paired::PairedMoments,
    sampling::Sampler,
};
use std::process::ExitCode;

/// Draws a sample and gives its interval.
type Sample = dyn Fn(&mut Sampler) -> Option<Interval> + Sync;

/// One row of the table: a method on one kind of data.
struct Case {
    method: &'static str,
    data: String,
    /// What must be reached: a range, or a floor where data are few and being too careful is allowed.
    least: f64,
    most: f64,
    truth: f64,
    sample: Box<Sample>,
}

const RANGE: (f64, f64) = (93.0, 97.0);
const FEW: (f64, f64) = (94.0, 100.0);

fn case(
    method: &'static str,
    data: String,
    (least, most): (f64, f64),
    truth: f64,
    sample: impl Fn(&mut Sampler) -> Option<Interval> + Sync + 'static,
) -> Case {
    Case { method, data, least, most, truth, sample: Box::new(sample) }
}

/// Pairs with these shares of (both, champion only, challenger only, neither).
fn newcombe(n: u64, shares: [f64; 4], range: (f64, f64)) -> Case {
    let discordant = n as f64 * (shares[1] + shares[2]);
    let data = format!("n = {n}, {discordant:.0} discordant");
    case("Newcombe, paired accuracy", data, range, shares[2] - shares[1], move |random| {
        let mut cells = [0; 4];
        random.multinomial(n, &shares, &mut cells);
        let [both, champion_only, challenger_only, neither] = cells;
        Some(PairedCounts { both, champion_only, challenger_only, neither }.difference(0.95)?.interval)
    })
}

fn bootstrap(seed: u64) -> Bootstrap {
    Bootstrap { seed, replicates: 400, confidence: 0.95 }
}

/// Of three classes: shares, and the chance that (both, champion, challenger, neither) are right.
const CLASSES: [(f64, [f64; 4]); 3] =
    [(0.6, [0.80, 0.06, 0.08, 0.06]), (0.3, [0.65, 0.10, 0.10, 0.15]), (0.1, [0.50, 0.10, 0.15, 0.25])];

/// A joint confusion with these counts of (class, which is right).
fn joint(counts: impl Fn(usize, usize) -> u64) -> JointConfusion {
    let mut joint = JointConfusion::default();
    for class in 0..3 {
        let (truth, wrong) = (class.to_string(), ((class + 1) % 3).to_string());
        for which in 0..4 {
            let answer = |right: bool| if right { &truth } else { &wrong };
            joint.observe_n(&truth, answer(which < 2), answer(which % 2 == 0), counts(class, which));
        }
    }
    joint
}

fn macro_f1(n: u64) -> Case {
    let expected = joint(|class, which| (CLASSES[class].0 * CLASSES[class].1[which] * 1e9) as u64);
    let truth = expected.macro_f1(bootstrap(0)).unwrap().delta;
    case("Poisson bootstrap, macro F1", format!("n = {n}, 3 classes"), RANGE, truth, move |random| {
        let shares: Vec<f64> = CLASSES.iter().flat_map(|(share, right)| right.map(|r| share * r)).collect();
        let mut cells = [0; 12];
        random.multinomial(n, &shares, &mut cells);
        let seed = (random.uniform() * 1e15) as u64;
        joint(|class, which| cells[4 * class + which]).macro_f1(bootstrap(seed))?.interval
    })
}

/// Of a group: share of positives, and for each label the chance of (champion, challenger) = (no, no), (no, yes), (yes, no), (yes, yes).
type Group = (f64, [[f64; 4]; 2]);
const LENIENT: Group = (0.5, [[0.75, 0.05, 0.05, 0.15], [0.20, 0.05, 0.05, 0.70]]);
const STRICT: Group = (0.35, [[0.85, 0.03, 0.04, 0.08], [0.30, 0.04, 0.10, 0.56]]);

fn group_shares((positives, decisions): &Group) -> Vec<f64> {
    let of = |label: usize| if label == 1 { *positives } else { 1.0 - positives };
    (0..8).map(|i| of(i / 4) * decisions[i / 4][i % 4]).collect()
}

fn fairness(metric: FairnessMetric, name: &'static str, groups: Vec<Group>, n: u64, what: &str) -> Case {
    let fill = |counts: &dyn Fn(usize, usize) -> u64| {
        let mut cells = FairnessCells::default();
        for group in 0..2 {
            for i in 0..8 {
                let which = i % 4;
                cells.observe_n(&group.to_string(), i >= 4, which >= 2, which % 2 == 1, counts(group, i));
            }
        }
        cells
    };
    let shares: Vec<Vec<f64>> = groups.iter().map(group_shares).collect();
    let expected = fill(&|group, i| (shares[group][i] * 1e9).round() as u64);
    let truth = expected.increase(metric, bootstrap(0)).unwrap().delta;
    // A largest minus smallest rate is biased where groups tie: its interval may be too careful.
    let range = (RANGE.0, 100.0);
    case(name, format!("2 {what} groups of {n}"), range, truth, move |random| {
        let mut drawn = vec![[0_u64; 8]; groups.len()];
        drawn.iter_mut().zip(&shares).for_each(|(cells, shares)| random.multinomial(n, shares, cells));
        let seed = (random.uniform() * 1e15) as u64;
        fill(&|group, i| drawn[group][i]).increase(metric, bootstrap(seed))?.interval
    })
}

/// Scores of both versions for one request of this truth: binormal, the champion's separation 1, the challenger's 1.2.
fn scores(random: &mut Sampler, truth: bool) -> (f64, f64) {
    let shared = random.normal();
    let score = |separation: f64, own: f64| {
        let noise = 0.6_f64.sqrt() * shared + 0.4_f64.sqrt() * own;
        if truth { separation + noise } else { noise }
    };
    (score(1.0, random.normal()), score(1.2, random.normal()))
}

fn delong_case(positives: usize, negatives: usize, range: (f64, f64)) -> Case {
    let auc = |separation: f64| seatrial_stats::quantiles::normal_cdf(separation / 2.0_f64.sqrt());
    let data = format!("{positives} positives, {negatives} negatives");
    case("DeLong, AUC", data, range, auc(1.2) - auc(1.0), move |random| {
        let truths: Vec<bool> = (0..positives + negatives).map(|i| i < positives).collect();
        let (a, b): (Vec<f64>, Vec<f64>) = truths.iter().map(|&truth| scores(random, truth)).unzip();
        delong(&truths, &a, &b)?.interval(0.95)
    })
}

/// A skewed loss (its logarithm is normal) of both versions, alike by half.
fn losses(random: &mut Sampler, shared: f64) -> (f64, f64) {
    let loss = |random: &mut Sampler| (0.5 * shared + 0.5 * random.normal()).exp();
    (loss(random), 0.9 * loss(random))
}

/// The mean of `exp(½(X + Y))`.
fn loss_mean() -> f64 {
    0.25_f64.exp()
}

fn paired_mean(n: u64) -> Case {
    case("paired t, mean loss", format!("n = {n}, skewed"), RANGE, -0.1 * loss_mean(), move |random| {
        let mut moments = PairedMoments::default();
        for _ in 0..n {
            let shared = random.normal();
            let (x, y) = losses(random, shared);
            moments.observe(x, y);
        }
        Some(moments.mean_difference(0.95)?.interval)
    })
}

/// Units with between 1 and 40 requests, whose losses share most of their randomness; the interval by units or by rows.
fn clustered(by_units: bool) -> Case {
    let method =
        if by_units { "grouped jackknife, mean loss" } else { "row by row, the same data (not used)" };
    let range = if by_units { RANGE } else { (0.0, 100.0) };
    case(method, "400 units of 1–40 requests".into(), range, -0.1 * (0.5_f64).exp(), move |random| {
        let mut grouped = Grouped::<PairedMoments>::default();
        for unit in 0..400 {
            let (x, y) = (random.normal(), random.normal());
            for _ in 0..1 + (40.0 * random.uniform()) as u64 {
                let own =
                    |random: &mut Sampler, unit: f64| (0.9 * unit + 0.19_f64.sqrt() * random.normal()).exp();
                let pair = (own(random, x), 0.9 * own(random, y));
                grouped.of_unit(&format!("unit {unit}")).observe(pair.0, pair.1);
            }
        }
        let delta = |moments: &PairedMoments| moments.means().map(|(x, y)| y - x);
        match by_units {
            true => Some(grouped.jackknife(0.95, delta)?.interval),
            false => Some(grouped.total().mean_difference(0.95)?.interval),
        }
    })
}

fn cases() -> Vec<Case> {
    let parity = FairnessMetric::DemographicParity;
    let odds = FairnessMetric::EqualisedOdds(Default::default());
    let (dp, eo) = ("Poisson bootstrap, demographic parity", "Poisson bootstrap, equalised odds");
    vec![
        newcombe(400, [0.80, 0.06, 0.06, 0.08], RANGE),
        newcombe(1_000, [0.90, 0.02, 0.02, 0.06], RANGE),
        newcombe(500, [0.70, 0.10, 0.06, 0.14], RANGE),
        newcombe(20_000, [0.90, 0.010, 0.015, 0.075], RANGE),
        newcombe(100, [0.88, 0.02, 0.02, 0.08], FEW),
        newcombe(500, [0.89, 0.005, 0.005, 0.10], FEW),
        newcombe(40, [0.80, 0.05, 0.10, 0.05], FEW),
        macro_f1(1_000),
        macro_f1(5_000),
        fairness(parity, dp, vec![LENIENT, STRICT], 400, "unequal"),
        fairness(parity, dp, vec![LENIENT, LENIENT], 400, "equal"),
        fairness(odds, eo, vec![LENIENT, STRICT], 400, "unequal"),
        fairness(odds, eo, vec![LENIENT, LENIENT], 400, "equal"),
        delong_case(200, 400, RANGE),
        delong_case(40, 200, FEW),
        paired_mean(400),
        paired_mean(5_000),
        clustered(true),
        clustered(false),
    ]
}

/// Samples whose interval contains the truth, and samples without an interval.
fn covered(case: &Case, seed: u64, runs: u64) -> (u64, u64) {
    let of = |start: u64| {
        let (mut hits, mut none) = (0, 0);
        for run in (start..runs).step_by(2) {
            match (case.sample)(&mut Sampler::of_stream(seed, run)) {
                Some(interval) => hits += u64::from(interval.contains(case.truth)),
                None => none += 1,
            }
        }
        (hits, none)
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| of(1));
        let (a, b) = (of(0), other.join().unwrap());
        (a.0 + b.0, a.1 + b.1)
    })
}

fn options() -> Result<(u64, bool), String> {
    let (mut runs, mut json) = (2_000, false);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match (word.as_str(), words.next()) {
            ("--runs", Some(n)) => runs = n.parse().map_err(|_| format!("`{n}` is not a number"))?,
            ("--output", Some(form)) => json = form == "json",
            _ => return Err(format!("unknown option `{word}`; known: --runs N, --output json")),
        }
    }
    Ok((runs.max(2), json))
}

fn main() -> ExitCode {
    let (runs, json) = match options() {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let mut rows = Vec::new();
    let mut reached = true;
    for (index, case) in cases().iter().enumerate() {
        let (hits, none) = covered(case, 2_000 + index as u64, runs);
        let percent = 100.0 * hits as f64 / runs as f64;
        let noise = wilson(hits, runs, 0.95).unwrap();
        let ok = 100.0 * noise.high >= case.least && 100.0 * noise.low <= case.most;
        reached &= ok;
        rows.push(serde_json::json!({
            "method": case.method, "data": case.data, "coverage_percent": percent,
            "low": 100.0 * noise.low, "high": 100.0 * noise.high,
            "to_reach": [case.least, case.most], "without_interval": none, "reached": ok,
        }));
    }
    if json {
        println!("{}", serde_json::json!({ "runs": runs, "rows": rows }));
    } else {
        println!("Coverage of 95 % intervals, {runs} samples each\n");
        println!("| method | data | covered | to reach |\n|---|---|---|---|");
        for row in &rows {
            let number = |key: &str| row[key].as_f64().unwrap();
            let range = &row["to_reach"];
            let asked = match (range[0].as_f64().unwrap(), range[1].as_f64().unwrap()) {
                (0.0, _) => "–".into(),
                (least, 100.0) => format!("≥ {least} %"),
                (least, most) => format!("{least}–{most} %"),
            };
            println!(
                "| {} | {} | {:.1} % ({:.1}–{:.1}) | {asked} |",
                row["method"].as_str().unwrap(),
                row["data"].as_str().unwrap(),
                number("coverage_percent"),
                number("low"),
                number("high"),
            );
        }
    }
    if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
