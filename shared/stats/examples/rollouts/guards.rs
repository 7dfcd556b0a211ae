//! The canary's guardrails as the gate uses them, four with a quarter of alpha each.

use seatrial_stats::{
    eprocess::ArmEProcess,
    exceedance::LatencyEProcess,
    margin::Direction,
    multinomial::{AnswerSequence, Classes},
    signal::{Rule, SignalSequence, Slice, Values},
};

/// The alpha of the canary.
pub const ALPHA: f64 = 0.05;
/// Each guardrail's share of it.
pub const SHARE: f64 = ALPHA / 4.0;
/// The default steps.
pub const WEIGHTS: [f64; 4] = [0.01, 0.05, 0.25, 0.50];
/// Looks of a rollout, shared evenly over the steps.
pub const LOOKS: u32 = 100;

/// The step of a look.
pub fn step_of(look: u32) -> usize {
    (look as usize * WEIGHTS.len()) / LOOKS as usize
}

/// What is seen at one look: (canary, champion) of each kind of event, a slice of the signal, and answers of (canary, shadow).
#[derive(Default)]
pub struct Look {
    pub errors: (u64, u64),
    pub slow: (u64, u64),
    pub far: (u64, u64),
    pub signal: Slice,
    pub answers: (Classes, Classes),
}

/// All guardrails, and which have rejected at some look.
pub struct Guards {
    errors: ArmEProcess,
    latency: LatencyEProcess,
    signal: SignalSequence,
    answers: AnswerSequence,
    pub fired: [bool; 4],
}

impl Default for Guards {
    fn default() -> Self {
        let rule = Rule {
            values: Values::Bounded { low: 0.0, high: 1.0 },
            direction: Direction::HigherIsBetter,
            margin: 0.05,
            alpha: SHARE,
            expected: None,
        };
        Self {
            errors: ArmEProcess::default(),
            latency: LatencyEProcess::default(),
            signal: SignalSequence::new(rule).unwrap(),
            answers: AnswerSequence::default(),
            fired: [false; 4],
        }
    }
}

impl Guards {
    pub fn look(&mut self, look: &Look) {
        let weight = look.signal.weight;
        self.errors.observe_counts(look.errors.0, look.errors.1, weight);
        self.latency.p99.observe_counts(look.slow.0, look.slow.1, weight);
        self.latency.far.observe_counts(look.far.0, look.far.1, weight);
        assert!(self.signal.push(&look.signal), "the signal's values are within bounds");
        self.answers.push(look.signal.step, &look.answers.0, &look.answers.1);
        // For the answers the bare test, without the distance that the gate also asks for.
        let limit = -SHARE.ln();
        let now = [
            self.errors.rejects(SHARE),
            self.latency.rejects(SHARE),
            self.signal.log_e() >= limit,
            self.answers.log_e() >= limit,
        ];
        self.fired.iter_mut().zip(now).for_each(|(fired, now)| *fired |= now);
    }

    /// Each guardrail, and any of them.
    pub fn outcome(&self) -> [bool; 5] {
        let [a, b, c, d] = self.fired;
        [a, b, c, d, a || b || c || d]
    }
}
