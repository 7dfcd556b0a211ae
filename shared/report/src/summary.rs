//! The report in a few plain sentences: what gets better, what gets worse, and what nobody knows.

use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{Bypass, Stage};
use seatrial_domain::verdict::{Direction, MetricClass, Verdict};
use seatrial_evidence::report::{ComparisonReport, MetricGroup, MetricRow, MetricUnit};

use crate::words::Tone;
use crate::{evidence, numbers, words};

/// A question that whoever decides has, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The question, as a heading.
    pub question: &'static str,
    /// How the answer is to be taken: the class of a tone.
    pub tone: &'static str,
    /// The answer, piece by piece.
    pub bits: Vec<Bit>,
}

/// A piece of a sentence: words of ours, or a name that somebody else gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bit {
    /// The words.
    pub text: String,
    /// Whether it is a name that somebody else gave.
    pub name: bool,
}

/// How many rows a sentence names before it counts the rest.
const NAMED: usize = 4;

/// The metrics that compare groups of a protected attribute.
pub const FAIRNESS: [&str; 2] = ["demographic_parity", "equalised_odds"];

/// The answers, in the order in which people ask.
#[must_use]
pub fn summary(report: &ComparisonReport, policy: &Policy, bypasses: &[Bypass]) -> Vec<Answer> {
    let rows: Vec<&MetricRow> = report.rows.iter().collect();
    let mut answers = vec![better(report, &rows), worse(&rows), fairness(&rows, policy)];
    answers.extend(latency(&rows));
    answers.push(shadow(report, policy, bypasses));
    answers.push(unknown(report, &rows));
    answers
}

/// A sentence that is put together.
#[derive(Default)]
struct Sentence(Vec<Bit>);

impl Sentence {
    fn say(&mut self, text: impl Into<String>) -> &mut Self {
        self.0.push(Bit { text: text.into(), name: false });
        self
    }

    fn name(&mut self, text: &str) -> &mut Self {
        self.0.push(Bit { text: text.to_owned(), name: true });
        self
    }

    /// The metric's name and its segment.
    fn row(&mut self, row: &MetricRow) -> &mut Self {
        self.say(words::metric_name(&row.name));
        if let Some(segment) = &row.segment {
            self.say(" of ").name(segment);
        }
        self
    }

    /// The first few of `rows`, each as `each` says it, and how many more there are.
    fn list(&mut self, rows: &[&MetricRow], each: impl Fn(&mut Self, &MetricRow)) -> &mut Self {
        for (place, row) in rows.iter().take(NAMED).enumerate() {
            if place > 0 {
                self.say(", ");
            }
            each(self, row);
        }
        if rows.len() > NAMED {
            self.say(format!(" and {} more", rows.len() - NAMED));
        }
        self
    }

    fn answers(self, question: &'static str, tone: Tone) -> Answer {
        Answer { question, tone: tone.class(), bits: self.0 }
    }
}

/// How much better the challenger is, and between which ends, above zero where it is.
fn gain(row: &MetricRow) -> Option<(f64, [f64; 2])> {
    let (delta, [low, high]) = (row.delta?, row.interval?);
    row.champion?;
    Some(match row.direction {
        Direction::HigherIsBetter => (delta, [low, high]),
        Direction::LowerIsBetter => (-delta, [-high, -low]),
    })
}

fn judged(row: &MetricRow) -> bool {
    row.class != MetricClass::Info && matches!(row.group, MetricGroup::Offline | MetricGroup::Shadow)
}

fn difference(row: &MetricRow) -> String {
    row.delta.map_or_else(|| numbers::NONE.to_owned(), |d| numbers::difference(row.unit, d))
}

/// Says the row and its difference.
fn by_how_much(said: &mut Sentence, row: &MetricRow) {
    said.row(row).say(format!(" {}", difference(row)));
}

/// The same with where it was seen.
fn where_and_by_how_much(said: &mut Sentence, row: &MetricRow) {
    said.row(row).say(format!(" {} {}", words::group_place(row.group), difference(row)));
}

