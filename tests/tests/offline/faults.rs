//! The plan of faults: everything that can go wrong at a task is in it, for every task there is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use seatrial_tests::asl::{self, Machine};
use seatrial_tests::faults::{
    Case, Consequence, End, Fault, ONLY_SOMEWHERE, REJECTED, ROLLED_BACK, Times, Way, plan,
};
use serde_json::{Value, json};

fn machines() -> Vec<Machine> {
    asl::machines().unwrap()
}

fn cases(machines: &[Machine]) -> BTreeMap<String, Case> {
    plan(machines).unwrap().cases.into_iter().map(|case| (case.to_string(), case)).collect()
}

/// Every task of a definition, wherever it stands.
fn tasks(value: &Value, found: &mut BTreeSet<String>) {
    for (name, state) in value["States"].as_object().into_iter().flatten() {
        if state["Type"] == "Task" {
            found.insert(name.clone());
        }
        tasks(&state["ItemProcessor"], found);
    }
}

/// The promotion with one more state between the evaluation and what comes after it.
fn with_a_new_state() -> Vec<Machine> {
    let mut machines = machines();
    let promotion = machines.iter_mut().find(|m| m.name == "promotion").unwrap();
    let mut state = promotion.root["States"]["CloseShadow"].clone();
    state["Next"] = promotion.root["States"]["EvaluateChallenger"]["Next"].clone();
    promotion.root["States"]["EvaluateChallenger"]["Next"] = json!("AskTheOracle");
    promotion.root["States"]["AskTheOracle"] = state;
    machines
}

#[test]
fn every_task_of_every_machine_meets_every_fault_that_can_strike_it() {
    let (machines, mut wanted) = (machines(), BTreeSet::new());
    for machine in &machines {
        tasks(&machine.root, &mut wanted);
    }
    let plan = plan(&machines).unwrap();
    let mut met: BTreeMap<&str, BTreeSet<Fault>> = BTreeMap::new();
    for case in &plan.cases {
        met.entry(&case.at.state).or_default().insert(case.fault);
    }
    assert_eq!(met.keys().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), wanted);
    // What cannot strike everywhere, by what the state is like in the definition.
    let waits_for_a_token = ["AwaitApproval", "AwaitShadow"];
    let has_a_child = ["RunCanary", "CheckHealth", "ShiftTraffic"];
    for (state, faults) in &met {
        for fault in Fault::ALL {
            let can = match fault {
                Fault::CallbackLost | Fault::CallbackRepeated | Fault::CallbackForgotten => {
                    waits_for_a_token.contains(state)
                }
                Fault::Overtaken => !waits_for_a_token.contains(state),
                Fault::StopChild => has_a_child.contains(state),
                _ => true,
            };
            assert_eq!(faults.contains(&fault), can, "{state}: {}", fault.name());
            let excused = ONLY_SOMEWHERE.iter().any(|(one, reason)| *one == fault && reason.len() > 20);
            assert!(can || excused, "{state} is not struck by {}, and no reason is given", fault.name());
        }
    }
    for (fault, _) in ONLY_SOMEWHERE {
        assert!(met.values().any(|faults| !faults.contains(&fault)), "{} strikes everywhere", fault.name());
    }
}

#[test]
fn a_new_state_is_in_the_plan_the_day_it_is_added() {
    let before = cases(&machines());
    let after = cases(&with_a_new_state());
    let new: BTreeSet<&str> =
        after.keys().filter(|name| !before.contains_key(*name)).map(String::as_str).collect();
    assert_eq!(new.len(), 14, "ten faults, four of them once and always: {new:#?}");
    assert!(new.iter().all(|name| name.starts_with("promotion.AskTheOracle: ")));
    assert!(after["promotion.AskTheOracle: crash after the effect"].consequence == Consequence::Cured);
    // A task of a kind that nobody has thought about is refused, not left out.
    let mut unknown = with_a_new_state();
    let promotion = unknown.iter_mut().find(|m| m.name == "promotion").unwrap();
    promotion.root["States"]["AskTheOracle"]["Resource"] = json!("arn:${Partition}:states:::sqs:sendMessage");
    let refused = format!("{:#}", plan(&unknown).unwrap_err());
    assert!(refused.contains("AskTheOracle") && refused.contains("no fault is known"), "{refused}");
}

