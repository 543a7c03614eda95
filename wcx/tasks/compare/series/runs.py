"""Runs: which checkpoints of a series belong to one training, by their directories, and what the runs are called."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from wcx.tasks.compare.series.paths import Parts, Place, common_length
from wcx.tasks.compare.series.steps import read_steps


def homes_of(places: Sequence[Place]) -> dict[int, Parts]:
    """The run of each checkpoint: its directories without the one that says the step."""
    beside = [offset for offset in (-1, 1) if _say_the_same(places, offset)]
    homes = {place.number: _home(place, beside) for place in places}
    numbered = {homes[place.number] for place in places if place.step is not None and not place.is_initial}
    for place in places:
        home = homes[place.number]
        if home not in numbered and home[:-1] in numbered:  # run/best/model.safetensors beside run/checkpoint-500
            homes[place.number] = home[:-1]
    return homes


def _home(place: Place, beside: Sequence[int]) -> Parts:
    """The directories of one checkpoint without that of its step and those that repeat it."""
    if place.at is None:
        return place.parts[:-1]
    directories = place.parts if place.directory else place.parts[:-1]
    at = len(place.parts) - 1 - place.at
    steps = {at, *(at + offset for offset in beside if at < len(directories))}
    return tuple(part for index, part in enumerate(directories) if index not in steps)


def _say_the_same(places: Sequence[Place], offset: int) -> bool:
    """Whether the directories beside those of the steps repeat these: checkpoint-500/global_step500."""
    numbered = [place for place in places if place.at is not None and (place.directory or place.at > 0)]
    neighbours = [len(place.parts) - 1 - (place.at or 0) + offset for place in numbered]
    return bool(numbered) and all(
        0 <= index < len(place.parts) and _step_of(place.parts[index]) == place.step
        for index, place in zip(neighbours, numbered, strict=True)
    )


def _step_of(name: str) -> int | None:
    (reading,) = read_steps([name])
    return None if reading is None else reading.step


def names_of_runs(homes: Mapping[int, Parts]) -> dict[Parts, str]:
    """What the runs are called: the parts of their directories without those that all begin or end with."""
    different = list(dict.fromkeys(homes.values()))
    if len(different) == 1:
        return {different[0]: different[0][-1] if different[0] else os.sep}
    first = common_length(different)
    rests = [home[first:] for home in different]
    last = min(common_length([rest[::-1] for rest in rests]), *map(len, rests))
    return {home: "/".join(rest[: len(rest) - last]) or "." for home, rest in zip(different, rests, strict=True)}
