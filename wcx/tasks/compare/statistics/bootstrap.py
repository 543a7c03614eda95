"""The moving-block bootstrap: the spread of a coefficient over trainings made of the same pieces in another order.

Kuensch, Annals of Statistics 17 (1989), 1217: overlapping blocks of neighbouring points are drawn with replacement and
laid end to end, so that resamples keep the dependence of neighbours. Intervals are of percentiles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wcx.tasks.compare.statistics.transforms import Values

FEWEST = 8  # points below which there is no interval
_TAIL = 0.025


def block_length(points: int) -> int:
    """Return the number of neighbours drawn together: max(2, the cube root of the number of points, rounded up).

    >>> [block_length(points) for points in (8, 9, 27, 28, 31, 1000, 1001)]
    [2, 3, 3, 4, 4, 10, 11]
    """
    length = 2
    while length**3 < points:
        length += 1
    return length


class Resamples:
    """The resamples of `points` points by the first points of their blocks; equal for equal seeds and numbers."""

    def __init__(self, points: int, resamples: int, seed: int) -> None:
        self._points = points
        self.count = resamples if points >= FEWEST else 0
        self._length = block_length(points)
        blocks = -(-points // self._length)
        random = np.random.default_rng([seed, points])
        self._starts = random.integers(0, max(1, points - self._length + 1), (self.count, blocks))

    def counts(self, begin: int, end: int) -> NDArray[np.int64]:
        """Return how often each point is in the resamples from begin to end: [points, resamples], n in each column."""
        starts = self._starts[begin:end]
        drawn = (starts[:, :, None] + np.arange(self._length)).reshape(len(starts), -1)[:, : self._points]
        cells = drawn + self._points * np.arange(len(starts))[:, None]
        counts = np.bincount(cells.ravel(), minlength=len(starts) * self._points).reshape(len(starts), self._points)
        return np.ascontiguousarray(counts.T)


def intervals(draws: Values) -> list[tuple[float, float] | None]:
    """Return the 95 % interval of each row of draws [rows, resamples]: percentiles 2.5 and 97.5, linearly interpolated.

    NaN, a resample in which a series is constant, is left out; None where more than half are, or with no draw at all.

    >>> intervals(np.arange(41.0)[None])
    [(1.0, 39.0)]
    """
    if not draws.shape[1]:
        return [None] * len(draws)
    ascending = np.sort(draws, axis=1)  # NaN last
    known = np.count_nonzero(~np.isnan(draws), axis=1)
    low, high = _at(ascending, known, _TAIL).tolist(), _at(ascending, known, 1 - _TAIL).tolist()
    enough = (2 * known >= draws.shape[1]).tolist()
    return [(low[row], high[row]) if enough[row] else None for row in range(len(draws))]


def _at(ascending: Values, known: NDArray[np.intp], share: float) -> Values:
    """Return the quantile of the first `known` values of each row."""
    last = np.maximum(known - 1, 0)
    rank = share * last
    lower = np.floor(rank).astype(np.intp)
    upper = np.minimum(lower + 1, last)
    rows = np.arange(len(ascending))
    left, right = ascending[rows, lower], ascending[rows, upper]
    quantile: Values = left + (right - left) * (rank - lower)
    return quantile
