"""Which layers of the checkpoints of a series belong together, and which checkpoints lack one or have it otherwise.

Names are those of layer_names.py: equal ones first, then without wrappers. Checkpoints with the same names and shapes
are looked at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wcx.tasks.compare.series.layer_names import Shape, keys_by_layout
from wcx.tasks.compare.series.remarks import all_of

Layer = tuple[str, Shape] | tuple[str, Shape, tuple[str, ...]]
"""Name, shape and, if there are some, the other names of the same elements (tied weights)."""


@dataclass(frozen=True, slots=True)
class MatchedLayer:
    """One layer over the series. name: in the first checkpoint that has it; shape: that most checkpoints have.

    members: its own name in each checkpoint; None where it is missing, has another shape, or nothing can be read.
    """

    name: str
    shape: Shape
    members: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Matching:
    """The layers of a series, in the order of the first checkpoint that has them.

    core: names of those that more than half of the readable checkpoints have in that shape. unmatched: {name, in,
    reason} as in the JSON, with `shape` where it differs.
    """

    layers: tuple[MatchedLayer, ...]
    core: tuple[str, ...]
    unmatched: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]


def match(
    labels: Sequence[str], layers: Sequence[Sequence[Layer] | None], groups: Sequence[str | None] | None = None
) -> Matching:
    """Say which layers of the checkpoints belong together; the order of layers within a file does not matter.

    labels, layers, groups: one a checkpoint; layers None where it can't be read. Names that all have stand for
    themselves; otherwise names are equal when they are without wrappers (`module.`), unless two of one file would
    become one. A layer that is listed under another of its tied names matches as well.

    >>> match(["a", "b"], [[("fc.weight", (4, 4))], [("module.fc.weight", (4, 4))]]).layers[0].members
    ('fc.weight', 'module.fc.weight')
    """
    layouts = _layouts(layers)
    readable = sorted(place for places in layouts.values() for place in places)
    keyed, tied = _keyed(list(layouts))
    found = _by_shape(keyed, list(layouts.values()))
    taken: set[str] = set()
    matched: dict[str, MatchedLayer] = {}
    core: list[str] = []
    unmatched: list[dict[str, Any]] = []
    for key in _order(keyed):
        layer = matched[key] = _matched(found[key], len(layers), taken)
        taken.add(layer.name)
        core += [layer.name] * (2 * len(found[key][layer.shape]) > len(readable))
        unmatched += _unmatched(layer, found[key], labels, readable)
    renamed = {key: layer for key, layer in matched.items() if len({*layer.members} - {None}) > 1}
    notes = (
        *_notes_on_names([layer for key, layer in renamed.items() if key not in tied], "matched without wrappers"),
        *_notes_on_names([layer for key, layer in renamed.items() if key in tied], "one that it is tied to"),
        *_notes_on_groups(list(matched.values()), groups or (), readable),
    )
    return Matching(tuple(matched.values()), tuple(core), tuple(unmatched), notes)


_Layout = tuple[tuple[str, Shape, tuple[str, ...]], ...]


def _layouts(layers: Sequence[Sequence[Layer] | None]) -> dict[_Layout, list[int]]:
    """The readable checkpoints by what they hold, in the order of their first."""
    layouts: dict[_Layout, list[int]] = {}
    for place, held in enumerate(layers):
        if held is not None:
            layout = tuple((layer[0], tuple(layer[1]), tuple(layer[2]) if len(layer) == 3 else ()) for layer in held)
            layouts.setdefault(layout, []).append(place)
    return layouts


# ------------------------------------------------------------------------------------------------ what is the same

_Own = tuple[str, Shape]
"""A layer's name and shape in one layout."""


