//! Decision trees, and their exact interventional Shapley values.

use std::collections::HashMap;

use super::walk::{Decisions, Walk, Weights};
use super::{Explained, Table};

/// The deepest tree that is explained. Trees that libraries grow without a limit stay far below.
pub const MAX_DEPTH: usize = 256;

/// How a branch compares a row's number with its threshold. A number that is missing (NaN) meets [`Compare::NotEqual`] alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// `x <= threshold`
    LessOrEqual,
    /// `x < threshold`
    Less,
    /// `x >= threshold`
    GreaterOrEqual,
    /// `x > threshold`
    Greater,
    /// `x == threshold`
    Equal,
    /// `x != threshold`
    NotEqual,
}

impl Compare {
    fn holds(self, x: f64, threshold: f64) -> bool {
        match self {
            Self::LessOrEqual => x <= threshold,
            Self::Less => x < threshold,
            Self::GreaterOrEqual => x >= threshold,
            Self::Greater => x > threshold,
            Self::Equal => x == threshold,
            Self::NotEqual => x != threshold,
        }
    }
}

/// A node of a tree. Children are places in the tree's list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Node {
    /// An end.
    Leaf {
        /// What the tree adds to the output.
        value: f64,
    },
    /// A question.
    Branch {
        /// The place of the number in the row that is looked at.
        feature: usize,
        /// The question.
        compare: Compare,
        /// What the number is compared with. Both sides are exact: a single-precision number is a double-precision one.
        threshold: f64,
        /// Whether a missing number goes to `yes`, whatever the comparison says.
        missing: bool,
        /// Where a row goes for which the comparison holds.
        yes: usize,
        /// Where any other goes.
        no: usize,
    },
}

impl Node {
    pub(super) fn decide(&self, row: &[f64]) -> bool {
        match *self {
            Self::Leaf { .. } => false,
            Self::Branch { feature, compare, threshold, missing, .. } => {
                let x = row[feature];
                compare.holds(x, threshold) || (missing && x.is_nan())
            }
        }
    }
}

/// Why a list of nodes is no tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// There are no nodes, or a node names one that is not there.
    Dangling,
    /// A node is reached twice or not at all: the list is no tree.
    NotATree,
    /// It is deeper than [`MAX_DEPTH`].
    TooDeep,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dangling => f.write_str("a node names a node that is not there"),
            Self::NotATree => f.write_str("its nodes are no tree"),
            Self::TooDeep => write!(f, "it is deeper than {MAX_DEPTH} nodes"),
        }
    }
}

/// A tree; its root is the first node.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    nodes: Vec<Node>,
    depth: usize,
}

impl Tree {
    /// A tree of these nodes.
    ///
    /// # Errors
    /// When the nodes are no tree.
    pub fn new(nodes: Vec<Node>) -> Result<Self, Malformed> {
        let mut seen = vec![false; nodes.len()];
        let mut open = vec![(0, 0)];
        let mut deepest = 0;
        while let Some((place, depth)) = open.pop() {
            let seen = seen.get_mut(place).ok_or(Malformed::Dangling)?;
            if std::mem::replace(seen, true) {
                return Err(Malformed::NotATree);
            }
            if depth > MAX_DEPTH {
                return Err(Malformed::TooDeep);
            }
            deepest = deepest.max(depth);
            if let Node::Branch { yes, no, .. } = nodes[place] {
                open.extend([(yes, depth + 1), (no, depth + 1)]);
            }
        }
        if seen.contains(&false) {
            return Err(Malformed::NotATree);
        }
        Ok(Self { nodes, depth: deepest })
    }

    /// Nodes, ends included.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    fn output(&self, row: &[f64]) -> f64 {
        let mut at = 0;
        loop {
            match self.nodes[at] {
                Node::Leaf { value } => return value,
                Node::Branch { yes, no, .. } => at = if self.nodes[at].decide(row) { yes } else { no },
            }
        }
    }

    fn features(&self) -> impl Iterator<Item = usize> {
        self.nodes.iter().filter_map(|n| match n {
            Node::Branch { feature, .. } => Some(*feature),
            Node::Leaf { .. } => None,
        })
    }
}

/// Trees whose outputs add up to one output.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ensemble {
    /// What is added to the trees' sum.
    pub base: f64,
    /// The trees.
    pub trees: Vec<Tree>,
}

impl Ensemble {
    /// How many numbers a row needs.
    #[must_use]
    pub fn width(&self) -> usize {
        self.trees.iter().flat_map(Tree::features).max().map_or(0, |last| last + 1)
    }

    /// The output of a row of at least [`Ensemble::width`] numbers.
    #[must_use]
    pub fn output(&self, row: &[f64]) -> f64 {
        self.base + self.trees.iter().map(|t| t.output(row)).sum::<f64>()
    }

    /// The exact values of each row against the background. `player_of[j]` is the player (below `players`) that number `j` of a
    /// row belongs to; numbers of one player change together. `None` if the tables are narrower than the trees need or
    /// `player_of`, a player is beyond `players`, or the background is empty.
    ///
    /// For each pair of rows a tree is walked once, along the ways on which both differ: at most its leaves, usually far
    /// fewer. Rows that a tree cannot tell apart share their walk, so the cost of shallow trees depends little on how many
    /// rows there are.
    #[must_use]
    pub fn explain(
        &self,
        rows: &Table,
        background: &Table,
        player_of: &[usize],
        players: usize,
    ) -> Option<Explained> {
        let wide = |t: &Table| t.width() == player_of.len();
        let known = player_of.iter().all(|p| *p < players) && player_of.len() >= self.width();
        if !(wide(rows) && wide(background) && known) || background.rows().len() == 0 {
            return None;
        }
        let count = background.rows().len() as f64;
        let mut found = Explained {
            expected: background.rows().map(|row| self.output(row)).sum::<f64>() / count,
            outputs: rows.rows().map(|row| self.output(row)).collect(),
            values: vec![vec![0.0; players]; rows.rows().len()],
        };
        let deepest = self.trees.iter().map(|t| t.depth).max().unwrap_or(0);
        let weights = Weights::new(deepest.min(players));
        for tree in &self.trees {
            let of_rows = alike(tree, rows);
            let of_background = alike(tree, background);
            let mut walk = Walk::new(&tree.nodes, player_of, players, &weights);
            for (ours, explained) in &of_rows {
                let mut values = vec![0.0; players];
                for (theirs, alike) in &of_background {
                    walk.add(ours, theirs, alike.len() as f64 / count, &mut values);
                }
                for row in explained {
                    found.values[*row].iter_mut().zip(&values).for_each(|(sum, v)| *sum += v);
                }
            }
        }
        Some(found)
    }
}

/// The rows that a tree cannot tell apart, by what they answer at its branches, in the order of their first appearance.
fn alike(tree: &Tree, table: &Table) -> Vec<(Decisions, Vec<usize>)> {
    let mut places: HashMap<Decisions, usize> = HashMap::new();
    let mut groups: Vec<(Decisions, Vec<usize>)> = Vec::new();
    for (row, numbers) in table.rows().enumerate() {
        let decisions = Decisions::of(&tree.nodes, numbers);
        match places.get(&decisions) {
            Some(place) => groups[*place].1.push(row),
            None => {
                places.insert(decisions.clone(), groups.len());
                groups.push((decisions, vec![row]));
            }
        }
    }
    groups
}
