"""Makes the oracle values that `shared/stats/tests/oracles.rs` checks against.

    python3 -m venv target/oracles && target/oracles/bin/pip install -r tests/oracles/requirements.txt
    target/oracles/bin/python tests/oracles/make_stats_oracles.py           # writes stats.json beside this file
    target/oracles/bin/python tests/oracles/make_stats_oracles.py --check   # compares with what is there, to 1e-12

Values come from scikit-learn, fairlearn, scipy and statsmodels wherever these define the statistic. What none of them
has (Newcombe's interval for paired proportions, DeLong's variance, ECE, PSI, the e-process) is computed here from its
published formula, independently of the Rust code and by the most direct route. Inputs are stored with the results, so
the tests need nothing but the JSON (and adult.csv). Seeds are fixed: the file is the same on every run. `--check` writes
nothing and fails, naming the places, where the committed file is not what the pinned libraries give.
"""

import json
import math
import pathlib
import sys
import warnings

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
from scipy.spatial.distance import jensenshannon
from sklearn import metrics
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

import adult_metrics
import answers
import calibration
import distances
import weighted
from values import floats

warnings.simplefilter("ignore")
rng = np.random.default_rng(20260401)


def classification():
    cases = []
    for name, truth, predicted in [
        ("binary", rng.integers(0, 2, 200), rng.integers(0, 2, 200)),
        ("five classes", rng.integers(0, 5, 300), rng.integers(0, 5, 300)),
        ("one class absent from the truth", rng.integers(0, 2, 60), rng.integers(0, 3, 60)),
        ("one class never predicted", rng.integers(0, 3, 60), rng.integers(0, 2, 60)),
        ("only one class", np.zeros(20, int), np.zeros(20, int)),
        ("all wrong", np.zeros(20, int), np.ones(20, int)),
        ("one row", np.array([1]), np.array([1])),
    ]:
        truth, predicted = [f"c{v}" for v in truth], [f"c{v}" for v in predicted]
        labels = sorted(set(truth) | set(predicted))
        cases.append({
            "name": name, "truth": truth, "predicted": predicted, "labels": labels,
            "confusion": metrics.confusion_matrix(truth, predicted, labels=labels).tolist(),
            "accuracy": float(metrics.accuracy_score(truth, predicted)),
            "macro_f1": float(metrics.f1_score(truth, predicted, average="macro", zero_division=0)),
            "weighted_f1": float(metrics.f1_score(truth, predicted, average="weighted", zero_division=0)),
        })
    return cases


def ece(p, y, bins=15):
    which = np.minimum((p * bins).astype(int), bins - 1)
    return float(sum(abs(y[which == b].mean() - p[which == b].mean()) * (which == b).mean()
                     for b in range(bins) if (which == b).any()))


def scores():
    cases = []
    n = 400
    y = rng.integers(0, 2, n)
    p = np.clip(0.5 + 0.25 * (2 * y - 1) * rng.random(n) + rng.normal(0, 0.2, n), 0, 1)
    for name, truth, score in [
        ("informative, with certain scores", y, p),
        ("ties", y, np.round(p, 1)),
        ("constant", y, np.full(n, 0.3)),
        ("perfect", y, y.astype(float)),
        ("all wrong and certain", y, 1.0 - y),
        ("crowded near zero", y, p * 1e-6),
        ("one positive", np.array([1] + [0] * 30), rng.random(31)),
        ("one class absent", np.zeros(25, int), rng.random(25)),
        ("one row", np.array([1]), np.array([0.7])),
        ("constant and wrong", np.zeros(9, int), np.ones(9)),
    ]:
        both = len(set(truth.tolist())) == 2
        cases.append({
            "name": name, "truth": truth.tolist(), "score": floats(score),
            "auc": float(metrics.roc_auc_score(truth, score)) if both else None,
            "log_loss": float(metrics.log_loss(truth, score, labels=[0, 1])),
            "brier": float(metrics.brier_score_loss(truth, score, labels=[0, 1])),
            "ece": ece(score, truth),
        })
    return cases


