"""The columns of a training log: those that count steps or epochs, the metrics, and their missing values.

A column is sparse: it holds the rows with a finite number. NaN, infinite and empty cells are missing values, as
loggers write NaN for "not measured here" too.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from wcx.core.errors import UsageError
from wcx.core.text import shortened
from wcx.tasks.compare.logs.files import read_rows
from wcx.tasks.compare.logs.files.reading import LogFile, NotNumber

_MAX_ROWS = 2_000_000
_MAX_COLUMNS = 10_000
_MAX_NUMBERS = 4_000_000  # 16 bytes each, and the same again when they are joined
_STEP_NAMES = (
    *("step", "global_step", "train_step", "training_step", "optimizer_step", "steps", "total_steps"),
    *("total_timesteps", "timesteps", "iteration", "iterations", "iter", "iters", "iter_num", "it"),
    *("num_updates", "updates", "update"),
)
_WEAK_NAMES = ("batch", "_step")  # batches may restart in each epoch; _step counts the rows of Weights & Biases
_EPOCH_NAMES = ("epoch", "epochs", "current_epoch", "ep")
_PREFIXES = {"train", "trainer", "training", "time", "progress", "charts", "val", "valid", "validation", "eval", "test"}
_CLOCKS = re.compile(
    r"_?(wall ?time|time|timestamp|date|datetime|created_at|elapsed|time_elapsed|eta|duration|seconds|runtime)"
    r"|.*_(time|runtime|seconds|secs|ms|per_second|per_sec)"
    r"|.*[ _](wall ?time|timestamp)|relative time.*|fps"
    r"|total_flos|(num_input_tokens|num_tokens|tokens|samples|examples)(_seen)"
)
_SCHEDULES = re.compile(r"lr|lr[-_/].*|learning_?rate(_.*)?|momentum|weight_?decay|beta_?[12]", re.IGNORECASE)
_SPREAD = ("__MIN", "__MAX")  # bounds of the smoothing, which an export of Weights & Biases has with each value


@dataclass(slots=True)
class LogColumn:
    """The finite numbers of a column with their rows (from 0, ascending), and the counts of other cells."""

    rows: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    nonfinite: int = 0
    text: int = 0

    def add(self, row: int, cell: float | NotNumber) -> None:
        """Add a cell that is not empty."""
        if isinstance(cell, float):
            self.rows.append(row)
            self.values.append(cell)
        elif cell is NotNumber.NONFINITE:
            self.nonfinite += 1
        else:
            self.text += 1


@dataclass(frozen=True, slots=True)
class LogAxis:
    """A column that counts how far training was. unit: `step` or `epoch`, None where its name does not say."""

    name: str
    unit: str | None
    column: LogColumn


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """A log that was read. rows: all of them, those that were left out too; columns number the rows that were not.

    axes: columns that count steps or epochs, at most one of each, or the one that was asked for (`chosen`). metrics:
    in the order asked for, else in the file's, by name.
    """

    path: str
    kind: str
    rows: int
    axes: tuple[LogAxis, ...]
    chosen: bool
    metrics: Mapping[str, LogColumn]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def read_log(path: str, *, step_column: str | None = None, metrics: Sequence[str] = ()) -> TrainingLog:
    """Read a training log; `metrics` are the columns wanted, by default all metrics with numbers.

    CheckpointError where the file can't be read, UsageError where it has no such column.
    """
    file = LogFile(path)
    columns: dict[str, LogColumn] = {}
    rows = _read_columns(file, columns, _filter(step_column, metrics))
    if rows <= file.left_out:
        raise file.error(f"no readable row: {file.why_left_out or 'the file has no rows'} ({file.kind})")
    axes = _axes(path, columns, step_column)
    wanted = {name: _named(path, columns, name, "--metric") for name in metrics} or _default_metrics(columns, axes)
    if not wanted:
        raise UsageError(f"--log {path}: no numeric column other than the steps; {_listed(columns)}")
    notes = (*_file_notes(file), *([] if metrics else _unused(columns, axes, wanted)))
    warnings = [*_file_warnings(file)]
    for name, column in wanted.items():
        warnings += _cell_warnings(name, column)
    return TrainingLog(path, file.kind, rows, axes, step_column is not None, wanted, notes, tuple(warnings))


def _filter(step_column: str | None, metrics: Sequence[str]) -> Callable[[str], bool]:
    """Return the test for columns to hold in memory: all, or those asked for and those that may count."""
    if not metrics:
        return lambda name: True
    asked = {*metrics, step_column}
    return lambda name: name in asked or (step_column is None and _unit(name) is not None)


def _read_columns(file: LogFile, columns: dict[str, LogColumn], is_wanted: Callable[[str], bool]) -> int:
    """Fill the columns, the names of others too; return the number of rows, those left out too."""
    wanted: dict[str, LogColumn | None] = {}
    numbers = read = 0
    for read, row in enumerate(read_rows(file), 1):
        if read > _MAX_ROWS:
            raise file.error(f"more than {_MAX_ROWS:,} rows: subsample the log")
        for name, cell in row.items():
            if name not in wanted:
                if len(columns) == _MAX_COLUMNS:
                    raise file.error(f"more than {_MAX_COLUMNS:,} columns: remove some")
                columns[name] = LogColumn()
                wanted[name] = columns[name] if is_wanted(name) else None
            column = wanted[name]
            if cell is not None and column is not None:
                column.add(read - 1, cell)
                numbers += 1
        if numbers > _MAX_NUMBERS:
            raise file.error(f"more than {_MAX_NUMBERS:,} values: choose columns with --metric")
    return read + file.left_out


# --------------------------------------------------------------------------------------------------- roles of columns


def _split(name: str) -> tuple[str, str]:
    """Return the prefix and the last part of a name: train and global_step of 'run 1 - train/global_step'."""
    parts = re.split(r"[/.]", name.rpartition(" - ")[2].strip().lower())
    return "/".join(parts[:-1]), parts[-1]


def _unit(name: str) -> str | None:
    """Return what a column counts by its name with a known prefix: train/epoch counts epochs, loss/epoch does not."""
    prefix, plain = _split(name)
    if prefix and prefix not in _PREFIXES:
        return None
    return "step" if plain in _STEP_NAMES + _WEAK_NAMES else "epoch" if plain in _EPOCH_NAMES else None


def _axes(path: str, columns: Mapping[str, LogColumn], asked: str | None) -> tuple[LogAxis, ...]:
    if asked is not None:
        return (LogAxis(asked, _unit(asked), _named(path, columns, asked, "--step-column")),)
    axes = tuple(axis for unit in ("step", "epoch") if (axis := _axis(columns, unit)) is not None)
    if not axes:
        raise UsageError(
            f"--log {path}: no column of steps or epochs found, choose one with --step-column; {_listed(columns)}"
        )
    return axes


def _axis(columns: Mapping[str, LogColumn], unit: str) -> LogAxis | None:
    """Return the column that counts `unit`: the best name, of equally good ones the one with the most numbers."""
    usable = [name for name, column in columns.items() if column.values and _unit(name) == unit]
    best = min(usable, key=lambda name: (*_rank(name), -len(columns[name].values)), default=None)
    return None if best is None else LogAxis(best, unit, columns[best])


def _rank(name: str) -> tuple[bool, bool, int]:
    prefix, plain = _split(name)
    return plain in _WEAK_NAMES, bool(prefix), (_STEP_NAMES + _WEAK_NAMES + _EPOCH_NAMES).index(plain)


def _named(path: str, columns: Mapping[str, LogColumn], name: str, option: str) -> LogColumn:
    """Return the column that an option names."""
    column = columns.get(name)
    if column is None:
        close = get_close_matches(name, columns, 1)
        hint = f" (did you mean {shortened(close[0])}?)" if close else ""
        raise UsageError(f"{option} {shortened(name)}: {path} has no such column{hint}; {_listed(columns)}")
    if not column.values and not (column.nonfinite and option == "--metric"):
        raise UsageError(f"{option} {shortened(name)}: this column of {path} contains no number; {_listed(columns)}")
    return column


def _default_metrics(columns: Mapping[str, LogColumn], axes: Sequence[LogAxis]) -> dict[str, LogColumn]:
    """Return the columns of numbers except counts, clocks, bounds of another column, and settings of the optimizer."""
    counts = {axis.name for axis in axes}
    return {
        name: column
        for name, column in columns.items()
        if len(column.values) + column.nonfinite > column.text
        and name not in counts
        and not (_unit(name) or _CLOCKS.fullmatch(_split(name)[1]) or _SCHEDULES.fullmatch(_split(name)[1]))
        and not (name.endswith(_SPREAD) and name[: -len(_SPREAD[0])] in columns)
    }


# ------------------------------------------------------------------------------------------------- notes and warnings


def _file_notes(file: LogFile) -> list[str]:
    return _texts(
        (file.repeated, f"skipped repeated header lines, as after a resume: {file.repeated:,}"),
        (file.unnamed, f"skipped columns without a name: {file.unnamed:,}"),
        (file.decimal_comma, "read commas in numbers as decimal points"),
    )


def _file_warnings(file: LogFile) -> list[str]:
    return _texts(
        (file.left_out, f"skipped unreadable rows: {file.left_out:,} (first: {file.why_left_out})"),
        (file.short, f"lines with fewer cells than the header: {file.short:,} (their last columns count as missing)"),
        (file.cut, "the last line has no line ending: its last number may be truncated"),
    )


def _cell_warnings(name: str, column: LogColumn) -> list[str]:
    name = shortened(name)
    return _texts(
        (column.nonfinite, f"{name}: treated NaN or infinite values as missing: {column.nonfinite:,}"),
        (column.text, f"{name}: treated non-numeric cells as missing: {column.text:,}"),
    )


def _texts(*pairs: tuple[int, str]) -> list[str]:
    """Return the texts whose count is not 0."""
    return [text for count, text in pairs if count]


def _unused(columns: Mapping[str, LogColumn], axes: Sequence[LogAxis], wanted: Mapping[str, LogColumn]) -> list[str]:
    """Return a note on the columns that hold numbers and are not metrics by default."""
    counts = {axis.name for axis in axes}
    unused = [name for name, column in columns.items() if column.values and name not in wanted and name not in counts]
    return [f"columns not used by default, choose them with --metric: {_names(unused)}"] if unused else []


def _listed(columns: Mapping[str, LogColumn]) -> str:
    return f"its columns are {_names(list(columns))}" if columns else "it has no columns"


def _names(names: Sequence[str], limit: int = 20) -> str:
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(shortened(name) for name in names[:limit]) + more
