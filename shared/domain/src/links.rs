//! Taking back the links to a gate, and asking for new ones.
//!
//! Whoever may ask for this never sees a link: what they ask is written into the gate's record, and `gate` alone makes links
//! and sends each to its person's own address. Links have generations, and no clock: each order ends the generation of those
//! it is about, so that a link made before it opens nothing after it, whatever two machines think of the time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Action};
use crate::gate::{GateKind, GateRecord};
use crate::ids::Actor;
use crate::refusal::Refusal;

/// How many orders one gate takes: each is a mail to somebody.
const MOST_ORDERS: usize = 50;

/// What somebody asked about the links to a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkOrder {
    /// Whose links, by mail address; everybody's where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Whether new ones are to be sent in their place.
    #[serde(default)]
    pub renew: bool,
    /// Who asked.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// When the new ones were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
}

impl LinkOrder {
    fn is_about(&self, approver: &str) -> bool {
        self.of.as_ref().is_none_or(|of| of.eq_ignore_ascii_case(approver))
    }
}

impl GateRecord {
    /// The generation of links that `approver` may use now: how often theirs were taken back.
    #[must_use]
    pub fn link_generation(&self, approver: &str) -> u32 {
        self.link_orders.iter().map(|o| u32::from(o.is_about(approver))).sum()
    }

    /// Whether a new link is to be sent to `approver`: the last that was asked about theirs is a new one, and it was not
    /// sent yet.
    #[must_use]
    pub fn owes_link(&self, approver: &str) -> bool {
        let last = self.link_orders.iter().rev().find(|o| o.is_about(approver));
        last.is_some_and(|o| o.renew && o.done_at.is_none())
    }

    /// Whether anybody waits for a new link.
    #[must_use]
    pub fn owes_links(&self) -> bool {
        self.link_orders.iter().any(|o| o.renew && o.done_at.is_none())
    }
}

/// The gate after `order`, by the rules of `access`; nothing when the same was asked last and is not done yet.
///
/// # Errors
/// [`Refusal::GateClosed`]; [`Refusal::Forbidden`] for whoever is neither in charge of the model nor the person themselves;
/// [`Refusal::Invalid`] for a gate without links, for somebody who is not asked to decide, or for one order too many.
pub fn order(gate: &GateRecord, order: LinkOrder, access: &Access) -> Result<Option<GateRecord>, Refusal> {
    crate::gate::open_at(gate, order.at)?;
    let invalid = |why: String| Err(Refusal::Invalid { why });
    if gate.kind != GateKind::Approval {
        return invalid(format!("gate {} is the wait for a shadow's end; nobody has links to it", gate.id));
    }
    may_order(&order, access)?;
    let asked = access.asked(order.at);
    if let Some(of) = &order.of
        && !asked.iter().any(|p| p.email.eq_ignore_ascii_case(of))
    {
        let known: Vec<&str> = asked.iter().map(|p| p.email.as_str()).collect();
        return invalid(format!(
            "{of} is not the address of anybody who is asked to decide; those are {}",
            known.join(", ")
        ));
    }
    let same = |before: &LinkOrder| {
        (&before.of, before.renew, &before.by) == (&order.of, order.renew, &order.by)
            && before.done_at.is_none()
    };
    if gate.link_orders.last().is_some_and(same) {
        return Ok(None);
    }
    if gate.link_orders.len() >= MOST_ORDERS {
        return invalid(format!(
            "links to gate {} were taken back {MOST_ORDERS} times, which is the most",
            gate.id
        ));
    }
    let mut after = gate.clone();
    after.link_orders.push(order);
    Ok(Some(after))
}

/// Whoever is in charge may for everybody; everybody who has links for themselves.
fn may_order(order: &LinkOrder, access: &Access) -> Result<(), Refusal> {
    let Err(refusal) = access.may(Action::Links, &order.by.principal) else { return Ok(()) };
    let person = access.person(&order.by.principal);
    if let (Some(of), Some(person)) = (&order.of, person)
        && person.email.eq_ignore_ascii_case(of)
    {
        return Ok(());
    }
    let asked = access.asked(order.at);
    let own = person.filter(|p| asked.contains(p)).map(|p| p.email.as_str());
    Err(match (refusal, own) {
        (Refusal::Forbidden { principal, action, why }, Some(own)) => {
            Refusal::Forbidden { principal, action, why: format!("{why}; your own are those of {own}") }
        }
        (refusal, _) => refusal,
    })
}

