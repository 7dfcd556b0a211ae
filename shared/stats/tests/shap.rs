//! Shapley values beside their definition: a sum over all coalitions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::collection::vec;
use proptest::prelude::*;
use seatrial_stats::shap::{Compare, Ensemble, Explained, Malformed, Mix, Node, Permutations, Table, Tree};

/// Numbers in a row.
const WIDTH: usize = 6;

/// The values by the definition, over all 2^players coalitions.
fn by_definition(
    output: impl Fn(&[f64]) -> f64,
    row: &[f64],
    background: &[Vec<f64>],
    player_of: &[usize],
    players: usize,
) -> Vec<f64> {
    let worth: Vec<f64> = (0_u32..1 << players)
        .map(|coalition| {
            let mixed = |b: &Vec<f64>| -> Vec<f64> {
                let pick = |j: usize| if coalition >> player_of[j] & 1 == 1 { row[j] } else { b[j] };
                (0..row.len()).map(pick).collect()
            };
            background.iter().map(|b| output(&mixed(b))).sum::<f64>() / background.len() as f64
        })
        .collect();
    let factorial = |n: u32| (1..=n).map(f64::from).product::<f64>();
    let all = players as u32;
    (0..players)
        .map(|j| {
            let without = (0_u32..1 << players).filter(|s| s >> j & 1 == 0);
            let gain = |s: u32| {
                let size = s.count_ones();
                let weight = factorial(size) * factorial(all - size - 1) / factorial(all);
                weight * (worth[(s | 1 << j) as usize] - worth[s as usize])
            };
            without.map(gain).sum()
        })
        .collect()
}

/// A tree grown from a list of draws: the same list is the same tree.
fn grow(draws: &[(usize, u8, i8, bool, i8)], at: &mut usize, depth: usize, nodes: &mut Vec<Node>) -> usize {
    let place = nodes.len();
    let (feature, compare, threshold, missing, value) = draws[*at % draws.len()];
    *at += 1;
    nodes.push(Node::Leaf { value: f64::from(value) / 4.0 });
    if depth > 0 && compare < 6 {
        let compare = [
            Compare::LessOrEqual,
            Compare::Less,
            Compare::GreaterOrEqual,
            Compare::Greater,
            Compare::Equal,
            Compare::NotEqual,
        ][usize::from(compare)];
        let yes = grow(draws, at, depth - 1, nodes);
        let no = grow(draws, at, depth - 1, nodes);
        let threshold = f64::from(threshold);
        nodes[place] = Node::Branch { feature, compare, threshold, missing, yes, no };
    }
    place
}

fn trees() -> impl Strategy<Value = Ensemble> {
    let draw = (0..WIDTH, 0_u8..8, -2_i8..3, any::<bool>(), -100_i8..100);
    let tree = (vec(draw, 1..24), 0_usize..6).prop_map(|(draws, depth)| {
        let mut nodes = Vec::new();
        grow(&draws, &mut 0, depth, &mut nodes);
        Tree::new(nodes).unwrap()
    });
    (vec(tree, 0..4), -5.0..5.0).prop_map(|(trees, base)| Ensemble { base, trees })
}

/// Few different numbers, so that equal ones and missing ones meet.
fn row() -> impl Strategy<Value = Vec<f64>> {
    vec(prop_oneof![9 => (-3_i8..4).prop_map(f64::from), 1 => Just(f64::NAN)], WIDTH)
}

fn table(rows: &[Vec<f64>]) -> Table {
    Table::new(WIDTH, rows.concat()).unwrap()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs().max(1.0)
}

fn additive(found: &Explained) {
    for (values, output) in found.values.iter().zip(&found.outputs) {
        let sum = found.expected + values.iter().sum::<f64>();
        assert!(near(sum, *output), "{sum} is not {output}");
    }
}

