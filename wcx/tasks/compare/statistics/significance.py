"""How many independent points a pair of series is worth, the p-values that follow, and their correction over layers.

Effective points: Bartlett, J. R. Stat. Soc. 98 (1935), 536; Quenouille, Associated Measurements (1952). p-values as
scipy.stats has them, with the effective points in place of all. q: Benjamini & Hochberg, J. R. Stat. Soc. B 57 (1995).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from wcx.tasks.compare.statistics.transforms import Values


class Ties:
    """What ties of a series [n] take from the variance of tau; of groups of t equal values."""

    def __init__(self, series: Values) -> None:
        _, sizes = np.unique(series, return_counts=True)
        groups = [int(size) for size in sizes if size > 1]
        self.pairs = sum(size * (size - 1) // 2 for size in groups)
        self.triples = sum(size * (size - 1) * (size - 2) for size in groups)
        self.variance = sum(size * (size - 1) * (2 * size + 5) for size in groups)


def autocorrelations(series: Values) -> Values:
    """Lag-1 autocorrelation of each row [rows, n]: products of neighbours' deviations over their squares.

    NaN where a row is constant.

    >>> autocorrelations(np.array([[1.0, 2.0, 3.0, 4.0]])).tolist()
    [0.25]
    """
    centred = series - series.mean(axis=1, keepdims=True)
    power = (centred * centred).sum(axis=1)
    products = (centred[:, 1:] * centred[:, :-1]).sum(axis=1)
    lags: Values = np.divide(products, power, out=np.full(len(series), np.nan), where=power > 0)
    return lags


def effective_points(points: int, one: float, other: float) -> float:
    """Return n (1 - r1 r2) / (1 + r1 r2), at least 2 and at most n, for lag-1 autocorrelations r1 and r2.

    >>> round(effective_points(50, 0.9, 0.9), 6), effective_points(50, 0.5, -0.5)
    (5.248619, 50.0)
    """
    product = one * other
    if math.isnan(product):
        return math.nan
    return float(min(max(points * (1 - product) / (1 + product), 2.0), points))


def student_p(r: Values, effective: Values) -> Values:
    """Two-sided p of Pearson's or Spearman's r by Student's t with effective - 2 degrees.

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
    """Two-sided p of tau-b by the normal approximation.

    spread: sd of tau were the points independent and the two unrelated, ties counted. It grows as that without ties,
    sqrt(2 (2 n + 5) / (9 n (n - 1))), does from `points` to the effective points.
    """
    from scipy.special import erfc

    usable = np.isfinite(tau) & (effective > 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(tau) / (spread * np.sqrt(_variance(effective) / _variance(np.array(float(points)))))
    p: Values = erfc(np.where(usable, z, 0.0) / np.sqrt(2.0))
    return np.where(usable, p, np.nan)


def kendall_spread(points: int, one: Ties, other: Ties) -> float:
    """The sd of tau-b of so many independent points of two unrelated series; NaN where one is constant.

    Kendall, Rank Correlation Methods (1970), section 4.4; scipy.stats.kendalltau with method="asymptotic" has the same.

    >>> round(kendall_spread(10, Ties(np.arange(10.0)), Ties(np.arange(10.0))), 6)
    0.248452
    """
    ordered = points * (points - 1)
    untied = (ordered // 2 - one.pairs) * (ordered // 2 - other.pairs)
    if not untied or points < 3:
        return math.nan
    variance = (ordered * (2 * points + 5) - one.variance - other.variance) / 18
    variance += 2 * one.pairs * other.pairs / ordered
    variance += one.triples * other.triples / (9 * ordered * (points - 2))
    return math.sqrt(variance / untied)


def _variance(points: Values) -> Values:
    """Variance of tau of so many independent, untied points of unrelated series."""
    variance: Values = 2 * (2 * points + 5) / (9 * points * (points - 1))
    return variance


def false_discovery(p: Sequence[float | None]) -> list[float | None]:
    """Benjamini and Hochberg's q of each p: the least of m p(i) / i over all that are no smaller; None stays None.

    >>> false_discovery([0.01, None, 0.04, 0.03])
    [0.03, None, 0.04, 0.04]
    """
    known = [value for value in p if value is not None]
    ascending = np.sort(np.array(known))
    scaled = ascending * (len(known) / np.arange(1, len(known) + 1))
    least = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    found = dict(zip(ascending.tolist(), least.tolist(), strict=True))
    return [None if value is None else found[value] for value in p]
