//! Exact values of a model whose graph is understood: columns, each made ready on its own, then trees, then nothing but names.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ort::session::Session;
use seatrial_stats::shap::{Explained, Mix, Table};

use super::ensemble::{Form, Link, TreeNode};
use super::feeds::{Feeds, columns_of};
use super::origins::origins;
use super::{Explanation, Method, Row, Scale, outputs};
use crate::answers::{Prediction, Raw, RawClass, RawScores, place, predictions};
use crate::batch::Batch;
use crate::bind::{Elements, Fed, bind};
use crate::config::{ModelConfig, ScoreKind};
use crate::model::{Model, builder};
use crate::onnx::{GraphInfo, Node, Nodes};
use crate::raw;
use crate::runtime::Runtime;

/// How far the trees' answers may be from the engine's, which adds in single precision; a share of the largest answer.
const TOLERANCE: f64 = 2e-5;
/// Mixed inputs on which it is tried that columns stay apart.
const TRIED: usize = 64;

/// A model's trees, and what leads to them.
pub(crate) struct TreeModel<'m> {
    model: &'m Model,
    node: TreeNode,
    /// The public column of each number that the trees see.
    player_of: Vec<usize>,
    /// Runs the graph up to the trees' input; none where that is an input of the graph itself.
    before: Option<Mutex<Session>>,
    /// The class of each score, where the graph names them.
    named: Option<Vec<RawClass>>,
}

impl<'m> TreeModel<'m> {
    /// Understands the graph of `model`, whose file is `path`, or says why not.
    pub(crate) fn read(runtime: &'static Runtime, path: &Path, model: &'m Model) -> Result<Self, String> {
        // Most graphs have no trees, and may be large: they are looked through before any is held in memory.
        let unreadable = |e: std::io::Error| format!("the graph cannot be read again: {e}");
        let open = || std::fs::File::open(path).map_err(unreadable);
        let info = GraphInfo::read(open()?).map_err(|e| e.to_string())?;
        if !info.external.is_empty() {
            return Err("its weights lie in files of their own".into());
        }
        let graph = Nodes::read(open()?).map_err(|e| e.to_string())?;
        let trees = |n: &&Node| n.operator.starts_with("TreeEnsemble") && n.domain == "ai.onnx.ml";
        let mut all = graph.nodes.iter().filter(trees);
        let node = match (all.next(), all.next()) {
            (Some(node), None) => node,
            (None, _) => return Err("its graph has no trees".into()),
            _ => return Err("its graph has trees in several places".into()),
        };
        let node = TreeNode::read(node)?;
        let plan = model.plan();
        let wanted = plan.outputs.scores.as_ref().or(plan.outputs.value.as_ref());
        let named = after(&graph, &node.output, wanted.ok_or("it gives no scores")?)?;
        let of_input = |input: &crate::plan::PlannedInput| {
            // A size that varies is known only of a tensor; trees take none.
            let width = input.item.iter().map(|d| usize::try_from(*d).unwrap_or(1)).product();
            columns_of(plan, input, width).into_iter().map(Some).collect()
        };
        let inputs = plan.inputs.iter().map(|input| (input.name.as_str(), of_input(input)));
        let origins = origins(&graph, inputs, &node.input)?;
        if origins.len() < node.width() {
            return Err(format!(
                "its trees look at {} numbers, and {} are known",
                node.width(),
                origins.len()
            ));
        }
        let before = if plan.inputs.iter().any(|input| input.name == node.input) {
            None
        } else {
            let mut bytes = std::fs::read(path).map_err(unreadable)?;
            bytes.extend(output_fragment(&node.input));
            let session =
                builder(runtime, model.config()).map_err(|e| e.to_string())?.commit_from_memory(&bytes);
            Some(Mutex::new(session.map_err(|e| format!("the engine refuses the graph: {}", e.message()))?))
        };
        // A number that never changes decides no branch between two rows; any player will do for it.
        let player_of = origins.into_iter().map(Option::unwrap_or_default).collect();
        Ok(Self { model, node, player_of, before, named })
    }

    /// The exact values, after trying that the graph is understood; or why it is not.
    pub(crate) fn explain(&self, rows: &Batch, background: &Batch) -> Result<Explanation, String> {
        let feeds = Feeds::new(self.model, rows, background).map_err(|e| e.message().to_owned())?;
        let ours = self.numbers(rows)?;
        let theirs = self.numbers(background)?;
        self.answers_agree(rows, &ours)?;
        self.answers_agree(background, &theirs)?;
        self.columns_stay_apart(&feeds, &ours, &theirs)?;
        let config = self.model.config();
        let features: Vec<String> = self.model.columns().iter().map(|c| c.name.clone()).collect();
        let mut found = Explanation {
            method: Method::Trees,
            why_sampled: None,
            scale: self.scale(),
            outputs: outputs(config),
            expected: Vec::new(),
            rows: vec![Row::default(); ours.rows().len()],
            features,
        };
        for (column, turn) in self.targets(config)? {
            let of_column =
                self.node.sums[column].explain(&ours, &theirs, &self.player_of, found.features.len());
            let Explained { expected, outputs, values } =
                of_column.ok_or("its trees do not fit its inputs")?;
            found.expected.push(turn.of(expected));
            for ((row, output), values) in found.rows.iter_mut().zip(outputs).zip(values) {
                row.output.push(turn.of(output));
                row.values.push(values.into_iter().map(|v| v * turn.factor).collect());
            }
        }
        Ok(found)
    }

