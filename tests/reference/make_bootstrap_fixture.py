"""Percentile intervals of a mean by scipy.stats.bootstrap -> tests/fixtures/bootstrap.json

Run by hand: python make_bootstrap_fixture.py > ../fixtures/bootstrap.json      (scipy 1.17; the fixture is committed)
"""
import json

import numpy as np
import scipy
from scipy.stats import bootstrap

rng = np.random.default_rng(7)
samples = []
for name, x in [
    ("normal", rng.normal(0.2, 0.1, 40)),
    ("skewed", rng.exponential(0.05, 15)),
    ("few", rng.normal(-1.0, 2.0, 6)),
    ("proportion", (rng.random(60) < 0.1).astype(float)),
]:
    x = x.astype(np.float32)  # as a trace's cells are stored
    result = bootstrap((x.astype(float),), np.mean, confidence_level=0.95, n_resamples=200000, method="percentile",
                       batch=2000, random_state=np.random.default_rng(1))
    interval = result.confidence_interval
    samples.append({"name": name, "x": [float(v) for v in x], "mean": float(x.astype(float).mean()),
                    "deviation": float(result.standard_error), "low": float(interval.low), "high": float(interval.high)})
print(json.dumps({"scipy": scipy.__version__, "resamples": 200000, "samples": samples}))
