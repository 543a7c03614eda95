"""From the arguments of the command to an ordered series of checkpoints; directories are listed, no file is opened.

The rules about directories are those of wcx/formats/find.py; steps are read from names (places, steps), directories
tell runs apart (runs), and what the series lacks or repeats is said (remarks).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from wcx.core.errors import UsageError
from wcx.core.text import natural_key
from wcx.tasks.compare.series.find import Steps, find_steps
from wcx.tasks.compare.series.labels import labels_of
from wcx.tasks.compare.series.paths import Parts, Place, places_of, with_steps
from wcx.tasks.compare.series.remarks import (
    all_of,
    of_mixed_units,
    of_names,
    of_run,
    of_runs,
    of_what_is_beside,
    of_what_is_empty,
)
from wcx.tasks.compare.series.runs import homes_of, names_of_runs
from wcx.tasks.compare.series.steps import says_step, stem_of

Order = Literal["step", "given"]


@dataclass(frozen=True, slots=True)
class Located:
    """One checkpoint of a series: what opens it, and what its name says.

    path: for open_checkpoint. label: short, distinct within the series. step: the number it is ordered by, at most
    2^53; unit: what that counts (step, epoch; None where the name does not say); epoch: where the name has both.
    group: the run it belongs to; None without groups.
    """

    path: str
    label: str
    step: int | None
    unit: str | None
    epoch: int | None
    group: str | None


@dataclass(frozen=True, slots=True)
class Series:
    """The checkpoints in their order, with what a reader should know (notes) and should act on (warnings)."""

    located: tuple[Located, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def locate(arguments: Iterable[str | os.PathLike[str]], *, order: Order = "step", group: bool = False) -> Series:
    """Return the checkpoints that files, directories and globs name, in the order of their steps.

    order: `given` keeps that of the arguments (and, within one, the natural order). group: whether checkpoints belong
    to runs, told apart by their directories; a run's checkpoints stand together. The same file given twice is there
    twice. UsageError where no argument gives a checkpoint; a path that does not exist is kept, opening it raises.

    >>> [(one.label, one.step) for one in locate(["epoch_10.pt", "epoch_9.pt"]).located]
    [('epoch_9', 9), ('epoch_10', 10)]
    """
    found = _find([os.fspath(argument) for argument in arguments])
    places = with_steps(places_of(found.paths))
    homes = homes_of(places)
    names = names_of_runs(homes)
    labels = {place.number: label for place, label in zip(places, labels_of(places), strict=True)}
    several = [] if group else of_runs(places, homes, names)
    located: list[Located] = []
    notes: list[tuple[str, str]] = []
    warnings: list[tuple[str, str]] = []
    for name, run in (_runs(places, homes, names, order) if group else {"": places}).items():
        ordered, noted, warned = _ordered(run, labels, order, repeats=not several)
        located += [
            Located(one.path, labels[one.number], one.step, one.unit, one.epoch, name if group else None)
            for one in ordered
        ]
        notes += [(name, text) for text in noted]
        warnings += [(name, text) for text in warned]
    return Series(
        tuple(located),
        (*of_what_is_beside(found), *of_names(places, labels), *_of_each_run(notes)),
        (*of_what_is_empty(found), *several, *_of_each_run(warnings)),
    )


def _find(arguments: Sequence[str]) -> Steps:
    """What all arguments give; one that gives nothing is kept beside others, so that opening it says why."""
    if not arguments:
        raise UsageError("no checkpoints named: give files, a glob, or a directory of them")
    each = [find_steps(argument, says_step) for argument in arguments]
    if not any(steps.paths for steps in each):
        raise UsageError(f"no checkpoint in {all_of(arguments)}: name files, or a glob or a directory that has some")
    found = Steps()
    for argument, steps in zip(arguments, each, strict=True):
        found.add(steps if steps.paths else replace(steps, paths=[argument]))
    return found


def _runs(
    places: Sequence[Place], homes: Mapping[int, Parts], names: Mapping[Parts, str], order: Order
) -> dict[str, list[Place]]:
    """The checkpoints of each run, by its name."""
    runs: dict[str, list[Place]] = {}
    for place in places:
        runs.setdefault(names[homes[place.number]], []).append(place)
    return runs if order == "given" else {name: runs[name] for name in sorted(runs, key=natural_key)}


def _ordered(
    run: Sequence[Place], labels: Mapping[int, str], order: Order, *, repeats: bool
) -> tuple[list[Place], list[str], list[str]]:
    """One run in its order, with notes and warnings. repeats: whether steps that come again are noted."""
    units = {place.unit for place in run if place.step is not None and not place.is_initial}
    mixed = "epoch" in units and len(units) > 1
    by_epoch = mixed and all(_has_epoch(place) for place in run)
    said = [of_mixed_units(run, by_epoch=by_epoch)] if mixed else []
    if by_epoch:
        run = [
            place if place.epoch is None else replace(place, step=place.epoch, unit="epoch", epoch=None)
            for place in run
        ]
    elif mixed:
        return (sorted(run, key=_as_counted) if order == "step" else list(run)), [], said
    if order == "step":
        run = sorted(run, key=_by_step)
    return list(run), [*said, *of_run(run, labels, given=order == "given", repeats=repeats)], []


def _has_epoch(place: Place) -> bool:
    """Whether a checkpoint with a number can be ordered by epoch."""
    return place.step is None or place.is_initial or place.unit == "epoch" or place.epoch is not None


def _as_counted(place: Place) -> tuple[object, ...]:
    *directories, name = place.parts
    return tuple(map(natural_key, (*directories, stem_of(name), name)))


def _by_step(place: Place) -> tuple[object, ...]:
    """By step, those without one behind; of one step by epoch, then as a person counts."""
    if place.step is None:
        return (1, 0, 0, _as_counted(place))
    return (0, place.step, place.epoch or 0, _as_counted(place))


def _of_each_run(said: Sequence[tuple[str, str]]) -> list[str]:
    """Each text once, with the runs of which it is said."""
    runs: dict[str, list[str]] = {}
    for name, text in said:
        runs.setdefault(text, []).append(name)
    return [f"{all_of(names)}: {text}" if any(names) else text for text, names in runs.items()]
