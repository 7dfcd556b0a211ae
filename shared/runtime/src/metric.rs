//! Counts that CloudWatch reads from the log (embedded metric format), namespace `Seatrial`: by function, and by function and
//! model. The template's alarms look at the first.

use std::sync::OnceLock;

use jiff::Timestamp;
use seatrial_domain::ids::ModelName;
use serde_json::{Value, json};

use crate::config::function_name;

/// A signal holds a canary.
pub const SIGNAL_HELD: &str = "SignalHeld";
/// A notice reached one receiver.
pub const NOTICE_DELIVERED: &str = "NoticeDelivered";
/// A notice was given up for one receiver.
pub const NOTICE_FAILED: &str = "NoticeFailed";

/// A traffic target is not in step with the route for longer than its kind takes.
pub const TARGET_LATE: &str = "TargetLate";
/// Somebody else had changed a traffic target.
pub const TARGET_CHANGED: &str = "TargetChanged";

/// Counts one for a model, in a Lambda; elsewhere nobody reads the log for metrics, and nothing is written.
pub fn count(name: &str, model: &ModelName) {
    static FUNCTION: OnceLock<Option<String>> = OnceLock::new();
    if let Some(function) = FUNCTION.get_or_init(function_name) {
        println!("{}", line(name, function, model, crate::now()));
    }
}

fn line(name: &str, function: &str, model: &ModelName, at: Timestamp) -> Value {
    json!({
        "_aws": {
            "Timestamp": at.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": "Seatrial",
                "Dimensions": [["Function"], ["Function", "Model"]],
                "Metrics": [{ "Name": name, "Unit": "Count" }],
            }],
        },
        "Function": function,
        "Model": model,
        name: 1,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_line_holds_the_value_and_the_dimensions_under_the_names_it_declares() {
        let line = line("RouteStale", "s-serve", &"m".parse().unwrap(), Timestamp::UNIX_EPOCH);
        let declared = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(declared["Metrics"][0]["Name"], "RouteStale");
        assert_eq!(declared["Dimensions"], json!([["Function"], ["Function", "Model"]]));
        assert_eq!(
            (&line["RouteStale"], &line["Function"], &line["Model"]),
            (&json!(1), &json!("s-serve"), &json!("m"))
        );
    }
}
