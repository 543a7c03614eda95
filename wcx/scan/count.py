"""Count the blocks of layers, on the engine: of planes of bits, and of the bits that changed as planes of their own.

No float is made here. What a worker holds is bounded: one piece of a tensor, a histogram a plane; of a large layer one
wider histogram more, until its last part is done.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.counter import Counter, compiled_kernels
from wcx.blocks.counts import BlockCounts
from wcx.blocks.histograms import Found
from wcx.blocks.numpy_kernels import Window
from wcx.blocks.packed import packed_words
from wcx.blocks.xor_counter import XorCounter
from wcx.core.dtypes import DType, PlaneRule
from wcx.core.scheme import Scheme
from wcx.scan.changes import Changed, Changes, PieceKey
from wcx.scan.engine import Engine, OpenSource, Threads, Tools, Unordered, Work, scan
from wcx.scan.grid import ROWS, SLIDING, Rows, Sliding
from wcx.scan.layers import Codes, Layer, Piece, useful_threads

_FLUSH_WEIGHTS = 1 << 34  # a 32-bit histogram takes 2^32 blocks of 16
_FLUSH_SLIDING = 1 << 31  # or of one weight each, where they overlap
_AHEAD = 8
_MOST_THREADS = 512  # over planes squared: with 16 planes every worker and every count that waits takes 10 MiB
_NUMPY_SECONDS = 0.4  # loading numba and the compiled kernels takes about as long
_NUMPY_SECONDS_PER_WEIGHT = 0.6e-9
_NUMPY_SECONDS_PER_BIT = 1e-9  # of a weight: of bit-planes, most of it for counts that are spread more widely
_NUMPY_SECONDS_PER_PLANE = 60e-6
_NUMPY_SLIDING = 20  # times as long, where blocks overlap
_DISTINCT_CODES = 3  # two values and the other zero


@dataclass(frozen=True, slots=True)
class CountedLayer:
    """Results of counting a layer: counts of each plane, zeros, non-finite numbers, and if it has at most two values.

    changed: the bits that changed since earlier checkpoints, if there are any.
    """

    planes: tuple[BlockCounts, ...]
    zeros: int
    nonfinite: int
    at_most_two_values: bool
    changed: Changed | None = None


@dataclass(frozen=True, slots=True)
class CountBlocks(Unordered):
    """The blocks of the planes that a rule makes of a layer, as a spec of the engine.

    changes, key: earlier checkpoints that the planes are compared with, and the layer's name there.
    """

    rule: PlaneRule
    scheme: Scheme
    changes: Changes | None = None
    key: str = ""

    @property
    def grid(self) -> Rows | Sliding:
        """Overlapping pieces where blocks overlap."""
        return SLIDING if self.scheme.shift else ROWS

    def kernels(self, layer: Layer) -> Any:  # noqa: ANN401
        """Return the compiled code, ready to count such planes."""
        options = {"sliding": self.scheme.shift > 0, "packing": self.changes is not None}
        return compiled_kernels(layer.dtype, self.rule, strings=self.scheme.strings, **options)

    def begin(self, layer: Layer, tools: Tools) -> _Counting:
        """Return an empty accumulator."""
        return _Counting(self, layer, tools)


class PlaneTotals:
    """The blocks of several planes, added up over the parts of a layer, with other totals of its planes.

    A part that is all there is stays as it was taken out; further ones go into histograms of 64 bits.
    """

    def __init__(self, possible: int) -> None:
        self._possible = possible
        self._found: list[Found] = []
        self._histograms: NDArray[np.int64] | None = None
        self.totals: list[int] = []

    def add(self, found: list[Found], totals: list[int]) -> None:
        """Take in the blocks of each plane, and numbers that add."""
        if not self.totals:
            self._found, self.totals = found, totals
            return
        if self._histograms is None:
            self._histograms = np.zeros((len(found), self._possible), np.int64)
            self._add(self._histograms, self._found)
        self._add(self._histograms, found)
        self.totals = [mine + more for mine, more in zip(self.totals, totals, strict=True)]

    @staticmethod
    def _add(histograms: NDArray[np.int64], found: list[Found]) -> None:
        for histogram, (codes, counts) in zip(histograms, found, strict=True):
            histogram[codes] += counts

    def merge(self, other: PlaneTotals) -> None:
        """Add the totals of another."""
        if other.totals:
            self.add(other.found, other.totals)

    @property
    def found(self) -> list[Found]:
        """The blocks of each plane that occurred, and how often."""
        if self._histograms is None:
            return self._found
        kind = np.uint32 if self._possible > 1 << 16 else np.uint16
        return [(np.flatnonzero(some).astype(kind), some[some > 0]) for some in self._histograms]


class _Counting:
    """Counts pieces of one layer."""

    def __init__(self, spec: CountBlocks, layer: Layer, tools: Tools) -> None:
        scheme, planes = spec.scheme, len(spec.rule)
        self._spec = spec
        self._layer = layer
        self._tools: Tools | None = tools
        self._counter: Counter | None = _counter(Counter, scheme, planes, tools)
        self._counter.begin(layer.dtype, spec.rule)
        self._planes = PlaneTotals(_possible(scheme))
        self._changed = {kind: PlaneTotals(_possible(scheme)) for kind in self._earlier()}
        self._values = _Values()
        self._pending = 0

    def _earlier(self) -> list[str]:
        spec = self._spec
        return [] if spec.changes is None else [kind for kind, _ in spec.changes.wanted(spec.key, len(spec.rule))]

    def add(self, piece: Piece, codes: Codes) -> None:
        """Count a piece."""
        scheme, counter = self._spec.scheme, self._counter
        shift = scheme.shift
        if self._pending >= (_FLUSH_SLIDING if shift else _FLUSH_WEIGHTS):
            self._flush()
        window = None
        if shift:
            window = Window(piece.height, piece.width, -piece.start % shift, -piece.first % shift, shift)
        rows, columns = piece.height + piece.more_rows, piece.width + piece.more_columns
        bits = None
        if self._spec.changes is not None:
            bits = np.empty(packed_words(rows, columns, len(self._spec.rule)), np.uint64)
        if window is None:
            counter.count(codes, rows, columns, bits)  # type: ignore[union-attr]
        else:
            counter.slide(codes, rows, columns, window, bits)  # type: ignore[union-attr]
        if bits is not None:
            self._compare(piece, bits, rows, columns, window)
        self._values.see(codes)
        self._pending += piece.height * piece.width

    def _compare(self, piece: Piece, bits: NDArray[np.uint64], rows: int, columns: int, window: Window | None) -> None:
        """Count the changes of a piece since earlier checkpoints, and keep its bits for later ones."""
        spec, changes = self._spec, self._spec.changes
        if changes is None or self._tools is None:
            return
        planes = len(spec.rule)
        key = PieceKey(spec.key, piece.start, piece.first)
        for kind, earlier in changes.wanted(spec.key, planes):
            counter = _counter(XorCounter, spec.scheme, planes, self._tools, kind)
            if window is None:
                counter.count(bits, earlier.bits.get(key), rows, columns, planes)
            else:
                counter.slide(bits, earlier.bits.get(key), rows, columns, planes, window)
        if changes.keep is not None:
            changes.keep.bits.put(key, bits)

    def _flush(self) -> None:
        """Take out the counts of the worker's counters."""
        if self._counter is None or self._tools is None:
            return
        self._planes.add(self._counter.take(), [*self._counter.take_totals(), self._pending])
        for kind, totals in self._changed.items():
            found, ones = _counter(XorCounter, self._spec.scheme, len(self._spec.rule), self._tools, kind).take()
            totals.add(found, ones)
        self._pending = 0

    def release(self) -> None:
        """Give the worker's counters back."""
        self._flush()
        self._counter = self._tools = None

    def merge(self, other: _Counting) -> None:
        """Add the counts of another part."""
        self._planes.merge(other._planes)
        for kind, totals in self._changed.items():
            totals.merge(other._changed[kind])
        self._values.merge(other._values)

    def finish(self) -> CountedLayer:
        """Return the counts of the layer."""
        self._flush()
        spec = self._spec
        zeros, nonfinite, *ones, _ = self._planes.totals
        changed = None
        if spec.changes is not None:
            spec.changes.finish(spec.key, len(spec.rule))
            every = {kind: self._counts(some.found, some.totals) for kind, some in self._changed.items()}
            changed = Changed(every.get("previous"), every.get("first"))
        counts = self._counts(self._planes.found, ones)
        return CountedLayer(counts, zeros, nonfinite, self._values.few(self._layer.dtype), changed)

    def _counts(self, found: list[Found], ones: list[int]) -> tuple[BlockCounts, ...]:
        scheme, weights = self._spec.scheme, self._layer.weights
        shapes = scheme.cells, scheme.sizes[1:], scheme.shift > 0
        return tuple(
            [
                BlockCounts(scheme.id, codes, counts, weights, some, *shapes)
                for (codes, counts), some in zip(found, ones, strict=True)
            ]
        )


