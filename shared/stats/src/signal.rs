//! A signal of the canary (thumbs down, policy violations, revenue): is it worse, known to be no worse, or neither?
//!
//! Data come as slices of time, in order: of each arm the count, sum and sum of squares of the values of units that had not
//! been counted before. Each slice is worked through once.
//!
//! | values | harm | bounds of the step |
//! |---|---|---|
//! | events (0 or 1) | mean of two e-values: the conditional-arm process on the events ([`crate::eprocess`], for rare ones) and the design-based bets ([`crate::effect`], for frequent ones) | the tighter of beta-binomial mixtures ([`rate_difference_upper_anytime`]) and of the bets' inversion, α/2 each |
//! | bounded | the design-based bets | their inversion |
//! | unbounded | asymptotic design-based sequence | the same |
//!
//! **Harm is rejected** when the e-value against "the canary is no worse" reaches 1/α: one e-process over all slices of all
//! steps, so evidence carries over steps and the chance that a harmless canary is *ever* called harmful is at most α, with
//! nothing spent on looks or steps (Ville's inequality; asymptotic for unbounded values). Any harm counts, however small,
//! if there is enough evidence for it. **Not worse** (non-inferior) means that the bound of the harm *in the last step*, at
//! level `1 − α`, is within the margin; being an intersection over guardrails it needs no further correction. The first
//! outranks the second.

use crate::{
    Interval,
    confseq::Moments,
    effect::{AsymptoticEffect, BoundedEffect},
    eprocess::{ArmEProcess, Mixture, log_mean_exp},
    margin::Direction,
    noninferiority::{ArmRates, rate_difference_upper_anytime},
};
use serde::{Deserialize, Serialize};

/// What values a signal has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// Zero or one for each unit.
    Events,
    /// Within declared bounds; what is outside was clipped before ([`Collector`]).
    Bounded {
        /// The least value.
        low: f64,
        /// The greatest value.
        high: f64,
    },
    /// Without bounds.
    Unbounded,
}

/// How a signal is judged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// What values it has.
    pub values: Values,
    /// Which way is better.
    pub direction: Direction,
    /// How much worse the canary's mean may be and still be called no worse, in the values' unit, not negative.
    pub margin: f64,
    /// The signal's share of alpha.
    pub alpha: f64,
    /// The mean known beforehand (shadow, champion before the canary), if any; else the first units only inform.
    pub expected: Option<f64>,
}

/// One slice of time. Slices come in the order of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The canary's step, from 0. Slices before the canary have weight 0 and any step.
    pub step: u32,
    /// The canary's weight when these units were assigned, a fraction.
    pub weight: f64,
    /// New units of the canary.
    pub canary: Moments,
    /// New units of the champion.
    pub champion: Moments,
}

/// Collects unit values of one arm and slice: clips to the bounds and counts what it clipped or refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Collector {
    /// What was counted.
    pub moments: Moments,
    /// Values moved to the nearer bound (for events: values that were neither 0 nor 1, by whether they are above ½).
    pub clipped: u64,
    /// Values that are not finite, counted nowhere else.
    pub invalid: u64,
}

impl Collector {
    /// Adds one unit's value.
    pub fn add(&mut self, values: Values, value: f64) {
        if !value.is_finite() {
            self.invalid += 1;
            return;
        }
        let counted = match values {
            Values::Events => f64::from(u8::from(value > 0.5)),
            Values::Bounded { low, high } => value.max(low).min(high),
            Values::Unbounded => value,
        };
        self.clipped += u64::from(counted != value);
        self.moments.add(counted);
    }
}

/// What a signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// "No worse" is rejected.
    Harm,
    /// No worse than the margin allows.
    NotWorse,
    /// Neither.
    NotYetKnown,
}

/// The judgement of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// What it says.
    pub state: State,
    /// Logarithm of the e-value against "no worse", over all steps; it rejects at `−ln α`.
    pub log_e: f64,
    /// The champion's mean in the last step.
    pub champion: Option<f64>,
    /// The canary's mean in the last step.
    pub canary: Option<f64>,
    /// Canary minus champion in the last step.
    pub difference: Option<f64>,
    /// Bounds of that difference, each side at level `1 − α`, valid at every look.
    pub interval: Option<Interval>,
    /// Units of the champion in the last step.
    pub champion_units: u64,
    /// Units of the canary in the last step.
    pub canary_units: u64,
    /// Whether the level holds only in the limit of many units.
    pub asymptotic: bool,
}

