"""Measures against columns of the log over one run and in one transform: coefficients, p, intervals, and differences.

Pairs of series that have the same points are taken together, so that they share their resamples. Of a difference of two
correlations, both are over the points that all three series have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wcx.core.comparison import Coefficient, Difference
from wcx.tasks.compare.statistics.bootstrap import Resamples, intervals
from wcx.tasks.compare.statistics.coefficients import kendall, linear_and_ranked
from wcx.tasks.compare.statistics.records import COEFFICIENTS
from wcx.tasks.compare.statistics.significance import (
    Ties,
    autocorrelations,
    effective_points,
    kendall_p,
    kendall_spread,
    student_p,
)
from wcx.tasks.compare.statistics.transforms import Flags, Values, present, transformed

FEWEST_POINTS = 3  # below which there is no coefficient
_CELLS = 1 << 18  # numbers of one kind at once: rows by points by resamples
_DRAWS = 1 << 19  # coefficients of resamples at once
_KENDALL = COEFFICIENTS.index("kendall")


@dataclass(frozen=True, slots=True)
class Related:
    """A measure against a column: points, effective ones, and the three coefficients."""

    points: int
    effective: float | None
    values: tuple[Coefficient, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """Two measures against one column. coefficients: of the one and of the other, over the points of all three."""

    points: int
    coefficients: tuple[tuple[float | None, float | None], ...]
    values: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Correlations:
    """By number: related[measure, column] and compared[measure, other measure, column]."""

    related: dict[tuple[int, int], Related]
    compared: dict[tuple[int, int, int], Compared]


class Run:
    """The columns [columns, n] and times [n] of one run's checkpoints in their order, and the resamples of them."""

    def __init__(self, columns: Values, times: Values, resamples: int, seed: int) -> None:
        self._columns = columns
        self._times = times
        self._number = resamples
        self._seed = seed
        self._resamples: dict[int, Resamples] = {}

    def correlate(
        self,
        measures: Values,
        wanted: Sequence[int],
        against: Sequence[tuple[int, int]],
        transform: str,
        kendall_limit: int,
    ) -> Correlations:
        """Rows `wanted` of measures [rows, n] against every column, and pairs of rows with each other.

        kendall_limit: points above which Kendall's tau has no interval.
        """
        found = Correlations({}, {})
        for columns in self._batches(len(measures)):
            for points, related, compared in self._alike(measures, wanted, against, columns, transform):
                self._relate(measures, points, related, compared, transform, kendall_limit, found)
        return found

    def _batches(self, rows: int) -> Iterator[range]:
        """Columns of which so many are in memory together."""
        count = len(self._columns)
        step = max(1, _DRAWS // max(1, rows * len(COEFFICIENTS) * self._number))
        yield from (range(at, min(at + step, count)) for at in range(0, count, step))

    def _alike(
        self,
        measures: Values,
        wanted: Sequence[int],
        against: Sequence[tuple[int, int]],
        columns: range,
        transform: str,
    ) -> Iterator[tuple[Flags, list[tuple[int, int]], list[tuple[int, int, int]]]]:
        """The pairs and triples of series by the points that they have, in order of the first."""
        rows, of_columns = present(measures, transform), present(self._columns, transform)
        alike: dict[bytes, tuple[Flags, list[tuple[int, int]], list[tuple[int, int, int]]]] = {}
        for column in columns:
            for row in wanted:
                points = rows[row] & of_columns[column]
                alike.setdefault(points.tobytes(), (points, [], []))[1].append((row, column))
            for one, other in against:
                points = rows[one] & rows[other] & of_columns[column]
                alike.setdefault(points.tobytes(), (points, [], []))[2].append((one, other, column))
        yield from alike.values()

    def _relate(
        self,
        measures: Values,
        points: Flags,
        related: list[tuple[int, int]],
        compared: list[tuple[int, int, int]],
        transform: str,
        kendall_limit: int,
        found: Correlations,
    ) -> None:
        """All of one set of points."""
        both = [(row, column) for one, other, column in compared for row in (one, other)]
        pairs = list(dict.fromkeys([*related, *both]))
        at = {pair: place for place, pair in enumerate(pairs)}
        series, places = self._series(measures, pairs, points, transform)
        r, draws = self._coefficients(series, places, kendall_limit)
        for pair, values in zip(related, _related(series, places, r, draws), strict=False):  # those come first
            found.related[pair] = values
        sides = [(at[one, column], at[other, column]) for one, other, column in compared]
        for triple, difference in zip(compared, _compared(series.shape[1], sides, r, draws), strict=True):
            found.compared[triple] = difference

    def _series(
        self, measures: Values, pairs: list[tuple[int, int]], points: Flags, transform: str
    ) -> tuple[Values, list[tuple[int, int]]]:
        """The measures and columns that occur in pairs, transformed, and the pairs as places of these."""
        rows = list(dict.fromkeys(row for row, _ in pairs))
        columns = list(dict.fromkeys(column for _, column in pairs))
        known = np.concatenate([measures[rows], self._columns[columns]])[:, points]
        row_at = {row: place for place, row in enumerate(rows)}
        column_at = {column: len(rows) + place for place, column in enumerate(columns)}
        places = [(row_at[row], column_at[column]) for row, column in pairs]
        return transformed(known, self._times[points], transform), places

    def _coefficients(self, series: Values, pairs: list[tuple[int, int]], kendall_limit: int) -> tuple[Values, Values]:
        """The coefficients [3, pairs], and those of every resample [3, pairs, resamples]."""
        points = series.shape[1]
        if points < FEWEST_POINTS:
            draws = np.full((len(COEFFICIENTS), len(pairs), 0), np.nan)
            return np.full(draws.shape[:2], np.nan), draws
        if points not in self._resamples:
            self._resamples[points] = Resamples(points, self._number, self._seed)
        return _of_sample(series, pairs), _of_resamples(series, pairs, self._resamples[points], kendall_limit)


def _of_sample(series: Values, pairs: list[tuple[int, int]]) -> Values:
    """The coefficients [3, pairs] of the points themselves."""
    once = np.ones((series.shape[1], 1), np.int64)
    return np.stack([*linear_and_ranked(series, pairs, once), kendall(series, pairs, once)])[:, :, 0]


def _of_resamples(series: Values, pairs: list[tuple[int, int]], resamples: Resamples, kendall_limit: int) -> Values:
    """The coefficients [3, pairs, resamples]."""
    rows, points = series.shape
    draws = np.full((len(COEFFICIENTS), len(pairs), resamples.number), np.nan)
    if not resamples.number:
        return draws
    for begin, end in _slices(resamples.number, _CELLS // (rows * points)):
        draws[:_KENDALL, :, begin:end] = linear_and_ranked(series, pairs, resamples.counts(begin, end))
    if points <= kendall_limit:
        for begin, end in _slices(resamples.number, _CELLS // points):
            draws[_KENDALL, :, begin:end] = kendall(series, pairs, resamples.counts(begin, end))
    return draws


def _slices(number: int, step: int) -> Iterator[tuple[int, int]]:
    """From 0 to number, so many at once."""
    step = max(1, step)
    yield from ((begin, min(begin + step, number)) for begin in range(0, number, step))


def _related(series: Values, pairs: list[tuple[int, int]], r: Values, draws: Values) -> list[Related]:
    """Every pair with p and intervals."""
    points = series.shape[1]
    effective = _effective(series, pairs) if points >= FEWEST_POINTS else np.full(len(pairs), np.nan)
    p = student_p(r, np.broadcast_to(effective, r.shape))
    if points >= FEWEST_POINTS:
        ties = [Ties(row) for row in series]
        spread = np.array([kendall_spread(points, ties[one], ties[other]) for one, other in pairs])
        p[_KENDALL] = kendall_p(r[_KENDALL], effective, spread, points)
    ci = [intervals(of_kind) for of_kind in draws]
    return [
        Related(
            points,
            _known(effective[pair]),
            tuple(
                Coefficient(_known(r[kind, pair]), _known(p[kind, pair]), None, ci[kind][pair])
                for kind in range(len(COEFFICIENTS))
            ),
        )
        for pair in range(len(pairs))
    ]


def _effective(series: Values, pairs: list[tuple[int, int]]) -> Values:
    """Effective points of each pair; NaN where a series is constant."""
    lags = autocorrelations(series).tolist()
    return np.array([effective_points(series.shape[1], lags[one], lags[other]) for one, other in pairs])


def _compared(points: int, sides: list[tuple[int, int]], r: Values, draws: Values) -> list[Compared]:
    """Every two pairs of which one is taken from the other."""
    one, other = [first for first, _ in sides], [second for _, second in sides]
    differences, strengths = _both_differences(r[:, one], r[:, other])
    of_draws = [_both_differences(of_kind[one], of_kind[other]) for of_kind in draws]
    ci = [(intervals(difference), intervals(strength)) for difference, strength in of_draws]
    kinds = range(len(COEFFICIENTS))
    return [
        Compared(
            points,
            tuple((_known(r[kind, first]), _known(r[kind, second])) for kind in kinds),
            tuple(
                Difference(_known(differences[kind, at]), ci[kind][0][at], _known(strengths[kind, at]), ci[kind][1][at])
                for kind in kinds
            ),
        )
        for at, (first, second) in enumerate(sides)
    ]


def _both_differences(one: Values, other: Values) -> tuple[Values, Values]:
    """Of coefficients, and of their absolute values."""
    return one - other, np.abs(one) - np.abs(other)


def _known(value: np.float64) -> float | None:
    """A number, or None for NaN."""
    number = float(value)
    return None if number != number else number
