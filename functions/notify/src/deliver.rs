//! One delivery: tried, marked, put off or given up.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use seatrial_domain::PromotionId;
use seatrial_domain::gate::{GateRecord, GateStatus};
use seatrial_domain::notice::{
    Delivery, MOST_ATTEMPTS, Message, Notice, NoticeKind, SCHEMA, Target, backoff_seconds,
};
use seatrial_registry::{AttemptState, mark_told};
use seatrial_report::notice::View;
use seatrial_runtime::sqs_event::SqsMessage;
use seatrial_runtime::{Failure, metric};
use serde_json::json;

use crate::{Ports, Tried, hooks};

/// How long one try may take; a receiver that is slower is tried again.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest that a receiver may ask us to wait.
const LONGEST_ASKED_WAIT: u32 = 3_600;

/// How long the mark of a delivery is kept: longer than any message can lie in a queue and its dead letters.
const MARK_KEPT: SignedDuration = SignedDuration::from_hours(40 * 24);

/// Works off one delivery. `Ok` when it is done with: taken, overtaken or given up.
pub(crate) async fn deliver(
    ports: &Ports<'_>,
    message: &SqsMessage,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<(), Failure> {
    let gate = match &delivery.notice.gate {
        Some(gate) => ports.registry.gate(gate).await?,
        None => None,
    };
    if overtaken(&delivery.notice, gate.as_ref()) {
        tracing::info!(delivery = delivery.id, "nobody has to be reminded any more");
        return Ok(());
    }
    let (marks, mark) = (marks_of(&delivery.notice), format!("notice#{}", delivery.id));
    let kept_until = now.checked_add(MARK_KEPT).unwrap_or(Timestamp::MAX);
    let before = ports.registry.mark_attempt(&marks, &mark, kept_until).await?;
    if matches!(before, AttemptState::Again { finished: true, .. }) {
        tracing::info!(delivery = delivery.id, "it was delivered before");
        return Ok(());
    }
    let tried = tokio::time::timeout(TIMEOUT, attempt(ports, delivery, now)).await;
    let tried = tried.unwrap_or_else(|_| Tried::Later {
        after: None,
        why: format!("no answer within {} seconds", TIMEOUT.as_secs()),
    });
    let (attempts, to) = (message.attempts(), delivery.target.name());
    match tried {
        Tried::Taken => {
            // Before the mark of the delivery: a crash between the two delivers again rather than forgets that people know.
            if let (Some(gate), Some(told)) = (&gate, delivery.tells()) {
                mark_told(ports.registry, gate, told).await?;
            }
            ports.registry.finish_attempt(&marks, &mark).await?;
            tracing::info!(
                delivery = delivery.id,
                kind = delivery.notice.kind.as_str(),
                to,
                attempts,
                "delivered"
            );
            metric::count(metric::NOTICE_DELIVERED, &delivery.notice.model);
            Ok(())
        }
        Tried::Later { after, why } if attempts < MOST_ATTEMPTS => {
            let wait = backoff_seconds(attempts, &delivery.id);
            let wait = after.map_or(wait, |asked| asked.min(LONGEST_ASKED_WAIT).max(wait));
            tracing::warn!(delivery = delivery.id, to, attempts, why, wait, "a delivery is tried again");
            ports.postpone.postpone(message, wait).await;
            Err(Failure::unavailable("delivering a notice", why))
        }
        Tried::Later { why, .. } | Tried::Never { why } => {
            give_up(ports, delivery, attempts, &why, now).await
        }
    }
}

async fn attempt(ports: &Ports<'_>, delivery: &Delivery, now: Timestamp) -> Tried {
    let view = View::of(&delivery.notice, ports.approvals_url);
    let unwritable = |e: &dyn std::fmt::Display| Tried::Never { why: format!("it cannot be written ({e})") };
    match (&delivery.target, ports.mailer) {
        (Target::Mail { to, .. }, Some(mailer)) => match view.mail() {
            Ok(mail) => match mailer.send(to, &mail).await {
                Ok(()) => Tried::Taken,
                Err(failure) => Tried::Later { after: None, why: failure.chain() },
            },
            Err(e) => unwritable(&e),
        },
        (Target::Mail { .. }, None) => {
            Tried::Never { why: "no sender of mail is set up (the deployment's parameter MailFrom)".into() }
        }
        (Target::Topic { arn }, _) => match view.text() {
            Ok(text) => {
                let json = view.json(delivery).to_string();
                ports.topics.publish(arn, &delivery.notice, view.subject(), &text, &json).await
            }
            Err(e) => unwritable(&e),
        },
        (Target::Webhook { hook }, _) => hooks::post(ports, hook, delivery, &view, now).await,
    }
}

/// Whether people would be reminded of what is decided, or of an end that is no more. All else stays true however late it is
/// told.
fn overtaken(notice: &Notice, gate: Option<&GateRecord>) -> bool {
    notice.kind == NoticeKind::Reminder
        && gate.is_some_and(|gate| {
            gate.status != GateStatus::Pending || (notice.automatic && gate.open_window().is_none())
        })
}

/// Where the marks of a notice's deliveries are kept: with its promotion's, or with those of the model itself.
fn marks_of(notice: &Notice) -> PromotionId {
    let own = || PromotionId::derive(&notice.model, "notices without a promotion", 1);
    notice.promotion.clone().unwrap_or_else(own)
}

/// Hands a delivery over to the dead letters, with the reason. It can be sent to the queue again as it is.
async fn give_up(
    ports: &Ports<'_>,
    delivery: &Delivery,
    attempts: u32,
    why: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let message = Message::Delivery { schema: SCHEMA, delivery: Box::new(delivery.clone()) };
    let mut letter =
        serde_json::to_value(message).map_err(|e| Failure::internal("writing a dead letter", e))?;
    letter["failed"] = json!({ "why": why, "attempts": attempts, "at": now });
    ports.dead_letters.send(vec![letter.to_string()]).await?;
    tracing::error!(
        delivery = delivery.id,
        kind = delivery.notice.kind.as_str(),
        to = delivery.target.name(),
        attempts,
        why,
        "a delivery is given up"
    );
    metric::count(metric::NOTICE_FAILED, &delivery.notice.model);
    Ok(())
}
