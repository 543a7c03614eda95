"""The columns of a training log by their role: those that count steps or epochs, clocks, settings, and metrics."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
_LONGEST_CELL = 40
_SPREAD = ("__MIN", "__MAX")  # bounds of the smoothing, which an export of Weights & Biases has with each value


@dataclass(slots=True)
class LogColumn:
    """The finite numbers of a column with their rows (from 0, ascending), and the counts of other cells.

    first_text: the beginning of the first cell that is not a number.
    """

    rows: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    nonfinite: int = 0
    text: int = 0
    first_text: str = ""

    def add(self, row: int, cell: float | str) -> None:
        """Add a cell that is not empty."""
        if isinstance(cell, str):
            self.text += 1
            self.first_text = self.first_text or cell[:_LONGEST_CELL]
        elif math.isnan(cell):
            self.nonfinite += 1
        else:
            self.rows.append(row)
            self.values.append(cell)


@dataclass(frozen=True, slots=True)
class LogAxis:
    """A column that counts how far training was. unit: `step` or `epoch`, None where its name does not say."""

    name: str
    unit: str | None
    column: LogColumn


def _split(name: str) -> tuple[str, str]:
    """Return the prefix and the last part of a name: train and global_step of 'run 1 - train/global_step'."""
    parts = re.split(r"[/.]", name.rpartition(" - ")[2].strip().lower())
    return "/".join(parts[:-1]), parts[-1]


def unit_of(name: str) -> str | None:
    """Return what a column counts by its name with a known prefix: train/epoch counts epochs, loss/epoch does not."""
    prefix, plain = _split(name)
    if prefix and prefix not in _PREFIXES:
        return None
    return "step" if plain in _STEP_NAMES + _WEAK_NAMES else "epoch" if plain in _EPOCH_NAMES else None


def is_clock(name: str) -> bool:
    """Return True if a column measures time, or counts tokens or samples."""
    return _CLOCKS.fullmatch(_split(name)[1]) is not None


def axis_of(columns: Mapping[str, LogColumn], unit: str) -> LogAxis | None:
    """Return the column that counts `unit`: the best name, of equally good ones the one with the most numbers."""
    usable = [name for name, column in columns.items() if column.values and unit_of(name) == unit]
    best = min(usable, key=lambda name: (*_rank(name), -len(columns[name].values)), default=None)
    return None if best is None else LogAxis(best, unit, columns[best])


def _rank(name: str) -> tuple[bool, bool, int]:
    prefix, plain = _split(name)
    return plain in _WEAK_NAMES, bool(prefix), (_STEP_NAMES + _WEAK_NAMES + _EPOCH_NAMES).index(plain)


def default_metrics(columns: Mapping[str, LogColumn], axes: Sequence[LogAxis]) -> dict[str, LogColumn]:
    """Return the columns of numbers except counts, clocks, bounds of another column, and settings of the optimizer."""
    counts = {axis.name for axis in axes}
    return {
        name: column
        for name, column in columns.items()
        if len(column.values) + column.nonfinite > column.text
        and name not in counts
        and not (unit_of(name) or is_clock(name) or _SCHEDULES.fullmatch(_split(name)[1]))
        and not (name.endswith(_SPREAD) and name[: -len(_SPREAD[0])] in columns)
    }
