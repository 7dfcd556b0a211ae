//! `TreeEnsemble`, which `ai.onnx.ml` has from version 5 on: leaves in lists of their own, thresholds and weights as tensors.

use seatrial_stats::shap::{Compare, Ensemble, MAX_DEPTH, Node as Place, Tree};

use super::ensemble::{Attributes, Form, Link, TreeNode};
use crate::onnx::Node;

/// The node's lists.
struct Lists<'n> {
    features: &'n [i64],
    compares: Vec<Compare>,
    thresholds: Vec<f64>,
    missing: &'n [i64],
    /// For the true and the false side: where it leads, and whether to a leaf.
    ways: [(&'n [i64], &'n [i64]); 2],
    targets: &'n [i64],
    weights: Vec<f64>,
}

/// Reads a node, or says why it is not understood.
pub(super) fn read(node: &Node) -> Result<TreeNode, String> {
    let attributes = Attributes { all: &node.attributes };
    let roots = attributes.ints("tree_roots");
    let scale = match attributes.int("aggregate_function").unwrap_or(1) {
        0 => 1.0 / roots.len().max(1) as f64,
        1 => 1.0,
        other => return Err(format!("its trees are combined by {}", if other == 2 { "MIN" } else { "MAX" })),
    };
    let link = match attributes.int("post_transform").unwrap_or(0) {
        0 => Link::None,
        1 => Link::Softmax,
        2 => Link::Logistic,
        other => return Err(format!("its trees' sum goes through the transformation number {other}")),
    };
    let lists = Lists::read(&attributes)?;
    let columns = attributes.int("n_targets").unwrap_or(1);
    let known = lists.targets.iter().all(|t| (0..columns).contains(t));
    if !(1..=10_000).contains(&columns) || !known {
        return Err(format!("its trees answer {columns} numbers, and its leaves others"));
    }
    let of_column = |column: i64| -> Result<Ensemble, String> {
        let trees = roots.iter().map(|root| lists.tree(*root, column, scale));
        Ok(Ensemble { base: 0.0, trees: trees.collect::<Result<_, String>>()? })
    };
    Ok(TreeNode {
        input: node.inputs.first().cloned().unwrap_or_default(),
        output: node.outputs.first().cloned().unwrap_or_default(),
        sums: (0..columns).map(of_column).collect::<Result<_, String>>()?,
        link,
        form: if columns == 1 { Form::Value } else { Form::Columns },
    })
}

impl<'n> Lists<'n> {
    fn read(a: &Attributes<'n>) -> Result<Self, String> {
        let compare = |mode: &f64| match *mode as i64 {
            0 => Ok(Compare::LessOrEqual),
            1 => Ok(Compare::Less),
            2 => Ok(Compare::GreaterOrEqual),
            3 => Ok(Compare::Greater),
            4 => Ok(Compare::Equal),
            5 => Ok(Compare::NotEqual),
            other => Err(format!("its branches compare by the rule number {other}")),
        };
        let modes = a.tensor("nodes_modes").ok_or("its branches' comparisons cannot be read")?;
        let lists = Self {
            features: a.ints("nodes_featureids"),
            compares: modes.iter().map(compare).collect::<Result<_, _>>()?,
            thresholds: a.tensor("nodes_splits").ok_or("its thresholds cannot be read")?,
            missing: a.ints("nodes_missing_value_tracks_true"),
            ways: [
                (a.ints("nodes_truenodeids"), a.ints("nodes_trueleafs")),
                (a.ints("nodes_falsenodeids"), a.ints("nodes_falseleafs")),
            ],
            targets: a.ints("leaf_targetids"),
            weights: a.tensor("leaf_weights").ok_or("its leaves' weights cannot be read")?,
        };
        let count = lists.features.len();
        let ways = lists.ways.iter().flat_map(|(to, leaf)| [to.len(), leaf.len()]);
        let mut lengths = ways.chain([lists.compares.len(), lists.thresholds.len()]);
        let missing = lists.missing.is_empty() || lists.missing.len() == count;
        if lengths.any(|n| n != count) || !missing || lists.targets.len() != lists.weights.len() {
            return Err("its nodes' lists differ in length".into());
        }
        Ok(lists)
    }

    /// The tree below this root, with the leaves of one column. Leaves may be shared by several branches: each gets its own.
    fn tree(&self, root: i64, column: i64, scale: f64) -> Result<Tree, String> {
        let mut nodes = vec![Place::Leaf { value: 0.0 }];
        let mut open = vec![(root, 0_usize, 0_usize)];
        while let Some((at, place, depth)) = open.pop() {
            let at = usize::try_from(at).ok().filter(|at| *at < self.features.len());
            let at = at.ok_or("a node names a node that is not there")?;
            // More nodes than there are: a circle.
            if depth > MAX_DEPTH || nodes.len() > 2 * self.features.len() + 1 {
                return Err("its trees are too deep, or none".into());
            }
            let [yes, no] = [nodes.len(), nodes.len() + 1];
            for (to, leaf) in self.ways {
                let value = if leaf[at] != 0 { self.leaf(to[at], column)? * scale } else { 0.0 };
                if leaf[at] == 0 {
                    open.push((to[at], nodes.len(), depth + 1));
                }
                nodes.push(Place::Leaf { value });
            }
            nodes[place] = Place::Branch {
                feature: usize::try_from(self.features[at]).map_err(|_| "a branch asks for no feature")?,
                compare: self.compares[at],
                threshold: self.thresholds[at],
                missing: self.missing.get(at).is_some_and(|m| *m != 0),
                yes,
                no,
            };
        }
        Tree::new(nodes).map_err(|e| format!("a tree is none: {e}"))
    }

    fn leaf(&self, at: i64, column: i64) -> Result<f64, String> {
        let at = usize::try_from(at).ok().filter(|at| *at < self.weights.len());
        let at = at.ok_or("a branch names a leaf that is not there")?;
        Ok(if self.targets[at] == column { self.weights[at] } else { 0.0 })
    }
}
