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
    output::print(session.format, &me, me_text)
}

fn me_text(me: &Value) -> String {
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
}

/// Shows everybody whom a model's policy names, and what each may do now.
pub(crate) async fn people(session: &Session, model: &ModelName) -> Result<(), Failure> {
    let found: Value = session.control().await?.get(&format!("/v1/models/{model}/people")).await?;
    output::print(session.format, &found, people_text)
}

fn people_text(found: &Value) -> String {
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
}

/// The texts of a list, with commas.
fn listed(value: &Value, name: &str) -> String {
    let texts = value.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    texts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_caller_reads_who_they_are_and_why_they_may() {
        let me = json!({
            "principal": "arn:aws:iam::1:user/sue", "auth": "iam", "platform_owner": false,
            "model": {
                "model": "credit-risk", "policy": 3, "person": "sue@example.com", "principals": [],
                "roles": ["submitter", "auditor"],
                "rights": [
                    { "right": "decide", "what": "decide at gates", "may": false, "why": "not an approver" },
                    { "right": "promote", "what": "submit or promote a version", "may": true, "why": "submitter" },
                ],
            },
        });
        let text = me_text(&me);
        assert!(text.contains("person         sue@example.com (submitter, auditor)"), "{text}");
        let lines: Vec<Vec<&str>> =
            text.lines().map(|l| l.split("  ").filter(|w| !w.is_empty()).map(str::trim).collect()).collect();
        assert!(lines.contains(&vec!["decide at gates", "no", "not an approver"]), "{text}");
        assert!(lines.contains(&vec!["submit or promote a version", "yes", "submitter"]), "{text}");
        let stranger = json!({ "principal": "AROA", "auth": "iam", "model": { "model": "m", "person": null, "rights": [] } });
        assert!(me_text(&stranger).contains("nobody whom the policy of m names"));
        assert_eq!(me_text(&json!({ "principal": "AROA", "auth": "iam" })).lines().count(), 2);
    }

    #[test]
    fn people_stand_in_a_table_with_what_is_lent_and_left_open() {
        let found = json!({
            "model": "m", "policy": 2, "set_by": "owen@example.com", "quorum": 1, "separation_of_duties": true,
            "automatic": false, "platform_owners": [],
            "people": [{
                "person": "ann@example.com", "roles": ["approver"],
                "rights": [
                    { "right": "decide", "what": "decide at gates", "may": true, "why": "approver" },
                    { "right": "own", "what": "change policy and benchmark", "may": false, "why": "x" },
                ],
            }],
            "delegations": [{ "from": "ann@example.com", "to": "bob@example.com", "until": "2026-12-10T00:00:00Z", "holds": true }],
            "notes": ["nobody is operator: whoever the API lets in may roll back"],
        });
        let text = people_text(&found);
        let row = text.lines().find(|l| l.starts_with("ann@example.com") && l.contains("approver")).unwrap();
        assert_eq!(row.split_whitespace().filter(|w| *w == "yes").count(), 1, "{text}");
        assert!(
            text.contains("bob@example.com")
                && text.contains("2026-12-10T00:00:00Z")
                && text.contains("holds"),
            "{text}"
        );
        assert!(text.contains("note: nobody is operator"), "{text}");
    }
}
