//! What a check answers, and the rows that makes. Pure.

use seatrial_domain::policy::{IntegrationCheck, Margin, MetricRule};
use seatrial_domain::verdict::{Direction, MetricClass, Verdict};
use seatrial_evidence::report::{MetricGroup, MetricRow, MetricUnit};
use seatrial_evidence::rows::{self, Name};
use serde::Deserialize;

/// The most metrics of one answer.
const MAX_METRICS: usize = 20;
/// The most characters of a message that are shown.
const MAX_MESSAGE: usize = 500;

/// The answer of a check. Fields that are not known are passed over.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct CheckAnswer {
    verdict: Verdict,
    #[serde(default)]
    message: String,
    #[serde(default)]
    metrics: Vec<CheckMetric>,
}

/// Something a check measured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct CheckMetric {
    name: String,
    value: f64,
    #[serde(default)]
    limit: Option<f64>,
    #[serde(default)]
    direction: Option<Direction>,
}

/// Reads an answer.
pub(super) fn parse(bytes: &[u8]) -> Result<CheckAnswer, String> {
    let expected = "expected JSON {verdict: pass | fail | inconclusive, message, metrics?: [{name, value, limit?, direction?}]}";
    let answer: CheckAnswer =
        serde_json::from_slice(bytes).map_err(|e| format!("its answer cannot be read ({e}); {expected}"))?;
    if answer.metrics.len() > MAX_METRICS {
        let found = answer.metrics.len();
        return Err(format!("its answer has {found} metrics; expected at most {MAX_METRICS}"));
    }
    for metric in &answer.metrics {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if metric.name.is_empty() || metric.name.len() > 64 || !metric.name.chars().all(plain) {
            return Err(format!(
                "its answer names a metric {:?}; expected 1 to 64 letters, digits, '-', '_' or '.'",
                shown(&metric.name)
            ));
        }
        // JSON has no other numbers, but 1e999 reads as infinite in some.
        if !metric.value.is_finite() || metric.limit.is_some_and(|l| !l.is_finite()) {
            return Err(format!("the metric {} of its answer is no finite number", metric.name));
        }
        if metric.limit.is_some() && metric.direction.is_none() {
            return Err(format!(
                "the metric {} of its answer has a limit without a direction; expected higher_is_better or lower_is_better",
                metric.name
            ));
        }
    }
    Ok(answer)
}

/// One row for the verdict, and one for each metric.
pub(super) fn rows(check: &IntegrationCheck, answer: Result<CheckAnswer, String>) -> Vec<MetricRow> {
    let (verdict, said, metrics) = match answer {
        Ok(answer) => {
            let message = shown(&answer.message);
            let word = answer.verdict.as_str();
            let said = if message.is_empty() {
                format!("the check says {word}, and nothing more")
            } else {
                format!("the check says {word}: {message}")
            };
            (answer.verdict, said, answer.metrics)
        }
        Err(found) => (Verdict::Inconclusive, format!("the check gave no verdict: {found}"), Vec::new()),
    };
    let mut made =
        vec![MetricRow { class: check.class, ..rows::check(named(&check.name), 1, verdict, said) }];
    for metric in metrics {
        let full = format!("{}.{}", check.name, metric.name);
        made.push(measured(check, named(&full), &metric));
    }
    made
}

fn named(name: &str) -> Name<'_> {
    Name { group: MetricGroup::Check, name, segment: None, unit: MetricUnit::Number }
}

fn measured(check: &IntegrationCheck, name: Name<'_>, metric: &CheckMetric) -> MetricRow {
    let direction = metric.direction.unwrap_or(Direction::HigherIsBetter);
    let class = if metric.limit.is_some() { check.class } else { MetricClass::Info };
    let rule = MetricRule { class, margin: Margin::Absolute(0.0), direction, limit: metric.limit };
    let value = metric.value;
    let (verdict, why) = match (metric.limit, direction) {
        (None, _) => (Verdict::Pass, format!("the check measured {value}; shown only: it set no limit")),
        (Some(limit), Direction::HigherIsBetter) => judged(value, value >= limit, "at least", limit),
        (Some(limit), Direction::LowerIsBetter) => judged(value, value <= limit, "at most", limit),
    };
    MetricRow { challenger: Some(value), n: 1, margin: None, verdict, ..rows::without(name, &rule, why) }
}

