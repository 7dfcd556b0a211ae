//! Trees that no fixture has (every comparison, missing values, doubles, averages), beside what the engine answers to every
//! mixture of two rows: with two columns that is the definition.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::PathBuf;

use seatrial_inference::explain::{Explanation, Method, Sampling, explain};
use seatrial_inference::{Batch, Column, Model};

/// Just enough of protobuf's wire format to write a graph.
mod wire {
    pub fn varint(mut n: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while n >= 0x80 {
            out.push((n & 0x7f) as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
        out
    }

    pub fn int(field: u64, n: i64) -> Vec<u8> {
        [varint(field << 3), varint(n as u64)].concat()
    }

    pub fn bytes(field: u64, inside: &[u8]) -> Vec<u8> {
        [varint(field << 3 | 2), varint(inside.len() as u64), inside.to_vec()].concat()
    }

    pub fn float(field: u64, x: f32) -> Vec<u8> {
        [varint(field << 3 | 5), x.to_le_bytes().to_vec()].concat()
    }
}
use wire::{bytes, float, int};

/// An attribute: its name, its kind's number and its value.
fn attribute(name: &str, kind: i64, value: &[u8]) -> Vec<u8> {
    bytes(5, &[bytes(1, name.as_bytes()), value.to_vec(), int(20, kind)].concat())
}

fn ints(name: &str, all: &[i64]) -> Vec<u8> {
    attribute(name, 7, &all.iter().flat_map(|n| int(8, *n)).collect::<Vec<_>>())
}

fn floats(name: &str, all: &[f32]) -> Vec<u8> {
    attribute(name, 6, &all.iter().flat_map(|x| float(7, *x)).collect::<Vec<_>>())
}

fn texts(name: &str, all: &[&str]) -> Vec<u8> {
    attribute(name, 8, &all.iter().flat_map(|t| bytes(9, t.as_bytes())).collect::<Vec<_>>())
}

fn text(name: &str, value: &str) -> Vec<u8> {
    attribute(name, 3, &bytes(4, value.as_bytes()))
}

fn doubles(name: &str, all: &[f64]) -> Vec<u8> {
    let raw: Vec<u8> = all.iter().flat_map(|x| x.to_le_bytes()).collect();
    let tensor = [int(1, all.len() as i64), int(2, 11), bytes(9, &raw)].concat();
    attribute(name, 4, &bytes(5, &tensor))
}

fn node(operator: &str, domain: &str, inputs: &[&str], output: &str, attributes: &[u8]) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|name| bytes(1, name.as_bytes())).collect();
    let named = [bytes(2, output.as_bytes()), bytes(4, operator.as_bytes()), bytes(7, domain.as_bytes())];
    bytes(1, &[inputs, named.concat(), attributes.to_vec()].concat())
}

fn value(field: u64, name: &str, element: i64, width: i64) -> Vec<u8> {
    let dims = [bytes(1, &bytes(2, b"N")), bytes(1, &int(1, width))].concat();
    let tensor = [int(1, element), bytes(2, &dims)].concat();
    bytes(field, &[bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat())
}

fn model(nodes: &[u8], element: i64) -> Vec<u8> {
    model_of(nodes, element, 3)
}

/// A model with this version of the trees' operators.
fn model_of(nodes: &[u8], element: i64, trees: i64) -> Vec<u8> {
    let opset = |domain: &str, version| bytes(8, &[bytes(1, domain.as_bytes()), int(2, version)].concat());
    let graph = [nodes.to_vec(), bytes(2, b"g"), value(11, "x", element, 2), value(12, "y", 1, 1)].concat();
    [int(1, 8), opset("", 15), opset("ai.onnx.ml", trees), bytes(7, &graph)].concat()
}

const MODES: [&str; 6] = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];

