//! Sending new links in the place of those that were taken back.
//!
//! Nobody hands this function a link or an address: once a minute it looks for gates whose record asks for new links, makes
//! them, and sends each to its person's own address by the policy in force.

use jiff::Timestamp;
use seatrial_domain::gate::{GateKind, GateRecord};
use seatrial_domain::ids::Actor;
use seatrial_registry::GateFilter;
use seatrial_registry::ops::Ops;
use seatrial_runtime::Failure;

use crate::{At, Ports, invite};

/// Sends what gates owe. One gate's trouble does not keep the others waiting; the first trouble is the failure.
///
/// # Errors
/// When something could not be read or sent; it is tried again at the next look.
pub async fn send_owed<C>(ports: &Ports<'_>, clock: C) -> Result<Vec<String>, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    let ops = Ops::new(ports.registry, Actor::function("gate"), &clock);
    let mut sent = Vec::new();
    let mut trouble = None;
    for listed in ports.registry.gates(&GateFilter::pending()).await? {
        if listed.kind != GateKind::Approval || !listed.owes_links() {
            continue;
        }
        let at = At { ports, ops: &ops, now: clock() };
        match gate(&at, &listed).await {
            Ok(to) => sent.extend(to),
            Err(failure) => {
                tracing::error!(gate = %listed.id, label = failure.label, error = failure.chain(), "new links were not sent; this is tried again");
                trouble.get_or_insert(failure);
            }
        }
    }
    trouble.map_or(Ok(sent), Err)
}

/// Sends what one gate owes, and records to whom. The list that named it follows the table after a moment, so the record is
/// read anew.
async fn gate(at: &At<'_>, listed: &GateRecord) -> Result<Vec<String>, Failure> {
    let Some(gate) = at.ports.registry.gate(&listed.id).await?.filter(GateRecord::owes_links) else {
        return Ok(Vec::new());
    };
    let seen = gate.link_orders.len();
    let to = invite::owed(at, &gate).await?;
    at.ops.links_sent(&gate.id, seen, &to).await?;
    Ok(to)
}