/// Judges a signal from all slices so far. The last step is that of the last slice. O(slices). `None` if the rule is void:
/// bounds out of order, a margin that is negative or not finite, an alpha outside (0, ½).
#[must_use]
pub fn judge(rule: &Rule, slices: &[Slice]) -> Option<Judgement> {
    let mut sequence = SignalSequence::new(*rule)?;
    slices.iter().for_each(|slice| {
        sequence.push(slice);
    });
    Some(sequence.judgement())
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Effect {
    Bounded(BoundedEffect),
    Asymptotic(AsymptoticEffect),
}

impl Effect {
    fn of(rule: &Rule) -> Option<Self> {
        Some(match rule.values {
            Values::Events => Self::Bounded(BoundedEffect::new(0.0, 1.0, rule.expected)?),
            Values::Bounded { low, high } => Self::Bounded(BoundedEffect::new(low, high, rule.expected)?),
            Values::Unbounded => Self::Asymptotic(AsymptoticEffect::default()),
        })
    }

    fn push(&mut self, slice: &Slice) -> bool {
        match self {
            Self::Bounded(effect) => effect.push(slice.weight, &slice.canary, &slice.champion),
            Self::Asymptotic(effect) => effect.push(slice.weight, &slice.canary, &slice.champion),
        }
    }

    fn log_e(&self, direction: Direction) -> f64 {
        match (self, direction) {
            (Self::Bounded(effect), Direction::LowerIsBetter) => effect.log_e_higher(),
            (Self::Bounded(effect), Direction::HigherIsBetter) => effect.log_e_lower(),
            (Self::Asymptotic(effect), Direction::LowerIsBetter) => effect.log_e_higher(),
            (Self::Asymptotic(effect), Direction::HigherIsBetter) => effect.log_e_lower(),
        }
    }

    fn bounds(&self, alpha: f64) -> Option<(f64, f64)> {
        match self {
            Self::Bounded(effect) => effect.bounds(alpha),
            Self::Asymptotic(effect) => effect.bounds(alpha),
        }
    }
}

/// The running state of a signal's judgement, for callers that keep it between looks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalSequence {
    rule: Rule,
    step: u32,
    /// Over all steps.
    effect: Effect,
    events: ArmEProcess,
    /// Of the last step.
    step_effect: Effect,
    step_canary: Moments,
    step_champion: Moments,
    step_weight: f64,
    refused: u64,
}

impl SignalSequence {
    /// A sequence that has seen nothing; `None` as for [`judge`].
    #[must_use]
    pub fn new(rule: Rule) -> Option<Self> {
        let valid = rule.margin >= 0.0 && rule.margin.is_finite() && rule.alpha > 0.0 && rule.alpha < 0.5;
        let mixture = match rule.direction {
            Direction::LowerIsBetter => Mixture::harm(),
            Direction::HigherIsBetter => Mixture::relief(),
        };
        let effect = Effect::of(&rule).filter(|_| valid)?;
        Some(Self {
            rule,
            step: 0,
            step_effect: effect.clone(),
            effect,
            events: ArmEProcess::new(mixture),
            step_canary: Moments::default(),
            step_champion: Moments::default(),
            step_weight: 0.0,
            refused: 0,
        })
    }

    /// Takes the next slice. Returns `false` and counts it as refused if its moments contradict the rule's bounds.
    pub fn push(&mut self, slice: &Slice) -> bool {
        if !self.admissible(slice) {
            self.refused += 1;
            return false;
        }
        // With one arm alone there is nothing to compare: such a slice only says where the values lie.
        if !(slice.weight > 0.0 && slice.weight < 1.0) {
            self.effect.push(slice);
            self.step_effect.push(slice);
            return true;
        }
        if slice.step != self.step {
            self.begin(slice.step);
        }
        self.effect.push(slice);
        self.step_effect.push(slice);
        if self.rule.values == Values::Events {
            self.events.observe_counts(slice.canary.sum as u64, slice.champion.sum as u64, slice.weight);
        }
        self.step_canary = self.step_canary.plus(slice.canary);
        self.step_champion = self.step_champion.plus(slice.champion);
        self.step_weight = slice.weight;
        true
    }

