"""The nearest row of a column of the log for each checkpoint.

A checkpoint takes the value of the nearest row that has one, of those rows that are nearer to it than to any other
checkpoint. A row midway between two belongs to the later one, which it was logged before; of two equally near rows the
earlier is taken. The first and the last checkpoint reach outward half the distance to their neighbour, so that a log
that ends early does not lend its last value to later checkpoints; a single checkpoint reaches everything. Of several
rows with one step the last written counts. Nothing is interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wcx.tasks.compare.logs.roles import LogColumn

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LoggedValues:
    """A column's values by ascending step, one a step. rows: of the log; dropped: rows that a later one replaced."""

    steps: Floats
    values: Floats
    rows: Integers
    dropped: Integers


@dataclass(frozen=True, slots=True)
class NearestRows:
    """The value, distance and row that each checkpoint takes from one column, NaN and -1 where there is none.

    closest: distance of the nearest row, however far.
    """

    values: Floats
    distances: Floats
    rows: Integers
    closest: Floats


def last_written(row_steps: Floats, column: LogColumn) -> LoggedValues:
    """Return the values of a column by step; row_steps: of every row of the log, NaN where it has none."""
    rows = np.frombuffer(column.rows, np.int64)
    values = np.frombuffer(column.values)
    steps = row_steps[rows]
    has_step = ~np.isnan(steps)
    rows, values, steps = rows[has_step], values[has_step], steps[has_step]
    order = np.argsort(steps, kind="stable")  # rows ascend, so the last of equal steps was written last
    rows, values, steps = rows[order], values[order], steps[order]
    is_last = np.append(steps[1:] != steps[:-1], True)[: len(steps)]
    return LoggedValues(steps[is_last], values[is_last], rows[is_last], rows[~is_last])


def reach(numbers: Floats) -> tuple[Floats, Floats]:
    """Return the steps between which each checkpoint takes rows: from the first on, up to and without the second."""
    distinct = np.unique(numbers[~np.isnan(numbers)])
    if len(distinct) < 2:
        return np.full(len(numbers), -np.inf), np.full(len(numbers), np.inf)
    middles = (distinct[1:] + distinct[:-1]) / 2
    first = distinct[0] - (middles[0] - distinct[0])
    last = np.nextafter(distinct[-1] + (distinct[-1] - middles[-1]), np.inf)  # the end itself is reached
    at = np.searchsorted(distinct, np.where(np.isnan(numbers), distinct[0], numbers))
    return np.append(first, middles)[at], np.append(middles, last)[at]


def nearest_rows(logged: LoggedValues, numbers: Floats, low: Floats, high: Floats) -> NearestRows:
    """Return the rows that checkpoints take. numbers: of the checkpoints, NaN without; low, high: their reach."""
    values, distances, closest = np.full((3, len(numbers)), np.nan)
    rows = np.full(len(numbers), -1)
    steps = logged.steps
    if len(steps):
        known = np.flatnonzero(~np.isnan(numbers))
        nearest = _nearest(steps, numbers[known], np.zeros_like(known), np.full_like(known, len(steps)))
        closest[known] = np.abs(steps[nearest] - numbers[known])
        begin, end = np.searchsorted(steps, low[known]), np.searchsorted(steps, high[known])
        reached = begin < end
        at = known[reached]
        nearest = _nearest(steps, numbers[at], begin[reached], end[reached])
        values[at] = logged.values[nearest]
        distances[at] = np.abs(steps[nearest] - numbers[at])
        rows[at] = logged.rows[nearest]
    return NearestRows(values, distances, rows, closest)


def _nearest(steps: Floats, numbers: Floats, begin: Integers, end: Integers) -> Integers:
    """Return the indices of the steps from begin to end that are nearest to the numbers, the earlier of equals."""
    after = np.clip(np.searchsorted(steps, numbers), begin, end)
    left, right = np.maximum(after - 1, begin), np.minimum(after, end - 1)
    return np.where(numbers - steps[left] <= steps[right] - numbers, left, right)
