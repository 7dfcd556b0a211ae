//! Data that looks like a real comparison's, for tests and for the gallery.
#![allow(dead_code, reason = "each user takes what it needs")]

use seatrial_domain::policy::Margin;
use seatrial_domain::verdict::{Direction, MetricClass, Verdict};
use seatrial_evidence::charts::*;
use seatrial_evidence::report::{ComparisonReport, MetricGroup, MetricRow, MetricUnit};
use serde_json::json;

use Direction::{HigherIsBetter as Higher, LowerIsBetter as Lower};
use MetricClass::{Guardrail, Info, Signal};
use MetricGroup::{Offline, Shadow};
use MetricUnit::{Microseconds, Number, Share};
use Verdict::{Fail, Inconclusive, Pass};

/// A row with a difference.
pub fn row(
    (group, name, unit): (MetricGroup, &str, MetricUnit),
    (champion, challenger, half): (f64, f64, f64),
    n: u64,
    margin: Option<Margin>,
    (direction, class, verdict): (Direction, MetricClass, Verdict),
) -> MetricRow {
    let delta = challenger - champion;
    MetricRow {
        group,
        name: name.into(),
        segment: None,
        unit,
        champion: Some(champion),
        challenger: Some(challenger),
        delta: Some(delta),
        interval: Some([delta - half, delta + half]),
        confidence: Some(0.95),
        n,
        n_needed: None,
        margin,
        limit: None,
        direction,
        class,
        verdict,
        why: format!("{name}: the difference is {delta:.4} over {n} rows"),
    }
}

/// The same in a segment.
pub fn within(segment: &str, row: MetricRow) -> MetricRow {
    MetricRow { segment: Some(segment.into()), ..row }
}

/// The rows of a report with all that can happen.
pub fn rows() -> Vec<MetricRow> {
    let abs = |m| Some(Margin::Absolute(m));
    let rel = |m| Some(Margin::Relative(m));
    let ok = (Higher, Guardrail, Pass);
    let mut rows = vec![
        row((Offline, "accuracy", Share), (0.8512, 0.8587, 0.0042), 16_281, abs(0.01), ok),
        row((Offline, "macro_f1", Share), (0.7921, 0.8004, 0.0068), 16_281, abs(0.01), ok),
        row((Offline, "auc", Number), (0.9051, 0.9189, 0.0031), 16_281, abs(0.01), ok),
        row(
            (Offline, "log_loss", Number),
            (0.3211, 0.2989, 0.0081),
            16_281,
            abs(0.02),
            (Lower, Guardrail, Pass),
        ),
        row(
            (Offline, "ece", Share),
            (0.0122, 0.0189, 0.0064),
            16_281,
            abs(0.01),
            (Lower, Signal, Inconclusive),
        ),
        row(
            (Offline, "demographic_parity", Share),
            (0.1788, 0.1667, 0.0142),
            16_281,
            abs(0.05),
            (Lower, Guardrail, Pass),
        ),
        row(
            (Offline, "equalised_odds", Share),
            (0.0911, 0.1402, 0.0291),
            16_281,
            abs(0.05),
            (Lower, Guardrail, Inconclusive),
        ),
        row(
            (Offline, "latency_p99", Microseconds),
            (412.0, 987.0, 96.0),
            500,
            rel(0.5),
            (Lower, Signal, Fail),
        ),
        row(
            (Shadow, "error_rate", Share),
            (0.0002, 0.0004, 0.00031),
            48_211,
            abs(0.001),
            (Lower, Guardrail, Pass),
        ),
        row(
            (Shadow, "accuracy", Share),
            (0.8431, 0.8489, 0.0121),
            4_120,
            abs(0.01),
            (Higher, Guardrail, Inconclusive),
        ),
        row(
            (Shadow, "latency_p50", Microseconds),
            (212.0, 231.0, 2.1),
            48_211,
            rel(0.5),
            (Lower, Signal, Pass),
        ),
        row(
            (Shadow, "latency_p99", Microseconds),
            (2_140.0, 2_602.0, 88.0),
            48_211,
            rel(0.5),
            (Lower, Guardrail, Pass),
        ),
        row(
            (Shadow, "revenue_per_request", Number),
            (1.21, 1.19, 0.05),
            48_211,
            abs(0.1),
            (Higher, Info, Pass),
        ),
    ];
    rows.push(MetricRow {
        interval: Some([0.951, 0.957]),
        champion: None,
        delta: None,
        limit: Some(0.9),
        ..row((Shadow, "agreement", Share), (0.0, 0.954, 0.0), 48_211, None, ok)
    });
    let segments = [
        ("education=Doctorate", 0.784, 0.751, 0.028, 413, Fail),
        ("education=Bachelors", 0.812, 0.826, 0.011, 2_688, Pass),
        ("education=HS-grad", 0.876, 0.881, 0.008, 5_272, Pass),
        ("education=Some-college", 0.862, 0.868, 0.009, 3_587, Pass),
        ("sex=Female", 0.921, 0.927, 0.006, 5_421, Pass),
        ("sex=Male", 0.816, 0.824, 0.006, 10_860, Pass),
        ("native_country=Mexico", 0.941, 0.934, 0.019, 308, Inconclusive),
        ("native_country=Philippines", 0.801, 0.809, 0.041, 97, Pass),
        ("workclass=Self-emp-not-inc", 0.789, 0.792, 0.015, 1_321, Pass),
    ];
    for (segment, a, b, half, n, verdict) in segments {
        let of = row(
            (Offline, "segment_accuracy", Share),
            (a, b, half),
            n,
            abs(0.02),
            (Higher, Guardrail, verdict),
        );
        rows.push(within(segment, of));
    }
    rows
}

