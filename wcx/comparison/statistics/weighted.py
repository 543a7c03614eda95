"""Pearson's, Spearman's and Kendall's coefficients of points that count several times: of samples and of resamples.

A resample is a number for each point: how often it was drawn. Ranks and signs of a resample follow from these by sums
of whole numbers, which are exact in any order; Pearson's sums are added point after point. Definitions: Spearman is
Pearson of average ranks; Kendall is tau-b, Biometrika 33 (1945), 239; both as scipy.stats has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.comparison.statistics.transforms import Values

__all__ = ["coefficients"]

Counts = NDArray[Any]  # float32 or float64, whole numbers [points, resamples]
Pairs = Sequence[tuple[int, int]]

_SINGLE = 255  # points up to which n^3 is below 2^24, so that float32 holds every sum
_SINGLE_SQUARES = 4000  # points up to which n^2 is
_POINT_PAIRS = 1 << 20  # of point pairs by resamples, at once


def coefficients(series: Values, pairs: Pairs, counts: NDArray[np.int64], kendall: bool = True) -> Values:
    """Coefficients [3, pairs, resamples] (Pearson, Spearman, Kendall) of pairs of rows of `series` [rows, n].

    counts [n, resamples]: how often each point is in a resample, n in all. NaN where one of the two is constant, and
    for Kendall where it is not wanted.

    >>> coefficients(np.array([[1.0, 2, 3], [1, 3, 2]]), [(0, 1)], np.ones((3, 1), np.int64)).round(3).tolist()
    [[[0.5]], [[0.5]], [[0.333]]]
    """
    size = len(counts)
    whole = counts.astype(np.float32 if size <= _SINGLE else np.float64)
    ranks, untied = _ranks(series, whole)
    out = np.full((3, len(pairs), counts.shape[1]), np.nan)
    constant = np.array([(untied[one] == 0) | (untied[other] == 0) for one, other in pairs])
    out[0] = _pearson(series, pairs, counts.astype(np.float64))
    out[1] = _products(ranks, whole[None] * ranks, pairs)
    if kendall:
        out[2] = _kendall(series, pairs, counts, untied)
    out[:, constant] = np.nan
    clipped: Values = np.clip(out, -1.0, 1.0)
    return clipped


def _ranks(series: Values, counts: Counts) -> tuple[Counts, Values]:
    """Of each row [rows, n, resamples] twice the average rank less n + 1; and n^2 less the squares of ties' sizes."""
    rows, size = series.shape
    order = np.argsort(series, axis=1, kind="stable")
    upto = np.zeros((rows, size + 1, counts.shape[1]), counts.dtype)  # points drawn among the i smallest
    for place in range(size):
        np.add(upto[:, place], counts[order[:, place]], out=upto[:, place + 1])
    ranks = np.empty((rows, *counts.shape), counts.dtype)
    untied = np.empty((rows, counts.shape[1]))
    for row, values in enumerate(series):
        ascending = values[order[row]]
        below = upto[row, np.searchsorted(ascending, values, "left")]
        within = upto[row, np.searchsorted(ascending, values, "right")]
        np.add(below, within, out=ranks[row])
        ranks[row] -= size
        untied[row] = size * size - (counts * (within - below)).sum(axis=0, dtype=counts.dtype).astype(np.float64)
    return ranks, untied


def _pearson(series: Values, pairs: Pairs, counts: Values) -> Values:
    centred = series - series.mean(axis=1, keepdims=True)
    means = np.stack([(row[:, None] * counts).sum(axis=0) for row in centred]) / len(counts)
    deviations = centred[:, :, None] - means[:, None]
    return _products(deviations, counts[None] * deviations, pairs)


def _products(deviations: Counts, weighted: Counts, pairs: Pairs) -> Values:
    """Sum of products [pairs, resamples] over the root of the sums of squares; NaN where there are none."""
    squares = [
        (weighted[row] * deviations[row]).sum(axis=0, dtype=deviations.dtype).astype(np.float64)
        for row in range(len(deviations))
    ]
    out = np.full((len(pairs), deviations.shape[2]), np.nan)
    for place, (one, other) in enumerate(pairs):
        products = (weighted[one] * deviations[other]).sum(axis=0, dtype=deviations.dtype).astype(np.float64)
        scale = np.sqrt(squares[one] * squares[other])
        np.divide(products, scale, out=out[place], where=scale > 0)
    return out


def _kendall(series: Values, pairs: Pairs, counts: NDArray[np.int64], untied: Values) -> Values:
    """tau-b [pairs, resamples]: pairs of points in the same order less those in opposite order, over the untied."""
    size, resamples = counts.shape
    whole: Counts = counts.astype(np.float32 if size <= _SINGLE_SQUARES else np.float64)
    first, second = np.array([one for one, _ in pairs]), np.array([other for _, other in pairs])
    balance = np.zeros((len(pairs), resamples))
    for above, below in _point_pairs(size, max(1, _POINT_PAIRS // max(resamples, len(pairs)))):
        left, right = series[:, above], series[:, below]
        signs = (left > right).astype(np.int8) - (left < right).astype(np.int8)
        agreements = (signs[first] * signs[second]).astype(whole.dtype)
        together: Counts = whole[above] * whole[below]
        balance += agreements @ together
    scale = np.sqrt(untied[first] * untied[second])
    tau: Values = np.divide(2 * balance, scale, out=np.full(balance.shape, np.nan), where=scale > 0)
    return tau


def _point_pairs(size: int, at_once: int) -> Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """All pairs of points, some at once."""
    above, below = np.triu_indices(size, 1)
    return [(above[at : at + at_once], below[at : at + at_once]) for at in range(0, len(above), at_once)]
