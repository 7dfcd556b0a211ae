//! Who the caller is, and who may do what.

use seatrial_domain::ModelName;
use serde_json::Value;

use super::Session;
use crate::failure::Failure;
use crate::output::{self, text};

/// Shows who the caller is to the API, and in a model.
pub(crate) async fn whoami(session: &Session, model: Option<&ModelName>) -> Result<(), Failure> {
    let path = match model {
        Some(model) => format!("/v1/whoami?model={model}"),
        None => "/v1/whoami".to_owned(),
    };
    let me: Value = session.control().await?.get(&path).await?;
    output::print(session.format, &me, |me| {
        let model = me.get("model").unwrap_or(&Value::Null);
        let named = if model.is_null() {
            String::new()
        } else {
            match model.get("person").and_then(Value::as_str) {
                Some(person) => format!("{person} ({})", listed(model, "roles")),
                None => format!(
                    "nobody whom the policy of {} names; add the principal to a person's `principals`",
                    text(model, "/model")
                ),
            }
        };
        let owner = me.get("platform_owner").and_then(Value::as_bool) == Some(true);
        let mut out = output::facts([
            ("principal", text(me, "/principal")),
            ("authenticated", text(me, "/auth")),
            ("platform", if owner { "may change every model's policy and benchmark" } else { "" }.into()),
            ("person", named),
            ("decides for", model.get("decides_for").and_then(Value::as_str).unwrap_or_default().to_owned()),
        ]);
        if let Some(rights) = model.get("rights").and_then(Value::as_array) {
            out.push('\n');
            let row = |r: &Value| {
                let may = if r.get("may") == Some(&Value::Bool(true)) { "yes" } else { "no" };
                [text(r, "/what"), may.to_owned(), text(r, "/why")]
            };
            out.push_str(&output::table(["right", "may", "why"], rights.iter().map(row)));
        }
        out
    })
}

/// Shows everybody whom a model's policy names, and what each may do now.
pub(crate) async fn people(session: &Session, model: &ModelName) -> Result<(), Failure> {
    let found: Value = session.control().await?.get(&format!("/v1/models/{model}/people")).await?;
    output::print(session.format, &found, |found| {
        let list = |name: &str| found.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let on = |name: &str| found.get(name) == Some(&Value::Bool(true));
        let mut out = output::facts([
            ("policy", format!("{}, set by {}", text(found, "/policy"), text(found, "/set_by"))),
            ("approvals needed", text(found, "/quorum")),
            ("separation of duties", if on("separation_of_duties") { "on" } else { "off" }.into()),
            ("automatic approval", if on("automatic") { "unless blocked" } else { "" }.into()),
            ("platform", listed(found, "platform_owners")),
        ]);
        out.push('\n');
        let may = |person: &Value, right: &str| {
            let rights = person.get("rights").and_then(Value::as_array).into_iter().flatten();
            let has = rights.filter(|r| r.get("may") == Some(&Value::Bool(true)));
            let has = has.into_iter().any(|r| r.get("right").and_then(Value::as_str) == Some(right));
            if has { "yes" } else { "-" }.to_owned()
        };
        out.push_str(&output::table(
            [
                "person",
                "roles",
                "submit",
                "decide",
                "block",
                "roll back",
                "end shadow",
                "retire",
                "policy",
                "skip",
            ],
            list("people").iter().map(|p| {
                [
                    text(p, "/person"),
                    listed(p, "roles"),
                    may(p, "promote"),
                    may(p, "decide"),
                    may(p, "block"),
                    may(p, "roll_back"),
                    may(p, "stop_shadow"),
                    may(p, "retire"),
                    may(p, "own"),
                    may(p, "skip"),
                ]
            }),
        ));
        let delegations = list("delegations");
        if !delegations.is_empty() {
            out.push('\n');
            out.push_str(&output::table(
                ["lends the right to decide", "to", "from", "until", "now"],
                delegations.iter().map(|d| {
                    let holds =
                        if d.get("holds") == Some(&Value::Bool(true)) { "holds" } else { "does not hold" };
                    [text(d, "/from"), text(d, "/to"), text(d, "/since"), text(d, "/until"), holds.into()]
                }),
            ));
        }
        for note in list("notes").iter().filter_map(Value::as_str) {
            out.push_str(&format!("\nnote: {note}"));
        }
        out
    })
}

/// The texts of a list, with commas.
fn listed(value: &Value, name: &str) -> String {
    let texts = value.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    texts.collect::<Vec<_>>().join(", ")
}
