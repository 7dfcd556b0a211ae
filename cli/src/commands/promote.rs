//! Starting a promotion, and waiting for its end.

use std::time::Duration;

use seatrial_domain::ModelName;
use seatrial_domain::ids::VersionName;
use serde_json::{Value, json};

use super::Session;
use crate::failure::{Failure, NOT_FOUND, NOT_PROMOTED, REFUSED, UNAVAILABLE};
use crate::output::{self, Format, text};

/// What is promoted, and how.
pub(crate) struct Promotion {
    pub(crate) model: ModelName,
    pub(crate) version: VersionName,
    /// The stages to skip, and why.
    pub(crate) emergency: Option<Value>,
    /// Whether to wait until it ended.
    pub(crate) wait: bool,
}

/// Starts a promotion of a packaged version.
pub(crate) async fn promote(session: &Session, promotion: &Promotion) -> Result<(), Failure> {
    let Promotion { model, version, wait, .. } = promotion;
    let mut body = json!({ "version": version });
    if let Some(emergency) = &promotion.emergency {
        body["emergency"] = emergency.clone();
    }
    let control = session.control().await?;
    let started: Value = control.post(&format!("/v1/models/{model}/promotions"), &body).await?;
    let promotion = text(&started, "/promotion");
    if !*wait {
        return output::print(session.format, &started, |s| {
            let begins = if s.get("waits") == Some(&Value::Bool(true)) { "waits in line" } else { "started" };
            format!("promotion {promotion} of {version} {begins}: `seatrial status {model}`")
        });
    }
    let mut last = String::new();
    let mut tell = |said: String| {
        if said != last && session.format == Format::Table {
            eprintln!("{said}");
            last = said;
        }
    };
    let mut stood_in_line = false;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Before its record: whoever leaves the line to begin has one then.
        let view: Value = control.get(&format!("/v1/models/{model}")).await?;
        let place = place_in_line(&view, &promotion);
        let record: Value = match control.get(&format!("/v1/models/{model}/promotions/{promotion}")).await {
            Ok(record) => record,
            Err(e) if e.exit == UNAVAILABLE => continue,
            Err(e) if e.exit == NOT_FOUND || e.exit == REFUSED => {
                if let Some(place) = meanwhile(e, place, stood_in_line, model, &promotion)? {
                    stood_in_line = true;
                    tell(format!("waits for the model, number {place} in line"));
                }
                continue;
            }
            Err(e) => return Err(e),
        };
        let status = text(&record, "/status");
        if status != "running" {
            output::print(session.format, &record, |r| format!("{status}: {}", text(r, "/reason")))?;
            return if status == "crowned" {
                Ok(())
            } else {
                Err(Failure::new(
                    NOT_PROMOTED,
                    &status,
                    format!("promotion {promotion} was {status}: {}", text(&record, "/reason")),
                ))
            };
        }
        tell(text(&view, "/next"));
    }
}

/// What a promotion without a record does: its place in line, or none while its execution has not taken the model yet; an error when
/// it will never begin.
fn meanwhile(
    said: Failure,
    place: Option<usize>,
    stood_in_line: bool,
    model: &ModelName,
    promotion: &str,
) -> Result<Option<usize>, Failure> {
    if place.is_some() {
        return Ok(place);
    }
    if stood_in_line {
        let why =
            format!("promotion {promotion} was taken out of the line: `seatrial history {model}` says why");
        return Err(Failure::new(NOT_PROMOTED, "withdrawn", why));
    }
    // Its execution failed, or was stopped, before it held the model.
    if said.exit == REFUSED { Err(Failure { exit: NOT_PROMOTED, ..said }) } else { Ok(None) }
}

/// Where a promotion stands among those that wait, from 1.
fn place_in_line(view: &Value, promotion: &str) -> Option<usize> {
    let waiting = view.pointer("/head/waiting").and_then(Value::as_array)?;
    waiting.iter().position(|w| text(w, "/promotion") == promotion).map(|place| place + 1)
}

/// Takes a promotion out of the line of those that wait for a model.
pub(crate) async fn withdraw(
    session: &Session,
    model: &ModelName,
    promotion: &str,
    reason: &str,
) -> Result<(), Failure> {
    let path = format!("/v1/models/{model}/promotions/{promotion}/withdraw");
    let done: Value = session.control().await?.post(&path, &json!({ "reason": reason })).await?;
    output::print(session.format, &done, |_| format!("promotion {promotion} waits for {model} no longer"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_a_promotion_that_never_begins_hears_why() {
        let model = ModelName::parse("credit-risk").unwrap();
        let ask = |exit, place, stood| {
            let said = Failure::new(exit, "said", "because");
            meanwhile(said, place, stood, &model, "pr_1").map_err(|e| (e.exit, e.code, e.message))
        };
        assert_eq!(ask(NOT_FOUND, None, false), Ok(None), "it comes");
        assert_eq!(ask(NOT_FOUND, Some(2), false), Ok(Some(2)));
        let (exit, code, message) = ask(REFUSED, None, false).unwrap_err();
        assert_eq!((exit, &*code, &*message), (NOT_PROMOTED, "said", "because"));
        for exit in [NOT_FOUND, REFUSED] {
            let (exit, code, message) = ask(exit, None, true).unwrap_err();
            assert_eq!((exit, &*code), (NOT_PROMOTED, "withdrawn"));
            assert!(message.contains("seatrial history credit-risk"), "{message}");
        }
    }
}
