//! A/A rollouts with heavy-tailed units: few callers send most requests, and some fail or are slow much more often.
//!
//! A unit stays on its side, so all its requests come to one arm. Counting each unit once keeps the tests' promise; counting
//! every request does not. Requests are never drawn: the sums of their Poisson rates by arm are exact.

use crate::{
    counted,
    guards::{Guards, LOOKS, Look, SHARE, WEIGHTS, step_of},
    tables::{Table, share},
};
use seatrial_stats::{eprocess::ArmEProcess, exceedance::LatencyEProcess, sampling::Sampler, signal::Slice};

/// Units that come during a rollout.
const UNITS: usize = 3_000;
/// The share of champion units whose first answer is also replayed.
const REPLAYED: f64 = 0.2;

struct Unit {
    bucket: f64,
    /// Requests a look.
    requests: f64,
    errors: f64,
    slow: f64,
    value: f64,
    class: &'static str,
    replayed: bool,
}

fn unit(random: &mut Sampler) -> Unit {
    let broken = random.chance(0.01);
    let heavy_inputs = random.chance(0.02);
    Unit {
        bucket: random.uniform(),
        requests: 0.1 * random.pareto(1.1).min(50_000.0),
        errors: if broken { 0.5 } else { 0.000_5 },
        slow: if heavy_inputs { 0.3 } else { 0.004 },
        value: random.uniform().powi(2),
        class: ["a", "b", "c"][random.category(&[0.6, 0.3, 0.1])],
        replayed: random.chance(REPLAYED),
    }
}

/// The look at which an event of this rate first happens, if it does.
fn first(random: &mut Sampler, per_look: f64) -> Option<u32> {
    let at = random.exponential() / per_look;
    (at < f64::from(LOOKS)).then_some(at as u32)
}

fn add(counts: &mut (u64, u64), canary: bool) {
    *(if canary { &mut counts.0 } else { &mut counts.1 }) += 1;
}

/// The four guardrails with each unit counted once and their union; then by request: errors, latency where some units are
/// slow, latency where every request is alike, and the last with the share of requests in place of the weight.
fn rollout(run: u64) -> [bool; 9] {
    let mut random = Sampler::of_stream(1_005, run);
    let units: Vec<Unit> = (0..UNITS).map(|_| unit(&mut random)).collect();
    let mut looks: Vec<Look> = (0..LOOKS)
        .map(|at| {
            let step = step_of(at);
            let signal = Slice { step: step as u32, weight: WEIGHTS[step], ..Slice::default() };
            Look { signal, ..Look::default() }
        })
        .collect();
    let canary = |unit: &Unit, look: u32| unit.bucket < WEIGHTS[step_of(look)];
    for unit in &units {
        if let Some(at) = first(&mut random, unit.requests * unit.errors) {
            add(&mut looks[at as usize].errors, canary(unit, at));
        }
        if let Some(at) = first(&mut random, unit.requests * unit.slow) {
            add(&mut looks[at as usize].slow, canary(unit, at));
        }
        if let Some(at) = first(&mut random, unit.requests * unit.slow / 5.0) {
            add(&mut looks[at as usize].far, canary(unit, at));
        }
        let Some(at) = first(&mut random, unit.requests) else { continue };
        let look = &mut looks[at as usize];
        let (arm, classes) = if canary(unit, at) {
            (&mut look.signal.canary, Some(&mut look.answers.0))
        } else {
            (&mut look.signal.champion, unit.replayed.then_some(&mut look.answers.1))
        };
        arm.add(unit.value);
        if let Some(classes) = classes {
            *classes.entry(unit.class.into()).or_default() += 1;
        }
    }
    let mut guards = Guards::default();
    looks.iter().for_each(|look| guards.look(look));
    let [a, b, c, d, any] = guards.outcome();
    let [e, f, g, h] = by_request(&mut random, &units);
    [a, b, c, d, any, e, f, g, h]
}

fn by_request(random: &mut Sampler, units: &[Unit]) -> [bool; 4] {
    // (requests, errors, slow) a look, by step and arm.
    let rates = WEIGHTS.map(|weight| {
        let mut arms = [[0.0; 3]; 2];
        for unit in units {
            let arm = &mut arms[usize::from(unit.bucket >= weight)];
            arm[0] += unit.requests;
            arm[1] += unit.requests * unit.errors;
            arm[2] += unit.requests * unit.slow;
        }
        arms
    });
    let mut errors = ArmEProcess::default();
    let [mut slow_units, mut alike, mut by_share] = [(); 3].map(|()| LatencyEProcess::default());
    let mut fired = [false; 4];
    for look in 0..LOOKS {
        let (weight, [canary, champion]) = (WEIGHTS[step_of(look)], rates[step_of(look)]);
        errors.observe_counts(random.poisson(canary[1]), random.poisson(champion[1]), weight);
        observe(random, &mut slow_units, (canary[2], champion[2]), weight);
        let (n, m) = (random.poisson(canary[0]), random.poisson(champion[0]));
        let counts = (random.binomial(n, 0.01), random.binomial(m, 0.01));
        let far = (random.binomial(counts.0, 0.2), random.binomial(counts.1, 0.2));
        for (process, weight) in [(&mut alike, weight), (&mut by_share, n as f64 / (n + m) as f64)] {
            process.p99.observe_counts(counts.0, counts.1, weight);
            process.far.observe_counts(far.0, far.1, weight);
        }
        let now =
            [errors.rejects(SHARE), slow_units.rejects(SHARE), alike.rejects(SHARE), by_share.rejects(SHARE)];
        fired.iter_mut().zip(now).for_each(|(fired, now)| *fired |= now);
    }
    fired
}

fn observe(random: &mut Sampler, latency: &mut LatencyEProcess, slow: (f64, f64), weight: f64) {
    let counts = (random.poisson(slow.0), random.poisson(slow.1));
    latency.p99.observe_counts(counts.0, counts.1, weight);
    latency.far.observe_counts(random.binomial(counts.0, 0.2), random.binomial(counts.1, 0.2), weight);
}

/// The row of the common table, and what counting by request would do.
pub fn tables(runs: u64, threads: u64) -> (Vec<String>, Table) {
    let counts = counted(runs, threads, rollout);
    let cells = counts.map(|hits| share(hits, runs));
    let mut beside = Table::new(
        "Heavy-tailed units (requests Pareto 1.1; 1 % of units broken, 2 % slow), nominal 1.25 %",
        &["counted", "errors", "latency, some units slow", "latency, every request alike"],
    );
    beside.row(vec!["each unit once".into(), cells[0].clone(), cells[1].clone(), "–".into()]);
    beside.row(vec![
        "every request, against the weight".into(),
        cells[5].clone(),
        cells[6].clone(),
        cells[7].clone(),
    ]);
    beside.row(vec![
        "every request, against the share of requests".into(),
        "–".into(),
        "–".into(),
        cells[8].clone(),
    ]);
    ([&["heavy-tailed units, each once".to_string()], &cells[..5]].concat(), beside)
}
