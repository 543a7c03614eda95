"""Labels of checkpoints in the tables of a series, short and distinct."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from wcx.tasks.compare.series.paths import ParsedPath, Parts, common_length, shared_parts
from wcx.tasks.compare.series.steps import stem_of

_SEPARATORS = " _-.=+"


def labels_of(paths: Sequence[ParsedPath]) -> list[str]:
    """Return a label for each: its name, with the directories that make it distinct, without the parts that all share.

    A file that is given twice gets a number: a, a (2).
    """
    different = {path.parts for path in paths}
    labels = next(labels for labels in _ways(paths) if len(set(labels.values())) == len(different))
    return _numbered([labels[path.parts] for path in paths])


def _ways(paths: Sequence[ParsedPath]) -> Iterator[dict[Parts, str]]:
    """Yield labels by path, from the shortest way to the one that is always distinct."""
    different = list({path.parts: None for path in paths})
    stems = _short_stems(paths)
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
    """Join the parts behind the shared ones that differ over the series; the last one is replaced by `last`."""
    shown = (*parts[:-1], last[parts[-1]])
    levels = [level for level, differs in enumerate(varying) if differs and level < len(parts) - shared]
    return "/".join(shown[-1 - level] for level in reversed(levels)) or shown[-1]


def _numbered(labels: Sequence[str]) -> list[str]:
    """Give repeated labels a number that no other label has."""
    taken = set(labels)
    distinct: dict[str, None] = {}
    for label in labels:
        if label in distinct:
            label = next(other for number in count(2) if (other := f"{label} ({number})") not in taken)
            taken.add(label)
        distinct[label] = None
    return list(distinct)


def _short_stems(paths: Sequence[ParsedPath]) -> dict[str, str]:
    """Return the names without suffix and, around a step that a word says, without the text that all share."""
    stems = {path.name: stem_of(path.name) for path in paths}
    different = sorted(set(stems.values()))
    spans = {path.name: path.span for path in paths if path.level == 0 and path.span is not None}
    if not spans or len(different) == 1:
        return stems
    first = _cut(different, min(start for start, _ in spans.values()))
    last = _cut([stem[::-1] for stem in different], min(len(stems[name]) - end for name, (_, end) in spans.items()))
    short = {name: stem[first : len(stem) - last] for name, stem in stems.items()}
    return short if all(short.values()) and len(set(short.values())) == len(different) else stems


def _cut(texts: Sequence[str], most: int) -> int:
    """Return the number of characters, up to a separator, that all texts begin with; at most `most`."""
    common = texts[0][: min(most, common_length(texts))]
    return max(common.rfind(separator) for separator in _SEPARATORS) + 1
