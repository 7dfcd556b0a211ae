"""Distances between samples, by scipy."""

import numpy as np
from scipy import stats
from scipy.spatial.distance import jensenshannon

from values import floats

rng = np.random.default_rng(20260403)


def samples():
    return [
        ("unequal sizes", rng.normal(size=80), rng.normal(0.5, 1.5, 133)),
        ("ties", rng.integers(0, 6, 90).astype(float), rng.integers(1, 8, 70).astype(float)),
        ("one value each", np.array([2.0]), np.array([3.5])),
        ("equal samples", np.arange(9.0), np.arange(9.0)),
        ("constant", np.full(12, 4.0), np.full(5, 4.0)),
        ("apart", rng.random(20), rng.random(30) + 5),
        ("heavy tail", rng.pareto(1.1, 60), rng.pareto(1.3, 75)),
    ]


def ks_and_wasserstein():
    cases = []
    for name, one, two in samples():
        u, v = rng.exponential(size=len(one)), rng.exponential(size=len(two))
        cases.append({
            "name": name, "one": floats(one), "two": floats(two), "one_weights": floats(u), "two_weights": floats(v),
            "ks": float(stats.ks_2samp(one, two).statistic),
            "wasserstein": float(stats.wasserstein_distance(one, two)),
            "weighted_wasserstein": float(stats.wasserstein_distance(one, two, u, v)),
        })
    return cases


def jensen_shannon():
    cases = []
    for one, two in [([5, 3, 2], [2, 3, 5]), ([1, 0], [0, 1]), ([7, 1, 0, 2], [6, 2, 1, 1]), ([3, 3], [3, 3])]:
        distance = {str(base): float(jensenshannon(one, two, base=base)) for base in (2, 10)}
        cases.append({"one": one, "two": two, "nats": float(jensenshannon(one, two)), **distance})
    return cases


def made():
    return {"distances": ks_and_wasserstein(), "jensen_shannon": jensen_shannon()}
