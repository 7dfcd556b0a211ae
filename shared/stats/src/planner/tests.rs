use super::*;
use crate::{
    confseq::Moments,
    margin::Direction,
    signal::{Rule, SignalSequence, Slice, State, Values},
};

fn plan(per_second: f64, max_hold: f64, baseline: f64, detect: f64) -> Plan {
    let step = |weight| Step { weight, hold_seconds: 600.0, max_hold_seconds: max_hold };
    Plan {
        per_second,
        steps: [0.01, 0.05, 0.25, 0.5].map(step).to_vec(),
        target: Target::errors(0.0125, baseline, detect),
        power: 0.8,
        longest_hold_seconds: 7.0 * 86_400.0,
        seed: 1,
    }
}

#[test]
fn void_plans_are_refused() {
    let good = plan(10.0, 3_600.0, 0.001, 0.005);
    assert!(forecast(&good).is_some());
    for bad in [
        Plan { per_second: 0.0, ..good.clone() },
        Plan { steps: Vec::new(), ..good.clone() },
        Plan { power: 1.0, ..good.clone() },
        Plan { target: Target::errors(0.0125, 0.01, 0.01), ..good.clone() },
        Plan { steps: vec![Step { weight: 0.1, hold_seconds: 2.0, max_hold_seconds: 1.0 }], ..good },
    ] {
        assert_eq!(forecast(&bad), None);
    }
}

#[test]
fn busy_traffic_finds_it_early_and_carried_evidence_counts() {
    let busy = forecast(&plan(50.0, 6.0 * 3_600.0, 0.001, 0.005)).unwrap();
    assert!(busy.detects && busy.power == 1.0 && busy.remedy.is_none());
    assert!(busy.steps[0].found > 0.99 && busy.seconds.unwrap() < 2.0 * 3_600.0, "{busy:?}");
    // Neither of the first two steps is enough alone; together they are more.
    let slow = forecast(&plan(4.0, 3_600.0, 0.001, 0.005)).unwrap();
    let found: Vec<f64> = slow.steps.iter().map(|s| s.found).collect();
    assert!(found.windows(2).all(|w| w[0] <= w[1]) && found[0] < 0.3 && found[3] > 0.95, "{found:?}");
    assert!(slow.steps[0].needed > slow.steps[1].needed && slow.steps[1].needed > slow.steps[2].needed);
    assert_eq!(forecast(&plan(4.0, 3_600.0, 0.001, 0.005)), Some(slow), "the seed determines it");
}

#[test]
fn a_blind_plan_is_told_what_would_work() {
    let mut blind = plan(2.0, 1_800.0, 0.001, 0.005);
    blind.steps.truncate(2);
    let forecast_ = forecast(&blind).unwrap();
    assert!(!forecast_.detects && forecast_.seconds.is_none(), "{forecast_:?}");
    let remedy = forecast_.remedy.unwrap();
    let (step, seconds) = remedy.hold.unwrap();
    assert!(step == 1 && seconds > 1_800.0);
    // What is proposed works.
    blind.steps[step].max_hold_seconds = seconds * 1.01;
    assert!(forecast(&blind).unwrap().detects);
    let mut raised = plan(2.0, 1_800.0, 0.0, 0.05);
    raised.steps = vec![Step { weight: 0.001, hold_seconds: 0.0, max_hold_seconds: 1_800.0 }];
    let weight = forecast(&raised).unwrap().remedy.unwrap().weight.unwrap();
    raised.steps[0].weight = weight;
    assert!(weight > 0.001 && forecast(&raised).unwrap().detects, "{weight}");
}

#[test]
fn a_hopeless_plan_is_told_so() {
    let hopeless = Plan { longest_hold_seconds: 3_600.0, ..plan(0.01, 600.0, 0.01, 0.011) };
    let forecast = forecast(&hopeless).unwrap();
    assert!(forecast.remedy.unwrap().none_works(), "{forecast:?}");
}

#[test]
fn time_until_enough() {
    assert_eq!(progress(120, 100, 60.0, None).seconds_left, Some(0.0));
    assert_eq!(progress(20, 100, 60.0, None).seconds_left, Some(240.0));
    assert_eq!(progress(0, 100, 60.0, None).seconds_left, None);
    assert_eq!(progress(0, 100, 0.0, None).seconds_left, None);
    assert_eq!(progress(0, 100, 0.0, Some(2.0)).seconds_left, Some(50.0));
}

#[test]
fn planned_units_are_enough_for_values() {
    let mut random = Sampler::new(111);
    for (weight, detect) in [(0.05, 0.05), (0.5, 0.02)] {
        // Uniform on [0, 1].
        let n = planned_units((1.0_f64 / 12.0).sqrt(), detect, weight, 0.0125, 0.8).unwrap();
        let rule = Rule {
            values: Values::Bounded { low: 0.0, high: 1.0 },
            direction: Direction::LowerIsBetter,
            margin: 0.1,
            alpha: 0.0125,
            expected: Some(0.5),
        };
        let found = (0..100)
            .filter(|_| {
                let mut sequence = SignalSequence::new(rule).unwrap();
                for _ in 0..20 {
                    let mut slice = Slice { weight, ..Slice::default() };
                    for _ in 0..n / 20 {
                        let value = random.uniform();
                        if random.chance(weight) {
                            // Its mean is higher by `detect`, within the bounds.
                            slice.canary.add(value.powf((0.5 - detect) / (0.5 + detect)));
                        } else {
                            slice.champion.add(value);
                        }
                    }
                    sequence.push(&slice);
                }
                sequence.judgement().state == State::Harm
            })
            .count();
        println!("{n} units for {detect} at {weight}: found in {found} of 100");
        assert!(found >= 70, "{found}");
    }
    assert_eq!(planned_units(0.0, 0.1, 0.05, 0.01, 0.8), None);
}

#[test]
fn planned_units_are_enough_for_events() {
    let mut random = Sampler::new(113);
    for (weight, baseline, canary, direction) in [
        (0.05, 0.02, 0.03, Direction::LowerIsBetter),
        (0.25, 0.10, 0.08, Direction::HigherIsBetter),
        (0.25, 0.60, 0.64, Direction::LowerIsBetter),
    ] {
        let n = planned_event_units(baseline, canary, weight, 0.0125, 0.8).unwrap();
        let rule =
            Rule { values: Values::Events, direction, margin: 0.1, alpha: 0.0125, expected: Some(baseline) };
        let found = (0..100)
            .filter(|_| {
                let mut sequence = SignalSequence::new(rule).unwrap();
                for _ in 0..20 {
                    let per_look = n as f64 / 20.0;
                    let (k, m) =
                        (random.poisson(per_look * weight), random.poisson(per_look * (1.0 - weight)));
                    sequence.push(&Slice {
                        step: 0,
                        weight,
                        canary: Moments::of_events(random.binomial(k, canary), k),
                        champion: Moments::of_events(random.binomial(m, baseline), m),
                    });
                }
                sequence.judgement().state == State::Harm
            })
            .count();
        println!("{n} units for {baseline} -> {canary} at {weight}: found in {found} of 100");
        assert!(found >= 70, "{found}");
    }
    assert_eq!(planned_event_units(0.1, 0.1, 0.05, 0.01, 0.8), None);
}
