"""All metrics of real answers: three versions of the fixtures on the held-out benchmark (adult.csv)."""

import csv
import pathlib

import numpy as np
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    equalized_odds_difference,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)
from scipy import stats
from sklearn import metrics

from calibration import debiased, line


def made():
    rows = list(csv.DictReader(pathlib.Path(__file__).with_name("adult.csv").open()))
    truth, sex = np.array([int(r["truth"]) for r in rows]), np.array([r["sex"] for r in rows])
    score = {v: np.array([float(r[v]) for r in rows]) for v in ("v1", "v2", "v3")}
    versions = {}
    for version, p in score.items():
        said = (p >= 0.5).astype(int)
        frame = MetricFrame(
            metrics={"selection_rate": selection_rate, "tpr": true_positive_rate, "fpr": false_positive_rate},
            y_true=truth, y_pred=said, sensitive_features=sex)
        odds = lambda agg: float(equalized_odds_difference(truth, said, sensitive_features=sex, agg=agg))
        versions[version] = {
            "accuracy": float(metrics.accuracy_score(truth, said)),
            "macro_f1": float(metrics.f1_score(truth, said, average="macro")),
            "weighted_f1": float(metrics.f1_score(truth, said, average="weighted")),
            "confusion": metrics.confusion_matrix(truth, said).tolist(),
            "auc": float(metrics.roc_auc_score(truth, p)),
            "log_loss": float(metrics.log_loss(truth, p)),
            "brier": float(metrics.brier_score_loss(truth, p)),
            "line": line(truth, p), "debiased": debiased(truth, p),
            "demographic_parity": float(demographic_parity_difference(truth, said, sensitive_features=sex)),
            "equalised_odds": odds("worst_case"), "equalised_odds_mean": odds("mean"),
            "rates": {k: {m: float(v) for m, v in row.items()} for k, row in frame.by_group.to_dict("index").items()},
        }
    return {"adult": {
        "versions": versions,
        "ks": float(stats.ks_2samp(score["v1"], score["v2"]).statistic),
        "wasserstein": float(stats.wasserstein_distance(score["v1"], score["v2"])),
        "kendall": float(stats.kendalltau(score["v1"], score["v2"]).statistic),
    }}
