"""One checkpoint of a series, open for reading, and what a series knows of each and of all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from wcx.core.checkpoint import Checkpoint
from wcx.core.progress import Progress
from wcx.formats import open_reader
from wcx.scan.changes import Changes
from wcx.scan.counts_cache import LostError
from wcx.scan.engine import Threads
from wcx.scan.layers import Layer
from wcx.scan.sources import FileSource
from wcx.tasks.analyze.run import Earlier, Known, LayerResults, Reach, scan_layers
from wcx.tasks.compare.series.header_scan import HeaderScan, reopen
from wcx.tasks.compare.settings import ComparisonSettings


@dataclass(frozen=True, slots=True)
class Member:
    """One checkpoint of a run. names: the series that each of its layers belongs to, by its own name for it.

    core: those of its own names that the model's rows are made of; complete: whether these are all that it takes.
    """

    headers: HeaderScan
    names: Mapping[str, str]
    core: frozenset[str]
    complete: bool


@dataclass(frozen=True, slots=True)
class Around:
    """The common context of all checkpoints.

    bits: of a weight, by series, by which layers are cut into pieces. compiled: True if compiled code is worth its
    start for all of them.
    """

    settings: ComparisonSettings
    bits: Mapping[str, int]
    threads: int
    progress: Progress
    compiled: bool
    reference: Checkpoint | None = None


class Opened:
    """A checkpoint that is read until `stack` is closed; raises CheckpointError where it is no longer what it was.

    plans: of the layers that make the model's rows, and of the others where there are any.
    """

    def __init__(self, member: Member, around: Around, stack: ExitStack) -> None:
        checkpoint, plan = reopen(member.headers, around.settings.analysis, around.reference)
        self._reader = stack.enter_context(open_reader(checkpoint))
        theirs = around.reference
        reference = self._reader if theirs is None else stack.enter_context(open_reader(theirs))
        self.reach, self.reference_reach = (
            Reach(partial(FileSource, some), Threads(around.threads), around.progress.on_bytes, around.compiled)
            for some in (self._reader, reference)
        )
        self._names, self._bits = member.names, around.bits
        packed = around.settings.packed
        plan = replace(plan, streams=packed, stored=False) if packed else plan
        core = [layer for layer in plan.layers if layer.tensor.name in member.core]
        others = [layer for layer in plan.layers if layer.tensor.name in member.names.keys() - member.core]
        self.plans = [replace(plan, layers=core)]
        if others:
            self.plans.append(replace(plan, layers=others, vector=None))
        self.quantizers = plan.quantizers

    @property
    def layers(self) -> list[Layer]:
        """All layers, in the order in which they are counted."""
        return [layer for plan in self.plans for layer in plan.layers]

    def scan(self, at: int, changes: Changes, *, streams: bool = True) -> Iterator[LayerResults]:
        """Yield what is found in the layers of a plan, by reading them, with the bits that changed."""
        plan = self.plans[at] if streams else replace(self.plans[at], streams=())
        yield from scan_layers(plan, plan.layers, self.reach, earlier=Earlier(changes, self._names, self._bits))

    def recall(self, at: int, known: Known) -> Iterator[LayerResults]:
        """Yield what is found in the layers of a plan; what was counted is known."""
        yield from scan_layers(self.plans[at], self.plans[at].layers, self.reach, known=known)

    def check_unchanged(self) -> None:
        """Raise ChangedFileError where the file was written to meanwhile."""
        self._reader.check_unchanged()


def known_counts(views: list[Iterator[Any]]) -> Known:
    """Yield fits and counts, layer by layer, from those of each quantizer; raise LostError where there are no more."""
    for one in zip(*views, strict=False):
        fits, counted = zip(*one, strict=True)
        yield fits, counted
    raise LostError
