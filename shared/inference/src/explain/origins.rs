//! Which public column each number comes from that trees see.
//!
//! Values are not computed here, the engine does that: what is followed is only where they come from, and only through
//! operators that make each number of one column. Where a number mixes columns, the way ends.

use std::collections::HashMap;

use crate::onnx::{Constant, Node, Nodes};

/// The public column of each number of a tensor's row, in their order; none for a number that never changes.
pub(crate) type Origins = Vec<Option<usize>>;

/// What is known of a tensor.
#[derive(Debug, Clone)]
enum Known<'n> {
    Numbers(Origins),
    Constant(&'n Constant),
    /// Why it is not known.
    Not(String),
}

/// Operators that look at each number alone; further inputs must be constants.
const ALONE: [&str; 31] = [
    "Abs",
    "Binarizer",
    "Cast",
    "CategoryMapper",
    "Ceil",
    "Clip",
    "Dropout",
    "Erf",
    "Exp",
    "Flatten",
    "Floor",
    "Identity",
    "Imputer",
    "IsInf",
    "IsNaN",
    "LabelEncoder",
    "Log",
    "Neg",
    "Not",
    "Reciprocal",
    "Relu",
    "Reshape",
    "Round",
    "Scaler",
    "Sigmoid",
    "Sign",
    "Sqrt",
    "Squeeze",
    "StringNormalizer",
    "Tanh",
    "Unsqueeze",
];
/// Operators that combine the numbers of one place.
const TOGETHER: [&str; 18] = [
    "Add",
    "And",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Or",
    "Pow",
    "Sub",
    "Sum",
    "Where",
];

/// Where the numbers of the tensor `wanted` come from, or why that is not known. `inputs` are the graph's own.
pub(crate) fn origins<'n>(
    graph: &'n Nodes,
    inputs: impl Iterator<Item = (&'n str, Origins)>,
    wanted: &str,
) -> Result<Origins, String> {
    let mut known: HashMap<&str, Known<'n>> =
        graph.constants.iter().map(|(name, c)| (name.as_str(), Known::Constant(c))).collect();
    known.extend(inputs.map(|(name, origins)| (name, Known::Numbers(origins))));
    for node in &graph.nodes {
        let Some(output) = node.outputs.first() else { continue };
        let found = of_node(node, &known);
        known.insert(output, found);
    }
    match known.remove(wanted) {
        Some(Known::Numbers(origins)) => Ok(origins),
        Some(Known::Not(why)) => Err(why),
        _ => Err(format!("the tensor `{wanted}` does not come from the inputs")),
    }
}

fn of_node<'n>(node: &'n Node, known: &HashMap<&str, Known<'n>>) -> Known<'n> {
    if node.operator == "Constant" {
        return match node.attributes.get("value").and_then(|a| a.tensor.as_ref()) {
            Some(constant) => Known::Constant(constant),
            None => Known::Not("a constant in a form of its own".into()),
        };
    }
    let mut inputs = Vec::new();
    for name in node.inputs.iter().filter(|name| !name.is_empty()) {
        match known.get(name.as_str()) {
            Some(Known::Not(why)) => return Known::Not(why.clone()),
            Some(known) => inputs.push(known),
            None => return Known::Not(format!("the tensor `{name}` comes from nowhere")),
        }
    }
    let plain = matches!(node.domain.as_str(), "" | "ai.onnx" | "ai.onnx.ml");
    match through(node, &inputs).filter(|_| plain) {
        Some(origins) => Known::Numbers(origins),
        None => {
            Known::Not(format!("what the operator {} makes of the columns is not followed", node.operator))
        }
    }
}

