"""Names of layers without the wrappers around them, for all checkpoints of a series at once.

Wrappers are recognised by the names that they give: DistributedDataParallel and DeepSpeed `module.`, torch.compile
`_orig_mod.`, FullyShardedDataParallel `_fsdp_wrapped_module.`, activation checkpointing `_checkpoint_wrapped_module.`,
PyTorch Lightning `state_dict.` and `_forward_module.`, Transformers `model.`, training scripts `model_state_dict.` and
the like. Another key above all layers of a file (`net.`) is found by the names and shapes below it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache

from wcx.tasks.compare.series.paths import common_length

Shape = tuple[int, ...]
Key = Callable[[str], str]
_LEADING = frozenset({"module", "model", "state_dict", "model_state_dict", "model_state", "_forward_module"})
_ANYWHERE = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
_DEEPEST = 8  # keys or wrappers tried one by one; a hostile name has a million


def without_wrappers(name: str) -> str:
    """Return the name without wrappers, as far as that leaves one.

    >>> without_wrappers("module.model.layers.0._orig_mod.fc.weight"), without_wrappers("model")
    ('layers.0.fc.weight', 'model')
    """
    parts = [part for part in name.split(".") if part not in _ANYWHERE]
    first = next((index for index, part in enumerate(parts) if part not in _LEADING), len(parts) - 1)
    return ".".join(parts[first:]) if parts else name


def keys_by_layout(layouts: Sequence[Mapping[str, Shape]]) -> list[Key]:
    """Return for each layout (shapes by name) the function that maps the names of one layer to the same text.

    Where all layouts have the same names, these stay as they are. Names that would become equal within a layout, and
    those like them in other layouts, lose no more than the wrappers that all names of a layout share.
    """
    if len({frozenset(layout) for layout in layouts}) <= 1:
        return [str for _ in layouts]
    short = cache(without_wrappers)
    contested = _contested(layouts, short)
    keys = [_key_of(layout, short, contested) for layout in layouts]
    return _below_one_root(layouts, keys)


def _contested(layouts: Iterable[Iterable[str]], short: Key) -> dict[str, set[str]]:
    """Return by short name, where a layout has several layers for it, their names without shared wrappers."""
    contested: dict[str, set[str]] = {}
    for layout in layouts:
        names = list(layout)
        shared = len(_shared_wrappers(names))
        counts = Counter(map(short, names))
        for name in names:
            if counts[short(name)] > 1:
                contested.setdefault(short(name), set()).add(name[shared:])
    return contested


def _key_of(layout: Mapping[str, Shape], short: Key, contested: Mapping[str, set[str]]) -> Key:
    """Return the function to the short name; to the longest known form of a contested one."""

    def key(name: str) -> str:
        known = contested.get(short(name))
        return short(name) if known is None else next((form for form in _forms(name) if form in known), name)

    return key if len(set(map(key, layout))) == len(layout) else str


def _forms(name: str) -> Iterator[str]:
    """Yield the name, then the name with one leading wrapper after the other left out."""
    yield name
    for _ in range(_DEEPEST):
        first, dot, name = name.partition(".")
        if not dot or first not in _LEADING | _ANYWHERE:
            return
        yield name


def _shared_wrappers(names: Sequence[str]) -> str:
    """Return the wrappers that all names begin with."""
    shared = _shared_parts(names)
    wrappers = next((index for index, part in enumerate(shared) if part not in _LEADING | _ANYWHERE), len(shared))
    return "".join(f"{part}." for part in shared[:wrappers])


def _shared_parts(names: Iterable[str]) -> tuple[str, ...]:
    """Return the keys that all names begin with, without the last key of a name."""
    parts = [tuple(name.split(".")[:-1]) for name in names]
    return parts[0][: common_length(parts)] if parts else ()


# ----------------------------------------------------------------------------------------- a file under another key


def _below_one_root(layouts: Sequence[Mapping[str, Shape]], keys: Sequence[Key]) -> list[Key]:
    """Rename layouts that have no name in common with the first, if their names and shapes are below another key."""
    by_key = [{key(name): shape for name, shape in layout.items()} for layout, key in zip(layouts, keys, strict=True)]
    first = next(filter(None, by_key))
    return [
        key if own is first or own.keys() & first.keys() else _moved(key, own, first)
        for own, key in zip(by_key, keys, strict=True)
    ]


def _moved(key: Key, own: Mapping[str, Shape], first: Mapping[str, Shape]) -> Key:
    """Return the key without the root of the layout's names, or below a root of the first layout's."""
    for root in _roots(own):
        if _are_alike({name[len(root) :]: shape for name, shape in own.items()}, first):
            return lambda name: key(name).removeprefix(root)
    for root in _roots(first):
        if _are_alike({root + name: shape for name, shape in own.items()}, first):
            return lambda name: root + key(name)
    return key


def _roots(names: Iterable[str]) -> list[str]:
    """Return the roots that all names begin with: a., a.b., ..."""
    parts = _shared_parts(names)
    return ["".join(f"{part}." for part in parts[:depth]) for depth in range(1, min(len(parts), _DEEPEST) + 1)]


def _are_alike(own: Mapping[str, Shape], first: Mapping[str, Shape]) -> bool:
    """Return True if the layouts share at least half of the smaller one's names, with their shapes."""
    same = len(own.items() & first.items())
    return 2 * same >= min(len(own), len(first)) and same > 0