#[test]
fn what_a_fault_comes_to_is_read_from_retry_and_catch() {
    let cases = cases(&machines());
    let ended = |next: &str| Consequence::Ended(next.to_owned());
    let led = |next: &str| Consequence::LedOn(next.to_owned());
    let rejected = false;
    let crowned = true;
    for (name, consequence, at_the_end) in [
        ("promotion.PackageSubmission: throttled", Consequence::Cured, crowned),
        ("promotion.PackageSubmission: permanent error", ended("NotStarted"), rejected),
        ("promotion.EvaluateChallenger: throttled, always", ended("ExplainFailure"), rejected),
        ("promotion.EvaluateChallenger: oversize output", Consequence::Dead, rejected),
        ("promotion.EvaluateChallenger: garbled output", ended("ExplainFailure"), rejected),
        // Nobody reads what the crown says.
        ("promotion.CrownChallenger: garbled output", Consequence::Cured, crowned),
        ("promotion.AwaitShadow: timeout", led("CloseWindow"), crowned),
        ("promotion.AwaitApproval: timeout", led("CloseApproval"), crowned),
        ("promotion.AwaitApproval: lost callback", Consequence::Cured, crowned),
        ("promotion.CountPartition: permanent error", ended("ExplainFailure"), rejected),
        // Nothing retries a canary that took too long.
        ("promotion.RunCanary: timeout", ended("ExplainFailure"), rejected),
        ("promotion.RunCanary: child stopped", ended("ExplainFailure"), rejected),
        ("canary.ShiftTraffic: States.Runtime", ended("ExplainFailure"), rejected),
        ("canary.CheckHealth: crash after the effect, always", ended("ExplainFailure"), rejected),
        ("canary.CheckHealth: parent stopped", Consequence::Dead, rejected),
        // What is crowned stays crowned, whatever the machine makes of it.
        ("promotion.CrownChallenger: permanent error", ended("ExplainFailure"), rejected),
        ("promotion.CrownChallenger: crash after the effect, always", ended("ExplainFailure"), crowned),
        ("promotion.CrownChallenger: States.Runtime", Consequence::Dead, crowned),
        ("promotion.CrownChallenger: throttled, always", ended("ExplainFailure"), rejected),
        // A crown that comes when the promotion has been given up is none.
        ("promotion.CrownChallenger: overtaken, always", ended("ExplainFailure"), rejected),
        ("promotion.RunCanary: overtaken", ended("ExplainFailure"), rejected),
        ("promotion.AttestPromotion: permanent error", ended("Unattested"), crowned),
        ("promotion.AttestPromotion: parent stopped", Consequence::Dead, crowned),
        ("promotion.AbortPromotion: crash after the effect", Consequence::Cured, rejected),
        ("promotion.AbortPromotion: permanent error", ended("Unattested"), rejected),
    ] {
        let case = cases.get(name).unwrap_or_else(|| panic!("{name} is not in the plan"));
        assert_eq!((&case.consequence, case.crowned), (&consequence, at_the_end), "{name}");
    }
    let back: BTreeSet<&str> =
        cases.values().filter(|case| case.on_the_way_back).map(|case| case.at.state.as_str()).collect();
    assert_eq!(back, BTreeSet::from(["AbortPromotion"]));
}

#[test]
fn only_a_fault_that_a_retry_answers_makes_a_difference_by_how_often_it_strikes() {
    for case in plan(&machines()).unwrap().cases {
        let retried =
            [Fault::Throttled, Fault::Timeout, Fault::Overtaken, Fault::Crash].contains(&case.fault);
        assert!(retried || case.times == Times::Once, "{case}");
    }
}

