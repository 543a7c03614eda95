"""Names that are too long for their column, shortened to the parts that distinguish them.

Names of tensors are paths (model.layers.0.self_attn.q_proj.weight); the components that most of them share distinguish
least. So the most frequent components go first, numbers never; a name that is still too long loses its middle.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from wcx.core.groups import grouped

_SEPARATOR = re.compile("([./])")
_GONE = re.compile("[./]?\0(?:[./]\0)*[./]?")
_LONGEST_PATH = 400
Measure = Callable[[str], int]


def shorten(names: Sequence[str], width: int, measure: Measure, ellipsis: str) -> list[str]:
    """Return the names, each at most `width` cells wide as `measure` counts them; short enough ones stay whole.

    If two would become equal, the components that only one of them has stay.
    """
    frequency = Counter(part for name in names if len(name) <= _LONGEST_PATH for part in set(_SEPARATOR.split(name)))
    short = {name: _shortened(name, width, measure, ellipsis, frequency) for name in names}
    for group in grouped(short, short.__getitem__).values():
        if len(group) > 1:
            shared = set.intersection(*(set(_SEPARATOR.split(name)) for name in group))
            common = Counter({part: frequency[part] for part in shared})
            short |= {name: _shortened(name, width, measure, ellipsis, common) for name in group}
    return [short[name] for name in names]


def cut(name: str, width: int, measure: Measure, ellipsis: str) -> str:
    """Leave out the middle of `name`."""
    if len(name) <= 2 * width and measure(name) <= width:  # characters can have no width at all
        return name
    room = max(width - measure(ellipsis), 0)
    tail = _head(name[::-1][: room // 2 + 1], room // 2, measure)[::-1]
    return (_head(name, room - measure(tail), measure) + ellipsis + tail)[: max(width, 0)]


def _shortened(name: str, width: int, measure: Measure, ellipsis: str, frequency: Counter[str]) -> str:
    if len(name) > _LONGEST_PATH or measure(name) <= width:
        return cut(name, width, measure, ellipsis)
    parts = _SEPARATOR.split(name)
    order = _least_telling(parts, frequency)
    gone: set[int] = set()
    for index in order:
        gone.add(index)
        if measure(_without(parts, gone, ellipsis)) <= width:
            break
    else:
        return cut(name, width, measure, ellipsis)
    for index in reversed(order):  # one long component may have made room for a shorter one that says more
        if measure(_without(parts, gone - {index}, ellipsis)) <= width:
            gone.discard(index)
    return _without(parts, gone, ellipsis)


def _without(parts: list[str], gone: set[int], ellipsis: str) -> str:
    left = ["\0" if index in gone else part for index, part in enumerate(parts)]
    return _GONE.sub(ellipsis, "".join(left))


def _least_telling(parts: list[str], frequency: Counter[str]) -> list[int]:
    shared = [index for index in range(0, len(parts), 2) if frequency[parts[index]] > 1 and not parts[index].isdigit()]
    return sorted(shared, key=lambda index: (-frequency[parts[index]], -len(parts[index])))


def _head(name: str, width: int, measure: Measure) -> str:
    """Return the longest beginning that fits."""
    head = name[:width]
    while measure(head) > width:
        head = head[:-1]
    return head
