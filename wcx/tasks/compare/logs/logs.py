"""The training logs of a comparison: which file belongs to which run, and what each checkpoint takes from it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wcx.core.comparison import Joined
from wcx.core.errors import UsageError
from wcx.tasks.compare.logs.columns import read_log
from wcx.tasks.compare.logs.join import JoinedLog, join
from wcx.tasks.compare.series.discover import Located
from wcx.tasks.compare.settings import ComparisonSettings


@dataclass(frozen=True, slots=True)
class Logs:
    """values: what each checkpoint takes, by column; metrics: all columns, in order. settings: as the JSON has them.

    Without a log, nothing: settings and joined are None.
    """

    values: tuple[Mapping[str, float | None], ...]
    metrics: tuple[str, ...] = ()
    settings: dict[str, Any] | None = None
    joined: Joined | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def join_logs(located: Sequence[Located], settings: ComparisonSettings) -> Logs:
    """Join each run's log to its checkpoints; CheckpointError for a log that can't be read, UsageError for one that
    does not fit.
    """
    if not settings.logs:
        return Logs(tuple({} for _ in located))
    runs: dict[str | None, list[int]] = {}
    for number, one in enumerate(located):
        runs.setdefault(one.group, []).append(number)
    paths = _paths(settings.logs, {name: [located[at].path for at in numbers] for name, numbers in runs.items()})
    values: list[Mapping[str, float | None]] = [{} for _ in located]
    joins: list[JoinedLog] = []
    notes: list[str] = []
    warnings: list[str] = []
    metrics: dict[str, None] = {}
    for (name, numbers), path in zip(runs.items(), paths, strict=True):
        log = read_log(path, step_column=settings.step_column, metrics=settings.metrics)
        joined = join(log, [located[at] for at in numbers])
        joins.append(joined)
        metrics.update(dict.fromkeys(log.metrics))
        for at, found in zip(numbers, joined.values, strict=True):
            values[at] = found
        said = "" if name is None else f"{name}: "
        notes += [said + note for note in (*log.notes, *joined.notes)]
        warnings += [said + warning for warning in (*log.warnings, *joined.warnings)]
    columns = tuple(metrics)
    return Logs(
        tuple({name: found.get(name) for name in columns} for found in values),
        columns,
        {"path": paths[0], "step_column": joins[0].step_column, "rule": joins[0].rule, "paths": list(paths)},
        Joined(*(sum(parts) for parts in zip(*(_parts(one.joined) for one in joins), strict=True))),
        tuple(dict.fromkeys(notes)),
        tuple(dict.fromkeys(warnings)),
    )


def _parts(joined: Joined) -> tuple[int, int, int, int]:
    return joined.rows, joined.used, joined.unused, joined.duplicates


def _paths(logs: Sequence[str], runs: Mapping[str | None, Sequence[str]]) -> list[str]:
    """The log of each run: as many as there are runs, or one name that is looked for beside each run's checkpoints."""
    if len(logs) == len(runs) and (len(logs) > 1 or os.path.exists(logs[0])):
        if len({os.path.realpath(path) for path in logs}) < len(logs):
            return _same_for_all(logs[0], len(runs))
        return list(logs)
    if len(logs) == 1 and os.path.isabs(logs[0]):
        return _same_for_all(logs[0], len(runs))
    if len(logs) > 1:
        raise UsageError(f"{len(logs)} logs for {len(runs)} run{'s' * (len(runs) > 1)}: one for each, or one name")
    found = [_beside(logs[0], paths) for paths in runs.values()]
    missing = [str(name) for name, path in zip(runs, found, strict=True) if path is None]
    if missing and len(runs) > 1 and os.path.exists(logs[0]):
        return _same_for_all(logs[0], len(runs))
    if missing and len(runs) > 1:
        raise UsageError(f"--log {logs[0]}: no such file beside the checkpoints of {missing[0]}; give one for each run")
    if len({os.path.realpath(path) for path in found if path is not None}) < len(found) > 1:
        return _same_for_all(logs[0], len(runs))
    return [path or logs[0] for path in found]


def _same_for_all(log: str, runs: int) -> list[str]:
    """The log itself for one run; it can't be that of several."""
    if runs > 1:
        raise UsageError(
            f"--log {log}: one file for {runs} runs; give one for each, or the name of one that lies beside each run's "
            "checkpoints"
        )
    return [log]


def _beside(log: str, paths: Sequence[str]) -> str | None:
    """The file of that name beside a run's checkpoints, or above or inside the last of them; None without."""
    last = paths[-1]
    inside = [last] if os.path.isdir(last) else []
    directory = os.path.dirname(os.path.normpath(last))
    for place in (directory, *inside, os.path.dirname(directory)):
        path = os.path.join(place, log)
        if os.path.isfile(path):
            return path
    return None
