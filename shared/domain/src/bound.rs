//! What an approval binds, and how it is known that it is still what was shown.

use serde::{Deserialize, Serialize};

use crate::ids::Digest;

/// What an approval binds: if any of these differs later, the approval covers nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The package.
    pub package: Digest,
    /// The comparison report that was shown, which names its frozen inputs; for a shadow window the package again.
    pub report: Digest,
    /// The benchmark, if the model has one.
    pub benchmark: Option<Digest>,
    /// The policy pinned for the promotion.
    pub policy: Digest,
}

/// How many hexadecimal digits of each digest a fingerprint keeps: 128 bits, so that nobody can make another object with
/// the same ones.
const DIGITS: usize = 32;

impl Bound {
    /// What it consists of, each with the words for it.
    fn parts(&self) -> [(&'static str, Option<&Digest>); 4] {
        [
            ("the package", Some(&self.package)),
            ("the comparison report", Some(&self.report)),
            ("the benchmark", self.benchmark.as_ref()),
            ("the policy", Some(&self.policy)),
        ]
    }

    /// One text that stands for all of it. A page or a program that shows a gate keeps it and sends it along with the
    /// decision.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.parts().map(|(_, digest)| digest.map_or("none", digits)).join("-")
    }

    /// What is no longer as it was when `fingerprint` was made; everything, where that is no fingerprint at all.
    #[must_use]
    pub fn changed_since(&self, fingerprint: &str) -> Vec<&'static str> {
        let shown: Vec<&str> = fingerprint.split('-').collect();
        let parts = self.parts();
        let known = shown.len() == parts.len();
        let differs =
            |place: usize, now: Option<&Digest>| !known || shown[place] != now.map_or("none", digits);
        parts
            .into_iter()
            .enumerate()
            .filter(|(i, (_, now))| differs(*i, *now))
            .map(|(_, (what, _))| what)
            .collect()
    }

    /// In what it differs from `other`.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let pairs = self.parts().into_iter().zip(other.parts());
        pairs.filter(|((_, one), (_, two))| one != two).map(|((what, _), _)| what).collect()
    }
}

fn digits(digest: &Digest) -> &str {
    &digest.hex()[..DIGITS]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound() -> Bound {
        let digest = |n: u8| Digest::from_bytes([n; 32]);
        Bound { package: digest(1), report: digest(2), benchmark: None, policy: digest(4) }
    }

    #[test]
    fn a_fingerprint_tells_what_changed() {
        let shown = bound().fingerprint();
        assert_eq!(bound().changed_since(&shown), [""; 0]);
        let other = Digest::from_bytes([9; 32]);
        let later = Bound { report: other.clone(), benchmark: Some(other), ..bound() };
        assert_eq!(later.changed_since(&shown), ["the comparison report", "the benchmark"]);
        assert_eq!(later.differences(&bound()), ["the comparison report", "the benchmark"]);
        assert_eq!(bound().differences(&bound()), [""; 0]);
    }

    #[test]
    fn what_is_no_fingerprint_matches_nothing() {
        let shown = bound().fingerprint();
        for wrong in ["", "x", "---", &shown[1..], &format!("{shown}-"), &shown.to_uppercase()] {
            assert!(!bound().changed_since(wrong).is_empty(), "{wrong}");
        }
    }
}
