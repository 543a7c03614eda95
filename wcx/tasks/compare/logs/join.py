"""The ways to join a training log to checkpoints, by its columns and the numbers in their names, and the best one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wcx.core.comparison import Joined
from wcx.core.errors import UsageError
from wcx.core.text import shortened
from wcx.tasks.compare.logs.columns import TrainingLog
from wcx.tasks.compare.logs.nearest import Floats, LoggedValues, NearestRows, last_written, nearest_rows, reach
from wcx.tasks.compare.logs.roles import LogAxis
from wcx.tasks.compare.series.discover import Located


class LogJoin:
    """Checkpoints joined to a log by one of the numbers in their names and one column that counts.

    counted: what the numbers count, `step` or `epoch`.
    """

    def __init__(self, log: TrainingLog, axis: LogAxis, numbers: Sequence[int | None], counted: str) -> None:
        self.log = log
        self.axis = axis
        self.counted = counted
        self.numbers: Floats = np.array(numbers, dtype=np.float64)  # NaN for None
        self.is_numbered: NDArray[np.bool_] = ~np.isnan(self.numbers)
        self.row_steps = np.full(log.rows, np.nan)
        self.row_steps[np.frombuffer(axis.column.rows, np.int64)] = np.frombuffer(axis.column.values)

    @cached_property
    def logged(self) -> dict[str, LoggedValues]:
        """The values of each column by step."""
        return {name: last_written(self.row_steps, column) for name, column in self.log.metrics.items()}

    @cached_property
    def reach(self) -> tuple[Floats, Floats]:
        """The steps between which each checkpoint takes rows."""
        return reach(self.numbers)

    @cached_property
    def taken(self) -> dict[str, NearestRows]:
        """The rows that the checkpoints take from each column."""
        return {name: nearest_rows(logged, self.numbers, *self.reach) for name, logged in self.logged.items()}

    @cached_property
    def logged_steps(self) -> Floats:
        """Every step with a value in some column, ascending."""
        return np.unique(np.concatenate([logged.steps for logged in self.logged.values()]))

    @cached_property
    def distances(self) -> Floats:
        """The distance of the farthest row that each checkpoint takes a value from, NaN where it takes none."""
        each = np.stack([taken.distances for taken in self.taken.values()])
        return np.where(np.isnan(each).all(0), np.nan, np.where(np.isnan(each), -1.0, each).max(0))

    @property
    def numbered(self) -> int:
        """The number of checkpoints with a number in the name."""
        return int(self.is_numbered.sum())

    @property
    def reached(self) -> int:
        """The number of checkpoints with a value."""
        return int((~np.isnan(self.distances)).sum())

    @property
    def fits_exactly(self) -> bool:
        """True if every checkpoint's number is logged, and the log does not go on for much longer than they do."""
        numbers, logged = self.numbers[self.is_numbered], self.logged_steps
        if not len(numbers) or not len(logged):
            return False
        return bool(np.isin(numbers, logged).all() and logged[-1] <= 1.5 * max(numbers.max(), 1.0))

    @cached_property
    def dropped(self) -> int:
        """The number of rows that a later row of the same step replaced."""
        return len(np.unique(np.concatenate([logged.dropped for logged in self.logged.values()])))

    def values(self) -> tuple[dict[str, float | None], ...]:
        """Return the values of each checkpoint by column, None where no row is near enough."""
        by_column = {
            name: [None if np.isnan(value) else float(value) for value in taken.values]
            for name, taken in self.taken.items()
        }
        return tuple({name: values[at] for name, values in by_column.items()} for at in range(len(self.numbers)))

    def counts(self) -> Joined:
        """Return the numbers of used, unused and replaced rows."""
        rows = np.concatenate([taken.rows for taken in self.taken.values()])
        used = len(np.unique(rows[rows >= 0]))
        return Joined(rows=self.log.rows, used=used, unused=self.log.rows - used, duplicates=self.dropped)


def choose(log: TrainingLog, checkpoints: Sequence[Located]) -> tuple[LogJoin, list[str]]:
    """Return the join by the unit of the names, or another with a note where that one alone fits."""
    same, crossed = _candidates(log, checkpoints)
    if not same and not crossed:
        raise UsageError(f"--log {log.path}: no checkpoint has a step or epoch in its name to join the log by")
    if same:
        first = same[0]
        if 2 * first.reached >= first.numbered:
            return first, []
        better = next((join for join in (*same[1:], *crossed) if _is_better(join, first)), None)
        return (better, [_switched(better, first)]) if better else (first, [])
    fitting = next((join for join in crossed if log.chosen or join.fits_exactly), None)
    if fitting is None:
        raise UsageError(
            f"--log {log.path}: the names of the checkpoints count {crossed[0].counted}s, the column "
            f"{shortened(crossed[0].axis.name)} counts {crossed[0].axis.unit}s; choose a column of "
            f"{crossed[0].counted}s with --step-column, or this one to join by it anyway"
        )
    column = f"the column {shortened(fitting.axis.name)} counts {fitting.axis.unit}s"
    return fitting, [f"the names count {fitting.counted}s, {column}: treated as the same unit"]


def _candidates(log: TrainingLog, checkpoints: Sequence[Located]) -> tuple[list[LogJoin], list[LogJoin]]:
    """Return all joins, best first: where names and column count the same (or one does not say), and the others."""
    numbers_of = {unit: [_number(checkpoint, unit) for checkpoint in checkpoints] for unit in ("step", "epoch")}
    same: list[LogJoin] = []
    crossed: list[LogJoin] = []
    for unit, numbers in sorted(numbers_of.items(), key=lambda named: named[1].count(None)):
        if set(numbers) != {None}:
            for axis in log.axes:
                (same if axis.unit in (unit, None) else crossed).append(LogJoin(log, axis, numbers, unit))
    return same, crossed


def _number(checkpoint: Located, unit: str) -> int | None:
    """Return the number in `unit` in a checkpoint's name; a number without a unit may be either."""
    if checkpoint.unit in (unit, None):
        return checkpoint.step
    return checkpoint.epoch if unit == "epoch" else None


def _is_better(join: LogJoin, first: LogJoin) -> bool:
    return join.fits_exactly and _distinct(join) >= _distinct(first)


def _distinct(join: LogJoin) -> int:
    return len(np.unique(join.numbers[join.is_numbered]))


def _switched(better: LogJoin, first: LogJoin) -> str:
    return (
        f"joined by {shortened(better.axis.name)}, which contains the number of every checkpoint; "
        f"by {shortened(first.axis.name)} only {first.reached} of {first.numbered} have a row near enough"
    )