    fn scale(&self) -> Scale {
        match (self.node.form, self.node.link, self.model.config().outputs.score_kind) {
            (Form::Value, Link::None, _) => Scale::Value,
            (Form::OneColumn { share: true }, ..) | (_, Link::None, ScoreKind::Probability) => {
                Scale::Probability
            }
            _ => Scale::Margin,
        }
    }

    /// For each output that is explained, the trees' sum it is made of, and how.
    fn targets(&self, config: &ModelConfig) -> Result<Vec<(usize, Turn)>, String> {
        const AS_IS: Turn = Turn { factor: 1.0, offset: 0.0 };
        if self.node.form == Form::Value {
            return Ok(vec![(0, AS_IS)]);
        }
        let wanted: Vec<usize> = match config.positive_index() {
            Some(positive) => vec![positive],
            None => (0..config.classes.len()).collect(),
        };
        let column_of = |class: usize| match &self.named {
            Some(named) => named.iter().position(|n| place(config, n) == Some(class)),
            None => Some(class),
        };
        wanted
            .into_iter()
            .map(|class| {
                let column = column_of(class).ok_or("the graph names no such class")?;
                match (self.node.form, column) {
                    (Form::OneColumn { .. }, 1) => Ok((0, AS_IS)),
                    (Form::OneColumn { share: true }, 0) => Ok((0, Turn { factor: -1.0, offset: 1.0 })),
                    (Form::OneColumn { share: false }, 0) => Ok((0, Turn { factor: -1.0, offset: 0.0 })),
                    (Form::Columns, column) if column < self.node.sums.len() => Ok((column, AS_IS)),
                    _ => Err("the graph has fewer scores than classes".to_owned()),
                }
            })
            .collect()
    }

    /// The numbers that the trees see.
    fn numbers(&self, batch: &Batch) -> Result<Table, String> {
        let one_by_one = self.model.plan().one_by_one;
        let parts = if one_by_one {
            (0..batch.rows()).filter_map(|r| batch.slice(r, 1)).collect()
        } else {
            vec![batch.clone()]
        };
        let mut all = Vec::new();
        for part in &parts {
            let fed = bind(self.model.plan(), part).map_err(|e| e.message().to_owned())?;
            all.extend(self.before_trees(fed)?);
        }
        let table = Table::new(self.player_of.len(), all).filter(|t| t.rows().len() == batch.rows());
        table.ok_or_else(|| {
            format!("its trees see other than the {} numbers that were expected", self.player_of.len())
        })
    }

    fn before_trees(&self, fed: Vec<Fed<'_>>) -> Result<Vec<f64>, String> {
        let Some(session) = &self.before else {
            let input = fed.into_iter().find(|f| f.name == self.node.input).ok_or("an input is missing")?;
            return seen(&input.elements).ok_or_else(|| "its trees look at texts or flags".into());
        };
        let failed = |e: ort::Error| format!("the graph fails: {}", e.message());
        let inputs = fed.into_iter().map(|f| Ok((f.name.to_owned(), raw::value(f).map_err(failed)?)));
        let inputs: Vec<_> = inputs.collect::<Result<_, String>>()?;
        let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = session.run(inputs).map_err(failed)?;
        let value = answered.iter().find(|(name, _)| *name == self.node.input).map(|(_, value)| value);
        let value = value.ok_or("the engine does not show what its trees see")?;
        raw::floats(&self.node.input, &value).map(|(_, numbers)| numbers).map_err(|e| e.message().to_owned())
    }

    /// What the trees answer must be what the engine answers.
    fn answers_agree(&self, batch: &Batch, numbers: &Table) -> Result<(), String> {
        let engine = self.model.predict(batch).map_err(|e| e.message().to_owned())?;
        let mut raw = Raw { rows: engine.len(), ..Raw::default() };
        let sums = numbers.rows().map(|row| self.node.sums.iter().map(|s| s.output(row)).collect::<Vec<_>>());
        let answers: Vec<Vec<f64>> = sums.map(|sums| self.node.answer(&sums)).collect();
        match (&self.named, self.node.form) {
            (_, Form::Value) => raw.values = Some(answers.concat()),
            (None, _) => {
                let width = answers.first().map_or(0, Vec::len);
                raw.scores = Some(RawScores::Plain { width, data: answers.concat() });
            }
            (Some(named), _) => {
                let map = |row: Vec<f64>| named.iter().cloned().zip(row).collect();
                raw.scores = Some(RawScores::Maps(answers.into_iter().map(map).collect()));
            }
        }
        let ours = predictions(self.model.config(), raw).map_err(|e| e.message().to_owned())?;
        let numbers =
            |p: &Prediction| p.scores.iter().flatten().chain(&p.value).copied().collect::<Vec<f64>>();
        let largest = engine.iter().flat_map(&numbers).fold(1.0, |top: f64, x| top.max(x.abs()));
        for (row, (a, b)) in ours.iter().zip(&engine).enumerate() {
            let far = |(x, y): (&f64, &f64)| (x - y).abs() > TOLERANCE * largest;
            if let Some((x, y)) = numbers(a).iter().zip(&numbers(b)).find(|pair| far(*pair)) {
                return Err(format!("its trees give {x} for row {row} where the engine answers {y}"));
            }
        }
        Ok(())
    }

