//! Which cases share a promotion, and which of them a short run takes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::plan::{Case, Consequence, Fault, Plan, Times};

/// One promotion, and what strikes it.
#[derive(Debug, Clone)]
pub struct Run {
    /// What strikes it: one fault at many tasks where each of them is cured, else a single case.
    pub cases: Vec<Case>,
    /// Whether its gate is approved.
    pub crowns: bool,
}

impl Run {
    /// What it is, in a few words.
    #[must_use]
    pub fn name(&self) -> String {
        match self.cases.as_slice() {
            [one] => one.to_string(),
            many => format!(
                "{} tasks{}: {}, once each",
                many.len(),
                if self.crowns { "" } else { " of a way back" },
                many.first().map_or("nothing", |case| case.fault.name())
            ),
        }
    }

    /// Whether the challenger is champion in the end.
    #[must_use]
    pub fn crowned(&self) -> bool {
        self.crowns && self.cases.iter().all(|case| case.crowned)
    }

    /// Whether all goes on as if nothing had happened.
    #[must_use]
    pub fn cured(&self) -> bool {
        self.cases.iter().all(|case| matches!(case.consequence, Consequence::Cured | Consequence::LedOn(_)))
    }

    /// For the engine. Beside its own faults the wait for an approval runs out once: nothing else leads to what comes after that.
    #[must_use]
    pub fn rules(&self) -> Vec<Value> {
        let rule = |case: &Case| {
            // The first calls of an answer are its client's own attempts, within one invocation.
            let once = if case.fault == Fault::CallbackLost { 4 } else { 1 };
            let times = if case.times == Times::Once { json!(once) } else { Value::Null };
            json!({ "state": case.at.state, "fault": case.rule, "times": times })
        };
        let own = self.cases.iter().map(rule);
        own.chain([json!({ "state": "AwaitApproval", "fault": "late", "times": 1 })]).collect()
    }

    /// Makes sure that everything struck that was to strike: a state that no promotion of the suite comes to is no tested one.
    ///
    /// # Panics
    /// When a fault did not strike.
    pub fn check_struck(&self, told: &Value, end: &str) {
        for case in &self.cases {
            let rules = told["rules"].as_array().into_iter().flatten();
            let struck: u64 = rules
                .filter(|rule| rule["state"] == case.at.state.as_str() && rule["fault"] == case.rule)
                .filter_map(|rule| rule["struck"].as_u64())
                .sum();
            assert!(struck > 0, "{case} did not strike: the promotion did not come there ({end})");
        }
    }
}

impl Plan {
    /// Every case in a promotion. What is cured at many tasks shares one: it has to be cured at each of them to end well.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        let shared = |case: &Case| {
            case.times == Times::Once && matches!(case.consequence, Consequence::Cured | Consequence::LedOn(_))
        };
        let mut together: BTreeMap<(bool, Fault), Vec<Case>> = BTreeMap::new();
        for case in self.cases.iter().filter(|case| shared(case)) {
            together.entry((case.on_the_way_back, case.fault)).or_default().push(case.clone());
        }
        let together = together.into_iter().map(|((back, _), cases)| Run { cases, crowns: !back });
        let alone = self.cases.iter().filter(|case| !shared(case));
        together.chain(alone.map(|case| Run { cases: vec![case.clone()], crowns: !case.on_the_way_back })).collect()
    }

    /// As much of it as fits into a run of everything: all that is cured, and of the rest one case for each task, so chosen that
    /// every fault has its turn.
    #[must_use]
    pub fn short(&self) -> Vec<Run> {
        let (mut chosen, alone): (Vec<Run>, Vec<Run>) = self.runs().into_iter().partition(Run::cured);
        let mut taken: BTreeMap<(Fault, Times), usize> = BTreeMap::new();
        let mut at: BTreeMap<_, Vec<Run>> = BTreeMap::new();
        for run in alone {
            if let Some(case) = run.cases.first() {
                at.entry(case.at.clone()).or_default().push(run);
            }
        }
        for runs in at.into_values() {
            let turn = |run: &Run| run.cases.first().map(|case| (case.fault, case.times));
            let next = runs.into_iter().min_by_key(|run| turn(run).map(|t| taken.get(&t).copied().unwrap_or(0)));
            if let Some(run) = next {
                if let Some(turn) = turn(&run) {
                    *taken.entry(turn).or_default() += 1;
                }
                chosen.push(run);
            }
        }
        chosen
    }
}
