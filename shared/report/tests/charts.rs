//! What charts look like, and that no input breaks them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::samples;

use proptest::collection::vec;
use proptest::prelude::*;
use seatrial_domain::policy::Margin;
use seatrial_domain::verdict::{Direction, MetricClass, Verdict};
use seatrial_evidence::charts::*;
use seatrial_evidence::report::{ComparisonReport, MetricGroup, MetricRow, MetricUnit};
use seatrial_report::charts::{Figure, canary_figure, of_report};

/// Everything that a chart may be made of.
const ELEMENTS: [&str; 11] =
    ["svg", "title", "desc", "style", "g", "rect", "line", "path", "circle", "text", "polygon"];

/// Reads a picture as XML and looks at every attribute and element.
fn check(svg: &str) {
    let document = roxmltree::Document::parse(svg).unwrap_or_else(|e| panic!("{e}: {svg}"));
    let root = document.root_element();
    assert_eq!(root.attribute("role"), Some("img"));
    let view: Vec<f64> = root.attribute("viewBox").unwrap().split(' ').map(|x| x.parse().unwrap()).collect();
    assert!(view[2] > 0.0 && view[3] > 0.0 && view[3] < 20_000.0, "{view:?}");
    for id in root.attribute("aria-labelledby").unwrap().split(' ') {
        let named =
            root.children().find(|c| c.attribute("id") == Some(id)).expect("a title and a description");
        assert!(!named.text().unwrap_or_default().trim().is_empty(), "{id}");
    }
    for node in root.descendants().filter(roxmltree::Node::is_element) {
        let name = node.tag_name().name();
        assert!(ELEMENTS.contains(&name), "{name}");
        for attribute in node.attributes() {
            let (key, value) = (attribute.name(), attribute.value());
            assert!(!key.starts_with("on") && key != "style" && key != "href", "{key}");
            assert!(!value.contains("NaN") && !value.contains("inf"), "{key}={value}");
            if ["x", "x1", "x2", "cx"].contains(&key) {
                let x: f64 = value.parse().unwrap();
                assert!(
                    (view[0] - 0.5..=view[0] + view[2] + 0.5).contains(&x),
                    "{name} {key}={x} outside {view:?}"
                );
            }
            if ["y", "y1", "y2", "cy"].contains(&key) {
                let y: f64 = value.parse().unwrap();
                assert!(
                    (view[1] - 0.5..=view[1] + view[3] + 0.5).contains(&y),
                    "{name} {key}={y} outside {view:?}"
                );
            }
            if ["width", "height", "r"].contains(&key) {
                assert!(value.parse::<f64>().unwrap() >= 0.0, "{key}={value}");
            }
        }
    }
}

fn check_figure(figure: &Figure) {
    for chart in [Some(&figure.narrow), figure.wide.as_ref()].into_iter().flatten() {
        check(&chart.inline(&figure.id));
        check(&chart.standalone());
        check(&chart.print());
        let columns = chart.table.head.len();
        assert!(
            !chart.table.rows.is_empty() && chart.table.rows.iter().all(|r| r.len() == columns),
            "{}",
            figure.id
        );
    }
}

fn figures(report: &ComparisonReport, canary: &CanaryChart) -> Vec<Figure> {
    of_report(report).into_iter().chain(canary_figure(canary)).collect()
}

#[test]
fn every_chart_looks_as_it_did_when_somebody_last_looked() {
    for figure in figures(&samples::report(), &samples::canary()) {
        check_figure(&figure);
        insta::assert_snapshot!(figure.id.clone(), lines(&figure.narrow.inline(&figure.id)));
        if let Some(wide) = &figure.wide {
            insta::assert_snapshot!(format!("{}-wide", figure.id), lines(&wide.inline(&figure.id)));
        }
    }
}

/// An element a line, for differences that can be read.
fn lines(svg: &str) -> String {
    svg.replace("><", ">\n<")
}

