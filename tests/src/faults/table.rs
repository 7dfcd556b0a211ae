//! The plan as the table of `docs/ARCHITECTURE.md`: what becomes of a promotion when something fails.

use std::collections::BTreeSet;

use super::fault::{Fault, Times};
use super::plan::{Case, Consequence, Plan, Target};

/// The faults of one column.
type Column = (&'static str, fn(&Case) -> bool);

const COLUMNS: [Column; 4] = [
    ("throttled, too slow, or killed after its effect", |case| retried(case) && case.times == Times::Once),
    ("… at every attempt", |case| retried(case) && case.times == Times::Always),
    ("an error that no retry cures", |case| case.fault == Fault::Permanent),
    ("`States.Runtime`, an answer too large, its promotion stopped", |case| {
        matches!(case.fault, Fault::Runtime | Fault::Oversize | Fault::StopParent)
    }),
];

fn retried(case: &Case) -> bool {
    matches!(case.fault, Fault::Throttled | Fault::Timeout | Fault::Crash)
}

impl Plan {
    /// One row for all tasks of which the same is true, in Markdown.
    #[must_use]
    pub fn table(&self) -> String {
        let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
        let mut lines =
            vec![format!("| task | {} |", names.join(" | ")), format!("|---|{}", "---|".repeat(names.len()))];
        let mut rows: Vec<(String, Vec<String>)> = Vec::new();
        let tasks: BTreeSet<&Target> = self.cases.iter().map(|case| &case.at).collect();
        for task in tasks {
            let cells: Vec<String> = COLUMNS.iter().map(|(_, of)| self.cell(task, *of)).collect();
            let (cells, name) = (cells.join(" | "), format!("`{}`", task.state));
            match rows.iter_mut().find(|(found, _)| *found == cells) {
                Some((_, names)) => names.push(name),
                None => rows.push((cells, vec![name])),
            }
        }
        lines.extend(rows.into_iter().map(|(cells, names)| format!("| {} | {cells} |", names.join(", "))));
        lines.join("\n")
    }

    /// What comes of the faults of a column: in one word where it is the same, else with the fault before it.
    fn cell(&self, task: &Target, of: fn(&Case) -> bool) -> String {
        let cases: Vec<&Case> = self.cases.iter().filter(|case| case.at == *task && of(case)).collect();
        let ends: BTreeSet<String> = cases.iter().map(|case| end(case)).collect();
        let one = |end: &String| {
            let faults = cases.iter().filter(|case| super::table::end(case) == *end);
            let names = faults.map(|case| case.fault.name()).collect::<Vec<_>>();
            // What is true of the most of them needs no name.
            if names.len() * 2 > cases.len() { end.clone() } else { format!("{}: {end}", names.join(", ")) }
        };
        match ends.len() {
            0 => "–".to_owned(),
            1 => ends.into_iter().collect(),
            _ => {
                let mut all: Vec<String> = ends.iter().map(one).collect();
                // The general before the exceptions.
                all.sort_by_key(|text| text.contains(": "));
                all.join("; ")
            }
        }
    }
}

fn end(case: &Case) -> String {
    match (&case.consequence, case.crowned) {
        (Consequence::Cured, _) => "goes on".to_owned(),
        (Consequence::LedOn(next), _) => format!("goes on at `{next}`"),
        (Consequence::Ended(next), _) if next == "NotStarted" => {
            // What its function had begun by then has no execution any more.
            if case.fault.is_after_the_effect() { "`NotStarted`, `sweep` ends it" } else { "`NotStarted`" }
                .to_owned()
        }
        (Consequence::Ended(_) | Consequence::Dead, _) if case.after_the_end => {
            "stays as it ended, `sweep` attests it".to_owned()
        }
        (Consequence::Ended(next), _) if next == "Unattested" => "`sweep` ends it".to_owned(),
        (Consequence::Ended(_), true) => "stays crowned".to_owned(),
        (Consequence::Ended(_), false) => "ends without a crown".to_owned(),
        (Consequence::Dead, true) => "stays crowned, `sweep` attests it".to_owned(),
        (Consequence::Dead, false) => "`sweep` ends it".to_owned(),
    }
}
