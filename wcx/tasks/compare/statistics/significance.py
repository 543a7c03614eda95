"""Effective points of a pair of series, the p-values that follow, and their correction over layers.

Effective points: Bartlett, J. R. Stat. Soc. 98 (1935), 536; Quenouille, Associated Measurements (1952). p-values as
scipy.stats has them, with the effective points in place of all. q: Benjamini & Hochberg, J. R. Stat. Soc. B 57 (1995).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from wcx.tasks.compare.statistics.transforms import Values


class Ties:
    """Corrections of the variance of tau for the ties of a series [n], from the sizes of groups of equal values."""

    def __init__(self, series: Values) -> None:
        _, sizes = np.unique(series, return_counts=True)
        groups = [int(size) for size in sizes if size > 1]
        self.pairs = sum(size * (size - 1) // 2 for size in groups)
        self.triples = sum(size * (size - 1) * (size - 2) for size in groups)
        self.variance = sum(size * (size - 1) * (2 * size + 5) for size in groups)


def autocorrelations(series: Values) -> Values:
    """Return the lag-1 autocorrelation of each row [rows, n]: products of neighbours' deviations over their squares.

    NaN where a row is constant.

    >>> autocorrelations(np.array([[1.0, 2.0, 3.0, 4.0]])).tolist()
    [0.25]
    """
    centred = series - series.mean(axis=1, keepdims=True)
    power = (centred * centred).sum(axis=1)
    products = (centred[:, 1:] * centred[:, :-1]).sum(axis=1)
    lags: Values = np.divide(products, power, out=np.full(len(series), np.nan), where=power > 0)
    return lags


def effective_points(points: int, first: float, second: float) -> float:
    """Return n (1 - r1 r2) / (1 + r1 r2), at least 2 and at most n, for lag-1 autocorrelations r1 and r2.

    >>> round(effective_points(50, 0.9, 0.9), 6), effective_points(50, 0.5, -0.5)
    (5.248619, 50.0)
    """
    product = first * second
    if math.isnan(product):
        return math.nan
    return float(min(max(points * (1 - product) / (1 + product), 2.0), points))


def student_p(r: Values, effective: Values) -> Values:
    """Return the two-sided p of Pearson's or Spearman's r by Student's t with effective - 2 degrees.

    NaN where r is, and at 2 effective points.

    >>> student_p(np.array([0.5]), np.array([27.0])).round(6).tolist()
    [0.007913]
    """
    from scipy.special import stdtr

    freedom = effective - 2
    usable = np.isfinite(r) & (freedom > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(r) * np.sqrt(freedom / ((1 - r) * (1 + r)))
    p: Values = 2 * stdtr(np.where(usable, freedom, 1.0), np.where(usable, -t, 0.0))
    return np.where(usable, p, np.nan)


def kendall_p(tau: Values, effective: Values, spread: Values, points: int) -> Values:
    """Return the two-sided p of tau-b by the normal approximation.

    spread: sd of tau were the points independent and the two unrelated, ties counted. It grows as that without ties,
    sqrt(2 (2 n + 5) / (9 n (n - 1))), does from `points` to the effective points.
    """
    from scipy.special import erfc

    usable = np.isfinite(tau) & (effective > 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(tau) / (spread * np.sqrt(_variance(effective) / _variance(np.array(float(points)))))
    p: Values = erfc(np.where(usable, z, 0.0) / np.sqrt(2.0))
    return np.where(usable, p, np.nan)


def kendall_spread(points: int, first: Ties, second: Ties) -> float:
    """Return the sd of tau-b of `points` independent points of two unrelated series; NaN where one is constant.

    Kendall, Rank Correlation Methods (1970), section 4.4; scipy.stats.kendalltau with method="asymptotic" has the same.

    >>> round(kendall_spread(10, Ties(np.arange(10.0)), Ties(np.arange(10.0))), 6)
    0.248452
    """
    ordered = points * (points - 1)
    untied = (ordered // 2 - first.pairs) * (ordered // 2 - second.pairs)
    if not untied or points < 3:
        return math.nan
    variance = (ordered * (2 * points + 5) - first.variance - second.variance) / 18
    variance += 2 * first.pairs * second.pairs / ordered
    variance += first.triples * second.triples / (9 * ordered * (points - 2))
    return math.sqrt(variance / untied)


def _variance(points: Values) -> Values:
    """Return the variance of tau of independent, untied points of unrelated series."""
    variance: Values = 2 * (2 * points + 5) / (9 * points * (points - 1))
    return variance


def false_discovery(p: Sequence[float | None]) -> list[float | None]:
    """Return Benjamini and Hochberg's q of each p: the least of m p(i) / i over all that are no smaller; None for None.

    Equal to scipy.stats.false_discovery_control to the last bit; importing scipy.stats takes longer than all else here.

    >>> false_discovery([0.01, None, 0.04, 0.03])
    [0.03, None, 0.04, 0.04]
    """
    ascending = np.sort(np.array([value for value in p if value is not None], dtype=np.float64))
    scaled = ascending * (len(ascending) / np.arange(1, len(ascending) + 1))
    least = np.minimum.accumulate(scaled[::-1])[::-1].clip(max=1.0)
    q = dict(zip(ascending.tolist(), least.tolist(), strict=True))
    return [None if value is None else q[value] for value in p]
