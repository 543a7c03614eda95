"""From the arguments of the command to an ordered series of checkpoints; directories are listed, no file is opened.

find.py has the rules about directories; steps are read from names (paths, steps), directories separate runs (runs),
and notes.py has the texts on missing and repeated steps.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from wcx.core.errors import UsageError
from wcx.core.text import natural_key
from wcx.tasks.compare.series.find import FoundPaths, find_steps
from wcx.tasks.compare.series.labels import labels_of
from wcx.tasks.compare.series.networks import check_no_parts, homes_of_networks, networks_in, with_network_steps
from wcx.tasks.compare.series.notes import (
    all_of,
    empty_warnings,
    left_out_notes,
    mixed_units,
    name_notes,
    run_notes,
    several_runs_warnings,
    units_of,
)
from wcx.tasks.compare.series.paths import ParsedPath, Parts, parse_paths
from wcx.tasks.compare.series.runs import homes_of, names_of_runs
from wcx.tasks.compare.series.steps import stem_of

Order = Literal["step", "given"]


@dataclass(frozen=True, slots=True)
class Located:
    """One checkpoint of a series: its path, and the step in its name.

    path: for open_checkpoint. label: short, distinct within the series. step: the number it is ordered by, at most
    2^53; unit: of that number (step, epoch; None where the name does not say); epoch: where the name has both.
    group: the run it belongs to; None without groups.
    """

    path: str
    label: str
    step: int | None
    unit: str | None
    epoch: int | None
    group: str | None


@dataclass(frozen=True, slots=True)
class LocatedSeries:
    """The checkpoints in their order, with notes on the series, and warnings that a user should act on."""

    located: tuple[Located, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def locate(arguments: Iterable[str | os.PathLike[str]], *, order: Order = "step", group: bool = False) -> LocatedSeries:
    """Return the checkpoints that files, directories and globs name, in the order of their steps.

    order: `given` keeps that of the arguments (and, within one, the natural order). group: whether checkpoints belong
    to runs, separated by their directories; a run's checkpoints are consecutive. The same file given twice is there
    twice. UsageError where no argument gives a checkpoint; a path that does not exist is kept, opening it raises.

    >>> [(one.label, one.step) for one in locate(["epoch_10.pt", "epoch_9.pt"]).located]
    [('epoch_9', 9), ('epoch_10', 10)]
    """
    found = _find([os.fspath(argument) for argument in arguments])
    paths = with_network_steps(parse_paths(found.paths))
    check_no_parts(paths)
    networks = networks_in(paths)
    homes = homes_of_networks(homes_of(paths), networks)
    names = names_of_runs(homes)
    labels = {path.index: label for path, label in zip(paths, labels_of(paths), strict=True)}
    several = [] if group else several_runs_warnings(paths, homes, names, are_networks=bool(networks))
    located: list[Located] = []
    notes: list[tuple[str, str]] = []
    warnings: list[tuple[str, str]] = []
    for name, run in (_runs(paths, homes, names, order) if group else {"": paths}).items():
        ordered, run_has, run_warns = _ordered(run, labels, order, repeats=not several)
        located += [
            Located(path.path, labels[path.index], path.step, path.unit, path.epoch, name if group else None)
            for path in ordered
        ]
        notes += [(name, text) for text in run_has]
        warnings += [(name, text) for text in run_warns]
    return LocatedSeries(
        tuple(located),
        (*left_out_notes(found), *name_notes(paths, labels), *_by_text(notes)),
        (*empty_warnings(found), *several, *_by_text(warnings)),
    )


def _find(arguments: Sequence[str]) -> FoundPaths:
    """Return the paths of all arguments; one that gives none is kept if others do, so that opening it says why."""
    if not arguments:
        raise UsageError("no checkpoint given: pass files, a glob, or a directory of checkpoints")
    each = [find_steps(argument) for argument in arguments]
    if not any(steps.paths for steps in each):
        raise UsageError(
            f"no checkpoint found in {all_of(arguments)}: pass files, a glob, or a directory of checkpoints"
        )
    found = FoundPaths()
    for argument, steps in zip(arguments, each, strict=True):
        found.add(steps if steps.paths else replace(steps, paths=[argument]))
    return found


def _runs(
    paths: Sequence[ParsedPath], homes: Mapping[int, Parts], names: Mapping[Parts, str], order: Order
) -> dict[str, list[ParsedPath]]:
    """Return the checkpoints of each run by its name."""
    runs: dict[str, list[ParsedPath]] = {}
    for path in paths:
        runs.setdefault(names[homes[path.index]], []).append(path)
    return runs if order == "given" else {name: runs[name] for name in sorted(runs, key=natural_key)}


def _ordered(
    run: Sequence[ParsedPath], labels: Mapping[int, str], order: Order, *, repeats: bool
) -> tuple[list[ParsedPath], list[str], list[str]]:
    """Return one run in its order, with notes and warnings. repeats: whether repeated steps are noted."""
    units = units_of(run)
    mixed = "epoch" in units and len(units) > 1
    by_epoch = mixed and all(_has_epoch(path) for path in run)
    if mixed and not by_epoch:
        ordered = sorted(run, key=_natural) if order == "step" else list(run)
        return ordered, [], [mixed_units(run, by_epoch=False)]
    notes = [mixed_units(run, by_epoch=True)] if by_epoch else []
    if order == "step":
        run = sorted(run, key=_by_epoch if by_epoch else _by_step)
    if by_epoch:
        run = [path if path.epoch is None else replace(path, step=path.epoch, unit="epoch", epoch=None) for path in run]
    return list(run), [*notes, *run_notes(run, labels, given=order == "given", repeats=repeats)], []


def _has_epoch(path: ParsedPath) -> bool:
    """Return True if a checkpoint with a number can be ordered by epoch."""
    return path.step is None or path.is_initial or path.unit == "epoch" or path.epoch is not None


def _natural(path: ParsedPath) -> tuple[object, ...]:
    *directories, name = path.parts
    return tuple(map(natural_key, (*directories, stem_of(name), name)))


def _by_step(path: ParsedPath) -> tuple[object, ...]:
    """Sort by step, those without one last; within a step by epoch, then in natural order."""
    if path.step is None:
        return (1, 0, 0, _natural(path))
    return (0, path.step, path.epoch or 0, _natural(path))


def _by_epoch(path: ParsedPath) -> tuple[object, ...]:
    """Sort by epoch; checkpoint_2_5000 with a step is within the epoch, so it comes before checkpoint2 at its end."""
    if path.step is None:
        return _by_step(path)
    if path.epoch is None:
        return (0, path.step, 1, 0, _natural(path))
    return (0, path.epoch, 0, path.step, _natural(path))


def _by_text(texts: Sequence[tuple[str, str]]) -> list[str]:
    """Return each text once, with the runs that have it."""
    runs: dict[str, list[str]] = {}
    for name, text in texts:
        runs.setdefault(text, []).append(name)
    return [f"{all_of(names)}: {text}" if any(names) else text for text, names in runs.items()]
