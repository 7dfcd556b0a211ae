//! Bringing approvers to a gate.
//!
//! One approver, one mail. A mark in the registry says who was written to: set before the mail is tried, finished after it
//! went out. A crash between both leaves it unfinished, and the next attempt writes again with a new link: an approver who
//! may have got two links is better off than one who got none, and either link decides once and only as that person.

use std::time::Duration;

use seatrial_domain::access::Access;
use seatrial_domain::canonical::sha256;
use seatrial_domain::gate::{Capability, GateRecord};
use seatrial_domain::notice::Told;
use seatrial_domain::policy::Person;
use seatrial_mail::Mailer;
use seatrial_registry::ops::live_policy;
use seatrial_registry::{AttemptState, mark_told};
use seatrial_report::mail::{self, Address};
use seatrial_runtime::Failure;
use seatrial_runtime::link::LinkSecret;

use crate::At;

/// How long one mail may take: a slow sender must not use up the time of the others.
const MAIL_TIMEOUT: Duration = Duration::from_secs(10);

/// Writes to every approver who was not written to yet. Failures are logged, approver by approver; the gate is open and can
/// be decided through the API and the command line without any mail.
pub(crate) async fn all(at: &At<'_>, gate: &GateRecord) {
    let Some(mailer) = at.ports.mailer else {
        tracing::warn!(gate = %gate.id, "no sender of mail is set up (SEATRIAL_MAIL_FROM): approvers must be told by other means");
        return;
    };
    // Who may decide is evaluated live, so that is who is told.
    let access = match live_policy(at.ports.registry, &gate.model).await {
        Ok(record) => record.policy.access(),
        Err(error) => {
            let failure = Failure::from(error);
            tracing::error!(gate = %gate.id, label = failure.label, error = failure.chain(), "nobody was written to: the policy could not be read");
            return;
        }
    };
    // Whose links were taken back gets a new one when somebody asks for it, and not by a retry of the wait.
    for approver in access.asked(at.now).into_iter().filter(|p| gate.link_generation(&p.email) == 0) {
        if let Err(failure) = in_time(at, gate, &access, approver, mailer).await {
            tracing::error!(
                gate = %gate.id, approver = approver.email, label = failure.label, error = failure.chain(),
                "an approver was not written to; the gate is open without it"
            );
        }
    }
}

/// Writes to everybody to whom `gate` owes a new link. The answer is who they are.
///
/// # Errors
/// When one of them could not be written to, after all were tried.
pub(crate) async fn owed(at: &At<'_>, gate: &GateRecord) -> Result<Vec<String>, Failure> {
    let mailer = at.ports.mailer.ok_or_else(|| {
        Failure::invalid("no sender of mail is set up (SEATRIAL_MAIL_FROM), so no new links can be sent")
    })?;
    let access = live_policy(at.ports.registry, &gate.model).await?.policy.access();
    let (mut to, mut trouble) = (Vec::new(), None);
    for approver in access.asked(at.now).into_iter().filter(|p| gate.owes_link(&p.email)) {
        match in_time(at, gate, &access, approver, mailer).await {
            Ok(()) => to.push(approver.email.clone()),
            Err(failure) => trouble = trouble.or(Some(failure)),
        }
    }
    trouble.map_or(Ok(to), Err)
}

async fn in_time(
    at: &At<'_>,
    gate: &GateRecord,
    access: &Access,
    approver: &Person,
    mailer: &dyn Mailer,
) -> Result<(), Failure> {
    let sent = tokio::time::timeout(MAIL_TIMEOUT, one(at, gate, access, approver, mailer)).await;
    sent.unwrap_or_else(|_| Err(Failure::unavailable("sending a mail", "it took more than 10 seconds")))
}

async fn one(
    at: &At<'_>,
    gate: &GateRecord,
    access: &Access,
    approver: &Person,
    mailer: &dyn Mailer,
) -> Result<(), Failure> {
    let registry = at.ports.registry;
    let person = approver.email.to_lowercase();
    let generation = gate.link_generation(&approver.email);
    let mark = mark(gate, &person, generation);
    let before = registry.mark_attempt(&gate.promotion, &mark, gate.expires_at).await?;
    if matches!(before, AttemptState::Again { finished: true, .. }) {
        return Ok(());
    }
    let (url, address) = if access.needs_login() {
        (format!("{}/g/{}", at.ports.approvals_url, gate.id), Address::Plain)
    } else {
        let secret = LinkSecret::mint()?;
        let capability = Capability {
            gate: gate.id.clone(),
            model: gate.model.clone(),
            approver: approver.email.clone(),
            expires_at: gate.expires_at,
            used_at: None,
            revoked: false,
            generation,
        };
        registry.put_capability(&secret.hash(), &capability).await?;
        (format!("{}/l/{}", at.ports.approvals_url, secret.expose()), Address::Capability)
    };
    let mail =
        mail::about(gate, &url, address, at.now).map_err(|e| Failure::internal("writing the mail", e))?;
    mailer.send(&approver.email, &mail).await?;
    registry.finish_attempt(&gate.promotion, &mark).await?;
    mark_told(registry, gate, Told::Opened).await?;
    tracing::info!(gate = %gate.id, approver = approver.email, "an approver was written to");
    Ok(())
}

/// The mark of one person having been written to, for each generation of their links.
fn mark(gate: &GateRecord, person: &str, generation: u32) -> String {
    let person = sha256(person.as_bytes());
    match generation {
        0 => format!("mail#{}#{}", gate.id, person.short()),
        n => format!("mail#{}#{}#{n}", gate.id, person.short()),
    }
}
