"""The training logs of a comparison: the file of each run, and the values that each checkpoint takes from it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from wcx.core.comparison import Joined
from wcx.core.errors import UsageError
from wcx.tasks.compare.logs.columns import TrainingLog, read_log
from wcx.tasks.compare.logs.join import choose
from wcx.tasks.compare.logs.notes import join_notes, join_warnings
from wcx.tasks.compare.series.discover import Located
from wcx.tasks.compare.settings import ComparisonSettings


@dataclass(frozen=True, slots=True)
class Logs:
    """The joined logs. values: of each checkpoint, by column; metrics: all columns, in order. settings: of the JSON.

    Without a log settings and joined are None.
    """

    values: tuple[Mapping[str, float | None], ...]
    metrics: tuple[str, ...] = ()
    settings: dict[str, Any] | None = None
    joined: Joined | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JoinedLog:
    """The values that the checkpoints of one run take from its log, by column; None where no row is near enough.

    step_column: the column that was joined by.
    """

    values: tuple[Mapping[str, float | None], ...]
    joined: Joined
    step_column: str
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def join_logs(located: Sequence[Located], settings: ComparisonSettings) -> Logs:
    """Join each run's log to its checkpoints.

    CheckpointError for a log that can't be read, UsageError for one that does not fit.
    """
    if not settings.logs:
        return Logs(tuple({} for _ in located))
    runs: dict[str | None, list[int]] = {}
    for index, checkpoint in enumerate(located):
        runs.setdefault(checkpoint.group, []).append(index)
    paths = _paths(settings.logs, {name: [located[index].path for index in run] for name, run in runs.items()})
    values: list[Mapping[str, float | None]] = [{} for _ in located]
    joins: list[JoinedLog] = []
    notes: dict[str, None] = {}
    warnings: dict[str, None] = {}
    metrics: dict[str, None] = {}
    for (name, run), path in zip(runs.items(), paths, strict=True):
        log = read_log(path, step_column=settings.step_column, metrics=settings.metrics)
        joined = join(log, [located[index] for index in run])
        joins.append(joined)
        metrics |= dict.fromkeys(log.metrics)
        for index, own in zip(run, joined.values, strict=True):
            values[index] = own
        prefix = "" if name is None else f"{name}: "
        notes |= dict.fromkeys(prefix + note for note in joined.notes)
        warnings |= dict.fromkeys(prefix + warning for warning in joined.warnings)
    return Logs(
        tuple({name: own.get(name) for name in metrics} for own in values),
        tuple(metrics),
        {"path": paths[0], "step_column": joins[0].step_column, "rule": "nearest", "paths": list(paths)},
        Joined(*map(sum, zip(*(astuple(joined.joined) for joined in joins), strict=True))),
        tuple(notes),
        tuple(warnings),
    )


def join(log: TrainingLog, checkpoints: Sequence[Located]) -> JoinedLog:
    """Join a log to the checkpoints of one run; UsageError where its steps and theirs differ in unit."""
    best, notes = choose(log, checkpoints)
    notes = [*log.notes, *notes, *join_notes(best, checkpoints)]
    warnings = (*log.warnings, *join_warnings(best, checkpoints))
    return JoinedLog(best.values(), best.counts(), best.axis.name, tuple(notes), warnings)


def _paths(logs: Sequence[str], runs: Mapping[str | None, Sequence[str]]) -> list[str]:
    """Return the log of each run: one is given for each, or one name that is looked up next to its checkpoints."""
    log, several = logs[0], len(runs) > 1
    if len(logs) > 1:
        if len(logs) != len(runs):
            raise UsageError(f"{len(logs)} logs for {len(runs)} run{'s' * several}: give one for each run, or one name")
        if len(set(map(os.path.realpath, logs))) < len(logs):
            raise _one_for_all(log, runs)
        return list(logs)
    if not several and (os.path.exists(log) or os.path.isabs(log)):
        return [log]
    if os.path.isabs(log):
        raise _one_for_all(log, runs)
    found = [_near(log, paths) for paths in runs.values()]
    missing = [str(name) for name, path in zip(runs, found, strict=True) if path is None]
    if missing and several and not os.path.exists(log):
        raise UsageError(
            f"--log {log}: no such file next to the checkpoints of {missing[0]}; give one log for each run"
        )
    if several and (missing or len({os.path.realpath(path) for path in found if path}) < len(found)):
        raise _one_for_all(log, runs)
    return [path or log for path in found]


def _one_for_all(log: str, runs: Mapping[str | None, Sequence[str]]) -> UsageError:
    return UsageError(
        f"--log {log}: one file for {len(runs)} runs; "
        "give one log for each run, or a file name that exists next to each run's checkpoints"
    )


def _near(log: str, paths: Sequence[str]) -> str | None:
    """Return the file of that name next to a run's checkpoints, or above or inside the last of them."""
    directory = os.path.dirname(os.path.normpath(paths[-1]))
    inside = [paths[-1]] if os.path.isdir(paths[-1]) else []
    candidates = (os.path.join(folder, log) for folder in (directory, *inside, os.path.dirname(directory)))
    return next((path for path in candidates if os.path.isfile(path)), None)
