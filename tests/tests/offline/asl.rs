//! The state machines as text: what an engine would only find out in the middle of somebody's promotion.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use seatrial_runtime::label;
use seatrial_tests::asl::{self, Machine};
use seatrial_tests::template::Template;
use serde_json::Value;

/// Errors that AWS raises, and what they mean for whoever retries or catches them.
const AWS_ERRORS: [&str; 2] = ["States.ALL", "States.Timeout"];

/// What a function's invocation may fail with and another one need not: from the service, from a function that is being set up (anew,
/// after weeks in which nobody called it), from its process.
const FUNCTION_ERRORS: [&str; 11] = [
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    IDLE,
    "Lambda.ResourceConflictException",
    "Lambda.CodeArtifactUserPendingException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Sandbox.Timedout",
];

/// What an idle function in a VPC answers until it is set up again.
const IDLE: &str = "Lambda.ResourceNotReadyException";

/// The same of starting an execution.
const EXECUTION_ERRORS: [&str; 3] = [
    "StepFunctions.ExecutionLimitExceededException",
    "StepFunctions.SfnException",
    "StepFunctions.SdkClientException",
];

/// The functions of JSONata that the machines use; `states` is the context.
const JSONATA: [&str; 9] =
    ["states", "merge", "max", "floor", "string", "substring", "parse", "exists", "count"];

fn each(check: impl Fn(&Machine)) {
    let machines = asl::machines().unwrap();
    assert_eq!(machines.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["canary", "promotion"]);
    machines.iter().for_each(check);
}

#[test]
fn a_machine_is_short_says_what_it_is_for_and_speaks_jsonata() {
    each(|m| {
        assert!(m.text.lines().count() < 240, "{} has {} lines", m.name, m.text.lines().count());
        assert!(m.root["Comment"].as_str().is_some_and(|c| c.len() > 40), "{} needs a comment", m.name);
        assert_eq!(m.root["QueryLanguage"], "JSONata", "{}", m.name);
        let unknown: Vec<_> = m
            .root
            .as_object()
            .unwrap()
            .keys()
            .filter(|k| !["Comment", "QueryLanguage", "StartAt", "States"].contains(&k.as_str()))
            .collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", m.name);
    });
}

#[test]
fn every_edge_leads_somewhere_every_state_is_reached_and_comes_to_an_end() {
    each(|m| {
        let states = m.states();
        let start = m.root["StartAt"].as_str().unwrap();
        for (name, state) in &states {
            for next in asl::edges(state) {
                assert!(
                    states.contains_key(next.as_str()),
                    "{}: {name} goes to {next}, which does not exist",
                    m.name
                );
            }
            assert_eq!(
                asl::is_terminal(state),
                asl::edges(state).is_empty(),
                "{}: {name} ends and goes on, or neither",
                m.name
            );
            let ends = m.reachable(name).iter().any(|s| asl::is_terminal(states[s.as_str()]));
            assert!(ends, "{}: from {name} no end can be reached", m.name);
        }
        let reached = m.reachable(start);
        let lost: Vec<_> = states.keys().filter(|name| !reached.contains(**name)).collect();
        assert!(lost.is_empty(), "{}: nothing leads to {lost:?}", m.name);
    });
}

#[test]
fn states_are_named_in_pascal_case() {
    each(|m| {
        for name in m.states().keys() {
            let pascal = name.starts_with(|c: char| c.is_ascii_uppercase())
                && name.chars().all(|c| c.is_ascii_alphabetic());
            assert!(pascal, "{}: {name}", m.name);
        }
    });
}

/// Every task with the state whose Catch takes what its retries do not cure: itself, or the Map that runs it.
fn tasks_and_their_catchers(m: &Machine) -> Vec<(&str, &Value, &Value)> {
    let outer = m.tasks().into_iter().map(|(name, task)| (name, task, task));
    let inner = m.inner_tasks().into_iter().map(|inner| (inner.name, inner.task, inner.around));
    outer.chain(inner).collect()
}