/// A tree for each comparison, without and with missing values going to the true branch: the first feature asks, and on its true
/// side the second one.
fn trees(threshold: &dyn Fn(usize) -> Vec<u8>, more: &[Vec<u8>]) -> Vec<u8> {
    let (mut ids, mut modes, mut features, mut yes, mut no, mut tracks) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut leaf_trees, mut leaf_nodes, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for tree in 0..12_i64 {
        let mode = MODES[tree as usize % 6];
        for (place, (mode, feature, to)) in [
            (mode, 0, (1, 2)),
            (mode, 1, (3, 4)),
            ("LEAF", 0, (0, 0)),
            ("LEAF", 0, (0, 0)),
            ("LEAF", 0, (0, 0)),
        ]
        .into_iter()
        .enumerate()
        {
            ids.push((tree, place as i64));
            modes.push(mode);
            features.push(feature);
            yes.push(to.0);
            no.push(to.1);
            tracks.push(i64::from(tree >= 6));
            if mode == "LEAF" {
                leaf_trees.push(tree);
                leaf_nodes.push(place as i64);
                weights.push((tree as f32 + 1.0) * 0.37 - place as f32 * 0.61);
            }
        }
    }
    let of = |pick: &dyn Fn(&(i64, i64)) -> i64| ids.iter().map(pick).collect::<Vec<_>>();
    let attributes = [
        ints("nodes_treeids", &of(&|i| i.0)),
        ints("nodes_nodeids", &of(&|i| i.1)),
        ints("nodes_featureids", &features),
        threshold(ids.len()),
        texts("nodes_modes", &modes),
        ints("nodes_truenodeids", &yes),
        ints("nodes_falsenodeids", &no),
        ints("nodes_missing_value_tracks_true", &tracks),
        ints("target_treeids", &leaf_trees),
        ints("target_nodeids", &leaf_nodes),
        ints("target_ids", &vec![0; leaf_trees.len()]),
        attribute("n_targets", 2, &int(3, 1)),
        more.concat(),
    ];
    attributes.concat()
}

fn singles(count: usize) -> Vec<u8> {
    floats("nodes_values", &vec![0.1; count])
}

fn weights() -> Vec<f32> {
    (0..12).flat_map(|tree| [2.0, 3.0, 4.0].map(|place| (tree as f32 + 1.0) * 0.37 - place * 0.61)).collect()
}

/// A version in a folder of its own, with two nullable columns.
struct Version {
    folder: PathBuf,
    model: Model,
}

impl Version {
    fn new(name: &str, graph: &[u8], datatype: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("seatrial-explain-{}-{name}", std::process::id()));
        std::fs::create_dir_all(folder.join("weights")).unwrap();
        std::fs::write(folder.join("weights/model.onnx"), graph).unwrap();
        let input = format!("{{name: x, datatype: {datatype}, features: [a, b], nullable: true}}");
        let config = format!("{{schema: 1, task: regression, runtime: onnx, inputs: [{input}]}}");
        std::fs::write(folder.join("config.yaml"), config).unwrap();
        let model = Model::from_folder(common::runtime(), &folder).unwrap_or_else(|e| panic!("{name}: {e}"));
        Self { folder, model }
    }

    fn explained(&self, rows: &Batch, background: &Batch) -> Explanation {
        let sampling = Sampling { seed: 1, orders: 60, most_runs: 100_000 };
        explain(common::runtime(), &self.folder, &self.model, rows, background, sampling).unwrap()
    }

    fn answer(&self, a: f64, b: f64) -> f64 {
        self.model.predict(&batch(&[(a, b)])).unwrap()[0].value.unwrap()
    }

    /// The values must be those of the definition, by the engine's own answers.
    fn check(&self, method: Option<Method>) -> Explanation {
        let (rows, background) = (rows(), &rows()[2..7]);
        let found = self.explained(&batch(&rows), &batch(background));
        if let Some(method) = method {
            assert_eq!(found.method, method, "{:?}", found.why_sampled);
        }
        for (row, (a, b)) in found.rows.iter().zip(&rows) {
            let mut exact = [0.0, 0.0];
            for (c, d) in background {
                let [both, first, second, none] =
                    [(a, b), (a, d), (c, b), (c, d)].map(|(a, b)| self.answer(*a, *b));
                exact[0] += ((first - none) + (both - second)) / 2.0 / background.len() as f64;
                exact[1] += ((second - none) + (both - first)) / 2.0 / background.len() as f64;
            }
            for (value, exact) in row.values[0].iter().zip(exact) {
                assert!((value - exact).abs() < 1e-4, "({a}, {b}): {:?} is not {exact:?}", row.values);
            }
        }
        found
    }
}

