//! The trees of an ONNX node as the runtime reads them: `TreeEnsembleRegressor` and `TreeEnsembleClassifier` of `ai.onnx.ml`, and
//! `TreeEnsemble`, which replaces both from its version 5 on (`ensemble_v5.rs`).
//!
//! Which of a classifier's numbers become which scores is nowhere specified; it is as in ONNX Runtime's
//! `tree_ensemble_aggregator.h`. Whoever uses this compares it with what the runtime answers before believing it.

use std::collections::{BTreeMap, HashMap};

use seatrial_stats::shap::{Compare, Ensemble, Node as Place, Tree};

use crate::onnx::{Attribute, Node};

/// What the node makes of the trees' sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// Nothing.
    None,
    /// A sigmoid of each.
    Logistic,
    /// A softmax over all.
    Softmax,
}

/// How sums become the node's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The sum is the answer.
    Value,
    /// A sum for each class.
    Columns,
    /// One sum for two classes; `share` where it is the second class's share (all leaves are positive), else its log odds.
    OneColumn { share: bool },
}

/// A node of trees.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TreeNode {
    pub(crate) input: String,
    /// The output with the scores or values.
    pub(crate) output: String,
    /// The sums, one an output column.
    pub(crate) sums: Vec<Ensemble>,
    pub(crate) link: Link,
    pub(crate) form: Form,
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

impl TreeNode {
    /// Reads a node, or says why it is not understood.
    pub(crate) fn read(node: &Node) -> Result<Self, String> {
        match node.operator.as_str() {
            "TreeEnsembleRegressor" | "TreeEnsembleClassifier" => Self::read_v1(node),
            "TreeEnsemble" => super::ensemble_v5::read(node),
            other => Err(format!("its trees are in the form of {other}, which is not read")),
        }
    }

    fn read_v1(node: &Node) -> Result<Self, String> {
        let classifier = node.operator == "TreeEnsembleClassifier";
        let attributes = Attributes { all: &node.attributes };
        let (prefix, output) = if classifier { ("class", 1) } else { ("target", 0) };
        let aggregate = attributes.text("aggregate_function").unwrap_or("SUM");
        let link = match attributes.text("post_transform").unwrap_or("NONE") {
            "NONE" => Link::None,
            "LOGISTIC" => Link::Logistic,
            "SOFTMAX" => Link::Softmax,
            other => return Err(format!("its trees' sum goes through {other}")),
        };
        let ids = attributes.ints(&format!("{prefix}_ids"));
        let weights = attributes.numbers(&format!("{prefix}_weights"));
        let classes =
            attributes.texts("classlabels_strings").len().max(attributes.ints("classlabels_int64s").len());
        let one_class = ids.iter().all(|id| Some(id) == ids.first());
        let (form, columns) = match (classifier, classes) {
            (false, _) => (Form::Value, attributes.int("n_targets").unwrap_or(1)),
            (true, 2) if one_class => (Form::OneColumn { share: weights.iter().all(|w| *w >= 0.0) }, 1),
            (true, n) => (Form::Columns, n as i64),
        };
        if columns < 1 || (!classifier && columns != 1) {
            return Err(format!("its trees answer {columns} numbers, expected one value or the classes"));
        }
        let places = Places::read(&attributes)?;
        let mut leaves: Vec<HashMap<usize, f64>> = vec![HashMap::new(); columns as usize];
        let of =
            (attributes.ints(&format!("{prefix}_treeids")), attributes.ints(&format!("{prefix}_nodeids")));
        if of.0.len() != ids.len() || of.1.len() != ids.len() || weights.len() != ids.len() {
            return Err("its leaves' lists differ in length".into());
        }
        for (i, weight) in weights.iter().enumerate() {
            let column = if matches!(form, Form::OneColumn { .. }) { 0 } else { ids[i] };
            let leaves = usize::try_from(column).ok().and_then(|c| leaves.get_mut(c));
            let (Some(leaves), Some(place)) = (leaves, places.at.get(&(of.0[i], of.1[i]))) else {
                return Err("a leaf's weight belongs to no leaf or to no class".into());
            };
            *leaves.entry(*place).or_default() += weight;
        }
        let scale = match aggregate {
            "SUM" => 1.0,
            "AVERAGE" => 1.0 / places.trees.len().max(1) as f64,
            other => return Err(format!("its trees are combined by {other}")),
        };
        let base = attributes.numbers("base_values");
        if !base.is_empty() && base.len() != leaves.len() {
            return Err(format!("it has {} base values for {} sums", base.len(), leaves.len()));
        }
        let sums = leaves.iter().enumerate().map(|(column, leaves)| {
            let base = base.get(column).copied().unwrap_or(0.0);
            Ok(Ensemble { base, trees: places.trees(leaves, scale)? })
        });
        Ok(Self {
            input: node.inputs.first().cloned().unwrap_or_default(),
            output: node.outputs.get(output).cloned().unwrap_or_default(),
            sums: sums.collect::<Result<_, String>>()?,
            link,
            form,
        })
    }

    /// What the node answers where the trees' sums are these.
    pub(crate) fn answer(&self, sums: &[f64]) -> Vec<f64> {
        match (self.form, sums, self.link) {
            (Form::OneColumn { share: true }, [s], _) => vec![1.0 - s, *s],
            (Form::OneColumn { .. }, [s], Link::Logistic) => vec![sigmoid(-s), sigmoid(*s)],
            (Form::OneColumn { .. }, [s], _) => vec![-s, *s],
            (_, sums, Link::None) => sums.to_vec(),
            (_, sums, Link::Logistic) => sums.iter().map(|s| sigmoid(*s)).collect(),
            (_, sums, Link::Softmax) => crate::answers::softmax(sums),
        }
    }