#[test]
fn every_case_is_in_a_run_and_a_short_run_has_every_task_and_every_fault() {
    let plan = plan(&machines()).unwrap();
    let names = |runs: &[seatrial_tests::faults::Run]| -> BTreeSet<String> {
        runs.iter().flat_map(|run| run.cases.iter().map(ToString::to_string)).collect()
    };
    let all = plan.runs();
    assert_eq!(names(&all), plan.cases.iter().map(ToString::to_string).collect());
    let mut seen = BTreeSet::new();
    for run in &all {
        assert!(run.cases.len() == 1 || run.cured(), "{}: what ends a promotion ends it alone", run.name());
        assert!(
            run.cases.iter().all(|case| !(case.on_the_way_back && run.way == Way::Crown)),
            "{}",
            run.name()
        );
        for case in &run.cases {
            assert!(seen.insert((run.way, case.to_string())), "{case} twice on the same way");
        }
    }
    // The way back is struck while the challenger has traffic, and what comes after an end after both of them.
    for case in &plan.cases {
        let on = |way: Way| seen.contains(&(way, case.to_string()));
        assert_eq!(on(Way::Crown), !case.on_the_way_back, "{case}");
        let alone = !matches!(case.consequence, Consequence::Cured | Consequence::LedOn(_));
        assert!(!(case.on_the_way_back || case.after_the_end && alone) || on(Way::TakeBack), "{case}");
    }
    let short = plan.short();
    assert!(short.len() < all.len() / 3, "{} of {}", short.len(), all.len());
    assert!(names(&short).is_subset(&names(&all)));
    let every = |of: fn(&Case) -> String| plan.cases.iter().map(of).collect::<BTreeSet<_>>();
    let in_short =
        |of: fn(&Case) -> String| short.iter().flat_map(|run| &run.cases).map(of).collect::<BTreeSet<_>>();
    let fault: fn(&Case) -> String = |case| format!("{:?} {:?}", case.fault, case.times);
    let task: fn(&Case) -> String = |case| case.at.state.clone();
    assert_eq!((in_short(fault), in_short(task)), (every(fault), every(task)));
    // Each task loses an answer after its effect, and ends a promotion at least once.
    for state in every(task) {
        let of_it = || short.iter().flat_map(|run| &run.cases).filter(|case| case.at.state == state);
        assert!(of_it().any(|case| case.fault == Fault::Crash), "{state}");
        assert!(
            of_it().any(|case| matches!(case.consequence, Consequence::Ended(_) | Consequence::Dead)),
            "{state}"
        );
    }
}

#[test]
fn how_an_execution_ends_is_read_from_the_machine_as_well() {
    let runs = plan(&machines()).unwrap().runs();
    let ends: [(&str, End); 9] = [
        ("promotion.PackageSubmission: permanent error", ("FAILED", &["Seatrial.NotStarted"])),
        ("promotion.EvaluateChallenger: permanent error", ("FAILED", &[REJECTED, ROLLED_BACK])),
        ("promotion.EvaluateChallenger: oversize output", ("FAILED", &["States.DataLimitExceeded"])),
        ("promotion.EvaluateChallenger: parent stopped", ("ABORTED", &["", "Stopped"])),
        ("canary.ShiftTraffic: States.Runtime", ("FAILED", &[REJECTED, ROLLED_BACK])),
        ("promotion.CrownChallenger: crash after the effect, always", ("SUCCEEDED", &[""])),
        ("promotion.CrownChallenger: States.Runtime", ("FAILED", &["States.Runtime"])),
        ("promotion.AbortPromotion: permanent error (taken back)", ("FAILED", &["Seatrial.Unattested"])),
        ("promotion.AttestPromotion: permanent error", ("FAILED", &["Seatrial.Unattested"])),
    ];
    for (name, end) in ends {
        let run = runs.iter().find(|run| run.name() == name).unwrap_or_else(|| panic!("{name} is no run"));
        assert_eq!(run.end(), end, "{name}");
    }
    let ways: [(Way, End); 3] = [
        (Way::Crown, ("SUCCEEDED", &[""])),
        (Way::Reject, ("FAILED", &[REJECTED])),
        (Way::TakeBack, ("FAILED", &[ROLLED_BACK])),
    ];
    let cured: BTreeMap<_, _> =
        runs.iter().filter(|run| run.cured()).map(|run| (run.way, run.end())).collect();
    assert_eq!(cured, BTreeMap::from(ways));
    assert!(runs.iter().all(|run| !run.end().0.is_empty()));
}

#[test]
fn the_table_of_the_architecture_page_is_the_plan() {
    let page = std::fs::read_to_string(seatrial_tests::repository("docs/ARCHITECTURE.md")).unwrap();
    let table = plan(&machines()).unwrap().table();
    assert!(page.contains(&table), "docs/ARCHITECTURE.md has another table; put this there:\n\n{table}\n");
}
