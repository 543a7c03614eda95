"""Measures against columns of the log over one run and in one transform: coefficients, p, intervals, and differences.

Pairs of series with the same points are computed together, so that they share their resamples. Both correlations of a
difference are over the points that all three series have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from wcx.core.comparison import Coefficient, Difference
from wcx.tasks.compare.statistics.bootstrap import Resamples, intervals
from wcx.tasks.compare.statistics.coefficients import Pairs, kendall, linear_and_ranked
from wcx.tasks.compare.statistics.records import COEFFICIENTS, Sides
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
_CELLS = 1 << 18  # numbers of one coefficient at once: rows by points by resamples
_DRAWS = 1 << 19  # coefficients of resamples at once
_KENDALL = COEFFICIENTS.index("kendall")
Pair = tuple[int, int]
"""A measure and a column, by index."""
Triple = tuple[int, int, int]
"""Two measures and a column, by index."""


@dataclass(frozen=True, slots=True)
class PairStatistics:
    """A measure against a column: points, effective ones, and the three coefficients."""

    points: int
    effective: float | None
    coefficients: tuple[Coefficient, ...]


@dataclass(frozen=True, slots=True)
class TripleStatistics:
    """Two measures against one column. sides: the correlations of both, over the points of all three."""

    points: int
    sides: Sides
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class RunColumns:
    """The columns [columns, n] and times [n] of one run's checkpoints in their order, and the resamples of them."""

    columns: Values
    times: Values
    resamples: int
    seed: int
    _drawn: dict[int, Resamples] = field(default_factory=dict)

    def correlate(
        self, measures: Values, wanted: int, against: Sequence[Pair], transform: str, kendall_limit: int
    ) -> tuple[dict[Pair, PairStatistics], dict[Triple, TripleStatistics]]:
        """Return the first `wanted` of measures [rows, n] against every column, and pairs of rows with each other.

        kendall_limit: points above which Kendall's tau has no interval.
        """
        related: dict[Pair, PairStatistics] = {}
        compared: dict[Triple, TripleStatistics] = {}
        step = _DRAWS // max(1, len(measures) * len(COEFFICIENTS) * self.resamples)
        for columns in _slices(len(self.columns), step):
            for points, pairs, triples in self._by_points(measures, wanted, against, columns, transform):
                sides = [[(row, column) for row in rows] for *rows, column in triples]
                every = list(dict.fromkeys([*pairs, *(pair for both in sides for pair in both)]))
                series, rows = self._series(measures, every, points, transform)
                r, draws = self._coefficients(series, rows, kendall_limit)
                own = len(pairs)  # those come first
                statistics = _pair_statistics(series, rows[:own], r[:, :own], draws[:, :own])
                related |= zip(pairs, statistics, strict=True)
                at = {pair: index for index, pair in enumerate(every)}
                first, second = ([at[both[side]] for both in sides] for side in (0, 1))
                compared |= zip(triples, _triple_statistics(series.shape[1], first, second, r, draws), strict=True)
        return related, compared

    def _by_points(
        self, measures: Values, wanted: int, against: Sequence[Pair], columns: range, transform: str
    ) -> Iterator[tuple[Flags, list[Pair], list[Triple]]]:
        """Yield the pairs and triples of series by the points that they have, in order of the first."""
        rows, of_columns = present(measures, transform), present(self.columns, transform)
        alike: dict[bytes, tuple[Flags, list[Pair], list[Triple]]] = {}
        for column in columns:
            for row in range(wanted):
                points = rows[row] & of_columns[column]
                alike.setdefault(points.tobytes(), (points, [], []))[1].append((row, column))
            for first, second in against:
                points = rows[first] & rows[second] & of_columns[column]
                alike.setdefault(points.tobytes(), (points, [], []))[2].append((first, second, column))
        yield from alike.values()

    def _series(
        self, measures: Values, pairs: Sequence[Pair], points: Flags, transform: str
    ) -> tuple[Values, list[Pair]]:
        """Return the measures and columns that occur in pairs, transformed, and the pairs by their rows."""
        rows = list(dict.fromkeys(row for row, _ in pairs))
        columns = list(dict.fromkeys(column for _, column in pairs))
        known = np.concatenate([measures[rows], self.columns[columns]])[:, points]
        row_at = {row: index for index, row in enumerate(rows)}
        column_at = {column: index for index, column in enumerate(columns, len(rows))}
        return transformed(known, self.times[points], transform), [(row_at[r], column_at[c]) for r, c in pairs]

    def _coefficients(self, series: Values, pairs: Pairs, kendall_limit: int) -> tuple[Values, Values]:
        """Return the coefficients [3, pairs], and those of every resample [3, pairs, resamples]."""
        points = series.shape[1]
        if points < FEWEST_POINTS:
            draws = np.full((len(COEFFICIENTS), len(pairs), 0), np.nan)
            return np.full(draws.shape[:2], np.nan), draws
        if points not in self._drawn:
            self._drawn[points] = Resamples(points, self.resamples, self.seed)
        once = np.ones((points, 1), np.int64)
        r = np.stack([*linear_and_ranked(series, pairs, once), kendall(series, pairs, once)])[:, :, 0]
        return r, _of_resamples(series, pairs, self._drawn[points], kendall_limit)


