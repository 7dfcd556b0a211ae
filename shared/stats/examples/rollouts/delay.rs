//! How soon harm is found, beside two rules that people use, and what those rules do to harmless canaries.

use crate::{
    guards::{LOOKS, SHARE},
    harmless::z_of,
    tables::{Table, share},
};
use seatrial_stats::{
    eprocess::ArmEProcess, exceedance::LatencyEProcess, quantiles::normal_cdf, sampling::Sampler,
};

/// Requests of both arms between looks.
const BETWEEN: f64 = 200.0;
/// Looks after which a rule is given up.
const MOST: u32 = 5_000;
/// Canary requests the other rules wait for.
const LEAST: u64 = 100;

/// Shares of requests with each event: errors, or beyond p99, 1.2 × p99 and 1.5 × p99.
#[derive(Clone, Copy)]
enum Harm {
    Errors {
        champion: f64,
        canary: f64,
    },
    /// Log-normal latencies with this σ, the canary's longer by this factor.
    Latency {
        sigma: f64,
        growth: f64,
    },
}

impl Harm {
    fn name(self) -> String {
        match self {
            Self::Errors { champion, canary } => {
                format!("errors {:.1} → {:.1} %", 100.0 * champion, 100.0 * canary)
            }
            Self::Latency { growth, .. } => format!("p99 +{:.0} %", 100.0 * (growth - 1.0)),
        }
    }

    fn harmless(self) -> Self {
        match self {
            Self::Errors { champion, .. } => Self::Errors { champion, canary: champion },
            Self::Latency { sigma, .. } => Self::Latency { sigma, growth: 1.0 },
        }
    }

    /// `[p99 or errors, 1.2 × p99, 1.5 × p99]` of (canary, champion).
    fn shares(self) -> ([f64; 3], [f64; 3]) {
        match self {
            Self::Errors { champion, canary } => ([canary, 0.0, 0.0], [champion, 0.0, 0.0]),
            Self::Latency { sigma, growth } => {
                let beyond = |times: f64, growth: f64| {
                    normal_cdf(-(2.326_347_874 + (f64::ln(times) - growth.ln()) / sigma))
                };
                let of = |growth| [1.0, 1.2, 1.5].map(|times| beyond(times, growth));
                (of(growth), of(1.0))
            }
        }
    }
}

/// Counts since the start of a rollout at one weight.
#[derive(Default)]
struct Counts {
    n: [u64; 2],
    events: [[u64; 3]; 2],
}

impl Counts {
    fn draw(&mut self, random: &mut Sampler, requests: f64, weight: f64, harm: Harm) {
        let (canary, champion) = harm.shares();
        for (arm, (mean, shares)) in
            [(requests * weight, canary), (requests * (1.0 - weight), champion)].into_iter().enumerate()
        {
            let n = random.poisson(mean);
            self.n[arm] += n;
            let mut left = n;
            let mut before = 1.0;
            for (event, share) in shares.into_iter().enumerate() {
                // Each threshold's events are among the former's.
                left = if share > 0.0 { random.binomial(left, (share / before).min(1.0)) } else { 0 };
                before = share;
                self.events[arm][event] += left;
            }
        }
    }
}

/// The always-valid test, a fixed threshold, and a z-test at every look.
fn fires(counts: &Counts, weight: f64, harm: Harm) -> [bool; 3] {
    let [canary, champion] = counts.events;
    let always_valid = match harm {
        Harm::Errors { .. } => {
            let mut process = ArmEProcess::default();
            process.observe_counts(canary[0], champion[0], weight);
            process.rejects(SHARE)
        }
        Harm::Latency { .. } => {
            let mut process = LatencyEProcess::default();
            process.p99.observe_counts(canary[0], champion[0], weight);
            process.far.observe_counts(canary[2], champion[2], weight);
            process.rejects(SHARE)
        }
    };
    // More than 1 % errors; or a p99 more than 1.2 times the champion's, which is more than 1 % beyond that.
    let watched = match harm {
        Harm::Errors { .. } => canary[0],
        Harm::Latency { .. } => canary[1],
    };
    let enough = counts.n[0] >= LEAST;
    let threshold = enough && watched * 100 > counts.n[0];
    let z = enough && z_of(canary[0], counts.n[0], champion[0], counts.n[1]) > 2.2414;
    [always_valid, threshold, z]
}

