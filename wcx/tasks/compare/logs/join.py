"""Joins a training log to checkpoints by the nearest step, and says what each checkpoint got and what none got.

The rule, per column: a checkpoint takes the value of the nearest row that has one, of those rows that are nearer to it
than to any other checkpoint. A row midway between two belongs to the later one, which it was logged before; of two
equally near rows the earlier is taken. The first and the last checkpoint reach outward half the distance to their
neighbour, so that a log that ends early does not lend its last value to what was saved later; a single checkpoint
reaches everything. Of several rows with one step that written last counts, per column. Nothing is interpolated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wcx.core.comparison import Joined
from wcx.core.errors import UsageError
from wcx.core.text import escape, shortened
from wcx.tasks.compare.logs.columns import Axis, Column, TrainingLog

RULE = "nearest"
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


class Numbered(Protocol):
    """What a checkpoint's name says of when it was saved; as in ComparedCheckpoint."""

    @property
    def label(self) -> str:
        """The checkpoint's name in messages."""

    @property
    def step(self) -> int | None:
        """The number that it is ordered by."""

    @property
    def unit(self) -> str | None:
        """What that counts: `step`, `epoch`, or None where the name does not say."""

    @property
    def epoch(self) -> int | None:
        """The epoch, where the name has it beside the step."""


