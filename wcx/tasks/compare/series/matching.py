"""Match the layers of the checkpoints of a series, and list the layers that some checkpoints lack or have otherwise.

Names are those of layer_names.py: equal ones first, then without wrappers. Checkpoints with the same names and shapes
are matched once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wcx.tasks.compare.series.layer_names import Shape, keys_by_layout
from wcx.tasks.compare.series.notes import all_of

LayerEntry = tuple[str, Shape, tuple[str, ...]]
"""Name, shape and other names of the same elements (tied weights)."""


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
    labels: Sequence[str], layers: Sequence[Sequence[LayerEntry] | None], groups: Sequence[str | None] = ()
) -> Matching:
    """Match the layers of the checkpoints; the order of layers within a file does not matter.

    labels, layers, groups: one a checkpoint; layers None where it can't be read. Names that all checkpoints have match
    themselves; otherwise names are equal when they are without wrappers (`module.`), unless two of one file would
    become equal. A layer that is listed under another of its tied names matches as well.

    >>> match(["a", "b"], [[("fc.weight", (4, 4), ())], [("module.fc.weight", (4, 4), ())]]).layers[0].members
    ('fc.weight', 'module.fc.weight')
    """
    layouts: dict[_Layout, list[int]] = {}
    for index, entries in enumerate(layers):
        if entries is not None:
            layouts.setdefault(tuple(entries), []).append(index)
    readable = sorted(index for indices in layouts.values() for index in indices)
    keyed, tied = _keyed(list(layouts))
    owners = _by_shape(keyed, list(layouts.values()))
    taken: set[str] = set()
    matched: dict[str, MatchedLayer] = {}
    core: list[str] = []
    unmatched: list[dict[str, Any]] = []
    for key in _order(keyed):
        layer = matched[key] = _matched(owners[key], len(layers), taken)
        taken.add(layer.name)
        core += [layer.name] * (2 * len(owners[key][layer.shape]) > len(readable))
        unmatched += _unmatched(layer, owners[key], labels, readable)
    renamed = {key: layer for key, layer in matched.items() if len({*layer.members} - {None}) > 1}
    notes = (
        *_notes_on_names(
            [layer for key, layer in renamed.items() if key not in tied], "matched after removing wrapper names"
        ),
        *_notes_on_names([layer for key, layer in renamed.items() if key in tied], "matched by tied weights"),
        *_notes_on_groups(list(matched.values()), groups, readable),
    )
    return Matching(tuple(matched.values()), tuple(core), tuple(unmatched), notes)


_Layout = tuple[LayerEntry, ...]


# ---------------------------------------------------------------------------------------------------- keys of layers

_Own = tuple[str, Shape]
"""A layer's name and shape in one layout."""


def _keyed(layouts: Sequence[_Layout]) -> tuple[list[dict[str, _Own]], set[str]]:
    """Return the layers of each layout by keys that are equal for the same layer, and the keys found by a tie."""
    keys = keys_by_layout([{name: shape for name, shape, _aliases in layout} for layout in layouts])
    listed: set[str] = set()
    other_names: dict[str, str] = {}  # the key of a layer, by the keys of its other names
    keyed: list[dict[str, _Own]] = []
    tied: set[str] = set()
    for layout, key in zip(layouts, keys, strict=True):
        own = {key(name) for name, _shape, _aliases in layout}
        layers: dict[str, _Own] = {}
        for name, shape, aliases in layout:
            aliased = [key(alias) for alias in aliases]
            chosen = key(name)
            if chosen not in listed:
                ties = (*(alias for alias in aliased if alias in listed), other_names.get(chosen))
                tie = next((tie for tie in ties if tie is not None and tie not in own and tie not in layers), None)
                if tie is not None:
                    tied.add(tie)
                    chosen = tie
            layers[chosen] = name, shape
            for alias in aliased:
                other_names.setdefault(alias, chosen)
        listed |= layers.keys()
        keyed.append(layers)
    return keyed, tied


def _order(keyed: Sequence[Mapping[str, _Own]]) -> list[str]:
    """Return all keys in the order of the first layout; those of later ones follow the layer before them there."""
    following: dict[str | None, str | None] = {None: None}  # a chain from the beginning, None, to the end, None
    for layers in keyed:
        before: str | None = None
        for key in layers:
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


# ------------------------------------------------------------------------------------------------- owners of a layer

_Owners = dict[Shape, dict[int, str]]
"""A layer's own names by checkpoint, by shape; shapes in the order of the checkpoints."""


def _by_shape(keyed: Sequence[Mapping[str, _Own]], checkpoints: Sequence[Sequence[int]]) -> dict[str, _Owners]:
    owners: dict[str, _Owners] = {}
    for layers, indices in zip(keyed, checkpoints, strict=True):
        for key, (name, shape) in layers.items():
            owners.setdefault(key, {}).setdefault(shape, {}).update(dict.fromkeys(indices, name))
    return owners


def _matched(owners: _Owners, checkpoints: int, taken: set[str]) -> MatchedLayer:
    """Return the layer in the shape that most have, the first of equals, under a distinct name."""
    shape = max(owners, key=lambda shape: len(owners[shape]))
    names = owners[shape]
    members = tuple(names.get(index) for index in range(checkpoints))
    return MatchedLayer(_distinct(names[min(names)], taken), shape, members)


def _distinct(name: str, taken: set[str]) -> str:
    """Return the name, with a number where another layer of the series has it in another checkpoint."""
    number = 2
    distinct = name
    while distinct in taken:
        distinct = f"{name}#{number}"
        number += 1
    return distinct


def _unmatched(
    layer: MatchedLayer, owners: _Owners, labels: Sequence[str], readable: Sequence[int]
) -> Iterable[dict[str, Any]]:
    """Yield the checkpoints that lack a layer, and those that have it in another shape."""
    if sum(map(len, owners.values())) < len(readable):
        have = set().union(*owners.values())
        missing = [labels[index] for index in readable if index not in have]
        yield {"name": layer.name, "in": missing, "reason": "missing"}
    for shape, names in owners.items():
        if shape != layer.shape:
            differ = [labels[index] for index in sorted(names)]
            yield {"name": layer.name, "in": differ, "reason": "shape differs", "shape": list(shape)}


# ------------------------------------------------------------------------------------------------------------- notes


def _notes_on_names(renamed: Sequence[MatchedLayer], why: str) -> Iterable[str]:
    """Yield a note on layers that have other names in some checkpoints, with one example."""
    if renamed:
        other = next(name for name in renamed[0].members if name not in (None, renamed[0].name))
        layers = "1 layer has" if len(renamed) == 1 else f"{len(renamed)} layers have"
        example = f"{all_of([str(other)])} is {all_of([renamed[0].name])}"
        yield f"{layers} another name in some checkpoints, {why}: {example}"


def _notes_on_groups(
    matched: Sequence[MatchedLayer], groups: Sequence[str | None], readable: Sequence[int]
) -> Iterable[str]:
    """Yield notes on runs that lack layers altogether: other networks, perhaps."""
    for name in dict.fromkeys(groups):
        members = [index for index in readable if groups[index] == name]
        lacking = sum(all(layer.members[index] is None for index in members) for layer in matched)
        if name is not None and members and lacking:
            yield f"run {all_of([name])} lacks {lacking} of {len(matched)} layers"