fn better(report: &ComparisonReport, rows: &[&MetricRow]) -> Answer {
    let mut said = Sentence::default();
    if report.champion.is_none() {
        let guardrails: Vec<_> = rows.iter().filter(|r| r.class == MetricClass::Guardrail).collect();
        let met = guardrails.iter().filter(|r| r.verdict == Verdict::Pass).count();
        said.say(format!(
            "There is no champion to compare with. {met} of {} guardrails are met.",
            guardrails.len()
        ));
        return said.answers("What gets better", Tone::Plain);
    }
    let surely: Vec<&MetricRow> = rows
        .iter()
        .copied()
        .filter(|r| judged(r) && r.segment.is_none() && gain(r).is_some_and(|(_, [low, _])| low > 0.0))
        .collect();
    if surely.is_empty() {
        said.say("Nothing is surely better than with the champion.");
        return said.answers("What gets better", Tone::Plain);
    }
    for group in [MetricGroup::Offline, MetricGroup::Shadow] {
        let here: Vec<_> = surely.iter().copied().filter(|r| r.group == group).collect();
        if !here.is_empty() {
            let place = words::sentence(words::group_place(group));
            said.say(format!("{}: ", place.trim_end_matches('.')));
            said.list(&here, by_how_much).say(". ");
        }
    }
    said.answers("What gets better", Tone::Good)
}

fn worse(rows: &[&MetricRow]) -> Answer {
    const QUESTION: &str = "What gets worse";
    let mut said = Sentence::default();
    let beyond = |r: &MetricRow| r.verdict == Verdict::Fail && r.class != MetricClass::Info;
    let mut over: Vec<&MetricRow> = rows.iter().copied().filter(|r| beyond(r)).collect();
    over.sort_by_key(|r| r.class != MetricClass::Guardrail);
    let surely = |verdict| {
        let worse = |r: &&MetricRow| {
            judged(r) && r.verdict == verdict && gain(r).is_some_and(|(_, [_, high])| high < 0.0)
        };
        let mut found: Vec<&MetricRow> = rows.iter().copied().filter(worse).collect();
        // Whoever is harmed is named before an average that hides them.
        found.sort_by_key(|r| r.segment.is_none());
        found
    };
    let (open, within) = (surely(Verdict::Inconclusive), surely(Verdict::Pass));
    if !over.is_empty() {
        said.say("Beyond what the policy allows: ").list(&over, |s, row| {
            where_and_by_how_much(s, row);
            if row.class == MetricClass::Signal {
                s.say(" (a signal: it stops nothing)");
            }
        });
        said.say(". ");
    }
    for (what, list) in [
        ("Worse, and perhaps beyond what the policy allows: ", &open),
        ("Worse, within what the policy allows: ", &within),
    ] {
        if !list.is_empty() {
            said.say(what).list(list, where_and_by_how_much).say(". ");
        }
    }
    let tone = match over.first().map(|r| r.class) {
        Some(MetricClass::Guardrail) => Tone::Bad,
        Some(_) => Tone::Unsure,
        None if !open.is_empty() => Tone::Unsure,
        None if !within.is_empty() => Tone::Plain,
        None => return nothing_worse(rows, QUESTION),
    };
    said.answers(QUESTION, tone)
}

/// Says that nothing is worse, if anything was compared at all.
fn nothing_worse(rows: &[&MetricRow], question: &'static str) -> Answer {
    let mut said = Sentence::default();
    let compared = rows.iter().copied().filter(|r| judged(r) && gain(r).is_some());
    let (segments, whole): (Vec<&MetricRow>, Vec<&MetricRow>) = compared.partition(|r| r.segment.is_some());
    if segments.is_empty() && whole.is_empty() {
        said.say("Nothing was compared with a champion, so nobody knows.");
        return said.answers(question, Tone::Unsure);
    }
    said.say(match segments.len() {
        0 => "Nothing is surely worse. No segments were compared.".to_owned(),
        n => format!("Nothing is surely worse, on the whole and in {n} comparisons of segments."),
    });
    said.answers(question, Tone::Good)
}

