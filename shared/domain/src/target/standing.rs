//! How a target stands to the route, as it is kept and as it is told.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::desired::{Desired, difference, percent};
use super::met::Met;
use crate::head::Head;
use crate::ids::ModelName;
use crate::policy::Target;
use crate::route::Weight;

/// Targets are looked at every minute; a look that is older says nothing of this moment.
const FRESH_SECONDS: i64 = 300;

/// How a target stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// It does what the route says.
    InStep,
    /// Not yet; it is being driven there.
    Behind,
    /// It does not, and it will not before somebody changes something.
    Refused,
}

/// What is kept of the last look at a target. It is no part of the history: the route is what was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetRecord {
    /// The model.
    pub model: ModelName,
    /// The target.
    pub target: Target,
    /// The revision of the head that was looked at.
    pub revision: u64,
    /// The epoch of its route.
    pub epoch: u64,
    /// When that route was written: by it a record is known to be about the present one.
    pub route_since: Timestamp,
    /// What it should do: shares by the names at the target.
    pub desired: BTreeMap<String, Weight>,
    /// What it was last seen to do: fractions of the traffic.
    pub actual: BTreeMap<String, f64>,
    /// How it stands.
    pub state: TargetState,
    /// Why it is not in step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Since when it is not in step with this route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_since: Option<Timestamp>,
    /// Since when it is in step with this route, as far as it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_step_since: Option<Timestamp>,
    /// From when on callers met each weight of this epoch.
    #[serde(default, skip_serializing_if = "Met::is_empty")]
    pub met: Met,
    /// Milliseconds from the route to its being in step, where it was looked at before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<i64>,
    /// The last time that somebody else had changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_right: Option<PutRight>,
    /// When it was looked at.
    pub seen_at: Timestamp,
}

/// A change at the target that was not ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutRight {
    /// When it was found.
    pub at: Timestamp,
    /// What was found.
    pub found: String,
}

/// What came of a look at a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen<'a> {
    /// What the route comes to; none where it comes to nothing there.
    pub wanted: Option<&'a Desired>,
    /// What it did before it was driven, and after; none where it could not be seen.
    pub before: Option<&'a BTreeMap<String, f64>>,
    /// The last that was seen of it.
    pub after: Option<&'a BTreeMap<String, f64>>,
    /// Why it is behind.
    pub pending: Option<String>,
    /// Why it refuses.
    pub refused: Option<String>,
}

impl TargetRecord {
    /// What is kept of a look at `target`. `before` is the record of an earlier look.
    #[must_use]
    pub fn after(
        head: &Head,
        target: &Target,
        before: Option<&Self>,
        seen: &Seen<'_>,
        now: Timestamp,
    ) -> Self {
        let before = before.filter(|b| b.target == *target);
        let same_route = before.filter(|b| b.route_since == head.route.since);
        let desired = seen.wanted.map(Desired::weights).unwrap_or_default();
        let actual = seen.after.cloned().or_else(|| before.map(|b| b.actual.clone())).unwrap_or_default();
        let behind = seen.after.and_then(|actual| difference(&desired, actual));
        let nothing = seen.wanted.is_none() && seen.refused.is_none();
        let (state, why) = match (&seen.refused, &seen.pending, seen.after) {
            (Some(why), _, _) => (TargetState::Refused, Some(why.clone())),
            (None, Some(why), _) => (TargetState::Behind, Some(why.clone())),
            _ if nothing => (TargetState::InStep, None),
            (None, None, None) => (TargetState::Behind, Some("it could not be seen".to_owned())),
            (None, None, Some(_)) => match behind {
                None => (TargetState::InStep, None),
                Some(difference) => (TargetState::Behind, Some(difference)),
            },
        };
        let in_step = state == TargetState::InStep;
        // What could not be seen once is not seen otherwise: what was seen before stands.
        let was_in_step = same_route.filter(|b| b.in_step_since.is_some());
        let out_since = (!in_step).then(|| match (same_route.and_then(|b| b.out_since), was_in_step) {
            (Some(since), _) => since,
            (None, Some(_)) => now,
            // A target that was named just now is late from now on, however old the route is.
            (None, None) => before.map_or(now, |_| head.route.since.min(now)),
        });
        let took = now.duration_since(head.route.since).as_millis() as i64;
        let took_ms = match same_route {
            // It was in step already: how long that took is known, or was never seen.
            Some(earlier) if earlier.state == TargetState::InStep || earlier.took_ms.is_some() => {
                earlier.took_ms
            }
            // A target that is looked at for the first time may have come to an old route at any time.
            _ => (in_step && !nothing && before.is_some()).then_some(took.max(0)),
        };
        let touched = was_in_step.and(seen.before).and_then(|found| difference(&desired, found));
        let put_right = touched.filter(|_| seen.wanted.is_some()).map(|found| PutRight { at: now, found });
        let undisturbed = was_in_step.filter(|_| put_right.is_none()).and_then(|b| b.in_step_since);
        let in_step_since = match (in_step, seen.after) {
            (true, _) => Some(undisturbed.unwrap_or(now)),
            (false, None) => undisturbed,
            (false, Some(_)) => None,
        };
        let mut met =
            before.filter(|b| b.epoch == head.route.epoch).map(|b| b.met.clone()).unwrap_or_default();
        if in_step && !nothing {
            met = met.with(head.route.weight, now);
        }
        Self {
            model: head.model.clone(),
            target: target.clone(),
            revision: head.revision,
            epoch: head.route.epoch,
            route_since: head.route.since,
            desired,
            actual,
            state,
            why,
            out_since,
            in_step_since,
            met,
            took_ms,
            put_right: put_right.or_else(|| before.and_then(|b| b.put_right.clone())),
            seen_at: now,
        }
    }

