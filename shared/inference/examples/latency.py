"""The same measurement as latency.rs with Python's ONNX Runtime: target/fixtures-venv/bin/python shared/inference/examples/latency.py"""

import json
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

ROOT = Path(__file__).resolve().parents[3]
lines = (ROOT / "tests/fixtures/live.jsonl").read_text().splitlines()[:1000]
rows = [json.loads(line)["features"] for line in lines]


def feed(batch):
    first = batch[0]
    return {c: np.array([[r[c]] for r in batch], object if isinstance(first[c], str) else np.float32) for c in first}


for name in ["v1", "v2", "v3", "v4"]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(ROOT / f"tests/fixtures/submissions/{name}/weights/model.onnx", options)
    times = []
    for i in range(20_000):
        start = time.perf_counter_ns()
        session.run(None, feed([rows[i % 1000]]))
        times.append(time.perf_counter_ns() - start)
    times.sort()
    start = time.perf_counter()
    session.run(None, feed(rows))
    print(f"{name}: one row p50 {times[10_000] // 1000} µs, p99 {times[19_800] // 1000} µs; 1,000 rows {(time.perf_counter() - start) * 1e3:.2f} ms")
