//! Which fault strikes which task, and what the machine does about it: read from the machines, nothing is run.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::fault::{Fault, Kind, Times, rule};
use crate::asl::{Machine, edges, expressions, strings};

/// What the machine does about a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consequence {
    /// A retry or a repetition cures it: all goes on as if nothing had happened.
    Cured,
    /// A Catch leads on, on a way that can still end with a crown.
    LedOn(String),
    /// A Catch leads to an end without a crown.
    Ended(String),
    /// Nothing catches it: the execution is dead, and others bring the promotion to its end.
    Dead,
}

/// Where a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The state machine.
    pub machine: String,
    /// The task. Its name is unique among all machines.
    pub state: String,
}

/// One fault at one task.
#[derive(Debug, Clone)]
pub struct Case {
    /// Where.
    pub at: Target,
    /// What.
    pub fault: Fault,
    /// How often.
    pub times: Times,
    /// What the machine does about it.
    pub consequence: Consequence,
    /// Whether the challenger is champion in the end, if its gate is approved.
    pub crowned: bool,
    /// Whether the task is only reached by a promotion that ends without a crown.
    pub on_the_way_back: bool,
    /// Whether the task is only reached when the promotion has ended, with a crown or without.
    pub after_the_end: bool,
    /// The word for it in the engine's rules.
    pub rule: &'static str,
    /// Whether it strikes only when the task's token is answered.
    pub needs_an_answer: bool,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let always = if self.times == Times::Always { ", always" } else { "" };
        write!(f, "{}.{}: {}{always}", self.at.machine, self.at.state, self.fault.name())
    }
}

/// All cases of all machines.
#[derive(Debug)]
pub struct Plan {
    /// In the order of machines and states.
    pub cases: Vec<Case>,
}

/// A task, and what surrounds it.
struct Task<'a> {
    machine: &'a Machine,
    name: &'a str,
    state: &'a Value,
    /// The Map that runs it, which may catch what it does not.
    around: Option<(&'a str, &'a Value)>,
    kind: Kind,
}

impl Task<'_> {
    fn function(&self) -> &str {
        self.state["Arguments"]["FunctionName"].as_str().unwrap_or_default()
    }

    /// Whether anything in the answer makes a difference to the machine.
    fn reads_its_answer(&self) -> bool {
        let read = |key: &str| expressions(&self.state[key]).iter().any(|e| e.contains("$states.result"));
        read("Assign") || read("Output")
    }

    fn retries(&self, error: &str) -> bool {
        rules(self.state, "Retry").any(|rule| names(rule, error))
    }

    /// Where a Catch leads for this error, of the task or of what surrounds it.
    fn caught(&self, error: &str) -> Option<&str> {
        let catchers = rules(self.state, "Catch")
            .chain(self.around.into_iter().flat_map(|(_, map)| rules(map, "Catch")));
        catchers.filter(|rule| names(rule, error)).find_map(|rule| rule["Next"].as_str())
    }
}

fn rules<'a>(state: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    state[key].as_array().into_iter().flatten()
}

/// Whether a rule is for this error. `States.ALL` is not for these two:
/// <https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html>
fn names(rule: &Value, error: &str) -> bool {
    let catchable = !["States.Runtime", "States.DataLimitExceeded"].contains(&error);
    strings(&rule["ErrorEquals"]).into_iter().any(|name| name == error || (name == "States.ALL" && catchable))
}

/// The tasks of a machine in the order of their names, those of its Maps among them.
fn tasks(machine: &Machine) -> Result<Vec<Task<'_>>> {
    let mut found = Vec::new();
    for (name, state) in machine.states() {
        found.extend(of_state(machine, name, state, None)?);
        if state["Type"] == "Map" {
            let inner = state["ItemProcessor"]["States"].as_object();
            for (inside, one) in inner.with_context(|| format!("{}: {name} has no states", machine.name))? {
                if ["Map", "Parallel"].iter().any(|kind| one["Type"] == *kind) {
                    bail!(
                        "{}: {inside} inside {name} has states of its own: say in `faults/plan.rs` how they fail",
                        machine.name
                    );
                }
                found.extend(of_state(machine, inside, one, Some((name, state)))?);
            }
        } else if state["Type"] == "Parallel" {
            bail!("{}: {name} is a Parallel: say in `faults/plan.rs` how its branches fail", machine.name);
        }
    }
    Ok(found)
}

fn of_state<'a>(
    machine: &'a Machine,
    name: &'a str,
    state: &'a Value,
    around: Option<(&'a str, &'a Value)>,
) -> Result<Option<Task<'a>>> {
    if state["Type"] != "Task" {
        return Ok(None);
    }
    let kind = Kind::of(state["Resource"].as_str().unwrap_or_default())
        .with_context(|| format!("{}: {name}", machine.name))?;
    Ok(Some(Task { machine, name, state, around, kind }))
}

/// What the plan asks of the graph of the machine that promotes.
struct Ways<'a> {
    tasks: BTreeMap<&'a str, &'a str>,
    machine: &'a Machine,
}

const CROWN: &str = "${CrownFunction}";
const END: &str = "${RollbackFunction}";

