//! Agreement and quality of texts: exact match, match after normalising, and token F1.
//!
//! Definitions are those of the SQuAD 2.0 evaluation script (Rajpurkar et al. 2016, 2018). Normalising lowers the case,
//! removes ASCII punctuation and the English articles *a*, *an*, *the*, and joins white space.

use crate::{Interval, Merge, intervals::wilson, losses::MeanLoss, share};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The text as compared by [`TextScores`]: words apart by one space.
#[must_use]
pub fn normalised(text: &str) -> String {
    tokens(text).join(" ")
}

/// The words of a normalised text.
#[must_use]
pub fn tokens(text: &str) -> Vec<String> {
    let plain: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    without_articles(&plain).split_whitespace().map(str::to_owned).collect()
}

/// Articles become a space where they stand as a word: between characters that are neither letters nor digits.
fn without_articles(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        let between = rest[word..].find(char::is_alphanumeric).unwrap_or(rest.len() - word);
        out.push_str(if ["a", "an", "the"].contains(&&rest[..word]) { " " } else { &rest[..word] });
        out.push_str(&rest[word..word + between]);
        rest = &rest[word + between..];
    }
    out
}

/// Harmonic mean of the shares of common words in both texts, each word as often as it comes. Two texts without words
/// agree; one without words agrees with no other.
#[must_use]
pub fn token_f1(truth: &str, predicted: &str) -> f64 {
    let (truth, predicted) = (tokens(truth), tokens(predicted));
    if truth.is_empty() || predicted.is_empty() {
        return f64::from(u8::from(truth.is_empty() && predicted.is_empty()));
    }
    let mut left: BTreeMap<&str, u64> = BTreeMap::new();
    truth.iter().for_each(|word| *left.entry(word).or_default() += 1);
    let mut common = 0_u64;
    for word in &predicted {
        if let Some(n) = left.get_mut(word.as_str()).filter(|n| **n > 0) {
            *n -= 1;
            common += 1;
        }
    }
    (2 * common) as f64 / (truth.len() + predicted.len()) as f64
}

/// Counts over pairs of texts: truth and prediction (quality) or champion's and challenger's answer (agreement).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextScores {
    n: u64,
    exact: u64,
    normalised: u64,
    token_f1: MeanLoss,
}

impl TextScores {
    /// Counts a pair.
    pub fn observe(&mut self, truth: &str, predicted: &str) {
        let exact = truth == predicted;
        self.n += 1;
        self.exact += u64::from(exact);
        self.normalised += u64::from(exact || tokens(truth) == tokens(predicted));
        self.token_f1.observe(Some(if exact { 1.0 } else { token_f1(truth, predicted) }));
    }

    /// Pairs counted.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Share of pairs equal byte for byte; `None` without pairs.
    #[must_use]
    pub fn exact_match(&self) -> Option<f64> {
        share(self.exact, self.n)
    }

    /// Share of pairs equal after normalising; `None` without pairs.
    #[must_use]
    pub fn normalised_match(&self) -> Option<f64> {
        share(self.normalised, self.n)
    }

    /// Wilson interval of [`TextScores::normalised_match`]; `None` without pairs.
    #[must_use]
    pub fn interval(&self, confidence: f64) -> Option<Interval> {
        wilson(self.normalised, self.n, confidence)
    }

    /// Mean token F1; `None` without pairs.
    #[must_use]
    pub fn token_f1(&self) -> Option<f64> {
        self.token_f1.mean()
    }
}

impl Merge for TextScores {
    fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.exact += other.exact;
        self.normalised += other.normalised;
        self.token_f1.merge(&other.token_f1);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn normalising_removes_what_carries_no_answer() {
        assert_eq!(normalised("  The  Cat's, a\tHAT! "), "cats hat");
        assert_eq!(normalised("an—answer: Theatre, a"), "—answer theatre");
        assert_eq!((normalised("THE"), normalised("")), (String::new(), String::new()));
    }

    #[test]
    fn words_count_as_often_as_they_come() {
        assert_eq!(token_f1("cat cat dog", "cat cat cat"), 2.0 * 2.0 / 6.0);
        assert_eq!((token_f1("the", "a"), token_f1("the", "cat"), token_f1("cat", "")), (1.0, 0.0, 0.0));
    }

    #[test]
    fn three_grades_of_agreement() {
        let mut scores = TextScores::default();
        assert_eq!((scores.exact_match(), scores.token_f1(), scores.interval(0.95)), (None, None, None));
        for (truth, predicted) in [("yes", "yes"), ("Yes.", "yes"), ("a cat", "the cat sat"), ("no", "maybe")]
        {
            scores.observe(truth, predicted);
        }
        assert_eq!((scores.exact_match(), scores.normalised_match()), (Some(0.25), Some(0.5)));
        assert_eq!((scores.n(), scores.token_f1()), (4, Some((1.0 + 1.0 + 2.0 / 3.0) / 4.0)));
    }
}