proptest! {
    #[test]
    fn trees_have_the_values_of_the_definition(
        ensemble in trees(),
        rows in vec(row(), 1..4),
        background in vec(row(), 1..6),
        player_of in vec(0_usize..4, WIDTH),
    ) {
        for (player_of, players) in [((0..WIDTH).collect::<Vec<_>>(), WIDTH), (player_of, 4)] {
            let found = ensemble.explain(&table(&rows), &table(&background), &player_of, players).unwrap();
            additive(&found);
            for (i, row) in rows.iter().enumerate() {
                prop_assert!(near(found.outputs[i], ensemble.output(row)));
                let exact = by_definition(|r| ensemble.output(r), row, &background, &player_of, players);
                for (a, b) in found.values[i].iter().zip(&exact) {
                    prop_assert!(near(*a, *b), "{:?} is not {exact:?}", found.values[i]);
                }
            }
        }
    }

    #[test]
    fn a_player_that_no_branch_asks_for_is_worth_nothing_and_order_changes_nothing(
        ensemble in trees(),
        rows in vec(row(), 1..4),
        background in vec(row(), 2..6),
    ) {
        let own: Vec<usize> = (0..WIDTH).collect();
        let found = ensemble.explain(&table(&rows), &table(&background), &own, WIDTH + 1).unwrap();
        prop_assert!(found.values.iter().all(|v| v[WIDTH] == 0.0));
        let turned: Vec<Vec<f64>> = background.iter().rev().cloned().collect();
        let again = ensemble.explain(&table(&rows), &table(&turned), &own, WIDTH + 1).unwrap();
        for (a, b) in found.values.iter().flatten().zip(again.values.iter().flatten()) {
            prop_assert!(near(*a, *b));
        }
    }

    #[test]
    fn sampled_values_add_up_and_lie_within_their_error(seed in any::<u64>()) {
        let output = |r: &[f64]| r[0] * r[1] * r[2] + (r[3] * r[4]).sin() + r[5];
        let rows: Vec<Vec<f64>> = (0..12).map(|i| (0..WIDTH).map(|j| f64::from((i * 7 + j as i32 * 5) % 11) / 5.0).collect()).collect();
        let (row, background) = (&rows[0], &rows[1..]);
        let outputs: Vec<Vec<f64>> = background.iter().map(|b| vec![output(b), 1.0]).collect();
        let run = |mixes: &[Mix]| -> Result<Vec<Vec<f64>>, ()> {
            let of = |m: &Mix| {
                let mixed: Vec<f64> = (0..WIDTH).map(|j| if m.from_row[j] { row[j] } else { background[m.background][j] }).collect();
                vec![output(&mixed), 1.0]
            };
            Ok(mixes.iter().map(of).collect())
        };
        let sampling = Permutations { seed, orders: 110 };
        let found = sampling.explain(3, WIDTH, &[output(row), 1.0], &outputs, run).unwrap().unwrap();
        prop_assert_eq!(&sampling.explain(3, WIDTH, &[output(row), 1.0], &outputs, run).unwrap().unwrap(), &found);
        let expected = outputs.iter().map(|o| o[0]).sum::<f64>() / outputs.len() as f64;
        prop_assert!(near(expected + found.values[0].iter().sum::<f64>(), output(row)));
        prop_assert!(found.values[1].iter().chain(&found.errors[1]).all(|v| *v == 0.0), "an output that never changes");
        let own: Vec<usize> = (0..WIDTH).collect();
        let exact = by_definition(output, row, background, &own, WIDTH);
        for (j, exact) in exact.iter().enumerate() {
            let (value, error) = (found.values[0][j], found.errors[0][j]);
            // Six standard errors: never reached by chance in as many cases as are tried here.
            prop_assert!((value - exact).abs() <= 6.0 * error + 1e-9, "{j}: {value} ± {error}, exactly {exact}");
        }
    }
}

#[test]
fn a_tree_is_a_tree() {
    let leaf = Node::Leaf { value: 1.0 };
    let branch = |yes, no| Node::Branch {
        feature: 0,
        compare: Compare::LessOrEqual,
        threshold: 0.0,
        missing: false,
        yes,
        no,
    };
    assert_eq!(Tree::new(Vec::new()), Err(Malformed::Dangling));
    assert_eq!(Tree::new(vec![branch(1, 2), leaf]), Err(Malformed::Dangling));
    assert_eq!(Tree::new(vec![branch(1, 1), leaf]), Err(Malformed::NotATree), "a node with two parents");
    assert_eq!(Tree::new(vec![branch(0, 1), leaf]), Err(Malformed::NotATree), "a circle");
    assert_eq!(Tree::new(vec![leaf, leaf]), Err(Malformed::NotATree), "a node nobody reaches");
    let mut chain: Vec<Node> = (0..300).map(|i| branch(2 * i + 1, 2 * i + 2)).collect();
    for i in 0..300 {
        // A long way on the right: branch, leaf, branch, leaf.
        chain.insert(2 * i + 1, leaf);
    }
    chain.push(leaf);
    assert_eq!(Tree::new(chain), Err(Malformed::TooDeep));
    assert!(Tree::new(vec![branch(1, 2), leaf, leaf]).is_ok());
}

#[test]
fn what_does_not_fit_is_no_value() {
    let tree = Tree::new(vec![
        Node::Branch { feature: 3, compare: Compare::Less, threshold: 0.0, missing: false, yes: 1, no: 2 },
        Node::Leaf { value: 1.0 },
        Node::Leaf { value: 2.0 },
    ])
    .unwrap();
    let ensemble = Ensemble { base: 0.0, trees: vec![tree] };
    assert_eq!(ensemble.width(), 4);
    let of = |width: usize| Table::new(width, vec![0.0; width]).unwrap();
    let own: Vec<usize> = (0..4).collect();
    assert!(ensemble.explain(&of(4), &of(4), &own, 4).is_some());
    assert_eq!(ensemble.explain(&of(3), &of(3), &own[..3], 4), None, "too narrow for the trees");
    assert_eq!(ensemble.explain(&of(4), &of(5), &own, 4), None, "tables of two widths");
    assert_eq!(ensemble.explain(&of(4), &of(4), &own, 3), None, "a player that is not there");
    assert_eq!(ensemble.explain(&of(4), &Table::new(4, Vec::new()).unwrap(), &own, 4), None, "no background");
    let sampling = Permutations { seed: 1, orders: 2 };
    let run = |mixes: &[Mix]| -> Result<Vec<Vec<f64>>, &str> { Ok(vec![vec![0.0]; mixes.len() - 1]) };
    assert_eq!(sampling.explain(0, 3, &[1.0], &[vec![0.0]], run), Ok(None), "an answer is missing");
    assert_eq!(sampling.explain(0, 3, &[1.0], &[], |_| Ok::<_, ()>(Vec::new())), Ok(None));
    let failing = sampling.explain(0, 3, &[1.0], &[vec![0.0]], |_| Err("no"));
    assert_eq!(failing, Err("no"));
}