    fn admissible(&self, slice: &Slice) -> bool {
        let arms = [slice.canary, slice.champion];
        match self.rule.values {
            // The sum of squares of events is their sum.
            Values::Events => arms.iter().all(|arm| arm.within(0.0, 1.0) && arm.sum == arm.squares),
            Values::Bounded { low, high } => arms.iter().all(|arm| arm.within(low, high)),
            Values::Unbounded => arms.iter().all(|arm| arm.sum.is_finite() && arm.squares.is_finite()),
        }
    }

    /// A new step: its bounds start afresh, centred on what was seen so far.
    fn begin(&mut self, step: u32) {
        self.step = step;
        let before = self.step_canary.plus(self.step_champion).mean().or(self.rule.expected);
        let told = Rule { expected: before, ..self.rule };
        if let Some(fresh) = Effect::of(&told) {
            self.step_effect = fresh;
        }
        self.step_canary = Moments::default();
        self.step_champion = Moments::default();
    }

    /// Slices refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Logarithm of the e-value against "no worse", over all steps.
    #[must_use]
    pub fn log_e(&self) -> f64 {
        let by_values = self.effect.log_e(self.rule.direction);
        if self.rule.values == Values::Events {
            return log_mean_exp([by_values, self.events.log_e()].into_iter());
        }
        by_values
    }

    /// The judgement at this look.
    #[must_use]
    pub fn judgement(&self) -> Judgement {
        let log_e = self.log_e();
        let (champion, canary) = (self.step_champion.mean(), self.step_canary.mean());
        let difference = champion.zip(canary).map(|(champion, canary)| canary - champion);
        let interval = self.interval();
        let harm_at_most = interval.map(|i| match self.rule.direction {
            Direction::LowerIsBetter => i.high,
            Direction::HigherIsBetter => -i.low,
        });
        let state = if log_e >= -self.rule.alpha.ln() {
            State::Harm
        } else if harm_at_most.is_some_and(|harm| harm <= self.rule.margin) {
            State::NotWorse
        } else {
            State::NotYetKnown
        };
        Judgement {
            state,
            log_e,
            champion,
            canary,
            difference,
            interval,
            champion_units: self.step_champion.n,
            canary_units: self.step_canary.n,
            asymptotic: self.rule.values == Values::Unbounded,
        }
    }

    fn interval(&self) -> Option<Interval> {
        let alpha = self.rule.alpha;
        if self.rule.values != Values::Events {
            let (low, high) = self.step_effect.bounds(alpha)?;
            return Interval::new(low, high);
        }
        // The tighter of two bounds at α/2 each: by the arms where events are rare, by the design where they are not.
        let high = self.event_bound(false, alpha / 2.0)?;
        let low = -self.event_bound(true, alpha / 2.0)?;
        let (by_design_low, by_design_high) = self.step_effect.bounds(alpha / 2.0).unwrap_or((-1.0, 1.0));
        let (low, high) = (low.max(by_design_low), high.min(by_design_high));
        Interval::new(low.min(high), high)
    }

    /// Upper bound for canary minus champion rate in this step; with `swapped` for champion minus canary.
    fn event_bound(&self, swapped: bool, alpha: f64) -> Option<f64> {
        let (mut one, mut other) = (self.step_canary, self.step_champion);
        let mut weight = self.step_weight;
        if swapped {
            (one, other, weight) = (other, one, 1.0 - weight);
        }
        let mut process = ArmEProcess::default();
        process.observe_counts(one.sum as u64, other.sum as u64, weight);
        let rates = ArmRates {
            canary_errors: one.sum as u64,
            canary_n: one.n,
            champion_errors: other.sum as u64,
            champion_n: other.n,
        };
        rate_difference_upper_anytime(&process, &rates, alpha)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