def multiclass():
    n, k = 200, 4
    y = rng.integers(0, k, n)
    p = rng.dirichlet(np.ones(k), n)
    return {
        "truth": y.tolist(), "probabilities": [floats(row) for row in p],
        "log_loss": float(metrics.log_loss(y, p, labels=list(range(k)))),
        "brier": float(metrics.brier_score_loss(y, p, labels=list(range(k)), scale_by_half=False)),
    }


def regression():
    cases = []
    for name, offset, spread in [("plain", 0.0, 1.0), ("large offset", 1e7, 1.0), ("wide", 0.0, 1e6)]:
        y = offset + spread * rng.normal(size=300)
        prediction = y + 0.4 * spread * rng.normal(size=300)
        cases.append((name, y, prediction))
    cases += [("one row", np.array([2.0]), np.array([2.5])), ("constant target", np.full(8, 3.0), np.arange(8.0))]
    return [{
        "name": name, "truth": floats(y), "predicted": floats(prediction),
        "rmse": float(metrics.root_mean_squared_error(y, prediction)),
        "mae": float(metrics.mean_absolute_error(y, prediction)),
        # scikit-learn invents 0 or 1 where the target does not vary.
        "r2": float(metrics.r2_score(y, prediction)) if len(set(y)) > 1 else None,
    } for name, y, prediction in cases]


def delong_variance(truth, a, b):
    """Structural components by all pairs, as in the paper."""
    def components(score):
        x, z = score[truth == 1], score[truth == 0]
        psi = (x[:, None] > z[None, :]) + 0.5 * (x[:, None] == z[None, :])
        return psi.mean(axis=1), psi.mean(axis=0)
    (a10, a01), (b10, b01) = components(a), components(b)
    s10, s01 = np.cov(a10, b10), np.cov(a01, b01)
    contrast = np.array([-1.0, 1.0])
    return float(contrast @ (s10 / len(a10) + s01 / len(a01)) @ contrast)


def delong():
    cases = []
    for n, digits in [(60, 12), (250, 1), (40, 0)]:
        y = rng.integers(0, 2, n)
        a, b = rng.random(n) + 0.4 * y, rng.random(n) + 0.6 * y
        a, b = np.round(a, digits), np.round(b, digits)
        cases.append({
            "truth": y.tolist(), "champion": floats(a), "challenger": floats(b),
            "auc_champion": float(metrics.roc_auc_score(y, a)), "auc_challenger": float(metrics.roc_auc_score(y, b)),
            "variance": delong_variance(y, a, b),
        })
    return cases


def fairness():
    cases = []
    def rows(n, groups):
        return rng.integers(0, 2, n), rng.integers(0, 2, n), rng.integers(0, 2, n), rng.choice(groups, n)
    y, a, b, g = rows(400, ["f", "m"])
    y2, a2, b2, g2 = rows(500, ["v", "w", "x", "y", "z"])
    y3, a3, b3, g3 = rows(90, ["f", "m"])
    y3[g3 == "f"] = 0
    for name, truth, champion, challenger, group in [
        ("two groups", y, a, b, g), ("five groups", y2, a2, b2, g2), ("a group without positives", y3, a3, b3, g3),
        ("nobody selected", y, np.zeros_like(a), b, g),
        ("one row in each group", np.array([1, 0, 1]), np.array([1, 0, 0]), np.array([0, 1, 0]), np.array(["a", "b", "c"])),
    ]:
        frame = MetricFrame(
            metrics={"selection_rate": selection_rate, "tpr": true_positive_rate, "fpr": false_positive_rate},
            y_true=truth, y_pred=champion, sensitive_features=group)
        of = lambda predicted: {
            "demographic_parity": float(demographic_parity_difference(truth, predicted, sensitive_features=group)),
            "equalised_odds": float(equalized_odds_difference(truth, predicted, sensitive_features=group)),
            "equalised_odds_mean": float(
                equalized_odds_difference(truth, predicted, sensitive_features=group, agg="mean")),
        }
        cases.append({
            "name": name, "truth": truth.tolist(), "champion": champion.tolist(), "challenger": challenger.tolist(),
            "group": group.tolist(),
            "rates": {k: {m: float(v) for m, v in row.items()} for k, row in frame.by_group.to_dict("index").items()},
            "of_champion": of(champion), "of_challenger": of(challenger),
        })
    return cases


