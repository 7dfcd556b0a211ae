"""Metrics with sample weights, by scikit-learn."""

import numpy as np
from sklearn import metrics

from values import floats

rng = np.random.default_rng(20260402)


def classification():
    cases = []
    for name, truth, predicted, weights in [
        ("exponential weights", rng.integers(0, 3, 200), rng.integers(0, 3, 200), rng.exponential(size=200)),
        ("many sizes", rng.integers(0, 4, 120), rng.integers(0, 4, 120), 10.0 ** rng.integers(-6, 7, 120)),
        ("some weights are zero", rng.integers(0, 3, 60), rng.integers(0, 3, 60), rng.integers(0, 2, 60).astype(float)),
        ("a class without weight", np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2]), np.array([0.5, 0.25, 2.0, 0.0])),
        ("one row", np.array([1]), np.array([1]), np.array([0.3])),
    ]:
        truth, predicted = [f"c{v}" for v in truth], [f"c{v}" for v in predicted]
        labels = sorted(set(truth) | set(predicted))
        given = {"sample_weight": weights}
        cases.append({
            "name": name, "truth": truth, "predicted": predicted, "weights": floats(weights), "labels": labels,
            "confusion": metrics.confusion_matrix(truth, predicted, labels=labels, **given).tolist(),
            "accuracy": float(metrics.accuracy_score(truth, predicted, **given)),
            "macro_f1": float(metrics.f1_score(truth, predicted, average="macro", zero_division=0, **given)),
            "weighted_f1": float(metrics.f1_score(truth, predicted, average="weighted", zero_division=0, **given)),
        })
    return cases


def scores():
    cases = []
    n = 300
    y = rng.integers(0, 2, n)
    p = np.clip(0.5 + 0.3 * (2 * y - 1) * rng.random(n) + rng.normal(0, 0.2, n), 0, 1)
    for name, truth, score, weights in [
        ("exponential weights", y, p, rng.exponential(size=n)),
        ("ties", y, np.round(p, 1), rng.exponential(size=n)),
        ("constant", y, np.full(n, 0.3), rng.exponential(size=n)),
        ("many sizes", y, p, 10.0 ** rng.integers(-6, 7, n)),
        ("some weights are zero", y, p, rng.integers(0, 3, n).astype(float)),
        ("one class absent", np.ones(20, int), rng.random(20), rng.exponential(size=20)),
    ]:
        given = {"sample_weight": weights}
        both = len(set(truth.tolist())) == 2
        cases.append({
            "name": name, "truth": truth.tolist(), "score": floats(score), "weights": floats(weights),
            "auc": float(metrics.roc_auc_score(truth, score, **given)) if both else None,
            "log_loss": float(metrics.log_loss(truth, score, labels=[0, 1], **given)),
            "brier": float(metrics.brier_score_loss(truth, score, labels=[0, 1], **given)),
        })
    return cases


def regression():
    cases = []
    for name, offset, weights in [
        ("exponential weights", 0.0, rng.exponential(size=150)),
        ("large offset", 1e6, rng.exponential(size=150)),
        ("some weights are zero", 0.0, rng.integers(0, 2, 150).astype(float)),
    ]:
        y = offset + rng.normal(size=150)
        prediction = y + 0.4 * rng.normal(size=150)
        given = {"sample_weight": weights}
        cases.append({
            "name": name, "truth": floats(y), "predicted": floats(prediction), "weights": floats(weights),
            "rmse": float(metrics.root_mean_squared_error(y, prediction, **given)),
            "mae": float(metrics.mean_absolute_error(y, prediction, **given)),
            "r2": float(metrics.r2_score(y, prediction, **given)),
        })
    return cases


def made():
    return {"weighted_classification": classification(), "weighted_scores": scores(), "weighted_regression": regression()}
