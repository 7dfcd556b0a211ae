//! Who submitted a version.
//!
//! An event of S3 names the account that wrote an object and no person. So whoever submits announces it first, to an API that
//! knows who they are: the submission's id, and the digest of the file that completes it, which lists all others with
//! theirs. The first announcement of an id stays. Bytes that are not the announced ones are nobody's, and are refused.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::adoption::Adoption;
use crate::artifact::ArtifactRef;
use crate::ids::{Actor, Auth, Digest, ModelName, SubmissionId, is_anonymous};
use crate::refusal::Refusal;

/// How long an announcement is kept: the upload has to be complete within this time.
pub const ANNOUNCED_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A submission that a known person announced before its upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// The model it is for.
    pub model: ModelName,
    /// Its id, which is also the name of its folder.
    pub id: SubmissionId,
    /// The SHA-256 of the `submission.json` that completes it.
    pub digest: Digest,
    /// Who announced it, and how they were authenticated.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// Until when it is kept.
    pub expires_at: Timestamp,
    /// What it is for, where it is to be adopted; none where it is to be promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Adoption>,
}

impl Announced {
    /// An announcement made at `at`.
    #[must_use]
    pub fn new(model: ModelName, id: SubmissionId, digest: Digest, by: Actor, at: Timestamp) -> Self {
        let expires_at = at.checked_add(ANNOUNCED_FOR).unwrap_or(Timestamp::MAX);
        Self { model, id, digest, by, at, expires_at, adoption: None }
    }

    /// The same, to be adopted.
    #[must_use]
    pub fn to_adopt(self, adoption: Option<Adoption>) -> Self {
        Self { adoption, ..self }
    }

    /// Whether `again`, which came after this one was kept, says the same: the same bytes for the same end, by the same person
    /// under any of their names.
    ///
    /// # Errors
    /// [`Refusal::AlreadyAnnounced`] when it does not.
    pub fn repeated_by(&self, again: &Self, access: &Access) -> Result<(), Refusal> {
        let same_person = access.same_person(&self.by.principal, &again.by.principal);
        let other = match (same_person, self.digest == again.digest) {
            (true, true) if self.adoption == again.adoption => return Ok(()),
            (true, true) => match &self.adoption {
                Some(adoption) => format!(", to be adopted (\"{}\")", adoption.comment),
                None => ", to be promoted".to_owned(),
            },
            (true, false) => format!(", for a submission.json with the digest {}", self.digest),
            (false, _) => String::new(),
        };
        Err(Refusal::AlreadyAnnounced {
            id: self.id.clone(),
            by: self.by.principal.clone(),
            at: self.at,
            other,
        })
    }
}

/// Who submitted, as a version's record says it, and as what it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitter<'a> {
    /// The principal.
    pub principal: &'a str,
    /// How they were authenticated; none where nobody was.
    pub auth: Option<Auth>,
    /// The artifact it was unpacked from; none where its files were uploaded.
    pub artifact: Option<&'a ArtifactRef>,
}

impl<'a> Submitter<'a> {
    /// The same, of a submission that came as an artifact of training.
    #[must_use]
    pub const fn with_artifact(self, artifact: &'a ArtifactRef) -> Self {
        Self { artifact: Some(artifact), ..self }
    }
}

impl<'a> From<&'a str> for Submitter<'a> {
    fn from(principal: &'a str) -> Self {
        Self { principal, auth: None, artifact: None }
    }
}

impl<'a> From<&'a Actor> for Submitter<'a> {
    fn from(actor: &'a Actor) -> Self {
        let principal = actor.principal.as_str();
        // How an account was authenticated says nothing about a person.
        Self { principal, auth: (!is_anonymous(principal)).then_some(actor.auth), artifact: None }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::canonical::sha256;
    use crate::policy::{Person, Policy};

    const SUE: &str = "sue@example.com";
    const SUE_AS_ROLE: &str = "AROASUE";

    fn announced(by: &str, bytes: &[u8]) -> Announced {
        let (model, id) = (ModelName::parse("m").unwrap(), SubmissionId::parse("s1").unwrap());
        let by = Actor { principal: by.into(), auth: Auth::Iam };
        Announced::new(model, id, sha256(bytes), by, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn the_first_announcement_stays_and_only_the_same_person_repeats_it() {
        let sue = Person {
            email: SUE.into(),
            principals: vec![SUE_AS_ROLE.into()],
            roles: Default::default(),
            emergency: false,
        };
        let access = Policy { people: vec![sue], ..Policy::default() }.access();
        let first = announced(SUE, b"a");
        for again in [SUE, SUE_AS_ROLE] {
            assert_eq!(first.repeated_by(&announced(again, b"a"), &access), Ok(()), "{again}");
            let other = first.repeated_by(&announced(again, b"b"), &access).unwrap_err();
            assert!(other.to_string().contains(first.digest.as_str()), "{other}");
        }
        let eve = first.repeated_by(&announced("eve", b"a"), &access).unwrap_err();
        assert!(eve.to_string().contains(SUE) && eve.code() == "already_announced", "{eve}");
    }

    #[test]
    fn what_was_announced_to_be_promoted_is_not_adopted_by_announcing_it_again() {
        let access = Policy::default().access();
        let adoption = Adoption { comment: "in use since May".into(), serving_since: None };
        let (tried, taken) = (announced(SUE, b"a"), announced(SUE, b"a").to_adopt(Some(adoption)));
        assert_eq!(taken.repeated_by(&taken, &access), Ok(()));
        let told = tried.repeated_by(&taken, &access).unwrap_err().to_string();
        assert!(told.contains("to be promoted"), "{told}");
        let told = taken.repeated_by(&tried, &access).unwrap_err().to_string();
        assert!(told.contains("in use since May"), "{told}");
    }

    #[test]
    fn how_an_account_was_authenticated_says_nothing_about_a_person() {
        let actor = |principal: &str| Actor { principal: principal.into(), auth: Auth::Iam };
        assert_eq!(Submitter::from(&actor("account/1")).auth, None);
        assert_eq!(Submitter::from(&actor(SUE_AS_ROLE)).auth, Some(Auth::Iam));
    }
}