fn through(node: &Node, inputs: &[&Known<'_>]) -> Option<Origins> {
    let operator = node.operator.as_str();
    let axis = node.attributes.get("axis").and_then(|a| a.int);
    match (operator, inputs) {
        (o, [Known::Numbers(numbers), rest @ ..]) if ALONE.contains(&o) => {
            rest.iter().all(|r| matches!(r, Known::Constant(_))).then(|| numbers.clone())
        }
        (o, [first, rest @ ..]) if TOGETHER.contains(&o) => {
            rest.iter().try_fold(place_by_place(first)?, |sum, next| joined(&sum, &place_by_place(next)?))
        }
        ("Concat", all) if axis != Some(0) => side_by_side(all),
        ("FeatureVectorizer", all) => side_by_side(all),
        ("OneHotEncoder", [Known::Numbers(numbers)]) => {
            let categories =
                |name: &str| node.attributes.get(name).map_or(0, |a| a.texts.len().max(a.ints.len()));
            let width = categories("cats_strings").max(categories("cats_int64s"));
            Some(numbers.iter().flat_map(|n| std::iter::repeat_n(*n, width)).collect())
        }
        ("Gather", [Known::Numbers(numbers), Known::Constant(picks)]) if matches!(axis, Some(1 | -1)) => {
            picked(numbers, picks)
        }
        ("ArrayFeatureExtractor", [Known::Numbers(numbers), Known::Constant(picks)]) => {
            picked(numbers, picks)
        }
        // A table that is looked up by a number.
        ("Gather", [Known::Constant(table), Known::Numbers(numbers)]) if axis.unwrap_or(0) == 0 => {
            let width = Constant { dims: table.dims.get(1..)?.to_vec(), numbers: None }.elements();
            Some(numbers.iter().flat_map(|n| std::iter::repeat_n(*n, width)).collect())
        }
        _ => None,
    }
}

fn place_by_place(known: &Known<'_>) -> Option<Origins> {
    match known {
        Known::Numbers(numbers) => Some(numbers.clone()),
        Known::Constant(constant) => Some(vec![None; constant.elements()]),
        Known::Not(_) => None,
    }
}

/// Two rows combined place by place, the shorter one being a single number; none where a place would mix two columns.
fn joined(a: &Origins, b: &Origins) -> Option<Origins> {
    let width = a.len().max(b.len());
    if [a, b].iter().any(|side| side.len() != 1 && side.len() != width) {
        return None;
    }
    let at = |side: &Origins, i: usize| if side.len() == 1 { side[0] } else { side[i] };
    (0..width)
        .map(|i| match (at(a, i), at(b, i)) {
            (Some(x), Some(y)) if x != y => None,
            (x, y) => Some(x.or(y)),
        })
        .collect()
}

fn side_by_side(all: &[&Known<'_>]) -> Option<Origins> {
    let parts = all.iter().map(|known| match known {
        Known::Numbers(numbers) => Some(numbers.clone()),
        // A constant beside rows has as many rows as there are: that is no graph for a batch that varies.
        _ => None,
    });
    parts.collect::<Option<Vec<_>>>().map(|parts| parts.concat())
}

fn picked(numbers: &Origins, picks: &Constant) -> Option<Origins> {
    let pick = |at: &f64| {
        let at = if *at < 0.0 { *at + numbers.len() as f64 } else { *at };
        numbers.get(at as usize).copied().filter(|_| at >= 0.0)
    };
    picks.numbers.as_ref()?.iter().map(pick).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::onnx::Attribute;

    fn node(operator: &str, inputs: &[&str], output: &str, axis: Option<i64>) -> Node {
        let names = |n: &[&str]| n.iter().map(|n| (*n).to_owned()).collect();
        let axis = axis.map(|int| ("axis".to_owned(), Attribute { int: Some(int), ..Attribute::default() }));
        Node {
            operator: operator.into(),
            inputs: names(inputs),
            outputs: names(&[output]),
            attributes: axis.into_iter().collect(),
            ..Node::default()
        }
    }

    fn found(nodes: Vec<Node>, wanted: &str) -> Result<Origins, String> {
        let constant =
            |dims: &[i64], numbers: &[f64]| Constant { dims: dims.to_vec(), numbers: Some(numbers.to_vec()) };
        let constants = [
            ("three", constant(&[3], &[1.0, 2.0, 3.0])),
            ("one", constant(&[], &[1.0])),
            ("picks", constant(&[2], &[2.0, -3.0])),
            ("table", constant(&[5, 2], &[0.0; 10])),
        ];
        let constants = constants.into_iter().map(|(n, c)| (n.to_owned(), c)).collect();
        let inputs = [("x", vec![Some(0), Some(1), Some(2)]), ("y", vec![Some(3)])];
        origins(&Nodes { nodes, constants }, inputs.into_iter(), wanted)
    }

    #[test]
    fn columns_are_followed_through_what_keeps_them_apart() {
        let nodes = vec![
            node("Sub", &["x", "three"], "centred", None),
            node("Div", &["centred", "one"], "scaled", None),
            node("Gather", &["scaled", "picks"], "chosen", Some(1)),
            node("Gather", &["table", "y"], "looked", None),
            node("Concat", &["chosen", "looked", "y"], "all", Some(1)),
            node("Reshape", &["all", "picks"], "flat", None),
        ];
        let all = vec![Some(2), Some(0), Some(3), Some(3), Some(3)];
        assert_eq!(found(nodes, "flat"), Ok(all));
        let same =
            vec![node("IsNaN", &["x"], "holes", None), node("Where", &["holes", "one", "x"], "filled", None)];
        assert_eq!(found(same, "filled"), Ok(vec![Some(0), Some(1), Some(2)]));
    }

    #[test]
    fn what_mixes_columns_is_not_followed_and_says_where_it_ends() {
        let mixed = |nodes| found(nodes, "z").unwrap_err();
        assert!(mixed(vec![node("Mul", &["x", "y"], "z", None)]).contains("operator Mul"));
        assert!(
            mixed(vec![node("MatMul", &["x", "three"], "m", None), node("Relu", &["m"], "z", None)])
                .contains("MatMul")
        );
        assert!(mixed(vec![node("Concat", &["x", "x"], "z", Some(0))]).contains("Concat"), "rows below rows");
        assert!(
            mixed(vec![node("Reshape", &["x", "y"], "z", None)]).contains("Reshape"),
            "a shape that is computed"
        );
        assert!(
            mixed(vec![node("Gather", &["x", "picks"], "z", None)]).contains("Gather"),
            "rows are picked"
        );
        assert!(mixed(vec![node("Relu", &["w"], "z", None)]).contains("comes from nowhere"));
        assert!(mixed(Vec::new()).contains("does not come from the inputs"));
        let strange = Node { domain: "com.microsoft".into(), ..node("Relu", &["x"], "z", None) };
        assert!(mixed(vec![strange]).contains("Relu"));
    }
}