@cache
def _possible(scheme: Scheme) -> int:
    return sum(1 << cells for cells in scheme.sizes)


def _counter(made: Any, scheme: Scheme, planes: int, tools: Tools, kind: str = "") -> Any:  # noqa: ANN401
    """Return the worker's counter for that number of planes."""
    make = lambda: made(planes, tools.kernels, strings=scheme.strings, least=scheme.least)  # noqa: E731
    return tools.get((kind, planes, scheme), make)


class _Values:
    """The distinct codes of a tensor while there are few: exact, and free where it has more."""

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
        """Add the codes that another has seen."""
        self._many |= other._many
        self._add(other._seen)

    def _add(self, codes: Any) -> None:  # noqa: ANN401
        self._seen |= set(codes)
        self._many |= len(self._seen) > _DISTINCT_CODES

    def few(self, dtype: DType) -> bool:
        """Return True where there are at most two values: a mask, or a constant; 0 and -0.0 are one."""
        if self._many:
            return False
        zeros = sum(code in dtype.zero for code in self._seen)
        return len(self._seen) - max(zeros - 1, 0) <= 2


def count_layers(
    layers: Sequence[Layer],
    rules: Sequence[PlaneRule],
    scheme: Scheme,
    open_source: OpenSource,
    engine: Engine | None = None,
    on_bytes: Callable[[int], None] | None = None,
    compiled: bool | None = None,
) -> Generator[CountedLayer, None, None]:
    """Yield the counts of each layer, in order.

    rules: how each layer becomes planes. compiled: count by compiled code; None leaves that to the size of the work.
    The rest, and what is raised: as of scan.
    """
    works = [Work(layer, (CountBlocks(rule, scheme),)) for layer, rule in zip(layers, rules, strict=True)]
    for (counted,) in scan_counts(works, open_source, engine or Threads(), on_bytes, compiled):
        yield counted


