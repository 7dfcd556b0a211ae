//! `observe`, and `observe` with `replay` behind it, over a registry and buckets in memory, for `cargo xtask bench`.
//!
//! `make FOLDER LIBRARY FIXTURES` writes SQS events as a function gets them, and `world.json`, what the registry knows of the
//! model. `run FOLDER LIBRARY FIXTURES PERCENT OUT` handles them with a shadow that replays PERCENT of the rows (0: no shadow),
//! puts into OUT what came of it, and prints one JSON document. What is counted is the time on the processor of all threads and of
//! the child, from an event's text to everything written; the queue in between, which is SQS, is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod events;
mod world;

use std::fs;
use std::path::Path;
use std::time::Instant;

use fn_observe::Cache;
use fn_replay::{Replayer, worker};
use seatrial_artifacts::ObjectStore;
use seatrial_artifacts::package::testing;
use seatrial_evidence::shadow_tally::SHADOW_ARM;
use seatrial_registry::Tallies;
use seatrial_runtime::sqs_event::SqsEvent;
use serde_json::{Value, json};

use events::now;
use world::{Line, World};

/// Messages in one event of the shadow queue, as the template has it.
const SHADOW_BATCH: usize = 10;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|a| a == worker::FLAG) {
        return worker::serve(std::io::stdin().lock(), std::io::stdout().lock()).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    runtime.block_on(async {
        match arguments[..] {
            ["make", folder, library, fixtures] => {
                let world = World::new(Path::new(fixtures), 0.0).await;
                events::make(&world, Path::new(folder), Path::new(library), Path::new(fixtures)).await;
            }
            ["run", folder, library, fixtures, percent, out] => {
                let world = World::new(Path::new(fixtures), percent.parse().expect("a percentage")).await;
                run(&world, Path::new(folder), Path::new(library), Path::new(out)).await;
            }
            _ => {
                panic!("expected `make FOLDER LIBRARY FIXTURES` or `run FOLDER LIBRARY FIXTURES PERCENT OUT`")
            }
        }
    });
}

async fn run(world: &World, folder: &Path, library: &Path, out: &Path) {
    if out.exists() {
        fs::remove_dir_all(out).unwrap();
    }
    let (shadow, observations, cache) = (Line::new("shadow"), Line::new("observations"), Cache::default());
    let registry = &world.scenario.registry;
    let observe = fn_observe::Ports {
        records: registry,
        tallies: registry,
        watermarks: registry,
        data: &world.data,
        shadow: &shadow,
        observations: &observations,
        cache: &cache,
    };
    let replay = fn_replay::Ports {
        records: registry,
        tallies: registry,
        attempts: registry,
        watermarks: registry,
        models: &world.models,
        trust: testing::trust(),
        network: &seatrial_remote::testing::nowhere(),
        data: &world.data,
        queue: &shadow,
    };
    let replayer = Replayer::new(replay, library.to_path_buf(), out.join("versions"));
    let (mut start, mut clock, mut sampled) = (Instant::now(), Clock::default(), 0);
    for (n, path) in events::files(folder).iter().enumerate() {
        if n == 1 {
            // The first event has loaded the versions and filled the caches.
            (start, clock, sampled) = (Instant::now(), Clock::default(), 0);
        }
        let text = fs::read(path).unwrap();
        clock.begin();
        let event: SqsEvent = serde_json::from_slice(&text).unwrap();
        fn_observe::handle(&observe, now, event).await.unwrap();
        clock.end();
        let forwarded = shadow.take();
        for (m, bodies) in forwarded.chunks(SHADOW_BATCH).enumerate() {
            let text = events::envelope(&format!("shadow-{n}-{m}"), bodies);
            sampled += bodies.len();
            clock.begin();
            let event: SqsEvent = serde_json::from_slice(text.as_bytes()).unwrap();
            replayer.handle(now, event).await.unwrap();
            clock.end();
        }
    }
    println!(
        "{}",
        json!({
            "cpu_seconds": clock.seconds,
            "wall_seconds": start.elapsed().as_secs_f64(),
            "shadow_messages": sampled,
            "child_peak_kib": child().map_or(0, |id| peak_kib(&id)),
        })
    );
    write_out(world, out).await;
}

/// Time on the processor, of this process and of its child, between [`Self::begin`] and [`Self::end`].
#[derive(Default)]
struct Clock {
    seconds: f64,
    begun: f64,
}

impl Clock {
    fn begin(&mut self) {
        self.begun = cpu_seconds();
    }

    fn end(&mut self) {
        self.seconds += cpu_seconds() - self.begun;
    }
}

fn cpu_seconds() -> f64 {
    let own = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    own.tv_sec as f64 + own.tv_nsec as f64 / 1e9 + child().map_or(0.0, |id| cpu_seconds_of(&id))
}

/// The child that runs the versions, if there is one.
fn child() -> Option<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    tasks.filter_map(Result::ok).find_map(|task| {
        let children = fs::read_to_string(task.path().join("children")).ok()?;
        children.split_whitespace().next().map(str::to_owned)
    })
}

/// The kernel's count of a process whose threads all wait, in nanoseconds a thread.
fn cpu_seconds_of(process: &str) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    tasks.filter_map(Result::ok).filter_map(of).sum::<f64>() / 1e9
}

fn peak_kib(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// Everything that was written, as files, for the comparison of both sides.
async fn write_out(world: &World, out: &Path) {
    for object in world.data.list("").await.unwrap() {
        let path = out.join(&object.key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, world.data.get(&object.key, 1 << 30).await.unwrap().unwrap()).unwrap();
    }
    let registry = &world.scenario.registry;
    let tallies = registry.tallies(&world.scenario.model, world.epoch, 0..i64::MAX).await.unwrap();
    // The counts that `replay` keeps of its own pairs are one side's alone.
    let served = tallies.iter().filter(|t| t.arm != SHADOW_ARM);
    let bodies: Vec<Value> = served.map(|t| serde_json::from_str(&t.body).unwrap()).collect();
    fs::write(out.join("tallies.json"), Value::from(bodies).to_string()).unwrap();
}
