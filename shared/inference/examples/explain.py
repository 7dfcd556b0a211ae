"""The same measurement as explain.rs with Python's `shap` over the encoded columns, of the versions with trees:
target/shap/bin/python shared/inference/examples/explain.py"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import shap

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/oracles"))
from make_shap_oracles import ensembles, session  # noqa: E402

rows = [json.loads(line)["features"] for line in (ROOT / "tests/fixtures/live.jsonl").read_text().splitlines()[:300]]
for name in ["v2", "v3", "v4"]:
    model = onnx.load(ROOT / f"tests/fixtures/submissions/{name}/weights/model.onnx")
    node, (trees,) = ensembles(model)
    model.graph.output.append(onnx.ValueInfoProto(name=node.input[0]))
    fed = {
        i.name: np.array([[r[i.name]] for r in rows], object if i.type.tensor_type.elem_type == 8 else np.float32)
        for i in model.graph.input
    }
    numbers = session(model).run(None, fed)[-1]
    start = time.perf_counter()
    explainer = shap.TreeExplainer(trees, data=numbers[200:], feature_perturbation="interventional")
    explainer.shap_values(numbers[:200], check_additivity=False)
    print(f"{name}: {time.perf_counter() - start:.3f} s")
