//! What is wrong with a submission, said so that one reading is enough to mend it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How much of a found value is repeated to people.
const SHOWN: usize = 120;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defect {
    /// The file, by its path in the submission.
    pub file: String,
    /// Where in the file: a field, a line, or nothing for the file as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
    /// What to do about it, where that is not plain from what was expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Defect {
    /// A defect of the file as a whole.
    pub fn new(file: impl Into<String>, found: impl AsRef<str>, expected: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            field: None,
            found: cut(found.as_ref()),
            expected: expected.into(),
            fix: None,
        }
    }

    /// The same, at a field or line.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The same, with advice.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        write!(f, "found {}, expected {}", self.found, self.expected)?;
        match &self.fix {
            Some(fix) => write!(f, "; {fix}"),
            None => Ok(()),
        }
    }
}

/// Submitter's text in one line of readable length, without anything that could act on a terminal.
fn cut(text: &str) -> String {
    let mut shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    if text.chars().count() > SHOWN {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_reads_as_one_sentence_and_cannot_act_on_a_terminal() {
        let defect =
            Defect::new("config.yaml", "\u{1b}[2J`FLOAT`", "one of FP32, FP64").at("inputs[2].datatype");
        assert_eq!(
            defect.to_string(),
            "config.yaml: inputs[2].datatype: found  [2J`FLOAT`, expected one of FP32, FP64"
        );
        assert!(Defect::new("f", "x".repeat(1000), "y").found.chars().count() <= SHOWN + 1);
    }
}
