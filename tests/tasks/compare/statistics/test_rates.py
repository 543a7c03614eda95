"""How often the statistics are wrong where the truth is known: unrelated random walks, pairs of known correlation."""

from __future__ import annotations

import numpy as np
from depth import EXHAUSTIVE
from numpy.typing import NDArray
from scipy import stats

from wcx.core.comparison import Correlation
from wcx.tasks.compare.statistics.correlate import correlate
from wcx.tasks.compare.statistics.records import Measured

Array = NDArray[np.float64]


def correlations(x: Array, y: Array, transform: str, resamples: int) -> list[Correlation]:
    """Each row a run of its own: [draws, points]."""
    draws, points = x.shape
    groups: list[str | None] = [str(draw) for draw in range(draws) for _ in range(points)]
    measured = [Measured("pooled", None, "sign", "bdm", tuple(x.ravel().tolist()))]
    steps = list(range(points)) * draws
    found = correlate(measured, {"loss": y.ravel().tolist()}, steps, groups, seed=0, resamples=resamples)
    return [one for one in found.correlations if one.transform == transform]


def rejected(p: list[float | None]) -> float:
    return sum(value is not None and value < 0.05 for value in p) / len(p)


@EXHAUSTIVE
def test_unrelated_random_walks_correlate_in_levels_by_the_naive_p_alone() -> None:
    x, y = np.cumsum(np.random.default_rng(0).normal(size=(2, 300, 50)), axis=2)
    naive = [float(stats.pearsonr(one, other).pvalue) for one, other in zip(x, y, strict=True)]
    assert rejected(naive) > 0.5
    for transform in ("raw", "diff"):
        found = correlations(x, y, transform, resamples=0)
        assert len(found) == 300
        for name in ("pearson", "spearman", "kendall"):
            assert rejected([getattr(one, name).p for one in found]) < 0.09
    levels = correlations(x, y, "raw", resamples=0)
    assert np.median([one.n_effective or 0 for one in levels]) < 10


@EXHAUSTIVE
def test_intervals_of_related_series_hold_the_truth() -> None:
    """AR(1) pairs, phi = 0.3, whose innovations correlate by 0.5."""
    innovations = np.random.default_rng(1).normal(size=(2, 200, 90))
    innovations[1] = 0.5 * innovations[0] + np.sqrt(0.75) * innovations[1]
    series = np.zeros_like(innovations)
    for time in range(1, 90):
        series[:, :, time] = 0.3 * series[:, :, time - 1] + innovations[:, :, time]
    found = correlations(series[0, :, 30:], series[1, :, 30:], "raw", resamples=200)
    truth = {"pearson": 0.5, "spearman": 6 / np.pi * np.arcsin(0.25), "kendall": 2 / np.pi * np.arcsin(0.5)}
    for name, value in truth.items():
        intervals = [getattr(one, name).ci95 for one in found]
        assert 0.88 <= sum(low <= value <= high for low, high in intervals) / 200 <= 0.98