    /// What the trees see of a mixed input must be the mix of what they see.
    fn columns_stay_apart(&self, feeds: &Feeds<'_>, ours: &Table, theirs: &Table) -> Result<(), String> {
        let (ours, theirs): (Vec<_>, Vec<_>) = (ours.rows().collect(), theirs.rows().collect());
        let players = self.model.columns().len();
        for try_number in 0..TRIED {
            let (row, background) = (try_number % ours.len(), (try_number * 7) % theirs.len());
            // Any choice of columns will do; this one is a different half of them each time.
            let from_row = (0..players).map(|j| scattered(try_number * players + j)).collect();
            let mix = Mix { background, from_row };
            let seen = self.before_trees(feeds.mixed(row, std::slice::from_ref(&mix)))?;
            let expected = self.player_of.iter().enumerate().map(|(at, player)| {
                if mix.from_row[*player] { ours[row][at] } else { theirs[background][at] }
            });
            let same = |(a, b): (&f64, f64)| *a == b || (a.is_nan() && b.is_nan());
            if seen.len() != self.player_of.len() || !seen.iter().zip(expected).all(same) {
                return Err("its graph mixes columns before the trees".into());
            }
        }
        Ok(())
    }
}

/// How an explained output is made of a sum.
#[derive(Debug, Clone, Copy)]
struct Turn {
    factor: f64,
    offset: f64,
}

impl Turn {
    fn of(self, sum: f64) -> f64 {
        self.factor.mul_add(sum, self.offset)
    }
}

/// A bit that looks like chance and is the same every time (the finaliser of SplitMix64).
fn scattered(n: usize) -> bool {
    let mut z = (n as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) & 1 == 1
}

/// Follows the answer from the trees to the output that is read: nothing may change it on the way. The classes that the graph
/// names there, if it does.
fn after(graph: &Nodes, from: &str, wanted: &str) -> Result<Option<Vec<RawClass>>, String> {
    let made_by: HashMap<&str, &Node> =
        graph.nodes.iter().flat_map(|n| n.outputs.iter().map(move |o| (o.as_str(), n))).collect();
    let (mut at, mut named) = (wanted, None);
    while at != from {
        let node = made_by.get(at).ok_or("its answer does not come from its trees")?;
        match node.operator.as_str() {
            "Identity" | "Cast" | "Reshape" | "Flatten" | "Squeeze" => {}
            "ZipMap" => {
                let classes = |name: &str| node.attributes.get(name);
                let texts = classes("classlabels_strings").map_or(&[][..], |a| &a.texts);
                let ints = classes("classlabels_int64s").map_or(&[][..], |a| &a.ints);
                let texts = texts.iter().cloned().map(RawClass::Text);
                named = Some(texts.chain(ints.iter().copied().map(RawClass::Int)).collect());
            }
            other => return Err(format!("its graph goes on after the trees, with the operator {other}")),
        }
        at = node.inputs.first().map(String::as_str).unwrap_or_default();
    }
    Ok(named)
}

/// The numbers that trees compare: integers become single-precision numbers first, as in the engine.
fn seen(elements: &Elements) -> Option<Vec<f64>> {
    Some(match elements {
        Elements::Fp32(v) => v.iter().map(|x| f64::from(*x)).collect(),
        Elements::Fp64(v) => v.clone(),
        Elements::Int32(v) => v.iter().map(|x| f64::from(*x as f32)).collect(),
        Elements::Int64(v) => v.iter().map(|x| f64::from(*x as f32)).collect(),
        _ => return None,
    })
}

/// The bytes that make `tensor` an output of a model too, when they follow the model's own: a protobuf message is the sum of
/// its parts. `ModelProto.graph` is field 7, `GraphProto.output` 12, `ValueInfoProto.name` 1.
fn output_fragment(tensor: &str) -> Vec<u8> {
    let field = |tag: u8, inside: Vec<u8>| {
        let mut bytes = vec![tag];
        let mut length = inside.len();
        while length >= 0x80 {
            bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(inside);
        bytes
    };
    field(0x3a, field(0x62, field(0x0a, tensor.as_bytes().to_vec())))
}
