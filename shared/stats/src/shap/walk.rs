//! One pair of rows through one tree (Lundberg et al. 2020, algorithm "interventional TreeSHAP").
//!
//! Between the explained row x and the background row b lie 2^players mixtures. Where both go the same way at a branch, so does
//! every mixture. Where they differ, the branch's player decides: the walk takes both ways and notes for each which side it
//! took, and at a player that is decided already it follows that side. A leaf reached with p players taken from x and q from
//! b is where those mixtures end that have the p and lack the q; its value counts for each of the p with the weight
//! (p−1)! q! / (p+q)! and against each of the q with p! (q−1)! / (p+q)!.

use super::trees::Node;

/// What a row answers at each node of a tree, a bit each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Decisions(Vec<u64>);

impl Decisions {
    pub(super) fn of(nodes: &[Node], row: &[f64]) -> Self {
        let word = |part: &[Node]| {
            part.iter().enumerate().fold(0_u64, |word, (bit, n)| word | u64::from(n.decide(row)) << bit)
        };
        Self(nodes.chunks(64).map(word).collect())
    }

    fn yes(&self, node: usize) -> bool {
        self.0[node / 64] >> (node % 64) & 1 == 1
    }
}

/// The weights p! q! / (p+q+1)!.
pub(super) struct Weights {
    size: usize,
    table: Vec<f64>,
}

impl Weights {
    /// For p and q up to `most`.
    pub(super) fn new(most: usize) -> Self {
        let size = most + 1;
        let mut table = vec![0.0; size * size];
        for q in 0..size {
            table[q] = 1.0 / (q as f64 + 1.0);
            for p in 1..size {
                table[p * size + q] = table[(p - 1) * size + q] * p as f64 / (p + q + 1) as f64;
            }
        }
        Self { size, table }
    }

    fn of(&self, p: usize, q: usize) -> f64 {
        self.table[p * self.size + q]
    }
}

/// The side that a player is decided for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Open,
    Row,
    Background,
}

/// A walk's surroundings, kept between pairs.
pub(super) struct Walk<'a> {
    nodes: &'a [Node],
    player_of: &'a [usize],
    weights: &'a Weights,
    sides: Vec<Side>,
}

/// A pair, and where its values are added.
struct Pair<'p> {
    ours: &'p Decisions,
    theirs: &'p Decisions,
    scale: f64,
    values: &'p mut [f64],
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        nodes: &'a [Node],
        player_of: &'a [usize],
        players: usize,
        weights: &'a Weights,
    ) -> Self {
        Self { nodes, player_of, weights, sides: vec![Side::Open; players] }
    }

    /// Adds the values of a pair, times `scale`.
    pub(super) fn add(&mut self, ours: &Decisions, theirs: &Decisions, scale: f64, values: &mut [f64]) {
        self.go(0, (0, 0), &mut Pair { ours, theirs, scale, values });
    }

    /// What the leaves below a node give to each player taken from the row, and take from each taken from the background.
    fn go(&mut self, at: usize, taken: (usize, usize), pair: &mut Pair<'_>) -> (f64, f64) {
        let (row, background) = taken;
        let (feature, yes, no) = match self.nodes[at] {
            Node::Branch { feature, yes, no, .. } => (feature, yes, no),
            Node::Leaf { value } => {
                let value = value * pair.scale;
                let gain = if row > 0 { value * self.weights.of(row - 1, background) } else { 0.0 };
                let loss = if background > 0 { -value * self.weights.of(row, background - 1) } else { 0.0 };
                return (gain, loss);
            }
        };
        let way = |yes_to: bool| if yes_to { yes } else { no };
        let (ours, theirs) = (way(pair.ours.yes(at)), way(pair.theirs.yes(at)));
        if ours == theirs {
            return self.go(ours, taken, pair);
        }
        let player = self.player_of[feature];
        match self.sides[player] {
            Side::Row => self.go(ours, taken, pair),
            Side::Background => self.go(theirs, taken, pair),
            Side::Open => {
                self.sides[player] = Side::Row;
                let with = self.go(ours, (row + 1, background), pair);
                self.sides[player] = Side::Background;
                let without = self.go(theirs, (row, background + 1), pair);
                self.sides[player] = Side::Open;
                pair.values[player] += with.0 + without.1;
                (with.0 + without.0, with.1 + without.1)
            }
        }
    }
}
