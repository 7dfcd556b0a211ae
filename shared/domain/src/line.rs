//! Who waits for a model that another promotion holds, where the policy lets them wait.
//!
//! The line is part of the head, so whoever takes the model and whoever stands in line are told apart in one transaction. It is
//! served in the order of arrival; nobody takes a free model past it but an operator who skips stages in an emergency.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::head::Head;
use crate::ids::{Actor, PromotionId, VersionRef};
use crate::policy::WhenBusy;
use crate::refusal::Refusal;

/// How many promotions may wait for one model. More of them say that something is wrong, and the head stays small.
pub const LONGEST: usize = 20;

/// A promotion that waits for its model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The promotion.
    pub promotion: PromotionId,
    /// What it promotes.
    pub challenger: VersionRef,
    /// Who asked for it.
    pub requested_by: Actor,
    /// Its execution, which looks whether it is its turn.
    pub execution: Option<String>,
    /// Since when it waits.
    pub since: Timestamp,
}

impl Waiting {
    /// When it gives up, by the policy in force.
    #[must_use]
    pub fn until(&self, rules: &WhenBusy) -> Timestamp {
        let longest = SignedDuration::from_secs(i64::from(rules.max_wait_seconds));
        self.since.checked_add(longest).unwrap_or(Timestamp::MAX)
    }

    /// Seconds until it should look again: 10 at first, then a tenth of the time it has waited, half an hour at most. So whoever waits for
    /// minutes begins at once, and whoever waits for days stays far below the 25,000 events that an execution may have.
    #[must_use]
    pub fn looks_again_in(&self, now: Timestamp) -> u32 {
        let waited = now.duration_since(self.since).as_secs().max(0);
        u32::try_from((waited / 10).clamp(10, 1_800)).unwrap_or(1_800)
    }
}

impl Head {
    /// Where `promotion` stands in line, from 0.
    #[must_use]
    pub fn place_of(&self, promotion: &PromotionId) -> Option<usize> {
        self.waiting.iter().position(|w| w.promotion == *promotion)
    }

    /// That a promotion which stood in line still does: whoever was taken out of it takes no model, and joins no line again.
    ///
    /// # Errors
    /// [`Refusal::Superseded`] when it does not.
    pub fn still_waits(&self, promotion: &PromotionId) -> Result<(), Refusal> {
        if self.place_of(promotion).is_some() {
            return Ok(());
        }
        Err(Refusal::Superseded { promotion: promotion.clone(), epoch: self.epoch, found: self.epoch })
    }

    /// Whether `promotion` (none: one that comes now) may take the model. `emergency` goes past the line, and past no running promotion.
    ///
    /// # Errors
    /// [`Refusal::Busy`] while another promotion holds it, [`Refusal::InLine`] while others wait for it.
    pub fn free_for(&self, promotion: Option<&PromotionId>, emergency: bool) -> Result<(), Refusal> {
        if let Some(running) = &self.running {
            return Err(Refusal::Busy { by: running.promotion.clone(), version: running.challenger.version });
        }
        match self.waiting.first() {
            Some(first) if Some(&first.promotion) != promotion && !emergency => Err(Refusal::InLine {
                first: first.promotion.clone(),
                version: first.challenger.version,
                waiting: self.waiting.len(),
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::canonical::sha256;
    use crate::ids::{ModelName, VersionName};

    fn waiting() -> Waiting {
        let model = ModelName::parse("m").unwrap();
        Waiting {
            promotion: PromotionId::derive(&model, "x", 1),
            challenger: VersionRef { version: VersionName::new(2), digest: sha256(b"x") },
            requested_by: Actor::function("test"),
            execution: None,
            since: "2026-11-21T10:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_long_wait_looks_seldom_and_a_short_one_often() {
        let waiting = waiting();
        let after = |seconds| waiting.looks_again_in(waiting.since + SignedDuration::from_secs(seconds));
        assert_eq!([after(-5), after(0), after(200), after(3_600), after(700_000)], [10, 10, 20, 360, 1_800]);
        let (mut looks, mut at) = (0, 0_i64);
        while at < i64::from(crate::policy::LONGEST_WAIT_SECONDS) {
            at += i64::from(after(at));
            looks += 1;
        }
        // A look is nine events: a task of five, a choice of two, a wait of two.
        assert!(looks * 9 < 10_000, "{looks}");
    }

    #[test]
    fn it_gives_up_when_the_policy_says() {
        let rules = WhenBusy { max_wait_seconds: 60, ..WhenBusy::default() };
        assert_eq!(waiting().until(&rules).to_string(), "2026-11-21T10:01:00Z");
    }
}
