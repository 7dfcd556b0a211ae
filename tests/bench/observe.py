"""Handles the events that the other driver made: observe.py FOLDER FIXTURES PERCENT ROWS_A_CALL OUT

PERCENT of the rows go through champion and challenger (0: no shadow), ROWS_A_CALL in one call of a model. What is counted is the
processor's time of all threads from an event's text to everything written. Python's start, its imports and the first event,
which fills caches, are not counted, as in the other driver, functions/replay/examples/bench_observe.
"""

import json
import shutil
import sys
import time
from pathlib import Path

import pyarrow as pa

from observe_handler import Handler, Version

_, folder, fixtures, percent, rows_a_call, out = sys.argv
folder, fixtures, percent, out = Path(folder), Path(fixtures), float(percent), Path(out)
pa.set_cpu_count(1)
known = json.loads((folder / "world.json").read_text())
objects = {}
versions = None
if percent:
    versions = {
        role: Version(fixtures / "submissions" / known["promotion"][role] / "weights/model.onnx", known["classes"])
        for role in ("champion", "challenger")
    }
handler = Handler(known, objects.__setitem__, percent / 100, versions, int(rows_a_call))
cpu = wall = 0
for n, path in enumerate(sorted(folder.glob("event-*.json"))):
    text = path.read_bytes()
    cpu_start, wall_start = time.process_time(), time.perf_counter()
    # As the Lambda runtime for Python does.
    handler.handle(json.loads(text))
    if n:
        cpu += time.process_time() - cpu_start
        wall += time.perf_counter() - wall_start
print(json.dumps({"cpu_seconds": cpu, "wall_seconds": wall}))
shutil.rmtree(out, ignore_errors=True)
for key, body in objects.items():
    path = out / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
out.mkdir(parents=True, exist_ok=True)
(out / "tallies.json").write_text(json.dumps(list(handler.tallies.values())))
