"""What a layer is called without the wrappers around it, for the names of all checkpoints of a series at once.

Wrappers are told by the names that they give: DistributedDataParallel and DeepSpeed `module.`, torch.compile
`_orig_mod.`, FullyShardedDataParallel `_fsdp_wrapped_module.`, activation checkpointing `_checkpoint_wrapped_module.`,
PyTorch Lightning `state_dict.` and `_forward_module.`, Transformers `model.`, training scripts `model_state_dict.` and
the like. Where all of a file stands under another key (`net.`), that is seen by the names and shapes below it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

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
    """Return for each layout (shapes by name) what makes a name the same text wherever the layer is the same.

    Where all layouts have the same names, these stay as they are. Of names that would become one within a layout, and
    of those like them elsewhere, no more is left out than what all of a layout share.
    """
    if len({frozenset(layout) for layout in layouts}) <= 1:
        return [_itself for _ in layouts]
    short = _Short()
    contested = _contested(layouts, short)
    keys = [_in_layout(layout, short, contested) for layout in layouts]
    return _below_one_root(layouts, keys)


class _Short(dict[str, str]):
    """Names without wrappers, each found out once."""

    def __missing__(self, name: str) -> str:
        self[name] = without_wrappers(name)
        return self[name]


def _itself(name: str) -> str:
    return name


def _contested(layouts: Iterable[Iterable[str]], short: _Short) -> dict[str, set[str]]:
    """By short name, where some layout has several layers for it, their names without what all of the layout share."""
    contested: dict[str, set[str]] = {}
    for layout in layouts:
        names = list(layout)
        shared = len(_shared_wrappers(names))
        count = Counter(short[name] for name in names)
        for name in names:
            if count[short[name]] > 1:
                contested.setdefault(short[name], set()).add(name[shared:])
    return contested


def _in_layout(layout: Iterable[str], short: _Short, contested: Mapping[str, set[str]]) -> Key:
    """The short name; of a contested one the longest form that is known."""
    names = list(layout)

    def key(name: str) -> str:
        known = contested.get(short[name])
        return short[name] if known is None else next((form for form in _forms(name) if form in known), name)

    return key if len(set(map(key, names))) == len(names) else _itself


def _forms(name: str) -> Iterator[str]:
    """The name, then with one leading wrapper after the other left out."""
    yield name
    for _ in range(_DEEPEST):
        first, dot, name = name.partition(".")
        if not dot or first not in _LEADING | _ANYWHERE:
            return
        yield name


def _shared_wrappers(names: Sequence[str]) -> str:
    """The wrappers that all names begin with."""
    shared = _shared_parts(names)
    wrappers = next((index for index, part in enumerate(shared) if part not in _LEADING | _ANYWHERE), len(shared))
    return "".join(f"{part}." for part in shared[:wrappers])


def _shared_parts(names: Iterable[str]) -> tuple[str, ...]:
    """The keys that all names begin with, all but the last of each."""
    parts = [tuple(name.split(".")[:-1]) for name in names]
    return parts[0][: common_length(parts)] if parts else ()


# ----------------------------------------------------------------------------------------- a file under another key


def _below_one_root(layouts: Sequence[Mapping[str, Shape]], keys: Sequence[Key]) -> list[Key]:
    """Move layouts that have no name in common with the first to where their names and shapes are found there."""
    by_key = [{key(name): shape for name, shape in layout.items()} for layout, key in zip(layouts, keys, strict=True)]
    first = next(filter(None, by_key))
    return [
        key if own is first or own.keys() & first.keys() else _moved(key, own, first)
        for own, key in zip(by_key, keys, strict=True)
    ]


def _moved(key: Key, own: Mapping[str, Shape], first: Mapping[str, Shape]) -> Key:
    """The key without what all names of the layout begin with, or below what all of the first do."""
    for root in _roots(own):
        if _are_alike({name[len(root) :]: shape for name, shape in own.items()}, first):
            return lambda name: key(name).removeprefix(root)
    for root in _roots(first):
        if _are_alike({root + name: shape for name, shape in own.items()}, first):
            return lambda name: root + key(name)
    return key


def _roots(names: Iterable[str]) -> list[str]:
    """What all names begin with: a., a.b., ..."""
    parts = _shared_parts(names)
    return ["".join(f"{part}." for part in parts[: number + 1]) for number in range(min(len(parts), _DEEPEST))]


def _are_alike(own: Mapping[str, Shape], first: Mapping[str, Shape]) -> bool:
    """Whether at least half of the smaller one are found in the other, with their shapes."""
    same = len(own.items() & first.items())
    return 2 * same >= min(len(own), len(first)) and same > 0