    /// Whether people should hear of it: it is not in step for longer than this kind of target takes.
    #[must_use]
    pub fn is_late(&self, now: Timestamp) -> bool {
        let late = self.target.late_after_seconds();
        self.out_since.is_some_and(|since| now.duration_since(since).as_secs() >= late)
    }
}

/// How a model's traffic stands to its route: desired beside actual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Its kind: `route` where servers read the route themselves.
    pub kind: String,
    /// Who splits the traffic, in words.
    pub target: String,
    /// How it stands.
    pub state: TargetState,
    /// What it should do, where it was looked at since: shares by the names at the target.
    pub desired: BTreeMap<String, Weight>,
    /// What it was last seen to do: fractions of the traffic.
    pub actual: BTreeMap<String, f64>,
    /// Since when it is not in step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_since: Option<Timestamp>,
    /// Since when it is in step with this route, as far as it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_step_since: Option<Timestamp>,
    /// Why it is not in step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When it was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
    /// How fast a rollback takes effect.
    pub rollback_takes: String,
    /// Milliseconds that the last change took, where it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<i64>,
    /// The last time that somebody else had changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_right: Option<PutRight>,
}

impl Standing {
    /// How the traffic of a model stands. `record` is what was kept of the last look at its target.
    #[must_use]
    pub fn of(head: &Head, target: Option<&Target>, record: Option<&TargetRecord>) -> Self {
        let rollback_takes = Target::rollback_takes(target).to_owned();
        let Some(target) = target else {
            return Self {
                kind: "route".into(),
                target: "servers that read the route".into(),
                state: TargetState::InStep,
                desired: BTreeMap::new(),
                actual: BTreeMap::new(),
                out_since: None,
                in_step_since: None,
                why: None,
                seen_at: None,
                rollback_takes,
                took_ms: None,
                put_right: None,
            };
        };
        let record = record.filter(|r| r.target == *target);
        let present = record.filter(|r| r.route_since == head.route.since);
        let since = head.champion().map(|_| head.route.since);
        let waits = || match record {
            Some(_) => "it was not driven to this route yet".to_owned(),
            None => "it was not looked at yet".to_owned(),
        };
        let (state, out_since, why) = match (present, since) {
            (Some(r), _) => (r.state, r.out_since, r.why.clone()),
            (None, None) => (TargetState::InStep, None, None),
            (None, Some(_)) => (TargetState::Behind, record.and(since), Some(waits())),
        };
        Self {
            kind: target.kind().to_owned(),
            target: target.phrase(),
            state,
            desired: present.map(|r| r.desired.clone()).unwrap_or_default(),
            actual: record.map(|r| r.actual.clone()).unwrap_or_default(),
            out_since,
            in_step_since: present.filter(|r| r.state == TargetState::InStep).and_then(|r| r.in_step_since),
            why,
            seen_at: record.map(|r| r.seen_at),
            rollback_takes,
            took_ms: present.and_then(|r| r.took_ms),
            put_right: record.and_then(|r| r.put_right.clone()),
        }
    }

