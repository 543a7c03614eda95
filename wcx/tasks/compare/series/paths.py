"""Checkpoints by their paths, with the step that a path says: of the last part first, then of the directories above.

Only directories in which the paths of the series differ count. The words and numbers are those of steps.py.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from wcx.tasks.compare.series.steps import is_initial, numbers_that_vary, read_steps

Parts = tuple[str, ...]
"""The parts of an absolute path."""

_OF_TRANSFORMERS = re.compile("checkpoint-[0-9]+")
_FIXED = ("model.safetensors", "pytorch_model.bin", "model.safetensors.index.json", "pytorch_model.bin.index.json")


@dataclass(frozen=True, slots=True)
class Place:
    """A checkpoint on its way into the series.

    number: its position among all that were found. path: as open_checkpoint gets it. parts: of the absolute path, the
    last one the checkpoint's name; directory: whether that is one. at: which of the parts says the step, counted from
    the end. word: where in that part the number stands together with the word that says what it is; None where no word
    does.
    """

    number: int
    path: str
    parts: Parts
    directory: bool
    step: int | None = None
    unit: str | None = None
    epoch: int | None = None
    at: int | None = None
    word: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.parts[-1]

    @property
    def is_initial(self) -> bool:
        """Whether it is step 0 because its name says that nothing was learned yet."""
        return self.step == 0 and self.at is None


def places_of(paths: Sequence[str]) -> list[Place]:
    """Cut the paths into parts; model.safetensors and the like are named by their directories where there are some."""
    parts = [tuple(part for part in os.path.abspath(path).split(os.sep) if part) or (os.sep,) for path in paths]
    fixed = _named_by_directories(parts)
    directories = [os.path.isdir(path) for path in paths]
    if len(fixed) > 1 or (fixed and any(directories)):
        directories = [is_one or one in fixed for is_one, one in zip(directories, parts, strict=True)]
        parts = [one[:-1] if one in fixed else one for one in parts]
    return [
        Place(number, path, one, is_one)
        for number, (path, one, is_one) in enumerate(zip(paths, parts, directories, strict=True))
    ]


def _named_by_directories(parts: Sequence[Parts]) -> set[Parts]:
    """Paths of files with a fixed name, each the only such one in its directory."""
    fixed = {one for one in parts if one[-1] in _FIXED and len(one) > 1}
    number = Counter(one[:-1] for one in fixed)
    return {one for one in fixed if number[one[:-1]] == 1}


def with_steps(places: list[Place]) -> list[Place]:
    """Read the steps: where a word says so, else the number that varies; a name such as init is step 0."""
    shared = shared_parts(place.parts for place in places)
    for only_varying in (True, False):
        for level in range(max(len(place.parts) for place in places)):
            places = _read_level(places, level, shared, only_varying=only_varying)
    if all(place.step is None for place in places):
        places = _with_bare_numbers(places, shared)
    return [replace(place, step=0) if place.step is None and is_initial(place.name) else place for place in places]


def shared_parts(parts: Iterable[Parts]) -> int:
    """How many directories all the paths begin with, or, of one path, all but the one that it is in."""
    different = list(dict.fromkeys(parts))
    return common_length(different) if len(different) > 1 else max(0, len(different[0]) - 2)


def common_length(sequences: Sequence[Sequence[str]]) -> int:
    """How many items, or characters, the sequences all begin with.

    >>> common_length(["epoch_1", "epoch_20", "ep"]), common_length([("a", "b"), ("a", "c")])
    (2, 1)
    """
    pairs = enumerate(zip(*sequences, strict=False))
    return next((index for index, items in pairs if len(set(items)) > 1), min(map(len, sequences)))


def _has_level(place: Place, level: int, shared: int) -> bool:
    return level == 0 or len(place.parts) - 1 - level >= shared


def _read_level(places: list[Place], level: int, shared: int, *, only_varying: bool) -> list[Place]:
    """Read one part of the paths of those that have no step yet."""
    names = {place.number: place.parts[-1 - level] for place in places if _has_level(place, level, shared)}
    one_path = len({place.parts for place in places}) == 1
    if only_varying and len(set(names.values())) < 2 and not one_path:
        return places
    settled = _settled(places) if level else set()
    different = sorted(set(names.values()))
    readings = dict(zip(different, read_steps(different), strict=True))
    done = []
    for place in places:
        reading = readings[names[place.number]] if place.number in names and place.number not in settled else None
        if reading is not None and place.step is None:
            place = replace(
                place,
                step=reading.step,
                unit=reading.unit or _unit_of_directory(place, level),
                epoch=reading.epoch,
                at=level,
                word=(reading.start, reading.end),
            )
        done.append(place)
    return done


def _unit_of_directory(place: Place, level: int) -> str | None:
    """Transformers, and nobody else, calls directories checkpoint-500, by the optimizer's steps."""
    is_directory = level > 0 or place.directory
    return "step" if is_directory and _OF_TRANSFORMERS.fullmatch(place.parts[-1 - level]) else None


def _settled(places: Sequence[Place]) -> set[int]:
    """Those whose own name decides: of a file called init, or one beside files with steps, no directory says more."""
    numbered = {place.parts[:-1] for place in places if place.at == 0}
    distinct = len({place.name for place in places}) > 1
    return {place.number for place in places if place.parts[:-1] in numbered or (distinct and is_initial(place.name))}


def _with_bare_numbers(places: list[Place], shared: int) -> list[Place]:
    """Take the one number that varies: over all names, else within each directory, else over the directories."""
    for level in range(max(len(place.parts) for place in places)):
        if not all(_has_level(place, level, shared) for place in places):
            return places
        for apart in (False, True):
            if found := _bare_numbers(places, level, apart=apart):
                return [
                    replace(place, step=found[place.number], at=level) if place.number in found else place
                    for place in places
                ]
    return places


def _bare_numbers(places: list[Place], level: int, *, apart: bool) -> dict[int, int]:
    """The numbers of one part of the paths by place; empty where there are none. apart: within each directory."""
    sets: dict[Parts, list[Place]] = {}
    for place in places:
        sets.setdefault(place.parts[: -1 - level] if apart else (), []).append(place)
    found: dict[int, int] = {}
    for members in sets.values():
        names = [place.parts[-1 - level] for place in members]
        values = numbers_that_vary(names)
        if values is None:
            return {}
        found |= {place.number: value for place, value in zip(members, values, strict=True) if value is not None}
    return found