/// Requests until each rule fires.
fn delays(run: u64, weight: f64, harm: Harm) -> [Option<u64>; 3] {
    let mut random = Sampler::of_stream(1_007, run);
    let mut counts = Counts::default();
    let mut found = [None; 3];
    for _ in 0..MOST {
        counts.draw(&mut random, BETWEEN, weight, harm);
        let now = fires(&counts, weight, harm);
        let seen = counts.n[0] + counts.n[1];
        found.iter_mut().zip(now).filter(|(_, now)| *now).for_each(|(found, _)| {
            found.get_or_insert(seen);
        });
        // The always-valid test is what is measured to the end; a threshold that never fires is not waited for.
        if found[0].is_some() && found[2].is_some() && (found[1].is_some() || seen > 400_000) {
            break;
        }
    }
    found
}

/// Whether each rule fires at some of the looks of a harmless rollout at one weight.
fn alarms(run: u64, weight: f64, harm: Harm) -> [bool; 3] {
    let mut random = Sampler::of_stream(1_009, run);
    let mut counts = Counts::default();
    let mut fired = [false; 3];
    for _ in 0..LOOKS {
        counts.draw(&mut random, 2_000.0, weight, harm.harmless());
        fired.iter_mut().zip(fires(&counts, weight, harm)).for_each(|(fired, now)| *fired |= now);
    }
    fired
}

fn in_thousands(requests: Option<u64>) -> String {
    requests.map_or("never".into(), |n| {
        if n < 9_950 { format!("{:.1}k", n as f64 / 1e3) } else { format!("{:.0}k", n as f64 / 1e3) }
    })
}

/// Median / 90th percentile of a rule's delays.
fn spread(all: &[[Option<u64>; 3]], rule: usize) -> String {
    let mut delays: Vec<u64> = all.iter().map(|found| found[rule].unwrap_or(u64::MAX)).collect();
    delays.sort_unstable();
    let at = |p: f64| Some(delays[(p * (delays.len() - 1) as f64) as usize]).filter(|n| *n < u64::MAX);
    format!("{} / {}", in_thousands(at(0.5)), in_thousands(at(0.9)))
}

pub fn tables(runs: u64, threads: u64) -> Vec<Table> {
    let mut delay = Table::new(
        &format!(
            "Requests of both arms until harm is found, median / 90 %, {runs} rollouts, a look every 200; α = {SHARE}"
        ),
        &["harm", "weight", "always-valid", "threshold rule", "z-test at every look"],
    );
    let mut alarm = Table::new(
        &format!(
            "The same rules on harmless canaries: rolled back at some of {LOOKS} looks, {} rollouts, 2,000 requests between looks",
            10 * runs
        ),
        &["traffic", "weight", "always-valid", "threshold rule", "z-test at every look"],
    );
    let harms = [
        Harm::Errors { champion: 0.0, canary: 0.01 },
        Harm::Errors { champion: 0.001, canary: 0.005 },
        Harm::Errors { champion: 0.01, canary: 0.02 },
        Harm::Latency { sigma: 0.5, growth: 1.5 },
    ];
    for harm in harms {
        for weight in [0.01, 0.05, 0.25] {
            let all = collected(runs, threads, |run| delays(run, weight, harm));
            let percent = format!("{:.0} %", 100.0 * weight);
            let cells = [0, 1, 2].map(|rule| spread(&all, rule));
            delay.row([&[harm.name(), percent.clone()][..], &cells].concat());
            let counts = crate::counted(10 * runs, threads, |run| alarms(run, weight, harm));
            let traffic = match harm {
                Harm::Errors { champion, .. } => format!("errors {:.1} %", 100.0 * champion),
                Harm::Latency { .. } => "latency".into(),
            };
            alarm.row([&[traffic, percent][..], &counts.map(|hits| share(hits, 10 * runs))].concat());
        }
    }
    vec![delay, alarm]
}

fn collected<T: Send>(runs: u64, threads: u64, of: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let of = &of;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                scope.spawn(move || (worker..runs).step_by(threads as usize).map(of).collect::<Vec<T>>())
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}
