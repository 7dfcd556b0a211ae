"""One row and batches of 100 with Python's ONNX Runtime: inference.py LIBRARY SUBMISSION ROWS

The clock runs from a request's JSON object to labels and scores as Python values, as in the other driver,
shared/inference/examples/bench_inference.rs. LIBRARY is ignored: the wheel brings the same one.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

_, _, submission, rows_file = sys.argv
options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = ort.InferenceSession(
    Path(submission) / "weights/model.onnx", options, providers=["CPUExecutionProvider"]
)
kinds = {i.name: object if i.type == "tensor(string)" else np.float32 for i in session.get_inputs()}
lines = Path(rows_file).read_text().splitlines()[:1000]
rows = [json.loads(line)["features"] for line in lines]


def answer(batch):
    feed = {name: np.array([[row[name]] for row in batch], kind) for name, kind in kinds.items()}
    label, probabilities = session.run(["label", "probabilities"], feed)
    return label.tolist(), probabilities.tolist()


def times(inputs, n):
    taken = []
    for i in range(n + n // 10):
        rows = inputs[i % len(inputs)]
        start = time.perf_counter_ns()
        answer(rows)
        taken.append(time.perf_counter_ns() - start)
    taken = sorted(taken[n // 10 :])
    return {"p50": taken[n // 2] / 1000, "p99": taken[n * 99 // 100] / 1000}


batches = [rows[i : i + 100] for i in range(0, len(rows), 100)]
checksum = sum(scores[1] for batch in batches for scores in answer(batch)[1])
print(
    json.dumps(
        {
            "checksum": checksum,
            "one_row_us": times([[row] for row in rows], 4_000),
            "batch_us": times(batches, 400),
        }
    )
)
