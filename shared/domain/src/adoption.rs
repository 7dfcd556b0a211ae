//! Adoption: a version that already serves becomes the champion of a model that has none.
//!
//! It is the only way to a champion without a promotion. Nobody compared it with anything, so a person with the right to it answers
//! for it, and every record, page and document says so.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// The longest comment, in characters.
pub const LONGEST_COMMENT: usize = 1_000;

/// What a record or document says where a reader looks for a comparison.
pub const NOT_COMPARED: &str = "It was adopted as it served, not promoted: no comparison was made.";

/// What a person says who adopts a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adoption {
    /// Why it may go on serving without a trial, in their words. Never empty.
    pub comment: String,
    /// Since when it has served, where they know. Nothing here saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving_since: Option<Timestamp>,
}

impl Adoption {
    /// The same with a comment that says something, and a time that is not ahead of `now`.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] with what to write.
    pub fn checked(&self, now: Timestamp) -> Result<Self, Refusal> {
        let comment = self.comment.trim();
        let length = comment.chars().count();
        if length == 0 || length > LONGEST_COMMENT {
            return Err(Refusal::Invalid {
                why: format!(
                    "the comment of an adoption has {length} characters, expected 1 to {LONGEST_COMMENT}: say in a sentence why this \
                     version may go on serving without a trial"
                ),
            });
        }
        if let Some(since) = self.serving_since.filter(|since| *since > now) {
            return Err(Refusal::Invalid {
                why: format!(
                    "`serving_since` is {since}, which is ahead of {now}; an adopted version serves already"
                ),
            });
        }
        Ok(Self { comment: comment.to_owned(), serving_since: self.serving_since })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_adoption_says_why_and_serves_already() {
        let now = Timestamp::from_second(1_000).unwrap();
        let of = |comment: &str, since: i64| {
            let serving_since = Some(Timestamp::from_second(since).unwrap());
            Adoption { comment: comment.into(), serving_since }.checked(now)
        };
        assert_eq!(of("  in use since May \n", 1_000).unwrap().comment, "in use since May");
        for wrong in [of("", 1), of(" \n\t", 1), of(&"x".repeat(LONGEST_COMMENT + 1), 1), of("fine", 1_001)] {
            assert!(matches!(wrong, Err(Refusal::Invalid { .. })), "{wrong:?}");
        }
        assert!(of(&"é".repeat(LONGEST_COMMENT), 1).is_ok(), "characters are counted, not bytes");
    }
}