fn judged(value: f64, met: bool, word: &str, limit: f64) -> (Verdict, String) {
    let verdict = if met { Verdict::Pass } else { Verdict::Fail };
    let is = if met { "met" } else { "broken" };
    (verdict, format!("the check measured {value}; its limit of {word} {limit} is {is}"))
}

/// Text of a stranger, for one line: no control characters, and not too much of it.
fn shown(text: &str) -> String {
    let line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn check() -> IntegrationCheck {
        serde_json::from_str(r#"{"name":"contract","url":"https://checks.example.com/c"}"#).unwrap()
    }

    fn made(answer: &str) -> Vec<MetricRow> {
        rows(&check(), parse(answer.as_bytes()))
    }

    #[test]
    fn a_verdict_becomes_a_row_with_its_message() {
        for (word, verdict) in
            [("pass", Verdict::Pass), ("fail", Verdict::Fail), ("inconclusive", Verdict::Inconclusive)]
        {
            let made = made(&format!(r#"{{"verdict":"{word}","message":"12 requests\n answered"}}"#));
            assert_eq!((made.len(), made[0].verdict, made[0].class), (1, verdict, MetricClass::Guardrail));
            assert_eq!((made[0].name.as_str(), made[0].group), ("contract", MetricGroup::Check));
            assert_eq!(made[0].why, format!("the check says {word}: 12 requests  answered"));
        }
    }

    #[test]
    fn metrics_are_judged_by_their_own_limits() {
        let made = made(
            r#"{"verdict":"pass","message":"","metrics":[
                {"name":"p99_ms","value":250,"limit":200,"direction":"lower_is_better"},
                {"name":"recall","value":0.9,"limit":0.8,"direction":"higher_is_better"},
                {"name":"calls","value":40}]}"#,
        );
        let found: Vec<_> = made.iter().map(|r| (r.name.as_str(), r.verdict, r.class)).collect();
        assert_eq!(
            found,
            [
                ("contract", Verdict::Pass, MetricClass::Guardrail),
                ("contract.p99_ms", Verdict::Fail, MetricClass::Guardrail),
                ("contract.recall", Verdict::Pass, MetricClass::Guardrail),
                ("contract.calls", Verdict::Pass, MetricClass::Info),
            ]
        );
        assert!(
            made[1].why.contains("250") && made[1].why.contains("at most 200 is broken"),
            "{}",
            made[1].why
        );
    }

    #[test]
    fn what_is_no_answer_is_inconclusive_and_says_what_was_found() {
        let many: Vec<_> = (0..21).map(|i| format!(r#"{{"name":"m{i}","value":1}}"#)).collect();
        for (answer, word) in [
            ("", "cannot be read"),
            ("<html>", "cannot be read"),
            (r#"{"verdict":"ok"}"#, "expected JSON"),
            (r#"{"message":"fine"}"#, "verdict"),
            (r#"{"verdict":"pass","metrics":[{"name":"<b>","value":1}]}"#, "names a metric"),
            (r#"{"verdict":"pass","metrics":[{"name":"a","value":"high"}]}"#, "cannot be read"),
            (r#"{"verdict":"pass","metrics":[{"name":"a","value":1,"limit":2}]}"#, "without a direction"),
            (&format!(r#"{{"verdict":"pass","metrics":[{}]}}"#, many.join(",")), "21 metrics"),
        ] {
            let made = made(answer);
            assert_eq!((made.len(), made[0].verdict), (1, Verdict::Inconclusive), "{answer}");
            assert!(made[0].why.contains(word), "{answer}: {}", made[0].why);
        }
    }

    #[test]
    fn a_long_message_is_cut() {
        let made = made(&format!(r#"{{"verdict":"pass","message":"{}"}}"#, "ä".repeat(10_000)));
        assert!(made[0].why.chars().count() < 600 && made[0].why.ends_with('…'));
    }
}
