"""Sums over discrete distributions: how far from the mode they go, and logarithms of whole numbers.

Weights are built from the mode outward by the ratio of neighbours and are cut where they fall below 1e-20 of the
mode's. log2 of a whole number comes from one table made with math.log2, so that it is the same wherever it is used.
"""

from __future__ import annotations

from math import log, log1p, log2, sqrt

import numpy as np
from numpy.typing import NDArray

SMALLEST_WEIGHT = 1e-20
"""Weights below this share of the mode's are left out."""

_LN2 = log(2.0)
_TABLED = 1 << 17
_NATS = 47.0  # a little more than -log(1e-20)
_table: NDArray[np.float64] = np.zeros(0)


def reach(mean: float) -> int:
    """Steps up from the mode to where a Poisson weight of that mean is below 1e-20 of the mode's.

    By -log of the weight at mean + d, (mean + d) log(1 + d / mean) - d, which is convex: Newton's steps from above.
    Binomial and hypergeometric weights of the same mean fall faster.
    """
    mean = max(mean, 1e-3)
    steps = 17 + sqrt(260 + 94 * mean)
    for _ in range(4):
        steps -= ((mean + steps) * log1p(steps / mean) - steps - _NATS) / log1p(steps / mean)
    return int(steps) + 3


def log2_of_whole(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log2 of an array of whole numbers >= 0, with 0 for 0; of large ones one by one."""
    global _table
    top = int(numbers.max(initial=0))
    if top >= _TABLED:
        logs = log2_of_whole(np.minimum(numbers, _TABLED - 1))
        large = numbers >= _TABLED
        logs[large] = [log2(number) for number in numbers[large].tolist()]
        return logs
    if top >= _table.size:
        _table = np.array([0.0, *map(log2, range(1, max(4096, min(2 * top, _TABLED))))])
    tabled: NDArray[np.float64] = _table[numbers.astype(np.int64)]
    return tabled


def surprise(count: int, total: int) -> float:
    """Return -p log2 p with p = count / total; by log1p above one half, where log2 would lose the digits near 0."""
    share = count / total
    if 2 * count > total:
        return -share * log1p(-(total - count) / total) / _LN2
    return -share * log2(share)