def _keyed(layouts: Sequence[_Layout]) -> tuple[list[dict[str, _Own]], set[str]]:
    """The layers of each layout by what they have in common with those of others, and which of these are by a tie."""
    keys = keys_by_layout([{name: shape for name, shape, _aliases in layout} for layout in layouts])
    listed: set[str] = set()
    other_names: dict[str, str] = {}  # the key of a layer, by the keys of its other names
    keyed: list[dict[str, _Own]] = []
    tied: set[str] = set()
    for layout, key in zip(layouts, keys, strict=True):
        own = {key(name) for name, _shape, _aliases in layout}
        held: dict[str, _Own] = {}
        for name, shape, aliases in layout:
            others = [key(alias) for alias in aliases]
            chosen = key(name)
            if chosen not in listed:
                ties = (*(one for one in others if one in listed), other_names.get(chosen))
                tie = next((one for one in ties if one is not None and one not in own and one not in held), None)
                if tie is not None:
                    tied.add(tie)
                    chosen = tie
            held[chosen] = name, shape
            for one in others:
                other_names.setdefault(one, chosen)
        listed |= held.keys()
        keyed.append(held)
    return keyed, tied


def _order(keyed: Sequence[Mapping[str, _Own]]) -> list[str]:
    """All keys in the order of the first layout; what only later ones have comes behind what it follows there."""
    following: dict[str | None, str | None] = {None: None}  # a chain from the beginning, None, to the end, None
    for held in keyed:
        before: str | None = None
        for key in held:
            if key not in following:
                following[key] = following[before]
                following[before] = key
            before = key
    order = []
    after = following[None]
    while after is not None:
        order.append(after)
        after = following[after]
    return order


# ---------------------------------------------------------------------------------------------- who has what, and how

_Found = dict[Shape, dict[int, str]]
"""A layer's own names by checkpoint, by shape; shapes in the order of the checkpoints."""


def _by_shape(keyed: Sequence[Mapping[str, _Own]], places: Sequence[Sequence[int]]) -> dict[str, _Found]:
    found: dict[str, _Found] = {}
    for held, where in zip(keyed, places, strict=True):
        for key, (name, shape) in held.items():
            found.setdefault(key, {}).setdefault(shape, {}).update(dict.fromkeys(where, name))
    return found


def _matched(found: _Found, number: int, taken: set[str]) -> MatchedLayer:
    """The layer in the shape that most have, the first of equals, under a name of its own."""
    shape = max(found, key=lambda shape: len(found[shape]))
    members: list[str | None] = [None] * number
    for place, name in found[shape].items():
        members[place] = name
    return MatchedLayer(_distinct(found[shape][min(found[shape])], taken), shape, tuple(members))


def _distinct(name: str, taken: set[str]) -> str:
    """The name, with a number where another layer of the series is called so in another checkpoint."""
    number = 2
    distinct = name
    while distinct in taken:
        distinct = f"{name}#{number}"
        number += 1
    return distinct


def _unmatched(
    layer: MatchedLayer, found: _Found, labels: Sequence[str], readable: Sequence[int]
) -> Iterable[dict[str, Any]]:
    """Who lacks a layer, and who has it in another shape."""
    have = sum(map(len, found.values()))
    if have < len(readable):
        held = set().union(*found.values())
        missing = [labels[place] for place in readable if place not in held]
        yield {"name": layer.name, "in": missing, "reason": "missing"}
    for shape, places in found.items():
        if shape != layer.shape:
            others = [labels[place] for place in sorted(places)]
            yield {"name": layer.name, "in": others, "reason": "shape differs", "shape": list(shape)}


# ------------------------------------------------------------------------------------------------------ what is said


def _notes_on_names(renamed: Sequence[MatchedLayer], why: str) -> list[str]:
    """That layers have other names in some checkpoints, with one example."""
    if not renamed:
        return []
    other = next(name for name in renamed[0].members if name not in (None, renamed[0].name))
    layers = "1 layer has" if len(renamed) == 1 else f"{len(renamed)} layers have"
    return [f"{layers} another name in some checkpoints, {why}: {all_of([str(other)])} is {all_of([renamed[0].name])}"]


def _notes_on_groups(
    matched: Sequence[MatchedLayer], groups: Sequence[str | None], readable: Sequence[int]
) -> list[str]:
    """Runs that lack layers altogether: other networks, perhaps."""
    lacking: dict[str, int] = {}
    for name in dict.fromkeys(groups):
        places = [place for place in readable if groups[place] == name]
        number = sum(all(layer.members[place] is None for place in places) for layer in matched)
        if name is not None and places and number:
            lacking[name] = number
    return [f"group {all_of([name])} lacks {number} of {len(matched)} layers" for name, number in lacking.items()]
