"""Layers to block counts: the work grid is read and counted by workers, and their integers are merged.

No float is made here. What a worker holds is bounded: one piece of a tensor, a histogram a plane; of a large layer one
wider histogram more, until its last stripe is done.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.counter import Counter, compiled_kernels
from wcx.blocks.counts import BlockCounts
from wcx.blocks.numpy_kernels import Window
from wcx.core.dtypes import DType, PlaneRule
from wcx.core.scheme import Scheme
from wcx.scan.changes import Changed, Changes, ChangeWorker
from wcx.scan.grid import PIECE_BYTES, Piece, Stripe, pieces, sliding_pieces, work_items
from wcx.scan.layers import Layer, useful_threads
from wcx.scan.sources import Source
from wcx.scan.threads import map_ordered

Codes = NDArray[Any]
_FLUSH_WEIGHTS = 1 << 34  # a 32-bit histogram takes 2^32 blocks of 16
_FLUSH_SLIDING = 1 << 31  # or of one weight each, where they overlap
_AHEAD = 8
_MOST_THREADS = 512  # over planes squared: with 16 planes every worker and every count that waits takes 10 MiB
_NUMPY_SECONDS = 0.4  # loading numba and the compiled kernels takes about as long
_NUMPY_SECONDS_PER_WEIGHT = 0.6e-9
_NUMPY_SECONDS_PER_BIT = 1e-9  # of a weight: of bit-planes, most of it for counts that are spread more widely
_NUMPY_SECONDS_PER_PLANE = 60e-6
_NUMPY_SLIDING = 20  # times as long, where blocks overlap


@dataclass(frozen=True, slots=True)
class CountedLayer:
    """What counting tells of a layer: the counts of each plane, zeros, not-finite numbers, and at most two values.

    changed: the bits that changed since earlier checkpoints, where that was asked for.
    """

    planes: tuple[BlockCounts, ...]
    zeros: int
    nonfinite: int
    at_most_two_values: bool
    changed: Changed | None = None


def count_layers(
    layers: Sequence[Layer],
    cuts: Sequence[PlaneRule],
    scheme: Scheme,
    make_source: Callable[[], Source],
    threads: int,
    on_bytes: Callable[[int], None] | None = None,
    compiled: bool | None = None,
    changes: Changes | None = None,
    bits: Sequence[int] | None = None,
) -> Generator[CountedLayer, None, None]:
    """Yield the counts of each layer, in order.

    cuts: how each layer becomes planes. make_source: gives a worker its source. on_bytes: called by workers with the
    bytes read since its last call. compiled: whether to count by compiled code; None leaves it to the size of the work.
    changes: earlier checkpoints that these layers are set against. bits: of a weight, by which each layer is cut into
    pieces, at least those of its dtype: checkpoints that are set against each other need the same pieces.
    The result depends on none of the last five. Raises what the source raises.
    """
    bits = [layer.dtype.bits for layer in layers] if bits is None else bits
    items = work_items([(layer.rows, layer.columns) for layer in layers], bits)
    if compiled is None:
        compiled = is_large(layers, most_planes(cuts) * (_NUMPY_SLIDING if scheme.shift else 1))
    strings = scheme.block == "1x12"
    kernels = None
    if compiled and layers:
        sliding, packing = scheme.shift > 0, changes is not None
        kernels = compiled_kernels(layers[0].dtype, cuts[0], strings=strings, sliding=sliding, packing=packing)
    job = _Job(layers, cuts, bits, scheme, changes, {}, Lock(), on_bytes or (lambda _nbytes: None))
    planes = most_planes(cuts)
    threads = min(useful_threads(layers, threads), max(1, _MOST_THREADS // planes**2))
    ahead = max(1, _AHEAD // planes)
    workers = map_ordered(lambda: _Worker(job, make_source(), kernels), _Worker.run, items, threads, ahead)
    for done in workers:
        yield from done


def most_planes(cuts: Sequence[PlaneRule]) -> int:
    """How many planes the layer with the most has."""
    return max((len(cut) for cut in cuts), default=1)


def is_large(layers: Sequence[Layer], planes: int) -> bool:
    """Whether NumPy would take longer than loading numba does."""
    return worth_compiling(sum(layer.weights for layer in layers), len(layers), planes)


def worth_compiling(weights: int, layers: int, planes: int) -> bool:
    """The same for so many weights in so many layers."""
    per_weight = _NUMPY_SECONDS_PER_WEIGHT if planes <= 2 else _NUMPY_SECONDS_PER_BIT
    return (per_weight * weights + _NUMPY_SECONDS_PER_PLANE * layers) * planes > _NUMPY_SECONDS


@dataclass(frozen=True, slots=True)
class _Job:
    """What all workers of one count share."""

    layers: Sequence[Layer]
    cuts: Sequence[PlaneRule]
    bits: Sequence[int]
    scheme: Scheme
    changes: Changes | None
    tallies: dict[int, _Tally]
    lock: Lock
    on_bytes: Callable[[int], None]


class _Tally:
    """The counts of a layer of several stripes, added up as they are done."""

    def __init__(self, planes: int, scheme: Scheme) -> None:
        self.histograms = np.zeros((planes, sum(1 << cells for cells in scheme.sizes)), np.int64)
        self.totals = np.zeros(2 + planes, np.int64)
        self.values = _Values()
        self.weights = 0


class _Worker:
    """One worker: a source, a counter, and what it does with a work item."""

    def __init__(self, job: _Job, source: Source, kernels: Any) -> None:  # noqa: ANN401
        self._job = job
        self._source = source
        scheme = job.scheme
        planes = most_planes(job.cuts)
        self._counter = Counter(planes, kernels, strings=scheme.block == "1x12", least=scheme.least)
        self._changes = None if job.changes is None else ChangeWorker(job.changes, scheme, kernels, planes)
        self._pieces, self._flush = pieces, _FLUSH_WEIGHTS
        if scheme.shift:
            self._pieces, self._flush = sliding_pieces, _FLUSH_SLIDING

    def run(self, stripes: list[Stripe]) -> list[CountedLayer]:
        """Count the stripes of an item; returns the layers that are complete by it."""
        done = [self._count(stripe) for stripe in stripes]
        return [layer for layer in done if layer is not None]

    def _count(self, stripe: Stripe) -> CountedLayer | None:
        layer = self._job.layers[stripe.layer]
        counter = self._counter
        counter.begin(layer.dtype, self._job.cuts[stripe.layer])
        values = _Values()
        whole = stripe.start == 0 and stripe.last
        pending = nbytes = 0
        for piece in self._pieces(stripe, layer.rows, layer.columns, self._job.bits[stripe.layer]):
            if pending >= self._flush:
                whole = False
                self._merge(stripe, values, pending)
                pending = 0
            codes = self._source.codes(layer, piece)
            self._count_piece(stripe.layer, codes, piece)
            values.see(codes)
            weights = piece.height * piece.width
            pending += weights
            nbytes += weights * layer.stored.bits // 8
            if nbytes >= PIECE_BYTES:
                self._job.on_bytes(nbytes)
                nbytes = 0
        self._job.on_bytes(nbytes)
        if whole:
            self._hand_over_changes(stripe, pending)
            return self._finish(stripe.layer, counter.take(), counter.take_totals(), values)
        return self._merge(stripe, values, pending)

    def _count_piece(self, number: int, codes: Codes, piece: Piece) -> None:
        shift, counter = self._job.scheme.shift, self._counter
        window = None
        if shift:
            window = Window(piece.height, piece.width, -piece.start % shift, -piece.first % shift, shift)
        if self._changes is not None:
            self._changes.count(counter, number, piece, codes, len(self._job.cuts[number]), window)
        elif window is not None:
            counter.slide(codes, piece.height + piece.below, piece.width + piece.beside, window)
        else:
            counter.count(codes, piece.height, piece.width)

    def _hand_over_changes(self, stripe: Stripe, weights: int) -> None:
        if self._changes is not None:
            self._changes.hand_over(stripe.layer, len(self._job.cuts[stripe.layer]), weights)

    def _merge(self, stripe: Stripe, values: _Values, weights: int) -> CountedLayer | None:
        """Add what was counted to the layer's tally; returns the layer when that was the last of it."""
        job = self._job
        layer = job.layers[stripe.layer]
        self._hand_over_changes(stripe, weights)
        with job.lock:
            tally = job.tallies.setdefault(stripe.layer, _Tally(len(self._counter.histograms), job.scheme))
            self._counter.add_to(tally.histograms)
            totals = self._counter.take_totals()
            tally.totals[: len(totals)] += totals
            tally.values.merge(values)
            tally.weights += weights
            if tally.weights < layer.weights:
                return None
            del job.tallies[stripe.layer]
        planes = len(self._job.cuts[stripe.layer])
        histograms = tally.histograms[:planes]
        kind = np.uint32 if self._job.scheme.smaller else np.uint16
        found = [(np.flatnonzero(some).astype(kind), some[some > 0]) for some in histograms]
        return self._finish(stripe.layer, found, tally.totals[: 2 + planes].tolist(), tally.values)

    def _finish(self, number: int, planes: list[tuple[Any, Any]], totals: list[int], values: _Values) -> CountedLayer:
        layer, scheme, changes = self._job.layers[number], self._job.scheme, self._job.changes
        shapes = scheme.cells, scheme.sizes[1:], scheme.shift > 0
        counts = tuple(
            BlockCounts(scheme.id, codes, numbers, layer.weights, ones, *shapes)
            for (codes, numbers), ones in zip(planes, totals[2:], strict=True)
        )
        changed = None if changes is None else changes.finish(number, len(counts))
        return CountedLayer(counts, totals[0], totals[1], values.few(layer.dtype), changed)


class _Values:
    """Whether a tensor has at most two distinct values: a mask, or a constant. Exact, and free where it has more."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._many = False

    def see(self, codes: Codes) -> None:
        """Look at some more codes."""
        if self._many:
            return
        self._add(codes[:8].tolist())
        while not self._many and self._seen:
            others = np.ones(codes.size, bool)
            for value in self._seen:
                others &= codes != value
            first = int(others.argmax())
            if not others[first]:
                return
            self._add([int(codes[first])])

    def merge(self, other: _Values) -> None:
        """Take over what another has seen."""
        self._many |= other._many
        self._add(other._seen)

    def _add(self, codes: Any) -> None:  # noqa: ANN401
        self._seen |= set(codes)
        self._many |= len(self._seen) > _DISTINCT_CODES

    def few(self, dtype: DType) -> bool:
        """At most two values; 0 and -0.0 are one."""
        if self._many:
            return False
        zeros = sum(code in dtype.zero for code in self._seen)
        return len(self._seen) - max(zeros - 1, 0) <= 2


_DISTINCT_CODES = 3  # two values and the other zero
