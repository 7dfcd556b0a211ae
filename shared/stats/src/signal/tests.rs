use super::*;
use crate::sampling::Sampler;

fn rule(values: Values, direction: Direction, margin: f64) -> Rule {
    Rule { values, direction, margin, alpha: 0.0125, expected: None }
}

fn events(random: &mut Sampler, looks: u32, canary: f64, champion: f64) -> Vec<Slice> {
    let weights = [0.05, 0.25, 0.5];
    (0..looks)
        .map(|look| {
            let step = (look * 3 / looks).min(2);
            let weight = weights[step as usize];
            let (n, m) = (random.poisson(2_000.0 * weight), random.poisson(2_000.0 * (1.0 - weight)));
            let of = |k, n| Moments::of_events(k, n);
            Slice {
                step,
                weight,
                canary: of(random.binomial(n, canary), n),
                champion: of(random.binomial(m, champion), m),
            }
        })
        .collect()
}

#[test]
fn void_rules_and_empty_data() {
    let good = rule(Values::Events, Direction::LowerIsBetter, 0.01);
    assert!(judge(&Rule { margin: -1.0, ..good }, &[]).is_none());
    assert!(judge(&Rule { alpha: 0.5, ..good }, &[]).is_none());
    assert!(judge(&Rule { values: Values::Bounded { low: 1.0, high: 1.0 }, ..good }, &[]).is_none());
    let nothing = judge(&good, &[]).unwrap();
    assert_eq!((nothing.state, nothing.log_e, nothing.interval), (State::NotYetKnown, 0.0, None));
    let one_sided = Slice { weight: 0.5, champion: Moments::of_events(1, 50), ..Slice::default() };
    let judged = judge(&good, &[one_sided, one_sided]).unwrap();
    assert_eq!((judged.state, judged.difference, judged.interval), (State::NotYetKnown, None, None));
}

#[test]
fn more_thumbs_down_are_harm_and_fewer_are_not() {
    let mut random = Sampler::new(91);
    let down = rule(Values::Events, Direction::LowerIsBetter, 0.01);
    let state = |slices: &[Slice], rule: &Rule| judge(rule, slices).unwrap().state;
    let worse = events(&mut random, 90, 0.06, 0.03);
    let better = events(&mut random, 90, 0.02, 0.03);
    let same = events(&mut random, 90, 0.03, 0.03);
    assert_eq!(state(&worse, &down), State::Harm);
    assert_eq!(state(&better, &down), State::NotWorse);
    assert_eq!(state(&same, &down), State::NotWorse);
    let tight = Rule { margin: 0.0005, ..down };
    assert_eq!(state(&same, &tight), State::NotYetKnown);
    // The same numbers as conversions, where more is better.
    let up = rule(Values::Events, Direction::HigherIsBetter, 0.01);
    assert_eq!(state(&worse, &up), State::NotWorse);
    assert_eq!(state(&better, &up), State::Harm);
}

#[test]
fn values_are_judged_in_their_own_unit() {
    let mut random = Sampler::new(93);
    let mut slices = |effect: f64| -> Vec<Slice> {
        (0..60)
            .map(|look| {
                let weight = [0.05, 0.25, 0.5][look / 20];
                let mut slice = Slice { step: look as u32 / 20, weight, ..Slice::default() };
                for _ in 0..500 {
                    let value = 200.0 * random.uniform();
                    if random.chance(weight) {
                        slice.canary.add(value + effect);
                    } else {
                        slice.champion.add(value);
                    }
                }
                slice
            })
            .collect()
    };
    let (same, less) = (slices(0.0), slices(-10.0));
    for values in [Values::Bounded { low: -50.0, high: 300.0 }, Values::Unbounded] {
        let revenue = rule(values, Direction::HigherIsBetter, 8.0);
        let judged = judge(&revenue, &same).unwrap();
        assert_eq!(judged.state, State::NotWorse, "{judged:?}");
        assert!(judged.interval.unwrap().contains(0.0));
        let judged = judge(&revenue, &less).unwrap();
        assert_eq!(judged.state, State::Harm, "{judged:?}");
        assert!(judged.interval.unwrap().contains(-10.0));
        assert_eq!(judged.asymptotic, values == Values::Unbounded);
    }
    let too_tight = rule(Values::Bounded { low: 0.0, high: 1.0 }, Direction::HigherIsBetter, 1.0);
    let mut sequence = SignalSequence::new(too_tight).unwrap();
    assert!(!sequence.push(&same[0]) && sequence.refused() == 1);
}

#[test]
fn what_is_outside_the_bounds_is_clipped_and_counted() {
    let mut collector = Collector::default();
    for value in [1.0, 5.0, -1.0, f64::NAN, f64::INFINITY] {
        collector.add(Values::Bounded { low: 0.0, high: 2.0 }, value);
    }
    assert_eq!((collector.clipped, collector.invalid), (2, 2));
    assert_eq!(collector.moments, Moments { n: 3, sum: 3.0, squares: 5.0 });
}

#[test]
fn state_kept_between_looks_is_the_state_computed_anew() {
    let mut random = Sampler::new(95);
    let slices = events(&mut random, 30, 0.03, 0.03);
    let down = rule(Values::Events, Direction::LowerIsBetter, 0.01);
    let mut kept = SignalSequence::new(down).unwrap();
    for (look, slice) in slices.iter().enumerate() {
        assert!(kept.push(slice));
        assert_eq!(Some(kept.judgement()), judge(&down, &slices[..=look]));
        let text = serde_json::to_string(&kept).unwrap();
        let read: SignalSequence = serde_json::from_str(&text).unwrap();
        assert!((read.log_e() - kept.log_e()).abs() < 1e-9);
    }
}

#[test]
fn what_came_before_the_canary_is_not_part_of_a_step() {
    let mut random = Sampler::new(97);
    let down = rule(Values::Events, Direction::LowerIsBetter, 0.01);
    let canary = events(&mut random, 30, 0.03, 0.03);
    // A quiet night before the canary, with a tenth of the events.
    let before = Slice { champion: Moments::of_events(300, 100_000), ..Slice::default() };
    let with: Vec<Slice> = [&[before][..], &canary].concat();
    let (alone, told) = (judge(&down, &canary[..10]).unwrap(), judge(&down, &with[..11]).unwrap());
    assert_eq!((alone.champion_units, alone.champion), (told.champion_units, told.champion));
    assert_eq!(told.state, alone.state);
    let (alone, told) = (judge(&down, &canary).unwrap(), judge(&down, &with).unwrap());
    assert_eq!((alone.interval, alone.state), (told.interval, told.state));
}
