//! A/A rollouts: both arms are the same version, so every rollback is false.

use crate::{
    counted,
    guards::{ALPHA, Guards, LOOKS, Look, SHARE, WEIGHTS, step_of},
    tables::{Table, share},
    units,
};
use seatrial_stats::{
    confseq::Moments, eprocess::ArmEProcess, multinomial::Classes, sampling::Sampler, signal::Slice,
};

/// Requests of both arms at one look.
const REQUESTS: f64 = 2_000.0;
/// Share of the champion's requests that the shadow still replays.
const REPLAYED: f64 = 0.1;

/// What the world does at one look, to both arms alike.
struct World {
    errors: f64,
    slow: f64,
    far: f64,
    /// Shares of the signal's values 0, ¼, ½, ¾, 1.
    values: [f64; 5],
    classes: [f64; 4],
}

fn still(_: u32) -> World {
    World {
        errors: 0.005,
        slow: 0.01,
        far: 0.002,
        values: [0.1, 0.1, 0.2, 0.3, 0.3],
        classes: [0.6, 0.25, 0.1, 0.05],
    }
}

/// The error rate rises from .2 to .8 % while the weight rises; latency, signal and answers move too.
fn diurnal(look: u32) -> World {
    let phase = (1.0 - (f64::from(look) * std::f64::consts::PI / f64::from(LOOKS)).cos()) / 2.0;
    World {
        errors: 0.002 + 0.006 * phase,
        slow: 0.005 + 0.02 * phase,
        far: 0.001 + 0.004 * phase,
        values: [0.1 + 0.3 * phase, 0.1, 0.2, 0.3, 0.3 - 0.3 * phase],
        classes: [0.6 - 0.4 * phase, 0.25 + 0.4 * phase, 0.1, 0.05],
    }
}

/// One arm's values as moments, exactly.
fn moments(random: &mut Sampler, n: u64, shares: &[f64; 5]) -> Moments {
    let mut counts = [0; 5];
    random.multinomial(n, shares, &mut counts);
    let at = |i: usize| (counts[i] as f64, i as f64 / 4.0);
    let sum = |power: i32| (0..5).map(|i| at(i).0 * at(i).1.powi(power)).sum();
    Moments { n, sum: sum(1), squares: sum(2) }
}

fn classes(random: &mut Sampler, n: u64, shares: &[f64; 4]) -> Classes {
    let mut counts = [0; 4];
    random.multinomial(n, shares, &mut counts);
    ["a", "b", "c", "d"].iter().zip(counts).map(|(name, count)| ((*name).into(), count)).collect()
}

fn look(random: &mut Sampler, look: u32, world: &World, reference: f64) -> (Look, (u64, u64)) {
    let step = step_of(look);
    let weight = WEIGHTS[step];
    let (n, m) = (random.poisson(REQUESTS * weight), random.poisson(REQUESTS * (1.0 - weight)));
    // The threshold comes from the champion's earlier window: what lies beyond it is uncertain, for both arms alike.
    let frozen = (1.0 + random.normal() / (reference * world.slow).sqrt()).clamp(0.3, 3.0);
    let (slow, far) = (world.slow * frozen, world.far * frozen);
    let slow_counts = (random.binomial(n, slow), random.binomial(m, slow));
    let shadow = random.binomial(m, REPLAYED);
    let seen = Look {
        errors: (random.binomial(n, world.errors), random.binomial(m, world.errors)),
        slow: slow_counts,
        far: (random.binomial(slow_counts.0, far / slow), random.binomial(slow_counts.1, far / slow)),
        signal: Slice {
            step: step as u32,
            weight,
            canary: moments(random, n, &world.values),
            champion: moments(random, m, &world.values),
        },
        answers: (classes(random, n, &world.classes), classes(random, shadow, &world.classes)),
    };
    (seen, (n, m))
}

/// Four guardrails, their union, and beside them: errors pooled over steps in one table, tested by the same e-process and by a
/// z-test at the end only.
fn rollout(seed: u64, run: u64, world: impl Fn(u32) -> World) -> [bool; 7] {
    let mut random = Sampler::of_stream(seed, run);
    let mut guards = Guards::default();
    let (mut pooled, mut requests, mut pooled_fired) = ((0, 0), (0, 0), false);
    for at in 0..LOOKS {
        let (seen, (n, m)) = look(&mut random, at, &world(at), REQUESTS * 5.0);
        guards.look(&seen);
        pooled = (pooled.0 + seen.errors.0, pooled.1 + seen.errors.1);
        requests = (requests.0 + n, requests.1 + m);
        let mut process = ArmEProcess::default();
        process.observe_counts(pooled.0, pooled.1, requests.0 as f64 / (requests.0 + requests.1) as f64);
        pooled_fired |= process.rejects(SHARE);
    }
    let z = z_of(pooled.0, requests.0, pooled.1, requests.1);
    let [a, b, c, d, any] = guards.outcome();
    [a, b, c, d, any, pooled_fired, z > 2.2414]
}

/// The two-proportion z statistic, canary minus champion.
pub fn z_of(x: u64, n: u64, y: u64, m: u64) -> f64 {
    let (x, n, y, m) = (x as f64, n as f64, y as f64, m as f64);
    let pooled = (x + y) / (n + m);
    let error = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    if error > 0.0 { (x / n - y / m) / error } else { 0.0 }
}

pub fn tables(runs: u64, threads: u64) -> Vec<Table> {
    let title = format!(
        "Harmless canaries rolled back at some of {LOOKS} looks, {runs} rollouts over 1, 5, 25, 50 %; α = {ALPHA}, four guardrails at {SHARE}"
    );
    let columns =
        ["traffic", "errors", "latency", "bounded signal", "answers", "any of the four (limit 5 %)"];
    let mut table = Table::new(&title, &columns);
    let mut pooled = Table::new(
        "The same errors in one pooled 2×2 table, nominal 1.25 %",
        &[
            "traffic",
            "product over steps",
            "pooled, every look, e-process",
            "pooled, one look at the end, z-test",
        ],
    );
    for (name, seed, world) in [
        ("independent units", 1_001, still as fn(u32) -> World),
        ("diurnal, .2 → .8 % errors", 1_003, diurnal),
    ] {
        let counts = counted(runs, threads, |run| rollout(seed, run, world));
        let cells = counts.map(|hits| share(hits, runs));
        table.row([&[name.to_string()], &cells[..5]].concat());
        pooled.row(vec![name.into(), cells[0].clone(), cells[5].clone(), cells[6].clone()]);
    }
    let (row, beside) = units::tables(runs, threads);
    table.row(row);
    vec![table, pooled, beside]
}
