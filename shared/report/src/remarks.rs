//! What a report says in sentences, for terminals and messages: what needs attention, why all agree, what else to know.

use seatrial_evidence::report::ComparisonReport;

use crate::escape::misleads;
use crate::evidence::full_agreement;
use crate::{banners, rows, words};

/// A heading and its sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remarks {
    /// For example `Look at this first`.
    pub heading: &'static str,
    /// The sentences. They hold no control characters, whatever a submitter wrote.
    pub sentences: Vec<String>,
}

/// The remarks of a report, the most urgent first. Headings without a sentence are left out.
#[must_use]
pub fn remarks(report: &ComparisonReport) -> Vec<Remarks> {
    let attention = rows::attention(&report.rows).into_iter().map(|row| {
        let segment = row.segment.map(|s| format!(" [{s}]")).unwrap_or_default();
        format!("{}{segment} ({}, acceptable: {}): {}", row.name, row.class, row.acceptable, row.why)
    });
    let agreement =
        report.shadow.as_ref().and_then(|s| s.cause_of_full_agreement).map(|c| full_agreement(c).0);
    let notes = report.notes.iter().map(|n| words::sentence(n));
    let skipped = banners::emergencies(&report.bypasses)
        .into_iter()
        .map(|b| format!("{}. {} They said: {}", b.title, b.text, b.quote.unwrap_or_default()));
    [
        Remarks { heading: "Skipped in an emergency", sentences: skipped.map(|s| plain(&s)).collect() },
        Remarks { heading: "Look at this first", sentences: attention.map(|s| plain(&s)).collect() },
        Remarks { heading: "Why all agree", sentences: agreement.into_iter().collect() },
        Remarks { heading: "Good to know", sentences: notes.map(|s| plain(&s)).collect() },
    ]
    .into_iter()
    .filter(|r| !r.sentences.is_empty())
    .collect()
}

/// `text` without characters that move a terminal's cursor, colour what follows or turn its direction.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !misleads(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_sentence_moves_the_cursor() {
        assert_eq!(plain("a\u{1b}[31mb\n\u{202e}c"), "a[31mbc");
    }
}
