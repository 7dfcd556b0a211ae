"""Answers that are sets, rankings, texts and numbers, by scikit-learn, scipy and the published evaluation scripts."""

import collections
import re
import string

import numpy as np
from scipy import stats
from sklearn import metrics
from sklearn.preprocessing import MultiLabelBinarizer

from values import floats

rng = np.random.default_rng(20260405)


def label_sets(n, labels, share):
    return [sorted(name for name in labels if rng.random() < share) for _ in range(n)]


def multilabel():
    cases = []
    five = ["a", "b", "c", "d", "e"]
    for name, truth, predicted in [
        ("dense", label_sets(80, five, 0.5), label_sets(80, five, 0.5)),
        ("sparse, with empty sets", label_sets(80, five, 0.15), label_sets(80, five, 0.15)),
        ("a label that is never predicted", label_sets(40, five, 0.4), label_sets(40, five[:3], 0.4)),
        ("equal", [["a"], [], ["b", "c"]], [["a"], [], ["b", "c"]]),
        ("one row", [["a", "b"]], [["b", "c"]]),
    ]:
        both = MultiLabelBinarizer().fit(truth + predicted)
        y, p = both.transform(truth), both.transform(predicted)
        cases.append({
            "name": name, "truth": truth, "predicted": predicted,
            "subset_accuracy": float(metrics.accuracy_score(y, p)),
            "micro_f1": float(metrics.f1_score(y, p, average="micro", zero_division=0)),
            "macro_f1": float(metrics.f1_score(y, p, average="macro", zero_division=0)),
            "hamming_loss": float(metrics.hamming_loss(y, p)),
            "jaccard": float(metrics.jaccard_score(y, p, average="samples", zero_division=1)),
        })
    return cases


def ndcg():
    cases = []
    for n, k, relevances in [(10, 5, rng.integers(0, 4, 10)), (10, 10, rng.integers(0, 2, 10)), (6, 20, rng.random(6)),
                             (30, 3, rng.integers(0, 5, 30)), (2, 1, np.array([0, 1]))]:
        order = rng.permutation(n)
        score = np.empty(n)
        score[order] = np.arange(n, 0, -1)
        cases.append({"k": k, "all": floats(relevances), "ranked": floats(relevances[order]),
                      "ndcg": float(metrics.ndcg_score([relevances], [score], k=k))})
    return cases


def kendall():
    cases = []
    for one, two in [(rng.random(40), rng.random(40)), (rng.integers(0, 5, 60), rng.integers(0, 9, 60)),
                     (np.arange(12), np.arange(12)), (np.arange(12), -np.arange(12)), ([1, 1, 2], [3, 4, 4])]:
        cases.append({"one": floats(one), "two": floats(two), "tau": float(stats.kendalltau(one, two).statistic)})
    return cases


def overlap_summed(one, two, p, depth=4000):
    """The definition summed term by term, the unseen part of the lists agreeing as much as the seen (Webber et al. 2010)."""
    short, long = sorted((one, two), key=len)
    s, l = len(short), len(long)
    common = lambda a, b: len(set(a) & set(b))
    total = 0.0
    for d in range(1, depth + 1):
        if d <= s:
            agreement = common(short[:d], long[:d]) / d
        elif d <= l:
            agreement = (common(short, long[:d]) + common(short, long[:s]) * (d - s) / s) / d
        total += (1 - p) * p ** (d - 1) * agreement
    return total


def overlap():
    cases = []
    items = list("abcdefghijkl")
    for n, m in [(12, 12), (5, 12), (12, 3), (1, 1), (4, 4), (2, 7)]:
        one, two = list(rng.permutation(items)[:n]), list(rng.permutation(items)[:m])
        for p in (0.5, 0.9):
            cases.append({"one": [str(x) for x in one], "two": [str(x) for x in two], "p": p,
                          "overlap": overlap_summed(one, two, p)})
    return cases


def squad_normalise(text):
    text = "".join(ch for ch in text.lower() if ch not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def squad_f1(gold, predicted):
    gold, predicted = squad_normalise(gold).split(), squad_normalise(predicted).split()
    if not gold or not predicted:
        return float(gold == predicted)
    same = sum((collections.Counter(gold) & collections.Counter(predicted)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(predicted), same / len(gold)
    return 2 * precision * recall / (precision + recall)


def text():
    pairs = [("Denver Broncos", "The Denver Broncos"), ("the", "a"), ("", ""), ("", "nothing"), ("1,000", "1000"),
             ("cat cat dog", "cat cat cat"), ("An apple a day", "apple day"), ("St. John's", "St Johns church"),
             ("Äpfel, Öl", "äpfel öl"), ("theatre another", "the atre an other"), ("yes", "no"), ("Same.", "Same."),
             ("a—b the–c", "a b c"), ("x_the_y", "x y"), ("tab\tand\nline", "tab and line")]
    return [{"truth": t, "predicted": p, "normalised": [squad_normalise(t), squad_normalise(p)], "f1": squad_f1(t, p)}
            for t, p in pairs]


def numeric():
    x = rng.normal(100, 15, 90)
    y = x + rng.normal(0.8, 2.0, 90)
    d = y - x
    ci = stats.ttest_rel(y, x).confidence_interval(0.95)
    within = [[a, r, int(np.isclose(y, x, atol=a, rtol=r).sum())] for a, r in [(0.5, 0.0), (0.0, 0.02), (1.0, 0.01), (0, 0)]]
    sd = float(d.std(ddof=1))
    return {"champion": floats(x), "challenger": floats(y), "within": within, "bias": float(d.mean()),
            "interval": [float(ci.low), float(ci.high)], "sd": sd,
            "limits": [float(d.mean() - 1.96 * sd), float(d.mean() + 1.96 * sd)]}


def classes():
    """Probabilities of several classes."""
    cases = []
    n, k = 150, 5
    y = rng.integers(0, k, n)
    soft = rng.dirichlet(np.ones(k), n)
    sharp = rng.dirichlet(np.full(k, 0.02), n)
    certain = np.eye(k)[rng.integers(0, k, n)]
    for name, truth, p in [("soft", y, soft), ("sharp", y, sharp), ("certain, mostly wrong", y, certain),
                           ("classes absent from the truth", y % 2, soft), ("one row", y[:1], soft[:1]),
                           ("two classes", y % 2, np.stack([1 - soft[:, 0], soft[:, 0]], axis=1))]:
        labels = list(range(p.shape[1]))
        cases.append({
            "name": name, "truth": truth.tolist(), "probabilities": [floats(row) for row in p],
            "log_loss": float(metrics.log_loss(truth, p, labels=labels)),
            "brier": float(metrics.brier_score_loss(truth, p, labels=labels, scale_by_half=False)),
        })
    return cases


def made():
    return {"classes": classes(), "multilabel": multilabel(), "ndcg": ndcg(), "kendall": kendall(), "overlap": overlap(), "text": text(),
            "numeric": numeric()}
