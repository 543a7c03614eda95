"""Runs: the checkpoints of a series that belong to one training, by their directories, and the names of the runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from wcx.tasks.compare.series.paths import ParsedPath, Parts, common_length
from wcx.tasks.compare.series.steps import parse_names


def homes_of(paths: Sequence[ParsedPath]) -> dict[int, Parts]:
    """Return the run of each checkpoint: its directories without the one that says the step."""
    repeating = [offset for offset in (-1, 1) if _repeat_step(paths, offset)]
    homes = {path.index: _home(path, repeating) for path in paths}
    numbered = {homes[path.index] for path in paths if path.step is not None and not path.is_initial}
    return {
        index: home[:-1] if home not in numbered and home[:-1] in numbered else home  # run/best, run/checkpoint-500
        for index, home in homes.items()
    }


def _home(path: ParsedPath, repeating: Sequence[int]) -> Parts:
    """Return the directories of one checkpoint without that of its step and those that repeat it."""
    if path.level is None:
        return path.parts[:-1]
    directories = path.parts if path.is_directory else path.parts[:-1]
    at = len(path.parts) - 1 - path.level
    steps = {at, *(at + offset for offset in repeating if at < len(directories))}
    return tuple(part for index, part in enumerate(directories) if index not in steps)


def _repeat_step(paths: Sequence[ParsedPath], offset: int) -> bool:
    """Return True if the directories next to those of the steps repeat these: checkpoint-500/global_step500."""
    numbered = [(path, path.level) for path in paths if path.level is not None and (path.is_directory or path.level)]
    return bool(numbered) and all(
        0 <= (index := len(path.parts) - 1 - level + offset) < len(path.parts)
        and _step_of(path.parts[index]) == path.step
        for path, level in numbered
    )


def _step_of(name: str) -> int | None:
    (parsed,) = parse_names([name])
    return None if parsed is None else parsed.step


def names_of_runs(homes: Mapping[int, Parts]) -> dict[Parts, str]:
    """Return the names of the runs: the parts of their directories without those that all begin or end with."""
    different = list(dict.fromkeys(homes.values()))
    if len(different) == 1:
        return {different[0]: different[0][-1] if different[0] else os.sep}
    first = common_length(different)
    rests = [home[first:] for home in different]
    last = min(common_length([rest[::-1] for rest in rests]), *map(len, rests))
    return {home: "/".join(rest[: len(rest) - last]) or "." for home, rest in zip(different, rests, strict=True)}