def newcombe_paired(both, challenger_only, champion_only, neither, confidence):
    """Newcombe 1998a, method 10, as printed: theta = (b - c)/n with the challenger first."""
    a, b, c, d = both, challenger_only, champion_only, neither
    n = a + b + c + d
    l1, u1 = proportion_confint(a + b, n, 1 - confidence, "wilson")
    l2, u2 = proportion_confint(a + c, n, 1 - confidence, "wilson")
    p1, p2 = (a + b) / n, (a + c) / n
    denominator = (a + b) * (c + d) * (a + c) * (b + d)
    numerator = a * d - b * c
    if numerator > n / 2:
        numerator -= n / 2
    elif numerator >= 0:
        numerator = 0
    phi = numerator / math.sqrt(denominator) if denominator else 0.0
    delta = math.sqrt((p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2)
    epsilon = math.sqrt((u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2)
    return [p1 - p2 - delta, p1 - p2 + epsilon]


def intervals():
    wilson = [{"x": x, "n": n, "confidence": c,
               "interval": floats(proportion_confint(x, n, 1 - c, "wilson"))}
              for x, n in [(0, 1), (1, 1), (0, 50), (50, 50), (7, 23), (81, 263), (999, 1_000_000)]
              for c in (0.9, 0.95, 0.999)]
    independent = [{"x1": x1, "n1": n1, "x2": x2, "n2": n2,
                    "interval": floats(confint_proportions_2indep(x2, n2, x1, n1, method="newcomb", compare="diff"))}
                   for x1, n1, x2, n2 in [(48, 80, 56, 70), (3, 10, 9, 10), (0, 20, 5, 29), (5, 5000, 12, 95000)]]
    paired = []
    for table in [(20, 12, 2, 16), (36, 12, 2, 0), (80, 0, 0, 20), (0, 3, 1, 40), (900, 31, 30, 39), (50, 1, 0, 9),
                  (10, 40, 35, 15), (0, 0, 10, 0), (1, 8, 9, 1)]:
        both, challenger_only, champion_only, neither = table
        discordant = challenger_only + champion_only
        exact = float(mcnemar([[both, challenger_only], [champion_only, neither]], exact=True).pvalue)
        fewer = min(challenger_only, champion_only)
        mid = 2 * stats.binom.cdf(fewer, discordant, 0.5) - stats.binom.pmf(fewer, discordant, 0.5) if discordant else 1
        paired.append({"both": both, "challenger_only": challenger_only, "champion_only": champion_only,
                       "neither": neither, "interval": newcombe_paired(*table, 0.95),
                       "exact": min(exact, 1.0), "mid_p": float(min(mid, 1.0))})
    x, z = rng.lognormal(size=80), rng.lognormal(size=80)
    d = z - x
    ci = stats.ttest_rel(z, x).confidence_interval(0.95)
    paired_t = {"champion": floats(x), "challenger": floats(z), "delta": float(d.mean()),
                "standard_error": float(stats.sem(d)), "interval": [float(ci.low), float(ci.high)]}
    quantiles = {
        "normal": [[p, float(stats.norm.ppf(p))] for p in (1e-12, 0.0125, 0.025, 0.3, 0.5, 0.9, 0.975, 0.9999)],
        "t": [[p, f, float(stats.t.ppf(p, f))] for p in (0.0005, 0.025, 0.5, 0.95, 0.975) for f in (1, 2, 9, 63, 1e3, 1e6)],
    }
    return {"wilson": wilson, "independent": independent, "paired": paired, "paired_t": paired_t, "quantiles": quantiles}


def multiplicity():
    p = [0.01, 0.04, 0.03, 0.005, 0.5, 1.0, 0.04]
    return {"p": p, "holm": floats(multipletests(p, method="holm")[1]), "bh": floats(multipletests(p, method="fdr_bh")[1])}


def drift():
    cases = []
    for reference, current in [([50, 30, 20], [20, 30, 50]), ([1000, 1000, 1000], [990, 1005, 1013]),
                               ([10, 0, 5], [3, 4, 0]), ([400, 0, 0], [0, 7, 0]), ([5], [9])]:
        r, c = np.array(reference, float), np.array(current, float)
        kept = (r + c) > 0
        r, c = r[kept], c[kept]
        js = float(jensenshannon(r, c) ** 2)
        if (r == 0).any() or (c == 0).any():
            r, c = r + 0.5, c + 0.5
        p, q = r / r.sum(), c / c.sum()
        cases.append({"reference": reference, "current": current, "psi": float(((q - p) * np.log(q / p)).sum()),
                      "jensen_shannon": js if math.isfinite(js) else 0.0})
    return cases


def e_process():
    """The mixture by direct summation in linear space."""
    ratios = 100 ** ((np.arange(64) + 0.5) / 64)
    cases = []
    for events in [[], [(2, 0, 0.01)], [(2, 0, 0.05)], [(3, 0, 0.1)], [(4, 0, 0.25)], [(8, 0, 0.5)], [(48, 0, 0.9)],
                   [(3, 60, 0.05)], [(3, 4, 0.05), (6, 2, 0.25)], [(0, 30, 0.5)], [(1, 5, 0.01), (2, 5, 0.05), (5, 9, 0.25)]]:
        product = np.ones(64)
        for canary, champion, w in events:
            product *= (ratios / (ratios * w + 1 - w)) ** canary * (1 / (ratios * w + 1 - w)) ** champion
        cases.append({"events": events, "log_e": float(np.log(product.mean()))})
    return cases


def differences(ours, theirs, place=""):
    """Places where two JSON values differ by more than 1e-12, relative above one."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            if key not in ours or key not in theirs:
                yield f"{place}/{key}: only in {'the file' if key in ours else 'what is made now'}"
            else:
                yield from differences(ours[key], theirs[key], f"{place}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, (a, b) in enumerate(zip(ours, theirs)):
            yield from differences(a, b, f"{place}/{i}")
    elif all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (ours, theirs)):
        if abs(ours - theirs) > 1e-12 * max(1.0, abs(theirs)):
            yield f"{place}: {ours} in the file, {theirs} now"
    elif ours != theirs:
        yield f"{place}: {str(ours)[:60]} in the file, {str(theirs)[:60]} now"


def main():
    made = {"classification": classification(), "scores": scores(), "multiclass": multiclass(),
            "regression": regression(), "delong": delong(), "fairness": fairness(), "intervals": intervals(),
            "multiplicity": multiplicity(), "drift": drift(), "e_process": e_process(),
            **weighted.made(), **distances.made(), **calibration.made(), **answers.made(), **adult_metrics.made()}
    path = pathlib.Path(__file__).with_name("stats.json")
    if sys.argv[1:] == ["--check"]:
        found = list(differences(json.loads(path.read_text()), json.loads(json.dumps(made, allow_nan=False))))
        print("\n".join(found[:40]) or f"{path.name} is what the pinned libraries give: {len(made)} sections")
        sys.exit(1 if found else 0)
    path.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in made.items()) + "\n}\n")
    print(f"wrote {path.name}: {path.stat().st_size} bytes")


main()
