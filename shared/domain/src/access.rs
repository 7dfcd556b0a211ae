//! Who may do what with a model, by the policy in force at the moment.
//!
//! People have one voice, whatever they log in as: a mail address, an IAM user, a role and an OIDC subject that the policy
//! names together are one person. Who is not named is nobody.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::compliance::{ProfileName, Requirement};
use crate::ids::{Actor, is_anonymous};
use crate::policy::{Delegation, Person, Policy, Role, mailbox};
use crate::refusal::Refusal;
use crate::version::VersionRecord;

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start a promotion, or announce a submission.
    Promote,
    /// Take a canary or the champion back.
    RollBack,
    /// End a shadow early.
    StopShadow,
    /// Take a version out of use.
    Retire,
    /// Stop an approval that would come by itself.
    Block,
    /// Take back the links to a gate, or have new ones sent.
    Links,
}

impl Action {
    /// All of them, as people list them.
    pub const ALL: [Self; 6] =
        [Self::Promote, Self::RollBack, Self::StopShadow, Self::Retire, Self::Block, Self::Links];

    /// The word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::RollBack => "roll_back",
            Self::StopShadow => "stop_shadow",
            Self::Retire => "retire",
            Self::Block => "block",
            Self::Links => "links",
        }
    }

    /// What people call it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Promote => "submit or promote a version",
            Self::RollBack => "roll back",
            Self::StopShadow => "end a shadow",
            Self::Retire => "retire a version",
            Self::Block => "block an automatic approval",
            Self::Links => "take back or renew everybody's links",
        }
    }

    /// The roles that may. Where the policy gives nobody the first of them, whoever the API lets in may (for `Block`: nobody
    /// else).
    #[must_use]
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::Promote => &[Role::Submitter, Role::Owner],
            Self::RollBack => &[Role::Operator, Role::Owner, Role::Approver],
            Self::StopShadow | Self::Retire | Self::Links => &[Role::Operator, Role::Owner],
            Self::Block => &[Role::Approver, Role::Operator, Role::Owner],
        }
    }
}

/// The people of a model and the rules of deciding, from the policy in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// Everybody the policy names, each once.
    pub people: Vec<Person>,
    /// Rights of approvers that others hold for a time.
    pub delegations: Vec<Delegation>,
    /// How many approvals are needed.
    pub quorum: u32,
    /// Whether submitter and approver must differ.
    pub separation_of_duties: bool,
    /// Whether an approval may come by itself.
    pub automatic: bool,
    /// The compliance profile of the policy in force.
    pub profile: ProfileName,
}

impl Policy {
    /// Who may do what by this policy.
    #[must_use]
    pub fn access(&self) -> Access {
        Access::of(self)
    }
}

/// Whose right a decision uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice<'a> {
    /// The approver whose voice counts.
    pub of: &'a Person,
    /// Whether another person speaks for them.
    pub delegated: bool,
}