impl Ways<'_> {
    fn calls(&self, state: &str, function: &str) -> bool {
        self.tasks.get(state).is_some_and(|called| *called == function)
    }

    /// Whether a crown can still come from this state on.
    fn leads_to_a_crown(&self, from: &str) -> bool {
        self.machine.reachable(from).iter().any(|state| self.calls(state, CROWN))
    }

    /// Whether a state is reached without passing one that calls one of these functions.
    fn is_reached_without(&self, state: &str, functions: &[&str]) -> bool {
        let states = self.machine.states();
        let mut seen = Vec::new();
        let mut open =
            self.machine.root["StartAt"].as_str().map(str::to_owned).into_iter().collect::<Vec<_>>();
        while let Some(name) = open.pop() {
            if name == state {
                return true;
            }
            if seen.contains(&name) || functions.iter().any(|f| self.calls(&name, f)) {
                continue;
            }
            open.extend(states.get(name.as_str()).into_iter().flat_map(|s| edges(&of_a_promotion(s))));
            seen.push(name);
        }
        false
    }
}

/// A state as a promotion meets it: what a person adopted goes to the same `attest` past everything else.
fn of_a_promotion(state: &Value) -> Value {
    let mut state = state.clone();
    if let Some(choices) = state["Choices"].as_array_mut() {
        choices.retain(|rule| !rule["Condition"].as_str().is_some_and(|c| c.contains("$held.adopted")));
    }
    state
}

/// Every task of every machine with every fault that can strike it.
///
/// # Errors
/// When a machine has a task of a kind for which no fault is known, or two tasks have one name.
pub fn plan(machines: &[Machine]) -> Result<Plan> {
    let all: Vec<Task<'_>> =
        machines.iter().map(tasks).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    // The machine that waits for another is its parent. With more of them, who starts whom would have to be read.
    if machines.len() > 2 || all.iter().filter(|task| task.kind == Kind::Execution).count() > 1 {
        bail!("more than one machine is started by another: say in `faults/plan.rs` which of them is whose");
    }
    let waits = all.iter().find(|task| task.kind == Kind::Execution);
    let main = waits.map(|task| task.machine).or(machines.first()).context("there is no state machine")?;
    let of_main = all.iter().filter(|task| task.machine.name == main.name);
    let ways = Ways { tasks: of_main.map(|task| (task.name, task.function())).collect(), machine: main };
    let mut cases = Vec::new();
    for task in &all {
        if all.iter().filter(|other| other.name == task.name).count() > 1 {
            bail!("two tasks are named {}: faults name their task by its state alone", task.name);
        }
        let parent = (task.machine.name != main.name).then_some(waits).flatten();
        for fault in Fault::ALL {
            cases.extend(of_task(task, parent, fault, &ways));
        }
    }
    Ok(Plan { cases })
}

/// The cases of one fault at one task: none where it cannot strike, two where a retry makes a difference.
fn of_task(task: &Task<'_>, parent: Option<&Task<'_>>, fault: Fault, ways: &Ways<'_>) -> Vec<Case> {
    let applies = match fault {
        fault if fault.is_of_a_callback() => task.kind == Kind::Callback,
        Fault::Overtaken => task.kind != Kind::Callback,
        Fault::StopChild => parent.is_some() || task.kind == Kind::Execution,
        _ => true,
    };
    if !applies {
        return Vec::new();
    }
    let retried = fault.error(task.kind).is_some_and(|error| task.retries(error));
    let times: &[Times] = if retried { &[Times::Once, Times::Always] } else { &[Times::Once] };
    let case = |times: Times| {
        let consequence = consequence(task, parent, fault, times, ways);
        // A child's effects are those of the parent's state that waits for it, an iteration's those of its Map.
        let outer = parent.unwrap_or(task);
        let state = outer.around.map_or(outer.name, |(map, _)| map);
        let on_the_way_back = ways.calls(state, END);
        let after_the_end = !ways.is_reached_without(state, &[CROWN, END]) && !on_the_way_back;
        let done = after_the_end || ways.calls(state, CROWN) && fault.is_after_the_effect();
        let goes_on = matches!(consequence, Consequence::Cured | Consequence::LedOn(_));
        Case {
            at: Target { machine: task.machine.name.clone(), state: task.name.to_owned() },
            fault,
            times,
            crowned: !on_the_way_back && (goes_on || done),
            consequence,
            on_the_way_back,
            after_the_end,
            rule: rule(fault, task.kind, parent.is_some()),
            needs_an_answer: task.kind == Kind::Callback
                && (fault.is_of_a_callback() || matches!(fault, Fault::Oversize | Fault::Garbled)),
        }
    };
    times.iter().copied().map(case).collect()
}

fn consequence(
    task: &Task<'_>,
    parent: Option<&Task<'_>>,
    fault: Fault,
    times: Times,
    ways: &Ways<'_>,
) -> Consequence {
    if fault == Fault::Garbled && !task.reads_its_answer() {
        return Consequence::Cured;
    }
    let Some(error) = fault.error(task.kind) else {
        return if fault == Fault::StopParent { Consequence::Dead } else { Consequence::Cured };
    };
    if task.retries(error) && times == Times::Once {
        return Consequence::Cured;
    }
    let own = if fault == Fault::StopChild && parent.is_some() { None } else { task.caught(error) };
    match (own, parent) {
        (Some(next), None) => led(next, ways),
        (None, None) => Consequence::Dead,
        // A canary that catches says that it failed, and only the promotion decides what that means; one that dies is an error
        // of the task that waits for it.
        (Some(next), Some(_)) => Consequence::Ended(next.to_owned()),
        (None, Some(waits)) => {
            waits.caught("States.TaskFailed").map_or(Consequence::Dead, |next| led(next, ways))
        }
    }
}

fn led(next: &str, ways: &Ways<'_>) -> Consequence {
    if ways.leads_to_a_crown(next) {
        Consequence::LedOn(next.to_owned())
    } else {
        Consequence::Ended(next.to_owned())
    }
}