#[test]
fn every_task_retries_what_a_retry_cures_catches_the_rest_and_has_a_timeout() {
    each(|m| {
        for (name, task, catches) in tasks_and_their_catchers(m) {
            let at = format!("{}: {name}", m.name);
            let retry = task["Retry"].as_array().unwrap_or_else(|| panic!("{at} has no Retry"));
            let retried: BTreeSet<_> = retry.iter().flat_map(|r| asl::strings(&r["ErrorEquals"])).collect();
            let passing: &[&str] = if task["Arguments"]["FunctionName"].is_string() {
                assert!(retried.contains(label::UNAVAILABLE), "{at}");
                &FUNCTION_ERRORS
            } else {
                &EXECUTION_ERRORS
            };
            for error in passing {
                assert!(retried.contains(error), "{at} does not retry {error}");
            }
            for rule in retry {
                for field in ["IntervalSeconds", "BackoffRate", "MaxAttempts", "MaxDelaySeconds"] {
                    assert!(rule[field].is_number(), "{at}: a Retry without {field}");
                }
                assert_eq!(rule["JitterStrategy"], "FULL", "{at}");
            }
            for lasting in label::ALL.into_iter().filter(|l| *l != label::UNAVAILABLE) {
                assert!(!retried.contains(lasting), "{at} retries {lasting}, which no retry can cure");
            }
            assert!(!retried.contains("States.ALL"), "{at} retries everything");
            let waits = task["Resource"].as_str().unwrap().ends_with(".waitForTaskToken");
            assert!(
                !(waits && retried.contains("States.Timeout")),
                "{at}: the timeout of a wait is an answer, not a failure"
            );
            let last = catches["Catch"]
                .as_array()
                .and_then(|c| c.last())
                .unwrap_or_else(|| panic!("{at} has no Catch"));
            assert_eq!(
                last["ErrorEquals"],
                serde_json::json!(["States.ALL"]),
                "{at}: the last Catch must take everything"
            );
            let timeout = &task["TimeoutSeconds"];
            let usable = timeout.as_u64().is_some_and(|s| s > 0)
                || timeout.as_str().and_then(asl::expression).is_some_and(|e| e.starts_with("$max([1,"));
            assert!(usable, "{at}: TimeoutSeconds {timeout}");
        }
    });
}

/// The seconds for which a rule retries, on average: full jitter draws each wait evenly from nothing to its longest.
fn retried_for(rule: &Value) -> f64 {
    let number = |field: &str| rule[field].as_f64().unwrap();
    let longest =
        |n: i32| (number("IntervalSeconds") * number("BackoffRate").powi(n)).min(number("MaxDelaySeconds"));
    let attempts = i32::try_from(rule["MaxAttempts"].as_i64().unwrap()).unwrap();
    (0..attempts).map(|n| longest(n) / 2.0).sum()
}

#[test]
fn a_function_that_was_idle_for_weeks_has_the_time_to_be_set_up_again() {
    each(|m| {
        for (name, task, _) in tasks_and_their_catchers(m) {
            let rules = task["Retry"].as_array().unwrap();
            for rule in rules.iter().filter(|rule| asl::strings(&rule["ErrorEquals"]).contains(&IDLE)) {
                assert!(retried_for(rule) > 150.0, "{}: {name} {} s", m.name, retried_for(rule));
            }
        }
    });
}

#[test]
fn a_submission_outwaits_a_deletion_that_was_broken_off() {
    let promotion = asl::machine("promotion").unwrap();
    let states = promotion.states();
    let retry = &states["PackageSubmission"]["Retry"][0];
    assert!(asl::strings(&retry["ErrorEquals"]).contains(&label::UNAVAILABLE));
    // `sweep` takes a deletion up again after three minutes; a wait may be drawn much shorter than the mean.
    assert!(retried_for(retry) > 1.5 * 180.0, "{} s", retried_for(retry));
}