impl Access {
    /// The access that `policy` gives.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        let mut people = policy.people.clone();
        for approver in &policy.approval.approvers {
            let known = people.iter_mut().find(|p| p.email.eq_ignore_ascii_case(&approver.email));
            let principals = approver.principals.clone();
            match known {
                Some(person) => {
                    person.principals.extend(principals);
                    person.roles.insert(Role::Approver);
                }
                None => people.push(Person {
                    email: approver.email.clone(),
                    principals,
                    roles: BTreeSet::from([Role::Approver]),
                    emergency: false,
                }),
            }
        }
        Self {
            people,
            delegations: policy.approval.delegations.clone(),
            quorum: policy.approval.quorum.max(1),
            separation_of_duties: policy.approval.separation_of_duties,
            automatic: policy.approval.mode == crate::policy::ApprovalMode::AutoUnlessBlocked,
            profile: policy.profile,
        }
    }

    /// The same people under the rules of the profile that a promotion started with: a policy that comes into force while it
    /// runs changes who decides, and cannot take back what the profile asks of the deciding.
    #[must_use]
    pub fn held_to(&self, profile: ProfileName) -> Self {
        let asks = |item| profile.profile().rule(item).is_some();
        Self {
            separation_of_duties: self.separation_of_duties || asks(Requirement::IndependentReview),
            automatic: self.automatic && !asks(Requirement::AccountableApprover),
            ..self.clone()
        }
    }

    /// The person whom `principal` names, by any of their names.
    #[must_use]
    pub fn person(&self, principal: &str) -> Option<&Person> {
        self.people.iter().find(|p| p.is(principal))
    }

    /// Whether both are one person.
    #[must_use]
    pub fn same_person(&self, one: &str, other: &str) -> bool {
        one == other || self.people.iter().any(|p| p.is(one) && p.is(other))
    }

    /// Whether both may be one human: one person by the policy, or under two addresses of one mailbox
    /// (`ann+second@example.com`). A reason to refuse, and never one to give a right.
    #[must_use]
    pub fn may_be_one(&self, one: &str, other: &str) -> bool {
        let (one, other) = (self.names_of(one), self.names_of(other));
        one.iter().any(|name| other.contains(name))
    }

    /// Everything that `principal` is known by, each address as its mailbox.
    fn names_of(&self, principal: &str) -> BTreeSet<String> {
        let people = self.people.iter().filter(|p| p.is(principal));
        let known = people.flat_map(|p| std::iter::once(&p.email).chain(&p.principals));
        known.map(String::as_str).chain([principal]).map(of_mailbox).collect()
    }

    /// Those with a role.
    pub fn with(&self, role: Role) -> impl Iterator<Item = &Person> {
        self.people.iter().filter(move |p| p.has(role))
    }

    /// Whoever is asked to decide: the approvers, and those who hold an approver's right at `now`.
    #[must_use]
    pub fn asked(&self, now: Timestamp) -> Vec<&Person> {
        let delegated = |p: &&Person| self.lender(p, now).is_some();
        self.people.iter().filter(|p| p.has(Role::Approver) || delegated(p)).collect()
    }

    /// The voice with which `principal` decides at `at`: their own, or that of an approver who lent it.
    #[must_use]
    pub fn voice(&self, principal: &str, at: Timestamp) -> Option<Voice<'_>> {
        let person = self.person(principal)?;
        if person.has(Role::Approver) {
            return Some(Voice { of: person, delegated: false });
        }
        self.lender(person, at).map(|of| Voice { of, delegated: true })
    }

    /// The approver who lent their right to `person`. Only approvers lend, and only their own right: a delegate lends nothing.
    fn lender(&self, person: &Person, at: Timestamp) -> Option<&Person> {
        let held =
            self.delegations.iter().filter(|d| d.holds(at) && d.to.eq_ignore_ascii_case(&person.email));
        held.filter_map(|d| self.person(&d.from)).find(|p| p.has(Role::Approver))
    }

    /// Whether a login is needed to decide: a link alone would not show who holds it.
    #[must_use]
    pub const fn needs_login(&self) -> bool {
        self.separation_of_duties || self.quorum > 1
    }

    /// Whether the policy names `principal` at all: who is not named sees nothing of the model's gates.
    #[must_use]
    pub fn names(&self, principal: &str) -> bool {
        self.person(principal).is_some()
    }

    /// Whether `principal` may do `action`.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] with the roles that may.
    pub fn may(&self, action: Action, principal: &str) -> Result<(), Refusal> {
        let roles = action.roles();
        let held = self.person(principal).is_some_and(|p| roles.iter().any(|r| p.has(*r)));
        if held || self.is_open(action) {
            return Ok(());
        }
        Err(forbidden(principal, action.words(), &format!("the policy gives this to {}", list(roles))))
    }

    /// Whether the policy leaves `action` to whoever the API lets in.
    #[must_use]
    pub fn is_open(&self, action: Action) -> bool {
        let first = action.roles().first();
        action != Action::Block && first.is_none_or(|first| self.with(*first).next().is_none())
    }

    /// Whether `principal` may change the policy or the benchmark. `set_by` is who set the policy in force: they own a model
    /// whose policy names no owner.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] with who may.
    pub fn may_own(&self, principal: &str, set_by: &str) -> Result<(), Refusal> {
        self.owns(principal, set_by)
            .map_err(|why| forbidden(principal, "change the model's policy or benchmark", &why))
    }

    /// Whether `actor` may make `version` champion without a promotion: a person who owns the model and, where duties are separated,
    /// is not whoever submitted it.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] with who may.
    pub fn may_adopt(&self, actor: &Actor, set_by: &str, version: &VersionRecord) -> Result<(), Refusal> {
        let (who, submitted_by) = (actor.principal.as_str(), version.submitted_by.as_str());
        let refuse = |why: &str| Err(forbidden(who, &format!("adopt {}", version.version), why));
        if !actor.is_person() {
            return refuse(
                "a person with a right to it adopts a version, and never a program of the product or an account",
            );
        }
        self.owns(who, set_by).or_else(|why| refuse(&why))?;
        if !self.separation_of_duties {
            return Ok(());
        }
        if is_anonymous(submitted_by) {
            return refuse(
                "separation of duties: nobody in particular submitted it, so it may be theirs, and the same files stay the same version; \
                 change a line of CHANGELOG.md, so that it is a version of its own, and hand that in with `seatrial adopt MODEL FOLDER`: \
                 another owner then adopts it",
            );
        }
        if self.may_be_one(who, submitted_by) {
            return refuse(&format!(
                "separation of duties: they submitted it; another owner adopts it, with `seatrial adopt {} {} --comment …`",
                version.model, version.version
            ));
        }
        Ok(())
    }

    /// Whether `principal` owns the model.
    ///
    /// # Errors
    /// Who does.
    pub(crate) fn owns(&self, principal: &str, set_by: &str) -> Result<(), String> {
        let owners: Vec<&str> = self.with(Role::Owner).map(|p| p.email.as_str()).collect();
        let may = if owners.is_empty() {
            self.same_person(principal, set_by)
        } else {
            self.person(principal).is_some_and(|p| p.has(Role::Owner))
        };
        if may {
            return Ok(());
        }
        Err(if owners.is_empty() {
            format!(
                "the policy in force names no owner, so it belongs to {set_by}, who set it; they can name an owner in `people`"
            )
        } else {
            format!("its owners are {}", owners.join(", "))
        })
    }

    /// Whether `principal` may skip a stage in an emergency. Nobody may whom the policy does not give this right by name.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`].
    pub fn may_bypass(&self, principal: &str) -> Result<(), Refusal> {
        match self.person(principal) {
            Some(p) if p.has(Role::Operator) && p.emergency => Ok(()),
            _ => Err(forbidden(
                principal,
                "skip a stage",
                "it needs a person in the policy with the role operator and `emergency: true`",
            )),
        }
    }
}

