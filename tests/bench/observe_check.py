"""Whether both sides wrote the same: observe_check.py OURS THEIRS

Every column of every row of serving log, labels, signals and pairs, and every tally; of the dead letters which entries they are. The
order of rows, how long a version took in the replay and the last digits of its 32-bit scores may differ. Prints the counts.
"""

import json
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

JSON_COLUMNS = ["inputs", "output", "segments", "protected"]
TIMES = ["champion_latency_us", "challenger_latency_us"]
TOLERANCE = 1e-6


def table(folder, kind):
    files = sorted((folder / kind).rglob("*.parquet"))
    if not files:
        return pd.DataFrame()
    frame = pa.concat_tables([pq.ParquetFile(f).read() for f in files]).to_pandas()
    for column in JSON_COLUMNS:
        if column in frame:
            frame[column] = [json.dumps(json.loads(text), sort_keys=True) for text in frame[column]]
    keys = [c for c in ("observation_id", "client_id", "name", "label") if c in frame]
    return frame.sort_values(keys).reset_index(drop=True)


def dead(folder):
    lines = [line for f in (folder / "dead-letters").rglob("*.jsonl") for line in f.read_text().splitlines()]
    return sorted((d["message_id"], d["index"]) for d in map(json.loads, lines))


def tallies(folder):
    found = {t["tally_id"]: t for t in json.loads((folder / "tallies.json").read_text())}
    for tally in found.values():
        tally.pop("kind", None)
    return found


ours, theirs = (Path(argument) for argument in sys.argv[1:])
counts = {}
for kind in ("observations", "labels", "signals", "pairs"):
    a, b = table(ours, kind), table(theirs, kind)
    # Columns that one side has and nobody filled are no difference.
    columns = [c for c in a.columns if c in b.columns]
    for frame in (a, b):
        extra = [c for c in frame.columns if c not in columns and frame[c].notna().any()]
        assert not extra, f"{kind}: only one side has {extra}"
    for column in columns:
        if column in TIMES:
            continue
        x, y = a[column], b[column]
        assert len(x) == len(y), f"{kind}: {len(x)} rows and {len(y)} rows"
        if column.endswith("scores"):
            x, y = (pd.DataFrame(c.tolist()).stack().reset_index(drop=True) for c in (x, y))
        if pd.api.types.is_float_dtype(x):
            same = ((x - y).abs() <= TOLERANCE) | (x.isna() & y.isna())
        else:
            same = (x == y) | (x.isna() & y.isna())
        assert same.all(), f"{kind}.{column} differs: {x[~same].iloc[0]!r} and {y[~same].iloc[0]!r}"
    counts[kind] = len(a)
    if kind == "pairs" and len(a):
        counts["agreed"] = int((a["served_label"] == a["challenger_label"]).sum())
        counts["faithful"] = int(a["faithful"].sum())
assert dead(ours) == dead(theirs), f"dead letters: {dead(ours)} and {dead(theirs)}"
assert tallies(ours) == tallies(theirs), "the tallies differ"
print(json.dumps({**counts, "tallies": len(tallies(ours)), "dead": len(dead(ours))}))
