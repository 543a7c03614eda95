"""Every measure against every column of the log, run by run: the whole of the statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from wcx.core.comparison import Correlation, CorrelationDifference, Series
from wcx.core.text import escape
from wcx.scan.threads import map_ordered
from wcx.tasks.compare.statistics.across_runs import Sides, fisher_means
from wcx.tasks.compare.statistics.baselines import opponents
from wcx.tasks.compare.statistics.bootstrap import FEWEST, block_length
from wcx.tasks.compare.statistics.conclusions import conclude
from wcx.tasks.compare.statistics.pairs import FEWEST_POINTS, Compared, Correlations, Related, Run
from wcx.tasks.compare.statistics.records import COEFFICIENTS, Correlated, Measured
from wcx.tasks.compare.statistics.significance import false_discovery
from wcx.tasks.compare.statistics.smoothing import smoothed
from wcx.tasks.compare.statistics.transforms import TRANSFORMS, Values

RESAMPLES = 2000
_MOST_THREADS = 4  # each has some 20 MiB of resamples in hand
_AHEAD = 8
Item = TypeVar("Item")
Result = TypeVar("Result")
_KENDALL_LIMITS = {"layer": 200}  # points above which tau has no interval: it takes n^2 sums a resample
_KENDALL_LIMIT = 1000
Found = tuple[list[Correlation], list[tuple[CorrelationDifference, Sides]]]


@dataclass(frozen=True, slots=True)
class _Part:
    """One run: its name, which checkpoints it has, in their order, and when they were."""

    group: str | None
    places: list[int]
    times: Values
    by_step: bool


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
    smooth: sakabe. The same input and seed give the same numbers, whatever the threads. UsageError: unknown smoothing.
    """
    workers = _Workers(min(threads, _MOST_THREADS), on_step)
    parts = [_part(group, groups, steps) for group in dict.fromkeys(groups)]
    on_start(len(parts) * len(_bundles(measured)))
    correlations: list[Correlation] = []
    differences: list[tuple[CorrelationDifference, Sides]] = []
    for part in parts:
        of_part = _of_part(part, measured, metrics, seed, resamples, smooth, workers)
        correlations += of_part[0]
        differences += of_part[1]
    correlations = _over_layers(correlations)
    means = fisher_means(correlations, differences) if len(parts) > 1 else []
    public = [difference for difference, _ in differences]
    points = max((one.n for one in correlations if one.transform == "raw"), default=0)
    return Correlated(
        tuple(correlations),
        tuple(public),
        tuple(means),
        tuple(conclude(correlations, public, means, smooth)),
        block_length(points) if points >= FEWEST else None,
        tuple(_notes(parts, correlations, smooth)),
        (),
    )


def _part(group: str | None, groups: Sequence[str | None], steps: Sequence[float | None]) -> _Part:
    """The checkpoints of one run, in order of step where every one has its own."""
    places = [place for place, name in enumerate(groups) if name == group]
    own = [steps[place] for place in places]
    known = [float(step) for step in own if step is not None]
    if len(known) < len(own) or len(set(known)) < len(known):
        return _Part(group, places, np.arange(len(places), dtype=np.float64), False)
    order = sorted(range(len(places)), key=known.__getitem__)
    return _Part(group, [places[at] for at in order], np.array([known[at] for at in order]), True)


def _of_part(
    part: _Part,
    measured: Sequence[Measured],
    metrics: Mapping[str, Series],
    seed: int,
    resamples: int,
    smooth: str | None,
    workers: _Workers,
) -> Found:
    """The statistics of one run, in the order of measures, then columns, then transforms."""
    columns = _matrix(list(metrics.values()), part, smooth)
    run = Run(columns, part.times, resamples, seed)
    related: dict[tuple[int, int, str], Related] = {}
    compared: dict[tuple[int, int, int, str], Compared] = {}
    against = opponents(measured)
    transforms = [name for name in TRANSFORMS if not (smooth and name == "log")]

    def relate(rows: list[int]) -> list[tuple[str, list[int], Correlations]]:
        """All of one bundle, by transform, with the numbers of its measures."""
        pairs = [(row, other) for row in rows for other in against[row]]
        at = list(dict.fromkeys([*rows, *(other for _, other in pairs)]))
        place = {row: number for number, row in enumerate(at)}
        values = _matrix([measured[row].values for row in at], part, smooth)
        limit = _KENDALL_LIMITS.get(measured[rows[0]].scope, _KENDALL_LIMIT)
        numbers = [(place[one], place[other]) for one, other in pairs]
        return [
            (transform, at, run.correlate(values, range(len(rows)), numbers, transform, limit))
            for transform in transforms
        ]

    for bundle in workers.map(relate, _bundles(measured)):
        for transform, at, found in bundle:
            for (row, column), one in found.related.items():
                related[at[row], column, transform] = one
            for (row, other, column), difference in found.compared.items():
                compared[at[row], at[other], column, transform] = difference
    names = list(enumerate(metrics))
    correlations = [
        _correlation(one, name, transform, part.group, related[row, column, transform])
        for row, one in enumerate(measured)
        for column, name in names
        for transform in transforms
    ]
    differences = [
        _difference(one, measured[other].measure, name, transform, part.group, compared[row, other, column, transform])
        for row, one in enumerate(measured)
        for other in against[row]
        for column, name in names
        for transform in transforms
    ]
    return correlations, differences


