"""Pearson's, Spearman's and Kendall's coefficients of points that count several times: of samples and of resamples.

A resample is a number for each point: how often it was drawn. Ranks and signs of a resample follow from these by sums
of whole numbers, which are exact in any order; Pearson's sums are added point after point. Definitions: Spearman is
Pearson of average ranks; Kendall is tau-b, Biometrika 33 (1945), 239; both as scipy.stats has them.

All functions take series [rows, n], pairs of rows, and counts [n, resamples] whose columns add up to n; they return
[pairs, resamples], NaN where one of the two series is constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.tasks.compare.statistics.transforms import Values

Counts = NDArray[np.int64]
Whole = NDArray[Any]  # whole numbers as float32 or float64
Pairs = Sequence[tuple[int, int]]
_EXACT_CUBES = 255  # points up to which n^3 is below 2^24, so that float32 holds every sum of ranks' products
_EXACT_SQUARES = 4000  # and n^2


def linear_and_ranked(series: Values, pairs: Pairs, counts: Counts) -> tuple[Values, Values]:
    """Return Pearson's and Spearman's coefficients.

    >>> linear_and_ranked(np.array([[1.0, 2, 3], [1, 9, 5]]), [(0, 1)], np.ones((3, 1), np.int64))
    (array([[0.5]]), array([[0.5]]))
    """
    spearman = _spearman(series, pairs, counts)
    pearson = _pearson(series, pairs, counts.astype(np.float64))
    pearson[np.isnan(spearman)] = np.nan  # constant, whatever rounding says
    return pearson, spearman


def _pearson(series: Values, pairs: Pairs, counts: Values) -> Values:
    centred = series - series.mean(axis=1, keepdims=True)
    deviations = [row[:, None] - (row[:, None] * counts).sum(axis=0) / len(counts) for row in centred]
    return _cosines(deviations, counts, pairs)


def _spearman(series: Values, pairs: Pairs, counts: Counts) -> Values:
    whole = counts.astype(np.float32 if len(counts) <= _EXACT_CUBES else np.float64)
    return _cosines([_ranks(row, whole) for row in series], whole, pairs)


def _ranks(values: Values, counts: Whole) -> Whole:
    """Return twice the average rank of each point among those drawn, less n + 1."""
    order = np.argsort(values, kind="stable")
    upto = np.zeros((len(values) + 1, counts.shape[1]), counts.dtype)  # points drawn among the i smallest
    np.cumsum(counts[order], axis=0, out=upto[1:])
    ascending = values[order]
    ranks: Whole = upto[np.searchsorted(ascending, values, "left")]
    ranks += upto[np.searchsorted(ascending, values, "right")]
    ranks -= len(values)
    return ranks


def _cosines(deviations: Sequence[Whole], counts: Whole, pairs: Pairs) -> Values:
    """Return sums of products over the roots of the sums of squares, each point with its count."""
    weighted = [counts * row for row in deviations]
    squares = [(times * row).sum(axis=0) for times, row in zip(weighted, deviations, strict=True)]
    out = np.full((len(pairs), counts.shape[1]), np.nan)
    for index, (first, second) in enumerate(pairs):
        products = (weighted[first] * deviations[second]).sum(axis=0)
        scale = np.sqrt(squares[first].astype(np.float64) * squares[second])
        np.divide(products, scale, out=out[index], where=scale > 0)
    return np.clip(out, -1.0, 1.0, out=out)


def kendall(series: Values, pairs: Pairs, counts: Counts) -> Values:
    """Return tau-b: pairs of points in the same order less those in opposite order, over the untied.

    >>> kendall(np.array([[1.0, 2, 3], [1, 9, 5]]), [(0, 1)], np.ones((3, 1), np.int64)).round(6).tolist()
    [[0.333333]]
    """
    size = len(counts)
    whole: Whole = counts.astype(np.float32 if size <= _EXACT_SQUARES else np.float64)
    first, second = np.array(pairs).T
    balance = np.zeros((len(pairs), counts.shape[1]), whole.dtype)
    for point in range(size - 1):
        signs = np.sign(series[:, point + 1 :] - series[:, point, None]).astype(whole.dtype)
        agreements: Whole = (signs[first] * signs[second]) @ whole[point + 1 :]
        agreements *= whole[point]
        balance += agreements
    untied = np.stack([_untied(row, counts) for row in series])
    scale = np.sqrt(untied[first] * untied[second])
    tau: Values = np.divide(2.0 * balance, scale, out=np.full(balance.shape, np.nan), where=scale > 0)
    return np.clip(tau, -1.0, 1.0, out=tau)


def _untied(values: Values, counts: Counts) -> Values:
    """Return the number of untied ordered pairs of drawn points: n^2 less the squares of the sizes of ties."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-np.inf))
    ties = np.add.reduceat(counts[order], starts, axis=0)
    untied: Values = (len(values) ** 2 - (ties * ties).sum(axis=0)).astype(np.float64)
    return untied
