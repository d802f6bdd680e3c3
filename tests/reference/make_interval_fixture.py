"""Intervals by scipy, or by formulas written out in numpy -> tests/fixtures/intervals.json

Run by hand: python make_interval_fixture.py > ../fixtures/intervals.json      (scipy 1.17; the fixture is committed)

    studentised   bootstrap-t of a mean, 200000 resamples, in numpy (scipy has none)
    bca           scipy.stats.bootstrap(method="BCa") at the confidence level whose normal points are √(n/(n-1)) times
                  Student's: the expanded points of src/base/stat.h
    wilson        scipy.stats.binomtest(...).proportion_ci(method="wilson")
    paired        Tango's: the score statistic with its nuisance parameter found by minimising the likelihood numerically,
                  both ends by scipy.optimize.brentq
    auc           Newcombe's method 5 by brentq
"""
import json
import math

import numpy as np
import scipy
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binomtest, bootstrap, norm, t

RESAMPLES = 200000
rng = np.random.default_rng(7)
samples = []
for name, x in [
    ("normal", rng.normal(0.2, 0.1, 40)),
    ("skewed", rng.exponential(0.05, 15)),
    ("few", rng.normal(-1.0, 2.0, 6)),
    ("fewest", rng.lognormal(0.0, 1.0, 5)),
]:
    x = x.astype(np.float32).astype(float)  # as a trace's cells are stored
    n, mean = len(x), x.mean()
    draws = x[np.random.default_rng(1).integers(0, n, (RESAMPLES, n))]
    with np.errstate(all="ignore"):
        star = (draws.mean(1) - mean) / (draws.std(1, ddof=1) / math.sqrt(n))
    star = np.sort(np.where(np.ptp(draws, axis=1) == 0, np.copysign(np.inf, draws.mean(1) - mean), star))
    se, tail = x.std(ddof=1) / math.sqrt(n), RESAMPLES // 40
    ends = [mean - se * star[RESAMPLES - 1 - tail], mean - se * star[tail]]
    level = 1 - 2 * norm.cdf(math.sqrt(n / (n - 1)) * t.ppf(0.025, n - 1))
    y = np.abs(x) + rng.normal(1.0, 0.2, n)
    ratio = lambda a, b, axis=-1: np.mean(a, axis=axis) / np.mean(b, axis=axis)
    bca = bootstrap((x, y), ratio, paired=True, confidence_level=level, n_resamples=RESAMPLES, method="BCa", batch=2000,
                    random_state=np.random.default_rng(2))
    samples.append({"name": name, "x": x.tolist(), "y": y.tolist(), "mean": mean, "se": se, "low": ends[0], "high": ends[1],
                    "ratio": [float(v) for v in bca.confidence_interval], "ratio_deviation": float(bca.standard_error)})

wilson = [{"k": k, "n": n, "interval": list(map(float, binomtest(k, n).proportion_ci(0.95, "wilson")))}
          for n in (5, 10, 30, 1531) for k in sorted({0, 1, n // 3, n - 1, n})]


def score(d, up, down, n):
    """(p̂ - d) over its standard error under the most likely model with that difference."""
    lowest, highest = max(0.0, -d), (1 - d) / 2  # of the share that went down

    def minus(q):
        p, rest = q + d, 1 - 2 * q - d
        term = lambda k, s: 0.0 if k == 0 else (-k * math.log(s) if s > 0 else math.inf)
        return term(up, p) + term(down, q) + term(n - up - down, rest)

    q = minimize_scalar(minus, bounds=(lowest, highest), method="bounded", options={"xatol": 1e-13}).x
    q = min((minus(v), v) for v in (q, lowest, highest))[1]
    variance = (2 * q + d - d * d) / n
    return ((up - down) / n - d) / math.sqrt(variance)


z = norm.ppf(0.975)
paired = []
for up, down, n in [(0, 0, 5), (0, 0, 30), (3, 0, 10), (0, 4, 12), (5, 2, 20), (7, 7, 30), (40, 12, 200)]:
    own = (up - down) / n
    low = brentq(lambda d: score(d, up, down, n) - z, -1 + 1e-9, own - 1e-9)
    high = brentq(lambda d: score(d, up, down, n) + z, own + 1e-9, 1 - 1e-9)
    paired.append({"up": up, "down": down, "n": n, "interval": [low, high]})


def variance(a, n, m):
    more = (n + m) / 2 - 1
    return a * (1 - a) * (1 + more * (1 - a) / (2 - a) + more * a / (1 + a)) / (n * m)


auc = []
for a, n, m in [(1.0, 20, 20), (0.985, 20, 20), (0.5, 5, 8), (0.0, 6, 6), (0.7, 150, 150)]:
    low = 0.0 if a == 0 else brentq(lambda v: a - v - z * math.sqrt(variance(v, n, m)), 1e-12, min(a, 1 - 1e-12))
    high = 1.0 if a == 1 else brentq(lambda v: v - a - z * math.sqrt(variance(v, n, m)), max(a, 1e-12), 1 - 1e-12)
    auc.append({"auc": a, "n": n, "m": m, "interval": [low, high]})

print(json.dumps({"scipy": scipy.__version__, "resamples": RESAMPLES, "samples": samples, "wilson": wilson,
                  "paired": paired, "auc": auc}))
