"""One checkpoint of a series open for reading, and the two ways in which its layers are counted: by reading, or from
the store.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

from wcx.core.checkpoint import Checkpoint
from wcx.core.dtypes import PlaneRule
from wcx.core.progress import Progress
from wcx.core.scheme import Fit
from wcx.formats import open_reader
from wcx.quantizers import Quantizer
from wcx.scan.cache import LostError
from wcx.scan.changes import Changes, PackedCheckpoint
from wcx.scan.count import CountedLayer
from wcx.scan.layers import Layer
from wcx.scan.sources import FileSource
from wcx.tasks.analyze.run import Counting, batches
from wcx.tasks.compare.series.header_scan import HeaderScan, reopen
from wcx.tasks.compare.settings import ComparisonSettings

Sink = Callable[[int, Layer, Fit, CountedLayer], None]
"""Takes each layer as it is counted, with the number of the quantizer."""


@dataclass(frozen=True, slots=True)
class Member:
    """One checkpoint of a run. names: the series that each of its layers belongs to, by its own name for it.

    core: those of its own names that the model's rows are made of; complete: whether these are all that it takes.
    """

    surveyed: HeaderScan
    names: Mapping[str, str]
    core: frozenset[str]
    complete: bool


@dataclass(frozen=True, slots=True)
class Around:
    """What is the same for all checkpoints.

    bits: of a weight, by series, by which layers are cut into pieces. compiled: whether compiled code is worth its
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
        checkpoint, plan = reopen(member.surveyed, around.settings.analysis, around.reference)
        self._reader = stack.enter_context(open_reader(checkpoint))
        theirs = around.reference
        reference = self._reader if theirs is None else stack.enter_context(open_reader(theirs))
        self.source = lambda: FileSource(self._reader)
        self.reference_source = lambda: FileSource(reference)
        packed = around.settings.packed
        plan = replace(plan, streams=packed, stored=False) if packed else plan
        core = [layer for layer in plan.layers if layer.tensor.name in member.core]
        others = [layer for layer in plan.layers if layer.tensor.name in member.names.keys() - member.core]
        self.plans = [replace(plan, layers=core)]
        if others:
            self.plans.append(replace(plan, layers=others, concatenated=None))
        self.quantizers = plan.quantizers
        analysis, progress = around.settings.analysis, around.progress
        self.afresh = Counting(analysis, around.threads, progress.on_bytes, around.compiled)

    @property
    def layers(self) -> list[Layer]:
        """All layers, in the order in which they are counted."""
        return [layer for plan in self.plans for layer in plan.layers]

    def drain(self, counting: Reading) -> None:
        """Count everything for what comes beside the counts."""
        for plan in self.plans:
            for layers in batches(plan.layers):
                for quantizer in self.quantizers:
                    fits = counting.fits(quantizer, layers, self.source)
                    cuts = [quantizer.cut(layer.dtype, fit) for layer, fit in zip(layers, fits, strict=True)]
                    with closing(counting.counts(quantizer, layers, cuts, self.source)) as counts:
                        for _ in counts:
                            pass

    def check_unchanged(self) -> None:
        """Raise ChangedFileError where the file was written to meanwhile."""
        self._reader.check_unchanged()


class Reading:
    """Counts layers by reading them, set against earlier checkpoints; `sink` gets each as it is done."""

    def __init__(
        self,
        opened: Opened,
        member: Member,
        around: Around,
        previous: PackedCheckpoint | None,
        first: PackedCheckpoint | None,
        keep: PackedCheckpoint,
        sink: Sink,
    ) -> None:
        self._opened = opened
        self._names = member.names
        self._bits = around.bits
        self._against = previous, first, keep
        self._sink = sink
        self._fits: dict[int, Sequence[Fit]] = {}

    def fits(self, quantizer: Quantizer, layers: Sequence[Layer], make_source: Callable[[], Any]) -> Sequence[Fit]:
        """What the quantizer learns from each layer."""
        fits = self._opened.afresh.fits(quantizer, layers, make_source)
        self._fits[self._opened.quantizers.index(quantizer)] = fits
        return fits

    def counts(
        self, quantizer: Quantizer, layers: Sequence[Layer], cuts: Sequence[PlaneRule], make_source: Callable[[], Any]
    ) -> Generator[CountedLayer, None, None]:
        """The counts of each layer, with those of what changed."""
        view = self._opened.quantizers.index(quantizer)
        series = [self._names[layer.tensor.name] for layer in layers]
        changes = Changes([f"{view}/{name}" for name in series], *self._against)
        bits = [self._bits[name] for name in series]
        counts = self._opened.afresh.counts(quantizer, layers, cuts, make_source, changes, bits)
        with closing(counts):
            for layer, fit, counted in zip(layers, self._fits[view], counts, strict=True):
                self._sink(view, layer, fit, counted)
                yield counted


class Recalled:
    """Takes the counts of layers from the store; raises LostError where they are not all there.

    items: for each quantizer, fit and counts of all layers in order.
    """

    def __init__(self, opened: Opened, items: Sequence[Iterator[tuple[Fit, CountedLayer]]]) -> None:
        self._opened = opened
        self._items = items
        self._counts: dict[int, list[CountedLayer]] = {}

    def fits(self, quantizer: Quantizer, layers: Sequence[Layer], _make_source: Callable[[], Any]) -> Sequence[Fit]:
        """What the quantizer learned from each layer."""
        view = self._opened.quantizers.index(quantizer)
        found = [item for _, item in zip(layers, self._items[view], strict=False)]
        if len(found) != len(layers):
            raise LostError
        self._counts[view] = [counted for _, counted in found]
        return [fit for fit, _ in found]

    def counts(
        self,
        quantizer: Quantizer,
        _layers: Sequence[Layer],
        _cuts: Sequence[PlaneRule],
        _make_source: Callable[[], Any],
    ) -> Generator[CountedLayer, None, None]:
        """The counts of the layers whose fits were asked for last."""
        yield from self._counts.pop(self._opened.quantizers.index(quantizer))
