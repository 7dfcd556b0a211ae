"""Writes adult.csv: what three versions of the fixtures answer on the held-out benchmark, the real data of the oracles.

    target/fixtures-venv/bin/python tests/oracles/make_adult_scores.py

Runs in the environment of the fixtures (tests/fixtures/make.py makes it), since it needs ONNX Runtime. The file is committed:
the oracles themselves need no model. Scores are rounded to six digits, so that they are the same on every processor.
"""

import pathlib
import sys

import pandas as pd

HERE = pathlib.Path(__file__).parent
FIXTURES = HERE.parent / "fixtures"
sys.path.insert(0, str(FIXTURES))

from adult import CLASSES  # noqa: E402
from scoring import positive_scores  # noqa: E402

rows = pd.read_parquet(FIXTURES / "benchmark.parquet")
out = pd.DataFrame({"sex": rows["sex"], "truth": (rows["label"] == CLASSES[1]).astype(int)})
for version in ("v1", "v2", "v3"):
    model = (FIXTURES / "submissions" / version / "weights" / "model.onnx").read_bytes()
    out[version] = [f"{score:.6f}" for score in positive_scores(model, rows)[1]]
out.to_csv(HERE / "adult.csv", index=False)
print(f"wrote adult.csv: {len(out)} rows")