/// `n` things in 40 bins with a peak at `peak` and another one at 0.95.
fn two_peaks(n: f64, peak: f64, spread: f64, high: f64) -> Vec<u64> {
    let bell = |x: f64, at: f64, s: f64| (-((x - at) / s).powi(2) / 2.0).exp();
    let weights: Vec<f64> = (0..40)
        .map(|i| (f64::from(i) + 0.5) / 40.0)
        .map(|x| bell(x, peak, spread) + high * bell(x, 0.95, 0.06))
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| (w / sum * n).round() as u64).collect()
}

pub fn scores() -> ScoreDistribution {
    ScoreDistribution {
        group: Shadow,
        of: "score of class >50K".into(),
        edges: (0..=40).map(|i| f64::from(i) / 40.0).collect(),
        champion: Some(two_peaks(48_211.0, 0.12, 0.11, 0.22)),
        challenger: two_peaks(48_211.0, 0.07, 0.09, 0.35),
        threshold: Some(0.5),
    }
}

pub fn latency() -> LatencyCurves {
    let qs = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999];
    let curve = |us: [f64; 10]| LatencyCurve {
        n: 48_211,
        points: qs.iter().zip(us).map(|(q, us)| QuantilePoint { q: *q, us }).collect(),
    };
    LatencyCurves {
        group: Shadow,
        champion: Some(curve([212.0, 240.0, 275.0, 330.0, 480.0, 760.0, 1_210.0, 2_140.0, 2_900.0, 4_100.0])),
        challenger: curve([231.0, 262.0, 299.0, 361.0, 540.0, 890.0, 1_480.0, 2_602.0, 3_700.0, 5_900.0]),
        relative_error: Some(0.01),
    }
}

pub fn answers() -> AnswerMatrix {
    AnswerMatrix {
        group: Shadow,
        answers: vec!["<=50K".into(), ">50K".into()],
        counts: vec![vec![35_622, 1_204, 9], vec![981, 10_383, 12]],
    }
}

pub fn many_answers() -> AnswerMatrix {
    let names = [
        "travel-and-leisure",
        "groceries",
        "restaurants",
        "utilities",
        "health",
        "transport",
        "education",
        "rent",
        "other things",
    ];
    let counts = (0..9_u64)
        .map(|r| {
            (0..10_u64)
                .map(|c| if r == c { 9_000 / (r + 1) } else { (r * 7 + c * 13) % 5 * 17 / (c + 1) })
                .collect()
        })
        .collect();
    AnswerMatrix { group: Offline, answers: names.map(str::to_owned).to_vec(), counts }
}

