//! Events that started no promotion: what they were, why not, and once more.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Session;
use crate::api::Api;
use crate::failure::{self, Failure};
use crate::output::{self, Format, text};

/// What to do with events that started no promotion.
#[derive(Debug, Subcommand)]
pub enum Events {
    /// List them, the oldest first, each with its reason.
    List,
    /// Have them taken once more; what is still refused stays. Doing it twice starts nothing twice.
    #[command(after_help = "Examples:\n  seatrial events replay 8f7c1a52-…\n  seatrial events replay --all")]
    Replay(Which),
    /// Remove one for good.
    Drop {
        /// Its id, as `list` shows it.
        id: String,
    },
}

/// Which events.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Their ids, as `list` shows them.
    ids: Vec<String>,
    /// All that wait.
    #[arg(long)]
    all: bool,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, command: Events) -> Result<(), Failure> {
    let api = session.control().await?;
    match command {
        Events::List => output::print(session.format, &waiting(&api).await?, listed),
        Events::Replay(Which { ids, all }) => {
            let ids = if all { ids_of(&waiting(&api).await?) } else { ids };
            replay(session.format, &api, &ids).await
        }
        Events::Drop { id } => {
            let done: Value = api.post(&path(&id, "drop")?, &json!({})).await?;
            output::print(session.format, &done, |_| format!("event {id} is dropped"))
        }
    }
}

async fn waiting(api: &Api) -> Result<Value, Failure> {
    api.get("/v1/events").await
}

/// One by one: one that is still refused keeps no other from being taken. Fails when any was not.
async fn replay(format: Format, api: &Api, ids: &[String]) -> Result<(), Failure> {
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for id in ids {
        match api.post::<Value>(&path(id, "replay")?, &json!({})).await {
            Ok(one) => done.push(one),
            Err(e) if e.exit == failure::REFUSED || e.exit == failure::NOT_FOUND => {
                refused.push(json!({ "id": id, "code": e.code, "reason": e.message }));
            }
            Err(e) => return Err(e),
        }
    }
    let all = json!({ "replayed": done, "refused": refused });
    output::print(format, &all, replayed)?;
    match refused.len() {
        0 => Ok(()),
        n => Err(Failure::new(
            failure::REFUSED,
            "still_refused",
            format!("{n} of {} events started nothing", ids.len()),
        )),
    }
}

/// The path to an event; an id is never a path of its own making.
fn path(id: &str, what: &str) -> Result<String, Failure> {
    let plain = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !plain {
        return Err(Failure::invalid(format!(
            "{id:?} is no id of an event; expected one as `seatrial events list` shows it"
        )));
    }
    Ok(format!("/v1/events/{id}/{what}"))
}

fn of<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn ids_of(waiting: &Value) -> Vec<String> {
    of(waiting, "events").map(|e| text(e, "/id")).collect()
}

fn listed(waiting: &Value) -> String {
    let mut events = of(waiting, "events").peekable();
    if events.peek().is_none() {
        return "no event waits: each started its promotion, or asked for none".to_owned();
    }
    let mut out = String::new();
    for event in events {
        out.push_str(&output::facts([
            ("event", text(event, "/id")),
            ("given up", text(event, "/at")),
            ("kind", format!("{} ({})", text(event, "/kind"), text(event, "/source"))),
            ("about", text(event, "/about")),
            ("reason", text(event, "/reason")),
        ]));
        out.push('\n');
    }
    if waiting.get("more") == Some(&Value::Bool(true)) {
        out.push_str("and more: replay or drop some to see them\n");
    }
    out
}

fn replayed(all: &Value) -> String {
    let taken = of(all, "replayed").map(|one| {
        let what = match (one.get("promotion").and_then(Value::as_str), one.get("started")) {
            (Some(promotion), Some(Value::Bool(true))) => format!("started {promotion}"),
            (Some(promotion), _) => format!("{promotion} was started before"),
            (None, _) => "it asks for nothing".to_owned(),
        };
        [text(one, "/id"), what]
    });
    let refused = of(all, "refused").map(|one| [text(one, "/id"), text(one, "/reason")]);
    output::table(["event", "what came of it"], taken.chain(refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_no_path() {
        assert!(path("8f7c1a52-0b1d", "replay").is_ok_and(|p| p == "/v1/events/8f7c1a52-0b1d/replay"));
        for bad in ["", "../models", "a/b", "a?b", "a b"] {
            assert!(path(bad, "drop").is_err(), "{bad}");
        }
    }

    #[test]
    fn each_event_is_shown_with_its_reason_and_what_came_of_it() {
        let waiting = json!({ "more": true, "events": [{
            "id": "m1", "at": "2026-11-29T07:00:00Z", "kind": "SageMaker Training Job State Change", "source": "aws.sagemaker",
            "about": "job-1", "error": "Seatrial.Invalid", "reason": "model x has no policy",
        }] });
        let shown = listed(&waiting);
        for word in ["m1", "job-1", "model x has no policy", "and more"] {
            assert!(shown.contains(word), "{shown}");
        }
        assert!(listed(&json!({ "events": [] })).contains("no event waits"));
        assert_eq!(ids_of(&waiting), ["m1"]);
        let all = json!({
            "replayed": [
                { "id": "a", "promotion": "pr_1", "started": true },
                { "id": "b", "promotion": "pr_1", "started": false },
                { "id": "c", "started": false },
            ],
            "refused": [{ "id": "d", "reason": "still no policy" }],
        });
        let shown = replayed(&all);
        for word in ["started pr_1", "pr_1 was started before", "it asks for nothing", "still no policy"] {
            assert!(shown.contains(word), "{shown}");
        }
    }
}