#[test]
fn every_error_name_is_a_label_or_known_of_aws() {
    each(|m| {
        let inner = m.inner_tasks().into_iter().map(|inner| (inner.name, inner.task));
        for (name, state) in m.states().into_iter().chain(inner) {
            let rules =
                ["Retry", "Catch"].into_iter().flat_map(|key| state[key].as_array().into_iter().flatten());
            for error in rules.flat_map(|rule| asl::strings(&rule["ErrorEquals"])) {
                assert!(
                    label::ALL.contains(&error)
                        || AWS_ERRORS.contains(&error)
                        || FUNCTION_ERRORS.contains(&error)
                        || EXECUTION_ERRORS.contains(&error),
                    "{}: {name} names {error}",
                    m.name
                );
            }
            if state["Type"] == "Fail" {
                assert!(
                    label::ALL.contains(&state["Error"].as_str().unwrap()),
                    "{}: {name} fails with {}",
                    m.name,
                    state["Error"]
                );
            }
        }
    });
}

#[test]
fn the_labels_that_only_machines_raise_are_raised() {
    let promotion = asl::machine("promotion").unwrap();
    let raised: BTreeSet<_> = promotion.states().values().filter_map(|s| s["Error"].as_str()).collect();
    for wanted in [label::REJECTED, label::ROLLED_BACK, label::NOT_STARTED, label::UNATTESTED] {
        assert!(raised.contains(wanted), "{wanted}");
    }
}