pub fn drift() -> DriftBars {
    let bar = |feature: &str, effect: f64, half: f64, verdict| DriftBar {
        feature: feature.into(),
        effect,
        interval: Some([effect - half, effect + half]),
        limit: Some(0.1),
        n: 48_211,
        verdict,
    };
    DriftBars {
        current: "live requests".into(),
        reference: "the benchmark".into(),
        measure: "Jensen–Shannon divergence, bias-corrected".into(),
        bars: vec![
            bar("hours_per_week", 0.164, 0.021, Fail),
            bar("capital_gain", 0.093, 0.018, Inconclusive),
            bar("age", 0.041, 0.009, Pass),
            bar("education_num", 0.022, 0.007, Pass),
            bar("native_country", 0.012, 0.006, Pass),
            bar("occupation", 0.004, 0.004, Pass),
            bar("sex", -0.0004, 0.001, Pass),
        ],
        left_out: 7,
    }
}

pub fn calibration() -> Calibration {
    let curve = |shift: f64, n: u64, slope, intercept| CalibrationCurve {
        bins: (0..12_u32)
            .map(|i| {
                let score = (f64::from(i) + 0.45) / 12.0;
                let share = (score + shift * (score * (1.0 - score)) * 2.0).clamp(0.0, 1.0);
                let here = n / u64::from(1 + i * i / 3);
                let half = 1.96 * (share * (1.0 - share) / here as f64).sqrt();
                CalibrationBin {
                    score,
                    share,
                    interval: Some([(share - half).max(0.0), (share + half).min(1.0)]),
                    n: here,
                }
            })
            .collect(),
        slope: Some(slope),
        intercept: Some(intercept),
    };
    Calibration {
        group: Offline,
        of: "class >50K".into(),
        champion: Some(curve(-0.17, 3_100, 0.86, -0.21)),
        challenger: curve(0.04, 3_400, 1.03, 0.02),
    }
}

pub fn crossings() -> ThresholdCrossings {
    ThresholdCrossings {
        group: Shadow,
        of: "score of class >50K".into(),
        threshold: 0.5,
        n: 48_211,
        up: 1_204,
        down: 981,
    }
}

pub fn coverage() -> LabelCoverage {
    let bar = |name: &str, mature, labelled| CoverageBar { name: name.into(), mature, labelled };
    LabelCoverage {
        by: "champion's answer".into(),
        bars: vec![bar("<=50K", 36_835, 3_320), bar(">50K", 11_376, 812)],
    }
}

/// A canary that goes well until the third step, where latency rejects.
pub fn canary() -> CanaryChart {
    let steps = [(0.0_f64, 1.0_f64), (1_800.0, 5.0), (3_600.0, 25.0), (5_400.0, 50.0)];
    let looks: Vec<f64> = (1..=60).map(|i| f64::from(i) * 110.0).collect();
    let wave = |t: f64, k: f64| (t / 370.0 * k).sin() * 0.35;
    let errors = looks
        .iter()
        .map(|t| EvidenceLook { at: *t, log_e: (-(t / 6_600.0) * 1.4 + wave(*t, 1.0)).max(-3.0) })
        .collect();
    let latency = looks
        .iter()
        .map(|t| EvidenceLook {
            at: *t,
            log_e: -0.4 + wave(*t, 1.7) * 0.5 + ((t - 3_700.0) / 500.0).max(0.0) * 0.95,
        })
        .collect();
    let difference = looks
        .iter()
        .map(|t| {
            let since = steps.iter().rev().find(|s| s.0 < *t).map_or(*t, |s| t - s.0);
            let weight = steps.iter().rev().find(|s| s.0 < *t).map_or(1.0, |s| s.1);
            let half = 0.012 / (since / 200.0 * weight.sqrt()).sqrt();
            let estimate = 0.0004 + wave(*t, 2.3) * half * 0.3;
            DifferenceLook { at: *t, estimate, lower: Some(estimate - half), upper: Some(estimate + half) }
        })
        .collect();
    CanaryChart {
        started_at: "2026-11-21T10:00:00Z".parse().unwrap(),
        steps: steps.map(|(since, weight)| CanaryBand { since, weight }).to_vec(),
        until: 6_600.0,
        evidence: vec![
            EvidenceSequence { name: "errors".into(), threshold: 4.382, looks: errors },
            EvidenceSequence { name: "latency".into(), threshold: 4.382, looks: latency },
        ],
        differences: vec![DifferenceSequence {
            name: "error_rate".into(),
            unit: Share,
            direction: Lower,
            margin: Some(0.005),
            looks: difference,
        }],
    }
}

