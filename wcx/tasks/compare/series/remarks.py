"""What a reader should know of a series before it is read: what it lacks, what comes twice, what has no step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from wcx.core.text import escape, natural_key
from wcx.tasks.compare.series.find import Steps
from wcx.tasks.compare.series.paths import Parts, Place

_SHOWN = 3  # names or numbers in a remark
_WIDTH = 60  # characters of a name in a remark
_LEAST_REGULAR = 2 / 3  # share of the distances that are equal where the others are gaps


def of_what_is_beside(found: Steps) -> list[str]:
    """Checkpoints that directories hold beside their steps."""
    aside = [path for path in dict.fromkeys(found.aside) if path not in found.paths]
    if not aside:
        return []
    return [
        f"left out, beside the steps and without a step in the name: {all_of(aside)}; named as files they take part"
    ]


def of_what_is_empty(found: Steps) -> list[str]:
    """Directories that are called like a step and hold nothing to be read."""
    return [f"called like a step, but no checkpoint in it: {all_of(found.empty)}"] if found.empty else []


def of_names(places: Sequence[Place], labels: Mapping[int, str]) -> list[str]:
    """Numbers that no word explains, and names that count as step 0."""
    notes = []
    bare = [place.step for place in places if place.at is not None and place.word is None and place.step is not None]
    if bare:
        notes.append(
            "no word such as step or epoch in the names: the number that varies is taken for the step "
            f"({min(bare)} to {max(bare)})"
        )
    initial = [labels[place.number] for place in places if place.is_initial]
    if initial:
        notes.append(f"counted as step 0 by the name: {all_of(initial)}")
    return notes


def of_mixed_units(run: Sequence[Place], *, by_epoch: bool) -> str:
    """One run whose names count in several ways. by_epoch: whether all have an epoch."""
    counts = Counter(place.unit or "unit unknown" for place in run if place.step is not None and not place.is_initial)
    text = ", ".join(f"{unit} {number}" for unit, number in sorted(counts.items()))
    if by_epoch:
        return f"not all names have a step ({text}): ordered by the epoch, which all have"
    return f"numbers in the names count different things ({text}): natural order instead of the order of steps"


def of_run(run: Sequence[Place], labels: Mapping[int, str], *, given: bool, repeats: bool) -> list[str]:
    """What one run lacks and, if wanted, repeats. given: whether it is in the order of the command."""
    without = [labels[place.number] for place in run if place.step is None]
    notes = []
    if without and len(without) == len(run):
        if len(run) > 1 and not given:
            notes.append("no step in the names: natural order (--order given keeps the command's)")
    elif without:
        after = "" if given else ", after the numbered ones"
        notes.append(f"no step in the name{after}: {all_of(without)}")
    return [*notes, *(_of_repeated_steps(run, labels) if repeats else []), *_of_gaps(run)]


def _of_repeated_steps(run: Sequence[Place], labels: Mapping[int, str]) -> list[str]:
    by_step: dict[int, list[str]] = {}
    for place in run:
        if place.step is not None:
            by_step.setdefault(place.step, []).append(labels[place.number])
    repeated = [(step, names) for step, names in sorted(by_step.items()) if len(names) > 1]
    if not repeated:
        return []
    shown = "; ".join(f"of {_unit_of(run)} {step}: {all_of(names)}" for step, names in repeated[:_SHOWN])
    more = f"; and of {len(repeated) - _SHOWN} more" if len(repeated) > _SHOWN else ""
    return [f"several checkpoints {shown}{more}"]


def _of_gaps(run: Sequence[Place]) -> list[str]:
    """Distances above the usual one, where the others are all that; growing distances are a schedule."""
    steps = sorted({place.step for place in run if place.step is not None})
    distances = [after - before for before, after in pairwise(steps)]
    if not distances:
        return []
    usual, number = Counter(distances).most_common(1)[0]
    gaps = [(steps[index], steps[index + 1]) for index, distance in enumerate(distances) if distance > usual]
    if not gaps or number < _LEAST_REGULAR * len(distances):
        return []
    shown = ", ".join(f"{before} and {after}" for before, after in gaps[:_SHOWN])
    more = f" and {len(gaps) - _SHOWN} more" if len(gaps) > _SHOWN else ""
    where = "elsewhere" if number + len(gaps) == len(distances) else "in most places"
    return [f"gap: no checkpoint between {_unit_of(run)} {shown}{more}, where the distance is {usual} {where}"]


def of_runs(places: Sequence[Place], homes: Mapping[int, Parts], names: Mapping[Parts, str]) -> list[str]:
    """Checkpoints of several directories in one series: runs of their own, perhaps."""
    members: dict[Parts, list[int]] = {}
    for place in places:
        if place.step is not None:
            members.setdefault(homes[place.number], []).append(place.step)
    repeated = Counter(step for steps in members.values() for step in set(steps))
    longer = [home for home, steps in members.items() if len(steps) > 1]
    if len(members) < 2 or (len(longer) < 2 and max(repeated.values()) < 2):
        return []
    what = "the same steps" if max(repeated.values()) > 1 else "steps"
    called = all_of(sorted((names[home] for home in members), key=natural_key))
    return [f"{what} in {len(members)} directories ({called}): where each is a run of its own, use --group"]


def all_of(names: Iterable[str]) -> str:
    """The first few names, as a person may see them, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(_shown, names[:_SHOWN])) + more


def _shown(name: str) -> str:
    return escape(name if len(name) <= _WIDTH else f"{name[: _WIDTH // 2]}...{name[3 - _WIDTH // 2 :]}")


def _unit_of(run: Sequence[Place]) -> str:
    units = {place.unit for place in run if place.step is not None and not place.is_initial}
    return "epoch" if units == {"epoch"} else "step"