#[test]
fn every_substitution_is_supplied_and_used() {
    let template = Template::read().unwrap();
    let machines = template.of_type("AWS::StepFunctions::StateMachine");
    assert_eq!(machines.len(), 2);
    each(|m| {
        let (_, properties) = machines
            .iter()
            .find(|(_, p)| {
                p["DefinitionS3Location"]["Key"]["Ref"]
                    .as_str()
                    .is_some_and(|k| k.to_lowercase() == format!("{}aslkey", m.name))
            })
            .unwrap_or_else(|| panic!("the template has no state machine for {}", m.name));
        let supplied: BTreeSet<String> =
            properties["DefinitionSubstitutions"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(supplied, m.substitutions(), "{}: supplied by the template (left), used (right)", m.name);
        assert!(!m.text.contains("arn:aws"), "{}: partitions differ, write arn:${{Partition}}", m.name);
        for (name, value) in properties["DefinitionSubstitutions"].as_object().unwrap() {
            if let Some(function) = name.strip_suffix("Function") {
                assert_eq!(
                    value["Ref"],
                    format!("{function}Alias"),
                    "{}: {name} is called through its alias",
                    m.name
                );
            }
        }
    });
}

#[test]
fn a_task_waits_longer_than_its_function_may_run() {
    let template = Template::read().unwrap();
    each(|m| {
        for (name, task, _) in tasks_and_their_catchers(m) {
            let Some(function) = task["Arguments"]["FunctionName"].as_str() else { continue };
            let function = function.trim_start_matches("${").trim_end_matches('}');
            let runs = template.properties(function)["Timeout"].as_u64().unwrap();
            if let Some(waits) = task["TimeoutSeconds"].as_u64() {
                assert!(
                    waits > runs,
                    "{}: {name} gives up after {waits} s, {function} may run {runs} s",
                    m.name
                );
            }
        }
    });
}

#[test]
fn the_approval_waits_beyond_what_any_policy_sets_and_within_a_year() {
    let promotion = asl::machine("promotion").unwrap();
    let seconds = u64::from(seatrial_domain::task::LONGEST_WAIT_SECONDS);
    // How long it waits is what `compare` and `gate` say; both say this where no window ends earlier, and so does a machine
    // whose `compare` is older.
    let timeout = promotion.tasks()["AwaitApproval"]["TimeoutSeconds"].as_str().unwrap();
    assert_eq!(timeout, "{% $max([1, $wait_seconds]) %}");
    let compared = promotion.tasks()["CompareVersions"]["Assign"]["wait_seconds"].as_str().unwrap();
    assert!(compared.ends_with(&format!(": {seconds} %}}")), "{compared}");
    let mut policy = seatrial_domain::policy::Policy::default();
    policy.approval.expires_seconds = u32::try_from(seconds).unwrap();
    let refused = policy.check().iter().any(|d| d.field == "approval.expires_seconds");
    assert!(refused, "a policy may set an expiry of {seconds} s, which is as long as the task waits");
    assert!(seconds < 31_536_000);
}

#[test]
fn every_variable_is_assigned_before_somebody_reads_it() {
    each(|m| {
        let states = m.states();
        let known = assigned_on_every_path(m);
        for (name, state) in &states {
            // `Assign` and `Output` of a state see what was assigned before it.
            for expression in asl::expressions(state) {
                for used in asl::names(expression) {
                    let there =
                        used.is_empty() || JSONATA.contains(&used.as_str()) || known[*name].contains(&used);
                    assert!(
                        there,
                        "{}: {name} reads ${used}, which is not assigned on every path to it",
                        m.name
                    );
                }
            }
        }
    });
}

/// For each state the variables that every path from the start has assigned: the largest solution of
/// "in(s) = intersection of out(p) over all edges p → s".
fn assigned_on_every_path(m: &Machine) -> BTreeMap<String, BTreeSet<String>> {
    let states = m.states();
    let assigns = |v: &Value| -> BTreeSet<String> {
        v["Assign"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    let everything: BTreeSet<String> = states
        .values()
        .flat_map(|s| {
            [assigns(s)].into_iter().chain(
                ["Choices", "Catch"]
                    .into_iter()
                    .flat_map(|k| s[k].as_array().into_iter().flatten().map(assigns)),
            )
        })
        .flatten()
        .collect();
    let start = m.root["StartAt"].as_str().unwrap();
    let mut known: BTreeMap<String, BTreeSet<String>> =
        states.keys().map(|n| ((*n).to_owned(), everything.clone())).collect();
    known.insert(start.to_owned(), BTreeSet::new());
    loop {
        let mut changed = false;
        for (name, state) in &states {
            let before = known[*name].clone();
            let mut flow = |to: &Value, more: BTreeSet<String>| {
                let Some(to) = to.as_str() else { return };
                let out: BTreeSet<String> = before.union(&more).cloned().collect();
                let narrowed: BTreeSet<String> = known[to].intersection(&out).cloned().collect();
                changed |= narrowed.len() < known[to].len();
                known.insert(to.to_owned(), narrowed);
            };
            flow(&state["Next"], assigns(state));
            flow(&state["Default"], assigns(state));
            for rule in
                ["Choices", "Catch"].into_iter().flat_map(|k| state[k].as_array().into_iter().flatten())
            {
                flow(&rule["Next"], assigns(rule));
            }
        }
        if !changed {
            return known;
        }
    }
}

#[test]
fn whatever_fails_after_the_start_comes_to_the_abort_or_is_left_to_the_sweep() {
    let promotion = asl::machine("promotion").unwrap();
    for (name, task) in promotion.tasks() {
        let caught = task["Catch"].as_array().unwrap().last().unwrap()["Next"].as_str().unwrap();
        let wanted = match name {
            "PackageSubmission" => "NotStarted",
            "AbortPromotion" | "AttestPromotion" => "Unattested",
            _ => "ExplainFailure",
        };
        assert_eq!(caught, wanted, "{name}");
    }
    let explained = promotion.states()["ExplainFailure"]["Next"].clone();
    assert_eq!(explained, "AbortPromotion");
    // The only way to `Done` is over `attest`, and to `crown` over an approval.
    let into = |target: &str| -> Vec<String> {
        let states = promotion.states();
        states
            .iter()
            .filter(|(_, s)| asl::edges(s).iter().any(|e| e == target))
            .map(|(n, _)| (*n).to_owned())
            .collect()
    };
    assert_eq!(into("CrownChallenger"), ["JudgeApproval", "JudgeCanary"]);
    assert_eq!(into("RunCanary"), ["JudgeApproval"]);
    assert_eq!(into("Done"), ["JudgeEnd"]);
    assert_eq!(into("JudgeEnd"), ["AttestPromotion"]);
}

#[test]
fn the_canary_reports_what_the_promotion_reads() {
    let canary = asl::machine("canary").unwrap();
    let told: BTreeSet<String> =
        canary.states()["EndCanary"]["Output"].as_object().unwrap().keys().cloned().collect();
    let promotion = asl::machine("promotion").unwrap();
    let read: BTreeSet<String> = asl::expressions(&promotion.states()["RunCanary"]["Assign"])
        .into_iter()
        .flat_map(|e| asl::fields_of(e, "$states.result.Output"))
        .collect();
    assert_eq!(told, read);
}
