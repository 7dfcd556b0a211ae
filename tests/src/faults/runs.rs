//! Which cases share a promotion, and which of them a short run takes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::fault::{Fault, Times};
use super::plan::{Case, Consequence, Plan, Target};

/// The wait for an approval. Its first attempt runs out in every promotion of the suite.
pub const APPROVAL: &str = "AwaitApproval";
/// The wait for the end of a shadow. It runs out by itself, unless a person stops the shadow.
pub const SHADOW: &str = "AwaitShadow";

/// What becomes of a promotion if nothing strikes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Its gate is approved and its canary skipped: it is crowned.
    Crown,
    /// Its gate is rejected: no caller sees it.
    Reject,
    /// Its gate is approved, and with half of the traffic its canary is found degraded: it is taken back.
    TakeBack,
}

impl Way {
    /// How the execution ends.
    const fn end(self) -> End {
        match self {
            Self::Crown => ("SUCCEEDED", &[""]),
            Self::Reject => ("FAILED", &[REJECTED]),
            Self::TakeBack => ("FAILED", &[ROLLED_BACK]),
        }
    }
}

/// The error of an execution whose challenger no caller saw.
pub const REJECTED: &str = "Seatrial.Rejected";
/// The error of an execution whose challenger had traffic.
pub const ROLLED_BACK: &str = "Seatrial.RolledBack";