#[test]
fn awkward_names_and_numbers_break_nothing() {
    let all = figures(&samples::stress(), &samples::stress_canary());
    assert_eq!(all.len(), 16);
    all.iter().for_each(check_figure);
    let text: String = all.iter().map(Figure::file).collect();
    assert!(!text.contains("<script") && text.contains("&lt;script&gt;"));
    assert!(!text.contains('\u{202e}'), "a mark that turns the direction reaches beyond its name");
}

#[test]
fn nothing_is_drawn_from_nothing() {
    let mut report = samples::report();
    report.rows.clear();
    report.charts = None;
    assert_eq!(of_report(&report), []);
    report.charts = Some(ChartData::default());
    assert_eq!(of_report(&report), []);
    let canary = CanaryChart { evidence: Vec::new(), differences: Vec::new(), ..samples::canary() };
    assert_eq!(canary_figure(&canary), None);
}

#[test]
fn one_row_makes_one_chart() {
    let mut report = samples::report();
    report.rows.truncate(1);
    report.charts = None;
    let all = of_report(&report);
    assert_eq!(all.iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["chart-differences-1"]);
    check_figure(&all[0]);
}

#[test]
fn the_same_data_gives_the_same_bytes() {
    let draw =
        || figures(&samples::report(), &samples::canary()).iter().map(Figure::file).collect::<Vec<_>>();
    assert_eq!(draw(), draw());
}

#[test]
fn a_row_worse_by_its_margin_stands_at_the_margin_whatever_its_direction() {
    let margin = Some(Margin::Absolute(0.02));
    let at = |direction, challenger| {
        let row = samples::row(
            (MetricGroup::Offline, "metric", MetricUnit::Share),
            (0.5, challenger, 0.001),
            100,
            margin,
            (direction, MetricClass::Guardrail, Verdict::Fail),
        );
        let chart = seatrial_report::charts::deltas(&[row], seatrial_report::charts::Width::Wide).unwrap();
        chart.table.rows[0][4].clone()
    };
    assert_eq!(at(Direction::HigherIsBetter, 0.48), "−1.00");
    assert_eq!(at(Direction::LowerIsBetter, 0.52), "−1.00");
    assert_eq!(at(Direction::LowerIsBetter, 0.48), "+1.00");
}

#[test]
fn an_estimate_beyond_the_axis_is_an_arrow_and_says_so() {
    let row = samples::row(
        (MetricGroup::Offline, "equalised_odds", MetricUnit::Share),
        (0.06, 0.35, 0.02),
        8_000,
        Some(Margin::Absolute(0.05)),
        (Direction::LowerIsBetter, MetricClass::Guardrail, Verdict::Fail),
    );
    let draw = |rows: &[MetricRow]| {
        seatrial_report::charts::deltas(rows, seatrial_report::charts::Width::Wide).unwrap().inline("id")
    };
    let svg = draw(std::slice::from_ref(&row));
    assert!(svg.contains(r#"class="arrow""#) && svg.contains("goes on beyond the axis"), "{svg}");
    let inside = MetricRow { challenger: Some(0.07), delta: Some(0.01), interval: Some([0.0, 0.02]), ..row };
    let svg = draw(&[inside]);
    assert!(!svg.contains(r#"class="arrow""#) && !svg.contains("goes on beyond the axis"), "{svg}");
}

#[test]
fn a_report_with_every_chart_stays_small() {
    let bytes = serde_json::to_vec(&samples::report()).unwrap().len();
    assert!(bytes < 100_000, "{bytes}");
}

#[test]
fn identifiers_are_unique_in_a_report() {
    let report = samples::stress();
    let mut ids: Vec<String> = of_report(&report).into_iter().map(|f| f.id).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

fn name() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..24).prop_map(|chars| chars.into_iter().collect())
}

/// Any number, with those that hurt more often than chance would have it.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -2.0..2.0,
        2 => any::<f64>(),
        1 => prop_oneof![Just(0.0), Just(f64::MAX), Just(f64::MIN), Just(f64::MIN_POSITIVE), Just(f64::NAN), Just(f64::INFINITY)],
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![Just(Verdict::Pass), Just(Verdict::Inconclusive), Just(Verdict::Fail)]
}

fn group() -> impl Strategy<Value = MetricGroup> {
    prop_oneof![
        Just(MetricGroup::Offline),
        Just(MetricGroup::Check),
        Just(MetricGroup::Shadow),
        Just(MetricGroup::Plan)
    ]
}

fn unit() -> impl Strategy<Value = MetricUnit> {
    prop_oneof![Just(MetricUnit::Number), Just(MetricUnit::Share), Just(MetricUnit::Microseconds)]
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::HigherIsBetter), Just(Direction::LowerIsBetter)]
}

