"""Header scan of a series before any weight is read: the layers and the identity of each checkpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from wcx.tasks.compare.series.matching import LayerEntry


@dataclass(frozen=True, slots=True)
class HeaderScan:
    """One checkpoint. layers: those that are analysed, in file order; bits: of a weight of each. nbytes: to be read.

    error: why it can't be read; then the rest is empty. skipped: the number of tensors that are not compared, by
    reason.
    """

    located: Located
    format: str | None = None
    layers: tuple[LayerEntry, ...] = ()
    bits: tuple[int, ...] = ()
    nbytes: int = 0
    identity: Identity | None = None
    error: CheckpointError | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)


def scan_headers(located: Sequence[Located], settings: Settings, reference: Checkpoint | None) -> list[HeaderScan]:
    """Open every checkpoint's header; the error of one that can't be read is kept, and stops nothing."""
    shared: dict[Any, Any] = {}  # thousands of checkpoints have the same layers
    scans = []
    for one in located:
        try:
            scan = _scan_header(one, settings, reference)
        except CheckpointError as error:
            scans.append(HeaderScan(one, error=error))
            continue
        layers = tuple(shared.setdefault(layer, layer) for layer in scan.layers)
        bits = shared.setdefault(("bits", *scan.bits), scan.bits)
        scans.append(replace(scan, layers=shared.setdefault(layers, layers), bits=bits))
    return scans


def _scan_header(located: Located, settings: Settings, reference: Checkpoint | None) -> HeaderScan:
    checkpoint = open_checkpoint(located.path)
    plan = make_plan(checkpoint, settings, reference)
    return HeaderScan(
        located,
        format=checkpoint.format,
        layers=tuple((layer.tensor.name, layer.tensor.shape, layer.tensor.aliases) for layer in plan.layers),
        bits=tuple(layer.dtype.bits for layer in plan.layers),
        nbytes=plan.nbytes,
        identity=_identity_of(checkpoint),
        skipped=Counter(tensor.reason for tensor in plan.skipped),
    )


def reopen(scan: HeaderScan, settings: Settings, reference: Checkpoint | None) -> tuple[Checkpoint, Plan]:
    """Open a checkpoint again to read it; ChangedFileError where its files changed since the header scan."""
    path = scan.located.path
    checkpoint = open_checkpoint(path)
    if scan.identity is None or checkpoint.signatures != scan.identity.files:
        raise ChangedFileError(path, "the file changed during the comparison")
    return checkpoint, make_plan(checkpoint, settings, reference)


def duplicates(scans: Sequence[HeaderScan], store: Store) -> dict[int, int]:
    """Return by index the checkpoints with the same tensors as an earlier one of the same run, and that one's index."""
    seen: dict[tuple[str | None, str], list[int]] = {}
    same: dict[int, int] = {}
    for index, scan in enumerate(scans):
        if scan.identity is None:
            continue
        candidates = seen.setdefault((scan.located.group, scan.identity.content), [])
        earlier = next((other for other in candidates if _is_same(scans[other], scan, store)), None)
        if earlier is None:
            candidates.append(index)
        else:
            same[index] = earlier
    return same


def _is_same(earlier: HeaderScan, later: HeaderScan, store: Store) -> bool:
    if earlier.identity is None or later.identity is None:
        return False
    key = cache_key("same", earlier.identity.key, later.identity.key)
    known = store.get(key)
    if known is not None:
        return known == b"1"
    try:
        same = same_content(open_checkpoint(earlier.located.path), open_checkpoint(later.located.path))
    except CheckpointError:
        return False  # its error was reported when it was counted
    store.put(key, b"1" if same else b"0")
    return same


def key_of(checkpoint: Checkpoint) -> str:
    """Return the key of a checkpoint's identity."""
    return _identity_of(checkpoint).key


def _identity_of(checkpoint: Checkpoint) -> Identity:
    with open_reader(checkpoint) as reader:
        return identify(checkpoint, reader)