/// An address as its mailbox; any other name is itself.
fn of_mailbox(name: &str) -> String {
    let address = name.contains('@') && !name.contains([':', '/']);
    if address { mailbox(name) } else { name.to_owned() }
}

fn list(roles: &[Role]) -> String {
    let words: Vec<&str> = roles.iter().map(|r| r.as_str()).collect();
    words.join(", ")
}

fn forbidden(principal: &str, action: &str, why: &str) -> Refusal {
    Refusal::Forbidden { principal: principal.into(), action: action.into(), why: why.into() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::Approver;

    fn person(email: &str, roles: &[Role]) -> Person {
        Person {
            email: email.into(),
            principals: vec![format!("arn:aws:iam::1:user/{}", email.split('@').next().unwrap())],
            roles: roles.iter().copied().collect(),
            emergency: false,
        }
    }

    fn access(people: Vec<Person>) -> Access {
        let mut policy = Policy { people, ..Policy::default() };
        policy.approval.approvers =
            vec![Approver { email: "Ann@example.com".into(), principals: vec!["AROAANN".into()] }];
        Access::of(&policy)
    }

    #[test]
    fn an_approver_who_is_also_among_the_people_is_one_person_with_all_names() {
        let access = access(vec![person("ann@example.com", &[Role::Owner])]);
        assert_eq!(access.people.len(), 1);
        for one in ["ann@example.com", "ANN@example.com", "AROAANN", "arn:aws:iam::1:user/ann"] {
            assert!(access.same_person(one, "AROAANN"), "{one}");
            assert!(
                access.person(one).unwrap().has(Role::Approver)
                    && access.person(one).unwrap().has(Role::Owner)
            );
        }
        assert!(!access.same_person("aroaann", "AROAANN"), "only addresses ignore case");
    }

    #[test]
    fn two_addresses_of_one_mailbox_may_be_one_human_and_have_no_right_by_it() {
        let access = access(vec![person("bob@example.com", &[])]);
        for other in ["ann+second@example.com", "ANN+a+b@Example.com", "AROAANN"] {
            assert!(access.may_be_one("ann@example.com", other), "{other}");
            assert!(access.may_be_one(other, "AROAANN"), "{other}");
            assert!(!access.may_be_one("bob@example.com", other), "{other}");
        }
        assert!(!access.same_person("ann@example.com", "ann+second@example.com"));
        assert!(access.voice("ann+second@example.com", Timestamp::UNIX_EPOCH).is_none());
        for (name, itself) in [
            ("arn:aws:iam::1:user/ann+x@example.com", "arn:aws:iam::1:user/ann+x@example.com"),
            ("https://issuer.example/#a+b@c", "https://issuer.example/#a+b@c"),
            ("AROA+B", "AROA+B"),
            ("ann", "ann"),
        ] {
            assert_eq!(of_mailbox(name), itself);
        }
    }

    #[test]
    fn the_right_to_roll_back_is_not_the_right_to_promote() {
        let access = access(vec![
            person("op@example.com", &[Role::Operator]),
            person("sue@example.com", &[Role::Submitter]),
            person("au@example.com", &[Role::Auditor]),
        ]);
        assert!(access.may(Action::RollBack, "op@example.com").is_ok());
        assert!(access.may(Action::Promote, "op@example.com").is_err());
        assert!(access.may(Action::Promote, "sue@example.com").is_ok());
        assert!(access.may(Action::RollBack, "sue@example.com").is_err());
        assert!(access.may(Action::RollBack, "AROAANN").is_ok(), "whoever may approve may take back");
        for action in [Action::Promote, Action::RollBack, Action::StopShadow, Action::Retire, Action::Block] {
            assert!(access.may(action, "au@example.com").is_err(), "{action:?}");
            assert!(access.may(action, "eve@example.com").is_err(), "{action:?}");
        }
    }

    #[test]
    fn a_role_that_nobody_has_binds_nobody_but_block_and_bypass_always_need_a_name() {
        let access = access(vec![]);
        assert!(
            access.may(Action::Promote, "anybody").is_ok() && access.may(Action::RollBack, "anybody").is_ok()
        );
        assert!(access.may(Action::Block, "anybody").is_err());
        assert!(access.may(Action::Block, "AROAANN").is_ok());
        assert!(access.may_bypass("AROAANN").is_err());
    }

    #[test]
    fn a_policy_without_an_owner_belongs_to_whoever_set_it() {
        let unowned = access(vec![]);
        assert!(unowned.may_own("AROAANN", "ann@example.com").is_ok(), "under any of their names");
        assert!(unowned.may_own("eve", "ann@example.com").is_err());
        let owned = access(vec![person("olga@example.com", &[Role::Owner])]);
        assert!(owned.may_own("olga@example.com", "ann@example.com").is_ok());
        assert!(owned.may_own("ann@example.com", "ann@example.com").is_err());
    }

    #[test]
    fn an_emergency_needs_an_operator_with_that_right() {
        let mut op = person("op@example.com", &[Role::Operator]);
        let mut not_an_operator = person("ow@example.com", &[Role::Owner]);
        (op.emergency, not_an_operator.emergency) = (true, true);
        let access = access(vec![op, not_an_operator, person("second@example.com", &[Role::Operator])]);
        assert!(access.may_bypass("arn:aws:iam::1:user/op").is_ok());
        for refused in ["ow@example.com", "second@example.com", "ann@example.com", "eve"] {
            assert!(access.may_bypass(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_delegate_speaks_for_the_lender_while_it_holds_and_lends_nothing_on() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut access = access(vec![
            person("bob@example.com", &[]),
            person("cat@example.com", &[]),
            person("dan@example.com", &[]),
        ]);
        let until = at("2026-12-10T00:00:00Z");
        let lent = |from: &str, to: &str| Delegation { from: from.into(), to: to.into(), since: None, until };
        access.delegations =
            vec![lent("ann@example.com", "bob@example.com"), lent("bob@example.com", "cat@example.com")];
        let now = at("2026-12-01T00:00:00Z");
        let voice = access.voice("arn:aws:iam::1:user/bob", now).unwrap();
        assert!(voice.delegated && voice.of.is("ann@example.com"));
        assert!(access.voice("cat@example.com", now).is_none(), "a delegate lends nothing");
        assert!(access.voice("bob@example.com", until).is_none(), "it ended");
        assert_eq!(access.asked(now).len(), 2);
        access.delegations[0].since = Some(at("2026-12-05T00:00:00Z"));
        assert!(access.voice("bob@example.com", now).is_none(), "it has not begun");
    }
}
