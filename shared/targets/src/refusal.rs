//! What AWS's answers mean for a target.

use seatrial_outbound::{Answer, CallError};
use serde_json::Value;

use crate::Hindrance;

/// Nobody answered.
pub(crate) fn no_answer(error: CallError) -> Hindrance {
    match error {
        CallError::NoAnswer(why) => Hindrance::Pending(why),
        CallError::NotAllowed(why) => Hindrance::Refused(why),
    }
}

/// The JSON of a successful answer; else what it means that it is none. `doing` stands before it: `asking for the alias`.
pub(crate) fn document(doing: &str, answer: &Answer) -> Result<Value, Hindrance> {
    if !answer.status.is_success() {
        return Err(refused(doing, answer));
    }
    if answer.body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&answer.body)
        .map_err(|e| Hindrance::Pending(format!("{doing}: AWS's answer cannot be read ({e})")))
}

/// What a refusal by AWS means: whether it passes by itself.
fn refused(doing: &str, answer: &Answer) -> Hindrance {
    let (status, kind) = (answer.status.as_u16(), answer.error_kind());
    let said = message(answer);
    let why = format!("{doing}: AWS answered {status} {kind}{said}");
    // SageMaker says so of an endpoint that changes in the same words as of one that is not there: by the text alone.
    let changing = ["in-progress", "in progress", "Updating", "Creating"].iter().any(|w| said.contains(w));
    let passes = answer.is_busy()
        || matches!(status, 408 | 409 | 412 | 500..=599)
        || kind.contains("PreconditionFailed")
        || kind.contains("ResourceConflict")
        || (kind == "ValidationException" && changing);
    if passes { Hindrance::Pending(why) } else { Hindrance::Refused(why) }
}

/// What AWS says about it, in one line and cut short.
fn message(answer: &Answer) -> String {
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = ["message", "Message"].iter().find_map(|field| document[*field].as_str()).unwrap_or_default();
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    if line.is_empty() { line } else { format!(" ({line})") }
}
