"""The comparison of pairs as a data scientist would write it with pandas, scikit-learn and fairlearn: comparison.py run FOLDER

The same numbers as shared/evidence/examples/bench_comparison.rs makes over the same files, and exact latency quantiles and
areas. It reads only the columns that it needs. Intervals and verdicts are not made here.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference
from sklearn.metrics import accuracy_score, brier_score_loss, confusion_matrix, f1_score, log_loss, roc_auc_score

POSITIVE = ">50K"
NONE = "(no answer)"
COLUMNS = [
    "observation_id",
    "served_label",
    "faithful",
    "champion_label",
    "champion_score",
    "champion_error",
    "champion_latency_us",
    "challenger_label",
    "challenger_score",
    "challenger_error",
    "challenger_latency_us",
    "segments",
]
SEGMENTS = ["age", "race", "region", "sex"]

folder = Path(sys.argv[2])
start = time.perf_counter()
files = sorted(folder.glob("pairs-*.parquet"))
pairs = pd.concat([pq.read_table(f, columns=COLUMNS).to_pandas() for f in files], ignore_index=True)
labels = pd.concat(
    [
        pq.read_table(f, columns=["observation_id", "label", "at"]).to_pandas()
        for f in sorted(folder.glob("labels-*.parquet"))
    ],
    ignore_index=True,
)
read = time.perf_counter() - start

read_rows = len(pairs)
pairs = pairs.drop_duplicates("observation_id")
labels = labels.sort_values("at").drop_duplicates("observation_id", keep="last")
parsed = {text: json.loads(text) for text in pairs["segments"].unique()}
for column in SEGMENTS:
    pairs[column] = pairs["segments"].map({text: values[column] for text, values in parsed.items()})

champion_failed = pairs["champion_error"].notna()
challenger_failed = pairs["challenger_error"].notna()
served = pairs["faithful"].notna() & pairs["served_label"].notna()
replayed = pairs["champion_label"].where(~champion_failed)
pairs["champion"] = pairs["served_label"].where(served, replayed).fillna(NONE)
pairs["challenger"] = pairs["challenger_label"].where(~challenger_failed).fillna(NONE)

compared = pairs[pairs["champion"] != NONE]
agreement = accuracy_score(compared["champion"], compared["challenger"])
classes = ["<=50K", POSITIVE, NONE]
matrix = confusion_matrix(compared["champion"], compared["challenger"], labels=classes)

joined = pairs.merge(labels[["observation_id", "label"]], on="observation_id")
truth = joined["label"]
sides = ["champion", "challenger"]
right = {side: joined[side] == truth for side in sides}

# A version that gives no answer decides wrongly.
positive = (truth == POSITIVE).to_numpy()
yes = {
    side: np.where(joined[side] == NONE, ~positive, joined[side] == POSITIVE).astype(bool) for side in sides
}


def fairness(column):
    group = joined[column]
    return [
        [demographic_parity_difference(positive, yes[side], sensitive_features=group) for side in sides],
        [equalized_odds_difference(positive, yes[side], sensitive_features=group) for side in sides],
    ]


def segment(column):
    grouped = pd.DataFrame({"value": joined[column], **right}).groupby("value")
    for value, part in grouped:
        counts = {"n": len(part), "right": [int(part[side].sum()) for side in sides]}
        yield f"{column}={value}", counts


scored = joined[joined["champion_score"].notna() & joined["challenger_score"].notna()]
is_positive = (scored["label"] == POSITIVE).to_numpy()
scores = {side: scored[f"{side}_score"].to_numpy() for side in sides}


def ece(score, bins=15):
    place = np.minimum((score * bins).astype(int), bins - 1)
    n = np.bincount(place, minlength=bins)
    hits = np.bincount(place, weights=is_positive, minlength=bins)
    total = np.bincount(place, weights=score, minlength=bins)
    there = n > 0
    return float(np.sum(np.abs(hits[there] - total[there])) / len(score))


both_scored = pairs[pairs["champion_score"].notna() & pairs["challenger_score"].notna()]
above = {side: both_scored[f"{side}_score"].to_numpy() >= 0.5 for side in sides}
both = pairs[~champion_failed & ~challenger_failed]
points = [0.5, 0.95, 0.99]
result = {
    "read_seconds": read,
    "disagreement": int(matrix.sum() - np.trace(matrix)),
    "counts": {
        "pairs": len(pairs),
        "duplicates": read_rows - len(pairs),
        "compared": len(compared),
        "agreed": round(agreement * len(compared)),
        "faithful": int((pairs["faithful"] == True).sum()),  # noqa: E712
        "champion_errors": int(champion_failed.sum()),
        "challenger_errors": int(challenger_failed.sum()),
        "labelled": len(joined),
        "champion_right": int(right["champion"].sum()),
        "challenger_right": int(right["challenger"].sum()),
        "crossings_up": int((~above["champion"] & above["challenger"]).sum()),
        "crossings_down": int((above["champion"] & ~above["challenger"]).sum()),
    },
    "segments": {name: counts for column in SEGMENTS for name, counts in segment(column)},
    "exact": {
        "macro_f1": [f1_score(truth, joined[side], average="macro") for side in sides],
        "log_loss": [log_loss(is_positive, scores[side]) for side in sides],
        "brier": [brier_score_loss(is_positive, scores[side]) for side in sides],
        "ece": [ece(scores[side]) for side in sides],
        "fairness": {"race": fairness("race"), "sex": fairness("sex")},
    },
    "auc": {"values": [roc_auc_score(is_positive, scores[side]) for side in sides]},
    "quantiles_us": {side: np.quantile(both[f"{side}_latency_us"], points).tolist() for side in sides},
}
result["seconds"] = time.perf_counter() - start
result["peak_kib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(result))