    /// How it stands, in one sentence.
    #[must_use]
    pub fn sentence(&self, now: Timestamp) -> String {
        if self.kind == "route" {
            return self.target.clone();
        }
        let weights = |shares: &mut dyn Iterator<Item = (&String, String)>| {
            let all: Vec<String> = shares.map(|(name, share)| format!("{name} {share}")).collect();
            if all.is_empty() { "nothing that is known".to_owned() } else { all.join(", ") }
        };
        let actual = weights(
            &mut self.actual.iter().filter(|(_, s)| **s > 0.0).map(|(name, share)| (name, percent(*share))),
        );
        if self.state == TargetState::InStep {
            let unseen =
                self.unseen(now).map_or_else(String::new, |age| format!(" when it was looked at {age} ago"));
            return format!("{}: {actual}, in step{unseen}", self.target);
        }
        let word = if self.state == TargetState::Refused { "refuses" } else { "is behind" };
        let since = self
            .out_since
            .map_or_else(String::new, |at| format!(" since {} s", now.duration_since(at).as_secs().max(0)));
        let desired = if self.desired.is_empty() {
            String::new()
        } else {
            let wanted = weights(&mut self.desired.iter().map(|(name, share)| (name, share.to_string())));
            format!(", to be {wanted}")
        };
        let why = self.why.as_deref().map_or_else(String::new, |why| format!(": {why}"));
        format!("{} {word}{since}: {actual}{desired}{why}", self.target)
    }

    /// How long ago it was looked at, where that is longer than looks are apart: it says nothing of this moment.
    #[must_use]
    pub fn unseen(&self, now: Timestamp) -> Option<String> {
        let age = now.duration_since(self.seen_at?).as_secs();
        (age > FRESH_SECONDS).then(|| format!("{age} s"))
    }