def _of_resamples(series: Values, pairs: Pairs, resamples: Resamples, kendall_limit: int) -> Values:
    """Return the coefficients [3, pairs, resamples]."""
    rows, points = series.shape
    draws = np.full((len(COEFFICIENTS), len(pairs), resamples.count), np.nan)
    for part in _slices(resamples.count, _CELLS // (rows * points)):
        draws[:_KENDALL, :, part.start : part.stop] = linear_and_ranked(
            series, pairs, resamples.counts(part.start, part.stop)
        )
    if points <= kendall_limit:
        for part in _slices(resamples.count, _CELLS // points):
            draws[_KENDALL, :, part.start : part.stop] = kendall(series, pairs, resamples.counts(part.start, part.stop))
    return draws


def _slices(count: int, step: int) -> Iterator[range]:
    """Yield the indices from 0 to count, at most `step` at once."""
    step = max(1, step)
    yield from (range(begin, min(begin + step, count)) for begin in range(0, count, step))


def _pair_statistics(series: Values, pairs: Pairs, r: Values, draws: Values) -> Iterator[PairStatistics]:
    """Yield every pair with p and intervals."""
    points = series.shape[1]
    effective = np.full(len(pairs), np.nan)
    if points >= FEWEST_POINTS:
        lags = autocorrelations(series).tolist()
        effective[:] = [effective_points(points, lags[row], lags[column]) for row, column in pairs]
    p = student_p(r, np.broadcast_to(effective, r.shape))
    if points >= FEWEST_POINTS:
        ties = [Ties(row) for row in series]
        spread = np.array([kendall_spread(points, ties[row], ties[column]) for row, column in pairs])
        p[_KENDALL] = kendall_p(r[_KENDALL], effective, spread, points)
    ci = [intervals(coefficient) for coefficient in draws]
    for pair in range(len(pairs)):
        values = zip(r[:, pair], p[:, pair], ci, strict=True)
        coefficients = tuple(Coefficient(_known(r), _known(p), None, intervals[pair]) for r, p, intervals in values)
        yield PairStatistics(points, _known(effective[pair]), coefficients)


def _triple_statistics(
    points: int, first: list[int], second: list[int], r: Values, draws: Values
) -> Iterator[TripleStatistics]:
    """Yield the differences of the coefficients `first` and `second`, by index."""
    r_first, r_second = r[:, first], r[:, second]
    differences, strengths = _differences(r_first, r_second)
    ci = [[intervals(drawn) for drawn in _differences(each[first], each[second])] for each in draws]
    for at in range(len(first)):
        yield TripleStatistics(
            points,
            tuple((_known(a), _known(b)) for a, b in zip(r_first[:, at], r_second[:, at], strict=True)),
            tuple(
                Difference(_known(difference), ci_difference[at], _known(strength), ci_strength[at])
                for difference, strength, (ci_difference, ci_strength) in zip(
                    differences[:, at], strengths[:, at], ci, strict=True
                )
            ),
        )


def _differences(first: Values, second: Values) -> tuple[Values, Values]:
    """Return the differences of coefficients, and of their absolute values."""
    return first - second, np.abs(first) - np.abs(second)


def _known(value: np.float64) -> float | None:
    """Return a number, or None for NaN."""
    return None if np.isnan(value) else float(value)