fn fairness(rows: &[&MetricRow], policy: &Policy) -> Answer {
    const QUESTION: &str = "Fairness";
    let mut said = Sentence::default();
    let about: Vec<&MetricRow> =
        rows.iter().copied().filter(|r| FAIRNESS.contains(&r.name.as_str())).collect();
    if about.is_empty() {
        if policy.protected.is_empty() {
            said.say("Not looked at: the policy names no protected attribute.");
            return said.answers(QUESTION, Tone::Plain);
        }
        said.say("Not known: the policy names protected attributes, and nothing was compared by them.");
        return said.answers(QUESTION, Tone::Unsure);
    }
    let of = |verdict| about.iter().copied().filter(|r| r.verdict == verdict).collect::<Vec<_>>();
    let (failed, open) = (of(Verdict::Fail), of(Verdict::Inconclusive));
    if !failed.is_empty() {
        said.say("Groups are treated less alike than the policy allows: ")
            .list(&failed, by_how_much)
            .say(".");
        return said.answers(QUESTION, Tone::Bad);
    }
    if !open.is_empty() {
        said.say("Not known for ").list(&open, by_how_much).say(".");
        return said.answers(QUESTION, Tone::Unsure);
    }
    said.say(match about.len() {
        1 => "The one comparison between groups is within what the policy allows".to_owned(),
        n => format!("All {n} comparisons between groups are within what the policy allows"),
    });
    let largest = about.iter().copied().filter(|r| r.delta.is_some_and(|d| d > 0.0));
    match largest.max_by(|a, b| a.delta.unwrap_or(0.0).total_cmp(&b.delta.unwrap_or(0.0))) {
        Some(row) => {
            said.say("; the largest increase of a gap is ").row(row).say(format!(" {}.", difference(row)))
        }
        None => said.say("; no gap grows."),
    };
    said.answers(QUESTION, Tone::Good)
}

fn latency(rows: &[&MetricRow]) -> Option<Answer> {
    let mut said = Sentence::default();
    let mut worst = Verdict::Pass;
    for group in [MetricGroup::Shadow, MetricGroup::Offline] {
        let found = rows.iter().find(|r| r.group == group && r.name == "latency_p99" && r.segment.is_none());
        let Some((row, challenger)) = found.and_then(|r| Some((*r, r.challenger?))) else { continue };
        worst = worst.max(row.verdict);
        let place = words::sentence(words::group_place(group));
        let own = numbers::value(row.unit, challenger);
        said.say(format!("{}: 99 of 100 answers within {own}", place.trim_end_matches('.')));
        if let Some(champion) = row.champion {
            said.say(format!(", the champion's within {}", numbers::value(row.unit, champion)));
        }
        said.say(match row.verdict {
            Verdict::Pass => ". ",
            Verdict::Inconclusive => " (not enough to say). ",
            Verdict::Fail => " (beyond what the policy allows). ",
        });
    }
    let tone = match worst {
        Verdict::Pass => Tone::Good,
        _ => Tone::Unsure,
    };
    (!said.0.is_empty()).then(|| said.answers("Latency", tone))
}

fn shadow(report: &ComparisonReport, policy: &Policy, bypasses: &[Bypass]) -> Answer {
    const QUESTION: &str = "On live requests";
    let mut said = Sentence::default();
    let Some(facts) = &report.shadow else {
        let skipped = bypasses.iter().any(|b| b.stage == Stage::Shadow);
        let why = if skipped {
            "The shadow was skipped in an emergency"
        } else if policy.shadow.enabled {
            "There was no shadow"
        } else {
            "The policy has no shadow"
        };
        said.say(format!("{why}: this version has answered no live request."));
        return said.answers(QUESTION, if skipped { Tone::Bad } else { Tone::Unsure });
    };
    let pairs = numbers::count(facts.pairs);
    let mut tone = Tone::Plain;
    match facts.agreement {
        Some(share) => {
            let share = numbers::value(MetricUnit::Share, share);
            said.say(format!("Both versions answered {pairs} of them, unseen, and agree on {share}."));
        }
        None => {
            said.say(format!("This version answered {pairs} of them, unseen."));
        }
    }
    if let Some(most) = facts.disagreement.first() {
        said.say(" Most often the champion says ").name(&most.champion).say(" and the challenger ");
        match &most.challenger {
            Some(answer) => said.name(answer),
            None => said.say("fails"),
        };
        said.say(format!(" ({}).", numbers::count(most.n)));
    }
    if let Some(cause) = facts.cause_of_full_agreement {
        said.say(format!(" {}", evidence::full_agreement(cause).0));
    }
    if let Some(fidelity) = facts.fidelity.filter(|f| f.share < policy.shadow.min_fidelity) {
        let share = numbers::value(MetricUnit::Share, fidelity.share);
        said.say(format!(
            " The champion, replayed, repeats only {share} of what it really answered: the replay is not quite the live system."
        ));
        tone = Tone::Unsure;
    }
    if facts.stopped_early {
        said.say(" A person ended the shadow early.");
    }
    said.answers(QUESTION, tone)
}