    /// Why a canary cannot be judged healthy yet: its callers are not at the step's weight, or not for `hold_seconds`.
    #[must_use]
    pub fn holds_canary(&self, hold_seconds: u32, now: Timestamp) -> Option<String> {
        if self.state != TargetState::InStep || self.unseen(now).is_some() {
            return Some(self.sentence(now));
        }
        let held = now.duration_since(self.in_step_since?).as_secs();
        let short = held < i64::from(hold_seconds);
        short.then(|| format!("{} is at this weight for {} s of {hold_seconds} s", self.target, held.max(0)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::canonical::sha256;
    use crate::ids::{VersionName, VersionRef};
    use crate::policy::{HttpTarget, LambdaAlias};
    use crate::target::desired;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn target() -> Target {
        Target::Http(HttpTarget { url: "https://mesh.example.com/".into() })
    }

    fn head(weight: u16, since: i64) -> Head {
        let version = |n: u32| VersionRef { version: VersionName::new(n), digest: sha256(&n.to_be_bytes()) };
        let mut head = Head::new("m".parse().unwrap(), at(0));
        head.route.champion = Some(version(1));
        head.route.challenger = Some(version(2));
        head.route.weight = Weight::from_bps(weight).unwrap();
        head.route.since = at(since);
        head
    }

    fn shares(of: &[(&str, f64)]) -> BTreeMap<String, f64> {
        of.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect()
    }

    fn look(
        head: &Head,
        before: Option<&TargetRecord>,
        found: &[(&str, f64)],
        left: &[(&str, f64)],
        pending: Option<&str>,
        now: i64,
    ) -> TargetRecord {
        let wanted = desired(head, &target(), &BTreeMap::new()).unwrap().unwrap();
        let (found, left) = (shares(found), shares(left));
        let seen = Seen {
            wanted: Some(&wanted),
            before: Some(&found),
            after: Some(&left),
            pending: pending.map(Into::into),
            refused: None,
        };
        TargetRecord::after(head, &target(), before, &seen, at(now))
    }

    const CHAMPION: &[(&str, f64)] = &[("v1", 1.0)];
    const QUARTER: &[(&str, f64)] = &[("v1", 0.75), ("v2", 0.25)];

    #[test]
    fn a_rollback_that_the_target_has_not_taken_is_told_with_what_callers_still_meet() {
        let canary = head(2_500, 10);
        let step = look(&canary, None, CHAMPION, QUARTER, None, 12);
        assert_eq!((step.state, step.took_ms, step.out_since), (TargetState::InStep, None, None));
        assert_eq!(step.in_step_since, Some(at(12)), "whoever looks for the first time knows no more");
        let back = head(0, 100);
        let said = Standing::of(&back, Some(&target()), Some(&step));
        assert_eq!((said.state, said.out_since), (TargetState::Behind, Some(at(100))));
        let sentence = said.sentence(at(101));
        assert!(sentence.contains("is behind since 1 s: v1 75 %, v2 25 %"), "{sentence}");
        assert!(said.holds_canary(0, at(101)).is_some());
        let pending = look(&back, Some(&step), QUARTER, QUARTER, Some("the endpoint is Updating"), 103);
        assert_eq!(
            (pending.state, pending.out_since, pending.took_ms),
            (TargetState::Behind, Some(at(100)), None)
        );
        let sentence = Standing::of(&back, Some(&target()), Some(&pending)).sentence(at(112));
        assert!(
            sentence.contains("since 12 s: v1 75 %, v2 25 %, to be v1 100 %: the endpoint is Updating"),
            "{sentence}"
        );
        assert!(!pending.is_late(at(219)) && pending.is_late(at(220)));
        let done = look(&back, Some(&pending), QUARTER, CHAMPION, None, 130);
        assert_eq!((done.state, done.took_ms, done.out_since), (TargetState::InStep, Some(30_000), None));
        let again = look(&back, Some(&done), CHAMPION, CHAMPION, None, 900);
        assert_eq!((again.took_ms, &again.put_right), (Some(30_000), &None), "it stays what it was");
        let said = Standing::of(&back, Some(&target()), Some(&again));
        assert_eq!(said.in_step_since, Some(at(130)));
        assert_eq!(said.holds_canary(300, at(1_200)), None);
        let unseen = said.holds_canary(300, at(1_201)).unwrap();
        assert!(unseen.ends_with("in step when it was looked at 301 s ago"), "{unseen}");
        let short = said.holds_canary(300, at(429)).unwrap();
        assert!(short.ends_with("is at this weight for 299 s of 300 s"), "{short}");
        assert_eq!(said.holds_canary(300, at(430)), None);
    }

    #[test]
    fn what_somebody_else_changed_is_kept_when_it_is_put_right() {
        let canary = head(2_500, 10);
        let step = look(&canary, None, CHAMPION, QUARTER, None, 12);
        assert_eq!(step.put_right, None, "the first look found what was there before us");
        let fixed = look(&canary, Some(&step), &[("v1", 0.5), ("v2", 0.5)], QUARTER, None, 70);
        let put_right = fixed.put_right.clone().unwrap();
        assert_eq!(put_right.at, at(70));
        assert!(put_right.found.contains("v2 has 50 % instead of 25 %"), "{put_right:?}");
        assert_eq!(fixed.in_step_since, Some(at(70)), "callers met something else until then");
        let back = head(0, 100);
        let after = look(&back, Some(&fixed), QUARTER, CHAMPION, None, 101);
        assert_eq!(after.put_right, Some(put_right), "a change of ours is none of theirs");
        let stuck = look(&canary, Some(&step), QUARTER, &[("v1", 1.0)], Some("throttled"), 70);
        assert_eq!(stuck.out_since, Some(at(70)), "it fell out of step then, not when the route was written");
    }

    /// A look that saw nothing: the target did not answer.
    fn unseen(head: &Head, before: Option<&TargetRecord>, now: i64) -> TargetRecord {
        let wanted = desired(head, &target(), &BTreeMap::new()).unwrap().unwrap();
        let pending = Some("it did not answer".into());
        let seen = Seen { wanted: Some(&wanted), before: None, after: None, pending, refused: None };
        TargetRecord::after(head, &target(), before, &seen, at(now))
    }

    #[test]
    fn a_look_that_saw_nothing_ends_no_hold_and_hides_no_change() {
        let canary = head(2_500, 10);
        let step = look(&canary, None, CHAMPION, QUARTER, None, 12);
        let blind = unseen(&canary, Some(&step), 72);
        assert_eq!((blind.state, blind.out_since), (TargetState::Behind, Some(at(72))));
        let said = Standing::of(&canary, Some(&target()), Some(&blind));
        assert_eq!(said.in_step_since, None);
        assert!(said.holds_canary(0, at(72)).is_some(), "not seen is not in step");
        let again = look(&canary, Some(&blind), QUARTER, QUARTER, None, 74);
        assert_eq!((again.in_step_since, &again.put_right), (Some(at(12)), &None), "the hold goes on");
        let touched = look(&canary, Some(&blind), &[("v1", 0.5), ("v2", 0.5)], QUARTER, None, 74);
        assert!(touched.put_right.is_some(), "a change by hand is told although one look saw nothing");
        assert_eq!(touched.in_step_since, Some(at(74)));
    }

    #[test]
    fn a_target_that_was_named_just_now_is_late_from_then_on() {
        let old = head(0, 100);
        let first = look(&old, None, QUARTER, QUARTER, Some("it is Updating"), 5_000);
        assert_eq!(first.out_since, Some(at(5_000)));
        assert!(!first.is_late(at(5_119)) && first.is_late(at(5_120)));
        let unlooked = Standing::of(&old, Some(&target()), None);
        assert_eq!((unlooked.state, unlooked.out_since), (TargetState::Behind, None));
    }

    #[test]
    fn a_weight_is_met_from_the_first_look_in_step_until_the_epoch_ends() {
        let canary = head(2_500, 10);
        let behind = look(&canary, None, CHAMPION, CHAMPION, Some("it is Updating"), 12);
        let quarter = canary.route.weight;
        assert!(behind.met.is_empty());
        let step = look(&canary, Some(&behind), CHAMPION, QUARTER, None, 300);
        let later = look(&canary, Some(&step), QUARTER, QUARTER, None, 900);
        let from = at(300).as_second();
        assert!(!later.met.holds(quarter, from + 10) && later.met.holds(quarter, from + 11));
        let half = head(5_000, 1_000);
        let next = look(&half, Some(&later), QUARTER, QUARTER, Some("it is Updating"), 1_002);
        assert!(next.met.holds(quarter, from + 11) && !next.met.holds(half.route.weight, from + 2_000));
        let mut another = head(2_500, 2_000);
        another.route.epoch += 1;
        assert!(
            look(&another, Some(&next), CHAMPION, CHAMPION, Some("it is Updating"), 2_001).met.is_empty()
        );
    }

    #[test]
    fn a_record_of_another_target_or_an_earlier_route_says_nothing_of_the_present_one() {
        let canary = head(2_500, 10);
        let step = look(&canary, None, CHAMPION, QUARTER, None, 12);
        let alias =
            Target::LambdaAlias(LambdaAlias { function: "f".into(), alias: "live".into(), role: None });
        let said = Standing::of(&canary, Some(&alias), Some(&step));
        assert_eq!((said.state, said.actual.len(), said.seen_at), (TargetState::Behind, 0, None));
        assert_eq!(Standing::of(&canary, None, Some(&step)).state, TargetState::InStep);
        let none = Head::new("m".parse().unwrap(), at(0));
        assert_eq!(
            Standing::of(&none, Some(&alias), None).state,
            TargetState::InStep,
            "nothing is to be served"
        );
    }

    #[test]
    fn what_was_refused_or_not_seen_is_never_in_step() {
        let canary = head(2_500, 10);
        let wanted = desired(&canary, &target(), &BTreeMap::new()).unwrap().unwrap();
        let in_place = shares(QUARTER);
        let seen = |after, pending: Option<&str>, refused: Option<&str>| Seen {
            wanted: Some(&wanted),
            before: after,
            after,
            pending: pending.map(Into::into),
            refused: refused.map(Into::into),
        };
        let state = |seen: Seen<'_>| TargetRecord::after(&canary, &target(), None, &seen, at(20)).state;
        assert_eq!(state(seen(Some(&in_place), None, None)), TargetState::InStep);
        assert_eq!(state(seen(Some(&in_place), Some("it is Updating"), None)), TargetState::Behind);
        assert_eq!(state(seen(Some(&in_place), Some("late"), Some("no right"))), TargetState::Refused);
        assert_eq!(state(seen(None, None, None)), TargetState::Behind);
        let unnamed = Seen { wanted: None, ..seen(None, None, Some("v2 has no name there")) };
        assert_eq!(state(unnamed), TargetState::Refused);
    }
}
