//! Integration checks: programs of the model's owner that try the packaged version at its pinned endpoint.
//!
//! All run at once, each with its own timeout, before the benchmark. What a check cannot be asked, or does not answer as
//! agreed, is inconclusive with what was found: a check that is broken never passes, and never blames the version.

mod answer;
mod caller;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use seatrial_domain::policy::{IntegrationCheck, Policy};
use seatrial_domain::promotion::PromotionRecord;
use seatrial_evidence::report::MetricRow;
use serde_json::{Value, json};

pub use caller::HttpChecks;

/// The largest answer that is read, in bytes.
pub const ANSWER_LIMIT: usize = 64 << 10;

/// Asks one check. The error is what was found instead of an answer, in words for the report.
#[async_trait]
pub trait Checks: Send + Sync {
    /// The bytes that the check answers.
    async fn ask(&self, check: &IntegrationCheck, question: &Value) -> Result<Bytes, String>;
}

/// The rows of the policy's checks, in its order.
pub(crate) async fn run(
    checks: &dyn Checks,
    serve: Option<&str>,
    record: &PromotionRecord,
    policy: &Policy,
) -> Vec<MetricRow> {
    let question = serve.map(|serve| question(serve, record));
    let asked = policy.checks.iter().map(|check| {
        let question = question.as_ref();
        async move {
            let answer = match question {
                Some(question) => ask(checks, check, question).await,
                None => Err("the deployment does not say where versions answer (SEATRIAL_SERVE_URL)".into()),
            };
            answer::rows(check, answer.and_then(|bytes| answer::parse(&bytes)))
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// The rows of checks that were not asked.
pub(crate) fn not_asked(policy: &Policy, why: &str) -> Vec<MetricRow> {
    policy.checks.iter().flat_map(|check| answer::rows(check, Err(why.to_owned()))).collect()
}

async fn ask(checks: &dyn Checks, check: &IntegrationCheck, question: &Value) -> Result<Bytes, String> {
    let timeout = Duration::from_secs(check.timeout_seconds.into());
    tokio::time::timeout(timeout, checks.ask(check, question))
        .await
        .unwrap_or_else(|_| Err(format!("it did not answer within {} s", check.timeout_seconds)))
}

/// What a check is told: which version it tries, and where that version alone answers.
fn question(serve: &str, record: &PromotionRecord) -> Value {
    let version = record.challenger.version;
    let base = format!("{}/v2/models/{}/versions/{version}", serve.trim_end_matches('/'), record.model);
    json!({
        "schema": 1,
        "model": record.model,
        "version": version,
        "digest": record.challenger.digest,
        "promotion": record.id,
        "endpoint": { "infer": format!("{base}/infer"), "metadata": base, "ready": format!("{base}/ready") },
    })
}
