"""Calibration slope and intercept, by statsmodels; the debiased calibration error from its formula."""

import numpy as np
import statsmodels.api as sm

from values import floats

rng = np.random.default_rng(20260404)
CLIP = 1e-6  # LOGIT_CLIP of the crate


def line(truth, p):
    p = np.clip(p, CLIP, 1 - CLIP)
    x = np.log(p / (1 - p))
    # Not Logit, whose Newton method adds a ridge of 1e-10 to the information.
    free = sm.GLM(truth, sm.add_constant(x), family=sm.families.Binomial()).fit(tol=1e-13, tol_criterion="params", maxiter=200)
    shifted = sm.GLM(truth, np.ones(len(x)), family=sm.families.Binomial(), offset=x).fit(tol=1e-13, tol_criterion="params", maxiter=200)
    return {
        "intercept": float(free.params[0]), "intercept_standard_error": float(free.bse[0]),
        "slope": float(free.params[1]), "slope_standard_error": float(free.bse[1]),
        "in_the_large": float(shifted.params[0]), "in_the_large_standard_error": float(shifted.bse[0]),
    }


def debiased(truth, p, bins=15):
    """The debiased squared error of Kumar et al. (2019); may be negative."""
    which = np.minimum((p * bins).astype(int), bins - 1)
    total = 0.0
    for b in range(bins):
        inside = which == b
        n = inside.sum()
        if n < 2:
            continue
        y = truth[inside].mean()
        total += n / len(p) * ((p[inside].mean() - y) ** 2 - y * (1 - y) / (n - 1))
    return float(total)


def cases():
    made = []
    n = 400
    p = rng.random(n)
    calibrated = (rng.random(n) < p).astype(int)
    certain = np.where(rng.random(n) < 0.1, np.round(p), p)
    for name, truth, score in [
        ("calibrated", calibrated, p),
        ("too extreme", calibrated, np.where(p < 0.5, p**2 * 2, 1 - (1 - p) ** 2 * 2)),
        ("too timid and too low", calibrated, 0.3 + 0.3 * p),
        ("ties", calibrated, np.round(0.1 + 0.8 * p, 1)),
        ("certain answers, some of them wrong", calibrated, certain),
        ("fifty rows", calibrated[:50], p[:50]),
        ("rare and small", (rng.random(n) < 0.03 + p * 0.05).astype(int), 1e-4 + p * 0.1),
    ]:
        made.append({"name": name, "truth": truth.tolist(), "score": floats(score), "line": line(truth, score),
                     "debiased": debiased(truth, score)})
    return made


def made():
    return {"calibration": cases()}