def scan_counts(
    works: Sequence[Work],
    open_source: OpenSource,
    engine: Engine,
    on_bytes: Callable[[int], None] | None = None,
    compiled: bool | None = None,
) -> Generator[tuple[Any, ...], None, None]:
    """Scan works with blocks to count among their specs, with no more workers than have room for histograms."""
    specs = [spec for work in works for spec in work.specs if isinstance(spec, CountBlocks)]
    planes = max((len(spec.rule) for spec in specs), default=1)
    layers = [work.layer for work in works]
    if compiled is None:
        compiled = is_large(layers, planes * (_NUMPY_SLIDING if any(spec.scheme.shift for spec in specs) else 1))
    busy = any(spec.ordered for work in works for spec in work.specs)  # compressors are worth a thread however small
    threads = min(
        engine.threads if busy else useful_threads(layers, engine.threads), max(1, _MOST_THREADS // planes**2)
    )
    ahead = max(1, _AHEAD // planes)
    yield from scan(works, open_source, engine, threads=threads, ahead=ahead, compiled=compiled, on_bytes=on_bytes)


def is_large(layers: Sequence[Layer], planes: int) -> bool:
    """Return True if NumPy would take longer than loading numba does."""
    return worth_compiling(sum(layer.weights for layer in layers), len(layers), planes)


def worth_compiling(weights: int, layers: int, planes: int) -> bool:
    """Return True if NumPy would take longer than loading numba, for that number of weights, layers and planes."""
    per_weight = _NUMPY_SECONDS_PER_WEIGHT if planes <= 2 else _NUMPY_SECONDS_PER_BIT
    return (per_weight * weights + _NUMPY_SECONDS_PER_PLANE * layers) * planes > _NUMPY_SECONDS
