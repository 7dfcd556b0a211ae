//! What becomes of versions that are out of use.

use jiff::Timestamp;
use seatrial_domain::ModelName;
use seatrial_domain::ids::VersionName;
use seatrial_domain::policy::After;
use seatrial_domain::retention::{Fate, Freed, Line, Plan};
use serde::Deserialize as _;
use serde_json::Value;

use super::Session;
use crate::failure::Failure;
use crate::output;

/// Shows the plan; nobody is asked to carry it out.
pub(crate) async fn retention(session: &Session, model: &ModelName) -> Result<(), Failure> {
    let plan: Plan = session.control().await?.get(&format!("/v1/models/{model}/retention")).await?;
    output::print(session.format, &plan, told)
}

/// What becomes of the bytes of a version that was just retired, by the API's answer to that.
pub(crate) fn bytes_of(model: &ModelName, version: VersionName, answer: &Value) -> String {
    let line = answer.get("retention").and_then(|line| Line::deserialize(line).ok());
    let plan = format!("`seatrial retention {model}` shows the plan");
    match line {
        Some(Line { fate: Fate::Keep, due: Some(due), .. }) => {
            format!("its bytes are deleted after {} at the earliest; {plan}", minute(due))
        }
        Some(Line { fate: Fate::Keep, why, .. }) => format!("its bytes stay: it {why}; {plan}"),
        Some(Line { fate: Fate::Collect, .. }) => {
            format!("its bytes are deleted within the hour, as the policy says; {plan}")
        }
        Some(Line { fate: Fate::Collecting | Fate::Collected, why, .. }) => format!("{version} {why}"),
        Some(Line { fate: Fate::Retire, .. }) | None => plan,
    }
}

fn told(plan: &Plan) -> String {
    let standbys = match plan.retire_standby_after_days {
        After::Never => "by people alone".to_owned(),
        After::Days(_) => format!("{} after the crown", plan.retire_standby_after_days),
    };
    let collected = match plan.collect_retired_after_days {
        After::Never => "never".to_owned(),
        After::Days(_) => format!("{} after it was retired", plan.collect_retired_after_days),
    };
    let due = match plan.due.objects {
        0 => "nothing".to_owned(),
        _ => format!("{} in {} files", output::size(plan.due.bytes), plan.due.objects),
    };
    let mut out = output::facts([
        ("model", plan.model.to_string()),
        ("a standby is retired", standbys),
        ("a version is collected", collected),
        ("due now", due),
    ]);
    out.push('\n');
    if plan.versions.is_empty() {
        out.push_str("there is no version yet\n");
        return out;
    }
    out.push_str(&output::table(
        ["version", "status", "what", "when", "frees", "because it"],
        plan.versions.iter().map(|l| {
            [
                l.version.to_string(),
                l.status.as_str().to_owned(),
                what(l).to_owned(),
                l.due.map_or_else(|| "-".into(), minute),
                l.frees.map_or_else(|| "-".into(), freed),
                l.why.clone(),
            ]
        }),
    ));
    out
}

fn what(line: &Line) -> &'static str {
    match line.fate {
        Fate::Keep => "kept",
        Fate::Retire => "RETIRED within the hour",
        Fate::Collect => "COLLECTED within the hour",
        Fate::Collecting => "being deleted",
        Fate::Collected => "gone",
    }
}

fn freed(freed: Freed) -> String {
    output::size(freed.bytes)
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%MZ").to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(version: &str, status: &str, fate: &str, reason: &str, why: &str, more: &Value) -> Value {
        let mut line = json!({
            "version": version, "digest": format!("sha256:{}", "7".repeat(64)), "status": status, "fate": fate,
            "reason": reason, "why": why,
        });
        for (name, value) in more.as_object().unwrap() {
            line[name] = value.clone();
        }
        line
    }

    fn plan() -> Plan {
        let retired = "was retired at 2026-08-01T09:00:00Z; the policy keeps it 90 days";
        let at = |due: &str, bytes: u64| json!({ "due": due, "retired_at": "2026-08-01T09:00:00Z", "frees": { "objects": 2, "bytes": bytes } });
        serde_json::from_value(json!({
            "model": "credit-risk", "at": "2026-11-29T08:00:00Z", "collect_retired_after_days": 90,
            "retire_standby_after_days": "never", "due": { "objects": 2, "bytes": 41_234_567 },
            "versions": [
                line("v1", "collected", "collected", "collected", "was collected at 2026-10-01T09:00:00Z", &json!({})),
                line("v2", "retired", "collect", "due", retired, &at("2026-10-30T09:00:00Z", 41_234_567)),
                line("v3", "retired", "keep", "young", retired, &at("2026-12-30T09:00:00Z", 512)),
                line("v4", "standby", "keep", "standby", "is the standby, which a rollback brings back", &json!({})),
                line("v5", "champion", "keep", "champion", "is the champion", &json!({})),
            ],
        }))
        .unwrap()
    }

    #[test]
    fn the_plan_says_of_each_version_what_becomes_of_it_and_why() {
        insta::assert_snapshot!(told(&plan()));
        assert!(told(&Plan { versions: vec![], due: Freed::default(), ..plan() }).contains("no version yet"));
    }

    #[test]
    fn who_retires_a_version_is_told_when_its_bytes_go() {
        let model = ModelName::parse("credit-risk").unwrap();
        let told = |n: usize| {
            let line = &plan().versions[n];
            bytes_of(&model, line.version, &json!({ "status": "retired", "retention": line }))
        };
        assert_eq!(
            told(2),
            "its bytes are deleted after 2026-12-30 09:00Z at the earliest; `seatrial retention credit-risk` shows the plan"
        );
        assert!(told(1).starts_with("its bytes are deleted within the hour"));
        assert_eq!(told(0), "v1 was collected at 2026-10-01T09:00:00Z");
        let unknown = bytes_of(&model, VersionName::new(1), &json!({ "status": "retired" }));
        assert_eq!(unknown, "`seatrial retention credit-risk` shows the plan");
    }
}