pub fn data() -> ChartData {
    ChartData {
        scores: vec![scores()],
        latency: vec![latency()],
        answers: vec![answers(), many_answers()],
        drift: vec![drift()],
        calibration: vec![calibration()],
        crossings: vec![crossings()],
        coverage: vec![coverage()],
        importances: vec![importances()],
    }
}

/// A column that the challenger has no more, one it has anew, and one whose weight changed.
pub fn importances() -> Importances {
    let point = |share: f64, skew: f64| ImportancePoint {
        share,
        interval: [(share - 0.02).max(0.0), share + 0.02],
        mean_abs: share * 2.3,
        spread: Some([-2.1, -0.8, 0.1, 0.9, 2.4].map(|x| x * share + skew * share)),
    };
    let bar = |column: &str, champion: Option<f64>, challenger: Option<f64>| ImportanceBar {
        column: column.into(),
        champion: champion.map(|s| point(s, -0.3)),
        challenger: challenger.map(|s| point(s, 0.2)),
    };
    Importances {
        of: "class >50K".into(),
        rows: 200,
        background: 100,
        bars: vec![
            bar("marital_status", Some(0.31), Some(0.27)),
            bar("education_num", Some(0.22), Some(0.24)),
            bar("age", Some(0.14), Some(0.19)),
            bar("capital_gain", Some(0.08), Some(0.16)),
            bar("country_rate", None, Some(0.08)),
            bar("occupation", Some(0.15), Some(0.06)),
            bar("native_country", Some(0.1), None),
        ],
        left_out: 3,
    }
}

/// A report with every chart.
pub fn report() -> ComparisonReport {
    let digest = |c: &str| format!("sha256:{}", c.repeat(64));
    let head = json!({
        "schema": 1, "model": "credit-risk", "promotion": format!("pr_{}", "0".repeat(24)), "epoch": 3,
        "challenger": { "version": "v4", "digest": digest("7") }, "champion": { "version": "v3", "digest": digest("3") },
        "created_at": "2026-11-21T10:00:00Z", "verdict": "fail", "rows": [], "policy": digest("5"),
        "why": "segment accuracy in education=Doctorate is beyond its margin",
        "offline": { "benchmark": digest("b"), "set_at": "2026-09-01T08:00:00Z", "rows": 16_281, "judged_candidates": 3,
            "live_shift": "Live requests differ most from it in hours per week (Jensen–Shannon 0.164)" },
        "shadow": { "opened_at": "2026-11-20T09:00:00Z", "closed_at": "2026-11-21T09:00:00Z", "pairs": 48_211,
            "duplicates": 12, "agreement": 0.9542, "fidelity": { "n": 48_190, "share": 0.9999 },
            "disagreement": [{ "champion": "<=50K", "challenger": ">50K", "n": 1_204 }, { "champion": ">50K", "challenger": "<=50K", "n": 981 }] },
        "explanations": { "object": { "key": "evidence/model=credit-risk/explanations-7777777777777777.json", "digest": digest("e") },
            "reference": digest("a"), "background": 100, "rows": 200,
            "champion": "estimated with 100 random orders a row, because its graph has no trees", "challenger": "exact, from the trees in its graph" },
        "notes": ["21 pairs had no champion's answer and are not compared"],
    });
    let mut report: ComparisonReport = serde_json::from_value(head).unwrap();
    report.rows = rows();
    report.charts = Some(data());
    report
}

/// Names that are hard to place.
pub const NAMES: [&str; 6] = [
    "a_feature_whose_name_somebody_made_far_too_long_for_any_picture=and_a_value_to_match",
    "اسم المقطع الطويل جدا في هذا المخطط",
    "👩‍👩‍👧‍👦 families=🇩🇪 & <script>alert('x')</script>",
    "地域=東京都千代田区丸の内一丁目と二丁目と三丁目",
    "\u{202e}reversed",
    "",
];

/// Sixty rows with hard names, tiny and huge values.
pub fn stress_rows() -> Vec<MetricRow> {
    (0..60_u32)
        .map(|i| {
            let name = NAMES[i as usize % NAMES.len()];
            let size = 10f64.powi(i as i32 - 30);
            let unit = [Number, Share, Microseconds][i as usize % 3];
            let verdict = [Pass, Inconclusive, Fail][i as usize % 3];
            let group = Shadow;
            let margin = Some(Margin::Absolute(size / f64::from(1 + i % 7)));
            let of = row(
                (group, name, unit),
                (size, size * 1.5, size),
                u64::from(i).pow(9),
                margin,
                (Lower, Guardrail, verdict),
            );
            if i % 2 == 0 {
                of
            } else {
                within(
                    NAMES[(i / 2) as usize % NAMES.len()],
                    MetricRow {
                        name: "accuracy".into(),
                        unit: Share,
                        champion: Some(0.8),
                        challenger: Some(0.8 - f64::from(i) / 300.0),
                        ..of
                    },
                )
            }
        })
        .collect()
}