class _Workers:
    """Some threads, and whom they tell of each item that is done."""

    def __init__(self, threads: int, on_step: Callable[[], None]) -> None:
        self._threads = threads
        self._on_step = on_step

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """The result of each item, in order."""
        for result in map_ordered(lambda: None, lambda _state, item: function(item), items, self._threads, _AHEAD):
            self._on_step()
            yield result


def _bundles(measured: Sequence[Measured]) -> list[list[int]]:
    """The measures of each plane of each layer or row of the model, by number."""
    found: dict[tuple[str, str | None, str | None], list[int]] = {}
    for number, one in enumerate(measured):
        found.setdefault((one.scope, one.layer, one.plane), []).append(number)
    return list(found.values())


def _matrix(series: Sequence[Series], part: _Part, smooth: str | None) -> Values:
    """Series [rows, checkpoints of the run], NaN where there is no value."""
    plain = [[math.nan if (value := one[place]) is None else value for place in part.places] for one in series]
    matrix = np.array(plain, dtype=np.float64).reshape(len(series), len(part.places))
    return matrix if smooth is None else np.array([smoothed(row, smooth) for row in matrix]).reshape(matrix.shape)


def _correlation(one: Measured, metric: str, transform: str, group: str | None, found: Related) -> Correlation:
    pearson, spearman, kendall = found.values
    return Correlation(
        scope=one.scope,
        layer=one.layer,
        group=group,
        plane=one.plane,
        measure=one.measure,
        metric=metric,
        transform=transform,
        n=found.points,
        n_effective=found.effective,
        q=None,
        pearson=pearson,
        spearman=spearman,
        kendall=kendall,
    )


def _difference(
    one: Measured, against: str, metric: str, transform: str, group: str | None, found: Compared
) -> tuple[CorrelationDifference, Sides]:
    pearson, spearman, kendall = found.values
    difference = CorrelationDifference(
        scope=one.scope,
        layer=one.layer,
        group=group,
        plane=one.plane,
        measure=one.measure,
        against=against,
        metric=metric,
        transform=transform,
        n=found.points,
        pearson=pearson,
        spearman=spearman,
        kendall=kendall,
    )
    return difference, found.coefficients


def _over_layers(correlations: list[Correlation]) -> list[Correlation]:
    """With q: Benjamini and Hochberg over the layers of one run, plane, measure, column and transform."""
    families: dict[tuple[str | None, str | None, str, str, str], list[int]] = {}
    for place, one in enumerate(correlations):
        if one.scope == "layer":
            key = one.group, one.plane, one.measure, one.metric, one.transform
            families.setdefault(key, []).append(place)
    out = list(correlations)
    for places in families.values():
        q = {name: false_discovery([getattr(correlations[place], name).p for place in places]) for name in COEFFICIENTS}
        for number, place in enumerate(places):
            one = correlations[place]
            corrected = {name: replace(getattr(one, name), q=q[name][number]) for name in COEFFICIENTS}
            out[place] = replace(one, q=q["spearman"][number], **corrected)
    return out


def _notes(parts: Sequence[_Part], correlations: Sequence[Correlation], smooth: str | None) -> Iterator[str]:
    """What a reader has to know of how these numbers came about."""
    if not correlations:
        return
    if smooth:
        yield (
            f"series and columns are smoothed ({smooth}) before anything else: correlations rise, and fewer points are "
            "independent; transform log is left out"
        )
    for part in parts:
        if not part.by_step:
            yield (
                f"{_of_run(part.group)}steps are missing or repeat: what is detrended is detrended in the checkpoint's "
                "place, and differences are in the order of the checkpoints"
            )
    short = sum(one.n < FEWEST for one in correlations)
    if short:
        yield f"{short} of {len(correlations)} correlations are of fewer than {FEWEST} points and have no interval"
    if any(one.n > _KENDALL_LIMITS.get(one.scope, _KENDALL_LIMIT) for one in correlations):
        yield (
            f"Kendall's tau has no interval above {_KENDALL_LIMITS['layer']} points in layers and above "
            f"{_KENDALL_LIMIT} in the model's rows: it would take too long"
        )
    yield from _constant(correlations)


def _constant(correlations: Sequence[Correlation]) -> Iterator[str]:
    """Columns that correlate with nothing because they never change."""
    by_column: dict[tuple[str | None, str], list[Correlation]] = {}
    for one in correlations:
        if one.transform == "raw":
            by_column.setdefault((one.group, one.metric), []).append(one)
    for (group, metric), of_column in by_column.items():
        if max(one.n for one in of_column) < FEWEST_POINTS:
            yield f"{_of_run(group)}{escape(metric)} has fewer than {FEWEST_POINTS} values beside those of the series"
        elif all(one.pearson.r is None for one in of_column):
            yield f"{_of_run(group)}{escape(metric)} correlates with nothing: one of the two series never changes"


def _of_run(group: str | None) -> str:
    return "" if group is None else f"run {escape(group)}: "
