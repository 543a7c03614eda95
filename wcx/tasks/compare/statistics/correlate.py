"""All statistics of a comparison: every measure against every column of the log, run by run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wcx.core.comparison import Correlation, CorrelationDifference, Series
from wcx.core.text import escape
from wcx.scan.threads import map_ordered
from wcx.tasks.compare.statistics.across_runs import fisher_means
from wcx.tasks.compare.statistics.baselines import baselines_of
from wcx.tasks.compare.statistics.bootstrap import FEWEST, block_length
from wcx.tasks.compare.statistics.conclusions import conclude
from wcx.tasks.compare.statistics.pairs import FEWEST_POINTS, RunColumns
from wcx.tasks.compare.statistics.records import COEFFICIENTS, Correlated, Measured, Sides
from wcx.tasks.compare.statistics.significance import false_discovery
from wcx.tasks.compare.statistics.smoothing import smoothed
from wcx.tasks.compare.statistics.transforms import TRANSFORMS, Values

RESAMPLES = 2000
_MOST_THREADS = 4  # each has some 20 MiB of resamples in hand
_AHEAD = 8
_KENDALL_LIMITS = {"layer": 200}  # points above which tau has no interval: it takes n^2 sums a resample
_KENDALL_LIMIT = 1000
_Key = tuple[int, int, int, int]
"""Measure, baseline, column and transform by index: the order of the results."""
_Difference = tuple[CorrelationDifference, Sides]


def correlate(
    measured: Sequence[Measured],
    metrics: Mapping[str, Series],
    steps: Sequence[float | None],
    groups: Sequence[str | None],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    smooth: str | None = None,
    threads: int = 1,
    on_start: Callable[[int], None] = lambda _steps: None,
    on_step: Callable[[], None] = lambda: None,
) -> Correlated:
    """Correlate measures with columns of the log: docs/compare.md has every definition.

    measured, metrics: one value a checkpoint, None (or NaN) where there is none. groups: the run of each checkpoint.
    steps: of the checkpoints; where all of a run are there and none is twice, they give the order and the times.
    smooth: sakabe. The same input and seed give the same numbers, whatever the threads.
    """
    baselines = baselines_of(measured)
    bundles = _bundles(measured)
    runs = [_points_of(group, groups, steps) for group in dict.fromkeys(groups)]
    on_start(len(runs) * len(bundles))
    correlations: list[Correlation] = []
    differences: list[_Difference] = []
    for run in runs:
        columns = _matrix(list(metrics.values()), run, bool(smooth))
        in_run = RunColumns(columns, run.times, resamples, seed)
        worker = _RunWorker(run, measured, list(metrics), baselines, bool(smooth), in_run)
        related, compared = _in_threads(worker, bundles, threads, on_step)
        correlations += related
        differences += compared
    correlations = _over_layers(correlations)
    means = fisher_means(correlations, differences) if len(runs) > 1 else []
    public = [difference for difference, _ in differences]
    points = max((correlation.n for correlation in correlations if correlation.transform == "raw"), default=0)
    return Correlated(
        tuple(correlations),
        tuple(public),
        tuple(means),
        tuple(conclude(correlations, public, means, smooth)),
        block_length(points) if points >= FEWEST else None,
        tuple(_notes(runs, correlations, smooth)),
    )


def _in_threads(
    worker: _RunWorker, bundles: Sequence[Sequence[int]], threads: int, on_step: Callable[[], None]
) -> tuple[list[Correlation], list[_Difference]]:
    """Return the results of one run in the order of their keys."""
    related: dict[_Key, Correlation] = {}
    compared: dict[_Key, _Difference] = {}
    for results in map_ordered(lambda: worker, _RunWorker.relate, bundles, min(threads, _MOST_THREADS), _AHEAD):
        on_step()
        related |= results[0]
        compared |= results[1]
    return [related[key] for key in sorted(related)], [compared[key] for key in sorted(compared)]


def _bundles(measured: Sequence[Measured]) -> list[list[int]]:
    """Return the indices of the measures of each plane of each layer or row of the model."""
    bundles: dict[tuple[str, str | None, str | None], list[int]] = {}
    for index, series in enumerate(measured):
        bundles.setdefault((series.scope, series.layer, series.plane), []).append(index)
    return list(bundles.values())


@dataclass(frozen=True, slots=True)
class _RunPoints:
    """The checkpoints of one run by index, in their order, and their times."""

    group: str | None
    indices: list[int]
    times: Values
    by_step: bool


def _points_of(group: str | None, groups: Sequence[str | None], steps: Sequence[float | None]) -> _RunPoints:
    """Return the checkpoints of one run, in order of step where every one has its own."""
    indices = [index for index, name in enumerate(groups) if name == group]
    known = [float(step) for index in indices if (step := steps[index]) is not None]
    if len(set(known)) < len(indices):
        return _RunPoints(group, indices, np.arange(len(indices), dtype=np.float64), False)
    order = sorted(range(len(indices)), key=known.__getitem__)
    return _RunPoints(group, [indices[at] for at in order], np.array(sorted(known)), True)


@dataclass(frozen=True, slots=True)
class _RunWorker:
    """Measures against the columns of one run, a bundle at a time."""

    run: _RunPoints
    measured: Sequence[Measured]
    metrics: Sequence[str]
    baselines: Sequence[Sequence[int]]
    smooth: bool
    columns: RunColumns

    def relate(self, rows: Sequence[int]) -> tuple[dict[_Key, Correlation], dict[_Key, _Difference]]:
        """Return the correlations of one bundle, and their differences to those of the baselines."""
        against = [(row, baseline) for row in rows for baseline in self.baselines[row]]
        every = list(dict.fromkeys([*rows, *(baseline for _, baseline in against)]))
        at = {row: index for index, row in enumerate(every)}
        values = _matrix([self.measured[row].values for row in every], self.run, self.smooth)
        limit = _KENDALL_LIMITS.get(self.measured[rows[0]].scope, _KENDALL_LIMIT)
        pairs = [(at[row], at[baseline]) for row, baseline in against]
        correlations: dict[_Key, Correlation] = {}
        differences: dict[_Key, _Difference] = {}
        for order, transform in enumerate(TRANSFORMS):
            if self.smooth and transform == "log":
                continue
            related, compared = self.columns.correlate(values, len(rows), pairs, transform, limit)
            for (index, column), pair in related.items():
                row = every[index]
                correlations[row, 0, column, order] = Correlation(
                    *self._named(row),
                    self.metrics[column],
                    transform,
                    pair.points,
                    pair.effective,
                    None,
                    *pair.coefficients,
                )
            for (index, other, column), triple in compared.items():
                row, baseline = every[index], every[other]
                difference = CorrelationDifference(
                    *self._named(row),
                    self.measured[baseline].measure,
                    self.metrics[column],
                    transform,
                    triple.points,
                    *triple.differences,
                )
                rank = self.baselines[row].index(baseline)
                differences[row, rank, column, order] = difference, triple.sides
        return correlations, differences

    def _named(self, row: int) -> tuple[str, str | None, str | None, str | None, str]:
        """Return scope, layer, group, plane and measure."""
        series = self.measured[row]
        return series.scope, series.layer, self.run.group, series.plane, series.measure


def _matrix(series: Sequence[Series], run: _RunPoints, smooth: bool) -> Values:
    """Return series [rows, checkpoints of the run], NaN where there is no value."""
    rows = [[math.nan if (value := values[index]) is None else value for index in run.indices] for values in series]
    matrix = np.array(rows, dtype=np.float64).reshape(len(series), len(run.indices))
    return np.array([smoothed(row) for row in matrix]).reshape(matrix.shape) if smooth else matrix


def _over_layers(correlations: Sequence[Correlation]) -> list[Correlation]:
    """Return all with q: Benjamini and Hochberg over the layers of one run, plane, measure, column and transform."""
    families: dict[tuple[str | None, str | None, str, str, str], list[int]] = {}
    for index, row in enumerate(correlations):
        if row.scope == "layer":
            key = row.group, row.plane, row.measure, row.metric, row.transform
            families.setdefault(key, []).append(index)
    corrected = list(correlations)
    for family in families.values():
        for name in COEFFICIENTS:
            q = false_discovery([getattr(corrected[index], name).p for index in family])
            for index, value in zip(family, q, strict=True):
                row = corrected[index]
                coefficient = {name: replace(getattr(row, name), q=value)}
                corrected[index] = replace(row, q=value if name == "spearman" else row.q, **coefficient)
    return corrected


def _notes(runs: Sequence[_RunPoints], correlations: Sequence[Correlation], smooth: str | None) -> Iterator[str]:
    """Yield notes on the order of the checkpoints, missing intervals, and columns that never change."""
    if not correlations:
        return
    if smooth:
        yield (
            f"all series and log columns are smoothed ({smooth}) first, which raises correlations and lowers the "
            "effective number of points; transform log is left out"
        )
    for run in runs:
        if not run.by_step:
            yield (
                f"{_prefix(run.group)}steps are missing or repeated: detrending uses the positions of the checkpoints, "
                "and differences follow the order of the checkpoints"
            )
    short = sum(row.n < FEWEST for row in correlations)
    if short:
        yield f"{short} of {len(correlations)} correlations have no interval: they have fewer than {FEWEST} points"
    if any(row.n > _KENDALL_LIMITS.get(row.scope, _KENDALL_LIMIT) for row in correlations):
        yield (
            f"Kendall's tau has no interval above {_KENDALL_LIMITS['layer']} points in layers and above "
            f"{_KENDALL_LIMIT} in model rows: the bootstrap would take too long"
        )
    yield from _constant(correlations)


def _constant(correlations: Sequence[Correlation]) -> Iterator[str]:
    """Yield the columns without any correlation: too few values, or constant series."""
    by_column: dict[tuple[str | None, str], list[Correlation]] = {}
    for row in correlations:
        if row.transform == "raw":
            by_column.setdefault((row.group, row.metric), []).append(row)
    for (group, metric), of_column in by_column.items():
        name = _prefix(group) + escape(metric)
        if max(row.n for row in of_column) < FEWEST_POINTS:
            yield f"{name} has fewer than {FEWEST_POINTS} checkpoints in common with every series"
        elif all(row.pearson.r is None for row in of_column):
            yield f"{name} has no defined correlation with any series: one of the two is constant"


def _prefix(group: str | None) -> str:
    return "" if group is None else f"run {escape(group)}: "
