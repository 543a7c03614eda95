"""What the headers of a series tell before any weight is read: the layers, and which file is which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from wcx.core.checkpoint import Checkpoint
from wcx.core.errors import ChangedFileError, CheckpointError
from wcx.core.settings import Settings
from wcx.formats import open_checkpoint, open_reader
from wcx.scan.cache import Store
from wcx.scan.keys import cache_key
from wcx.tasks.analyze.plan import Plan, make_plan
from wcx.tasks.compare.series.discover import Located
from wcx.tasks.compare.series.identity import Identity, identify, same_content

LayerEntry = tuple[str, tuple[int, ...], tuple[str, ...]]
"""Name, shape and other names of a layer."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """One checkpoint. layers: those that are analysed, in file order; bits: of a weight, by name. nbytes: to be read.

    error: why it can't be read; then the rest is empty. skipped: how many tensors are not compared, by reason.
    """

    located: Located
    format: str | None = None
    layers: tuple[LayerEntry, ...] = ()
    bits: tuple[int, ...] = ()
    nbytes: int = 0
    identity: Identity | None = None
    error: CheckpointError | None = None
    skipped: dict[str, int] = field(default_factory=dict)


def survey(located: Sequence[Located], settings: Settings, reference: Checkpoint | None) -> list[Surveyed]:
    """Open every checkpoint's header; one that can't be read is told and stops nothing."""
    entries: dict[LayerEntry, LayerEntry] = {}  # thousands of checkpoints have the same layers
    every: dict[tuple[Any, ...], Any] = {}
    found = []
    for one in located:
        try:
            surveyed = _survey(one, settings, reference)
        except CheckpointError as error:
            found.append(Surveyed(one, error=error))
            continue
        layers = tuple(entries.setdefault(entry, entry) for entry in surveyed.layers)
        layers = every.setdefault(layers, layers)
        bits = every.setdefault(("bits", *surveyed.bits), surveyed.bits)
        found.append(
            Surveyed(one, surveyed.format, layers, bits, surveyed.nbytes, surveyed.identity, None, surveyed.skipped)
        )
    return found


def _survey(located: Located, settings: Settings, reference: Checkpoint | None) -> Surveyed:
    checkpoint = open_checkpoint(located.path)
    plan = make_plan(checkpoint, settings, reference)
    with open_reader(checkpoint) as reader:
        identity = identify(checkpoint, reader)
    layers = tuple((layer.tensor.name, layer.tensor.shape, layer.tensor.aliases) for layer in plan.layers)
    bits = tuple(layer.dtype.bits for layer in plan.layers)
    skipped: dict[str, int] = {}
    for tensor in plan.skipped:
        skipped[tensor.reason] = skipped.get(tensor.reason, 0) + 1
    return Surveyed(located, checkpoint.format, layers, bits, plan.nbytes, identity, None, skipped)


def reopen(surveyed: Surveyed, settings: Settings, reference: Checkpoint | None) -> tuple[Checkpoint, Plan]:
    """Open a checkpoint again to read it; ChangedFileError where it is no longer the one that was surveyed."""
    path = surveyed.located.path
    checkpoint = open_checkpoint(path)
    if surveyed.identity is None or checkpoint.signatures != surveyed.identity.files:
        raise ChangedFileError(path, "the file changed while it was compared")
    return checkpoint, make_plan(checkpoint, settings, reference)


def duplicates(found: Sequence[Surveyed], store: Store) -> dict[int, int]:
    """Which checkpoints hold the same tensors as an earlier one of the same run: number of each, and of that one."""
    seen: dict[tuple[str | None, str], list[int]] = {}
    same: dict[int, int] = {}
    for number, one in enumerate(found):
        if one.identity is None:
            continue
        candidates = seen.setdefault((one.located.group, one.identity.content), [])
        for earlier in candidates:
            if _same(found[earlier], one, store):
                same[number] = earlier
                break
        else:
            candidates.append(number)
    return same


def _same(one: Surveyed, other: Surveyed, store: Store) -> bool:
    if one.identity is None or other.identity is None:
        return False
    key = cache_key("same", one.identity.key, other.identity.key)
    known = store.get(key)
    if known is not None:
        return known == b"1"
    try:
        same = same_content(open_checkpoint(one.located.path), open_checkpoint(other.located.path))
    except CheckpointError:
        return False  # what is wrong with it was said when it was counted
    store.put(key, b"1" if same else b"0")
    return same


def key_of(checkpoint: Checkpoint) -> str:
    """What tells that a checkpoint is the same as in an earlier run."""
    with open_reader(checkpoint) as reader:
        return identify(checkpoint, reader).key