/// A report that is as awkward as can be.
pub fn stress() -> ComparisonReport {
    let mut report = report();
    report.rows = stress_rows();
    let long = NAMES[0];
    let data = report.charts.as_mut().unwrap();
    data.scores = vec![
        ScoreDistribution {
            of: long.into(),
            champion: None,
            challenger: vec![u64::MAX, 1],
            edges: vec![-1e12, 0.0, 3e12],
            threshold: Some(1e12),
            group: Offline,
        },
        ScoreDistribution {
            of: "tiny".into(),
            champion: Some(vec![0, 0, 1]),
            challenger: vec![1],
            edges: vec![0.0, 1e-9, 2e-9, 9e-9],
            threshold: None,
            group: Shadow,
        },
    ];
    data.latency[0].champion = None;
    data.latency.push(LatencyCurves {
        group: Offline,
        champion: Some(LatencyCurve { n: 3, points: vec![QuantilePoint { q: 0.5, us: 9e9 }] }),
        challenger: LatencyCurve { n: 3, points: vec![QuantilePoint { q: 0.5, us: 3e9 }] },
        relative_error: None,
    });
    data.answers = vec![
        AnswerMatrix {
            group: Shadow,
            answers: NAMES.map(str::to_owned).to_vec(),
            counts: vec![vec![u64::MAX / 64; 7]; 6],
        },
        AnswerMatrix { group: Shadow, answers: vec!["only".into()], counts: vec![vec![48_211, 0]] },
        AnswerMatrix {
            group: Shadow,
            answers: (0..30).map(|i| format!("class {i}")).collect(),
            counts: (0..30).map(|r| (0..31).map(|c| u64::from(r == c) * 100 + 1).collect()).collect(),
        },
    ];
    let bar = |i: usize| DriftBar {
        feature: NAMES[i % NAMES.len()].into(),
        effect: 10f64.powi(3 - i as i32),
        interval: i.is_multiple_of(2).then_some([0.0, 2e3]),
        limit: (!i.is_multiple_of(3)).then_some(0.1),
        n: u64::MAX,
        verdict: [Pass, Inconclusive, Fail][i % 3],
    };
    data.drift[0].bars = (0..26).map(bar).collect();
    data.drift[0].measure = long.into();
    let wild = ImportancePoint {
        share: f64::MAX,
        interval: [f64::NAN, 1.0],
        mean_abs: f64::INFINITY,
        spread: Some([f64::MIN, -1.0, 0.0, 1.0, f64::MAX]),
    };
    data.importances[0].bars = (0..40)
        .map(|i| ImportanceBar {
            column: NAMES[i % NAMES.len()].into(),
            champion: i.is_multiple_of(2).then_some(wild),
            challenger: (!i.is_multiple_of(3)).then_some(ImportancePoint { interval: [-1.0, 2.0], ..wild }),
        })
        .collect();
    data.importances[0].of = long.into();
    data.importances[0].left_out = u64::MAX;
    data.coverage[0].bars =
        NAMES.iter().map(|n| CoverageBar { name: (*n).into(), mature: u64::MAX, labelled: 3 }).collect();
    data.crossings[0].of = long.into();
    data.calibration[0].of = NAMES[2].into();
    data.calibration[0].champion = None;
    data.calibration[0].challenger.bins.truncate(1);
    report
}

/// A canary with one look, one step, and no threshold; and one with many steps at once.
pub fn stress_canary() -> CanaryChart {
    let mut canary = canary();
    canary.evidence[0].looks.truncate(1);
    canary.evidence[0].name = NAMES[0].into();
    canary.evidence[1].threshold = f64::INFINITY;
    canary.steps =
        (0..20).map(|i| CanaryBand { since: f64::from(i * i) * 10.0, weight: f64::from(i) + 0.5 }).collect();
    canary.differences[0].looks.iter_mut().for_each(|l| l.lower = None);
    canary
}