/// The status of an execution, and which errors it may have.
pub type End = (&'static str, &'static [&'static str]);

/// What the engine tells of an execution that is stopped in these states: a short wait runs out all the same, and a Map stumbles over
/// its own end. AWS tells that it was stopped.
const STOPPED_OTHERWISE: [(&str, &str); 2] =
    [(SHADOW, "States.Timeout"), ("CountPartition", "States.Runtime")];

/// One promotion, and what strikes it.
#[derive(Debug, Clone)]
pub struct Run {
    /// What strikes it: one fault at many tasks where each of them is cured, else a single case.
    pub cases: Vec<Case>,
    /// What becomes of it otherwise.
    pub way: Way,
}

impl Run {
    /// What it is, in a few words.
    #[must_use]
    pub fn name(&self) -> String {
        let way = match self.way {
            Way::Crown => "",
            Way::Reject => " (rejected)",
            Way::TakeBack => " (taken back)",
        };
        match self.cases.as_slice() {
            [one] => format!("{one}{way}"),
            many => format!(
                "{} tasks: {}, once each{way}",
                many.len(),
                many.first().map_or("nothing", |case| case.fault.name())
            ),
        }
    }

    /// Whether the challenger is champion in the end.
    #[must_use]
    pub fn crowned(&self) -> bool {
        self.way == Way::Crown && self.cases.iter().all(|case| case.crowned)
    }

    /// Whether all goes on as if nothing had happened.
    #[must_use]
    pub fn cured(&self) -> bool {
        self.cases.iter().all(|case| matches!(case.consequence, Consequence::Cured | Consequence::LedOn(_)))
    }

    /// How the execution ends, by what the machine does about what strikes it.
    ///
    /// # Panics
    /// When a case ends it in a way that is not known here.
    #[must_use]
    #[expect(clippy::panic, reason = "a suite that does not know how a case ends cannot judge it")]
    pub fn end(&self) -> End {
        let [case] = self.cases.as_slice() else { return self.way.end() };
        match &case.consequence {
            Consequence::Cured | Consequence::LedOn(_) => self.way.end(),
            Consequence::Ended(next) => match next.as_str() {
                "NotStarted" => ("FAILED", &["Seatrial.NotStarted"]),
                "Unattested" => ("FAILED", &["Seatrial.Unattested"]),
                // By `AbortPromotion` and `AttestPromotion`, and what was crowned stays so.
                _ if self.crowned() => Way::Crown.end(),
                // Whether a caller saw the challenger is the registry's to say.
                _ => ("FAILED", &[REJECTED, ROLLED_BACK]),
            },
            Consequence::Dead => match case.fault {
                Fault::Runtime => ("FAILED", &["States.Runtime"]),
                Fault::Oversize => ("FAILED", &["States.DataLimitExceeded"]),
                // AWS tells the error that whoever stopped it gave; the engine tells none.
                Fault::StopParent => ("ABORTED", &["", "Stopped"]),
                _ => panic!("{case}: say here how an execution ends that dies of it"),
            },
        }
    }

    /// Whether an execution that ended so ended as the machine says.
    #[must_use]
    pub fn ends_as(&self, status: &str, error: &str) -> bool {
        let (ends, errors) = self.end();
        let stopped = |(state, told): &(&str, &str)| {
            let here = |case: &Case| case.fault == Fault::StopParent && case.at.state == *state;
            self.cases.iter().all(here) && (status, error) == ("FAILED", *told)
        };
        STOPPED_OTHERWISE.iter().any(stopped) || (ends == status && errors.contains(&error))
    }

    /// Whether the record of the stream that leads to the answer of this wait is given up.
    #[must_use]
    pub fn forgets(&self, state: &str) -> bool {
        self.cases.iter().any(|case| case.fault == Fault::CallbackForgotten && case.at.state == state)
    }

    /// Whether a person has to stop the shadow: left alone, its wait runs out and its token is never answered.
    #[must_use]
    pub fn stops_the_shadow(&self) -> bool {
        self.cases.iter().any(|case| case.needs_an_answer && case.at.state == SHADOW)
    }

    /// For the engine. First of all the wait for an approval runs out: nothing else leads to what comes after that.
    #[must_use]
    pub fn rules(&self) -> Vec<Value> {
        let rule = |case: &Case| {
            // The first calls of an answer are its client's own attempts, within one invocation.
            let once = if case.fault == Fault::CallbackLost { 4 } else { 1 };
            // What is given up does not come again.
            let ends = case.times == Times::Once && case.fault != Fault::CallbackForgotten;
            let times = if ends { json!(once) } else { Value::Null };
            json!({ "state": case.at.state, "fault": case.rule, "times": times })
        };
        let own = self.cases.iter().map(rule);
        [json!({ "state": APPROVAL, "fault": "late", "times": 1 })].into_iter().chain(own).collect()
    }

    /// Makes sure that everything struck that was to strike: a state that no promotion of the suite comes to is no tested one.
    ///
    /// # Panics
    /// When a fault did not strike.
    pub fn check_struck(&self, told: &Value, end: &str) {
        for case in &self.cases {
            // The first rule is every run's own, and strikes whatever the case is.
            let rules = told["rules"].as_array().into_iter().flatten().skip(1);
            let struck: u64 = rules
                .filter(|rule| rule["state"] == case.at.state.as_str() && rule["fault"] == case.rule)
                .filter_map(|rule| rule["struck"].as_u64())
                .sum();
            assert!(struck > 0, "{case} did not strike: the promotion did not come there ({end})");
        }
    }
}

impl Plan {
    /// Every case in a promotion. What is cured at many tasks shares one: it has to be cured at each of them to end well. What strikes
    /// on the way back strikes one that has traffic, and what strikes after the end both ends.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        let shared = |case: &Case| {
            case.times == Times::Once
                && matches!(case.consequence, Consequence::Cured | Consequence::LedOn(_))
        };
        let mut together: BTreeMap<(Way, Fault), Vec<Case>> = BTreeMap::new();
        for case in self.cases.iter().filter(|case| shared(case)) {
            let ways: &[Way] =
                if case.on_the_way_back { &[Way::Reject, Way::TakeBack] } else { &[Way::Crown] };
            for way in ways {
                together.entry((*way, case.fault)).or_default().push(case.clone());
            }
        }
        let together = together.into_iter().map(|((way, _), cases)| Run { cases, way });
        let alone = self.cases.iter().filter(|case| !shared(case));
        together.chain(alone.flat_map(|case| ways(case).iter().map(|way| alone_on(case, *way)))).collect()
    }

    /// As much of it as fits into a run of everything: all that is cured, a way back with traffic, and of the rest one case for each
    /// task, so chosen that every fault has its turn. What few tasks can have is chosen first.
    #[must_use]
    pub fn short(&self) -> Vec<Run> {
        let (mut chosen, alone): (Vec<Run>, Vec<Run>) =
            self.runs().into_iter().filter(|run| run.way != Way::Reject).partition(Run::cured);
        let mut kinds: BTreeMap<(Fault, Times), Vec<&Case>> = BTreeMap::new();
        for case in alone.iter().flat_map(|run| &run.cases) {
            kinds.entry((case.fault, case.times)).or_default().push(case);
        }
        let mut kinds: Vec<Vec<&Case>> = kinds.into_values().collect();
        kinds.sort_by_key(Vec::len);
        let mut taken: BTreeMap<Target, &Case> = BTreeMap::new();
        let tasks: BTreeSet<&Target> = alone.iter().flat_map(|run| &run.cases).map(|case| &case.at).collect();
        // Round after round, until every task has its case.
        while taken.len() < tasks.len() {
            for cases in &kinds {
                if let Some(case) = cases.iter().find(|case| !taken.contains_key(&case.at)) {
                    taken.insert(case.at.clone(), case);
                }
            }
        }
        let first = |case: &Case| ways(case).first().map(|way| alone_on(case, *way));
        chosen.extend(taken.into_values().filter_map(first));
        chosen
    }
}

/// The promotions in which a case is looked at by itself.
const fn ways(case: &Case) -> &'static [Way] {
    if case.on_the_way_back {
        &[Way::TakeBack]
    } else if case.after_the_end {
        &[Way::Crown, Way::TakeBack]
    } else {
        &[Way::Crown]
    }
}

fn alone_on(case: &Case, way: Way) -> Run {
    Run { cases: vec![case.clone()], way }
}