fn maybe<S: Strategy>(of: S) -> impl Strategy<Value = Option<S::Value>>
where
    S::Value: Clone,
{
    proptest::option::of(of)
}

fn row() -> impl Strategy<Value = MetricRow> {
    let margin = prop_oneof![number().prop_map(Margin::Absolute), number().prop_map(Margin::Relative)];
    let class = prop_oneof![Just(MetricClass::Guardrail), Just(MetricClass::Signal), Just(MetricClass::Info)];
    let what = (group(), prop_oneof![Just("accuracy".to_owned()), name()], maybe(name()), unit());
    let values = (maybe(number()), maybe(number()), maybe(number()), maybe([number(), number()]));
    let rule = (any::<u64>(), maybe(margin), direction(), class, verdict(), name());
    (what, values, rule).prop_map(
        |(
            (group, name, segment, unit),
            (champion, challenger, delta, interval),
            (n, margin, direction, class, verdict, why),
        )| MetricRow {
            group,
            name,
            segment,
            unit,
            champion,
            challenger,
            delta,
            interval,
            confidence: None,
            n,
            n_needed: None,
            margin,
            limit: None,
            direction,
            class,
            verdict,
            why,
        },
    )
}

fn curve() -> impl Strategy<Value = LatencyCurve> {
    let point = (0.0..=1.0, number()).prop_map(|(q, us)| QuantilePoint { q, us });
    (any::<u64>(), vec(point, 0..6)).prop_map(|(n, points)| LatencyCurve { n, points })
}

fn bins() -> impl Strategy<Value = CalibrationCurve> {
    let bin = (number(), number(), maybe([number(), number()]), any::<u64>())
        .prop_map(|(score, share, interval, n)| CalibrationBin { score, share, interval, n });
    (vec(bin, 0..5), maybe(number()), maybe(number())).prop_map(|(bins, slope, intercept)| CalibrationCurve {
        bins,
        slope,
        intercept,
    })
}

/// Boxed, since so many numbers inside others do not fit the stack of a test's thread.
fn importance() -> BoxedStrategy<ImportancePoint> {
    let spread = maybe(vec(number(), 5).prop_map(|all| [all[0], all[1], all[2], all[3], all[4]]));
    let interval = vec(number(), 2).prop_map(|all| [all[0], all[1]]);
    (number(), interval, number(), spread)
        .prop_map(|(share, interval, mean_abs, spread)| ImportancePoint { share, interval, mean_abs, spread })
        .boxed()
}

