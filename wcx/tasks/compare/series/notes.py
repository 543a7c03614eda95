"""Notes and warnings on a series before it is read: gaps, repeated steps, names without a step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from wcx.core.text import natural_key, shortened
from wcx.tasks.compare.series.find import FoundPaths
from wcx.tasks.compare.series.paths import ParsedPath, Parts

_SHOWN = 3  # names or numbers in a note
_LEAST_REGULAR = 2 / 3  # share of the distances that are equal where the others are gaps
_UNITS = {"epoch": "epochs", "step": "steps", None: "an unknown unit"}


def left_out_notes(found: FoundPaths) -> Iterator[str]:
    """Yield a note on checkpoints that directories hold next to their steps."""
    if aside := [path for path in dict.fromkeys(found.aside) if path not in found.paths]:
        names = all_of(aside)
        yield f"skipped, no step in the name next to numbered checkpoints: {names}; pass the paths to include them"


def empty_warnings(found: FoundPaths) -> Iterator[str]:
    """Yield a warning on directories that have the name of a step and hold no checkpoint."""
    if found.empty:
        yield f"no checkpoint in directories named like a step: {all_of(found.empty)}"


def name_notes(paths: Sequence[ParsedPath], labels: Mapping[int, str]) -> Iterator[str]:
    """Yield notes on numbers that no word explains, and on names that count as step 0."""
    if bare := [path.step for path in paths if path.level is not None and path.span is None and path.step is not None]:
        yield (
            "the names contain no word such as step or epoch: used the number that varies as the step "
            f"({min(bare)} to {max(bare)})"
        )
    if initial := [labels[path.index] for path in paths if path.is_initial]:
        yield f"treated as step 0 because of the name: {all_of(initial)}"


def mixed_units(run: Sequence[ParsedPath], *, by_epoch: bool) -> str:
    """Return the text on a run whose names count in several units. by_epoch: whether all have an epoch."""
    counts = Counter(path.unit for path in run if path.step is not None and not path.is_initial)
    text = ", ".join(f"{counts[unit]} in {plural}" for unit, plural in _UNITS.items() if counts[unit])
    if by_epoch:
        return f"the numbers in the names have different units ({text}): ordered by epoch, which all have"
    return f"the numbers in the names have different units ({text}): ordered by name, not by step"


def run_notes(run: Sequence[ParsedPath], labels: Mapping[int, str], *, given: bool, repeats: bool) -> Iterator[str]:
    """Yield notes on missing steps, gaps and, if wanted, repeated steps. given: whether in the order of the command."""
    without = [labels[path.index] for path in run if path.step is None]
    if without and len(without) < len(run):
        after = "" if given else ", sorted after the numbered checkpoints"
        yield f"no step in the name{after}: {all_of(without)}"
    elif len(without) > 1 and not given:
        yield "no step in the names: ordered by name (--order given keeps the order of the command line)"
    unit = "epoch" if units_of(run) == {"epoch"} else "step"
    if repeats:
        yield from _repeated_steps(run, labels, unit)
    yield from _gaps(run, unit)


def units_of(run: Iterable[ParsedPath]) -> set[str | None]:
    """Return the units of all numbers in the names."""
    return {path.unit for path in run if path.step is not None and not path.is_initial}


def _repeated_steps(run: Sequence[ParsedPath], labels: Mapping[int, str], unit: str) -> Iterator[str]:
    by_step: dict[int, list[str]] = {}
    for path in run:
        if path.step is not None:
            by_step.setdefault(path.step, []).append(labels[path.index])
    if repeated := [(step, names) for step, names in sorted(by_step.items()) if len(names) > 1]:
        shown = "; ".join(f"{step} ({all_of(names)})" for step, names in repeated[:_SHOWN])
        yield f"several checkpoints have the same {unit}: {shown}{_more(repeated)}"


def _gaps(run: Sequence[ParsedPath], unit: str) -> Iterator[str]:
    """Yield a note on distances above the usual one, unless many differ: growing distances are a schedule."""
    steps = sorted({path.step for path in run if path.step is not None})
    pairs = list(pairwise(steps))
    if not pairs:
        return
    usual, count = Counter(after - before for before, after in pairs).most_common(1)[0]
    gaps = [f"{before} and {after}" for before, after in pairs if after - before > usual]
    if gaps and count >= _LEAST_REGULAR * len(pairs):
        shown = ", ".join(gaps[:_SHOWN]) + _more(gaps)
        others = "all other intervals" if count + len(gaps) == len(pairs) else "most intervals"
        yield f"gap: no checkpoint between {unit} {shown}; {others} are {usual}"


def several_runs_warnings(
    paths: Sequence[ParsedPath], homes: Mapping[int, Parts], names: Mapping[Parts, str], *, are_networks: bool
) -> list[str]:
    """Return a warning on checkpoints of several directories or networks in one series: perhaps runs of their own."""
    members: dict[Parts, list[int]] = {}
    for path in paths:
        if path.step is not None:
            members.setdefault(homes[path.index], []).append(path.step)
    repeated = Counter(step for steps in members.values() for step in set(steps))
    longer = [home for home, steps in members.items() if len(steps) > 1]
    if len(members) < 2 or (len(longer) < 2 and max(repeated.values()) < 2):
        return []
    steps = "contain the same steps" if max(repeated.values()) > 1 else "contain steps"
    shown = all_of(sorted((names[home] for home in members), key=natural_key))
    if are_networks:
        return [
            f"{len(members)} families of names {steps} ({shown}), as of several networks in one directory: use --group "
            "to compare each by itself, or pass the files of one"
        ]
    return [f"{len(members)} directories {steps} ({shown}): use --group if each is a separate run"]


def all_of(names: Iterable[str]) -> str:
    """Return the first few names, escaped and shortened, and the number of the others."""
    names = list(names)
    return ", ".join(shortened(name)[1:-1] for name in names[:_SHOWN]) + _more(names)


def _more(items: Sequence[object]) -> str:
    return f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