@dataclass(frozen=True, slots=True)
class JoinedLog:
    """What each checkpoint takes from the log.

    values: by column, for each checkpoint; None where no row is near enough. step_column: the column that was joined
    by, unit: what it counts. distance: of each checkpoint, how far its farthest row is, None where it has none.
    """

    values: tuple[Mapping[str, float | None], ...]
    joined: Joined
    step_column: str
    unit: str | None
    rule: str
    distance: tuple[float | None, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def join(log: TrainingLog, checkpoints: Sequence[Numbered]) -> JoinedLog:
    """Join the log to the checkpoints of one run; UsageError where its steps and theirs can't be the same thing."""
    attempt, notes = _choose(log, checkpoints)
    values = tuple(
        {name: _plain_value(found.values[at]) for name, found in attempt.found.items()}
        for at in range(len(checkpoints))
    )
    used, lost = attempt.used_rows, attempt.lost_rows
    joined = Joined(rows=log.rows, used=used, unused=log.rows - used, duplicates=lost)
    return JoinedLog(
        values=values,
        joined=joined,
        step_column=attempt.axis.name,
        unit=attempt.axis.unit,
        rule=RULE,
        distance=tuple(_plain_value(distance) for distance in attempt.distances),
        notes=(*notes, *_notes(attempt, checkpoints)),
        warnings=tuple(_warnings(attempt, checkpoints)),
    )


def _plain_value(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


# ------------------------------------------------------------------------------------------------ one way of joining


@dataclass(frozen=True, slots=True)
class _Kept:
    """A column's values by ascending step, one a step. rows: where they stand; lost: rows that gave way to later."""

    steps: Floats
    values: Floats
    rows: Rows
    lost: Rows


@dataclass(frozen=True, slots=True)
class _Found:
    """What the checkpoints take from one column: value, distance and row, NaN and -1 where there is none."""

    values: Floats
    distances: Floats
    rows: Rows
    nearest: Floats  # distance of the nearest row, however far


class _Attempt:
    """The checkpoints, by one of the numbers in their names, joined by one column of the log."""

    def __init__(self, log: TrainingLog, axis: Axis, numbers: Sequence[int | None], counted: str) -> None:
        self.log = log
        self.axis = axis
        self.counted = counted  # what the numbers count, as the names say
        self.numbers: Floats = np.array([np.nan if number is None else _double(number) for number in numbers])
        self.steps = np.full(log.rows, np.nan)  # of every row
        self.steps[np.frombuffer(axis.column.rows, np.int64)] = np.frombuffer(axis.column.values)

    @cached_property
    def kept(self) -> dict[str, _Kept]:
        return {name: _last_written(self.steps, column) for name, column in self.log.metrics.items()}

    @cached_property
    def found(self) -> dict[str, _Found]:
        low, high = _territories(self.numbers)
        return {name: _nearest(kept, self.numbers, low, high) for name, kept in self.kept.items()}

    @cached_property
    def logged(self) -> Floats:
        """Every step at which something was logged, ascending."""
        return np.unique(np.concatenate([kept.steps for kept in self.kept.values()]))

    @cached_property
    def distances(self) -> Floats:
        """Of each checkpoint the distance of the farthest row that it takes a value from."""
        each = np.stack([found.distances for found in self.found.values()])
        return np.where(np.isnan(each).all(0), np.nan, np.where(np.isnan(each), -1.0, each).max(0))

    @property
    def is_numbered(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.numbers)

    @property
    def reached(self) -> int:
        """How many checkpoints get a value."""
        return int((~np.isnan(self.distances)).sum())

    @property
    def fits_exactly(self) -> bool:
        """Whether every checkpoint's number is logged, and the log does not go on for much longer than they do."""
        numbers = self.numbers[self.is_numbered]
        if not len(numbers) or not len(self.logged):
            return False
        return bool(np.isin(numbers, self.logged).all() and self.logged[-1] <= 1.5 * max(numbers.max(), 1.0))

    @property
    def distinct(self) -> int:
        return len(np.unique(self.numbers[self.is_numbered]))

    @property
    def used_rows(self) -> int:
        rows = np.concatenate([found.rows for found in self.found.values()])
        return len(np.unique(rows[rows >= 0]))

    @cached_property
    def lost_rows(self) -> int:
        return len(np.unique(np.concatenate([kept.lost for kept in self.kept.values()])))


def _double(number: int) -> float:
    """A number from a name as double; what is beyond its range is as far as that goes."""
    return float(min(number, 10**300))


def _last_written(steps_of_rows: Floats, column: Column) -> _Kept:
    rows = np.frombuffer(column.rows, np.int64)
    values = np.frombuffer(column.values)
    steps = steps_of_rows[rows]
    has_step = ~np.isnan(steps)
    rows, values, steps = rows[has_step], values[has_step], steps[has_step]
    order = np.argsort(steps, kind="stable")  # rows ascend, so the last of equal steps was written last
    rows, values, steps = rows[order], values[order], steps[order]
    is_last = np.append(steps[1:] != steps[:-1], True)[: len(steps)]
    return _Kept(steps[is_last], values[is_last], rows[is_last], rows[~is_last])


def _territories(numbers: Floats) -> tuple[Floats, Floats]:
    """From where to where each checkpoint takes rows: from the first on, up to and without the second."""
    places = np.unique(numbers[~np.isnan(numbers)])
    if len(places) < 2:
        return np.full(len(numbers), -np.inf), np.full(len(numbers), np.inf)
    middles = (places[1:] + places[:-1]) / 2
    first = places[0] - (middles[0] - places[0])
    last = np.nextafter(places[-1] + (places[-1] - middles[-1]), np.inf)  # the end itself is reached
    at = np.searchsorted(places, np.where(np.isnan(numbers), places[0], numbers))
    return np.append(first, middles)[at], np.append(middles, last)[at]


def _nearest(kept: _Kept, numbers: Floats, low: Floats, high: Floats) -> _Found:
    size = len(numbers)
    found = _Found(np.full(size, np.nan), np.full(size, np.nan), np.full(size, -1), np.full(size, np.nan))
    if not len(kept.steps):
        return found
    for at, number in enumerate(numbers):
        if np.isnan(number):
            continue
        begin, end = np.searchsorted(kept.steps, (low[at], high[at]))
        anywhere = _nearest_place(kept.steps, number, 0, len(kept.steps))
        found.nearest[at] = abs(kept.steps[anywhere] - number)
        if begin < end:
            place = _nearest_place(kept.steps, number, int(begin), int(end))
            found.values[at] = kept.values[place]
            found.distances[at] = abs(kept.steps[place] - number)
            found.rows[at] = kept.rows[place]
    return found


def _nearest_place(steps: Floats, number: float, begin: int, end: int) -> int:
    """Where in steps[begin:end] the nearest to `number` stands, of two equally near ones the earlier."""
    after = begin + int(np.searchsorted(steps[begin:end], number))
    if after == begin:
        return begin
    if after == end or number - steps[after - 1] <= steps[after] - number:
        return after - 1
    return after


# --------------------------------------------------------------------------------------- which column, which number


def _choose(log: TrainingLog, checkpoints: Sequence[Numbered]) -> tuple[_Attempt, list[str]]:
    """The way to join: by the unit of the names; by another one where that alone fits, which is said."""
    same, crossed = _attempts(log, checkpoints)
    if not same and not crossed:
        raise UsageError(f"--log {log.path}: no checkpoint has a number in its name to join it by")
    if same:
        first = same[0]
        if 2 * first.reached >= int(first.is_numbered.sum()):
            return first, []
        better = next((one for one in (*same[1:], *crossed) if _is_better(one, first)), None)
        return (better, [_switched(better, first)]) if better else (first, [])
    fitting = next((one for one in crossed if log.chosen or one.fits_exactly), None)
    if fitting is None:
        raise UsageError(
            f"--log {log.path}: the names of the checkpoints count {crossed[0].counted}s and the column "
            f"{shortened(crossed[0].axis.name)} counts {crossed[0].axis.unit}s; name one that counts what they do, "
            "or this one all the same, with --step-column"
        )
    return fitting, [_taken(fitting)]


def _attempts(log: TrainingLog, checkpoints: Sequence[Numbered]) -> tuple[list[_Attempt], list[_Attempt]]:
    """All ways to join, best first: where names and column count the same (or one does not say), and the others."""
    numbers_of = {unit: [_number(one, unit) for one in checkpoints] for unit in ("step", "epoch")}
    order = sorted(numbers_of, key=lambda unit: numbers_of[unit].count(None))
    same: list[_Attempt] = []
    crossed: list[_Attempt] = []
    for unit in order:
        for axis in log.axes:
            if set(numbers_of[unit]) - {None}:
                attempt = _Attempt(log, axis, numbers_of[unit], unit)
                (same if axis.unit in (unit, None) else crossed).append(attempt)
    return same, crossed


def _number(checkpoint: Numbered, unit: str) -> int | None:
    """What a checkpoint's name says in `unit`; a number without a unit may be either."""
    if checkpoint.unit in (unit, None):
        return checkpoint.step
    return checkpoint.epoch if unit == "epoch" else None


def _is_better(one: _Attempt, first: _Attempt) -> bool:
    return one.fits_exactly and one.distinct >= first.distinct


def _switched(better: _Attempt, first: _Attempt) -> str:
    return (
        f"joined by {shortened(better.axis.name)}, which has every checkpoint's number; "
        f"by {shortened(first.axis.name)} {first.reached} of {int(first.is_numbered.sum())} had a row near"
    )


def _taken(attempt: _Attempt) -> str:
    return (
        f"the names count {attempt.counted}s and {shortened(attempt.axis.name)} counts {attempt.axis.unit}s: "
        "taken as the same"
    )


# ------------------------------------------------------------------------------------------------- what is said of it


def _notes(attempt: _Attempt, checkpoints: Sequence[Numbered]) -> Iterator[str]:
    distances = attempt.distances
    if attempt.reached and np.nanmax(distances) > 0:
        at = int(np.nanargmax(distances))
        exact = int((distances == 0).sum())
        yield (
            f"the nearest row counts: {exact} of {len(checkpoints)} checkpoints have all values of exactly their "
            f"{attempt.axis.unit or 'step'}, the farthest row is {distances[at]:.15g} away "
            f"({escape(checkpoints[at].label)})"
        )
    numbers = attempt.numbers[attempt.is_numbered]
    _, high = _territories(attempt.numbers)
    if len(numbers) > 1 and len(attempt.logged) and attempt.logged[-1] >= np.max(high[attempt.is_numbered]):
        yield f"the log goes on to {attempt.logged[-1]:.15g}, the last checkpoint is of {numbers.max():.15g}"
    yield from _partly_missing(attempt, checkpoints)
    if attempt.lost_rows and not _goes_back(attempt):
        unit = attempt.axis.unit or "step"
        yield f"of several rows of one {unit} the last written counts; rows that gave way: {attempt.lost_rows:,}"


def _partly_missing(attempt: _Attempt, checkpoints: Sequence[Numbered]) -> Iterator[str]:
    """Columns that are missing at checkpoints which get other ones."""
    reached = ~np.isnan(attempt.distances)
    columns_of: dict[tuple[int, ...], list[str]] = {}
    for name, found in attempt.found.items():
        missing = tuple(int(at) for at in np.flatnonzero(np.isnan(found.values) & reached))
        if missing:
            columns_of.setdefault(missing, []).append(name)
    for missing, names in columns_of.items():
        columns = ", ".join(shortened(name) for name in names[:8]) + (" ..." if len(names) > 8 else "")
        yield f"{columns}: no row near enough for {_labels(attempt, names[0], missing, checkpoints)}"


def _warnings(attempt: _Attempt, checkpoints: Sequence[Numbered]) -> Iterator[str]:
    column = attempt.axis.column
    if column.text + column.nonfinite:
        name = shortened(attempt.axis.name)
        yield f"{name}: rows that have no number there and belong to no checkpoint: {column.text + column.nonfinite:,}"
    unnumbered = np.flatnonzero(~attempt.is_numbered)
    if len(unnumbered):
        labels = ", ".join(escape(checkpoints[at].label) for at in unnumbered[:5])
        yield f"no number to join by in the names of {len(unnumbered)} checkpoints: {labels}"
    without = np.flatnonzero(np.isnan(attempt.distances) & attempt.is_numbered)
    if len(without):
        closest = min(
            attempt.found, key=lambda name: np.nanmin(np.append(attempt.found[name].nearest[without], np.inf))
        )
        yield f"nothing logged near enough to {_labels(attempt, closest, tuple(without), checkpoints)}"
    yield from _shifted(attempt)
    yield from _resumed(attempt, checkpoints)


def _labels(attempt: _Attempt, name: str, places: Sequence[int], checkpoints: Sequence[Numbered]) -> str:
    """Checkpoints by label, each with how far the nearest row of the column is."""
    nearest = attempt.found[name].nearest
    said = [
        escape(checkpoints[at].label) + ("" if np.isnan(nearest[at]) else f" ({nearest[at]:.15g} away)")
        for at in places[:5]
    ]
    more = f" and {len(places) - 5} more" if len(places) > 5 else ""
    return f"{len(places)} of {len(checkpoints)} checkpoints: " + ", ".join(said) + more


def _shifted(attempt: _Attempt) -> Iterator[str]:
    """Epochs counted from 0 in the log and from 1 in the names, or the other way round, as Keras does by default."""
    numbers = attempt.numbers[attempt.is_numbered]
    if attempt.axis.unit != "epoch" or len(numbers) < 2 or np.isin(numbers, attempt.logged).all():
        return
    for shift, log_from, names_from in ((-1, 0, 1), (1, 1, 0)):
        if np.isin(numbers + shift, attempt.logged).all():
            yield (
                f"not every checkpoint's epoch is in {shortened(attempt.axis.name)}, but every one {shift:+d} is: if "
                f"the log counts epochs from {log_from} and the names from {names_from}, every checkpoint has got its "
                "neighbour's values; make both count alike"
            )


def _goes_back(attempt: _Attempt) -> tuple[float, float] | None:
    """From where to where the steps of the log first go back."""
    steps = attempt.steps[~np.isnan(attempt.steps)]
    back = np.flatnonzero(steps[1:] < steps[:-1])
    return (float(steps[back[0]]), float(steps[back[0] + 1])) if len(back) else None


def _resumed(attempt: _Attempt, checkpoints: Sequence[Numbered]) -> Iterator[str]:
    back = _goes_back(attempt)
    if back is None:
        return
    yield (
        f"{shortened(attempt.axis.name)} goes back (first from {back[0]:.15g} to {back[1]:.15g}), as after a resume: "
        f"of rows of one step the last written counts; rows that gave way: {attempt.lost_rows:,}"
    )
    stale = sorted({at for name in attempt.found for at in _stale(attempt, name)})
    if stale:
        labels = ", ".join(escape(checkpoints[at].label) for at in stale[:5])
        yield (
            f"values of {len(stale)} checkpoints come from rows between steps that were logged again later, and may be "
            f"of the run before the resume: {labels}"
        )


def _stale(attempt: _Attempt, name: str) -> NDArray[np.int64]:
    """Checkpoints that take a row between steps which the column has again further down in the file."""
    column = attempt.log.metrics[name]
    rows = np.frombuffer(column.rows, np.int64)
    steps = attempt.steps[rows]
    later_low = np.fmin.accumulate(np.append(steps[1:], np.inf)[::-1])[::-1]
    later_high = np.fmax.accumulate(np.append(steps[1:], -np.inf)[::-1])[::-1]
    is_stale = (later_low < steps) & (steps < later_high)
    return np.flatnonzero(np.isin(attempt.found[name].rows, rows[is_stale]))