fn data() -> impl Strategy<Value = ChartData> {
    let scores = (
        group(),
        name(),
        vec(number(), 0..6),
        maybe(vec(any::<u64>(), 0..6)),
        vec(any::<u64>(), 0..6),
        maybe(number()),
    )
        .prop_map(|(group, of, mut edges, champion, challenger, threshold)| {
            edges.sort_by(f64::total_cmp);
            ScoreDistribution { group, of, edges, champion, challenger, threshold }
        });
    let latency = (group(), maybe(curve()), curve(), maybe(number())).prop_map(
        |(group, champion, challenger, relative_error)| LatencyCurves {
            group,
            champion,
            challenger,
            relative_error,
        },
    );
    let answers = (group(), vec(name(), 0..12), vec(vec(any::<u64>(), 0..14), 0..13))
        .prop_map(|(group, answers, counts)| AnswerMatrix { group, answers, counts });
    let bar = (name(), number(), maybe([number(), number()]), maybe(number()), any::<u64>(), verdict())
        .prop_map(|(feature, effect, interval, limit, n, verdict)| DriftBar {
            feature,
            effect,
            interval,
            limit,
            n,
            verdict,
        });
    let drift = (name(), name(), name(), vec(bar, 0..30), any::<u64>()).prop_map(
        |(current, reference, measure, bars, left_out)| DriftBars {
            current,
            reference,
            measure,
            bars,
            left_out,
        },
    );
    let calibration = (group(), name(), maybe(bins()), bins())
        .prop_map(|(group, of, champion, challenger)| Calibration { group, of, champion, challenger });
    let crossings = (group(), name(), number(), any::<u64>(), any::<u64>(), any::<u64>()).prop_map(
        |(group, of, threshold, n, up, down)| ThresholdCrossings { group, of, threshold, n, up, down },
    );
    let part = (name(), any::<u64>(), any::<u64>()).prop_map(|(name, mature, labelled)| CoverageBar {
        name,
        mature,
        labelled,
    });
    let coverage = (name(), vec(part, 0..30)).prop_map(|(by, bars)| LabelCoverage { by, bars });
    let bar = (name(), maybe(importance()), maybe(importance()))
        .prop_map(|(column, champion, challenger)| ImportanceBar { column, champion, challenger });
    let importances = (name(), any::<u64>(), any::<u64>(), vec(bar, 0..30), any::<u64>()).prop_map(
        |(of, rows, background, bars, left_out)| Importances { of, rows, background, bars, left_out },
    );
    (
        vec(scores, 0..2),
        vec(latency, 0..2),
        vec(answers, 0..2),
        vec(drift, 0..2),
        vec(calibration, 0..2),
        vec(crossings, 0..2),
        vec(coverage, 0..2),
        vec(importances, 0..2),
    )
        .prop_map(|(scores, latency, answers, drift, calibration, crossings, coverage, importances)| {
            ChartData { scores, latency, answers, drift, calibration, crossings, coverage, importances }
        })
}

fn canary() -> impl Strategy<Value = CanaryChart> {
    let band = (number(), number()).prop_map(|(since, weight)| CanaryBand { since, weight });
    let look = (number(), number()).prop_map(|(at, log_e)| EvidenceLook { at, log_e });
    let evidence = (name(), number(), vec(look, 0..6))
        .prop_map(|(name, threshold, looks)| EvidenceSequence { name, threshold, looks });
    let look = (number(), number(), maybe(number()), maybe(number()))
        .prop_map(|(at, estimate, lower, upper)| DifferenceLook { at, estimate, lower, upper });
    let difference = (name(), unit(), direction(), maybe(number()), vec(look, 0..6)).prop_map(
        |(name, unit, direction, margin, looks)| DifferenceSequence { name, unit, direction, margin, looks },
    );
    (vec(band, 0..6), number(), vec(evidence, 0..4), vec(difference, 0..4)).prop_map(
        |(steps, until, evidence, differences)| CanaryChart {
            started_at: "2026-11-21T10:00:00Z".parse().unwrap(),
            steps,
            until,
            evidence,
            differences,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_input_makes_a_broken_picture(rows in vec(row(), 0..24), data in data(), canary in canary()) {
        let mut report = samples::report();
        report.rows = rows;
        report.charts = Some(data);
        for figure in figures(&report, &canary) {
            check_figure(&figure);
        }
    }

    #[test]
    fn no_input_breaks_the_page(rows in vec(row(), 0..12), data in data(), canary in canary()) {
        let mut report = samples::report();
        report.rows = rows;
        report.charts = Some(data);
        let page = seatrial_report::page::render(&report, Some(&canary), &[]).unwrap();
        prop_assert!(!page.contains("<script") && !page.contains(" style=") && page.matches("<style").count() == 1);
    }
}
