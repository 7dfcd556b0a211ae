//! From a history entry to its deliveries.

use jiff::Timestamp;
use seatrial_domain::ModelName;
use seatrial_domain::notice::{self, Message, Notice, NoticeKind, SCHEMA, Target, deliveries};
use seatrial_domain::policy::Policy;
use seatrial_runtime::Failure;

use crate::Ports;

/// Puts a delivery into the queue for each receiver of what entry `seq` tells. The entry is read anew: the message only says
/// where to look. Done twice, the deliveries have the same names, and each is made once.
pub(crate) async fn fan_out(
    ports: &Ports<'_>,
    model: &ModelName,
    seq: u64,
    now: Timestamp,
) -> Result<(), Failure> {
    let entries = ports.registry.history(model, seq.saturating_sub(1), 1).await?;
    let Some(entry) = entries.first().filter(|e| e.seq == seq) else {
        return Err(Failure::invalid(format!("the history of {model} has no entry {seq}")));
    };
    let Some(notice) = notice::of(entry) else { return Ok(()) };
    let policy = live_policy(ports, model).await?;
    let involved = involved(ports, &notice).await?;
    let involved: Vec<&str> = involved.iter().map(String::as_str).collect();
    let mut all = deliveries(&notice, &policy, &involved, ports.topic, now);
    if ports.mailer.is_none() {
        all.retain(|d| !matches!(d.target, Target::Mail { .. }));
    }
    tracing::info!(%model, seq, notice = notice.id, kind = notice.kind.as_str(), receivers = all.len(), "a notice goes out");
    let bodies = all.into_iter().map(|delivery| {
        serde_json::to_string(&Message::Delivery { schema: SCHEMA, delivery: Box::new(delivery) })
    });
    let bodies: Result<Vec<String>, _> = bodies.collect();
    let bodies = bodies.map_err(|e| Failure::internal("writing a delivery", e))?;
    if bodies.is_empty() {
        return Ok(());
    }
    ports.queue.send(bodies).await
}

/// The policy in force: who is told is evaluated live, like who may decide. A model without one has only the deployment's
/// topic.
async fn live_policy(ports: &Ports<'_>, model: &ModelName) -> Result<Policy, Failure> {
    let head = ports.registry.head(model).await?;
    let Some(reference) = head.and_then(|head| head.policy) else { return Ok(Policy::default()) };
    let record = ports.registry.policy(model, reference.number).await?;
    Ok(record.map(|record| record.policy).unwrap_or_default())
}

/// Who submitted the version and who asked for the promotion.
async fn involved(ports: &Ports<'_>, notice: &Notice) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    // What is taken back is what its submitter wants to hear of.
    let about = notice.from.filter(|_| notice.kind == NoticeKind::RolledBack).or(notice.version);
    if let Some(version) = about {
        let record = ports.registry.version(&notice.model, version).await?;
        found.extend(record.map(|v| v.submitted_by));
    }
    if let Some(promotion) = &notice.promotion {
        let record = ports.registry.promotion(&notice.model, promotion).await?;
        found.extend(record.map(|p| p.requested_by.principal));
    }
    Ok(found)
}
