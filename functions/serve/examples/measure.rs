//! Measures latency and throughput of the server with the fixtures' versions:
//! `cargo run --profile fast -p fn-serve --example measure`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../tests/world/mod.rs"]
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fn_serve::app::Mode;
use fn_serve::metrics::Counter;
use world::{Client, INFER, request, traffic, world};

#[tokio::main]
async fn main() {
    let world = world(&["v1", "v2"], Mode::Server).await;
    world.split(2_500);
    let (port, end, serving) = world.listen().await;
    world.loaded(2).await;
    let bodies: Arc<Vec<String>> = Arc::new(
        traffic("live.jsonl", 1_000)
            .iter()
            .map(|row| request(std::slice::from_ref(row)).to_string())
            .collect(),
    );
    for clients in [1, 8, 32] {
        let began = Instant::now();
        let mut runs = Vec::new();
        for client in 0..clients {
            let bodies = Arc::clone(&bodies);
            runs.push(tokio::spawn(async move {
                let mut connection = Client::new(port).await;
                let mut took = Vec::new();
                for n in 0.. {
                    if began.elapsed() > Duration::from_secs(5) {
                        break;
                    }
                    let sent = Instant::now();
                    let (status, _) =
                        connection.call("POST", INFER, &bodies[(client * 37 + n) % bodies.len()]).await;
                    assert_eq!(status, 200);
                    took.push(sent.elapsed());
                }
                took
            }));
        }
        let mut took = Vec::new();
        for run in runs {
            took.extend(run.await.unwrap());
        }
        took.sort();
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_micros();
        let rate = took.len() as f64 / began.elapsed().as_secs_f64();
        println!(
            "{clients:>2} clients: {rate:>6.0} requests/s, p50 {} µs, p95 {} µs, p99 {} µs",
            at(0.5),
            at(0.95),
            at(0.99)
        );
    }
    end.send(()).unwrap();
    serving.await.unwrap();
    println!("rows {}, dropped {}", world.rows().len(), world.app.metrics.get(Counter::RowsDropped));
}