fn unknown(report: &ComparisonReport, rows: &[&MetricRow]) -> Answer {
    const QUESTION: &str = "What is not known";
    let mut said = Sentence::default();
    let mut open: Vec<&MetricRow> = rows
        .iter()
        .copied()
        .filter(|r| r.class != MetricClass::Info && r.verdict == Verdict::Inconclusive)
        .collect();
    open.sort_by_key(|r| r.class != MetricClass::Guardrail);
    if report.interim {
        said.say("The evidence was still coming in. ");
    }
    if !rows.iter().any(|r| r.class == MetricClass::Guardrail) {
        said.say("Nothing was judged by a guardrail: the report says nothing about this version.");
        return said.answers(QUESTION, Tone::Unsure);
    }
    if open.is_empty() && report.shadow.is_none() {
        said.say("Everything that was looked at could be judged. How it behaves on live requests was not looked at.");
        return said.answers(QUESTION, Tone::Unsure);
    }
    if open.is_empty() {
        said.say("Everything that the policy judges could be judged.");
        return said.answers(QUESTION, if report.interim { Tone::Unsure } else { Tone::Good });
    }
    said.say("There is too little evidence about ").list(&open, |s, row| {
        s.row(row).say(format!(" {}", words::group_place(row.group)));
        if let Some(needed) = row.n_needed {
            s.say(format!(" ({} of {} rows)", numbers::count(row.n), numbers::count(needed)));
        }
    });
    said.say(".");
    said.answers(QUESTION, Tone::Unsure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn said(report: &ComparisonReport, policy: &Policy) -> Vec<String> {
        let text = |a: &Answer| a.bits.iter().map(|b| b.text.as_str()).collect::<String>();
        summary(report, policy, &[])
            .iter()
            .map(|a| format!("{} [{}] {}", a.question, a.tone, text(a)))
            .collect()
    }

    #[test]
    fn a_report_is_said_in_six_sentences() {
        let said = said(&samples::report(), &Policy::default());
        assert_eq!(
            said,
            [
                "What gets better [good] On the benchmark: accuracy +0.75\u{a0}pt, macro f1 +0.83\u{a0}pt, auc +0.0138, log loss −0.0222. ",
                "What gets worse [bad] Beyond what the policy allows: segment accuracy of education=Doctorate on the benchmark −3.30\u{a0}pt, latency p99 on the benchmark +575 µs (a signal: it stops nothing). Worse, and perhaps beyond what the policy allows: ece on the benchmark +0.67\u{a0}pt, equalised odds on the benchmark +4.91\u{a0}pt. Worse, within what the policy allows: latency p50 in the shadow +19 µs, latency p99 in the shadow +462 µs. ",
                "Fairness [unsure] Not known for equalised odds +4.91\u{a0}pt.",
                "Latency [unsure] In the shadow: 99 of 100 answers within 2.60 ms, the champion's within 2.14 ms. On the benchmark: 99 of 100 answers within 987 µs, the champion's within 412 µs (beyond what the policy allows). ",
                "On live requests [plain] Both versions answered 48,211 of them, unseen, and agree on 95.42\u{a0}%. Most often the champion says <=50K and the challenger >50K (1,204).",
                "What is not known [unsure] There is too little evidence about equalised odds on the benchmark, accuracy in the shadow, segment accuracy of native_country=Mexico on the benchmark, ece on the benchmark.",
            ]
        );
    }

    #[test]
    fn what_was_not_looked_at_is_not_said_to_be_fine() {
        let mut report = samples::report();
        report.rows.clear();
        report.shadow = None;
        let policy = Policy { protected: vec!["sex".into()], ..Policy::default() };
        let said = said(&report, &policy);
        assert_eq!(
            said,
            [
                "What gets better [plain] Nothing is surely better than with the champion.",
                "What gets worse [unsure] Nothing was compared with a champion, so nobody knows.",
                "Fairness [unsure] Not known: the policy names protected attributes, and nothing was compared by them.",
                "On live requests [unsure] There was no shadow: this version has answered no live request.",
                "What is not known [unsure] Nothing was judged by a guardrail: the report says nothing about this version.",
            ]
        );
    }
}