impl Drop for Version {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// Numbers at, just below and just above the threshold as a single-precision number, and missing ones.
fn rows() -> Vec<(f64, f64)> {
    let at = f64::from(0.1_f32);
    let (below, above) = (f64::from(0.1_f32.next_down()), f64::from(0.1_f32.next_up()));
    let all = [at, below, above, 0.1, f64::NAN, -3.0, 7.0];
    all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b))).collect()
}

fn batch(rows: &[(f64, f64)]) -> Batch {
    let column = |of: fn(&(f64, f64)) -> f64| Column::f64(rows.iter().map(of).collect());
    Batch::from_columns(vec![("a".into(), column(|r| r.0)), ("b".into(), column(|r| r.1))]).unwrap()
}

fn regressor(name: &str, more: &[Vec<u8>]) -> Version {
    let all = [more.to_vec(), vec![floats("target_weights", &weights())]].concat();
    let trees = node("TreeEnsembleRegressor", "ai.onnx.ml", &["x"], "y", &trees(&singles, &all));
    Version::new(name, &model(&trees, 1), "FP32")
}

#[test]
fn every_comparison_and_missing_values_are_read_as_the_engine_reads_them() {
    let found = regressor("modes", &[]).check(Some(Method::Trees));
    assert_eq!(found.features, ["a", "b"]);
    regressor("base", &[floats("base_values", &[10.5])]).check(Some(Method::Trees));
}

#[test]
fn averages_are_read_too_and_other_combinations_are_sampled() {
    let sum = regressor("sum", &[]).check(Some(Method::Trees));
    let average = regressor("average", &[text("aggregate_function", "AVERAGE")]).check(Some(Method::Trees));
    assert!((sum.expected[0] / 12.0 - average.expected[0]).abs() < 1e-6);
    // Two columns have no more than two orders, and both ways of one are both: sampled values are exact as well, up to the
    // background rows that were drawn.
    let least = regressor("least", &[text("aggregate_function", "MIN")]).check(None);
    assert_eq!(least.method, Method::Permutations { orders: 60 });
    assert!(least.why_sampled.unwrap().contains("combined by MIN"));
}

#[test]
fn doubles_are_compared_as_doubles() {
    let thresholds = |count: usize| doubles("nodes_values_as_tensor", &vec![0.1; count]);
    let weights: Vec<f64> = weights().into_iter().map(f64::from).collect();
    let attributes = trees(&thresholds, &[doubles("target_weights_as_tensor", &weights)]);
    let trees = node("TreeEnsembleRegressor", "ai.onnx.ml", &["x"], "y", &attributes);
    Version::new("doubles", &model(&trees, 11), "FP64").check(Some(Method::Trees));
}

