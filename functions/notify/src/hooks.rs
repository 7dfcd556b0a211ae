//! Webhooks.

use jiff::Timestamp;
use seatrial_domain::notice::{Delivery, Receipt, receipt};
use seatrial_domain::policy::{Webhook, WebhookFormat};
use seatrial_outbound::{Answer, CallError, Read, SHORTEST_KEY, Secret, keys, signature};
use seatrial_report::notice::View;

use crate::{Parameters, Ports, Tried};

/// How much of an answer is read, in bytes: only its beginning is of use, to say why it was refused.
const ANSWER_LIMIT: usize = 1 << 10;

/// Posts a delivery to a webhook.
pub(crate) async fn post(
    ports: &Ports<'_>,
    hook: &Webhook,
    delivery: &Delivery,
    view: &View<'_>,
    now: Timestamp,
) -> Tried {
    match tried(ports, hook, delivery, view, now).await {
        Ok(tried) | Err(tried) => tried,
    }
}

async fn tried(
    ports: &Ports<'_>,
    hook: &Webhook,
    delivery: &Delivery,
    view: &View<'_>,
    now: Timestamp,
) -> Result<Tried, Tried> {
    let url = match &hook.url {
        Some(url) => url.clone(),
        None => secret(ports.parameters, delivery, hook, "url").await?.expose().trim().to_owned(),
    };
    let (body, headers) = match hook.format {
        WebhookFormat::Slack => (view.slack().to_string(), Vec::new()),
        WebhookFormat::Teams => (view.teams().to_string(), Vec::new()),
        WebhookFormat::Generic => {
            let secret = secret(ports.parameters, delivery, hook, "key").await?;
            let body = view.json(delivery).to_string();
            let headers = signed(hook, delivery, &secret, &body, now)?;
            (body, headers)
        }
    };
    let answer =
        seatrial_outbound::post(ports.allowed, &url, &headers, body, Read::Beginning(ANSWER_LIMIT)).await;
    Ok(match answer {
        Ok(answer) => judged(&answer, now),
        Err(CallError::NoAnswer(why)) => Tried::Later { after: None, why },
        Err(CallError::NotAllowed(why)) => Tried::Never { why },
    })
}

/// The headers of Seatrial's own format. The timestamp is that of the try, so that an old message cannot be played again; the
/// delivery's name stays, so that a receiver knows a repetition.
fn signed(
    hook: &Webhook,
    delivery: &Delivery,
    secret: &Secret,
    body: &str,
    now: Timestamp,
) -> Result<Vec<(&'static str, String)>, Tried> {
    let keys = keys(secret).ok_or_else(|| Tried::Never {
        why: format!(
            "the key of webhook {} is shorter than {SHORTEST_KEY} characters; make one with `openssl rand -hex 32`",
            hook.name
        ),
    })?;
    let at = now.as_second().to_string();
    let signature = signature(&keys, &at, body);
    Ok(vec![
        ("seatrial-event", delivery.notice.kind.as_str().to_owned()),
        ("seatrial-delivery", delivery.id.clone()),
        ("seatrial-timestamp", at),
        ("seatrial-signature", signature),
    ])
}

/// A parameter of the webhook: `…/<model>/<webhook>/<what>`. The model is part of the name, so that no policy can use what
/// belongs to another model.
async fn secret(
    parameters: &dyn Parameters,
    delivery: &Delivery,
    hook: &Webhook,
    what: &str,
) -> Result<Secret, Tried> {
    let name = format!("{}/{}/{what}", delivery.notice.model, hook.name);
    parameters.value(&name).await
}

fn judged(answer: &Answer, now: Timestamp) -> Tried {
    let wait = answer.headers.get("retry-after").and_then(|v| v.to_str().ok()).and_then(|v| wait(v, now));
    let why = || match answer.status.is_redirection() {
        true => format!("it answered with {}; redirects are not followed", answer.status),
        false => format!("it answered with {}: {}", answer.status, answer.beginning()),
    };
    match receipt(answer.status.as_u16(), wait) {
        Receipt::Taken => Tried::Taken,
        Receipt::Later(after) => Tried::Later { after, why: why() },
        Receipt::Never => Tried::Never { why: why() },
    }
}

/// The seconds of a `Retry-After`, which names a number of them or a date.
fn wait(value: &str, now: Timestamp) -> Option<u32> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(seconds);
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    u32::try_from(date.as_second() - now.as_second()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_number_or_a_date() {
        let now: Timestamp = "2015-10-21T07:27:00Z".parse().unwrap();
        assert_eq!(wait("120", now), Some(120));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(60));
        for useless in ["", "-3", "soon", "Wed, 21 Oct 2015 07:26:00 GMT"] {
            assert_eq!(wait(useless, now), None, "{useless}");
        }
    }
}
