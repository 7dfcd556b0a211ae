"""Makes the Shapley values that `shared/inference/tests/explain.rs` checks against.

    python3 -m venv target/shap && target/shap/bin/pip install -r tests/oracles/requirements-shap.txt
    target/shap/bin/python tests/oracles/make_shap_oracles.py           # writes shap.json beside this file
    target/shap/bin/python tests/oracles/make_shap_oracles.py --check   # fails where the committed file differs by 1e-9

The models are the fixtures' ONNX files, not their scikit-learn originals: thresholds and leaves are the single-precision
numbers of the graph. Two oracles, both of the package `shap`, both against the same background rows:

- `trees`: `TreeExplainer(feature_perturbation="interventional")` over the trees of the graph, where each number that the trees see
  is an input of the model.
- `columns`: `ExactExplainer` over the public columns, where a graph one-hot encodes them first: a column and all that the graph
  makes of it is one player. What is explained is the trees' sum.
- `sampled`: the same for models that are no plain trees; what is explained is the probability, or the value.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
import shap

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
ROWS, BACKGROUND = 6, 20


def session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def ensembles(model: onnx.ModelProto):
    """The tree node, and its trees as `shap` takes them: one list a target, with the base value."""
    node = next(n for n in model.graph.node if n.op_type.startswith("TreeEnsemble"))
    a = {x.name: onnx.helper.get_attribute_value(x) for x in node.attribute}
    kind = "class" if "class_ids" in a else "target"
    targets = sorted(set(a[f"{kind}_ids"]))
    base = list(a.get("base_values", [])) or [0.0] * len(targets)
    ids = np.array(a["nodes_treeids"])
    tracks = np.array(a.get("nodes_missing_value_tracks_true", [0] * len(ids)))
    out = []
    for place, target in enumerate(targets):
        trees = []
        for tree in sorted(set(a["nodes_treeids"])):
            mine = np.flatnonzero(ids == tree)
            at = {a["nodes_nodeids"][i]: k for k, i in enumerate(mine)}
            leaf = np.array([a["nodes_modes"][i] == b"LEAF" for i in mine])
            assert all(a["nodes_modes"][i] in (b"LEAF", b"BRANCH_LEQ") for i in mine)
            left = np.array([-1 if leaf[k] else at[a["nodes_truenodeids"][i]] for k, i in enumerate(mine)])
            right = np.array([-1 if leaf[k] else at[a["nodes_falsenodeids"][i]] for k, i in enumerate(mine)])
            values = np.zeros((len(mine), 1))
            for t, n, c, w in zip(a[f"{kind}_treeids"], a[f"{kind}_nodeids"], a[f"{kind}_ids"], a[f"{kind}_weights"]):
                if t == tree and c == target:
                    values[at[n], 0] += w
            if not values.any():
                continue
            trees.append({
                "children_left": left, "children_right": right, "children_default": np.where(tracks[mine] == 1, left, right),
                "features": np.array([-2 if leaf[k] else a["nodes_featureids"][i] for k, i in enumerate(mine)]),
                "thresholds": np.array([float(np.float32(a["nodes_values"][i])) for i in mine]),
                "values": values, "node_sample_weight": np.ones(len(mine)),
            })
        out.append({"trees": trees, "base_offset": float(base[place]), "input_dtype": np.float32, "tree_output": "raw_value"})
    return node, out


def margins(trees: dict, numbers: np.ndarray) -> np.ndarray:
    total = np.full(len(numbers), trees["base_offset"])
    for tree in trees["trees"]:
        at, where = np.zeros(len(numbers), int), np.arange(len(numbers))
        while (tree["children_left"][at] >= 0).any():
            inner = tree["children_left"][at] >= 0
            feature = np.where(inner, tree["features"][at], 0)
            x = numbers[where, feature].astype(np.float64)
            way = np.where(x <= tree["thresholds"][at], tree["children_left"][at], tree["children_right"][at])
            way = np.where(np.isnan(x), tree["children_default"][at], way)
            at = np.where(inner, way, at)
        total += tree["values"][at, 0]
    return total


def packed(name: str) -> dict:
    folder = FIXTURES / "engine" / name
    rows = json.loads((folder / "io.json").read_text())["rows"]
    numbers = pd.DataFrame(rows).to_numpy(np.float32)
    x, background = numbers[:ROWS], numbers[ROWS : ROWS + BACKGROUND]
    _, targets = ensembles(onnx.load(folder / "model.onnx"))
    out = {"fixture": f"engine/{name}", "rows": ROWS, "background": BACKGROUND, "targets": []}
    for trees in targets:
        explainer = shap.TreeExplainer(trees, data=background, feature_perturbation="interventional")
        values = np.asarray(explainer.shap_values(x, check_additivity=False)).reshape(ROWS, -1)
        # The package takes a tree model's base value into the expected value; what it is without it is the mean of the trees.
        expected = margins(trees, background).mean()
        assert np.allclose(values.sum(1) + expected, margins(trees, x), atol=1e-5), name
        out["targets"].append({"expected": float(expected), "output": margins(trees, x).tolist(), "values": values.tolist()})
    return out


class Columns:
    """A model over its public columns, texts as codes: what `shap` can mix."""

    def __init__(self, folder: pathlib.Path, frame: pd.DataFrame, trees: bool):
        self.model = onnx.load(folder / "weights/model.onnx")
        self.names = [i.name for i in self.model.graph.input]
        self.text = {i.name for i in self.model.graph.input if i.type.tensor_type.elem_type == onnx.TensorProto.STRING}
        self.levels = {c: sorted(frame[c].unique()) for c in self.text}
        self.trees = None
        if trees:
            node, (self.trees,) = ensembles(self.model)
            self.model.graph.output.append(onnx.ValueInfoProto(name=node.input[0]))
        self.session = session(self.model)

    def coded(self, frame: pd.DataFrame) -> np.ndarray:
        code = lambda c: frame[c].map({v: i for i, v in enumerate(self.levels[c])}) if c in self.text else frame[c]
        return np.column_stack([code(c).to_numpy(np.float64) for c in self.names])

    def __call__(self, coded: np.ndarray) -> np.ndarray:
        fed = {}
        for i, c in enumerate(self.names):
            column = coded[:, i]
            if c in self.text:
                fed[c] = np.array([self.levels[c][int(v)] for v in column], object).reshape(-1, 1)
            else:
                fed[c] = column.astype(np.float32).reshape(-1, 1)
        answers = self.session.run(None, fed)
        if self.trees is not None:
            return margins(self.trees, answers[-1])
        if isinstance(answers[-1], list):
            return np.array([list(scores.values())[1] for scores in answers[-1]], np.float64)
        return answers[-1].reshape(len(coded), -1)[:, -1].astype(np.float64)


def columns(fixture: str, frame: pd.DataFrame, trees: bool) -> dict:
    of = Columns(FIXTURES / fixture, frame, trees)
    x, background = of.coded(frame[:ROWS]), of.coded(frame[ROWS : ROWS + BACKGROUND])
    found = shap.explainers.Exact(of, shap.maskers.Independent(background, max_samples=BACKGROUND))(x)
    expected, output = of(background).mean(), of(x)
    assert np.allclose(found.values.sum(1) + expected, output, atol=1e-6), fixture
    return {"fixture": fixture, "rows": ROWS, "background": BACKGROUND, "columns": of.names,
            "targets": [{"expected": float(expected), "output": output.tolist(), "values": found.values.tolist()}]}


def differ(a, b) -> bool:
    if isinstance(a, dict):
        return a.keys() != b.keys() or any(differ(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) != len(b) or any(map(differ, a, b))
    if isinstance(a, float):
        return abs(a - b) > 1e-9 * max(1.0, abs(b))
    return a != b


def main():
    adult = pd.read_parquet(FIXTURES / "benchmark.parquet")
    friedman = pd.read_parquet(FIXTURES / "regression/benchmark.parquet")
    kept = lambda frame: frame[: ROWS + BACKGROUND].drop(columns=["label"]).to_dict("records")
    made = {
        "rows": {"adult": kept(adult), "friedman": kept(friedman)},
        "trees": [packed(n) for n in [
            "boosting_regression", "boosting_string_tensor", "boosting_multiclass_tensor", "forest_int_zipmap",
            "forest_multiclass_zipmap", "histogram_boosting_nullable"]],
        "columns": [columns(f"submissions/{v}", adult, True) for v in ["v2", "v3", "v4"]] + [columns("regression/r2", friedman, True)],
        "sampled": [columns("submissions/v1", adult, False)] + [columns(f"regression/{r}", friedman, False) for r in ["r1", "r3"]],
    }
    path = pathlib.Path(__file__).with_name("shap.json")
    if "--check" in sys.argv:
        sys.exit("shap.json is not what the pinned packages give" if differ(json.loads(json.dumps(made, default=float)), json.loads(path.read_text())) else 0)
    path.write_text(json.dumps(json.loads(json.dumps(made, default=float)), separators=(",", ":")) + "\n")
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
