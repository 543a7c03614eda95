"""Notes and warnings on the join of a log: distances, checkpoints and columns without values, resumed runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from wcx.core.text import escape, shortened
from wcx.tasks.compare.logs.join import LogJoin
from wcx.tasks.compare.logs.nearest import Integers
from wcx.tasks.compare.series.discover import Located

_SHOWN = 5  # labels in a note
_SHOWN_COLUMNS = 8


def join_notes(join: LogJoin, checkpoints: Sequence[Located]) -> Iterator[str]:
    """Yield notes on the distances of the rows, the end of the log, and replaced rows."""
    distances, unit = join.distances, join.axis.unit or "step"
    if join.reached and np.nanmax(distances) > 0:
        farthest = int(np.nanargmax(distances))
        yield (
            f"used the nearest rows: {int((distances == 0).sum())} of {len(checkpoints)} checkpoints have all values "
            f"at exactly their {unit}, the farthest row is {distances[farthest]:.15g} away "
            f"({escape(checkpoints[farthest].label)})"
        )
    numbers, logged = join.numbers[join.is_numbered], join.logged_steps
    if len(numbers) > 1 and len(logged) and logged[-1] >= np.max(join.reach[1][join.is_numbered]):
        yield f"the log continues to {unit} {logged[-1]:.15g}, the last checkpoint is at {unit} {numbers.max():.15g}"
    yield from _missing_columns(join, checkpoints)
    if join.dropped and not _goes_back(join):
        yield f"kept the last row of each repeated {unit} ({_rows(join.dropped)} dropped)"


def join_warnings(join: LogJoin, checkpoints: Sequence[Located]) -> Iterator[str]:
    """Yield warnings on checkpoints without values, shifted epochs and resumed runs."""
    column, name = join.axis.column, shortened(join.axis.name)
    if column.text + column.nonfinite:
        first = f" (first: {shortened(column.first_text)})" if column.text else ""
        yield f"{name}: ignored rows without a number in this column: {column.text + column.nonfinite:,}{first}"
    unnumbered = np.flatnonzero(~join.is_numbered)
    if len(unnumbered):
        labels = _labels(checkpoints, unnumbered)
        yield f"{len(unnumbered)} of {len(checkpoints)} checkpoints have no number in the name to join by: {labels}"
    without = np.flatnonzero(np.isnan(join.distances) & join.is_numbered)
    if len(without):
        closest = min(join.taken, key=lambda name: np.nanmin(np.append(join.taken[name].closest[without], np.inf)))
        yield f"no logged row is near enough to {_far(join, closest, without, checkpoints)}"
    yield from _shifted(join)
    yield from _resumed(join, checkpoints)


def _missing_columns(join: LogJoin, checkpoints: Sequence[Located]) -> Iterator[str]:
    """Yield the columns without a value at checkpoints that have other values."""
    reached = ~np.isnan(join.distances)
    columns_of: dict[bytes, tuple[Integers, list[str]]] = {}
    for name, taken in join.taken.items():
        missing = np.flatnonzero(np.isnan(taken.values) & reached)
        if len(missing):
            columns_of.setdefault(missing.tobytes(), (missing, []))[1].append(name)
    for missing, names in columns_of.values():
        columns = ", ".join(map(shortened, names[:_SHOWN_COLUMNS])) + " ..." * (len(names) > _SHOWN_COLUMNS)
        yield f"{columns}: no row is near enough to {_far(join, names[0], missing, checkpoints)}"


def _labels(checkpoints: Sequence[Located], indices: Iterable[int]) -> str:
    return ", ".join(escape(checkpoints[index].label) for index in list(indices)[:_SHOWN])


def _far(join: LogJoin, name: str, indices: Integers, checkpoints: Sequence[Located]) -> str:
    """Return the labels of checkpoints, each with the distance of the nearest row of the column."""
    closest = join.taken[name].closest
    labels = [
        escape(checkpoints[index].label) + ("" if np.isnan(closest[index]) else f" ({closest[index]:.15g} away)")
        for index in indices[:_SHOWN]
    ]
    more = f" and {len(indices) - _SHOWN} more" if len(indices) > _SHOWN else ""
    return f"{len(indices)} of {len(checkpoints)} checkpoints: " + ", ".join(labels) + more


def _shifted(join: LogJoin) -> Iterator[str]:
    """Yield a warning on epochs that start at 0 in the log and at 1 in the names, or vice versa, as Keras' do."""
    numbers, logged = join.numbers[join.is_numbered], join.logged_steps
    if join.axis.unit != "epoch" or len(numbers) < 2 or np.isin(numbers, logged).all():
        return
    for shift, log_from, names_from in ((-1, 0, 1), (1, 1, 0)):
        if np.isin(numbers + shift, logged).all():
            yield (
                f"not every checkpoint's epoch is in {shortened(join.axis.name)}, but every epoch {shift:+d} is: if "
                f"the log counts epochs from {log_from} and the names from {names_from}, every checkpoint has the "
                "values of its neighbour; make both count from the same number"
            )


def _goes_back(join: LogJoin) -> tuple[float, float] | None:
    """Return the two steps between which a column first goes back; other columns may be logged at other steps."""
    found: list[tuple[int, float, float]] = []
    for column in join.log.metrics.values():
        rows = np.frombuffer(column.rows, np.int64)
        rows = rows[~np.isnan(join.row_steps[rows])]
        steps = join.row_steps[rows]
        back = np.flatnonzero(steps[1:] < steps[:-1])
        if len(back):
            found.append((int(rows[back[0] + 1]), float(steps[back[0]]), float(steps[back[0] + 1])))
    return min(found)[1:] if found else None


def _resumed(join: LogJoin, checkpoints: Sequence[Located]) -> Iterator[str]:
    back = _goes_back(join)
    if back is None:
        return
    yield (
        f"{shortened(join.axis.name)} decreases (first from {back[0]:.15g} to {back[1]:.15g}), as after a resume: "
        f"kept the last row of each repeated {join.axis.unit or 'step'} ({_rows(join.dropped)} dropped)"
    )
    stale = sorted({int(index) for name in join.taken for index in _stale(join, name)})
    if stale:
        yield (
            f"values of {len(stale)} checkpoints may be from before the resume, since their rows are between steps "
            f"that were logged again later: {_labels(checkpoints, stale)}"
        )


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"


def _stale(join: LogJoin, name: str) -> Integers:
    """Return the checkpoints that take a row between steps which the column repeats further down in the file."""
    rows = np.frombuffer(join.log.metrics[name].rows, np.int64)
    steps = join.row_steps[rows]
    later_low = np.fmin.accumulate(np.append(steps[1:], np.inf)[::-1])[::-1]
    later_high = np.fmax.accumulate(np.append(steps[1:], -np.inf)[::-1])[::-1]
    is_stale = (later_low < steps) & (steps < later_high)
    return np.flatnonzero(np.isin(join.taken[name].rows, rows[is_stale]))
