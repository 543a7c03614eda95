"""A training log by columns: which of them count steps or epochs, which are metrics, and how sound each one is.

The rows come from log_files, the join with checkpoints is in log_join. A column is sparse: the rows that have a finite
number in it. NaN, infinite and empty cells are missing values, as loggers write NaN for "not measured here" too.
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
from wcx.tasks.compare.logs.files.reading import Cell, Reading

_MAX_ROWS = 2_000_000
_MAX_COLUMNS = 10_000
_MAX_NUMBERS = 4_000_000  # 16 bytes each, and as much again when they are joined
_STEP_NAMES = (
    "step",
    "global_step",
    "train_step",
    "training_step",
    "optimizer_step",
    "steps",
    "total_steps",
    "total_timesteps",
    "timesteps",
    "iteration",
    "iterations",
    "iter",
    "iters",
    "iter_num",
    "it",
    "num_updates",
    "updates",
    "update",
)
_WEAK_NAMES = ("batch", "_step")  # may begin anew with each epoch; how often Weights & Biases logged something
_EPOCH_NAMES = ("epoch", "epochs", "current_epoch", "ep")
_PREFIXES = {"train", "trainer", "training", "time", "progress", "charts", "val", "valid", "validation", "eval", "test"}
_CLOCKS = re.compile(
    r"_?(wall ?time|time|timestamp|date|datetime|created_at|elapsed|time_elapsed|eta|duration|seconds|runtime)"
    r"|.*_(time|runtime|seconds|secs|ms|per_second|per_sec)"
    r"|.*[ _](wall ?time|timestamp)|relative time.*|fps"
    r"|total_flos|(num_input_tokens|num_tokens|tokens|samples|examples)(_seen)"
)
_SCHEDULES = re.compile(r"lr|lr[-_/].*|learning_?rate(_.*)?|momentum|weight_?decay|beta_?[12]", re.IGNORECASE)
_SPREAD = ("__MIN", "__MAX")  # of the smoothing that an export of Weights & Biases has beside each value


@dataclass(slots=True)
class Column:
    """The finite numbers of a column with their rows (from 0, ascending); how many cells were no such numbers."""

    rows: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    nonfinite: int = 0
    text: int = 0

    def add(self, row: int, cell: float | Cell) -> None:
        """Take in what stands in a row that is not empty."""
        if isinstance(cell, float):
            self.rows.append(row)
            self.values.append(cell)
        elif cell is Cell.NONFINITE:
            self.nonfinite += 1
        else:
            self.text += 1

    @property
    def is_numeric(self) -> bool:
        """Whether it holds numbers, be they finite or not, rather than text."""
        return len(self.values) + self.nonfinite > self.text


@dataclass(frozen=True, slots=True)
class Axis:
    """A column that counts how far training was. unit: `step` or `epoch`, None where its name does not say."""

    name: str
    unit: str | None
    column: Column


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """A log that was read. rows: all of them, those that were left out too; the rows of columns count what was read.

    axes: columns that count steps or epochs, at most one of each, or the one that was asked for (`chosen`). metrics:
    in the order asked for, else in the file's, by name.
    """

    path: str
    kind: str
    rows: int
    axes: tuple[Axis, ...]
    chosen: bool
    metrics: Mapping[str, Column]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def read_log(path: str, *, step_column: str | None = None, metrics: Sequence[str] = ()) -> TrainingLog:
    """Read a training log; `metrics` are the columns wanted, all that hold numbers where none is named.

    CheckpointError where the file can't be read, UsageError where it has no such column.
    """
    reading = Reading(path)
    columns: dict[str, Column] = {}
    rows = _read_columns(reading, columns, _kept(step_column, metrics))
    if rows <= reading.left_out:
        raise reading.error(f"no row that can be read: {reading.why_left_out or 'nothing'} ({reading.kind})")
    axes = _axes(path, columns, step_column)
    wanted = {name: _asked(path, columns, name) for name in metrics} or _default_metrics(columns, axes)
    if not wanted:
        raise UsageError(f"--log {path}: no column with numbers beside the steps; {_listed(columns)}")
    notes, warnings = _remarks(reading), _doubts(reading)
    if not metrics:
        notes += _unused(columns, axes, wanted)
    for name, column in wanted.items():
        warnings += _cell_doubts(name, column)
    return TrainingLog(path, reading.kind, rows, axes, step_column is not None, wanted, tuple(notes), tuple(warnings))


def _kept(step_column: str | None, metrics: Sequence[str]) -> Callable[[str], bool]:
    """Which columns are held in memory: all, or those that were asked for and those that may count."""
    if not metrics:
        return lambda name: True
    asked = {*metrics, step_column}
    return lambda name: name in asked or (step_column is None and _unit(name) is not None)


def _read_columns(reading: Reading, columns: dict[str, Column], is_kept: Callable[[str], bool]) -> int:
    """Fill the columns, the names of others too; returns the number of rows, those left out too."""
    held: dict[str, Column | None] = {}
    numbers = read = 0
    for read, row in enumerate(read_rows(reading), 1):
        if read > _MAX_ROWS:
            raise reading.error(f"more than {_MAX_ROWS:,} rows: thin the log out")
        for name, cell in row.items():
            if name not in held:
                if len(columns) == _MAX_COLUMNS:
                    raise reading.error(f"more than {_MAX_COLUMNS:,} columns")
                columns[name] = Column()
                held[name] = columns[name] if is_kept(name) else None
            column = held[name]
            if cell is not None and column is not None:
                column.add(read - 1, cell)
                numbers += 1
        if numbers > _MAX_NUMBERS:
            raise reading.error(f"more than {_MAX_NUMBERS:,} values: name the columns wanted with --metric")
    return read + reading.left_out


# ----------------------------------------------------------------------------------------------- which columns are what


def _split(name: str) -> tuple[str, str]:
    """What stands before the last part of a name, and that: of 'run 1 - train/global_step', train and global_step."""
    parts = re.split(r"[/.]", name.rpartition(" - ")[2].strip().lower())
    return "/".join(parts[:-1]), parts[-1]


def _unit(name: str) -> str | None:
    """What a column counts by its name, which may have a known prefix: train/epoch counts, loss/epoch is a loss."""
    prefix, plain = _split(name)
    if prefix and prefix not in _PREFIXES:
        return None
    return "step" if plain in _STEP_NAMES + _WEAK_NAMES else "epoch" if plain in _EPOCH_NAMES else None


def _axes(path: str, columns: Mapping[str, Column], asked: str | None) -> tuple[Axis, ...]:
    if asked is not None:
        return (Axis(asked, _unit(asked), _asked(path, columns, asked, "--step-column")),)
    found = tuple(axis for unit in ("step", "epoch") if (axis := _axis(columns, unit)) is not None)
    if not found:
        raise UsageError(
            f"--log {path}: no column counts steps or epochs, name it by --step-column; {_listed(columns)}"
        )
    return found


def _axis(columns: Mapping[str, Column], unit: str) -> Axis | None:
    """The column that counts `unit`: the best name, of equally good ones the one with the most numbers."""
    usable = [name for name, column in columns.items() if column.values and _unit(name) == unit]
    if not usable:
        return None
    best = min(usable, key=lambda name: (*_rank(name), -len(columns[name].values)))
    return Axis(best, unit, columns[best])


def _rank(name: str) -> tuple[bool, bool, int]:
    prefix, plain = _split(name)
    return plain in _WEAK_NAMES, bool(prefix), (_STEP_NAMES + _WEAK_NAMES + _EPOCH_NAMES).index(plain)


def _asked(path: str, columns: Mapping[str, Column], name: str, option: str = "--metric") -> Column:
    """The column of a name that was asked for."""
    column = columns.get(name)
    if column is None:
        close = get_close_matches(name, columns, 1)
        hint = f" (did you mean {shortened(close[0])}?)" if close else ""
        raise UsageError(f"{option} {shortened(name)}: {path} has no such column{hint}; {_listed(columns)}")
    if not column.values and not (column.nonfinite and option == "--metric"):
        raise UsageError(f"{option} {shortened(name)}: this column of {path} has no number; {_listed(columns)}")
    return column


def _default_metrics(columns: Mapping[str, Column], axes: Sequence[Axis]) -> dict[str, Column]:
    """The columns of numbers that are no counts, clocks, bounds of another column, or settings of the optimizer."""
    counts = {axis.name for axis in axes}
    return {
        name: column
        for name, column in columns.items()
        if column.is_numeric
        and name not in counts
        and not (_unit(name) or _CLOCKS.fullmatch(_split(name)[1]) or _is_spread(name, columns))
        and not _SCHEDULES.fullmatch(_split(name)[1])
    }


def _is_spread(name: str, columns: Mapping[str, Column]) -> bool:
    return name.endswith(_SPREAD) and name[: -len(_SPREAD[0])] in columns


# ------------------------------------------------------------------------------------------------- what is said of it


def _remarks(reading: Reading) -> list[str]:
    notes = []
    if reading.repeated:
        notes.append(f"lines that are the header again, as after a resume, passed over: {reading.repeated:,}")
    if reading.unnamed:
        notes.append(f"columns without a name, passed over: {reading.unnamed:,}")
    if reading.decimal_comma:
        notes.append("commas in numbers were read as decimal signs")
    return notes


def _doubts(reading: Reading) -> list[str]:
    warnings = []
    if reading.left_out:
        warnings.append(f"rows that can't be read, left out: {reading.left_out:,} ({reading.why_left_out})")
    if reading.short:
        warnings.append(f"lines with fewer cells than the header: {reading.short:,}; the rest counts as missing")
    if reading.cut:
        warnings.append("the last line has no line end: its last number may be cut short")
    return warnings


def _unused(columns: Mapping[str, Column], axes: Sequence[Axis], wanted: Mapping[str, Column]) -> list[str]:
    """Which columns were passed over although they hold numbers."""
    counted = {axis.name for axis in axes}
    others = [name for name, column in columns.items() if column.values and name not in wanted and name not in counted]
    return [f"no metrics by default, name them with --metric: {_names(others)}"] if others else []


def _cell_doubts(name: str, column: Column) -> list[str]:
    warnings = []
    if column.nonfinite:
        warnings.append(f"{shortened(name)}: NaN or infinite values, which count as missing: {column.nonfinite:,}")
    if column.text:
        warnings.append(f"{shortened(name)}: cells that are no numbers and count as missing: {column.text:,}")
    return warnings


def _listed(columns: Mapping[str, Column]) -> str:
    return f"there are {_names(list(columns))}" if columns else "there are none"


def _names(names: Sequence[str], limit: int = 20) -> str:
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(shortened(name) for name in names[:limit]) + more
