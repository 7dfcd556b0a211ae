"""The comparison of pairs as a data scientist would write it with pandas and scikit-learn: comparison.py run FOLDER

The same counts as shared/evidence/examples/bench_comparison.rs makes over the same files, and exact latency quantiles.
It reads only the columns that it needs. Intervals and verdicts are not made here.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.metrics import accuracy_score, confusion_matrix

COLUMNS = [
    "observation_id",
    "served_label",
    "faithful",
    "champion_label",
    "champion_error",
    "champion_latency_us",
    "challenger_label",
    "challenger_error",
    "challenger_latency_us",
]

folder = Path(sys.argv[2])
start = time.perf_counter()
files = sorted(folder.glob("pairs-*.parquet"))
pairs = pd.concat([pq.read_table(f, columns=COLUMNS).to_pandas() for f in files], ignore_index=True)
labels = pq.read_table(folder / "labels.parquet", columns=["observation_id", "label", "at"]).to_pandas()
read = time.perf_counter() - start

read_rows = len(pairs)
pairs = pairs.drop_duplicates("observation_id")
labels = labels.sort_values("at").drop_duplicates("observation_id", keep="last")

champion_failed = pairs["champion_error"].notna()
challenger_failed = pairs["challenger_error"].notna()
served = pairs["faithful"].notna() & pairs["served_label"].notna()
pairs["reference"] = pairs["served_label"].where(served, pairs["champion_label"])
pairs["challenger"] = pairs["challenger_label"].where(~challenger_failed, "(failed)")

compared = pairs[pairs["reference"].notna()]
agreement = accuracy_score(compared["reference"], compared["challenger"])
matrix = confusion_matrix(compared["reference"], compared["challenger"])

joined = pairs.merge(labels[["observation_id", "label"]], on="observation_id")
champion_accuracy = accuracy_score(joined["label"], joined["reference"].fillna("(failed)"))
challenger_accuracy = accuracy_score(joined["label"], joined["challenger"])

both = pairs[~champion_failed & ~challenger_failed]
points = [0.5, 0.95, 0.99]
quantiles = {
    name: np.quantile(both[f"{name}_latency_us"], points).tolist() for name in ("champion", "challenger")
}
print(
    json.dumps(
        {
            "seconds": time.perf_counter() - start,
            "read_seconds": read,
            "disagreement": int(matrix.sum() - np.trace(matrix)),
            "counts": {
                "pairs": len(pairs),
                "duplicates": read_rows - len(pairs),
                "compared": len(compared),
                "agreed": round(agreement * len(compared)),
                "champion_errors": int(champion_failed.sum()),
                "challenger_errors": int(challenger_failed.sum()),
                "labelled": len(joined),
                "champion_right": round(champion_accuracy * len(joined)),
                "challenger_right": round(challenger_accuracy * len(joined)),
            },
            "quantiles_us": quantiles,
        }
    )
)
