"""Parsed paths: the step that the path of a checkpoint says, in its last part first, then in the directories above.

Only directories in which the paths of the series differ count. The words and numbers are those of steps.py.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from wcx.formats.find import FIXED_NAMES
from wcx.tasks.compare.series.steps import ParsedName, is_initial, parse_names, varying_numbers

Parts = tuple[str, ...]
"""The parts of an absolute path."""

_TRANSFORMERS_NAME = re.compile("checkpoint-[0-9]+")


@dataclass(frozen=True, slots=True)
class ParsedPath:
    """The path of a checkpoint and the step that it says.

    index: its position among all paths. path: for open_checkpoint. parts: of the absolute path, the last one the
    checkpoint's name; is_directory: of that part. level: of the part that says the step, counted from the end. span:
    the characters in that part that the number takes with the word that explains it; None where no word does.
    """

    index: int
    path: str
    parts: Parts
    is_directory: bool
    step: int | None = None
    unit: str | None = None
    epoch: int | None = None
    level: int | None = None
    span: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.parts[-1]

    @property
    def is_initial(self) -> bool:
        """True if it is step 0 because its name says that the model is untrained."""
        return self.step == 0 and self.level is None


def parse_paths(paths: Sequence[str]) -> list[ParsedPath]:
    """Return the paths with their steps: where a word says so, else the number that varies.

    model.safetensors and the like have the names of their directories, where there are several checkpoints.
    """
    parsed = _split(paths)
    shared = shared_parts(path.parts for path in parsed)
    for only_varying in (True, False):
        for level in range(max(len(path.parts) for path in parsed)):
            parsed = _with_level(parsed, level, shared, only_varying=only_varying)
    if all(path.step is None for path in parsed):
        parsed = _with_bare_numbers(parsed, shared)
    return [replace(path, step=0) if path.step is None and is_initial(path.name) else path for path in parsed]


def shared_parts(parts: Iterable[Parts]) -> int:
    """Return the number of directories that all paths begin with; of one path, all above the one that holds it."""
    different = list(dict.fromkeys(parts))
    return common_length(different) if len(different) > 1 else max(0, len(different[0]) - 2)


def common_length(sequences: Sequence[Sequence[str]]) -> int:
    """Return the number of items, or characters, that all sequences begin with.

    >>> common_length(["epoch_1", "epoch_20", "ep"]), common_length([("a", "b"), ("a", "c")])
    (2, 1)
    """
    pairs = enumerate(zip(*sequences, strict=False))
    return next((index for index, items in pairs if len(set(items)) > 1), min(map(len, sequences)))


def _split(paths: Sequence[str]) -> list[ParsedPath]:
    """Cut the paths into parts, without those of fixed names."""
    parts = [tuple(part for part in os.path.abspath(path).split(os.sep) if part) or (os.sep,) for path in paths]
    fixed = _named_by_directories(parts)
    directories = [os.path.isdir(path) for path in paths]
    if len(fixed) == 1 and not any(directories):
        fixed = set()
    return [
        ParsedPath(index, path, own[:-1] if own in fixed else own, is_directory or own in fixed)
        for index, (path, own, is_directory) in enumerate(zip(paths, parts, directories, strict=True))
    ]


def _named_by_directories(parts: Sequence[Parts]) -> set[Parts]:
    """Return the paths of files with a fixed name, each the only such one in its directory."""
    fixed = {own for own in parts if own[-1] in FIXED_NAMES and len(own) > 1}
    counts = Counter(own[:-1] for own in fixed)
    return {own for own in fixed if counts[own[:-1]] == 1}


def _has_level(path: ParsedPath, level: int, shared: int) -> bool:
    return level == 0 or len(path.parts) - 1 - level >= shared


def _with_level(paths: list[ParsedPath], level: int, shared: int, *, only_varying: bool) -> list[ParsedPath]:
    """Parse one part of the paths that have no step yet."""
    names = {path.index: path.parts[-1 - level] for path in paths if _has_level(path, level, shared)}
    different = sorted(set(names.values()))
    if only_varying and len(different) < 2 and len({path.parts for path in paths}) > 1:
        return paths
    parsed = dict(zip(different, parse_names(different), strict=True))
    unsettled = names.keys() - (_settled(paths) if level else set())
    return [
        _with_name(path, parsed[names[path.index]], level) if path.step is None and path.index in unsettled else path
        for path in paths
    ]


def _with_name(path: ParsedPath, name: ParsedName | None, level: int) -> ParsedPath:
    if name is None:
        return path
    unit = name.unit or _unit_of_directory(path, level)
    return replace(path, step=name.step, unit=unit, epoch=name.epoch, level=level, span=(name.start, name.end))


def _unit_of_directory(path: ParsedPath, level: int) -> str | None:
    """Return `step` for a directory checkpoint-500: Transformers alone writes those, by the optimizer's steps."""
    is_directory = level > 0 or path.is_directory
    return "step" if is_directory and _TRANSFORMERS_NAME.fullmatch(path.parts[-1 - level]) else None


def _settled(paths: Sequence[ParsedPath]) -> set[int]:
    """Return the paths whose own name decides: one called init, or one in a directory of files with steps."""
    numbered = {path.parts[:-1] for path in paths if path.level == 0}
    distinct = len({path.name for path in paths}) > 1
    return {path.index for path in paths if path.parts[:-1] in numbered or (distinct and is_initial(path.name))}


def _with_bare_numbers(paths: list[ParsedPath], shared: int) -> list[ParsedPath]:
    """Take the one number that varies: over all names, else within each directory, else over the directories."""
    for level in range(max(len(path.parts) for path in paths)):
        if not all(_has_level(path, level, shared) for path in paths):
            return paths
        for by_directory in (False, True):
            if steps := _bare_numbers(paths, level, by_directory=by_directory):
                return [
                    replace(path, step=steps[path.index], level=level) if path.index in steps else path
                    for path in paths
                ]
    return paths


def _bare_numbers(paths: list[ParsedPath], level: int, *, by_directory: bool) -> dict[int, int]:
    """Return the numbers of one part of the paths by index; empty where a set of paths has none."""
    sets: dict[Parts, list[ParsedPath]] = {}
    for path in paths:
        sets.setdefault(path.parts[: -1 - level] if by_directory else (), []).append(path)
    steps: dict[int, int] = {}
    for members in sets.values():
        values = varying_numbers([path.parts[-1 - level] for path in members])
        if values is None:
            return {}
        steps |= {path.index: value for path, value in zip(members, values, strict=True) if value is not None}
    return steps
