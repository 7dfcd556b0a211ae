//! A submission that was announced to be adopted: the version becomes champion in the name of whoever announced it.
//!
//! The announcement is the authority: `control` wrote it, which knew who called, and it names the digest of exactly these bytes. What a
//! task says of itself makes no champion.

use seatrial_domain::VersionName;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::submission::Announced;
use seatrial_domain::task::{Held, PackageTask, SCHEMA, Taken};
use seatrial_registry::ops::{Clock, Ops};
use seatrial_runtime::Failure;

use crate::Ports;
use crate::line::but_packaged;

/// Adopts `version` as `announced` says. Done again, it finds the adoption.
pub(crate) async fn adopt(
    ports: &Ports<'_>,
    clock: &dyn Clock,
    task: &PackageTask,
    version: VersionName,
    announced: &Announced,
) -> Result<Taken, Failure> {
    let PackageTask { input, execution, .. } = task;
    let Some(adoption) = &announced.adoption else {
        return Err(Failure::invalid(format!("submission {} was not announced to be adopted", announced.id)));
    };
    let by = Ops::new(ports.registry, announced.by.clone(), clock);
    let adopted = by.adopt(&input.model, &input.promotion, version, adoption, Some(execution)).await;
    let adopted = adopted.map_err(|e| {
        let failure = Failure::from(e);
        if failure.is_transient() { failure } else { but_packaged(failure, version) }
    })?;
    tracing::info!(model = %input.model, %version, by = announced.by.principal, fresh = adopted.fresh, "adopted");
    Ok(answer(&adopted.value))
}

/// What the state machine is told of an adoption: the first one, where it was repeated.
pub(crate) fn answer(record: &PromotionRecord) -> Taken {
    let held = Held {
        schema: SCHEMA,
        model: record.model.clone(),
        promotion: record.id.clone(),
        epoch: record.epoch,
        version: record.challenger.version,
    };
    Taken { held, adopted: true }
}