/// The gate after the links of its first `seen` orders were sent.
#[must_use]
pub fn sent(gate: &GateRecord, seen: usize, at: Timestamp) -> GateRecord {
    let mut after = gate.clone();
    let open = after.link_orders.iter_mut().take(seen).filter(|o| o.renew && o.done_at.is_none());
    open.for_each(|o| o.done_at = Some(at));
    after
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::gate::GateStatus;
    use crate::gate::testing::{at, gate};
    use crate::ids::Auth;
    use crate::policy::{Approver, Person, Policy, Role};

    const ANN: &str = "ann@example.com";
    const BOB: &str = "bob@example.com";
    const OLGA: &str = "olga@example.com";

    fn access() -> Access {
        let mut policy = Policy::default();
        policy.approval.approvers = vec![
            Approver { email: ANN.into(), principals: vec!["AROAANN".into()] },
            Approver { email: BOB.into(), principals: vec![] },
        ];
        policy.people = vec![Person {
            email: OLGA.into(),
            principals: vec![],
            roles: [Role::Operator].into(),
            emergency: false,
        }];
        policy.access()
    }

    fn ask(
        gate: &GateRecord,
        by: &str,
        of: Option<&str>,
        renew: bool,
    ) -> Result<Option<GateRecord>, Refusal> {
        let by = Actor { principal: by.into(), auth: Auth::Iam };
        let asked = LinkOrder { of: of.map(str::to_owned), renew, by, at: at(150), done_at: None };
        order(gate, asked, &access())
    }

    #[test]
    fn an_order_ends_the_generation_of_those_it_is_about() {
        let first = ask(&gate(), OLGA, Some("Ann@example.com"), false).unwrap().unwrap();
        assert_eq!((first.link_generation(ANN), first.link_generation(BOB)), (1, 0));
        assert!(!first.owes_links(), "taking back sends nothing");
        let all = ask(&first, OLGA, None, true).unwrap().unwrap();
        assert_eq!((all.link_generation(ANN), all.link_generation(BOB)), (2, 1));
        assert!(all.owes_link(ANN) && all.owes_link(BOB) && all.owes_links());
        let done = sent(&all, 2, at(151));
        assert!(!done.owes_link(ANN) && !done.owes_links());
        assert_eq!(done.link_generation(ANN), 2, "what was sent is of the present generation");
    }

    #[test]
    fn what_is_taken_back_before_it_was_sent_is_not_sent() {
        let asked = ask(&gate(), OLGA, None, true).unwrap().unwrap();
        let taken = ask(&asked, OLGA, Some(ANN), false).unwrap().unwrap();
        assert!(!taken.owes_link(ANN) && taken.owes_link(BOB));
        // What comes after the sender looked waits for the next look.
        let again = ask(&taken, OLGA, Some(ANN), true).unwrap().unwrap();
        let done = sent(&again, 2, at(151));
        assert!(done.owes_link(ANN) && !done.owes_link(BOB));
    }

    #[test]
    fn the_same_asked_again_before_it_is_done_is_no_second_order() {
        let asked = ask(&gate(), OLGA, None, true).unwrap().unwrap();
        assert_eq!(ask(&asked, OLGA, None, true).unwrap(), None);
        assert!(ask(&sent(&asked, 1, at(151)), OLGA, None, true).unwrap().is_some(), "it was done");
        let mut full = gate();
        for i in 0..MOST_ORDERS {
            full = ask(&full, OLGA, None, i % 2 == 0).unwrap().unwrap();
        }
        assert!(matches!(ask(&full, OLGA, Some(ANN), true), Err(Refusal::Invalid { .. })));
    }

    #[test]
    fn an_approver_may_for_themselves_and_nobody_for_strangers() {
        for name in [ANN, "AROAANN"] {
            assert!(ask(&gate(), name, Some(ANN), true).is_ok(), "{name}");
            for other in [None, Some(BOB)] {
                let refused = ask(&gate(), name, other, true).unwrap_err();
                assert!(refused.to_string().contains("your own are those of ann@"), "{refused}");
            }
        }
        assert!(matches!(ask(&gate(), "eve", Some(ANN), false), Err(Refusal::Forbidden { .. })));
        let stranger = ask(&gate(), OLGA, Some("eve@example.com"), true).unwrap_err();
        assert!(stranger.to_string().contains(BOB), "{stranger}");
        let closed = GateRecord { status: GateStatus::Rejected, ..gate() };
        assert!(matches!(ask(&closed, OLGA, None, true), Err(Refusal::GateClosed { .. })));
        let window = GateRecord { kind: GateKind::ShadowWindow, ..gate() };
        assert!(matches!(ask(&window, OLGA, None, true), Err(Refusal::Invalid { .. })));
    }
}
