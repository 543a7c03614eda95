"""Logs with one metric a row: the rows (step, tag, value) of MLflow, tbparse, TensorBoard and pandas.melt.

The columns alone say that a log has this form: one of tags, one of values, one that counts, and no other metric. Each
tag becomes a column, with the run before it where a column names the run (train/loss).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from wcx.tasks.compare.logs.files.reading import MAX_NAME, Cell, LogFile, Row
from wcx.tasks.compare.logs.roles import is_clock, unit_of

_TAGS = ("tag", "key", "metric", "metric_name", "metricname", "variable", "name")
_VALUES = ("value", "metric_value", "metricvalue", "scalar_value")
_RUNS = ("run", "run_name", "dir_name")
_IDS = ("run_id", "run_uuid")  # MLflow; each of another training
_IGNORED = {*_RUNS, *_IDS, "is_nan", "index", "file_name", "experiment_id", "unnamed: 0", "type"}
_UPDATES = ("train_num_updates", "valid_num_updates", "test_num_updates")  # fairseq, of a row's one counter


@dataclass(frozen=True, slots=True)
class _LongForm:
    """The names of the columns. axes: those that count; run, id: of the run, None without one."""

    tag: str
    value: str
    run: str | None
    id: str | None
    axes: tuple[str, ...]


def wide_rows(rows: Iterable[Row], file: LogFile, step_column: str | None) -> Iterator[Row]:
    """Yield rows with a column for each tag; those of a log in another form as they are."""
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        return
    form = _long_form(first, step_column)
    if form is None:
        yield from map(_with_updates, chain([first], rows))
        return
    file.long_form = form.tag
    for row in chain([first], rows):
        if form.id and row.get(form.id) != first[form.id]:
            raise file.error(f"rows of several runs by {form.id!r}: export the log of one run")
        wide = _wide(row, form)
        if wide is None:
            file.leave_out(f"a row without a text in {form.tag!r}")
        else:
            yield wide


def _long_form(row: Row, step_column: str | None) -> _LongForm | None:
    """Return the form of a log by its first row; None where it has a column for each metric."""
    plain = {name.lower(): name for name in row}
    tag, value, run, id_ = (
        next((plain[name] for name in names if name in plain), None) for names in (_TAGS, _VALUES, _RUNS, _IDS)
    )
    axes = tuple(name for name in row if unit_of(name) or name == step_column)
    if tag is None or value is None or not axes or not isinstance(row[tag], str):
        return None
    others = row.keys() - {tag, value, *axes}
    if any(name.lower() not in _IGNORED and not is_clock(name) for name in others):
        return None
    return _LongForm(tag, value, run, id_, axes)


def _wide(row: Row, form: _LongForm) -> Row | None:
    tag = row.get(form.tag)
    run = row.get(form.run) if form.run else None
    if not isinstance(tag, str):
        return None
    name = f"{run}/{tag}" if isinstance(run, str) else tag
    if len(name) > MAX_NAME:
        return None
    wide: dict[str, Cell] = {axis: row.get(axis) for axis in form.axes}
    return {name: row.get(form.value), **wide}


def _with_updates(row: Row) -> Row:
    """Take fairseq's train_num_updates, and that of each other split, as num_updates of the row."""
    name = next((name for name in _UPDATES if name in row), None)
    if name is None or "num_updates" in row:
        return row
    return {"num_updates" if other == name else other: cell for other, cell in row.items()}