    /// How many numbers a row needs.
    pub(crate) fn width(&self) -> usize {
        self.sums.iter().map(Ensemble::width).max().unwrap_or(0)
    }
}

/// A node's attributes by name.
pub(super) struct Attributes<'n> {
    pub(super) all: &'n HashMap<String, Attribute>,
}

impl<'n> Attributes<'n> {
    pub(super) fn ints(&self, name: &str) -> &'n [i64] {
        self.all.get(name).map_or(&[], |a| &a.ints)
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.all.get(name)?.int
    }

    pub(super) fn text(&self, name: &str) -> Option<&'n str> {
        self.all.get(name)?.text.as_deref()
    }

    pub(super) fn texts(&self, name: &str) -> &'n [String] {
        self.all.get(name).map_or(&[], |a| &a.texts)
    }

    /// The numbers of a tensor.
    pub(super) fn tensor(&self, name: &str) -> Option<Vec<f64>> {
        self.all.get(name).and_then(|a| a.tensor.as_ref()?.numbers.clone())
    }

    /// Numbers: a list of singles, or a tensor under the name with `_as_tensor` that holds doubles.
    fn numbers(&self, name: &str) -> Vec<f64> {
        let tensor = self.tensor(&format!("{name}_as_tensor"));
        tensor.unwrap_or_else(|| {
            self.all.get(name).map_or_else(Vec::new, |a| a.floats.iter().map(|x| f64::from(*x)).collect())
        })
    }
}

/// The nodes of all trees.
struct Places {
    nodes: Vec<Place>,
    /// Where the node of a tree id and a node id is.
    at: HashMap<(i64, i64), usize>,
    /// The places of each tree's nodes, its root first.
    trees: Vec<Vec<usize>>,
}

impl Places {
    fn read(a: &Attributes<'_>) -> Result<Self, String> {
        let (trees, ids, features) =
            (a.ints("nodes_treeids"), a.ints("nodes_nodeids"), a.ints("nodes_featureids"));
        let (yes, no) = (a.ints("nodes_truenodeids"), a.ints("nodes_falsenodeids"));
        let (modes, thresholds) = (a.texts("nodes_modes"), a.numbers("nodes_values"));
        let missing = a.ints("nodes_missing_value_tracks_true");
        let count = trees.len();
        let lists = [ids.len(), features.len(), yes.len(), no.len(), modes.len(), thresholds.len()];
        if count == 0 || lists.iter().any(|n| *n != count) || !(missing.is_empty() || missing.len() == count)
        {
            return Err("its nodes' lists are empty or differ in length".into());
        }
        let at: HashMap<(i64, i64), usize> = (0..count).map(|i| ((trees[i], ids[i]), i)).collect();
        if at.len() != count {
            return Err("two of its nodes have one id".into());
        }
        let child = |i: usize, id: i64| {
            at.get(&(trees[i], id)).copied().ok_or_else(|| "a node names a node that is not there".to_owned())
        };
        let mut nodes = Vec::with_capacity(count);
        let mut is_child = vec![false; count];
        for i in 0..count {
            let compare = match modes[i].as_str() {
                "LEAF" => {
                    nodes.push(Place::Leaf { value: 0.0 });
                    continue;
                }
                "BRANCH_LEQ" => Compare::LessOrEqual,
                "BRANCH_LT" => Compare::Less,
                "BRANCH_GTE" => Compare::GreaterOrEqual,
                "BRANCH_GT" => Compare::Greater,
                "BRANCH_EQ" => Compare::Equal,
                "BRANCH_NEQ" => Compare::NotEqual,
                other => return Err(format!("its branches compare by {other}")),
            };
            let feature = usize::try_from(features[i]).map_err(|_| "a branch asks for no feature")?;
            let (yes, no) = (child(i, yes[i])?, child(i, no[i])?);
            (is_child[yes], is_child[no]) = (true, true);
            let (threshold, missing) = (thresholds[i], missing.get(i).is_some_and(|m| *m != 0));
            nodes.push(Place::Branch { feature, compare, threshold, missing, yes, no });
        }
        let mut of_tree: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        (0..count).for_each(|i| of_tree.entry(trees[i]).or_default().push(i));
        let rooted = |mut places: Vec<usize>| {
            let root = places.iter().position(|i| !is_child[*i]).ok_or("a tree has no root")?;
            places.swap(0, root);
            Ok::<_, String>(places)
        };
        let trees = of_tree.into_values().map(rooted).collect::<Result<_, _>>()?;
        Ok(Self { nodes, at, trees })
    }

    /// The trees with these leaves, times `scale`; trees without any are left out.
    fn trees(&self, leaves: &HashMap<usize, f64>, scale: f64) -> Result<Vec<Tree>, String> {
        let mut all = Vec::new();
        for places in self.trees.iter().filter(|places| places.iter().any(|p| leaves.contains_key(p))) {
            let local: HashMap<usize, usize> = places.iter().enumerate().map(|(i, p)| (*p, i)).collect();
            let inside = |place: usize| local.get(&place).copied().unwrap_or(usize::MAX);
            let node = |place: &usize| match self.nodes[*place] {
                Place::Leaf { .. } => {
                    Place::Leaf { value: leaves.get(place).copied().unwrap_or(0.0) * scale }
                }
                Place::Branch { feature, compare, threshold, missing, yes, no } => {
                    Place::Branch { feature, compare, threshold, missing, yes: inside(yes), no: inside(no) }
                }
            };
            all.push(
                Tree::new(places.iter().map(node).collect()).map_err(|e| format!("a tree is none: {e}"))?,
            );
        }
        Ok(all)
    }
}