#[test]
fn the_newer_form_of_trees_is_read_as_well() {
    // Each tree: the first feature asks, and where its comparison holds the second one; its last leaf is shared.
    let bytes_of = |all: &[u8]| {
        attribute("nodes_modes", 4, &bytes(5, &[int(1, all.len() as i64), int(2, 2), bytes(9, all)].concat()))
    };
    let singles = |name: &str, all: &[f32]| {
        let raw: Vec<u8> = all.iter().flat_map(|x| x.to_le_bytes()).collect();
        attribute(name, 4, &bytes(5, &[int(1, all.len() as i64), int(2, 1), bytes(9, &raw)].concat()))
    };
    let (mut modes, mut yes, mut no, mut yes_leaf, mut no_leaf) = (vec![], vec![], vec![], vec![], vec![]);
    for tree in 0..12_i64 {
        modes.extend([(tree % 6) as u8; 2]);
        yes.extend([2 * tree + 1, 2 * tree]);
        no.extend([2 * tree + 1, 2 * tree + 1]);
        yes_leaf.extend([0, 1]);
        no_leaf.extend([1, 1]);
    }
    let weights: Vec<f32> = (0..24).map(|i| (i as f32 + 1.0) * 0.37 - (i % 5) as f32).collect();
    let every = |n: i64| (0..12).map(|tree| tree * n).collect::<Vec<_>>();
    let tracks: Vec<i64> = (0..24).map(|i| i64::from(i >= 12)).collect();
    let attributes = [
        ints("tree_roots", &every(2)),
        ints("nodes_featureids", &[0, 1].repeat(12)),
        singles("nodes_splits", &[0.1; 24]),
        bytes_of(&modes),
        ints("nodes_truenodeids", &yes),
        ints("nodes_falsenodeids", &no),
        ints("nodes_trueleafs", &yes_leaf),
        ints("nodes_falseleafs", &no_leaf),
        ints("nodes_missing_value_tracks_true", &tracks),
        ints("leaf_targetids", &[0; 24]),
        singles("leaf_weights", &weights),
        attribute("n_targets", 2, &int(3, 1)),
    ]
    .concat();
    let graph = |more: &[u8]| {
        node("TreeEnsemble", "ai.onnx.ml", &["x"], "y", &[attributes.clone(), more.to_vec()].concat())
    };
    let version = |name: &str, more: &[u8]| Version::new(name, &model_of(&graph(more), 1, 5), "FP32");
    let sum = version("newer", &[]).check(Some(Method::Trees));
    let average =
        version("newer-average", &attribute("aggregate_function", 2, &int(3, 0))).check(Some(Method::Trees));
    assert!((sum.expected[0] / 12.0 - average.expected[0]).abs() < 1e-6);
    let most = version("newer-most", &attribute("aggregate_function", 2, &int(3, 3))).check(None);
    assert!(most.why_sampled.unwrap().contains("combined by MAX"));
}

#[test]
fn what_is_around_the_trees_decides_whether_they_are_believed() {
    let trees = trees(&singles, &[floats("target_weights", &weights())]);
    let ensemble =
        |input: &str, output: &str| node("TreeEnsembleRegressor", "ai.onnx.ml", &[input], output, &trees);
    // Each column on its own before the trees, names only after them.
    let apart =
        [node("Abs", "", &["x"], "p", &[]), ensemble("p", "q"), node("Identity", "", &["q"], "y", &[])];
    Version::new("apart", &model(&apart.concat(), 1), "FP32").check(Some(Method::Trees));
    let sampled = |name: &str, nodes: &[Vec<u8>], why: &str| {
        let found = Version::new(name, &model(&nodes.concat(), 1), "FP32").check(None);
        assert_eq!(found.method, Method::Permutations { orders: 60 }, "{name}");
        assert!(found.why_sampled.as_deref().unwrap().contains(why), "{name}: {:?}", found.why_sampled);
    };
    let mixed = [node("Softmax", "", &["x"], "p", &[]), ensemble("p", "y")];
    let twice = [ensemble("x", "p"), ensemble("x", "q"), node("Add", "", &["p", "q"], "y", &[])];
    let changed = [ensemble("x", "p"), node("Neg", "", &["p"], "y", &[])];
    sampled("twice", &twice, "trees in several places");
    sampled("changed", &changed, "goes on after the trees, with the operator Neg");
    // A missing number makes all of a softmax missing: the same for every row that has one.
    sampled("mixed", &mixed, "the operator Softmax makes of the columns is not followed");
}
