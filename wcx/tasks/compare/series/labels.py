"""Labels: what the checkpoints of a series are called in its tables, short and each its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wcx.tasks.compare.series.paths import Parts, Place, common_length, shared_parts
from wcx.tasks.compare.series.steps import stem_of

_SEPARATORS = " _-.=+"


def labels_of(places: Sequence[Place]) -> list[str]:
    """Return a label for each: its name, with as much of its directories as it takes, without what all share.

    A file that comes twice is told apart by a number: a, a (2).
    """
    labels = next(labels for labels in _ways(places) if _are_distinct(labels, places))
    return _numbered([labels[place.parts] for place in places])


def _ways(places: Sequence[Place]) -> Iterator[dict[Parts, str]]:
    """Labels by path, from the shortest way to the one that is always distinct."""
    different = list({place.parts: None for place in places})
    stems = _short_stems(places)
    names = {name: name for name in stems}
    yield {parts: stems[parts[-1]] for parts in different}
    yield {parts: parts[-1] for parts in different}
    shared = shared_parts(different)
    deepest = max(map(len, different))
    uneven = len({len(parts) for parts in different}) > 1
    varying = [uneven or len({parts[-1 - level] for parts in different}) > 1 for level in range(deepest)]
    for last in (stems, names):
        for depth in range(2, deepest + 1):
            yield {parts: _joined(parts, last, varying[:depth], shared) for parts in different}
    yield {parts: "/".join(parts[min(shared, len(parts) - 1) :]) for parts in different}
    yield {parts: "/".join(parts) for parts in different}


def _joined(parts: Parts, last: dict[str, str], varying: Sequence[bool], shared: int) -> str:
    """The parts behind the shared ones that differ over the series, counted from the end, the last as `last` has it."""
    shown = (*parts[:-1], last[parts[-1]])
    levels = [level for level, differs in enumerate(varying) if differs and level < len(parts) - shared]
    return "/".join(shown[-1 - level] for level in reversed(levels)) or shown[-1]


def _are_distinct(labels: dict[Parts, str], places: Sequence[Place]) -> bool:
    return len(set(labels.values())) == len({place.parts for place in places})


def _numbered(labels: Sequence[str]) -> list[str]:
    """Give those that come again a number that no other label has."""
    taken = set(labels)
    seen: set[str] = set()
    done = []
    for label in labels:
        if label in seen:
            number = 2
            while f"{label} ({number})" in taken:
                number += 1
            label = f"{label} ({number})"
            taken.add(label)
        seen.add(label)
        done.append(label)
    return done


def _short_stems(places: Sequence[Place]) -> dict[str, str]:
    """The names without suffix and, around a step that a word says, without what all begin and end with."""
    stems = {place.name: stem_of(place.name) for place in places}
    different = sorted(set(stems.values()))
    words = {place.name: place.word for place in places if place.at == 0 and place.word is not None}
    if not words or len(different) == 1:
        return stems
    first = _cut(different, min(start for start, _ in words.values()))
    last = _cut([stem[::-1] for stem in different], min(len(stems[name]) - end for name, (_, end) in words.items()))
    short = {name: stem[first : len(stem) - last] for name, stem in stems.items()}
    if not all(short.values()) or len(set(short.values())) < len(different):
        return stems
    return short


def _cut(texts: Sequence[str], most: int) -> int:
    """How many characters all the texts begin with, at most so many, up to a separator."""
    common = texts[0][: min(most, common_length(texts))]
    return max(common.rfind(separator) for separator in _SEPARATORS) + 1
